// Raw mode of the terminal on standard input, restored however the process ends.
#include "devices/character/terminal_mode.h"

#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>

namespace dragoman {
namespace {

constexpr std::array kSignals = {SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGTERM};

// The one place with static state, because what it describes is one per process: signal handlers
// and atexit() functions get no argument, and the process has one controlling terminal. No machine
// reads it; a second TerminalMode at the same time stays inactive.
struct Saved {
  std::atomic<bool> claimed{false};
  std::atomic<bool> raw{false};
  bool exit_hook = false;
  int fd = -1;
  termios mode{};
  std::array<struct sigaction, kSignals.size()> actions{};
};
Saved saved;

void restore_terminal() {  // async-signal-safe
  if (saved.raw.exchange(false)) tcsetattr(saved.fd, TCSANOW, &saved.mode);
}

void on_signal(int number) {
  restore_terminal();
  // Go on with what the signal would have done without us.
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    if (kSignals[i] == number) sigaction(number, &saved.actions[i], nullptr);
  }
  raise(number);
}

}  // namespace

TerminalMode::TerminalMode(int fd) {
  if (!isatty(fd) || tcgetpgrp(fd) != getpgrp()) return;
  if (saved.claimed.exchange(true)) return;
  if (tcgetattr(fd, &saved.mode) != 0) {
    saved.claimed = false;
    return;
  }
  saved.fd = fd;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &saved.actions[i]);
    if (saved.actions[i].sa_handler != SIG_DFL) continue;  // ignored, or the program's own
    struct sigaction action {};
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    sigaction(kSignals[i], &action, nullptr);
  }
  if (!saved.exit_hook) saved.exit_hook = std::atexit(restore_terminal) == 0;
  termios mode = saved.mode;
  cfmakeraw(&mode);
  mode.c_oflag |= OPOST;  // our own messages end lines with a bare line feed
  saved.raw = true;
  tcsetattr(fd, TCSANOW, &mode);
  active_ = true;
}

TerminalMode::~TerminalMode() {
  if (!active_) return;
  restore_terminal();
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    struct sigaction current {};
    sigaction(kSignals[i], nullptr, &current);
    if (current.sa_handler == on_signal) sigaction(kSignals[i], &saved.actions[i], nullptr);
  }
  saved.claimed = false;
}

}  // namespace dragoman
