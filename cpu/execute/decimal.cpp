// LAHF/SAHF, carry and direction flag, SALC, decimal adjustment.
#include "cpu/execute/dispatch.h"
#include "cpu/execute/operands.h"

namespace dragoman {
namespace {

bool lahf(Cpu& cpu, const Instruction&) {
  const u32 flags = arithmetic_flags(cpu.state.lazy);
  set_register<u8>(cpu, kHighByte + 0, static_cast<u8>((flags & 0xd5) | kFlagFixed));
  return true;
}
bool sahf(Cpu& cpu, const Instruction&) {
  const u32 kept = arithmetic_flags(cpu.state.lazy) & kFlagOf;
  set_arithmetic_flags(cpu.state.lazy, kept | (get_register<u8>(cpu, kHighByte + 0) & 0xd5));
  return true;
}
bool clc(Cpu& cpu, const Instruction&) {
  set_cf(cpu.state.lazy, false);
  return true;
}
bool stc(Cpu& cpu, const Instruction&) {
  set_cf(cpu.state.lazy, true);
  return true;
}
bool cmc(Cpu& cpu, const Instruction&) {
  set_cf(cpu.state.lazy, !flag_cf(cpu.state.lazy));
  return true;
}
bool cld(Cpu& cpu, const Instruction&) {
  cpu.state.flags &= ~u32{kFlagDf};
  return true;
}
bool std_(Cpu& cpu, const Instruction&) {
  cpu.state.flags |= kFlagDf;
  return true;
}
bool salc(Cpu& cpu, const Instruction&) {
  set_register<u8>(cpu, kRax, flag_cf(cpu.state.lazy) ? 0xff : 0);
  return true;
}

/// Flags of a byte result with CF and AF given; OF cleared.
void set_adjusted(Cpu& cpu, u8 result, bool cf, bool af) {
  set_flags_logic<u8>(cpu.state.lazy, result);
  cpu.state.lazy.carries = af ? 8 : 0;
  set_cf_of(cpu.state.lazy, cf, false);
}

bool daa(Cpu& cpu, const Instruction&) {
  const u8 old = get_register<u8>(cpu, kRax);
  bool cf = flag_cf(cpu.state.lazy);
  bool af = flag_af(cpu.state.lazy);
  u8 al = old;
  const bool high = old > 0x99 || cf;
  if ((old & 15) > 9 || af) {
    al = static_cast<u8>(al + 6);
    af = true;
  }
  if (high) al = static_cast<u8>(al + 0x60);
  cf = high;
  set_register<u8>(cpu, kRax, al);
  set_adjusted(cpu, al, cf, af);
  return true;
}
bool das(Cpu& cpu, const Instruction&) {
  const u8 old = get_register<u8>(cpu, kRax);
  const bool old_cf = flag_cf(cpu.state.lazy);
  bool cf = false;
  bool af = flag_af(cpu.state.lazy);
  u8 al = old;
  if ((old & 15) > 9 || af) {
    cf = old_cf || al < 6;
    al = static_cast<u8>(al - 6);
    af = true;
  }
  if (old > 0x99 || old_cf) {
    al = static_cast<u8>(al - 0x60);
    cf = true;
  }
  set_register<u8>(cpu, kRax, al);
  set_adjusted(cpu, al, cf, af);
  return true;
}
bool aaa(Cpu& cpu, const Instruction&) {
  const bool adjust = (cpu.state.regs[kRax] & 15) > 9 || flag_af(cpu.state.lazy);
  u16 ax = get_register<u16>(cpu, kRax);
  if (adjust) ax = static_cast<u16>(ax + 0x106);
  ax &= 0xff0f;
  set_register<u16>(cpu, kRax, ax);
  set_adjusted(cpu, static_cast<u8>(ax), adjust, adjust);
  return true;
}
bool aas(Cpu& cpu, const Instruction&) {
  const bool adjust = (cpu.state.regs[kRax] & 15) > 9 || flag_af(cpu.state.lazy);
  u16 ax = get_register<u16>(cpu, kRax);
  if (adjust) ax = static_cast<u16>(ax - 0x106);
  ax &= 0xff0f;
  set_register<u16>(cpu, kRax, ax);
  set_adjusted(cpu, static_cast<u8>(ax), adjust, adjust);
  return true;
}
bool aam(Cpu& cpu, const Instruction& insn) {
  const u8 base = static_cast<u8>(insn.immediate);
  if (base == 0) return cpu.raise(kVectorDe);
  const u8 al = get_register<u8>(cpu, kRax);
  set_register<u16>(cpu, kRax, static_cast<u16>((al / base) << 8 | al % base));
  set_adjusted(cpu, static_cast<u8>(al % base), false, false);
  return true;
}
bool aad(Cpu& cpu, const Instruction& insn) {
  const u16 ax = get_register<u16>(cpu, kRax);
  const u8 tens = static_cast<u8>((ax >> 8) * static_cast<u8>(insn.immediate));
  const u8 al = static_cast<u8>(ax + tens);
  set_register<u16>(cpu, kRax, al);
  // CF, AF and OF are undefined by the manual; they are those of the byte addition.
  set_flags_add<u8>(cpu.state.lazy, static_cast<u8>(ax), tens, al);
  return true;
}

}  // namespace

Handler select_Lahf(const Instruction&) { return lahf; }
Handler select_Sahf(const Instruction&) { return sahf; }
Handler select_Clc(const Instruction&) { return clc; }
Handler select_Stc(const Instruction&) { return stc; }
Handler select_Cmc(const Instruction&) { return cmc; }
Handler select_Cld(const Instruction&) { return cld; }
Handler select_Std(const Instruction&) { return std_; }
Handler select_Salc(const Instruction&) { return salc; }
Handler select_Daa(const Instruction&) { return daa; }
Handler select_Das(const Instruction&) { return das; }
Handler select_Aaa(const Instruction&) { return aaa; }
Handler select_Aas(const Instruction&) { return aas; }
Handler select_Aam(const Instruction&) { return aam; }
Handler select_Aad(const Instruction&) { return aad; }

}  // namespace dragoman
