// Local APIC of one processor: xAPIC at FEE00000h and x2APIC MSRs.
// SDM vol. 3, chapter 11 (Advanced Programmable Interrupt Controller).
#pragma once

#include <array>
#include <functional>
#include <tuple>

#include "base/cpu_pins.h"
#include "base/irq_line.h"
#include "base/scheduler.h"
#include "devices/apic_bus.h"
#include "devices/device.h"
#include "memory/memory_map.h"

namespace dragoman {

struct LocalApicState {
  enum Lvt : unsigned { kTimer, kThermal, kPerformance, kLint0, kLint1, kError, kLvts };

  u64 base = 0;  ///< IA32_APIC_BASE; set by reset
  u64 icr = 0;
  u64 timer_start_ns = 0;     ///< when `timer_start_count` was current
  u64 timer_deadline_ns = 0;  ///< virtual time of the next expiry, 0 for none
  u64 tsc_deadline = 0;
  u32 id = 0;  ///< APIC ID; in xAPIC mode only bits 7:0 count
  u32 tpr = 0;
  u32 logical_destination = 0;
  u32 destination_format = 0xffffffff;
  u32 spurious = 0xff;
  u32 error_status = 0;  ///< ESR as software reads it
  u32 errors = 0;        ///< collected since the last write to ESR
  u32 initial_count = 0;
  u32 divide = 0;
  u32 timer_start_count = 0;
  std::array<u32, kLvts> lvt{0x10000, 0x10000, 0x10000, 0x10000, 0x10000, 0x10000};
  std::array<u32, 8> isr{};
  std::array<u32, 8> tmr{};
  std::array<u32, 8> irr{};
  bool lint0 = false;  ///< levels of the input pins
  bool lint1 = false;
  bool ext_int = false;  ///< an ExtINT message waits for its acknowledge cycle
  bool ferr = false;
  std::array<u8, 4> reserved{};  // padding

  static constexpr auto fields() {
    using S = LocalApicState;
    return std::tuple{Field{"base", &S::base},
                      Field{"icr", &S::icr},
                      Field{"timer_start_ns", &S::timer_start_ns},
                      Field{"timer_deadline_ns", &S::timer_deadline_ns},
                      Field{"tsc_deadline", &S::tsc_deadline},
                      Field{"id", &S::id},
                      Field{"tpr", &S::tpr},
                      Field{"logical_destination", &S::logical_destination},
                      Field{"destination_format", &S::destination_format},
                      Field{"spurious", &S::spurious},
                      Field{"error_status", &S::error_status},
                      Field{"errors", &S::errors},
                      Field{"initial_count", &S::initial_count},
                      Field{"divide", &S::divide},
                      Field{"timer_start_count", &S::timer_start_count},
                      Field{"lvt", &S::lvt},
                      Field{"isr", &S::isr},
                      Field{"tmr", &S::tmr},
                      Field{"irr", &S::irr},
                      Field{"lint0", &S::lint0},
                      Field{"lint1", &S::lint1},
                      Field{"ext_int", &S::ext_int},
                      Field{"ferr", &S::ferr},
                      Field{"reserved", &S::reserved}};
  }
};

/// Fixed properties and surroundings of one local APIC.
struct LocalApicOptions {
  u32 apic_id = 0;
  bool bootstrap = true;                ///< BSP flag of IA32_APIC_BASE
  unsigned physical_bits = 40;          ///< MAXPHYADDR, as CPUID tells
  std::function<u8()> pic_acknowledge;  ///< INTA cycles of the 8259 pair
  std::function<u64()> tsc;             ///< this processor's TSC now
  std::function<u64(u64)> tsc_to_ns;    ///< virtual time at which the TSC reaches a value
  IrqLine ferr;                         ///< IRQ 13
};

/// Interrupt logic of one processor. Input pins (IrqSink): kLint0 from INTR of the 8259 pair,
/// kLint1 from the NMI logic of the board.
///
/// The timer counts virtual nanoseconds (a 1 GHz bus clock) before the divider. After reset LINT0
/// is masked, as the manual says: firmware opens the virtual wire; a board that starts a kernel
/// without firmware calls open_virtual_wire().
///
/// The registers are one MMIO range of the machine's memory map, so the map as it is serves one
/// processor; with several, each needs its own view of this page.
class LocalApic : public StatefulDevice<LocalApicState>,
                  public LocalInterrupts,
                  public ApicAgent,
                  public IrqSink,
                  private MmioHandler {
 public:
  enum Pin : unsigned { kPinLint0 = 0, kPinLint1 = 1 };

  LocalApic(std::string name, Scheduler& scheduler, MemoryMap& memory, ApicBus& bus,
            LocalApicOptions options);

  /// The processor; constructed after its LocalInterrupts. Drives its request pin at once.
  void connect(CpuPins& pins);
  /// What firmware leaves behind: APIC enabled, LINT0 = ExtINT, LINT1 = NMI.
  void open_virtual_wire();

  void reset() override;
  /// State after INIT (11.4.7.3): as after reset, but APIC ID and IA32_APIC_BASE are kept.
  void init();

  // LocalInterrupts
  u8 acknowledge() override;
  u8 cr8() const override { return static_cast<u8>(state_.tpr >> 4); }
  void set_cr8(u8 value) override;
  u64 apic_base() const override { return state_.base; }
  bool set_apic_base(u64 value) override;
  bool read_x2apic(u32 msr, u64& value) override;
  bool write_x2apic(u32 msr, u64 value) override;
  u64 tsc_deadline() const override { return state_.tsc_deadline; }
  void set_tsc_deadline(u64 value) override;
  void tsc_changed() override;
  void set_ferr(bool level) override;

  // ApicAgent
  bool addressed_by(const ApicMessage& message) const override;
  bool accept(const ApicMessage& message) override;
  u8 arbitration_priority() const override { return priority(); }

  // IrqSink
  void set_irq(unsigned pin, bool level) override;

 protected:
  void restored() override;

 private:
  using S = LocalApicState;
  enum TimerMode : unsigned { kOneShot, kPeriodic, kTscDeadline };
  /// Error status bits (11.5.3).
  static constexpr u32 kSendIllegalVector = 1 << 5;
  static constexpr u32 kReceiveIllegalVector = 1 << 6;
  static constexpr u32 kIllegalRegister = 1 << 7;
  bool enabled() const { return (state_.base & 0x800) != 0; }
  bool x2apic() const { return (state_.base & 0xc00) == 0xc00; }
  bool software_enabled() const { return (state_.spurious & 0x100) != 0; }

  u64 mmio_read(unsigned bank, u64 offset, unsigned size) override;
  void mmio_write(unsigned bank, u64 offset, unsigned size, u64 value) override;
  /// Registers by their MSR index 00h..3Fh (MMIO offset / 16), common to both modes.
  bool read_register(unsigned index, u32& value);
  bool write_register(unsigned index, u32 value);

  u8 priority() const;
  /// Vector of the most important request above the processor priority, or -1.
  int deliverable() const;
  bool ext_int_requested() const;
  void update();
  void end_of_interrupt();
  void report_error(u32 bit);
  bool request(u8 vector, bool level_triggered);
  void send_ipi();
  void write_lvt(unsigned index, u32 value);
  void trigger_lvt(unsigned index);
  void pin_changed(unsigned index, bool level, bool was);
  void clear_registers();
  void update_mapping();

  unsigned timer_mode() const { return state_.lvt[S::kTimer] >> 17 & 3; }
  u32 divisor() const;
  u32 current_count();
  void start_timer(u32 count);
  void arm_timer();
  void arm_tsc_deadline();
  void timer_expired();

  Scheduler& scheduler_;
  MemoryMap& memory_;
  ApicBus& bus_;
  LocalApicOptions options_;
  CpuPins* pins_ = nullptr;
  RangeId range_ = 0;
  Timer timer_;
};

}  // namespace dragoman
