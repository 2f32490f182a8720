// Character back ends that live on a host file descriptor.
#include "devices/character/host_character.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace dragoman {
namespace {

constexpr std::size_t kFlushSize = 4096;       // buffered output is written from this size on
constexpr std::size_t kMostPending = 1 << 20;  // more than this is discarded
constexpr std::size_t kWaitSize = kMostPending / 2;
constexpr int kWaitMs = 50;
// After poll() said that there is room, a write of this size does not block: pipes promise
// PIPE_BUF (4096), terminals a little over 256.
constexpr std::size_t kPipePiece = 4096;
constexpr std::size_t kTerminalPiece = 256;
constexpr std::size_t kReadPiece = 4096;

bool ready(int fd, short events, int timeout_ms) {
  pollfd entry{fd, events, 0};
  int result = 0;
  do {
    result = poll(&entry, 1, timeout_ms);
  } while (result < 0 && errno == EINTR);
  return result > 0;
}

/// write() for descriptors that may be pipes: a reader that went away gives EPIPE, but no signal.
ssize_t write_without_sigpipe(int fd, std::span<const u8> bytes) {
  sigset_t pipe_signal;
  sigset_t before;
  sigset_t pending;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  sigpending(&pending);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  const ssize_t written = ::write(fd, bytes.data(), bytes.size());
  const int cause = errno;
  if (written < 0 && cause == EPIPE && !sigismember(&pending, SIGPIPE)) {
    const timespec no_time{};
    while (sigtimedwait(&pipe_signal, nullptr, &no_time) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = cause;
  return written;
}

}  // namespace

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)) {}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

FileDescriptor::~FileDescriptor() { close(); }

void FileDescriptor::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

DescriptorCharacter::~DescriptorCharacter() = default;

void DescriptorCharacter::attach(int input, int output, bool is_socket) {
  input_ = input;
  output_ = output;
  is_socket_ = is_socket;
  is_terminal_ = output >= 0 && isatty(output);
  stalled_ = false;
}

void DescriptorCharacter::detach() {
  input_ = -1;
  output_ = -1;
  pending_.clear();
}

void DescriptorCharacter::input_ended() { input_ = -1; }

void DescriptorCharacter::output_failed() {
  output_ = -1;
  pending_.clear();
}

void DescriptorCharacter::send(std::span<const u8> bytes) {
  if (output_ < 0) return;
  if (pending_.size() + bytes.size() > kMostPending) {
    flush();
    if (output_ < 0 || pending_.size() + bytes.size() > kMostPending) return;
  }
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
  if (pending_.size() < kFlushSize) return;
  // With much pending, try only now and then: each try costs a system call.
  if (pending_.size() < 2 * kFlushSize || pending_.size() % kFlushSize < bytes.size()) flush();
  if (pending_.size() >= kWaitSize && !stalled_) wait_for_room();
}

void DescriptorCharacter::wait_for_room() {
  if (!ready(output_, POLLOUT, kWaitMs)) {
    stalled_ = true;
    return;
  }
  flush();
}

void DescriptorCharacter::flush() {
  std::size_t done = 0;
  while (output_ >= 0 && done < pending_.size()) {
    const std::size_t written = write_some(std::span<const u8>(pending_).subspan(done));
    if (written == 0) break;
    done += written;
  }
  // A failed output has emptied the buffer.
  done = std::min(done, pending_.size());
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(done));
}

std::size_t DescriptorCharacter::write_some(std::span<const u8> bytes) {
  ssize_t written = 0;
  do {
    if (is_socket_) {
      written = ::send(output_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    } else {
      if (!ready(output_, POLLOUT, 0)) return 0;
      const std::size_t piece = is_terminal_ ? kTerminalPiece : kPipePiece;
      written = write_without_sigpipe(output_, bytes.first(std::min(bytes.size(), piece)));
    }
  } while (written < 0 && errno == EINTR);
  if (written > 0) {
    stalled_ = false;
    return static_cast<std::size_t>(written);
  }
  if (written < 0 && errno != EAGAIN && errno != EWOULDBLOCK) output_failed();
  return 0;
}

void DescriptorCharacter::set_receiver(CharacterReceiver* receiver) { receiver_ = receiver; }

bool DescriptorCharacter::can_deliver() const {
  return receiver_ != nullptr && receiver_->can_receive() != 0;
}

int DescriptorCharacter::poll_fd() const { return input_ >= 0 ? input_ : output_; }

bool DescriptorCharacter::wants_read() const { return input_ >= 0 && can_deliver(); }

void DescriptorCharacter::receiver_ready() {
  if (!reading_ && wants_read()) on_readable();
}

void DescriptorCharacter::on_readable() {
  if (reading_ || !wants_read() || !ready(input_, POLLIN, 0)) return;
  std::array<u8, kReadPiece> buffer;
  const std::size_t room = std::min<std::size_t>(receiver_->can_receive(), buffer.size());
  ssize_t count = 0;
  do {
    count = is_socket_ ? ::recv(input_, buffer.data(), room, MSG_DONTWAIT)
                       : ::read(input_, buffer.data(), room);
  } while (count < 0 && errno == EINTR);
  if (count > 0) {
    reading_ = true;
    receiver_->receive({buffer.data(), static_cast<std::size_t>(count)});
    reading_ = false;
  } else if (count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
    input_ended();
  }
}

}  // namespace dragoman
