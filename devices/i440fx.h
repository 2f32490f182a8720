// Intel 82441FX (440FX PCIset) host bridge: DRAM decoding, PAM and SMRAM.
// 82441FX datasheet (order number 290549).
#pragma once

#include "devices/dram_map.h"
#include "devices/pci/pci_function.h"

namespace dragoman {

struct I440fxState {
  bool smm = false;
  static constexpr auto fields() { return std::tuple{Field{"smm", &I440fxState::smm}}; }
};

/// Slot 0 function 0. As the DRAM controller it maps all RAM of the pool by itself (DramMap).
class I440fx : public StatefulPciFunction<I440fxState> {
 public:
  I440fx(std::string name, const PciSpaces& spaces, u64 ram_below_4g);

  /// The processor entered or left SMM (SMIACT#).
  void set_smm(bool smm);

 protected:
  void config_written(u8 offset, unsigned size) override;
  void restored() override;

 private:
  void update_pam();

  DramMap dram_;
};

}  // namespace dragoman
