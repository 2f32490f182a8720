#include "frontends/socket_server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace dragoman {
namespace {

constexpr std::size_t kMostPending = 1 << 20;

struct Address {
  std::string host = "127.0.0.1";
  std::string port;
  std::string path;  ///< of a UNIX socket; then host and port mean nothing
  bool wait = true;
};

Result<Address> parse(std::string_view option, std::string_view spec) {
  Address address;
  const std::size_t comma = spec.find(',');
  std::string_view place = spec.substr(0, comma);
  std::string_view words = comma == std::string_view::npos ? "" : spec.substr(comma + 1);
  while (!words.empty()) {
    const std::size_t end = words.find(',');
    const std::string_view word = words.substr(0, end);
    words = end == std::string_view::npos ? "" : words.substr(end + 1);
    if (word == "nowait" || word == "wait=off") {
      address.wait = false;
    } else if (word != "server" && word != "server=on" && word != "wait" && word != "wait=on") {
      return error("unknown option '{}' in '{} {}'; use server=on and wait=on or wait=off", word,
                   option, spec);
    }
  }
  if (place.starts_with("unix:")) {
    address.path = place.substr(5);
    if (address.path.empty() || address.path.size() >= sizeof(sockaddr_un{}.sun_path)) {
      return error("the path in '{} {}' is empty or longer than a socket's may be; use a short one",
                   option, spec);
    }
    return address;
  }
  if (!place.starts_with("tcp:")) {
    return error("'{} {}' is no place to listen; use tcp:127.0.0.1:PORT or unix:PATH", option,
                 spec);
  }
  place.remove_prefix(4);
  const std::size_t colon = place.rfind(':');
  address.port = colon == std::string_view::npos ? place : place.substr(colon + 1);
  if (colon != std::string_view::npos && colon != 0) address.host = place.substr(0, colon);
  if (address.host.size() > 2 && address.host.front() == '[' && address.host.back() == ']') {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  if (address.port.empty() || address.port.size() > 5 ||
      address.port.find_first_not_of("0123456789") != std::string::npos ||
      std::stoul(address.port) > 65535) {
    return error("no port in '{} {}'; write tcp:127.0.0.1:PORT with a port up to 65535", option,
                 spec);
  }
  return address;
}

}  // namespace

Result<void> SocketServer::check(std::string_view option, std::string_view spec) {
  if (auto parsed = parse(option, spec); !parsed) return parsed.error();
  return {};
}

Result<std::unique_ptr<SocketServer>> SocketServer::open(std::string_view option,
                                                         std::string_view spec) {
  auto parsed = parse(option, spec);
  if (!parsed) return parsed.error();
  const Address address = parsed.take();
  std::unique_ptr<SocketServer> server(new SocketServer);
  server->wait_ = address.wait;
  if (!address.path.empty()) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, address.path.data(), address.path.size());
    FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    // A socket that a program before left behind would be in the way.
    struct stat info {};
    if (lstat(address.path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) {
      unlink(address.path.c_str());
    }
    if (!fd.valid() || bind(fd.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)) != 0 ||
        listen(fd.get(), 1) != 0) {
      return error("cannot listen on '{}' ({}): {}; give another path", address.path, option,
                   std::strerror(errno));
    }
    server->listener_ = std::move(fd);
    server->unix_path_ = server->address_ = address.path;
    return server;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int code = getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found);
      code != 0) {
    return error("cannot resolve '{}' in '{} {}': {}; use 127.0.0.1", address.host, option, spec,
                 gai_strerror(code));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, freeaddrinfo);
  int cause = 0;
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    FileDescriptor fd(::socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol));
    const int on = 1;
    if (fd.valid()) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd.valid() && bind(fd.get(), a->ai_addr, a->ai_addrlen) == 0 && listen(fd.get(), 1) == 0) {
      sockaddr_storage name{};
      socklen_t length = sizeof(name);
      if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name), &length) == 0) {
        // sin_port and sin6_port lie at the same place.
        server->port_ = ntohs(reinterpret_cast<const sockaddr_in*>(&name)->sin_port);
      }
      server->listener_ = std::move(fd);
      server->address_ = fmt::format("{}:{}", address.host, server->port_);
      return server;
    }
    cause = errno;
  }
  return error("cannot listen on {}:{} ({}): {}; choose another port", address.host, address.port,
               option, std::strerror(cause));
}

SocketServer::~SocketServer() {
  flush();
  if (!unix_path_.empty()) unlink(unix_path_.c_str());
}

void SocketServer::accept_client() {
  FileDescriptor fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!fd.valid()) return;  // it left again, or a signal came: the loop will call again
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));  // no effect on UNIX sockets
  client_ = std::move(fd);
  pending_.clear();
  if (callbacks_.connected) callbacks_.connected();
}

void SocketServer::wait_for_client() {
  pollfd entry{listener_.get(), POLLIN, 0};
  if (!client_.valid() && poll(&entry, 1, -1) > 0) accept_client();
}

void SocketServer::on_readable() {
  pollfd entry{poll_fd(), POLLIN, 0};
  if (poll(&entry, 1, 0) <= 0) return;
  if (!client_.valid()) return accept_client();
  std::array<u8, 4096> buffer;
  const ssize_t got = ::recv(client_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got > 0) {
    if (callbacks_.received) callbacks_.received({buffer.data(), static_cast<std::size_t>(got)});
  } else if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
    drop_client();
  }
}

void SocketServer::drop_client() {
  if (!client_.valid()) return;
  client_.close();
  pending_.clear();
  if (callbacks_.disconnected) callbacks_.disconnected();
}

void SocketServer::send(std::string_view text) {
  if (!client_.valid()) return;
  pending_ += text;
  flush();
  if (pending_.size() > kMostPending) pending_.clear();  // nobody reads; do not grow for ever
}

void SocketServer::flush() {
  while (client_.valid() && !pending_.empty()) {
    const ssize_t sent =
        ::send(client_.get(), pending_.data(), pending_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      pending_.erase(0, static_cast<std::size_t>(sent));
    } else if (errno != EINTR) {
      // The reading side sees the end of a connection and drops the client.
      if (errno != EAGAIN && errno != EWOULDBLOCK) pending_.clear();
      return;
    }
  }
}

}  // namespace dragoman
