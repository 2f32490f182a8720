// PCI bus 0 with configuration mechanism #1 (ports CF8h and CFCh). PCI Local Bus Specification
// 3.0, 3.2.2.3; 82441FX datasheet (290549), 3.1.
#pragma once

#include <array>
#include <tuple>

#include "devices/device.h"
#include "devices/pci/pci_function.h"

namespace dragoman {

struct PciBusState {
  u32 address = 0;  ///< CONFADD
  /// asserted[32 * pirq + slot]: one bit per function of the slot whose pin drives that PIRQ.
  std::array<u8, 4 * 32> asserted{};
  static constexpr auto fields() {
    return std::tuple{Field{"address", &PciBusState::address},
                      Field{"asserted", &PciBusState::asserted}};
  }
};

/// The bus, its configuration ports and the wiring of INTA#..INTD# to PIRQA#..PIRQD#:
/// pin p (0 for INTA#) of slot s reaches PIRQ (s + p - 1) & 3, so that INTA# of slot 1 is PIRQA#.
/// This is the swizzle the firmware of this board assumes.
class PciBus : public StatefulDevice<PciBusState>, private PortHandler, private IrqSink {
 public:
  /// Claims the configuration ports. CF9h (reset control of the PIIX3) is claimed by that chip
  /// afterwards and hides one byte of the address register, which only takes 32-bit accesses.
  PciBus(std::string name, PortMap& ports);

  /// Where PIRQA#..PIRQD# go: pins 0..3.
  void connect_pirqs(IrqSink& pirqs) { pirqs_ = &pirqs; }
  /// Plugs a function in at its place and connects its INTx pin.
  void attach(unsigned slot, unsigned function, PciFunction& device);
  /// Keeps the levels of the INTx wires: they belong to the functions.
  void reset() override;
  /// Null when nothing is there.
  PciFunction* function(unsigned slot, unsigned function) const;
  static unsigned pirq_of(unsigned slot, unsigned pin) { return (slot + pin - 1) & 3; }

 protected:
  void restored() override;

 private:
  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;
  void set_irq(unsigned pin, bool level) override;
  PciFunction* addressed() const;
  void drive(unsigned pirq) const;

  std::array<PciFunction*, 256> functions_{};
  IrqSink* pirqs_ = nullptr;
};

}  // namespace dragoman
