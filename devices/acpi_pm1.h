// The fixed hardware of ACPI that chipsets agree on: PM1 status, enable and control registers and
// the 24-bit power management timer. ACPI specification 6.4, 4.8.3.
#pragma once

#include <array>
#include <functional>
#include <string>

#include "base/fields.h"
#include "base/scheduler.h"

namespace dragoman {

/// Part of the State of the chip that has the registers.
struct AcpiPm1State {
  u64 overflow_tick = u64{1} << 23;  ///< timer tick that sets TMR_STS next
  u16 status = 0;
  u16 enable = 0;
  u16 control = 0;
  std::array<u8, 2> reserved{};

  static constexpr auto fields() {
    using S = AcpiPm1State;
    return std::tuple{Field{"overflow_tick", &S::overflow_tick}, Field{"status", &S::status},
                      Field{"enable", &S::enable}, Field{"control", &S::control},
                      Field{"reserved", &S::reserved}};
  }
};

/// Registers by their offset from the block: status 0, enable 2, control 4, timer 8.
class AcpiPm1 {
 public:
  static constexpr u64 kTimerHz = 3579545;
  static constexpr unsigned kControlOffset = 4;
  static constexpr unsigned kTimerOffset = 8;
  static constexpr unsigned kBytes = 12;
  /// SLP_EN in the high byte of the control register.
  static constexpr u8 kSleepEnable = 0x20;

  /// `changed` is called when active() may have changed.
  AcpiPm1(AcpiPm1State& state, Scheduler& scheduler, std::string name,
          std::function<void()> changed);

  u8 read(unsigned offset) const { return read(offset, ticks()); }
  /// All bytes of one access show one moment of the timer.
  u8 read(unsigned offset, u64 now_ticks) const;
  void write(unsigned offset, u8 value);
  u64 ticks() const;

  /// An enabled status bit is set.
  bool active() const;
  bool sci_enabled() const { return (state_.control & 1) != 0; }
  void set_sci_enabled(bool enabled);
  unsigned sleep_type() const { return state_.control >> 10 & 7; }
  void press_power_button();
  void wake();

  /// Notices an overflow that is due and arms the timer for the next one.
  void update();
  /// A reset of the chip: `state` is fresh, but the timer runs on.
  void reset();
  void restored();

 private:
  void arm();

  AcpiPm1State& state_;
  Scheduler& scheduler_;
  std::function<void()> changed_;
  Timer overflow_;
};

}  // namespace dragoman
