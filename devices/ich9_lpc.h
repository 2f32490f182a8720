// LPC interface bridge of the Intel ICH9 (8086:2918): PIRQ routing, distribution of the ISA
// interrupt requests, power management registers, reset control. I/O Controller Hub 9 datasheet
// (316972), chapters 10 (chipset configuration) and 13 (LPC bridge).
#pragma once

#include <array>
#include <functional>

#include "base/scheduler.h"
#include "devices/acpi_pm1.h"
#include "devices/ich9_tco.h"
#include "devices/pci/pci_function.h"

namespace dragoman {

struct Ich9LpcState {
  AcpiPm1State pm1 = {};
  Ich9TcoState tco = {};
  u64 gpe_status = 0;
  u64 gpe_enable = 0;
  u32 smi_enable = 0;
  u32 smi_status = 0;
  u16 isa_levels = 0;  ///< wires of the ISA devices, IRQ0..IRQ15
  u8 pirq_levels = 0;  ///< PIRQA#..PIRQH#, 1 is asserted
  bool sci_level = false;
  u8 reset_control = 0;
  u8 apm_control = 0;
  u8 apm_status = 0;
  u8 reserved = 0;          // padding
  u32 general_control = 0;  ///< GCS, which has NO_REBOOT
  std::array<u8, 4> reserved2{};

  static constexpr auto fields() {
    using S = Ich9LpcState;
    return std::tuple{Field{"pm1", &S::pm1},
                      Field{"tco", &S::tco},
                      Field{"gpe_status", &S::gpe_status},
                      Field{"gpe_enable", &S::gpe_enable},
                      Field{"smi_enable", &S::smi_enable},
                      Field{"smi_status", &S::smi_status},
                      Field{"isa_levels", &S::isa_levels},
                      Field{"pirq_levels", &S::pirq_levels},
                      Field{"sci_level", &S::sci_level},
                      Field{"reset_control", &S::reset_control},
                      Field{"apm_control", &S::apm_control},
                      Field{"apm_status", &S::apm_status},
                      Field{"reserved", &S::reserved},
                      Field{"general_control", &S::general_control},
                      Field{"reserved2", &S::reserved2}};
  }
};

/// Callbacks run inside a port write: the board notes the request and acts when the instruction is
/// finished.
struct Ich9LpcOutputs {
  std::function<void(bool hard)> reset;  ///< CF9h: true for the whole board, false for INIT
  std::function<void()> smi;             ///< SMI#, one call per event
  std::function<void()> power_off;       ///< S5
  std::function<void(unsigned)> sleep;   ///< any other SLP_TYP
};

/// Slot 31 function 0. A PIRQ goes to I/O APIC input 16 + n, and to the 8259 pair where its route
/// register says; ISA requests go to both under their own number (IRQ 0 is I/O APIC input 2).
///
/// Port blocks: power management at PMBASE (config 40h, 128 ports, while ACPI_CTRL bit 7 is set),
/// APM_CNT and APM_STS at B2h and B3h, reset control at CF9h. Memory: chipset configuration at RCBA
/// (config F0h), of which only fixed values and NO_REBOOT are there. The SMBus function is
/// Ich9Smbus. Not built: GPIO.
class Ich9Lpc : public StatefulPciFunction<Ich9LpcState>,
                public IrqSink,
                private PortHandler,
                private MmioHandler {
 public:
  /// Input pins of this IrqSink: PIRQs 0..7 and the ISA wires.
  enum Pin : unsigned { kPirqA = 0, kIsa0 = 16 };
  /// FADT values of this board; see Piix4Pm.
  static constexpr u8 kAcpiEnable = 0xf1;
  static constexpr u8 kAcpiDisable = 0xf0;
  static constexpr unsigned kSoftOff = 7;  ///< SLP_TYP of S5 (13.8.3.3)

  Ich9Lpc(std::string name, const PciSpaces& spaces, Scheduler& scheduler, IrqSink& pic,
          IrqSink& ioapic, Ich9LpcOutputs outputs);

  /// Wire for an ISA device.
  IrqLine isa_irq(unsigned irq) { return IrqLine(*this, kIsa0 + irq); }
  void set_irq(unsigned pin, bool level) override;
  void press_power_button();
  /// Keeps the levels of the inputs: they belong to whoever drives them.
  void reset() override;

  /// Slots 0 to 24 share PIRQE#..PIRQH#, a slot one further than the one before; the functions of
  /// the ICH9 itself (slots 25 to 31) have PIRQA#..PIRQD#, which is what D25IR to D31IR hold after
  /// a reset (10.1.45 and following).
  static unsigned wiring(unsigned slot, unsigned pin) {
    return slot < 25 ? 4 + ((slot + pin) & 3) : pin;
  }

 protected:
  void config_written(u8 offset, unsigned size) override;
  void restored() override;

 private:
  enum Bank : unsigned { kPower, kApm, kReset };
  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;
  u64 mmio_read(unsigned bank, u64 offset, unsigned size) override;
  void mmio_write(unsigned bank, u64 offset, unsigned size, u64 value) override;
  u8 read_power(unsigned offset, u64 now_ticks);
  void write_power(unsigned offset, u8 value);
  void write_apm_control(u8 value);
  void tco_timeout();
  void update_mappings();
  void update_sci();
  unsigned sci_input() const;
  u32 pic_levels() const;
  u32 ioapic_levels() const;
  /// Drives the inputs of both controllers that changed; all of them when `all`.
  void drive(bool all = false);

  IrqSink& pic_;
  IrqSink& ioapic_;
  Ich9LpcOutputs outputs_;
  AcpiPm1 pm1_;
  Ich9Tco tco_;
  PortRangeId power_range_ = 0;
  RangeId rcba_range_ = 0;
  u32 pic_driven_ = 0;
  u32 ioapic_driven_ = 0;
  bool smi_locked_ = false;  // GEN_PMCON_1.SMI_LOCK was set since reset; follows the register
};

}  // namespace dragoman
