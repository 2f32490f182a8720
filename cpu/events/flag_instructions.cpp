// PUSHF, POPF, CLI, STI with IOPL, VME and PVI (SDM vol. 2; vol. 3, 20.2, 20.3, 20.4).
#include "cpu/events/event_support.h"
#include "cpu/execute/dispatch.h"

namespace dragoman {
namespace {

bool push_flags(Cpu& cpu, const Instruction& insn) {
  u32 flags = cpu.rflags() & ~u32{kFlagVm | kFlagRf};
  if (cpu.v86() && cpu.iopl() < 3) {
    if (insn.operand_size != 2 || !(cpu.state.cr4 & kCr4Vme)) return cpu.raise(kVectorGp, 0);
    flags |= kFlagIopl;
    flags = (flags & kFlagVif) ? flags | kFlagIf : flags & ~u32{kFlagIf};
  }
  switch (insn.operand_size) {
    case 2:
      return cpu.push<u16>(static_cast<u16>(flags));
    case 4:
      return cpu.push<u32>(flags);
    default:
      return cpu.push<u64>(flags);
  }
}

bool pop_flags(Cpu& cpu, const Instruction& insn) {
  const unsigned size = insn.operand_size;
  const bool virtual_if = cpu.v86() && cpu.iopl() < 3;
  if (virtual_if && (size != 2 || !(cpu.state.cr4 & kCr4Vme))) return cpu.raise(kVectorGp, 0);
  u64 value;
  if (!read_frame(cpu, size, 0, 1, &value)) return false;
  u32 image = static_cast<u32>(value);
  u32 mask = kArithmeticFlags | kFlagTf | kFlagDf | kFlagNt;
  if (size != 2) mask |= kFlagAc | kFlagId;
  if (virtual_if) {
    if ((image & kFlagTf) || ((image & kFlagIf) && (cpu.state.flags & kFlagVip))) {
      return cpu.raise(kVectorGp, 0);
    }
    mask |= kFlagVif;
    image = (image & kFlagIf) ? image | kFlagVif : image & ~u32{kFlagVif};
  } else {
    if (cpu.cpl() <= cpu.iopl()) mask |= kFlagIf;
    if (cpu.cpl() == 0) mask |= kFlagIopl;
  }
  cpu.set_stack_pointer((cpu.state.regs[kRsp] & cpu.stack_mask()) + size);
  // RF reads as zero afterwards.
  cpu.set_rflags((cpu.rflags() & ~(mask | kFlagRf)) | (image & mask));
  return true;
}

/// Who CLI and STI act for.
enum class InterruptFlag : u8 { kReal, kVirtual, kDenied };

InterruptFlag flag_in_charge(const Cpu& cpu) {
  if (cpu.cpl() <= cpu.iopl()) return InterruptFlag::kReal;  // real mode runs with CPL 0
  const u64 extension = cpu.v86() ? kCr4Vme : kCr4Pvi;
  return cpu.cpl() == 3 && (cpu.state.cr4 & extension) ? InterruptFlag::kVirtual
                                                       : InterruptFlag::kDenied;
}

bool clear_interrupt_flag(Cpu& cpu, const Instruction&) {
  switch (flag_in_charge(cpu)) {
    case InterruptFlag::kReal:
      cpu.state.flags &= ~u32{kFlagIf};
      break;
    case InterruptFlag::kVirtual:
      cpu.state.flags &= ~u32{kFlagVif};
      break;
    case InterruptFlag::kDenied:
      return cpu.raise(kVectorGp, 0);
  }
  return true;
}

bool set_interrupt_flag(Cpu& cpu, const Instruction&) {
  CpuState& s = cpu.state;
  switch (flag_in_charge(cpu)) {
    case InterruptFlag::kReal:
      if (s.flags & kFlagIf) return true;
      s.flags |= kFlagIf;
      s.interrupt_shadow |= kShadowSti;
      cpu.set_attention_check();
      return false;
    case InterruptFlag::kVirtual:
      if (s.flags & kFlagVip) return cpu.raise(kVectorGp, 0);
      s.flags |= kFlagVif;
      return true;
    case InterruptFlag::kDenied:
      break;
  }
  return cpu.raise(kVectorGp, 0);
}

}  // namespace

Handler select_Pushf(const Instruction&) { return push_flags; }
Handler select_Popf(const Instruction&) { return pop_flags; }
Handler select_Cli(const Instruction&) { return clear_interrupt_flag; }
Handler select_Sti(const Instruction&) { return set_interrupt_flag; }

}  // namespace dragoman
