// Character back ends that live on a host file descriptor.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/poll_source.h"
#include "base/types.h"
#include "devices/character.h"

namespace dragoman {

/// What open_character() gives: a back end, its poll source, and a way to empty its buffer.
class HostCharacter : public CharacterBackend, public PollSource {
 public:
  /// Passes buffered output on to the host as far as it takes it without waiting. The poll loop
  /// calls this when the guest is idle and after every round.
  virtual void flush() {}
  /// Blocks until the peer is there, for back ends that were asked to wait for it.
  virtual void wait_for_peer() {}
};

/// Owns a host file descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept;
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  void close();

 private:
  int fd_ = -1;
};

/// Everything that reads and writes a descriptor: output is collected and written in large
/// pieces; input is read only as far as the receiver takes it. A peer that went away is not an
/// error: output to it is discarded.
class DescriptorCharacter : public HostCharacter {
 public:
  ~DescriptorCharacter() override;

  void send(std::span<const u8> bytes) override;
  void set_receiver(CharacterReceiver* receiver) override;
  void receiver_ready() override;
  void flush() override;

  int poll_fd() const override;
  bool wants_read() const override;
  bool wants_write() const override { return !pending_.empty(); }
  void on_readable() override;
  void on_writable() override { flush(); }

 protected:
  DescriptorCharacter() = default;

  /// Gives the descriptors (either may be -1). With `is_socket`, they are used with send/recv.
  void attach(int input, int output, bool is_socket = false);
  /// Stops using them; buffered output is lost.
  void detach();
  /// The peer closed the connection or the file came to its end.
  virtual void input_ended();
  virtual void output_failed();
  bool can_deliver() const;

 private:
  /// Writes a piece of `bytes` and tells how much; 0 when the host takes nothing now.
  std::size_t write_some(std::span<const u8> bytes);
  void wait_for_room();

  int input_ = -1;
  int output_ = -1;
  bool is_socket_ = false;
  bool is_terminal_ = false;
  bool stalled_ = false;  ///< the host took nothing for a long time: do not wait for it again
  bool reading_ = false;  ///< guards against receiver_ready() from within receive()
  CharacterReceiver* receiver_ = nullptr;
  std::vector<u8> pending_;
};

}  // namespace dragoman
