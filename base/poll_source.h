// Something with a host file descriptor that the program's poll loop watches.
#pragma once

namespace dragoman {

/// The loop asks for the descriptor and the wishes before every poll(), because both change, and
/// calls on_readable() / on_writable() under the machine's lock. Neither ever blocks; calling them
/// when nothing is ready is harmless. A source that wants neither to read nor to write is left out
/// of poll(), which would otherwise report a closed peer over and over.
class PollSource {
 public:
  virtual ~PollSource() = default;
  /// The descriptor to watch, or -1 when there is nothing to watch now.
  virtual int poll_fd() const = 0;
  /// Watch for input (POLLIN).
  virtual bool wants_read() const { return true; }
  /// Watch for room for output (POLLOUT).
  virtual bool wants_write() const { return false; }
  virtual void on_readable() = 0;
  virtual void on_writable() {}
};

}  // namespace dragoman
