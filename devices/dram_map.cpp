#include "devices/dram_map.h"

#include <algorithm>

#include "base/assert.h"
#include "base/bits.h"

namespace dragoman {
namespace {
constexpr u8 kOpen = 0x40;
constexpr u8 kClosed = 0x20;
constexpr u8 kLock = 0x10;
constexpr u8 kEnable = 0x08;

struct PamSegment {
  u32 first;
  u32 bytes;
  u8 reg;  // PAMn
  u8 shift;
};

// Attribute nibbles, bit 0 read enable, bit 1 write enable.
constexpr PamSegment pam_segment(unsigned index) {
  if (index == 0) return {0xf0000, 0x10000, 0, 4};
  const unsigned n = index - 1;  // 16 KiB segments from C0000h, two per register
  return {0xc0000 + n * 0x4000, 0x4000, static_cast<u8>(1 + n / 2), static_cast<u8>(n % 2 * 4)};
}
}  // namespace

DramMap::DramMap(MemoryMap& map, u64 below_4g) : map_(map) {
  u8* ram = map.memory().ram();
  const u64 ram_size = map.memory().ram_size();
  const u64 below = std::min(below_4g, ram_size);
  DRAGOMAN_ASSERT(below >= kMiB && below_4g < bit(32));
  map.add_memory("ram", PhysicalAddress(0), 0xa0000, ram, true, true, MemoryMap::kPriorityRam);
  if (below > kMiB) {
    map.add_memory("ram above 1 MiB", PhysicalAddress(kMiB), below - kMiB, ram + kMiB, true, true,
                   MemoryMap::kPriorityRam);
  }
  if (ram_size > below) {
    map.add_memory("ram above 4 GiB", PhysicalAddress(bit(32)), ram_size - below, ram + below, true,
                   true, MemoryMap::kPriorityRam);
  }
  smram_range_ = map.add_memory("smram", PhysicalAddress(0xa0000), 0x20000, ram + 0xa0000, false,
                                false, MemoryMap::kPriorityShadow);
  for (unsigned i = 0; i < segments_.size(); ++i) {
    const PamSegment segment = pam_segment(i);
    segments_[i] = map.add_memory(fmt::format("pam {:x}", segment.first),
                                  PhysicalAddress(segment.first), segment.bytes,
                                  ram + segment.first, false, false, MemoryMap::kPriorityShadow);
  }
}

void DramMap::set_pam(std::span<const u8, kPamRegisters> pam) {
  for (unsigned i = 0; i < segments_.size(); ++i) {
    const PamSegment segment = pam_segment(i);
    const u32 attributes = u32{pam[segment.reg]} >> segment.shift;
    map_.set_access(segments_[i], (attributes & 1) != 0, (attributes & 2) != 0);
  }
}

u8 DramMap::write_smram(u8 value) {
  if (value & kLock) locked_ = true;
  smram_ = locked_ ? static_cast<u8>((value | kLock) & ~kOpen) : value;
  update_smram();
  return smram_;
}

void DramMap::set_smm(bool smm) {
  if (smm_ == smm) return;
  smm_ = smm;
  update_smram();
}

void DramMap::restore(u8 smram, bool smm) {
  smram_ = smram;
  smm_ = smm;
  locked_ = (smram & kLock) != 0;
  update_smram();
}

void DramMap::update_smram() {
  const bool visible = (smram_ & kEnable) && (smm_ || (smram_ & kOpen));
  // D_CLS hides SMRAM from data accesses, code fetches still see it. The memory map cannot tell a
  // fetch from a read, so only writes are redirected.
  const bool closed = (smram_ & kClosed) && smm_;
  if (visible && closed) {
    map_.log().once("dram.d_cls",
                    "host bridge: SMRAM D_CLS redirects writes only; data reads in SMM still see "
                    "SMRAM instead of the PCI bus");
  }
  map_.set_access(smram_range_, visible, visible && !closed);
}

}  // namespace dragoman
