#include "devices/i82g33.h"

#include <algorithm>
#include <span>

#include "base/bits.h"

namespace dragoman {
namespace {
constexpr u8 kPciexbar = 0x60;
constexpr u8 kPam0 = 0x90;
constexpr u8 kPam6 = 0x96;
constexpr u8 kSmram = 0x9d;
constexpr u8 kEsmramc = 0x9e;
constexpr std::array<u64, 3> kWindowBytes = {256 * kMiB, 128 * kMiB, 64 * kMiB};
}  // namespace

I82g33::I82g33(std::string name, const PciSpaces& spaces, PciBus& bus, u64 ram_below_4g)
    : StatefulPciFunction(
          std::move(name), spaces,
          {.vendor = 0x8086, .device = 0x29c0, .class_code = 0x060000, .revision = 2}),
      bus_(bus),
      dram_(spaces.memory, ram_below_4g) {
  define_register(PciRegister::kCommand, 2, 0x0006, 0x0100);  // memory and bus master always on
  define_register(PciRegister::kStatus, 2, 0x0080, 0);
  define_register(0x40, 4, 0, 0xfffff001);  // PXPEPBAR
  define_register(0x44, 4, 0, 0x0000000f);
  define_register(0x48, 4, 0, 0xffffc001);  // MCHBAR
  define_register(0x4c, 4, 0, 0x0000000f);
  define_register(0x54, 4, 0x3, 0x3);  // DEVEN: device 0, and no other
  // PCIEXBAR: disabled, at E0000000h. Address bits 27 and 26 can be set with the shorter lengths.
  define_register(kPciexbar, 4, 0xe0000000, 0xfc000007);
  define_register(kPciexbar + 4, 4, 0, 0x0000000f);
  define_register(0x68, 4, 0, 0xfffff001);  // DMIBAR
  define_register(0x6c, 4, 0, 0x0000000f);
  define_register(kPam0, 1, 0, 0x30);
  for (u8 reg = kPam0 + 1; reg <= kPam6; ++reg) define_register(reg, 1, 0, 0x33);
  define_register(0x97, 1, 0, 0x81);  // LAC
  define_register(kSmram, 1, 0x02, 0x78);
  define_register(kEsmramc, 1, 0x38, 0x87);
  define_register(0xa0, 2, 0, 0x03ff);      // TOM
  define_register(0xa2, 2, 0, 0x03ff);      // TOUUD
  define_register(0xb0, 2, 0, 0xfff0);      // TOLUD
  define_register(0xdc, 4, 0, 0xffffffff);  // SKPD
  for (unsigned i = 0; i < windows_.size(); ++i) {
    windows_[i] = spaces.memory.add_mmio(
        fmt::format("pci configuration {} MiB", kWindowBytes[i] / kMiB), PhysicalAddress(0),
        kWindowBytes[i], *this, 0, MemoryMap::kPriorityRam - 1, false);
  }
}

void I82g33::set_smm(bool smm) {
  state_.smm = smm;
  dram_.set_smm(smm);
}

void I82g33::config_written(u8 offset, unsigned size) {
  if (offset <= kPam6 && offset + size > kPam0) update_pam();
  if (offset <= kSmram && offset + size > kSmram) {
    poke_config(kSmram, 1, dram_.write_smram(static_cast<u8>(peek_config(kSmram, 1))));
  }
  if (peek_config(kEsmramc, 1) & 1) {
    spaces().memory.log().once("82g33.tseg", "82G33: ESMRAMC.T_EN: there is no TSEG");
  }
  if (offset < kPciexbar + 8 && offset + size > kPciexbar) update_configuration_space();
}

void I82g33::update_pam() {
  dram_.set_pam(std::span(config().bytes).subspan<kPam0, DramMap::kPamRegisters>());
}

void I82g33::update_configuration_space() {
  const u64 value = peek_config(kPciexbar, 4) | u64{peek_config(kPciexbar + 4, 4)} << 32;
  const u64 length = bits(value, 2, 1);
  for (unsigned i = 0; i < windows_.size(); ++i) {
    const bool enabled = (value & 1) != 0 && length == i;
    const u64 base = value & ~(kWindowBytes[i] - 1);
    if (enabled) spaces().memory.move(windows_[i], PhysicalAddress(base));
    spaces().memory.set_enabled(windows_[i], enabled);
  }
}

void I82g33::restored() {
  update_pam();
  dram_.restore(static_cast<u8>(peek_config(kSmram, 1)), state_.smm);
  update_configuration_space();
}

/// Bits 27:20 bus, 19:15 device, 14:12 function, 11:0 register (5.1.12). The functions here have
/// 256 bytes of registers; behind them, and where no function is, nobody answers.
u64 I82g33::mmio_read(unsigned /*bank*/, u64 offset, unsigned size) {
  u64 value = 0;
  for (unsigned done = 0; done < size;) {
    const u64 at = offset + done;
    const unsigned n = std::min(size - done, 4 - static_cast<unsigned>(at & 3));
    PciFunction* function = bus_.function_at(static_cast<u32>(at >> 12));
    const u64 part = function != nullptr && (at & 0xfff) < 0x100
                         ? function->config_read(static_cast<u8>(at), n)
                         : size_mask(n);
    value |= part << (8 * done);
    done += n;
  }
  return value;
}

void I82g33::mmio_write(unsigned /*bank*/, u64 offset, unsigned size, u64 value) {
  for (unsigned done = 0; done < size;) {
    const u64 at = offset + done;
    const unsigned n = std::min(size - done, 4 - static_cast<unsigned>(at & 3));
    PciFunction* function = bus_.function_at(static_cast<u32>(at >> 12));
    if (function != nullptr && (at & 0xfff) < 0x100) {
      function->config_write(static_cast<u8>(at), n,
                             static_cast<u32>(value >> (8 * done) & size_mask(n)));
    }
    done += n;
  }
}

}  // namespace dragoman
