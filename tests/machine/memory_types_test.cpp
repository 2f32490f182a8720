// Memory type range registers as a kernel finds them after a direct start.
#include <gtest/gtest.h>

#include "machine/pci_setup.h"

namespace dragoman {
namespace {

/// The effective type of `address` (SDM vol. 3, 12.11.4.1), fixed ranges first.
unsigned type_of(const MsrState& msr, u64 address, unsigned physical_bits) {
  if (address < 0x80000) return (msr.mtrr_fixed[0] >> (address / 0x10000 * 8)) & 0xff;
  if (address < 0xc0000) {
    const u64 at = (address - 0x80000) / 0x4000;
    return (msr.mtrr_fixed[1 + at / 8] >> (at % 8 * 8)) & 0xff;
  }
  if (address < 0x100000) {
    const u64 at = (address - 0xc0000) / 0x1000;
    return (msr.mtrr_fixed[3 + at / 8] >> (at % 8 * 8)) & 0xff;
  }
  for (unsigned i = 0; i < msr.mtrr_variable.size(); i += 2) {
    const u64 mask = msr.mtrr_variable[i + 1];
    const u64 bits = mask & ((u64{1} << physical_bits) - 1) & ~u64{0xfff};
    if ((mask & 0x800) && (address & bits) == (msr.mtrr_variable[i] & bits)) {
      return msr.mtrr_variable[i] & 0xff;
    }
  }
  return msr.mtrr_def_type & 0xff;
}

TEST(MemoryTypes, RamIsWriteBackAndDevicesAreUncached) {
  BoardDescription board;
  for (const unsigned physical_bits : {36u, 40u}) {
    MsrState msr;
    set_memory_types(msr, board, physical_bits);
    EXPECT_EQ(msr.mtrr_def_type & 0xc00, 0xc00u);
    for (const u64 ram : {u64{0}, u64{0x9ffff}, u64{0x100000}, u64{board.pci_window_first} - 1,
                          u64{0x100000000}, u64{0xfffffffff}}) {
      EXPECT_EQ(type_of(msr, ram, physical_bits), 6u) << std::hex << ram;
    }
    for (const u64 device : {u64{0xa0000}, u64{0xbffff}, u64{board.pci_window_first},
                             u64{0xfec00000}, u64{0xffffffff}}) {
      EXPECT_EQ(type_of(msr, device, physical_bits), 0u) << std::hex << device;
    }
    EXPECT_EQ(type_of(msr, 0xf0000, physical_bits), 5u);
    EXPECT_EQ(msr.mtrr_variable[1] >> physical_bits, 0u);
  }
}

}  // namespace
}  // namespace dragoman
