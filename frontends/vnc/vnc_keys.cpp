#include "frontends/vnc/vnc_keys.h"

#include <array>
#include <utility>

namespace dragoman {
namespace {

/// Keys of set 1 from code 1 on; kCount where there is none.
constexpr Key kNone = Key::kCount;
constexpr Key kBySet1[] = {Key::kEscape,
                           Key::k1,
                           Key::k2,
                           Key::k3,
                           Key::k4,
                           Key::k5,
                           Key::k6,
                           Key::k7,
                           Key::k8,
                           Key::k9,
                           Key::k0,
                           Key::kMinus,
                           Key::kEqual,
                           Key::kBackspace,
                           Key::kTab,
                           Key::kQ,
                           Key::kW,
                           Key::kE,
                           Key::kR,
                           Key::kT,
                           Key::kY,
                           Key::kU,
                           Key::kI,
                           Key::kO,
                           Key::kP,
                           Key::kLeftBracket,
                           Key::kRightBracket,
                           Key::kEnter,
                           Key::kLeftCtrl,
                           Key::kA,
                           Key::kS,
                           Key::kD,
                           Key::kF,
                           Key::kG,
                           Key::kH,
                           Key::kJ,
                           Key::kK,
                           Key::kL,
                           Key::kSemicolon,
                           Key::kQuote,
                           Key::kGrave,
                           Key::kLeftShift,
                           Key::kBackslash,
                           Key::kZ,
                           Key::kX,
                           Key::kC,
                           Key::kV,
                           Key::kB,
                           Key::kN,
                           Key::kM,
                           Key::kComma,
                           Key::kPeriod,
                           Key::kSlash,
                           Key::kRightShift,
                           Key::kPadMultiply,
                           Key::kLeftAlt,
                           Key::kSpace,
                           Key::kCapsLock,
                           Key::kF1,
                           Key::kF2,
                           Key::kF3,
                           Key::kF4,
                           Key::kF5,
                           Key::kF6,
                           Key::kF7,
                           Key::kF8,
                           Key::kF9,
                           Key::kF10,
                           Key::kNumLock,
                           Key::kScrollLock,
                           Key::kPad7,
                           Key::kPad8,
                           Key::kPad9,
                           Key::kPadMinus,
                           Key::kPad4,
                           Key::kPad5,
                           Key::kPad6,
                           Key::kPadPlus,
                           Key::kPad1,
                           Key::kPad2,
                           Key::kPad3,
                           Key::kPad0,
                           Key::kPadPeriod,
                           Key::kPrintScreen,
                           kNone,
                           Key::k102nd,
                           Key::kF11,
                           Key::kF12};

constexpr std::pair<u8, Key> kExtended[] = {
    {0x1c, Key::kPadEnter},    {0x1d, Key::kRightCtrl}, {0x35, Key::kPadDivide},
    {0x37, Key::kPrintScreen}, {0x38, Key::kRightAlt},  {0x46, Key::kPause},
    {0x47, Key::kHome},        {0x48, Key::kUp},        {0x49, Key::kPageUp},
    {0x4b, Key::kLeft},        {0x4d, Key::kRight},     {0x4f, Key::kEnd},
    {0x50, Key::kDown},        {0x51, Key::kPageDown},  {0x52, Key::kInsert},
    {0x53, Key::kDelete},      {0x5b, Key::kLeftSuper}, {0x5c, Key::kRightSuper},
    {0x5d, Key::kMenu}};

/// Keysyms above FF00h (X11 keysymdef.h).
constexpr std::pair<u16, Key> kFunctions[] = {
    {0xff08, Key::kBackspace},   {0xff09, Key::kTab},         {0xfe20, Key::kTab},
    {0xff0d, Key::kEnter},       {0xff13, Key::kPause},       {0xff14, Key::kScrollLock},
    {0xff15, Key::kPrintScreen}, {0xff1b, Key::kEscape},      {0xff50, Key::kHome},
    {0xff51, Key::kLeft},        {0xff52, Key::kUp},          {0xff53, Key::kRight},
    {0xff54, Key::kDown},        {0xff55, Key::kPageUp},      {0xff56, Key::kPageDown},
    {0xff57, Key::kEnd},         {0xff61, Key::kPrintScreen}, {0xff63, Key::kInsert},
    {0xff67, Key::kMenu},        {0xff6b, Key::kPause},       {0xff7e, Key::kRightAlt},
    {0xff7f, Key::kNumLock},     {0xff8d, Key::kPadEnter},    {0xff95, Key::kPad7},
    {0xff96, Key::kPad4},        {0xff97, Key::kPad8},        {0xff98, Key::kPad6},
    {0xff99, Key::kPad2},        {0xff9a, Key::kPad9},        {0xff9b, Key::kPad3},
    {0xff9c, Key::kPad1},        {0xff9d, Key::kPad5},        {0xff9e, Key::kPad0},
    {0xff9f, Key::kPadPeriod},   {0xffaa, Key::kPadMultiply}, {0xffab, Key::kPadPlus},
    {0xffac, Key::kPadPeriod},   {0xffad, Key::kPadMinus},    {0xffae, Key::kPadPeriod},
    {0xffaf, Key::kPadDivide},   {0xffb0, Key::kPad0},        {0xffb1, Key::kPad1},
    {0xffb2, Key::kPad2},        {0xffb3, Key::kPad3},        {0xffb4, Key::kPad4},
    {0xffb5, Key::kPad5},        {0xffb6, Key::kPad6},        {0xffb7, Key::kPad7},
    {0xffb8, Key::kPad8},        {0xffb9, Key::kPad9},        {0xffe1, Key::kLeftShift},
    {0xffe2, Key::kRightShift},  {0xffe3, Key::kLeftCtrl},    {0xffe4, Key::kRightCtrl},
    {0xffe5, Key::kCapsLock},    {0xffe7, Key::kLeftAlt},     {0xffe8, Key::kRightAlt},
    {0xffe9, Key::kLeftAlt},     {0xffea, Key::kRightAlt},    {0xffeb, Key::kLeftSuper},
    {0xffec, Key::kRightSuper},  {0xfe03, Key::kRightAlt},    {0xffff, Key::kDelete}};

/// Pairs of characters on one key.
struct Engraving {
  char plain;
  char shifted;
  Key key;
};
constexpr Engraving kEngravings[] = {
    {'`', '~', Key::kGrave},      {'1', '!', Key::k1},           {'2', '@', Key::k2},
    {'3', '#', Key::k3},          {'4', '$', Key::k4},           {'5', '%', Key::k5},
    {'6', '^', Key::k6},          {'7', '&', Key::k7},           {'8', '*', Key::k8},
    {'9', '(', Key::k9},          {'0', ')', Key::k0},           {'-', '_', Key::kMinus},
    {'=', '+', Key::kEqual},      {'[', '{', Key::kLeftBracket}, {']', '}', Key::kRightBracket},
    {'\\', '|', Key::kBackslash}, {';', ':', Key::kSemicolon},   {'\'', '"', Key::kQuote},
    {',', '<', Key::kComma},      {'.', '>', Key::kPeriod},      {'/', '?', Key::kSlash},
    {' ', ' ', Key::kSpace},      {'a', 'A', Key::kA},           {'b', 'B', Key::kB},
    {'c', 'C', Key::kC},          {'d', 'D', Key::kD},           {'e', 'E', Key::kE},
    {'f', 'F', Key::kF},          {'g', 'G', Key::kG},           {'h', 'H', Key::kH},
    {'i', 'I', Key::kI},          {'j', 'J', Key::kJ},           {'k', 'K', Key::kK},
    {'l', 'L', Key::kL},          {'m', 'M', Key::kM},           {'n', 'N', Key::kN},
    {'o', 'O', Key::kO},          {'p', 'P', Key::kP},           {'q', 'Q', Key::kQ},
    {'r', 'R', Key::kR},          {'s', 'S', Key::kS},           {'t', 'T', Key::kT},
    {'u', 'U', Key::kU},          {'v', 'V', Key::kV},           {'w', 'W', Key::kW},
    {'x', 'X', Key::kX},          {'y', 'Y', Key::kY},           {'z', 'Z', Key::kZ}};

}  // namespace

std::optional<Key> key_of_keysym(u32 keysym) {
  if (keysym < 0x80) {
    for (const Engraving& e : kEngravings) {
      if (keysym == static_cast<u8>(e.plain) || keysym == static_cast<u8>(e.shifted)) return e.key;
    }
    return std::nullopt;
  }
  if (keysym >= 0xffbe && keysym <= 0xffc9) {
    return static_cast<Key>(static_cast<u32>(Key::kF1) + keysym - 0xffbe);
  }
  for (const auto& [known, key] : kFunctions) {
    if (known == keysym) return key;
  }
  return std::nullopt;
}

std::optional<Key> key_of_scan_code(u32 code) {
  if ((code & 0xff00) == 0xe000) code = (code & 0x7f) | 0x80;
  if (code == 0 || code > 0xff) return std::nullopt;
  if ((code & 0x80) != 0) {
    for (const auto& [known, key] : kExtended) {
      if (known == (code & 0x7f)) return key;
    }
    return std::nullopt;
  }
  if (code > std::size(kBySet1) || kBySet1[code - 1] == kNone) return std::nullopt;
  return kBySet1[code - 1];
}

}  // namespace dragoman
