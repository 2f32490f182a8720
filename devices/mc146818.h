// Motorola MC146818 real-time clock with 128 bytes of CMOS RAM.
// Datasheet: Motorola MC146818 (ADI-856); Intel 290550 (PIIX3) section 5.9 for the ports.
#pragma once

#include <array>
#include <functional>

#include "base/irq_line.h"
#include "base/log.h"
#include "base/scheduler.h"
#include "devices/device.h"
#include "memory/port_map.h"

namespace dragoman {

struct Mc146818State {
  std::array<u8, 128> cmos{};
  u64 base_ns = 0;    // virtual time at which the divider chain stood at `base_tick`
  u64 base_tick = 0;  // ticks of 32768 Hz; a second ends at each multiple of 32768
  u64 last_tick = 0;  // everything up to here has been accounted for
  u8 index = 0;
  bool nmi_masked = true;
  std::array<u8, 6> reserved{};
  static constexpr auto fields() {
    return std::tuple{Field{"cmos", &Mc146818State::cmos},
                      Field{"base_ns", &Mc146818State::base_ns},
                      Field{"base_tick", &Mc146818State::base_tick},
                      Field{"last_tick", &Mc146818State::last_tick},
                      Field{"index", &Mc146818State::index},
                      Field{"nmi_masked", &Mc146818State::nmi_masked},
                      Field{"reserved", &Mc146818State::reserved}};
  }
};

class Mc146818 : public StatefulDevice<Mc146818State>, public PortHandler {
 public:
  /// Claims ports 70h-71h. The clock shows `unix_seconds` (UTC) at virtual time 0. `irq8` is high
  /// while an interrupt is requested. `nmi_mask` hears of bit 7 of port 70h.
  Mc146818(Scheduler& scheduler, PortMap& ports, IrqLine irq8, u64 unix_seconds,
           std::function<void(bool)> nmi_mask);

  /// For the board: memory sizes, boot order, drive types (indices 0Eh and up).
  void set_cmos(u8 index, u8 value) { state_.cmos[index & 0x7f] = value; }
  u8 cmos(u8 index) const { return state_.cmos[index & 0x7f]; }

  /// The clock is on a battery: RESET# only clears interrupt enables and flags.
  void reset() override;
  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;

 private:
  void restored() override;
  bool divider_running() const;
  u64 tick_now();
  u64 ns_of(u64 tick) const;
  unsigned period_ticks() const;
  /// Accounts for the time since the last call: calendar, flags.
  void sync();
  void advance(u64 seconds);
  void add_second();
  bool alarm_matches() const;
  void set_calendar(u64 unix_seconds);
  u64 calendar() const;
  unsigned decode(u8 value) const;
  u8 encode(unsigned value) const;
  unsigned hour() const;
  void set_hour(unsigned hour);
  u8 read(u8 index);
  void write(u8 index, u8 value);
  /// IRQF, the wire and the timer for the next flag that would interrupt.
  void update();

  Scheduler& scheduler_;
  IrqLine irq8_;
  std::function<void(bool)> nmi_mask_;
  Timer timer_;
};

}  // namespace dragoman
