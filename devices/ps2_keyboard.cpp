// IBM PS/2 keyboard.
// Document: IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-Key)".
#include "devices/ps2_keyboard.h"

#include <optional>

namespace dragoman {

namespace {

constexpr u8 kAck = 0xfa;
constexpr u8 kResend = 0xfe;
constexpr u8 kBatOk = 0xaa;
constexpr u64 kTypingNs = 10'000'000;  // between the strokes of type_text

/// Codes of a key: sets 1 and 2 with E0h in front when `extended`, set 3 always one byte.
struct KeyCodes {
  u8 set1;
  u8 set2;
  u8 set3;
  bool extended;
};

constexpr std::array<KeyCodes, static_cast<std::size_t>(Key::kCount)> kCodes{{
    // Escape, F1..F12
    {0x01, 0x76, 0x08, false},
    {0x3b, 0x05, 0x07, false},
    {0x3c, 0x06, 0x0f, false},
    {0x3d, 0x04, 0x17, false},
    {0x3e, 0x0c, 0x1f, false},
    {0x3f, 0x03, 0x27, false},
    {0x40, 0x0b, 0x2f, false},
    {0x41, 0x83, 0x37, false},
    {0x42, 0x0a, 0x3f, false},
    {0x43, 0x01, 0x47, false},
    {0x44, 0x09, 0x4f, false},
    {0x57, 0x78, 0x56, false},
    {0x58, 0x07, 0x5e, false},
    // PrintScreen, ScrollLock, Pause
    {0x37, 0x7c, 0x57, true},
    {0x46, 0x7e, 0x5f, false},
    {0x45, 0x77, 0x62, false},
    // ` 1..0 - = Backspace
    {0x29, 0x0e, 0x0e, false},
    {0x02, 0x16, 0x16, false},
    {0x03, 0x1e, 0x1e, false},
    {0x04, 0x26, 0x26, false},
    {0x05, 0x25, 0x25, false},
    {0x06, 0x2e, 0x2e, false},
    {0x07, 0x36, 0x36, false},
    {0x08, 0x3d, 0x3d, false},
    {0x09, 0x3e, 0x3e, false},
    {0x0a, 0x46, 0x46, false},
    {0x0b, 0x45, 0x45, false},
    {0x0c, 0x4e, 0x4e, false},
    {0x0d, 0x55, 0x55, false},
    {0x0e, 0x66, 0x66, false},
    // Tab Q..P [ ] backslash
    {0x0f, 0x0d, 0x0d, false},
    {0x10, 0x15, 0x15, false},
    {0x11, 0x1d, 0x1d, false},
    {0x12, 0x24, 0x24, false},
    {0x13, 0x2d, 0x2d, false},
    {0x14, 0x2c, 0x2c, false},
    {0x15, 0x35, 0x35, false},
    {0x16, 0x3c, 0x3c, false},
    {0x17, 0x43, 0x43, false},
    {0x18, 0x44, 0x44, false},
    {0x19, 0x4d, 0x4d, false},
    {0x1a, 0x54, 0x54, false},
    {0x1b, 0x5b, 0x5b, false},
    {0x2b, 0x5d, 0x5c, false},
    // CapsLock A..L ; ' Enter
    {0x3a, 0x58, 0x14, false},
    {0x1e, 0x1c, 0x1c, false},
    {0x1f, 0x1b, 0x1b, false},
    {0x20, 0x23, 0x23, false},
    {0x21, 0x2b, 0x2b, false},
    {0x22, 0x34, 0x34, false},
    {0x23, 0x33, 0x33, false},
    {0x24, 0x3b, 0x3b, false},
    {0x25, 0x42, 0x42, false},
    {0x26, 0x4b, 0x4b, false},
    {0x27, 0x4c, 0x4c, false},
    {0x28, 0x52, 0x52, false},
    {0x1c, 0x5a, 0x5a, false},
    // LeftShift 102nd Z..M , . / RightShift
    {0x2a, 0x12, 0x12, false},
    {0x56, 0x61, 0x13, false},
    {0x2c, 0x1a, 0x1a, false},
    {0x2d, 0x22, 0x22, false},
    {0x2e, 0x21, 0x21, false},
    {0x2f, 0x2a, 0x2a, false},
    {0x30, 0x32, 0x32, false},
    {0x31, 0x31, 0x31, false},
    {0x32, 0x3a, 0x3a, false},
    {0x33, 0x41, 0x41, false},
    {0x34, 0x49, 0x49, false},
    {0x35, 0x4a, 0x4a, false},
    {0x36, 0x59, 0x59, false},
    // LeftCtrl LeftSuper LeftAlt Space RightAlt RightSuper Menu RightCtrl
    {0x1d, 0x14, 0x11, false},
    {0x5b, 0x1f, 0x8b, true},
    {0x38, 0x11, 0x19, false},
    {0x39, 0x29, 0x29, false},
    {0x38, 0x11, 0x39, true},
    {0x5c, 0x27, 0x8c, true},
    {0x5d, 0x2f, 0x8d, true},
    {0x1d, 0x14, 0x58, true},
    // Insert Home PageUp Delete End PageDown Up Left Down Right
    {0x52, 0x70, 0x67, true},
    {0x47, 0x6c, 0x6e, true},
    {0x49, 0x7d, 0x6f, true},
    {0x53, 0x71, 0x64, true},
    {0x4f, 0x69, 0x65, true},
    {0x51, 0x7a, 0x6d, true},
    {0x48, 0x75, 0x63, true},
    {0x4b, 0x6b, 0x61, true},
    {0x50, 0x72, 0x60, true},
    {0x4d, 0x74, 0x6a, true},
    // Keypad: NumLock / * - + Enter . 0..9
    {0x45, 0x77, 0x76, false},
    {0x35, 0x4a, 0x77, true},
    {0x37, 0x7c, 0x7e, false},
    {0x4a, 0x7b, 0x84, false},
    {0x4e, 0x79, 0x7c, false},
    {0x1c, 0x5a, 0x79, true},
    {0x53, 0x71, 0x71, false},
    {0x52, 0x70, 0x70, false},
    {0x4f, 0x69, 0x69, false},
    {0x50, 0x72, 0x72, false},
    {0x51, 0x7a, 0x7a, false},
    {0x4b, 0x6b, 0x6b, false},
    {0x4c, 0x73, 0x73, false},
    {0x4d, 0x74, 0x74, false},
    {0x47, 0x6c, 0x6c, false},
    {0x48, 0x75, 0x75, false},
    {0x49, 0x7d, 0x7d, false},
}};

enum KeyType : u8 { kTypematic = 0, kMakeBreak = 1, kMakeOnly = 2, kAllTypes = 3 };

/// Set 3 defaults: modifiers are make/break, keys left of the typing area and the locks make
/// only, the rest typematic.
KeyType default_type(u8 set3) {
  switch (set3) {
    case 0x12:
    case 0x59:
    case 0x11:
    case 0x19:
    case 0x14:
      return kMakeBreak;
    case 0x08:
    case 0x07:
    case 0x0f:
    case 0x17:
    case 0x1f:
    case 0x27:
    case 0x2f:
    case 0x37:
    case 0x3f:
    case 0x47:
    case 0x4f:
    case 0x56:
    case 0x5e:
    case 0x57:
    case 0x5f:
    case 0x62:
    case 0x39:
    case 0x58:
    case 0x67:
    case 0x6e:
    case 0x6f:
    case 0x65:
    case 0x6d:
    case 0x76:
    case 0x77:
    case 0x7e:
    case 0x84:
    case 0x79:
    case 0x71:
    case 0x70:
    case 0x69:
    case 0x72:
    case 0x7a:
    case 0x6b:
    case 0x73:
    case 0x74:
    case 0x6c:
    case 0x75:
    case 0x7d:
      return kMakeOnly;
    default:
      return kTypematic;
  }
}

struct TypedKey {
  Key key;
  bool shift;
};

std::optional<TypedKey> key_of(char c) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz";
  constexpr std::array<Key, 26> kLetterKeys{
      Key::kA, Key::kB, Key::kC, Key::kD, Key::kE, Key::kF, Key::kG, Key::kH, Key::kI,
      Key::kJ, Key::kK, Key::kL, Key::kM, Key::kN, Key::kO, Key::kP, Key::kQ, Key::kR,
      Key::kS, Key::kT, Key::kU, Key::kV, Key::kW, Key::kX, Key::kY, Key::kZ};
  if (const auto i = kLetters.find(c); i != kLetters.npos) return TypedKey{kLetterKeys[i], false};
  if (c >= 'A' && c <= 'Z') return TypedKey{kLetterKeys[static_cast<u8>(c - 'A')], true};
  constexpr std::string_view kPlain = "`1234567890-=[]\\;',./ \n\t\b\x1b\r";
  constexpr std::string_view kShifted = "~!@#$%^&*()_+{}|:\"<>?";
  constexpr std::array<Key, 27> kKeys{
      Key::kGrave,     Key::k1,         Key::k2,     Key::k3,           Key::k4,
      Key::k5,         Key::k6,         Key::k7,     Key::k8,           Key::k9,
      Key::k0,         Key::kMinus,     Key::kEqual, Key::kLeftBracket, Key::kRightBracket,
      Key::kBackslash, Key::kSemicolon, Key::kQuote, Key::kComma,       Key::kPeriod,
      Key::kSlash,     Key::kSpace,     Key::kEnter, Key::kTab,         Key::kBackspace,
      Key::kEscape,    Key::kEnter};
  static_assert(kPlain.size() == kKeys.size());
  if (const auto i = kPlain.find(c); i != kPlain.npos) return TypedKey{kKeys[i], false};
  if (const auto i = kShifted.find(c); i != kShifted.npos) return TypedKey{kKeys[i], true};
  return std::nullopt;
}

}  // namespace

Ps2Keyboard::Ps2Keyboard(Scheduler& scheduler, Log& log)
    : StatefulDevice("ps2_keyboard"),
      log_(log),
      typing_timer_(scheduler, "ps2_keyboard typing", [this] { type_next(); }) {
  set_defaults();
}

void Ps2Keyboard::reset() {
  state_ = Ps2KeyboardState{};
  set_defaults();
}

void Ps2Keyboard::restored() {
  state_.queue.repair();
  state_.answers.repair();
  if (state_.scan_set < 1 || state_.scan_set > 3) state_.scan_set = 2;
  announce();
}

void Ps2Keyboard::set_defaults() {
  state_.queue.clear();
  state_.overrun = false;
  state_.typematic = 0x2b;
  for (unsigned code = 0; code < 256; ++code) {
    state_.key_type[code] = default_type(static_cast<u8>(code));
  }
}

u8 Ps2Keyboard::take_byte() {
  u8 value = 0;
  if (state_.answers.count != 0) {
    value = state_.answers.pop();
  } else {
    value = state_.queue.pop();
    if (state_.queue.count == 0) state_.overrun = false;
  }
  state_.last_sent = value;
  return value;
}

void Ps2Keyboard::send_code(std::span<const u8> bytes) {
  if (state_.overrun) return;
  // The overrun code takes the last place; a code is never cut in two.
  if (state_.queue.room() < bytes.size() + 1) {
    state_.queue.push(state_.scan_set == 1 ? 0xff : 0x00);
    state_.overrun = true;
  } else {
    for (const u8 byte : bytes) state_.queue.push(byte);
  }
  announce();
}

void Ps2Keyboard::send_special(Key which, bool pressed) {
  const bool set1 = state_.scan_set == 1;
  const bool ctrl = down(Key::kLeftCtrl) || down(Key::kRightCtrl);
  if (which == Key::kPause) {  // sends everything when pressed and nothing when released
    if (!pressed) return;
    static constexpr std::array<u8, 6> kPause1{0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
    static constexpr std::array<u8, 8> kPause2{0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};
    static constexpr std::array<u8, 4> kBreak1{0xe0, 0x46, 0xe0, 0xc6};
    static constexpr std::array<u8, 5> kBreak2{0xe0, 0x7e, 0xe0, 0xf0, 0x7e};
    if (ctrl) {
      set1 ? send_code(kBreak1) : send_code(kBreak2);
    } else {
      set1 ? send_code(kPause1) : send_code(kPause2);
    }
    return;
  }
  // Print Screen: with Alt it is SysRq, with Ctrl or Shift it loses its own fake shift.
  const bool alt = down(Key::kLeftAlt) || down(Key::kRightAlt);
  const bool shift = down(Key::kLeftShift) || down(Key::kRightShift);
  std::array<u8, 6> code{};
  std::size_t size = 0;
  const auto add = [&](bool extended, u8 first, u8 second) {
    if (extended) code[size++] = 0xe0;
    if (!pressed && !set1) code[size++] = 0xf0;
    const u8 value = set1 ? first : second;
    code[size++] = !pressed && set1 ? value | 0x80 : value;
  };
  if (alt) {
    add(false, 0x54, 0x84);
  } else if (ctrl || shift) {
    add(true, 0x37, 0x7c);
  } else if (pressed) {
    add(true, 0x2a, 0x12);
    add(true, 0x37, 0x7c);
  } else {
    add(true, 0x37, 0x7c);
    add(true, 0x2a, 0x12);
  }
  send_code({code.data(), size});
}

void Ps2Keyboard::key(Key which, bool pressed) {
  if (which >= Key::kCount || (gate_ && !gate_(which, pressed))) return;
  u8& is_down = state_.key_down[static_cast<u8>(which)];
  const bool repeat = pressed && is_down != 0;
  if (!pressed && is_down == 0) return;
  is_down = pressed;
  if (!state_.scanning) return;
  const KeyCodes codes = kCodes[static_cast<u8>(which)];
  if (state_.scan_set == 3) {
    const u8 type = state_.key_type[codes.set3];
    if (repeat && type != kTypematic && type != kAllTypes) return;
    if (!pressed && type != kMakeBreak && type != kAllTypes) return;
    const std::array<u8, 2> bytes{0xf0, codes.set3};
    send_code(pressed ? std::span<const u8>(bytes).subspan(1) : std::span<const u8>(bytes));
    return;
  }
  if (which == Key::kPause || which == Key::kPrintScreen) {
    if (!repeat || which != Key::kPause) send_special(which, pressed);
    return;
  }
  std::array<u8, 3> bytes{};
  std::size_t size = 0;
  if (codes.extended) bytes[size++] = 0xe0;
  if (state_.scan_set == 1) {
    bytes[size++] = static_cast<u8>(codes.set1 | (pressed ? 0 : 0x80));
  } else {
    if (!pressed) bytes[size++] = 0xf0;
    bytes[size++] = codes.set2;
  }
  send_code({bytes.data(), size});
}

void Ps2Keyboard::type_text(std::string_view text) {
  for (const char c : text) {
    const auto typed = key_of(c);
    if (!typed) continue;
    if (typed->shift) typing_.push_back({Key::kLeftShift, true});
    typing_.push_back({typed->key, true});
    typing_.push_back({typed->key, false});
    if (typed->shift) typing_.push_back({Key::kLeftShift, false});
  }
  if (!typing_timer_.armed()) type_next();
}

void Ps2Keyboard::type_next() {
  // Waits while the guest does not take what was typed, so that long texts are not cut.
  if (!typing_.empty() && state_.queue.count == 0) {
    const Stroke stroke = typing_.front();
    typing_.pop_front();
    key(stroke.key, stroke.pressed);
  }
  if (!typing_.empty()) typing_timer_.arm_after(kTypingNs);
}

void Ps2Keyboard::parameter(u8 command, u8 value) {
  switch (command) {
    case 0xed:
      state_.leds = value & 7;
      answer(kAck);
      break;
    case 0xf0:
      if (value > 3) {
        answer(kResend);
        break;
      }
      answer(kAck);
      if (value == 0) {
        answer(state_.scan_set);
      } else {
        state_.scan_set = value;
        state_.queue.clear();
      }
      break;
    case 0xf3:
      state_.typematic = value & 0x7f;
      answer(kAck);
      break;
    default:  // FBh..FDh: type of one key; more codes may follow until the next command
      state_.key_type[value] = static_cast<u8>(command == 0xfb   ? kTypematic
                                               : command == 0xfc ? kMakeBreak
                                                                 : kMakeOnly);
      state_.pending_command = command;
      answer(kAck);
      break;
  }
}

void Ps2Keyboard::write_byte(u8 value) {
  const u8 pending = state_.pending_command;
  state_.pending_command = 0;
  state_.answers.clear();  // a new byte from the host ends the answer to the last
  if (pending != 0 && value < 0xed) {
    parameter(pending, value);
    announce();
    return;
  }
  switch (value) {
    case 0xed:
    case 0xf0:
    case 0xf3:
    case 0xfb:
    case 0xfc:
    case 0xfd:
      if (value >= 0xfb) state_.scanning = false;  // setting key types stops scanning
      state_.pending_command = value;
      answer(kAck);
      break;
    case 0xee:
      answer(0xee);
      break;
    case 0xf2:
      answer(kAck);
      answer(0xab);
      answer(0x83);
      break;
    case 0xf4:
      state_.queue.clear();
      state_.overrun = false;
      state_.scanning = true;
      answer(kAck);
      break;
    case 0xf5:
    case 0xf6:
      set_defaults();
      state_.scanning = value == 0xf6;
      answer(kAck);
      break;
    case 0xf7:
    case 0xf8:
    case 0xf9:
    case 0xfa:
      state_.key_type.fill(static_cast<u8>(value - 0xf7));
      answer(kAck);
      break;
    case 0xfe:
      answer(state_.last_sent);
      break;
    case 0xff:
      set_defaults();
      state_.scan_set = 2;
      state_.leds = 0;
      state_.scanning = true;
      answer(kAck);
      answer(kBatOk);
      break;
    default:
      log_.write(LogCategory::kGuestErrors, "ps2_keyboard: unknown command {:#04x}", value);
      answer(kResend);
      break;
  }
  announce();
}

}  // namespace dragoman
