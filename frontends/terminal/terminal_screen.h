// Draws a VGA text screen on an ANSI terminal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "devices/vga/vga_renderer.h"

namespace dragoman {

/// The character of code page 437 in UTF-8.
std::string_view utf8_of_cp437(u8 character);

/// Remembers what the terminal shows and gives the bytes that bring it up to date.
class TerminalScreen {
 public:
  /// Bytes to send once before and once after everything else.
  static std::string enter();
  static std::string leave();

  /// `terminal` is the size of the terminal in characters; of a larger screen it shows the rows
  /// around the cursor.
  std::string show_text(const TextScreen& screen, Size terminal);
  /// A notice in place of a graphics mode's picture.
  std::string show_notice(Size graphics, Size terminal);

 private:
  std::string begin(Size terminal);

  Size terminal_;
  Size notice_;
  unsigned columns_ = 0;
  unsigned rows_ = 0;
  std::vector<TextScreen::Cell> shown_;  ///< row by row, columns_ wide
};

}  // namespace dragoman
