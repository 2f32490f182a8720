// What the board and a processor see of each other, without including one another:
// `CpuPins` is the processor as devices see it, `LocalInterrupts` is the interrupt logic
// (local APIC and, behind it, the 8259 pair) as the processor sees it.
#pragma once

#include "base/types.h"

namespace dragoman {

/// Input pins and messages of one processor.
class CpuPins {
 public:
  virtual ~CpuPins() = default;
  /// Level of "an interrupt can be acknowledged" from LocalInterrupts.
  virtual void set_interrupt_request(bool level) = 0;
  virtual void raise_nmi() = 0;
  virtual void raise_smi() = 0;
  /// INIT: registers to their INIT values (SDM vol. 3, table 10-1), then as the INIT rules say.
  virtual void raise_init() = 0;
  /// Start-up IPI with its vector; ignored unless waiting for one.
  virtual void start_up(u8 vector) = 0;
  /// Level of the A20 gate: false forces physical address bit 20 to zero.
  virtual void set_a20(bool enabled) = 0;
};

/// Interrupt logic next to a processor. The guest-visible parts a CPU instruction can reach.
class LocalInterrupts {
 public:
  virtual ~LocalInterrupts() = default;
  /// INTA cycle: takes the highest-priority pending interrupt and returns its vector.
  virtual u8 acknowledge() = 0;
  /// Task priority as CR8 sees it (bits 7:4 of TPR), 0..15.
  virtual u8 cr8() const = 0;
  virtual void set_cr8(u8 value) = 0;
  /// IA32_APIC_BASE (MSR 1Bh). Writing returns false for #GP (reserved bits, illegal transition).
  virtual u64 apic_base() const = 0;
  [[nodiscard]] virtual bool set_apic_base(u64 value) = 0;
  /// x2APIC MSRs 800h..8FFh, false for #GP.
  [[nodiscard]] virtual bool read_x2apic(u32 msr, u64& value) = 0;
  [[nodiscard]] virtual bool write_x2apic(u32 msr, u64 value) = 0;
  /// IA32_TSC_DEADLINE (MSR 6E0h), in TSC ticks of this processor; 0 disarms.
  virtual u64 tsc_deadline() const = 0;
  virtual void set_tsc_deadline(u64 value) = 0;
  /// The TSC was written: the armed deadline lies elsewhere in virtual time now.
  virtual void tsc_changed() {}
  /// FERR# pin: unmasked x87 error with CR0.NE = 0 (IRQ 13 on a PC).
  virtual void set_ferr(bool level) = 0;
};

}  // namespace dragoman
