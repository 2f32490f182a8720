// From what a terminal sends (ASCII and ANSI escape sequences) to strokes on a PC keyboard.
#pragma once

#include <deque>
#include <functional>
#include <span>
#include <string>

#include "devices/ps2_keyboard.h"

namespace dragoman {

/// A key with the modifiers that are held while it is struck.
struct KeyStroke {
  Key key = Key::kEscape;
  bool shift = false;
  bool control = false;
  bool alt = false;
  bool operator==(const KeyStroke&) const = default;
};

/// Decodes a terminal's bytes. Ctrl-A is the program's own key: Ctrl-A x leaves, Ctrl-A Ctrl-A is
/// Ctrl-A for the guest.
class TerminalKeys {
 public:
  /// `quit` is called for Ctrl-A x.
  explicit TerminalKeys(std::function<void()> quit) : quit_(std::move(quit)) {}

  void feed(std::span<const u8> bytes);
  /// Nothing came for a while: a lone ESC is the Escape key and no longer begins a sequence.
  void pause();
  /// Bytes wait for the rest of their sequence.
  bool waits() const { return !sequence_.empty(); }

  /// Strokes decoded and not yet taken.
  std::deque<KeyStroke>& strokes() { return strokes_; }

 private:
  void byte(u8 value);
  bool escape_sequence();
  void plain(u8 value, bool alt);
  void add(Key key, unsigned modifiers);

  std::function<void()> quit_;
  std::deque<KeyStroke> strokes_;
  std::string sequence_;  ///< an unfinished escape sequence, with its ESC
  bool command_ = false;  ///< after Ctrl-A
};

}  // namespace dragoman
