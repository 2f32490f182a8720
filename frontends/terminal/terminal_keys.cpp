// From what a terminal sends (ASCII and ANSI escape sequences) to strokes on a PC keyboard.
// XTerm Control Sequences, "PC-Style Function Keys"; VT220 Programmer Reference Manual, chapter 3.
#include "frontends/terminal/terminal_keys.h"

#include <array>
#include <charconv>
#include <optional>
#include <string_view>

namespace dragoman {
namespace {

constexpr u8 kControlA = 0x01;
constexpr u8 kEscape = 0x1b;
constexpr std::size_t kLongestSequence = 16;

enum Modifier : unsigned { kShift = 1, kAlt = 2, kControl = 4 };  // xterm's parameter minus one

struct Character {
  Key key;
  bool shift;
};

/// The key of a printable ASCII character on the US layout.
std::optional<Character> key_of_character(u8 c) {
  constexpr std::array kLetters = {Key::kA, Key::kB, Key::kC, Key::kD, Key::kE, Key::kF, Key::kG,
                                   Key::kH, Key::kI, Key::kJ, Key::kK, Key::kL, Key::kM, Key::kN,
                                   Key::kO, Key::kP, Key::kQ, Key::kR, Key::kS, Key::kT, Key::kU,
                                   Key::kV, Key::kW, Key::kX, Key::kY, Key::kZ};
  constexpr std::string_view kPlain = "`1234567890-=[]\\;',./ ";
  constexpr std::string_view kShifted = "~!@#$%^&*()_+{}|:\"<>?";
  constexpr std::array kOthers = {
      Key::kGrave,     Key::k1,         Key::k2,     Key::k3,           Key::k4,
      Key::k5,         Key::k6,         Key::k7,     Key::k8,           Key::k9,
      Key::k0,         Key::kMinus,     Key::kEqual, Key::kLeftBracket, Key::kRightBracket,
      Key::kBackslash, Key::kSemicolon, Key::kQuote, Key::kComma,       Key::kPeriod,
      Key::kSlash,     Key::kSpace};
  if (c >= 'a' && c <= 'z') return Character{kLetters[c - 'a'], false};
  if (c >= 'A' && c <= 'Z') return Character{kLetters[c - 'A'], true};
  if (const auto at = kPlain.find(static_cast<char>(c)); at != std::string_view::npos) {
    return Character{kOthers[at], false};
  }
  if (const auto at = kShifted.find(static_cast<char>(c)); at != std::string_view::npos) {
    return Character{kOthers[at], true};
  }
  return std::nullopt;
}

std::optional<Key> key_of_letter(char final) {
  switch (final) {
    case 'A':
      return Key::kUp;
    case 'B':
      return Key::kDown;
    case 'C':
      return Key::kRight;
    case 'D':
      return Key::kLeft;
    case 'F':
      return Key::kEnd;
    case 'H':
      return Key::kHome;
    case 'P':
      return Key::kF1;
    case 'Q':
      return Key::kF2;
    case 'R':
      return Key::kF3;
    case 'S':
      return Key::kF4;
    case 'M':
      return Key::kPadEnter;
    default:
      return std::nullopt;
  }
}

/// Keys of "CSI number ~".
std::optional<Key> key_of_number(unsigned number) {
  constexpr std::pair<unsigned, Key> kKeys[] = {
      {1, Key::kHome},   {2, Key::kInsert},       {3, Key::kDelete}, {4, Key::kEnd},
      {5, Key::kPageUp}, {6, Key::kPageDown},     {7, Key::kHome},   {8, Key::kEnd},
      {11, Key::kF1},    {12, Key::kF2},          {13, Key::kF3},    {14, Key::kF4},
      {15, Key::kF5},    {17, Key::kF6},          {18, Key::kF7},    {19, Key::kF8},
      {20, Key::kF9},    {21, Key::kF10},         {23, Key::kF11},   {24, Key::kF12},
      {29, Key::kMenu},  {32, Key::kPrintScreen}, {34, Key::kPause}};
  for (const auto& [n, key] : kKeys) {
    if (n == number) return key;
  }
  return std::nullopt;
}

}  // namespace

void TerminalKeys::feed(std::span<const u8> bytes) {
  for (const u8 value : bytes) byte(value);
}

void TerminalKeys::pause() {
  if (sequence_.empty()) return;
  const std::string rest = std::move(sequence_);
  sequence_.clear();
  add(Key::kEscape, 0);
  for (std::size_t i = 1; i < rest.size(); ++i) plain(static_cast<u8>(rest[i]), false);
}

void TerminalKeys::byte(u8 value) {
  if (!sequence_.empty()) {
    if (value == kEscape && sequence_.size() == 1) {
      add(Key::kEscape, 0);  // ESC ESC: the first one was the key
      return;
    }
    sequence_ += static_cast<char>(value);
    if (escape_sequence() || sequence_.size() >= kLongestSequence) sequence_.clear();
    return;
  }
  if (command_) {
    command_ = false;
    if (value == 'x' || value == 'X') {
      quit_();
    } else if (value == kControlA) {
      plain(value, false);
    }
    return;
  }
  if (value == kControlA) {
    command_ = true;
  } else if (value == kEscape) {
    sequence_ = static_cast<char>(value);
  } else {
    plain(value, false);
  }
}

/// True when `sequence_` is complete, known or not.
bool TerminalKeys::escape_sequence() {
  const std::string_view text = sequence_;
  const char second = text[1];
  if (second != '[' && second != 'O') {
    plain(static_cast<u8>(second), true);
    return true;
  }
  if (text.size() < 3) return false;
  const char last = text.back();
  if (second == '[' && text[2] == '[') {  // Linux console: ESC [ [ A is F1
    if (text.size() < 4) return false;
    constexpr std::array kFunction = {Key::kF1, Key::kF2, Key::kF3, Key::kF4, Key::kF5};
    if (last >= 'A' && last <= 'E') add(kFunction[static_cast<std::size_t>(last - 'A')], 0);
    return true;
  }
  if (last < 0x40 || last > 0x7e) return false;  // parameters go on
  unsigned first = 0;
  unsigned modifier = 1;
  const char* const end = text.data() + text.size() - 1;
  auto parsed = std::from_chars(text.data() + 2, end, first);
  if (parsed.ptr < end && *parsed.ptr == ';') std::from_chars(parsed.ptr + 1, end, modifier);
  const unsigned modifiers = modifier == 0 ? 0 : (modifier - 1) & (kShift | kAlt | kControl);
  if (last == 'Z') {
    add(Key::kTab, kShift);
  } else if (last == '~') {
    if (const auto key = key_of_number(first)) add(*key, modifiers);
  } else if (const auto key = key_of_letter(last)) {
    add(*key, modifiers);
  }
  return true;
}

void TerminalKeys::plain(u8 value, bool alt) {
  const unsigned held = alt ? unsigned{kAlt} : 0u;
  switch (value) {
    case '\r':
    case '\n':
      return add(Key::kEnter, held);
    case '\t':
      return add(Key::kTab, held);
    case 0x08:
    case 0x7f:
      return add(Key::kBackspace, held);
    case kEscape:
      return add(Key::kEscape, held);
    case 0:
      return add(Key::kSpace, held | kControl);
    default:
      break;
  }
  if (value < 0x20) {  // Ctrl with a letter or one of [ \ ] ^ _
    const u8 base = static_cast<u8>(value + 0x40);
    const auto key =
        key_of_character(base >= 'A' && base <= 'Z' ? static_cast<u8>(base + 32) : base);
    if (key) add(key->key, held | kControl | (key->shift ? unsigned{kShift} : 0u));
    return;
  }
  if (const auto key = key_of_character(value)) {
    add(key->key, held | (key->shift ? unsigned{kShift} : 0u));
  }
}

void TerminalKeys::add(Key key, unsigned modifiers) {
  strokes_.push_back(
      {key, (modifiers & kShift) != 0, (modifiers & kControl) != 0, (modifiers & kAlt) != 0});
}

}  // namespace dragoman
