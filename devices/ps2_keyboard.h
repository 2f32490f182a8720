// IBM PS/2 (MF2) keyboard with scan code sets 1, 2 and 3.
// Document: IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-Key)".
#pragma once

#include <deque>
#include <functional>
#include <string_view>

#include "base/log.h"
#include "base/scheduler.h"
#include "devices/device.h"
#include "devices/ps2_device.h"

namespace dragoman {

/// Keys by their engraving on the US layout; no relation to any scan code.
enum class Key : u8 {
  kEscape,
  kF1,
  kF2,
  kF3,
  kF4,
  kF5,
  kF6,
  kF7,
  kF8,
  kF9,
  kF10,
  kF11,
  kF12,
  kPrintScreen,
  kScrollLock,
  kPause,
  kGrave,
  k1,
  k2,
  k3,
  k4,
  k5,
  k6,
  k7,
  k8,
  k9,
  k0,
  kMinus,
  kEqual,
  kBackspace,
  kTab,
  kQ,
  kW,
  kE,
  kR,
  kT,
  kY,
  kU,
  kI,
  kO,
  kP,
  kLeftBracket,
  kRightBracket,
  kBackslash,
  kCapsLock,
  kA,
  kS,
  kD,
  kF,
  kG,
  kH,
  kJ,
  kK,
  kL,
  kSemicolon,
  kQuote,
  kEnter,
  kLeftShift,
  k102nd,
  kZ,
  kX,
  kC,
  kV,
  kB,
  kN,
  kM,
  kComma,
  kPeriod,
  kSlash,
  kRightShift,
  kLeftCtrl,
  kLeftSuper,
  kLeftAlt,
  kSpace,
  kRightAlt,
  kRightSuper,
  kMenu,
  kRightCtrl,
  kInsert,
  kHome,
  kPageUp,
  kDelete,
  kEnd,
  kPageDown,
  kUp,
  kLeft,
  kDown,
  kRight,
  kNumLock,
  kPadDivide,
  kPadMultiply,
  kPadMinus,
  kPadPlus,
  kPadEnter,
  kPadPeriod,
  kPad0,
  kPad1,
  kPad2,
  kPad3,
  kPad4,
  kPad5,
  kPad6,
  kPad7,
  kPad8,
  kPad9,
  kCount,
};

struct Ps2KeyboardState {
  Ps2Queue<16> queue{};            // scan codes ("16-byte first-in-first-out buffer")
  Ps2Queue<8> answers{};           // answers to commands go before scan codes
  std::array<u8, 128> key_down{};  // by Key
  std::array<u8, 256> key_type{};  // set 3: 0 typematic, 1 make/break, 2 make only, 3 all three
  u8 scan_set = 2;
  u8 leds = 0;
  u8 typematic = 0x2b;     // 10.9 characters/s after 500 ms
  u8 pending_command = 0;  // command that waits for its parameter
  u8 last_sent = 0;        // for RESEND
  bool scanning = true;
  bool overrun = false;  // the last entry of the queue is the overrun code
  static constexpr auto fields() {
    return std::tuple{Field{"queue", &Ps2KeyboardState::queue},
                      Field{"answers", &Ps2KeyboardState::answers},
                      Field{"key_down", &Ps2KeyboardState::key_down},
                      Field{"key_type", &Ps2KeyboardState::key_type},
                      Field{"scan_set", &Ps2KeyboardState::scan_set},
                      Field{"leds", &Ps2KeyboardState::leds},
                      Field{"typematic", &Ps2KeyboardState::typematic},
                      Field{"pending_command", &Ps2KeyboardState::pending_command},
                      Field{"last_sent", &Ps2KeyboardState::last_sent},
                      Field{"scanning", &Ps2KeyboardState::scanning},
                      Field{"overrun", &Ps2KeyboardState::overrun}};
  }
};

class Ps2Keyboard : public StatefulDevice<Ps2KeyboardState>, public Ps2Device {
 public:
  Ps2Keyboard(Scheduler& scheduler, Log& log);

  /// The host's key went down or up. Down again without up is a repeat: the typematic rate is
  /// kept for the guest, but the host's keyboard does the repeating.
  void key(Key key, bool pressed);
  /// Asked before a key reaches the guest; false keeps it away. For whoever records input.
  void set_gate(std::function<bool(Key key, bool pressed)> gate) { gate_ = std::move(gate); }
  /// Types ASCII text on a US layout, one key after the other; other characters are left out.
  void type_text(std::string_view text);
  /// Bits: 0 Scroll Lock, 1 Num Lock, 2 Caps Lock.
  u8 leds() const { return state_.leds; }

  void reset() override;
  bool has_byte() const override { return state_.answers.count != 0 || state_.queue.count != 0; }
  u8 take_byte() override;
  void write_byte(u8 value) override;

 private:
  struct Stroke {
    Key key;
    bool pressed;
  };
  void restored() override;
  void set_defaults();
  void answer(u8 value) { state_.answers.push(value); }
  void parameter(u8 command, u8 value);
  void send_code(std::span<const u8> bytes);
  void send_special(Key key, bool pressed);
  bool down(Key key) const { return state_.key_down[static_cast<u8>(key)] != 0; }
  void type_next();

  Log& log_;
  std::function<bool(Key, bool)> gate_;
  std::deque<Stroke> typing_;  // host input not yet typed
  Timer typing_timer_;
};

}  // namespace dragoman
