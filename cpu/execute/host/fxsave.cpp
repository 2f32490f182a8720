#include "cpu/execute/host/fxsave.h"

#include <cstring>

#include "cpu/execute/dispatch.h"
#include "cpu/execute/host/x87.h"
#include "cpu/execute/host/xsave.h"
#include "cpu/execute/operands.h"

namespace dragoman {

void store_x87(const Cpu& cpu, bool wide, LegacyRegion& region) {
  const FpuState& fpu = cpu.state.fpu;
  u8* out = region.data();
  const u16 opcode = fpu.opcode & 0x7ff;
  std::memcpy(out, &fpu.control, 2);
  std::memcpy(out + 2, &fpu.status, 2);
  out[4] = fpu.tag;
  out[5] = 0;
  std::memcpy(out + 6, &opcode, 2);
  std::memcpy(out + 8, &fpu.fip, 8);
  std::memcpy(out + 16, &fpu.fdp, 8);
  if (!wide) {
    const u32 cs = fpu.fcs, ds = fpu.fds;
    std::memcpy(out + 12, &cs, 4);
    std::memcpy(out + 20, &ds, 4);
  }
  const unsigned top = (fpu.status >> 11) & 7;
  for (unsigned i = 0; i < 8; ++i) {
    u8* st = out + kFxsaveSt + 16 * i;
    std::memcpy(st, fpu.st[(top + i) & 7].data(), 10);
    std::memset(st + 10, 0, 6);
  }
}

void load_x87(Cpu& cpu, bool wide, const LegacyRegion& region) {
  FpuState& fpu = cpu.state.fpu;
  const u8* in = region.data();
  std::memcpy(&fpu.control, in, 2);
  fpu.control = static_cast<u16>((fpu.control & kX87ControlMask) | kX87ControlFixed);
  std::memcpy(&fpu.status, in + 2, 2);
  fpu.tag = in[4];
  std::memcpy(&fpu.opcode, in + 6, 2);
  fpu.opcode &= 0x7ff;
  std::memcpy(&fpu.fip, in + 8, 8);
  std::memcpy(&fpu.fdp, in + 16, 8);
  fpu.fcs = fpu.fds = 0;
  if (!wide) {
    fpu.fip &= 0xffffffff;
    fpu.fdp &= 0xffffffff;
    std::memcpy(&fpu.fcs, in + 12, 2);
    std::memcpy(&fpu.fds, in + 20, 2);
  }
  const unsigned top = (fpu.status >> 11) & 7;
  for (unsigned i = 0; i < 8; ++i) {
    std::memcpy(fpu.st[(top + i) & 7].data(), in + kFxsaveSt + 16 * i, 10);
  }
  update_x87_summary(cpu);
}

void reset_x87(Cpu& cpu) {
  initialize_x87(cpu);
  cpu.state.fpu.st = {};
}

void store_mxcsr(const Cpu& cpu, LegacyRegion& region) {
  const u32 mask = kMxcsrMask;
  std::memcpy(region.data() + kFxsaveMxcsr, &cpu.state.fpu.mxcsr, 4);
  std::memcpy(region.data() + kFxsaveMxcsr + 4, &mask, 4);
}

u32 region_mxcsr(const LegacyRegion& region) {
  u32 value;
  std::memcpy(&value, region.data() + kFxsaveMxcsr, 4);
  return value;
}

void store_xmm(const Cpu& cpu, LegacyRegion& region) {
  const unsigned count = cpu.code64() ? 16 : 8;
  for (unsigned i = 0; i < count; ++i) {
    std::memcpy(region.data() + kFxsaveXmm + 16 * i, cpu.state.fpu.ymm[i].data(), 16);
  }
}

void load_xmm(Cpu& cpu, const LegacyRegion& region) {
  const unsigned count = cpu.code64() ? 16 : 8;
  for (unsigned i = 0; i < count; ++i) {
    std::memcpy(cpu.state.fpu.ymm[i].data(), region.data() + kFxsaveXmm + 16 * i, 16);
  }
}

bool check_area_alignment(Cpu& cpu, const Instruction& insn, u64 offset, unsigned alignment,
                          AccessType type) {
  u64 linear;
  if (!cpu.segment_linear(insn.segment, offset, kXsaveLegacyBytes, type, linear)) return false;
  if (linear & (alignment - 1)) return cpu.raise(kVectorGp, 0);
  return true;
}

namespace {

/// "Fast FXSAVE" (APM vol. 2, 3.1.7): no XMM registers for 64-bit code at CPL 0.
bool skips_xmm(const Cpu& cpu) {
  return (cpu.state.efer & kEferFfxsr) && cpu.code64() && cpu.cpl() == 0;
}

bool wide_form(const Cpu& cpu, const Instruction& insn) {
  return cpu.code64() && insn.has(kInsnRexW);
}

bool fxsave(Cpu& cpu, const Instruction& insn) {
  const u64 offset = effective_address(cpu, insn);
  if (!check_area_alignment(cpu, insn, offset, 16, AccessType::kWrite)) return false;
  LegacyRegion region;
  store_x87(cpu, wide_form(cpu, insn), region);
  store_mxcsr(cpu, region);
  if (!skips_xmm(cpu)) store_xmm(cpu, region);
  const unsigned bytes = skips_xmm(cpu) ? kFxsaveXmm : fxsave_xmm_end(cpu);
  return cpu.write_block(insn.segment, offset, region.data(), bytes);
}

bool fxrstor(Cpu& cpu, const Instruction& insn) {
  const u64 offset = effective_address(cpu, insn);
  if (!check_area_alignment(cpu, insn, offset, 16, AccessType::kRead)) return false;
  LegacyRegion region;
  if (!cpu.read_block(insn.segment, offset, region.data(), kXsaveLegacyBytes)) return false;
  const u32 mxcsr = region_mxcsr(region);
  if (mxcsr & ~kMxcsrMask) return cpu.raise(kVectorGp, 0);
  cpu.state.fpu.mxcsr = mxcsr;
  load_x87(cpu, wide_form(cpu, insn), region);
  if (!skips_xmm(cpu)) load_xmm(cpu, region);
  return true;
}

bool ldmxcsr(Cpu& cpu, const Instruction& insn) {
  u32 value;
  if (!cpu.read<u32>(insn.segment, effective_address(cpu, insn), value)) return false;
  if (value & ~kMxcsrMask) return cpu.raise(kVectorGp, 0);
  cpu.state.fpu.mxcsr = value;
  return true;
}

bool stmxcsr(Cpu& cpu, const Instruction& insn) {
  return cpu.write<u32>(insn.segment, effective_address(cpu, insn), cpu.state.fpu.mxcsr);
}

}  // namespace

Handler select_Fxsave(const Instruction&) { return fxsave; }
Handler select_Fxrstor(const Instruction&) { return fxrstor; }
Handler select_Ldmxcsr(const Instruction&) { return ldmxcsr; }
Handler select_Vldmxcsr(const Instruction&) { return ldmxcsr; }
Handler select_Stmxcsr(const Instruction&) { return stmxcsr; }
Handler select_Vstmxcsr(const Instruction&) { return stmxcsr; }

}  // namespace dragoman
