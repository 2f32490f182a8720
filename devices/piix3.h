// Intel 82371SB (PIIX3) PCI-to-ISA bridge: PIRQ routing, distribution of the ISA interrupt
// requests and the reset control register. 82371FB/82371SB datasheet (order number 290550).
#pragma once

#include <array>
#include <functional>

#include "devices/pci/pci_function.h"

namespace dragoman {

struct Piix3State {
  u16 isa_levels = 0;  ///< wires of the ISA devices, IRQ0..IRQ15
  u8 pirq_levels = 0;  ///< PIRQA#..PIRQD#, 1 is asserted
  bool sci_level = false;
  u8 reset_control = 0;
  u8 reserved = 0;  // padding
  static constexpr auto fields() {
    return std::tuple{Field{"isa_levels", &Piix3State::isa_levels},
                      Field{"pirq_levels", &Piix3State::pirq_levels},
                      Field{"sci_level", &Piix3State::sci_level},
                      Field{"reset_control", &Piix3State::reset_control},
                      Field{"reserved", &Piix3State::reserved}};
  }
};

/// Slot 1 function 0. Every interrupt request of the board that is not an IOAPIC-only input comes
/// through here, because one ISA IRQ may have several drivers: the wire of an ISA device, PIRQs
/// routed to it, and the SCI on IRQ 9. Their OR goes to the 8259 pair (pin = IRQ) and to the
/// IOAPIC (pin = IRQ, except IRQ 0 on pin 2; IRQ 2, the cascade, has no wire).
///
/// PIRQs have no IOAPIC inputs of their own: they reach it under the ISA IRQ chosen in 60h..63h,
/// so ACPI's _PRT names interrupt links with ISA IRQs (usually 10 and 11, level triggered, which
/// firmware also sets in the ELCR of the 8259 pair) in both interrupt models.
class Piix3 : public StatefulPciFunction<Piix3State>, public IrqSink, private PortHandler {
 public:
  /// Input pins of this IrqSink.
  enum Pin : unsigned { kPirqA = 0, kSci = 8, kIsa0 = 16 };
  static constexpr unsigned kPirqs = 4;

  /// `reset_request` is called for CF9h writes that reset: true for a hard reset of the whole
  /// board, false for a soft reset (INIT of the processor). It runs inside a port write, so the
  /// board notes the request and acts when the instruction is finished.
  Piix3(std::string name, const PciSpaces& spaces, IrqSink& pic, IrqSink& ioapic,
        std::function<void(bool hard)> reset_request);

  /// Wire for an ISA device.
  IrqLine isa_irq(unsigned irq) { return IrqLine(*this, kIsa0 + irq); }
  void set_irq(unsigned pin, bool level) override;
  /// Keeps the levels of the inputs: they belong to whoever drives them.
  void reset() override;

 protected:
  void config_written(u8 offset, unsigned size) override;
  void restored() override;

 private:
  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;
  /// ISA IRQs that have at least one asserted driver.
  u16 levels() const;
  void drive(u16 changed);

  IrqSink& pic_;
  IrqSink& ioapic_;
  std::function<void(bool)> reset_request_;
  u16 driven_ = 0;
};

}  // namespace dragoman
