// The host ends of serial ports and consoles, except TCP.
#include "devices/character/backends.h"

#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace dragoman {

Result<std::unique_ptr<HostCharacter>> FileCharacter::open(const std::string& path) {
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!file.valid()) {
    return error("cannot write '{}': {}; choose another path in file:PATH", path,
                 std::strerror(errno));
  }
  return std::unique_ptr<HostCharacter>(new FileCharacter(std::move(file)));
}

FileCharacter::FileCharacter(FileDescriptor file) : file_(std::move(file)) {
  attach(-1, file_.get());
}

FileCharacter::~FileCharacter() { flush(); }

StdioCharacter::StdioCharacter() : terminal_(STDIN_FILENO) { attach(STDIN_FILENO, STDOUT_FILENO); }

StdioCharacter::~StdioCharacter() { flush(); }

Result<std::unique_ptr<HostCharacter>> PtyCharacter::open(std::string& slave_name) {
  FileDescriptor master(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  std::array<char, 128> name{};
  if (!master.valid() || grantpt(master.get()) != 0 || unlockpt(master.get()) != 0 ||
      ptsname_r(master.get(), name.data(), name.size()) != 0) {
    return error("cannot make a pseudo terminal: {}; use stdio or tcp:... instead of pty",
                 std::strerror(errno));
  }
  FileDescriptor slave(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  termios mode{};
  if (!slave.valid() || tcgetattr(slave.get(), &mode) != 0) {
    return error("cannot open the pseudo terminal '{}': {}; use stdio or tcp:... instead of pty",
                 name.data(), std::strerror(errno));
  }
  cfmakeraw(&mode);
  tcsetattr(slave.get(), TCSANOW, &mode);
  slave_name = name.data();
  return std::unique_ptr<HostCharacter>(new PtyCharacter(std::move(master), std::move(slave)));
}

PtyCharacter::PtyCharacter(FileDescriptor master, FileDescriptor slave)
    : master_(std::move(master)), slave_(std::move(slave)) {
  attach(master_.get(), master_.get());
}

PtyCharacter::~PtyCharacter() { flush(); }

void MemoryCharacter::send(std::span<const u8> bytes) {
  output_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void MemoryCharacter::set_receiver(CharacterReceiver* receiver) {
  receiver_ = receiver;
  receiver_ready();
}

std::string MemoryCharacter::take_output() { return std::exchange(output_, {}); }

void MemoryCharacter::inject(std::string_view bytes) {
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  receiver_ready();
}

void MemoryCharacter::receiver_ready() {
  if (delivering_ || receiver_ == nullptr) return;
  delivering_ = true;
  while (!input_.empty()) {
    const std::size_t room = std::min<std::size_t>(receiver_->can_receive(), input_.size());
    if (room == 0) break;
    const std::vector<u8> piece(input_.begin(), input_.begin() + static_cast<long>(room));
    input_.erase(input_.begin(), input_.begin() + static_cast<long>(room));
    receiver_->receive(piece);
  }
  delivering_ = false;
}

}  // namespace dragoman
