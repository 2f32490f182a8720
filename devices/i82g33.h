// Intel 82G33 memory controller hub, as the host bridge of the board q35: DRAM decoding, PAM, SMRAM
// and memory-mapped configuration space. 3 Series Express Chipset datasheet (316966), chapter 5.
#pragma once

#include "devices/dram_map.h"
#include "devices/pci/pci_bus.h"
#include "devices/pci/pci_function.h"

namespace dragoman {

struct I82g33State {
  bool smm = false;
  static constexpr auto fields() { return std::tuple{Field{"smm", &I82g33State::smm}}; }
};

/// Slot 0 function 0. Maps all RAM by itself (DramMap), and the configuration space of `bus` where
/// PCIEXBAR says: 1 MiB for each of 256, 128 or 64 buses.
class I82g33 : public StatefulPciFunction<I82g33State>, private MmioHandler {
 public:
  I82g33(std::string name, const PciSpaces& spaces, PciBus& bus, u64 ram_below_4g);

  /// The processor entered or left SMM (SMIACT#).
  void set_smm(bool smm);

 protected:
  void config_written(u8 offset, unsigned size) override;
  void restored() override;

 private:
  u64 mmio_read(unsigned bank, u64 offset, unsigned size) override;
  void mmio_write(unsigned bank, u64 offset, unsigned size, u64 value) override;
  void update_pam();
  void update_configuration_space();

  PciBus& bus_;
  DramMap dram_;
  std::array<RangeId, 3> windows_{};  // one for each length
};

}  // namespace dragoman
