// MOV to and from control and debug registers, LMSW, SMSW, CLTS (SDM vol. 3, 2.5 and 17.2).
#include "cpu/execute/dispatch.h"
#include "cpu/execute/forms.h"

namespace dragoman {
namespace {

bool set_cr0(Cpu& cpu, u64 value) {
  CpuState& s = cpu.state;
  constexpr u64 kDefined = kCr0Pe | kCr0Mp | kCr0Em | kCr0Ts | kCr0Et | kCr0Ne | kCr0Wp | kCr0Am |
                           kCr0Nw | kCr0Cd | kCr0Pg;
  if (value >> 32) return cpu.raise(kVectorGp, 0);
  value = (value & kDefined) | kCr0Et;
  if ((value & kCr0Pg) && !(value & kCr0Pe)) return cpu.raise(kVectorGp, 0);
  if ((value & kCr0Nw) && !(value & kCr0Cd)) return cpu.raise(kVectorGp, 0);
  const u64 changed = value ^ s.cr0;
  if (changed & kCr0Pg) {
    if (value & kCr0Pg) {
      if (s.efer & kEferLme) {
        if (!(s.cr4 & kCr4Pae) || s.segments[kCs].long_mode()) return cpu.raise(kVectorGp, 0);
        // A 16-bit TSS in TR has no place in IA-32e mode (SDM vol. 2, MOV to control registers).
        const unsigned task = s.segments[kTr].type();
        if (task == 1 || task == 3) return cpu.raise(kVectorGp, 0);
        s.efer |= kEferLma;
      } else if (s.cr4 & kCr4Pae) {
        if (!cpu.load_pdptes(s.cr3)) return false;
      }
    } else {
      if (cpu.code64() || (s.cr4 & kCr4Pcide)) return cpu.raise(kVectorGp, 0);
      s.efer &= ~u64{kEferLma};
    }
  } else if ((value & kCr0Pg) && (changed & (kCr0Cd | kCr0Nw)) && (s.cr4 & kCr4Pae) &&
             !cpu.long_mode()) {
    if (!cpu.load_pdptes(s.cr3)) return false;  // SDM vol. 3, 4.4.1
  }
  s.cr0 = value;
  // Without paging PE changes nothing about addresses; firmware goes to and fro all the time.
  const u64 decides = s.cr0 & kCr0Pg ? kCr0Pg | kCr0Wp | kCr0Pe : u64{kCr0Pg};
  if (changed & decides) cpu.flush_tlb(true);
  cpu.update_mode();
  return true;
}

bool set_cr3(Cpu& cpu, u64 value) {
  CpuState& s = cpu.state;
  const bool pcide = s.cr4 & kCr4Pcide;
  const u64 no_flush = pcide ? bit(63) : 0;
  if (cpu.long_mode()) {
    const u64 reserved = ~(bit(cpu.model().physical_bits) - 1) & ~no_flush;
    if (value & reserved) return cpu.raise(kVectorGp, 0);
  } else {
    value &= 0xffffffff;
    if ((s.cr0 & kCr0Pg) && (s.cr4 & kCr4Pae) && !cpu.load_pdptes(value)) return false;
  }
  s.cr3 = value & ~no_flush;
  cpu.address_space_changed((value & no_flush) != 0);
  return true;
}

u64 cr4_implemented(const Cpu& cpu) {
  struct Entry {
    u64 bit;
    Feature feature;
  };
  static constexpr Entry kEntries[] = {
      {kCr4Vme | kCr4Pvi, Feature::kVme},
      {kCr4Tsd, Feature::kTsc},
      {kCr4De, Feature::kDe},
      {kCr4Pse, Feature::kPse},
      {kCr4Pae, Feature::kPae},
      {kCr4Mce, Feature::kMce},
      {kCr4Pge, Feature::kPge},
      {kCr4Pce, Feature::kMmx},
      {kCr4Osfxsr, Feature::kFxsr},
      {kCr4Osxmmexcpt, Feature::kSse},
      {kCr4Umip, Feature::kUmip},
      {kCr4Fsgsbase, Feature::kFsgsbase},
      {kCr4Pcide, Feature::kPcid},
      {kCr4Osxsave, Feature::kXsave},
      {kCr4Smep, Feature::kSmep},
      {kCr4Smap, Feature::kSmap},
      {kCr4Pke, Feature::kPku},
  };
  u64 mask = 0;
  for (const Entry& entry : kEntries) {
    if (cpu.has(entry.feature)) mask |= entry.bit;
  }
  return mask;
}

bool set_cr4(Cpu& cpu, u64 value) {
  CpuState& s = cpu.state;
  if (value & ~cr4_implemented(cpu)) return cpu.raise(kVectorGp, 0);
  const u64 changed = value ^ s.cr4;
  if (cpu.long_mode() && !(value & kCr4Pae)) return cpu.raise(kVectorGp, 0);
  if ((changed & kCr4Pcide) && (value & kCr4Pcide)) {
    if (!cpu.long_mode() || (s.cr3 & 0xfff)) return cpu.raise(kVectorGp, 0);
  }
  constexpr u64 kReloads = kCr4Pae | kCr4Pge | kCr4Pse | kCr4Smep;
  if ((changed & kReloads) && (s.cr0 & kCr0Pg) && (value & kCr4Pae) && !cpu.long_mode()) {
    if (!cpu.load_pdptes(s.cr3)) return false;
  }
  s.cr4 = value;
  if (changed & (kReloads | kCr4Pcide | kCr4Smap | kCr4Pke)) cpu.flush_tlb(true);
  if (changed & kCr4Pcide) cpu.address_space_changed(/*keep=*/true);
  cpu.update_mode();
  return true;
}

bool mov_from_cr(Cpu& cpu, const Instruction& insn) {
  const CpuState& s = cpu.state;
  u64 value = 0;
  switch (insn.reg) {
    case 0:
      value = s.cr0;
      break;
    case 2:
      value = s.cr2;
      break;
    case 3:
      value = s.cr3;
      break;
    case 4:
      if (cpu.model().family < 5 && !cpu.has(Feature::kVme)) return cpu.raise(kVectorUd);
      value = s.cr4;
      break;
    case 8:
      value = cpu.interrupts() != nullptr ? cpu.interrupts()->cr8() : 0;
      break;
    default:
      return cpu.raise(kVectorUd);
  }
  cpu.state.regs[insn.rm] = cpu.code64() ? value : static_cast<u32>(value);
  return true;
}

bool mov_to_cr(Cpu& cpu, const Instruction& insn) {
  const u64 value =
      cpu.code64() ? cpu.state.regs[insn.rm] : static_cast<u32>(cpu.state.regs[insn.rm]);
  switch (insn.reg) {
    case 0:
      (void)set_cr0(cpu, value);
      break;
    case 2:
      cpu.state.cr2 = value;
      break;
    case 3:
      (void)set_cr3(cpu, value);
      break;
    case 4:
      (void)set_cr4(cpu, value);
      break;
    case 8:
      if (value & ~u64{15}) return cpu.raise(kVectorGp, 0);
      if (cpu.interrupts() != nullptr) cpu.interrupts()->set_cr8(static_cast<u8>(value));
      break;
    default:
      return cpu.raise(kVectorUd);
  }
  return false;  // modes may have changed
}

/// DR4 and DR5 are names of DR6 and DR7 unless CR4.DE is set. 8 and above do not exist.
bool debug_register(Cpu& cpu, unsigned encoded, unsigned& number) {
  number = encoded;
  if (encoded >= 8) return cpu.raise(kVectorUd);
  if (encoded == 4 || encoded == 5) {
    if (cpu.state.cr4 & kCr4De) return cpu.raise(kVectorUd);
    number = encoded + 2;
  }
  constexpr u64 kGeneralDetect = bit(13);
  if (cpu.state.dr[7] & kGeneralDetect) return cpu.raise_debug_fault(kGeneralDetect);
  return true;
}

bool mov_from_dr(Cpu& cpu, const Instruction& insn) {
  unsigned number;
  if (!debug_register(cpu, insn.reg, number)) return false;
  const u64 value = cpu.state.dr[number];
  cpu.state.regs[insn.rm] = cpu.code64() ? value : static_cast<u32>(value);
  return true;
}

bool mov_to_dr(Cpu& cpu, const Instruction& insn) {
  unsigned number;
  if (!debug_register(cpu, insn.reg, number)) return false;
  u64 value = cpu.code64() ? cpu.state.regs[insn.rm] : static_cast<u32>(cpu.state.regs[insn.rm]);
  if (number >= 6 && (value >> 32)) return cpu.raise(kVectorGp, 0);
  if (number == 6) value = (value & 0xe00f) | 0xffff0ff0;
  if (number == 7) value = (value & 0xffff27ff) | 0x400;  // bits 11, 12, 14, 15 are zero
  cpu.state.dr[number] = value;
  if (number != 6) cpu.update_watchpoints();
  cpu.set_attention_check();
  return false;
}

/// LMSW sets PE, MP, EM, TS; it cannot clear PE.
bool lmsw(Cpu& cpu, const Instruction& insn) {
  u16 value;
  if (!read_rm<u16>(cpu, insn, value)) return false;
  const u64 cr0 = (cpu.state.cr0 & ~u64{0xe}) | (value & 0xf);
  (void)set_cr0(cpu, cr0);
  return false;
}

template <class T>
struct SmswHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    if ((cpu.state.cr4 & kCr4Umip) && cpu.cpl() > 0) return cpu.raise(kVectorGp, 0);
    if (insn.memory()) return write_rm<u16>(cpu, insn, static_cast<u16>(cpu.state.cr0));
    set_register<T>(cpu, insn.rm, static_cast<T>(cpu.state.cr0));
    return true;
  }
};

bool clts(Cpu& cpu, const Instruction&) {
  cpu.state.cr0 &= ~u64{kCr0Ts};
  cpu.update_mode();
  return false;
}

}  // namespace

Handler select_MovFromCr(const Instruction&) { return mov_from_cr; }
Handler select_MovToCr(const Instruction&) { return mov_to_cr; }
Handler select_MovFromDr(const Instruction&) { return mov_from_dr; }
Handler select_MovToDr(const Instruction&) { return mov_to_dr; }
Handler select_Lmsw(const Instruction&) { return lmsw; }
Handler select_Smsw(const Instruction& insn) { return by_operand_size<SmswHandler>(insn); }
Handler select_Clts(const Instruction&) { return clts; }

}  // namespace dragoman
