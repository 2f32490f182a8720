// Intel 8254 programmable interval timer.
// Datasheet: Intel 231164 (8254).
#pragma once

#include <array>
#include <functional>

#include "base/irq_line.h"
#include "base/scheduler.h"
#include "devices/device.h"
#include "memory/port_map.h"

namespace dragoman {

struct I8254State {
  static constexpr u64 kNever = ~u64{0};

  /// One counter. Its counting element is not stepped: `count` is what it held at tick `origin`,
  /// everything later follows from the distance.
  struct Counter {
    u64 origin = 0;           // tick (see I8254::tick) at which the counting element held `count`
    u64 load_at = kNever;     // tick of the clock pulse that will load the count register
    u64 expired_at = kNever;  // modes 0, 1, 4, 5: tick at which the count reached zero
    u32 count = 0;            // counting element, 1..65536 until it expires
    u32 period = 0;           // modes 2 and 3: the count in force
    u16 count_register = 0;   // as written
    u16 latch = 0;
    u8 control = 0x30;  // RW, M, BCD exactly as last written
    u8 status_latch = 0;
    u8 latched_bytes = 0;  // bytes of `latch` not read yet
    bool status_latched = false;
    bool write_high = false;  // the next write is the high byte
    bool read_high = false;   // the next read is the high byte
    bool null_count = true;
    bool loaded = false;  // a count reached the counting element since the control word
    bool counting = false;
    bool gate = true;
    bool high_half = true;  // mode 3: OUT at `origin`
    std::array<u8, 1> reserved{};
    static constexpr auto fields() {
      return std::tuple{Field{"origin", &Counter::origin},
                        Field{"load_at", &Counter::load_at},
                        Field{"expired_at", &Counter::expired_at},
                        Field{"count", &Counter::count},
                        Field{"period", &Counter::period},
                        Field{"count_register", &Counter::count_register},
                        Field{"latch", &Counter::latch},
                        Field{"control", &Counter::control},
                        Field{"status_latch", &Counter::status_latch},
                        Field{"latched_bytes", &Counter::latched_bytes},
                        Field{"status_latched", &Counter::status_latched},
                        Field{"write_high", &Counter::write_high},
                        Field{"read_high", &Counter::read_high},
                        Field{"null_count", &Counter::null_count},
                        Field{"loaded", &Counter::loaded},
                        Field{"counting", &Counter::counting},
                        Field{"gate", &Counter::gate},
                        Field{"high_half", &Counter::high_half},
                        Field{"reserved", &Counter::reserved}};
    }
    unsigned mode() const {
      const unsigned m = (control >> 1) & 7;
      return m > 5 ? m - 4 : m;  // 6 and 7 are 2 and 3
    }
    bool bcd() const { return (control & 1) != 0; }
    u32 modulus() const { return bcd() ? 10000 : 65536; }
  };
  std::array<Counter, 3> counter{};
  u64 next_rise = kNever;  // tick of the next rising edge of OUT 0
  static constexpr auto fields() {
    return std::tuple{Field{"counter", &I8254State::counter},
                      Field{"next_rise", &I8254State::next_rise}};
  }
};

/// The timer of a PC: counter 0 interrupts, counter 1 was the refresh clock, counter 2 is gated
/// by port 61h. Counts and outputs are exact at every virtual time.
///
/// The wire of OUT 0 in the modes 2 to 5 falls and rises together at each rising edge of OUT
/// instead of staying low meanwhile: edge-triggered inputs see the same edges at half the cost,
/// and edges missed in a jump of virtual time shrink to one.
class I8254 : public StatefulDevice<I8254State>, public PortHandler {
 public:
  using Counter = I8254State::Counter;

  /// Claims ports 40h-43h.
  I8254(Scheduler& scheduler, PortMap& ports, IrqLine out0);

  void set_gate(unsigned counter, bool level);
  /// Level of OUT now.
  bool output(unsigned counter);
  /// Called after counter 2 was programmed or gated.
  void set_counter2_listener(std::function<void()> changed) {
    counter2_changed_ = std::move(changed);
  }

  /// A counter as it is now. From such a copy the functions below tell what OUT does until the next
  /// access, one step after the other: level(), next_change(), settle() there, level() ...
  Counter counter(unsigned index);
  /// Brings a counter to tick `now`, which is not before the last.
  static void settle(Counter& c, u64 now);
  /// Level of OUT of a settled counter.
  static bool level(const Counter& c, u64 now);
  /// First tick after `now` at which OUT of a counter settled there may change, or kNever.
  static u64 next_change(const Counter& c, u64 now);

  /// Clock pulses since power-on: 105/88 MHz (14.31818.. MHz / 12), without drift.
  static u64 tick_at(u64 ns) { return static_cast<u64>(u128{ns} * 105 / 88000); }
  /// First nanosecond of a tick.
  static u64 ns_of(u64 tick) { return static_cast<u64>((u128{tick} * 88000 + 104) / 105); }

  void reset() override;
  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;

 private:
  static constexpr u64 kNever = I8254State::kNever;

  void restored() override;
  u64 now() { return tick_at(scheduler_.now()); }
  static void load_count(Counter& c, u64 tick);
  static void stop(Counter& c, u64 now);
  static u32 programmed_count(const Counter& c);
  static u16 visible_count(const Counter& c, u64 now);
  static u64 next_rising_edge(const Counter& c, u64 now);
  static void write_control(Counter& c, u8 value, u64 now);
  static void write_count(Counter& c, u8 value, u64 now);
  static u8 read_count(Counter& c, u64 now);
  static void latch_count(Counter& c, u64 now);
  static void latch_status(Counter& c, u64 now);
  /// Delivers an edge of OUT 0 that became due and arms the timer for the next.
  void follow_out0(bool reprogrammed);

  Scheduler& scheduler_;
  IrqLine out0_;
  Timer edge_;
  std::function<void()> counter2_changed_;
};

}  // namespace dragoman
