#include "devices/i440fx.h"

#include <span>

namespace dragoman {
namespace {
constexpr u8 kPam0 = 0x59;
constexpr u8 kPam6 = 0x5f;
constexpr u8 kSmram = 0x72;
}  // namespace

I440fx::I440fx(std::string name, const PciSpaces& spaces, u64 ram_below_4g)
    : StatefulPciFunction(
          std::move(name), spaces,
          {.vendor = 0x8086, .device = 0x1237, .class_code = 0x060000, .revision = 2}),
      dram_(spaces.memory, ram_below_4g) {
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
  define_register(kSmram, 1, 0x02, 0x78);
  define_register(0x90, 1, 0, 0xff);  // ERRCMD
  define_register(0x91, 1, 0, 0);     // ERRSTS: this board detects no ECC errors
  define_write_one_to_clear(0x91, 1, 0x13);
  define_register(0x93, 1, 0, 0x0e);  // TRC
}

void I440fx::set_smm(bool smm) {
  state_.smm = smm;
  dram_.set_smm(smm);
}

void I440fx::config_written(u8 offset, unsigned size) {
  if (offset <= kPam6 && offset + size > kPam0) update_pam();
  if (offset <= kSmram && offset + size > kSmram) {
    poke_config(kSmram, 1, dram_.write_smram(static_cast<u8>(peek_config(kSmram, 1))));
  }
}

void I440fx::update_pam() {
  dram_.set_pam(std::span(config().bytes).subspan<kPam0, DramMap::kPamRegisters>());
}

void I440fx::restored() {
  update_pam();
  dram_.restore(static_cast<u8>(peek_config(kSmram, 1)), state_.smm);
}

}  // namespace dragoman
