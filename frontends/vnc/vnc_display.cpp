#include "frontends/vnc/vnc_display.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>

namespace dragoman {
namespace {

constexpr unsigned kMostSide = 8192;
constexpr Size kNoMode{720, 400};  // shown before the card has a mode

/// Reads the first line of a file.
Result<std::string> read_password(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  if (!std::getline(in, line) || line.empty()) {
    return error(
        "cannot read a password from '{}': {}; write one of up to 8 characters into its "
        "first line",
        path, in.is_open() ? "it is empty" : std::strerror(errno));
  }
  return line;
}

bool loopback(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const auto& ip = reinterpret_cast<const sockaddr_in&>(address);
    return ntohl(ip.sin_addr.s_addr) >> 24 == 127;
  }
  if (address.sa_family == AF_INET6) {
    const auto& ip = reinterpret_cast<const sockaddr_in6&>(address);
    return IN6_IS_ADDR_LOOPBACK(&ip.sin6_addr);
  }
  return false;
}

}  // namespace

Result<VncAddress> VncAddress::parse(std::string_view text) {
  VncAddress address;
  const auto comma = text.find(',');
  std::string_view place = text.substr(0, comma);
  if (comma != std::string_view::npos) {
    const std::string_view property = text.substr(comma + 1);
    constexpr std::string_view kFile = "password-file=";
    if (!property.starts_with(kFile) || property.size() == kFile.size()) {
      return error(
          "'{}' in -display vnc: known is password-file=PATH, a file with the password in "
          "its first line",
          property);
    }
    address.password_file = property.substr(kFile.size());
  }
  const auto colon = place.rfind(':');
  const std::string_view digits = colon == std::string_view::npos ? "" : place.substr(colon + 1);
  unsigned number = 0;
  const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (digits.empty() || status != std::errc() || end != digits.data() + digits.size() ||
      number > 59635) {
    return error(
        "'{}' in -display vnc is not a display such as :0 or 127.0.0.1:1; the port is 5900 "
        "plus that number",
        place);
  }
  address.port = static_cast<u16>(5900 + number);
  std::string_view host = place.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (!host.empty()) address.host = host;
  return address;
}

/// The listening socket.
class VncDisplay::Listener final : public PollSource {
 public:
  Listener(VncDisplay& display, int fd) : display_(display), fd_(fd) {}
  ~Listener() override { ::close(fd_); }
  int poll_fd() const override { return fd_; }
  void on_readable() override { display_.accept_viewer(); }

 private:
  VncDisplay& display_;
  int fd_;
};

/// The socket of one viewer, or a place for one.
class VncDisplay::Viewer final : public PollSource {
 public:
  ~Viewer() override { drop(); }
  bool connected() const { return fd_ >= 0; }
  void connect(int fd, std::unique_ptr<RfbConnection> connection) {
    fd_ = fd;
    connection_ = std::move(connection);
    send();
  }
  RfbConnection& connection() { return *connection_; }

  int poll_fd() const override { return fd_; }
  bool wants_read() const override { return connected() && !connection_->closed(); }
  bool wants_write() const override { return connected() && !connection_->output().empty(); }
  void on_readable() override {
    std::array<u8, 16384> bytes;
    const ssize_t n = ::recv(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
      drop();
      return;
    }
    connection_->feed(std::span(bytes).first(static_cast<std::size_t>(n)));
    send();
  }
  void on_writable() override { send(); }

  /// Sends what the socket takes; what it does not take waits.
  void send() {
    if (!connected()) return;  // the viewer left just now
    std::vector<u8>& output = connection_->output();
    std::size_t sent = 0;
    while (sent < output.size()) {
      const ssize_t n =
          ::send(fd_, output.data() + sent, output.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) break;
      if (n <= 0) {
        drop();
        return;
      }
      sent += static_cast<std::size_t>(n);
    }
    output.erase(output.begin(), output.begin() + static_cast<long>(sent));
    if (output.empty() && connection_->closed()) drop();
  }

  void drop() {
    if (!connected()) return;
    connection_->release_keys();
    connection_.reset();
    ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
  std::unique_ptr<RfbConnection> connection_;
};

VncDisplay::VncDisplay(PcBoard& board, std::string name, std::string password, int listener)
    : board_(board),
      options_{std::move(name), std::move(password)},
      watch_(*board.vga(), board.memory()),
      listener_(std::make_unique<Listener>(*this, listener)) {
  input_.key = [this](Key key, bool pressed) { board_.keyboard().key(key, pressed); };
  const auto tablet = [this]() -> AbsolutePointer* {
    AbsolutePointer* const found = board_.tablet();
    return found != nullptr && found->ready() ? found : nullptr;
  };
  input_.move = [this, tablet](int dx, int dy, int dz) {
    const bool wheel = dx == 0 && dy == 0 && tablet() != nullptr;
    wheel ? tablet()->wheel(-dz) : board_.mouse().move(dx, dy, dz);
  };
  input_.buttons = [this, tablet](u8 mask) {
    tablet() != nullptr ? tablet()->buttons(mask) : board_.mouse().buttons(mask);
  };
  input_.point = [tablet](unsigned x, unsigned y, Size screen) {
    if (tablet() == nullptr || screen.width < 2 || screen.height < 2) return false;
    tablet()->move_to(
        std::min(x, screen.width - 1) * AbsolutePointer::kMost / (screen.width - 1),
        std::min(y, screen.height - 1) * AbsolutePointer::kMost / (screen.height - 1));
    return true;
  };
  screen_.size = kNoMode;
  screen_.pixels.assign(u64{kNoMode.width} * kNoMode.height, 0);
  for (unsigned i = 0; i < kViewers; ++i) viewers_.push_back(std::make_unique<Viewer>());
}

VncDisplay::~VncDisplay() = default;

Result<std::unique_ptr<VncDisplay>> VncDisplay::open(const VncAddress& address, PcBoard& board,
                                                     std::string name) {
  std::string password;
  if (!address.password_file.empty()) {
    auto read = read_password(address.password_file);
    if (!read) return read.error();
    password = read.take();
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  if (const int code = getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found); code != 0) {
    return error(
        "cannot resolve '{}' in -display vnc: {}; use an address of this host, such as "
        "127.0.0.1",
        address.host, gai_strerror(code));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  if (password.empty() && !loopback(*found->ai_addr)) {
    return error(
        "-display vnc={}:{} would let everybody who reaches this host use the machine; add "
        "password-file=PATH or use 127.0.0.1",
        address.host, address.port - 5900);
  }
  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int on = 1;
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (fd < 0 || ::bind(fd, found->ai_addr, found->ai_addrlen) != 0 || ::listen(fd, 4) != 0) {
    const int cause = errno;
    if (fd >= 0) ::close(fd);
    return error("cannot listen on {} port {} for -display vnc: {}; choose another display number",
                 address.host, address.port, std::strerror(cause));
  }
  return std::unique_ptr<VncDisplay>(
      new VncDisplay(board, std::move(name), std::move(password), fd));
}

std::vector<PollSource*> VncDisplay::poll_sources() {
  std::vector<PollSource*> sources = {listener_.get()};
  for (const auto& viewer : viewers_) sources.push_back(viewer.get());
  return sources;
}

u16 VncDisplay::port() const {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  if (getsockname(listener_->poll_fd(), reinterpret_cast<sockaddr*>(&address), &length) != 0)
    return 0;
  // sin_port and sin6_port lie at the same place.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

void VncDisplay::accept_viewer() {
  const int fd = ::accept4(listener_->poll_fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  const auto place = std::find_if(viewers_.begin(), viewers_.end(),
                                  [](const auto& viewer) { return !viewer->connected(); });
  std::array<u8, 16> challenge{};
  if (place == viewers_.end() ||
      getrandom(challenge.data(), challenge.size(), 0) != static_cast<ssize_t>(challenge.size())) {
    ::close(fd);
    return;
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  (*place)->connect(fd, std::make_unique<RfbConnection>(options_, screen_, input_, challenge));
}

void VncDisplay::update() {
  const bool watched = std::any_of(viewers_.begin(), viewers_.end(),
                                   [](const auto& viewer) { return viewer->connected(); });
  if (!watched) return;  // the next viewer gets everything that changed until then
  if (watch_.take_change(board_.scheduler().now())) draw();
  for (const auto& viewer : viewers_) {
    if (!viewer->connected()) continue;
    viewer->connection().update();
    viewer->send();
  }
}

void VncDisplay::draw() {
  const VgaRenderer renderer = board_.vga()->renderer();
  Size size = renderer.size();
  if (size.width == 0 || size.height == 0 || size.width > kMostSide || size.height > kMostSide) {
    size = kNoMode;
  }
  const bool mode = size == renderer.size();
  next_.assign(u64{size.width} * size.height, 0);
  if (mode) renderer.draw(next_, size.width, board_.scheduler().now());
  const auto tell = [&](RfbRectangle area) {
    for (const auto& viewer : viewers_) {
      if (viewer->connected()) viewer->connection().changed(area);
    }
  };
  const bool resized = !(size == screen_.size);
  std::swap(next_, screen_.pixels);  // next_ is now the old picture
  screen_.size = size;
  if (resized) {
    tell({0, 0, size.width, size.height});
    return;
  }
  // What really changed, in pieces of 16 x 16 pixels.
  constexpr unsigned kTile = 16;
  for (unsigned y = 0; y < size.height; y += kTile) {
    for (unsigned x = 0; x < size.width; x += kTile) {
      const unsigned width = std::min(kTile, size.width - x);
      const unsigned height = std::min(kTile, size.height - y);
      for (unsigned row = y; row < y + height; ++row) {
        const std::size_t at = u64{row} * size.width + x;
        if (std::memcmp(&next_[at], &screen_.pixels[at], width * sizeof(u32)) == 0) continue;
        tell({x, y, width, height});
        break;
      }
    }
  }
}

}  // namespace dragoman
