#include <cstring>

#include "cpu/execute/host/x87.h"

namespace dragoman {

void update_x87_summary(Cpu& cpu) {
  FpuState& fpu = cpu.state.fpu;
  if (fpu.status & ~fpu.control & kX87Exceptions) {
    fpu.status |= kX87Summary | kX87Busy;
    return;
  }
  fpu.status &= static_cast<u16>(~(kX87Summary | kX87Busy));
  if (cpu.host_fpu().ferr) {
    cpu.host_fpu().ferr = false;
    if (cpu.interrupts() != nullptr) cpu.interrupts()->set_ferr(false);
  }
}

bool report_x87_error(Cpu& cpu) {
  if (cpu.state.cr0 & kCr0Ne) return cpu.raise(kVectorMf);
  // MS-DOS compatible reporting: FERR# goes out before the next waiting instruction, which is held
  // until the interrupt it causes was served. The board answers the write to port F0h with IGNNE#,
  // and a handler that left the error standing goes on then; so does a program that has interrupts
  // disabled, where the real processor would stand still.
  HostFpu& host = cpu.host_fpu();
  if (host.ferr || cpu.interrupts() == nullptr) return true;
  host.ferr = true;
  cpu.interrupts()->set_ferr(true);
  if (cpu.attention() && (cpu.state.flags & kFlagIf)) return cpu.restart_instruction(false);
  return true;
}

void initialize_x87(Cpu& cpu) {
  FpuState& fpu = cpu.state.fpu;
  fpu.control = 0x037f;
  fpu.status = 0;
  fpu.tag = 0;
  fpu.fip = fpu.fdp = 0;
  fpu.fcs = fpu.fds = fpu.opcode = 0;
  update_x87_summary(cpu);
}

void fill_x87_image(const FpuState& fpu, X87Image& image) {
  const unsigned top = (fpu.status >> 11) & 7;
  image.control = fpu.control;
  image.status = fpu.status;
  image.tag = fpu.tag;
  for (unsigned i = 0; i < 8; ++i) image.st[i] = fpu.st[(top + i) & 7];
}

void take_x87_image(const X87Image& image, FpuState& fpu) {
  const unsigned top = (image.status >> 11) & 7;
  fpu.control = image.control;
  fpu.status = image.status;
  fpu.tag = image.tag;
  for (unsigned i = 0; i < 8; ++i)
    std::memcpy(fpu.st[(top + i) & 7].data(), image.st[i].data(), 10);
}

u16 full_tag_word(const FpuState& fpu) {
  unsigned word = 0;
  for (unsigned i = 0; i < 8; ++i) {
    unsigned tag = 3;  // empty
    if ((fpu.tag >> i) & 1) {
      u64 mantissa;
      u16 exponent;
      std::memcpy(&mantissa, fpu.st[i].data(), 8);
      std::memcpy(&exponent, fpu.st[i].data() + 8, 2);
      exponent &= 0x7fff;
      if (exponent == 0 && mantissa == 0) {
        tag = 1;  // zero
      } else if (exponent == 0 || exponent == 0x7fff || !(mantissa >> 63)) {
        tag = 2;  // special
      } else {
        tag = 0;  // valid
      }
    }
    word |= tag << (2 * i);
  }
  return static_cast<u16>(word);
}

u8 abridged_tags(u16 full) {
  unsigned tags = 0;
  for (unsigned i = 0; i < 8; ++i) {
    if (((full >> (2 * i)) & 3) != 3) tags |= 1u << i;
  }
  return static_cast<u8>(tags);
}

}  // namespace dragoman
