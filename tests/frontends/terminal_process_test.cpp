// `-display curses` on a pseudo terminal: the guest's screen appears, its keyboard works, Ctrl-A X
// leaves and the terminal is put back.
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <termios.h>

#include "tests/frontends/process.h"

namespace dragoman {
namespace {

/// Reads what the program shows until `text` appears, with escape sequences removed.
bool shows(int terminal, std::string& seen, const std::string& text) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(kHangSeconds);
  while (std::chrono::steady_clock::now() < deadline) {
    if (seen.find(text) != std::string::npos) return true;
    pollfd entry{terminal, POLLIN, 0};
    if (poll(&entry, 1, 100) <= 0) continue;
    char buffer[4096];
    const ssize_t count = read(terminal, buffer, sizeof(buffer));
    if (count <= 0) return false;
    bool escape = false;
    for (ssize_t i = 0; i < count; ++i) {
      if (buffer[i] == '\x1b') escape = true;
      if (!escape) seen += buffer[i];
      if (escape && std::isalpha(static_cast<unsigned char>(buffer[i]))) escape = false;
    }
  }
  return false;
}

TEST(TerminalDisplay, ShowsTheGuestAndTakesItsKeys) {
  int master = -1;
  winsize size{25, 80, 0, 0};
  const pid_t child = forkpty(&master, nullptr, nullptr, &size);
  ASSERT_GE(child, 0);
  if (child == 0) {
    unsetenv("DISPLAY");
    unsetenv("WAYLAND_DISPLAY");
    execl(DRAGOMAN_BINARY_DIR "/dragoman", "dragoman", "-m", "32", nullptr);  // curses by default
    _exit(127);
  }
  std::string seen;
  EXPECT_TRUE(shows(master, seen, "Dragoman")) << seen;
  EXPECT_TRUE(shows(master, seen, "> ")) << seen;
  termios raw{};
  tcgetattr(master, &raw);
  EXPECT_EQ(raw.c_lflag & ICANON, 0u);
  seen.clear();
  ASSERT_EQ(write(master, "1", 1), 1);
  EXPECT_TRUE(shows(master, seen, "CPU")) << seen;
  ASSERT_EQ(write(master, "\x01x", 2), 2);
  std::string rest;
  shows(master, rest, "nothing like this");  // empties the terminal until the program ends
  int status = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(kHangSeconds);
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) kill(child, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  close(master);
}

}  // namespace
}  // namespace dragoman
