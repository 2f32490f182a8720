// Draws a VGA text screen on an ANSI terminal.
// ECMA-48 (cursor position, graphic rendition); bright colours as in xterm.
#include "frontends/terminal/terminal_screen.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace dragoman {
namespace {

// Code page 437 with the pictures the VGA shows for control characters.
constexpr std::array<std::string_view, 256> kCodePage437 = {
    " ", "☺", "☻", "♥", "♦", "♣", "♠", "•", "◘", "○", "◙", "♂", "♀", "♪", "♫", "☼",  "►",  "◄", "↕",
    "‼", "¶", "§", "▬", "↨", "↑", "↓", "→", "←", "∟", "↔", "▲", "▼", " ", "!", "\"", "#",  "$", "%",
    "&", "'", "(", ")", "*", "+", ",", "-", ".", "/", "0", "1", "2", "3", "4", "5",  "6",  "7", "8",
    "9", ":", ";", "<", "=", ">", "?", "@", "A", "B", "C", "D", "E", "F", "G", "H",  "I",  "J", "K",
    "L", "M", "N", "O", "P", "Q", "R", "S", "T", "U", "V", "W", "X", "Y", "Z", "[",  "\\", "]", "^",
    "_", "`", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n",  "o",  "p", "q",
    "r", "s", "t", "u", "v", "w", "x", "y", "z", "{", "|", "}", "~", "⌂", "Ç", "ü",  "é",  "â", "ä",
    "à", "å", "ç", "ê", "ë", "è", "ï", "î", "ì", "Ä", "Å", "É", "æ", "Æ", "ô", "ö",  "ò",  "û", "ù",
    "ÿ", "Ö", "Ü", "¢", "£", "¥", "₧", "ƒ", "á", "í", "ó", "ú", "ñ", "Ñ", "ª", "º",  "¿",  "⌐", "¬",
    "½", "¼", "¡", "«", "»", "░", "▒", "▓", "│", "┤", "╡", "╢", "╖", "╕", "╣", "║",  "╗",  "╝", "╜",
    "╛", "┐", "└", "┴", "┬", "├", "─", "┼", "╞", "╟", "╚", "╔", "╩", "╦", "╠", "═",  "╬",  "╧", "╨",
    "╤", "╥", "╙", "╘", "╒", "╓", "╫", "╪", "┘", "┌", "█", "▄", "▌", "▐", "▀", "α",  "ß",  "Γ", "π",
    "Σ", "σ", "µ", "τ", "Φ", "Θ", "Ω", "δ", "∞", "φ", "ε", "∩", "≡", "±", "≥", "≤",  "⌠",  "⌡", "÷",
    "≈", "°", "∙", "·", "√", "ⁿ", "²", "■", " "};

/// VGA counts blue 1, red 4; ANSI red 1, blue 4.
unsigned ansi_colour(unsigned vga) { return (vga & 1) << 2 | (vga & 2) | (vga >> 2 & 1); }

void append_rendition(std::string& out, u8 attribute) {
  const unsigned foreground = ansi_colour(attribute & 7) + ((attribute & 8) ? 90 : 30);
  const unsigned background = ansi_colour(attribute >> 4 & 7) + 40;
  fmt::format_to(std::back_inserter(out), "\x1b[0;{};{}{}m", foreground, background,
                 (attribute & 0x80) ? ";5" : "");
}

}  // namespace

std::string_view utf8_of_cp437(u8 character) { return kCodePage437[character]; }

std::string TerminalScreen::enter() { return "\x1b[?1049h\x1b[0m\x1b[2J\x1b[?25l"; }
std::string TerminalScreen::leave() { return "\x1b[0m\x1b[?25h\x1b[?1049l"; }

std::string TerminalScreen::begin(Size terminal) {
  terminal_ = terminal;
  shown_.clear();
  notice_ = {};
  return "\x1b[0m\x1b[2J\x1b[?25l";
}

std::string TerminalScreen::show_text(const TextScreen& screen, Size terminal) {
  std::string out;
  const unsigned columns = std::min(screen.columns, terminal.width);
  const unsigned rows = std::min(screen.rows, terminal.height);
  const unsigned first_row =
      screen.cursor_row >= rows ? std::min(screen.cursor_row + 1, screen.rows) - rows : 0;
  if (terminal != terminal_ || notice_ != Size{} || columns != columns_ || rows != rows_ ||
      shown_.empty()) {
    out = begin(terminal);
    columns_ = columns;
    rows_ = rows;
  }
  const bool all = shown_.empty();
  shown_.resize(u64{columns} * rows);
  int attribute = -1;
  for (unsigned row = 0; row < rows; ++row) {
    bool at_place = false;  // the terminal's cursor is where the next character goes
    for (unsigned column = 0; column < columns; ++column) {
      const TextScreen::Cell& cell = screen.at(column, row + first_row);
      TextScreen::Cell& old = shown_[u64{row} * columns + column];
      if (!all && cell.character == old.character && cell.attribute == old.attribute) {
        at_place = false;
        continue;
      }
      old = cell;
      if (!at_place) {
        fmt::format_to(std::back_inserter(out), "\x1b[{};{}H", row + 1, column + 1);
        at_place = true;
      }
      if (attribute != cell.attribute) {
        attribute = cell.attribute;
        append_rendition(out, cell.attribute);
      }
      out += kCodePage437[cell.character];
    }
  }
  if (screen.cursor_visible && screen.cursor_column < columns && screen.cursor_row >= first_row &&
      screen.cursor_row - first_row < rows) {
    fmt::format_to(std::back_inserter(out), "\x1b[{};{}H\x1b[?25h",
                   screen.cursor_row - first_row + 1, screen.cursor_column + 1);
  } else {
    out += "\x1b[?25l";
  }
  return out;
}

std::string TerminalScreen::show_notice(Size graphics, Size terminal) {
  if (notice_ == graphics && terminal == terminal_) return {};
  std::string out = begin(terminal);
  notice_ = graphics;
  fmt::format_to(std::back_inserter(out),
                 "\x1b[1;1H{} x {} pixels of graphics; a window (-display sdl) shows them.\r\n"
                 "Ctrl-A X leaves.",
                 graphics.width, graphics.height);
  return out;
}

}  // namespace dragoman
