#include "devices/i440fx.h"

#include <algorithm>

#include "base/assert.h"
#include "base/bits.h"

namespace dragoman {
namespace {
constexpr u8 kPam0 = 0x59;
constexpr u8 kPam6 = 0x5f;
constexpr u8 kSmram = 0x72;
constexpr u8 kOpen = 0x40;
constexpr u8 kClosed = 0x20;
constexpr u8 kLock = 0x10;
constexpr u8 kEnable = 0x08;

struct PamSegment {
  u32 first;
  u32 bytes;
  u8 reg;
  u8 shift;
};

// Datasheet 3.2.18, table 5: attribute nibbles, bit 0 read enable, bit 1 write enable.
constexpr PamSegment pam_segment(unsigned index) {
  if (index == 0) return {0xf0000, 0x10000, kPam0, 4};
  const unsigned n = index - 1;  // 16 KiB segments from C0000h, two per register
  return {0xc0000 + n * 0x4000, 0x4000, static_cast<u8>(kPam0 + 1 + n / 2),
          static_cast<u8>(n % 2 * 4)};
}
}  // namespace

I440fx::I440fx(std::string name, const PciSpaces& spaces, u64 ram_below_4g)
    : StatefulPciFunction(
          std::move(name), spaces,
          {.vendor = 0x8086, .device = 0x1237, .class_code = 0x060000, .revision = 2}) {
  define_register(PciRegister::kCommand, 2, 0x0006, 0x0140);  // memory and bus master always on
  define_register(PciRegister::kStatus, 2, 0x0280, 0);
  define_register(0x50, 2, 0, 0xffff);   // PMCCFG
  define_register(0x52, 1, 0, 0xff);     // DETURBO
  define_register(0x53, 1, 0x80, 0xff);  // DBC
  define_register(0x54, 1, 0, 0xff);     // AXC
  define_register(0x55, 2, 0, 0xffff);   // DRT
  define_register(0x57, 1, 0x01, 0xff);  // DRAMC
  define_register(0x58, 1, 0x10, 0xff);  // DRAMT
  define_register(kPam0, 1, 0, 0x70);    // PAM0: only the upper nibble is in use
  for (u8 reg = kPam0 + 1; reg <= kPam6; ++reg) define_register(reg, 1, 0, 0x77);
  for (u8 reg = 0x60; reg <= 0x67; ++reg) define_register(reg, 1, 0x01, 0xff);  // DRB
  define_register(0x68, 1, 0, 0xc0);                                            // FDHC
  define_register(0x70, 1, 0x20, 0xff);                                         // MTT
  define_register(0x71, 1, 0x10, 0xff);                                         // CLT
  define_register(kSmram, 1, 0x02, kOpen | kClosed | kLock | kEnable);
  define_register(0x90, 1, 0, 0xff);  // ERRCMD
  define_register(0x91, 1, 0, 0);     // ERRSTS: this board detects no ECC errors
  define_write_one_to_clear(0x91, 1, 0x13);
  define_register(0x93, 1, 0, 0x0e);  // TRC

  MemoryMap& map = spaces.memory;
  u8* ram = map.memory().ram();
  const u64 ram_size = map.memory().ram_size();
  const u64 below = std::min(ram_below_4g, ram_size);
  DRAGOMAN_ASSERT(below >= kMiB && ram_below_4g < bit(32));
  map.add_memory("ram", PhysicalAddress(0), 0xa0000, ram, true, true, MemoryMap::kPriorityRam);
  if (below > kMiB) {
    map.add_memory("ram above 1 MiB", PhysicalAddress(kMiB), below - kMiB, ram + kMiB, true, true,
                   MemoryMap::kPriorityRam);
  }
  if (ram_size > below) {
    map.add_memory("ram above 4 GiB", PhysicalAddress(bit(32)), ram_size - below, ram + below, true,
                   true, MemoryMap::kPriorityRam);
  }
  smram_ = map.add_memory("smram", PhysicalAddress(0xa0000), 0x20000, ram + 0xa0000, false, false,
                          MemoryMap::kPriorityShadow);
  for (unsigned i = 0; i < pam_.size(); ++i) {
    const PamSegment segment = pam_segment(i);
    pam_[i] = map.add_memory(fmt::format("pam {:x}", segment.first), PhysicalAddress(segment.first),
                             segment.bytes, ram + segment.first, false, false,
                             MemoryMap::kPriorityShadow);
  }
}

void I440fx::set_smm(bool smm) {
  if (state_.smm == smm) return;
  state_.smm = smm;
  update_smram();
}

void I440fx::config_written(u8 offset, unsigned size) {
  if (offset <= kPam6 && offset + size > kPam0) update_pam();
  if (offset <= kSmram && offset + size > kSmram) {
    // D_LCK stays until reset; it clears D_OPEN and makes both read-only (3.2.22).
    u8 smram = static_cast<u8>(peek_config(kSmram, 1));
    if (smram & kLock) locked_ = true;
    if (locked_) smram = static_cast<u8>((smram | kLock) & ~kOpen);
    poke_config(kSmram, 1, smram);
    update_smram();
  }
}

void I440fx::update_pam() {
  for (unsigned i = 0; i < pam_.size(); ++i) {
    const PamSegment segment = pam_segment(i);
    const u32 attributes = peek_config(segment.reg, 1) >> segment.shift;
    spaces().memory.set_access(pam_[i], (attributes & 1) != 0, (attributes & 2) != 0);
  }
}

void I440fx::update_smram() {
  const u32 smram = peek_config(kSmram, 1);
  const bool visible = (smram & kEnable) && (state_.smm || (smram & kOpen));
  // D_CLS hides SMRAM from data accesses, code fetches still see it. The memory map cannot tell a
  // fetch from a read, so only writes are redirected.
  const bool closed = (smram & kClosed) && state_.smm;
  if (visible && closed) {
    spaces().memory.log().once("i440fx.d_cls",
                               "i440FX: SMRAM D_CLS redirects writes only; data reads in SMM still "
                               "see SMRAM instead of the PCI bus");
  }
  spaces().memory.set_access(smram_, visible, visible && !closed);
}

void I440fx::restored() {
  locked_ = (peek_config(kSmram, 1) & kLock) != 0;
  update_pam();
  update_smram();
}

}  // namespace dragoman
