// From SDL's key positions to the keys of a PC keyboard.
#include "frontends/sdl/sdl_keys.h"

#include <array>
#include <utility>

namespace dragoman {
namespace {

constexpr std::pair<SDL_Scancode, Key> kKeys[] = {
    {SDL_SCANCODE_ESCAPE, Key::kEscape},
    {SDL_SCANCODE_F1, Key::kF1},
    {SDL_SCANCODE_F2, Key::kF2},
    {SDL_SCANCODE_F3, Key::kF3},
    {SDL_SCANCODE_F4, Key::kF4},
    {SDL_SCANCODE_F5, Key::kF5},
    {SDL_SCANCODE_F6, Key::kF6},
    {SDL_SCANCODE_F7, Key::kF7},
    {SDL_SCANCODE_F8, Key::kF8},
    {SDL_SCANCODE_F9, Key::kF9},
    {SDL_SCANCODE_F10, Key::kF10},
    {SDL_SCANCODE_F11, Key::kF11},
    {SDL_SCANCODE_F12, Key::kF12},
    {SDL_SCANCODE_PRINTSCREEN, Key::kPrintScreen},
    {SDL_SCANCODE_SYSREQ, Key::kPrintScreen},
    {SDL_SCANCODE_SCROLLLOCK, Key::kScrollLock},
    {SDL_SCANCODE_PAUSE, Key::kPause},
    {SDL_SCANCODE_GRAVE, Key::kGrave},
    {SDL_SCANCODE_1, Key::k1},
    {SDL_SCANCODE_2, Key::k2},
    {SDL_SCANCODE_3, Key::k3},
    {SDL_SCANCODE_4, Key::k4},
    {SDL_SCANCODE_5, Key::k5},
    {SDL_SCANCODE_6, Key::k6},
    {SDL_SCANCODE_7, Key::k7},
    {SDL_SCANCODE_8, Key::k8},
    {SDL_SCANCODE_9, Key::k9},
    {SDL_SCANCODE_0, Key::k0},
    {SDL_SCANCODE_MINUS, Key::kMinus},
    {SDL_SCANCODE_EQUALS, Key::kEqual},
    {SDL_SCANCODE_BACKSPACE, Key::kBackspace},
    {SDL_SCANCODE_TAB, Key::kTab},
    {SDL_SCANCODE_Q, Key::kQ},
    {SDL_SCANCODE_W, Key::kW},
    {SDL_SCANCODE_E, Key::kE},
    {SDL_SCANCODE_R, Key::kR},
    {SDL_SCANCODE_T, Key::kT},
    {SDL_SCANCODE_Y, Key::kY},
    {SDL_SCANCODE_U, Key::kU},
    {SDL_SCANCODE_I, Key::kI},
    {SDL_SCANCODE_O, Key::kO},
    {SDL_SCANCODE_P, Key::kP},
    {SDL_SCANCODE_LEFTBRACKET, Key::kLeftBracket},
    {SDL_SCANCODE_RIGHTBRACKET, Key::kRightBracket},
    {SDL_SCANCODE_BACKSLASH, Key::kBackslash},
    {SDL_SCANCODE_NONUSHASH, Key::kBackslash},
    {SDL_SCANCODE_CAPSLOCK, Key::kCapsLock},
    {SDL_SCANCODE_A, Key::kA},
    {SDL_SCANCODE_S, Key::kS},
    {SDL_SCANCODE_D, Key::kD},
    {SDL_SCANCODE_F, Key::kF},
    {SDL_SCANCODE_G, Key::kG},
    {SDL_SCANCODE_H, Key::kH},
    {SDL_SCANCODE_J, Key::kJ},
    {SDL_SCANCODE_K, Key::kK},
    {SDL_SCANCODE_L, Key::kL},
    {SDL_SCANCODE_SEMICOLON, Key::kSemicolon},
    {SDL_SCANCODE_APOSTROPHE, Key::kQuote},
    {SDL_SCANCODE_RETURN, Key::kEnter},
    {SDL_SCANCODE_LSHIFT, Key::kLeftShift},
    {SDL_SCANCODE_NONUSBACKSLASH, Key::k102nd},
    {SDL_SCANCODE_Z, Key::kZ},
    {SDL_SCANCODE_X, Key::kX},
    {SDL_SCANCODE_C, Key::kC},
    {SDL_SCANCODE_V, Key::kV},
    {SDL_SCANCODE_B, Key::kB},
    {SDL_SCANCODE_N, Key::kN},
    {SDL_SCANCODE_M, Key::kM},
    {SDL_SCANCODE_COMMA, Key::kComma},
    {SDL_SCANCODE_PERIOD, Key::kPeriod},
    {SDL_SCANCODE_SLASH, Key::kSlash},
    {SDL_SCANCODE_RSHIFT, Key::kRightShift},
    {SDL_SCANCODE_LCTRL, Key::kLeftCtrl},
    {SDL_SCANCODE_LGUI, Key::kLeftSuper},
    {SDL_SCANCODE_LALT, Key::kLeftAlt},
    {SDL_SCANCODE_SPACE, Key::kSpace},
    {SDL_SCANCODE_RALT, Key::kRightAlt},
    {SDL_SCANCODE_RGUI, Key::kRightSuper},
    {SDL_SCANCODE_APPLICATION, Key::kMenu},
    {SDL_SCANCODE_MENU, Key::kMenu},
    {SDL_SCANCODE_RCTRL, Key::kRightCtrl},
    {SDL_SCANCODE_INSERT, Key::kInsert},
    {SDL_SCANCODE_HOME, Key::kHome},
    {SDL_SCANCODE_PAGEUP, Key::kPageUp},
    {SDL_SCANCODE_DELETE, Key::kDelete},
    {SDL_SCANCODE_END, Key::kEnd},
    {SDL_SCANCODE_PAGEDOWN, Key::kPageDown},
    {SDL_SCANCODE_UP, Key::kUp},
    {SDL_SCANCODE_LEFT, Key::kLeft},
    {SDL_SCANCODE_DOWN, Key::kDown},
    {SDL_SCANCODE_RIGHT, Key::kRight},
    {SDL_SCANCODE_NUMLOCKCLEAR, Key::kNumLock},
    {SDL_SCANCODE_KP_DIVIDE, Key::kPadDivide},
    {SDL_SCANCODE_KP_MULTIPLY, Key::kPadMultiply},
    {SDL_SCANCODE_KP_MINUS, Key::kPadMinus},
    {SDL_SCANCODE_KP_PLUS, Key::kPadPlus},
    {SDL_SCANCODE_KP_ENTER, Key::kPadEnter},
    {SDL_SCANCODE_KP_PERIOD, Key::kPadPeriod},
    {SDL_SCANCODE_KP_0, Key::kPad0},
    {SDL_SCANCODE_KP_1, Key::kPad1},
    {SDL_SCANCODE_KP_2, Key::kPad2},
    {SDL_SCANCODE_KP_3, Key::kPad3},
    {SDL_SCANCODE_KP_4, Key::kPad4},
    {SDL_SCANCODE_KP_5, Key::kPad5},
    {SDL_SCANCODE_KP_6, Key::kPad6},
    {SDL_SCANCODE_KP_7, Key::kPad7},
    {SDL_SCANCODE_KP_8, Key::kPad8},
    {SDL_SCANCODE_KP_9, Key::kPad9},
};

/// Key number plus one by scan code; 0 for none.
constexpr std::array<u8, SDL_NUM_SCANCODES> kByScancode = [] {
  std::array<u8, SDL_NUM_SCANCODES> table{};
  for (const auto& [code, key] : kKeys) table[code] = static_cast<u8>(static_cast<u8>(key) + 1);
  return table;
}();

}  // namespace

std::optional<Key> key_of_scancode(SDL_Scancode code) {
  const auto index = static_cast<unsigned>(code);
  if (index >= kByScancode.size() || kByScancode[index] == 0) return std::nullopt;
  return static_cast<Key>(kByScancode[index] - 1);
}

}  // namespace dragoman
