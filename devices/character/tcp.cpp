// TCP ends of serial ports and consoles.
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "devices/character/backends.h"

namespace dragoman {

Result<std::unique_ptr<TcpCharacter>> TcpCharacter::open(const Options& options) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = options.server ? AI_PASSIVE : 0;
  addrinfo* found = nullptr;
  const std::string host = options.host.empty() ? "127.0.0.1" : options.host;
  if (const int code = getaddrinfo(host.c_str(), options.port.c_str(), &hints, &found); code != 0) {
    return error("cannot resolve '{}' port '{}': {}; write tcp:HOST:PORT", host, options.port,
                 gai_strerror(code));
  }
  std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, freeaddrinfo);

  auto character = std::unique_ptr<TcpCharacter>(new TcpCharacter);
  int cause = 0;
  for (const addrinfo* a = addresses.get(); a != nullptr; a = a->ai_next) {
    FileDescriptor fd(::socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol));
    if (!fd.valid()) {
      cause = errno;
      continue;
    }
    const int on = 1;
    if (options.server) {
      setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
      if (::bind(fd.get(), a->ai_addr, a->ai_addrlen) == 0 && ::listen(fd.get(), 1) == 0) {
        character->listener_ = std::move(fd);
        character->wait_ = options.wait;
        return character;
      }
    } else if (::connect(fd.get(), a->ai_addr, a->ai_addrlen) == 0) {
      setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      character->connection_ = std::move(fd);
      character->attach(character->connection_.get(), character->connection_.get(), true);
      return character;
    }
    cause = errno;
  }
  if (options.server) {
    return error("cannot listen on {}:{}: {}; choose another port", host, options.port,
                 std::strerror(cause));
  }
  return error("cannot connect to {}:{}: {}; start the listener first or add ,server", host,
               options.port, std::strerror(cause));
}

TcpCharacter::~TcpCharacter() { flush(); }

unsigned TcpCharacter::local_port() const {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  const int fd = listener_.valid() ? listener_.get() : connection_.get();
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  // sin_port and sin6_port lie at the same place.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

void TcpCharacter::wait_for_peer() {
  while (wait_ && listener_.valid() && !connected()) {
    pollfd entry{listener_.get(), POLLIN, 0};
    if (poll(&entry, 1, -1) < 0 && errno != EINTR) return;
    accept_client();
  }
}

void TcpCharacter::accept_client() {
  pollfd entry{listener_.get(), POLLIN, 0};
  if (poll(&entry, 1, 0) <= 0) return;
  FileDescriptor client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!client.valid()) return;  // it left again, or a signal came: the loop will call again
  const int on = 1;
  setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  connection_ = std::move(client);
  attach(connection_.get(), connection_.get(), true);
}

int TcpCharacter::poll_fd() const { return connected() ? connection_.get() : listener_.get(); }

bool TcpCharacter::wants_read() const {
  return connected() ? DescriptorCharacter::wants_read() : listener_.valid();
}

void TcpCharacter::on_readable() {
  if (connected()) {
    DescriptorCharacter::on_readable();
  } else if (listener_.valid()) {
    accept_client();
  }
}

void TcpCharacter::input_ended() {
  detach();
  connection_.close();
}

void TcpCharacter::output_failed() { input_ended(); }

}  // namespace dragoman
