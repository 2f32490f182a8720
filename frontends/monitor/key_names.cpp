#include "frontends/monitor/key_names.h"

#include <utility>

namespace dragoman {
namespace {

// clang-format off
constexpr std::pair<std::string_view, Key> kNames[] = {
    {"esc", Key::kEscape},
    {"f1", Key::kF1}, {"f2", Key::kF2}, {"f3", Key::kF3}, {"f4", Key::kF4}, {"f5", Key::kF5},
    {"f6", Key::kF6}, {"f7", Key::kF7}, {"f8", Key::kF8}, {"f9", Key::kF9}, {"f10", Key::kF10},
    {"f11", Key::kF11}, {"f12", Key::kF12},
    {"print", Key::kPrintScreen}, {"sysrq", Key::kPrintScreen}, {"scroll_lock", Key::kScrollLock},
    {"pause", Key::kPause}, {"grave_accent", Key::kGrave},
    {"1", Key::k1}, {"2", Key::k2}, {"3", Key::k3}, {"4", Key::k4}, {"5", Key::k5},
    {"6", Key::k6}, {"7", Key::k7}, {"8", Key::k8}, {"9", Key::k9}, {"0", Key::k0},
    {"minus", Key::kMinus}, {"equal", Key::kEqual}, {"backspace", Key::kBackspace},
    {"tab", Key::kTab}, {"q", Key::kQ}, {"w", Key::kW}, {"e", Key::kE}, {"r", Key::kR},
    {"t", Key::kT}, {"y", Key::kY}, {"u", Key::kU}, {"i", Key::kI}, {"o", Key::kO},
    {"p", Key::kP}, {"bracket_left", Key::kLeftBracket}, {"bracket_right", Key::kRightBracket},
    {"backslash", Key::kBackslash}, {"caps_lock", Key::kCapsLock}, {"a", Key::kA},
    {"s", Key::kS}, {"d", Key::kD}, {"f", Key::kF}, {"g", Key::kG}, {"h", Key::kH},
    {"j", Key::kJ}, {"k", Key::kK}, {"l", Key::kL}, {"semicolon", Key::kSemicolon},
    {"apostrophe", Key::kQuote}, {"ret", Key::kEnter}, {"shift", Key::kLeftShift},
    {"z", Key::kZ}, {"x", Key::kX}, {"c", Key::kC}, {"v", Key::kV}, {"b", Key::kB},
    {"n", Key::kN}, {"m", Key::kM}, {"comma", Key::kComma}, {"dot", Key::kPeriod},
    {"slash", Key::kSlash}, {"shift_r", Key::kRightShift}, {"ctrl", Key::kLeftCtrl},
    {"meta_l", Key::kLeftSuper}, {"alt", Key::kLeftAlt}, {"spc", Key::kSpace},
    {"alt_r", Key::kRightAlt}, {"meta_r", Key::kRightSuper}, {"menu", Key::kMenu},
    {"ctrl_r", Key::kRightCtrl}, {"insert", Key::kInsert}, {"home", Key::kHome},
    {"pgup", Key::kPageUp}, {"delete", Key::kDelete}, {"end", Key::kEnd},
    {"pgdn", Key::kPageDown}, {"up", Key::kUp}, {"left", Key::kLeft}, {"down", Key::kDown},
    {"right", Key::kRight}, {"num_lock", Key::kNumLock}, {"kp_divide", Key::kPadDivide},
    {"kp_multiply", Key::kPadMultiply}, {"asterisk", Key::kPadMultiply},
    {"kp_subtract", Key::kPadMinus}, {"kp_add", Key::kPadPlus}, {"kp_enter", Key::kPadEnter},
    {"kp_decimal", Key::kPadPeriod}, {"kp_0", Key::kPad0}, {"kp_1", Key::kPad1},
    {"kp_2", Key::kPad2}, {"kp_3", Key::kPad3}, {"kp_4", Key::kPad4}, {"kp_5", Key::kPad5},
    {"kp_6", Key::kPad6}, {"kp_7", Key::kPad7}, {"kp_8", Key::kPad8}, {"kp_9", Key::kPad9},
};

// By scan code of set 1 (IBM PS/2 keyboard, technical reference), from 1 on.
constexpr std::string_view kNumbers[] = {
    "esc", "1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "minus", "equal", "backspace", "tab",
    "q", "w", "e", "r", "t", "y", "u", "i", "o", "p", "bracket_left", "bracket_right", "ret", "ctrl",
    "a", "s", "d", "f", "g", "h", "j", "k", "l", "semicolon", "apostrophe", "grave_accent", "shift",
    "backslash", "z", "x", "c", "v", "b", "n", "m", "comma", "dot", "slash", "shift_r",
    "kp_multiply", "alt", "spc", "caps_lock", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9",
    "f10", "num_lock", "scroll_lock", "kp_7", "kp_8", "kp_9", "kp_subtract", "kp_4", "kp_5", "kp_6",
    "kp_add", "kp_1", "kp_2", "kp_3", "kp_0", "kp_decimal", "sysrq", "", "", "f11", "f12",
};
constexpr std::pair<i64, std::string_view> kExtended[] = {
    {0x9c, "kp_enter"}, {0x9d, "ctrl_r"}, {0xb5, "kp_divide"}, {0xb7, "print"}, {0xb8, "alt_r"},
    {0xc6, "pause"}, {0xc7, "home"}, {0xc8, "up"}, {0xc9, "pgup"}, {0xcb, "left"}, {0xcd, "right"},
    {0xcf, "end"}, {0xd0, "down"}, {0xd1, "pgdn"}, {0xd2, "insert"}, {0xd3, "delete"},
    {0xdb, "meta_l"}, {0xdc, "meta_r"}, {0xdd, "menu"},
};
// clang-format on

}  // namespace

std::optional<Key> key_by_name(std::string_view name) {
  for (const auto& [known, key] : kNames) {
    if (known == name) return key;
  }
  return std::nullopt;
}

std::string_view key_name_of_number(i64 number) {
  if (number >= 1 && number <= static_cast<i64>(std::size(kNumbers))) {
    return kNumbers[static_cast<std::size_t>(number - 1)];
  }
  for (const auto& [code, name] : kExtended) {
    if (code == number) return name;
  }
  return "";
}

std::vector<std::string_view> key_names() {
  std::vector<std::string_view> names;
  for (const auto& [name, key] : kNames) names.push_back(name);
  return names;
}

}  // namespace dragoman
