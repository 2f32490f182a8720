// How the DRAM controllers of Intel host bridges show RAM: below and above the PCI hole, and in
// A0000h..FFFFFh as SMRAM and PAM registers say. 82441FX datasheet (290549), 3.2.18 and 3.2.22;
// the 82G33 (316966), 5.1.14 to 5.1.21, has the same registers at other places.
#pragma once

#include <array>
#include <span>

#include "memory/memory_map.h"

namespace dragoman {

/// What lies behind a segment that PAM gives to PCI (a ROM at kPriorityRom, or nothing) is mapped
/// by others.
class DramMap {
 public:
  static constexpr unsigned kPamRegisters = 7;

  /// All RAM of the pool, the part from `below_4g` on above 4 GiB.
  DramMap(MemoryMap& map, u64 below_4g);

  /// Attribute registers PAM0 to PAM6.
  void set_pam(std::span<const u8, kPamRegisters> pam);
  /// The SMRAM control register as written: what it then reads. D_LCK stays until reset; it clears
  /// D_OPEN and makes both read-only.
  u8 write_smram(u8 value);
  void set_smm(bool smm);
  /// After a reset or a load: the register's value and whether the processor is in SMM.
  void restore(u8 smram, bool smm);

 private:
  void update_smram();

  MemoryMap& map_;
  std::array<RangeId, 13> segments_{};
  RangeId smram_range_ = 0;
  u8 smram_ = 0;
  bool smm_ = false;
  bool locked_ = false;  // D_LCK was set since reset
};

}  // namespace dragoman
