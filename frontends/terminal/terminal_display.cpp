// The machine's text screen and keyboard on the terminal (`-display curses`).
#include "frontends/terminal/terminal_display.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <utility>

namespace dragoman {
namespace {

constexpr unsigned kEscapeUpdates = 3;  // about 50 ms without more input: ESC was the key
constexpr std::size_t kMostStrokes = 1024;

Size terminal_size() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
    return {80, 25};
  }
  return {size.ws_col, size.ws_row};
}

}  // namespace

TerminalDisplay::TerminalDisplay(HostCharacter& terminal, PcBoard& board,
                                 std::function<void()> quit)
    : terminal_(terminal),
      board_(board),
      keys_(std::move(quit)),
      watch_(*board.vga(), board.memory()) {
  terminal_.set_receiver(this);
  send(TerminalScreen::enter());
}

TerminalDisplay::~TerminalDisplay() {
  terminal_.set_receiver(nullptr);
  send(TerminalScreen::leave());
  terminal_.flush();
}

void TerminalDisplay::send(const std::string& text) {
  terminal_.send({reinterpret_cast<const u8*>(text.data()), text.size()});
}

void TerminalDisplay::update() {
  type();
  if (++quiet_updates_ >= kEscapeUpdates) keys_.pause();
  const Size size = terminal_size();
  const bool changed = watch_.take_change(board_.scheduler().now());
  if (terminal_.wants_write()) {
    size_ = {};  // the terminal is behind: draw later, whatever changes until then
    return;
  }
  if (!changed && size == size_) return;
  size_ = size;
  const VgaRenderer card = board_.vga()->renderer();
  const auto text = card.text_screen();
  send(text ? screen_.show_text(*text, size) : screen_.show_notice(card.size(), size));
  terminal_.flush();
}

unsigned TerminalDisplay::can_receive() { return kMostStrokes; }

void TerminalDisplay::receive(std::span<const u8> bytes) {
  quiet_updates_ = 0;
  keys_.feed(bytes);
  // A guest that does not read must not keep Ctrl-A X from coming through: the rest is lost.
  if (keys_.strokes().size() > kMostStrokes) keys_.strokes().resize(kMostStrokes);
  type();
}

/// A keyboard holds 16 bytes, so the next stroke waits until the guest has taken the last one.
void TerminalDisplay::type() {
  Ps2Keyboard& keyboard = board_.keyboard();
  while (!keys_.strokes().empty() && !keyboard.has_byte()) {
    const KeyStroke stroke = keys_.strokes().front();
    keys_.strokes().pop_front();
    if (stroke.control) keyboard.key(Key::kLeftCtrl, true);
    if (stroke.alt) keyboard.key(Key::kLeftAlt, true);
    if (stroke.shift) keyboard.key(Key::kLeftShift, true);
    keyboard.key(stroke.key, true);
    keyboard.key(stroke.key, false);
    if (stroke.shift) keyboard.key(Key::kLeftShift, false);
    if (stroke.alt) keyboard.key(Key::kLeftAlt, false);
    if (stroke.control) keyboard.key(Key::kLeftCtrl, false);
  }
}

}  // namespace dragoman
