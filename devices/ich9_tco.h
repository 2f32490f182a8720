// TCO watchdog of the Intel ICH9: a timer that a system must reload, or else the board is reset.
// I/O Controller Hub 9 datasheet (316972), 13.9 (registers), 5.14 (what they do).
#pragma once

#include <array>
#include <functional>

#include "base/fields.h"
#include "base/scheduler.h"

namespace dragoman {

/// Part of the State of the LPC bridge, which has the registers at PMBASE + 60h.
struct Ich9TcoState {
  u64 expires = 0;  ///< virtual time at which the timer gets to 0, while it counts
  u16 timer = 4;    ///< TCO_TMR, in ticks of 0.6 s
  u16 initial = 4;  ///< what a reload takes: the last TCO_TMR that was not ignored
  u16 left = 0;     ///< ticks at which the halted timer stands
  u16 status1 = 0;
  u16 status2 = 0;
  /// The datasheet lets the timer run from the start, for the firmware to halt. The firmware of
  /// this board knows no watchdog and leaves it as a reset does, so it is halted already.
  u16 control1 = 0x0800;
  u16 control2 = 0x0008;
  u8 data_in = 0, data_out = 0;
  std::array<u8, 2> messages{};
  u8 progress = 0;  ///< TCO_WDCNT
  u8 legacy_irqs = 0x03;
  std::array<u8, 4> reserved{};

  static constexpr auto fields() {
    using S = Ich9TcoState;
    return std::tuple{Field{"expires", &S::expires},         Field{"timer", &S::timer},
                      Field{"initial", &S::initial},         Field{"left", &S::left},
                      Field{"status1", &S::status1},         Field{"status2", &S::status2},
                      Field{"control1", &S::control1},       Field{"control2", &S::control2},
                      Field{"data_in", &S::data_in},         Field{"data_out", &S::data_out},
                      Field{"messages", &S::messages},       Field{"progress", &S::progress},
                      Field{"legacy_irqs", &S::legacy_irqs}, Field{"reserved", &S::reserved}};
  }
};

class Ich9Tco {
 public:
  static constexpr unsigned kBytes = 32;

  /// `first_timeout` may send an SMI; `second_timeout` resets the board, if that is allowed.
  Ich9Tco(Ich9TcoState& state, Scheduler& scheduler, std::function<void()> first_timeout,
          std::function<void()> second_timeout);

  u8 read(unsigned offset) const;
  void write(unsigned offset, u8 value);
  /// `state` is fresh after a reset; what tells of the reset's cause is kept from `before`.
  void reset(const Ich9TcoState& before);
  void restored();

 private:
  bool halted() const;
  u16 count() const;
  void reload();
  void arm();
  void expired();

  Ich9TcoState& state_;
  Scheduler& scheduler_;
  std::function<void()> first_timeout_, second_timeout_;
  Timer timer_;
};

}  // namespace dragoman
