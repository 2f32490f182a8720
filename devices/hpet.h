// IA-PC HPET (High Precision Event Timers) specification 1.0a: three comparators, 100 MHz.
#pragma once

#include <array>
#include <memory>
#include <tuple>

#include "base/irq_line.h"
#include "base/scheduler.h"
#include "devices/device.h"
#include "memory/memory_map.h"

namespace dragoman {

struct HpetTimerState {
  u64 config = 0;
  u64 comparator = ~u64{0};
  u64 period = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"config", &HpetTimerState::config},
                      Field{"comparator", &HpetTimerState::comparator},
                      Field{"period", &HpetTimerState::period}};
  }
};

struct HpetState {
  static constexpr unsigned kTimers = 3;
  u64 config = 0;
  u64 status = 0;
  u64 counter = 0;  ///< main counter when halted, otherwise its value at `counter_ns`
  u64 counter_ns = 0;
  std::array<HpetTimerState, kTimers> timers{};
  std::array<u64, kTimers> deadline_ns{};  ///< of the armed host timers, 0 for none
  u8 legacy_inputs = 0;                    ///< levels of the wires of PIT and RTC
  u8 legacy_edges = 0;           ///< edge-triggered outputs to IRQ 0 and IRQ 8 still held high
  std::array<u8, 6> reserved{};  // padding

  static constexpr auto fields() {
    return std::tuple{Field{"config", &HpetState::config},
                      Field{"status", &HpetState::status},
                      Field{"counter", &HpetState::counter},
                      Field{"counter_ns", &HpetState::counter_ns},
                      Field{"timers", &HpetState::timers},
                      Field{"deadline_ns", &HpetState::deadline_ns},
                      Field{"legacy_inputs", &HpetState::legacy_inputs},
                      Field{"legacy_edges", &HpetState::legacy_edges},
                      Field{"reserved", &HpetState::reserved}};
  }
};

/// At FED00000h. The wires of the PIT (IRQ 0) and the RTC (IRQ 8) pass through this device (pins
/// kPit and kRtc of its IrqSink), because legacy replacement routing cuts them off and drives IRQ 0
/// and IRQ 8 from timers 0 and 1. Otherwise timers reach IOAPIC pins 20..23, which nothing else on
/// this board uses.
class Hpet : public StatefulDevice<HpetState>, public IrqSink, private MmioHandler {
 public:
  static constexpr u64 kBase = 0xfed00000;
  static constexpr u64 kPeriodFs = 10000000;
  enum Pin : unsigned { kPit = 0, kRtc = 1 };

  Hpet(std::string name, Scheduler& scheduler, MemoryMap& memory, IrqLine irq0, IrqLine irq8,
       IrqSink& ioapic);

  void set_irq(unsigned pin, bool level) override;
  /// Keeps the levels of the PIT and RTC wires.
  void reset() override;

 protected:
  void restored() override;

 private:
  u64 mmio_read(unsigned bank, u64 offset, unsigned size) override;
  void mmio_write(unsigned bank, u64 offset, unsigned size, u64 value) override;
  u64 read_register(u64 offset);
  void write_register(u64 offset, u64 value, u64 mask);
  void write_comparator(unsigned n, u64 value, u64 mask);
  bool running() const { return (state_.config & 1) != 0; }
  bool legacy() const { return (state_.config & 2) != 0; }
  u64 counter();
  u64 width_mask(unsigned n) const;
  void arm(unsigned n, bool after_match);
  void fire(unsigned n);
  void send_edge(unsigned n);
  void drive_legacy_inputs();
  /// Outputs of level-triggered timers as status and enables say.
  void drive_levels();

  Scheduler& scheduler_;
  std::array<IrqLine, 2> legacy_lines_;
  IrqSink& ioapic_;
  std::array<std::unique_ptr<Timer>, HpetState::kTimers> timers_;
};

}  // namespace dragoman
