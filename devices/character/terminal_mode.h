// Raw mode of the terminal on standard input, restored however the process ends.
#pragma once

namespace dragoman {

/// Switches the terminal `fd` to raw mode while it lives. Does nothing when `fd` is no terminal,
/// when the process is in the background, or when another TerminalMode is active.
class TerminalMode {
 public:
  explicit TerminalMode(int fd);
  ~TerminalMode();
  TerminalMode(const TerminalMode&) = delete;
  TerminalMode& operator=(const TerminalMode&) = delete;

  bool active() const { return active_; }

 private:
  bool active_ = false;
};

}  // namespace dragoman
