// PCI bus 0 with configuration mechanism #1 (ports CF8h and CFCh). PCI Local Bus Specification
// 3.0, 3.2.2.3; 82441FX datasheet (290549), 3.1.
#pragma once

#include <array>
#include <tuple>

#include "devices/device.h"
#include "devices/pci/pci_function.h"

namespace dragoman {

struct PciBusState {
  static constexpr unsigned kPirqs = 8;
  u32 address = 0;  ///< CONFADD
  /// asserted[32 * pirq + slot]: one bit per function of the slot whose pin drives that PIRQ.
  std::array<u8, kPirqs * 32> asserted{};
  static constexpr auto fields() {
    return std::tuple{Field{"address", &PciBusState::address},
                      Field{"asserted", &PciBusState::asserted}};
  }
};

/// How a board wires interrupt pins: the PIRQ (0 for PIRQA#) of pin 0..3 (INTA#..INTD#) of a slot.
using PirqWiring = unsigned (*)(unsigned slot, unsigned pin);

/// The bus, its configuration ports and the wires from INTA#..INTD# to the PIRQs.
class PciBus : public StatefulDevice<PciBusState>, private PortHandler, private IrqSink {
 public:
  /// Claims the configuration ports. CF9h (reset control of the PIIX3) is claimed by that chip
  /// afterwards and hides one byte of the address register, which only takes 32-bit accesses.
  PciBus(std::string name, PortMap& ports, PirqWiring wiring = piix_wiring);

  /// Where PIRQA#..PIRQH# go: pins 0..7.
  void connect_pirqs(IrqSink& pirqs) { pirqs_ = &pirqs; }
  /// Plugs a function in at its place and connects its INTx pin.
  void attach(unsigned slot, unsigned function, PciFunction& device);
  /// Keeps the levels of the INTx wires: they belong to the functions.
  void reset() override;
  /// Null when nothing is there.
  PciFunction* function(unsigned slot, unsigned function) const;
  /// The same by bits 15:8 of a configuration address and its bus number above (0: this bus).
  PciFunction* function_at(u32 number) const {
    return number < functions_.size() ? functions_[number] : nullptr;
  }
  /// The PIRQ of pin 0..3 of a slot.
  unsigned pirq_of(unsigned slot, unsigned pin) const { return wiring_(slot, pin); }
  /// INTA# of slot 1 is PIRQA#, and every slot is one further: what firmware assumes with a PIIX.
  static unsigned piix_wiring(unsigned slot, unsigned pin) { return (slot + pin + 3) & 3; }

 protected:
  void restored() override;

 private:
  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;
  void set_irq(unsigned pin, bool level) override;
  PciFunction* addressed() const;
  void drive(unsigned pirq) const;

  std::array<PciFunction*, 256> functions_{};
  PirqWiring wiring_;
  IrqSink* pirqs_ = nullptr;
};

}  // namespace dragoman
