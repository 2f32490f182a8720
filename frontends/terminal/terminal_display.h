// The machine's text screen and keyboard on the terminal (`-display curses`).
#pragma once

#include <deque>
#include <functional>
#include <optional>

#include "devices/character.h"
#include "devices/character/host_character.h"
#include "frontends/screen_watch.h"
#include "frontends/terminal/terminal_keys.h"
#include "frontends/terminal/terminal_screen.h"
#include "machine/pc_board.h"

namespace dragoman {

class TerminalDisplay : public CharacterReceiver {
 public:
  /// `terminal` and the board, which has a VGA card, outlive the display. `quit` is called for
  /// Ctrl-A x.
  TerminalDisplay(HostCharacter& terminal, PcBoard& board, std::function<void()> quit);
  ~TerminalDisplay() override;
  TerminalDisplay(const TerminalDisplay&) = delete;
  TerminalDisplay& operator=(const TerminalDisplay&) = delete;

  /// Shows the screen if it changed and types what waits. Called about every 16 ms.
  void update();

  unsigned can_receive() override;
  void receive(std::span<const u8> bytes) override;

 private:
  void send(const std::string& text);
  void type();

  HostCharacter& terminal_;
  PcBoard& board_;
  TerminalKeys keys_;
  TerminalScreen screen_;
  ScreenWatch watch_;
  Size size_;
  unsigned quiet_updates_ = 0;  ///< since the last input
};

}  // namespace dragoman
