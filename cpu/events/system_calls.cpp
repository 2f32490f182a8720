// SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS. Intel and AMD differ in the modes they allow them in
// and in what SYSRET does to SS (SDM vol. 2; APM vol. 3).
#include <utility>

#include "cpu/events/event_support.h"
#include "cpu/execute/dispatch.h"

namespace dragoman {
namespace {

constexpr u16 kCode64 = 0xa09b;
constexpr u16 kCode32 = 0xc09b;
constexpr u16 kData = 0xc093;
constexpr u16 kUserDpl = 0x60;

Segment flat(u16 selector, unsigned attributes) {
  return {0, 0xffffffff, selector, static_cast<u16>(attributes)};
}

/// Flat CS and SS of the kernel; CPL becomes 0.
void enter_kernel(Cpu& cpu, u16 selector, bool code64, u64 rip) {
  CpuState& s = cpu.state;
  s.segments[kCs] = flat(with_rpl(selector, 0), code64 ? kCode64 : kCode32);
  s.segments[kSs] = flat(static_cast<u16>(with_rpl(selector, 0) + 8), kData);
  s.cpl = 0;
  s.rip() = rip;
}

bool system_call(Cpu& cpu, const Instruction&) {
  CpuState& s = cpu.state;
  if (!(s.efer & kEferSce)) return cpu.raise(kVectorUd);
  if (!cpu.code64() && !amd(cpu)) return cpu.raise(kVectorUd);
  const u16 selector = static_cast<u16>(s.msr.star >> 32);
  const u32 flags = cpu.rflags();
  if (cpu.long_mode()) {
    const u64 target = cpu.code64() ? s.msr.lstar : s.msr.cstar;
    s.regs[kRcx] = s.rip();
    s.regs[kR11] = flags & ~u32{kFlagRf};
    enter_kernel(cpu, selector, true, target);
    cpu.set_rflags(flags & ~(static_cast<u32>(s.msr.sfmask) | kFlagRf));
  } else {
    s.regs[kRcx] = static_cast<u32>(s.rip());
    enter_kernel(cpu, selector, false, s.msr.star & 0xffffffff);
    cpu.set_rflags(flags & ~u32{kFlagVm | kFlagIf | kFlagRf});
  }
  cpu.update_mode();
  return false;
}

bool system_return(Cpu& cpu, const Instruction& insn) {
  CpuState& s = cpu.state;
  if (!(s.efer & kEferSce) || (!cpu.code64() && !amd(cpu))) return cpu.raise(kVectorUd);
  if (cpu.real_mode() || cpu.cpl() != 0) return cpu.raise(kVectorGp, 0);
  const bool wide = insn.operand_size == 8;
  // Intel checks here, with the kernel's privilege; AMD lets the fetch at the target fault.
  if (wide && !amd(cpu) && !cpu.canonical(s.regs[kRcx])) return cpu.raise(kVectorGp, 0);
  const u16 base = static_cast<u16>(s.msr.star >> 48);
  const u16 code = static_cast<u16>((wide ? base + 16 : base) | 3);
  s.segments[kCs] = flat(code, (wide ? kCode64 : kCode32) | kUserDpl);
  if (amd(cpu)) {
    s.segments[kSs].selector = static_cast<u16>(base + 8);  // the hidden part stays
  } else {
    s.segments[kSs] = flat(static_cast<u16>((base + 8) | 3), kData | kUserDpl);
  }
  s.cpl = 3;
  s.rip() = wide ? s.regs[kRcx] : static_cast<u32>(s.regs[kRcx]);
  if (cpu.long_mode()) {
    cpu.set_rflags(static_cast<u32>(s.regs[kR11]) & 0x3c7fd7);
    // SYSRET traps by TF as it leaves it, ahead of the first instruction of the program.
    if (s.flags & kFlagTf) cpu.note_debug_trap(1u << 14);
  } else {
    cpu.set_rflags(cpu.rflags() | kFlagIf);
  }
  cpu.update_mode();
  return false;
}

bool system_enter(Cpu& cpu, const Instruction&) {
  CpuState& s = cpu.state;
  if (cpu.long_mode() && amd(cpu)) return cpu.raise(kVectorUd);
  const u16 selector = static_cast<u16>(s.msr.sysenter_cs);
  if (cpu.real_mode() || null_selector(selector)) return cpu.raise(kVectorGp, 0);
  const bool wide = cpu.long_mode();
  const u64 mask = wide ? ~u64{0} : 0xffffffff;
  cpu.set_rflags(cpu.rflags() & ~u32{kFlagVm | kFlagIf | kFlagRf});
  enter_kernel(cpu, selector, wide, s.msr.sysenter_eip & mask);
  s.regs[kRsp] = s.msr.sysenter_esp & mask;
  cpu.update_mode();
  return false;
}

bool system_exit(Cpu& cpu, const Instruction& insn) {
  CpuState& s = cpu.state;
  if (cpu.long_mode() && amd(cpu)) return cpu.raise(kVectorUd);
  const u16 selector = static_cast<u16>(s.msr.sysenter_cs);
  if (cpu.real_mode() || cpu.cpl() != 0 || null_selector(selector)) return cpu.raise(kVectorGp, 0);
  const bool wide = insn.operand_size == 8;
  if (wide && (!cpu.canonical(s.regs[kRcx]) || !cpu.canonical(s.regs[kRdx]))) {
    return cpu.raise(kVectorGp, 0);
  }
  const u64 mask = wide ? ~u64{0} : 0xffffffff;
  const u16 code = static_cast<u16>((selector & 0xfffc) + (wide ? 32 : 16));
  s.regs[kRsp] = s.regs[kRcx] & mask;
  s.rip() = s.regs[kRdx] & mask;
  s.segments[kCs] = flat(with_rpl(code, 3), (wide ? kCode64 : kCode32) | kUserDpl);
  s.segments[kSs] = flat(static_cast<u16>(with_rpl(code, 3) + 8), kData | kUserDpl);
  s.cpl = 3;
  cpu.update_mode();
  return false;
}

bool swap_gs(Cpu& cpu, const Instruction&) {
  if (!cpu.code64()) return cpu.raise(kVectorUd);
  if (cpu.cpl() != 0) return cpu.raise(kVectorGp, 0);
  std::swap(cpu.state.segments[kGs].base, cpu.state.msr.kernel_gs_base);
  cpu.update_mode();
  return true;
}

}  // namespace

Handler select_Syscall(const Instruction&) { return system_call; }
Handler select_Sysret(const Instruction&) { return system_return; }
Handler select_Sysenter(const Instruction&) { return system_enter; }
Handler select_Sysexit(const Instruction&) { return system_exit; }
Handler select_Swapgs(const Instruction&) { return swap_gs; }

}  // namespace dragoman
