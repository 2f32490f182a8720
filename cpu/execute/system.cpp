// System instructions without control transfer: MSRs, time stamp, CPUID, TLB, ports, HLT, SMAP,
// FS/GS bases.
#include "cpu/events/events.h"
#include "cpu/execute/dispatch.h"
#include "cpu/execute/forms.h"

namespace dragoman {
namespace {

void set_edx_eax(Cpu& cpu, u64 value) {
  cpu.state.regs[kRax] = static_cast<u32>(value);
  cpu.state.regs[kRdx] = value >> 32;
}
u64 edx_eax(const Cpu& cpu) {
  return static_cast<u32>(cpu.state.regs[kRax]) | cpu.state.regs[kRdx] << 32;
}

bool rdmsr(Cpu& cpu, const Instruction&) {
  u64 value;
  if (!read_msr(cpu, static_cast<u32>(cpu.state.regs[kRcx]), value)) return false;
  set_edx_eax(cpu, value);
  return true;
}
bool wrmsr(Cpu& cpu, const Instruction&) {
  (void)write_msr(cpu, static_cast<u32>(cpu.state.regs[kRcx]), edx_eax(cpu));
  cpu.after_device_write();  // IA32_APIC_BASE moves the local APIC
  return false;
}

bool timestamp_allowed(Cpu& cpu) { return !((cpu.state.cr4 & kCr4Tsd) && cpu.cpl() > 0); }
bool rdtsc(Cpu& cpu, const Instruction&) {
  if (!timestamp_allowed(cpu)) return cpu.raise(kVectorGp, 0);
  set_edx_eax(cpu, cpu.tsc());
  return true;
}
bool rdtscp(Cpu& cpu, const Instruction&) {
  if (!timestamp_allowed(cpu)) return cpu.raise(kVectorGp, 0);
  set_edx_eax(cpu, cpu.tsc());
  cpu.state.regs[kRcx] = static_cast<u32>(cpu.state.msr.tsc_aux);
  return true;
}
bool rdpid(Cpu& cpu, const Instruction& insn) {
  cpu.state.regs[insn.rm] = static_cast<u32>(cpu.state.msr.tsc_aux);
  return true;
}
/// There are no performance counters, so every counter number is out of range: #GP(0).
bool rdpmc(Cpu& cpu, const Instruction&) { return cpu.raise(kVectorGp, 0); }

bool execute_cpuid(Cpu& cpu, const Instruction&) {
  if (!cpu.model().has_cpuid) return cpu.raise(kVectorUd);
  const CpuidResult r =
      cpuid(cpu, static_cast<u32>(cpu.state.regs[kRax]), static_cast<u32>(cpu.state.regs[kRcx]));
  cpu.state.regs[kRax] = r.eax;
  cpu.state.regs[kRbx] = r.ebx;
  cpu.state.regs[kRcx] = r.ecx;
  cpu.state.regs[kRdx] = r.edx;
  return true;
}

bool invlpg(Cpu& cpu, const Instruction& insn) {
  // The operand is an address, not an access: no limit checks; a non-canonical one does nothing.
  const u64 offset = effective_address(cpu, insn);
  u64 linear = offset + cpu.active_base(insn.segment);
  if (!cpu.code64()) linear = static_cast<u32>(linear);
  if (!cpu.code64() || cpu.canonical(linear)) cpu.flush_tlb_page(linear);
  return false;
}

bool invpcid(Cpu& cpu, const Instruction& insn) {
  const u64 type =
      cpu.code64() ? cpu.state.regs[insn.reg] : static_cast<u32>(cpu.state.regs[insn.reg]);
  const u64 offset = effective_address(cpu, insn);
  std::array<u64, 2> descriptor;
  if (!cpu.read_block(insn.segment, offset, descriptor.data(), 16)) return false;
  const u64 pcid = descriptor[0];
  if (type > 3 || (pcid & ~u64{0xfff})) return cpu.raise(kVectorGp, 0);
  const bool pcide = cpu.state.cr4 & kCr4Pcide;
  if (type < 2 && !pcide && pcid != 0) return cpu.raise(kVectorGp, 0);
  if (type == 0) {
    if (!cpu.canonical(descriptor[1])) return cpu.raise(kVectorGp, 0);
    cpu.flush_tlb_page_of(static_cast<u16>(pcid), descriptor[1]);
  } else if (type == 1) {
    cpu.flush_tlb_of(static_cast<u16>(pcid));
  } else if (type == 2) {
    cpu.flush_tlb(/*global_too=*/true);
  } else {
    cpu.flush_tlb_of_all();
  }
  return false;
}

bool cache_control(Cpu&, const Instruction&) { return true; }  // INVD, WBINVD: no caches to write

// --- Ports
// -------------------------------------------------------------------------------------------

template <class T, bool Immediate>
bool in(Cpu& cpu, const Instruction& insn) {
  const u16 port = Immediate ? static_cast<u8>(insn.immediate) : get_register<u16>(cpu, kRdx);
  if (!check_io_permission(cpu, port, sizeof(T))) return false;
  cpu.before_port_access(port, sizeof(T), false);
  set_register<T>(cpu, kRax, static_cast<T>(cpu.ports().read(Port(port), sizeof(T))));
  return false;
}
template <class T, bool Immediate>
bool out(Cpu& cpu, const Instruction& insn) {
  const u16 port = Immediate ? static_cast<u8>(insn.immediate) : get_register<u16>(cpu, kRdx);
  if (!check_io_permission(cpu, port, sizeof(T))) return false;
  cpu.before_port_access(port, sizeof(T), true);
  cpu.ports().write(Port(port), sizeof(T), get_register<T>(cpu, kRax));
  cpu.after_device_write();
  return false;
}

template <bool Immediate>
Handler select_in(unsigned bytes) {
  return bytes == 1 ? in<u8, Immediate> : bytes == 2 ? in<u16, Immediate> : in<u32, Immediate>;
}
template <bool Immediate>
Handler select_out(unsigned bytes) {
  return bytes == 1 ? out<u8, Immediate> : bytes == 2 ? out<u16, Immediate> : out<u32, Immediate>;
}

// --- Waiting
// -------------------------------------------------------------------------------------------

bool hlt(Cpu& cpu, const Instruction&) {
  cpu.state.activity = Activity::kHalted;
  return false;
}
bool monitor(Cpu& cpu, const Instruction& insn) {
  if (cpu.cpl() != 0) return cpu.raise(kVectorUd);
  if (static_cast<u32>(cpu.state.regs[kRcx]) != 0) return cpu.raise(kVectorGp, 0);
  const u64 offset = cpu.state.regs[kRax] & insn.address_mask();
  u8 ignored;
  if (!cpu.read<u8>(insn.segment, offset, ignored)) return false;
  cpu.state.monitor_armed = 1;
  return true;
}
/// Waits like HLT. A write to the monitored line may come only from this processor or a device;
/// MWAIT without an armed monitor is a NOP.
bool mwait(Cpu& cpu, const Instruction&) {
  if (cpu.cpl() != 0) return cpu.raise(kVectorUd);
  if (static_cast<u32>(cpu.state.regs[kRcx]) & ~1u) return cpu.raise(kVectorGp, 0);
  if (cpu.state.monitor_armed) {
    cpu.state.monitor_armed = 0;
    cpu.state.activity = Activity::kMwait;
  }
  return false;
}

// --- SMAP, segment bases
// ---------------------------------------------------------------------------------

bool clac(Cpu& cpu, const Instruction&) {
  if (cpu.cpl() != 0) return cpu.raise(kVectorUd);
  cpu.state.flags &= ~u32{kFlagAc};
  cpu.update_mode();
  return false;
}
bool stac(Cpu& cpu, const Instruction&) {
  if (cpu.cpl() != 0) return cpu.raise(kVectorUd);
  cpu.state.flags |= kFlagAc;
  cpu.update_mode();
  return false;
}

template <SegmentRegister Segment>
bool read_base(Cpu& cpu, const Instruction& insn) {
  if (!(cpu.state.cr4 & kCr4Fsgsbase)) return cpu.raise(kVectorUd);
  const u64 base = cpu.state.segments[Segment].base;
  cpu.state.regs[insn.rm] = insn.operand_size == 8 ? base : static_cast<u32>(base);
  return true;
}
template <SegmentRegister Segment>
bool write_base(Cpu& cpu, const Instruction& insn) {
  if (!(cpu.state.cr4 & kCr4Fsgsbase)) return cpu.raise(kVectorUd);
  const u64 value = cpu.state.regs[insn.rm];
  const u64 base = insn.operand_size == 8 ? value : static_cast<u32>(value);
  if (!cpu.canonical(base)) return cpu.raise(kVectorGp, 0);
  cpu.state.segments[Segment].base = base;
  cpu.update_mode();
  return true;
}

}  // namespace

Handler select_Rdmsr(const Instruction&) { return rdmsr; }
Handler select_Wrmsr(const Instruction&) { return wrmsr; }
Handler select_Rdtsc(const Instruction&) { return rdtsc; }
Handler select_Rdtscp(const Instruction&) { return rdtscp; }
Handler select_Rdpid(const Instruction&) { return rdpid; }
Handler select_Rdpmc(const Instruction&) { return rdpmc; }
Handler select_Cpuid(const Instruction&) { return execute_cpuid; }
Handler select_Invlpg(const Instruction&) { return invlpg; }
Handler select_Invpcid(const Instruction&) { return invpcid; }
Handler select_Invd(const Instruction&) { return cache_control; }
Handler select_Wbinvd(const Instruction&) { return cache_control; }
Handler select_In(const Instruction& insn) {
  const Row& r = row_of(insn);
  const unsigned bytes = operand_bytes(insn, r.operands[0]);
  return r.operands[1].addressing == Addressing::kI ? select_in<true>(bytes)
                                                    : select_in<false>(bytes);
}
Handler select_Out(const Instruction& insn) {
  const Row& r = row_of(insn);
  const unsigned bytes = operand_bytes(insn, r.operands[1]);
  return r.operands[0].addressing == Addressing::kI ? select_out<true>(bytes)
                                                    : select_out<false>(bytes);
}
Handler select_Hlt(const Instruction&) { return hlt; }
Handler select_Monitor(const Instruction&) { return monitor; }
Handler select_Mwait(const Instruction&) { return mwait; }
Handler select_Clac(const Instruction&) { return clac; }
Handler select_Stac(const Instruction&) { return stac; }
Handler select_Rdfsbase(const Instruction&) { return read_base<kFs>; }
Handler select_Rdgsbase(const Instruction&) { return read_base<kGs>; }
Handler select_Wrfsbase(const Instruction&) { return write_base<kFs>; }
Handler select_Wrgsbase(const Instruction&) { return write_base<kGs>; }

}  // namespace dragoman
