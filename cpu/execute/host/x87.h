// x87 state shared by the instruction groups: pending errors, images, initialisation (SDM vol. 1,
// chapter 8).
#pragma once

#include <algorithm>

#include "cpu/cpu.h"
#include "cpu/execute/host/host_fpu.h"

namespace dragoman {

/// x87 status word bits.
enum X87Status : u16 {
  kX87Exceptions = 0x003f,
  kX87StackFault = 0x0040,
  kX87Summary = 0x0080,
  kX87C1 = 0x0200,
  kX87Top = 0x3800,
  kX87Busy = 0x8000,
};

/// Bits of the control word that can be written; bit 6 always reads as one.
inline constexpr u16 kX87ControlMask = 0x1f3f;
inline constexpr u16 kX87ControlFixed = 0x0040;

/// No instruction can leave an exception pending, and none is.
inline bool x87_masked(const FpuState& fpu) {
  return (fpu.control & kX87Exceptions) == kX87Exceptions && (fpu.status & kX87Summary) == 0;
}

/// Recomputes ES and B from the exception flags and masks, and drives FERR# low once no unmasked
/// error is left.
void update_x87_summary(Cpu& cpu);

/// Reports an error left by an earlier x87 instruction. False: leave the instruction, either #MF is
/// pending or FERR# made an interrupt request that comes first (SDM vol. 1, D.2.1).
[[nodiscard]] bool report_x87_error(Cpu& cpu);

/// To be called by every waiting x87 instruction and every MMX instruction.
[[nodiscard]] inline bool check_x87_error(Cpu& cpu) {
  if (__builtin_expect((cpu.state.fpu.status & kX87Summary) == 0, 1)) return true;
  return report_x87_error(cpu);
}

/// FNINIT.
void initialize_x87(Cpu& cpu);

/// An MMX instruction sets TOP to 0 and all tags to valid.
inline void enter_mmx(FpuState& fpu) {
  fpu.status &= static_cast<u16>(~kX87Top);
  fpu.tag = 0xff;
}
/// A write to an MMX register sets sign and exponent of the x87 register to ones.
inline void mark_mmx_written(FpuState& fpu, unsigned number) {
  fpu.st[number][8] = fpu.st[number][9] = 0xff;
}

/// Suspends alignment checks: gathers, masked moves and the half-precision conversions never raise
/// #AC (SDM vol. 2, exception types 6, 11 and 12). The flag itself is back before a fault of the
/// instruction is delivered.
class WithoutAlignmentCheck {
 public:
  explicit WithoutAlignmentCheck(Cpu& cpu) : cpu_(cpu), flag_(cpu.state.flags & kFlagAc) {
    if (flag_ != 0) set(cpu_.state.flags & ~u32{kFlagAc});
  }
  ~WithoutAlignmentCheck() {
    if (flag_ != 0) set(cpu_.state.flags | flag_);
  }
  WithoutAlignmentCheck(const WithoutAlignmentCheck&) = delete;
  WithoutAlignmentCheck& operator=(const WithoutAlignmentCheck&) = delete;

 private:
  void set(u32 flags) {
    if (cpu_.state.cpl != 3) return;  // there AC means something else, and nothing is checked
    cpu_.state.flags = flags;
    cpu_.update_mode();
  }
  Cpu& cpu_;
  u32 flag_;
};

/// Full tag word (two bits per physical register) from the abridged tags and the values.
u16 full_tag_word(const FpuState& fpu);
/// Abridged tags from a full tag word.
u8 abridged_tags(u16 full);

}  // namespace dragoman
