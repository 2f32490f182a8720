// XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR, XRSTORS (SDM vol. 1, chapter 13).
#include "cpu/execute/host/xsave.h"

#include <algorithm>
#include <cstring>

#include "cpu/execute/dispatch.h"
#include "cpu/execute/host/fxsave.h"
#include "cpu/execute/host/x87.h"
#include "cpu/execute/operands.h"

namespace dragoman {

u64 xstate_in_use(const Cpu& cpu) {
  const FpuState& fpu = cpu.state.fpu;
  const auto nonzero = [](u8 byte) { return byte != 0; };
  u64 in_use = 0;
  bool x87 = fpu.control != 0x037f || fpu.status != 0 || fpu.tag != 0 || fpu.fip != 0 ||
             fpu.fdp != 0 || fpu.fcs != 0 || fpu.fds != 0 || fpu.opcode != 0;
  for (const auto& st : fpu.st) x87 = x87 || std::any_of(st.begin(), st.begin() + 10, nonzero);
  if (x87) in_use |= kXstateX87;
  for (const auto& ymm : fpu.ymm) {
    if (std::any_of(ymm.begin(), ymm.begin() + 16, nonzero)) in_use |= kXstateSse;
    if (std::any_of(ymm.begin() + 16, ymm.end(), nonzero)) in_use |= kXstateAvx;
  }
  if (cpu.state.pkru != 0) in_use |= kXstatePkru;
  return in_use;
}

namespace {

constexpr u64 kCompacted = u64{1} << 63;
constexpr u32 kMxcsrInitial = 0x1f80;

/// Where a component lies in an area whose format is `xcomp_bv` (0: standard).
unsigned avx_offset() { return kXsaveAvxOffset; }
unsigned pkru_offset(u64 xcomp_bv) {
  if (!(xcomp_bv & kCompacted)) return kXsavePkruOffset;
  return xsave_area_bytes(xcomp_bv & kXstateAvx, true);
}

u64 requested(const Cpu& cpu) {
  return u64{static_cast<u32>(cpu.state.regs[kRdx])} << 32 | static_cast<u32>(cpu.state.regs[kRax]);
}

bool wide_form(const Cpu& cpu, const Instruction& insn) {
  return cpu.code64() && insn.has(kInsnRexW);
}

/// The area in guest memory.
class Area {
 public:
  Area(Cpu& cpu, const Instruction& insn)
      : cpu_(cpu), insn_(insn), offset_(effective_address(cpu, insn)) {}

  [[nodiscard]] bool check(AccessType type) const {
    return check_area_alignment(cpu_, insn_, offset_, 64, type);
  }
  [[nodiscard]] bool read(unsigned at, void* out, unsigned bytes) const {
    return cpu_.read_block(insn_.segment, address(at), out, bytes);
  }
  [[nodiscard]] bool probe(unsigned at, unsigned bytes) const {
    return cpu_.probe_write(insn_.segment, address(at), bytes);
  }
  [[nodiscard]] bool write(unsigned at, const void* in, unsigned bytes) const {
    return cpu_.write_block(insn_.segment, address(at), in, bytes);
  }

 private:
  u64 address(unsigned at) const { return (offset_ + at) & insn_.address_mask(); }

  Cpu& cpu_;
  const Instruction& insn_;
  u64 offset_;
};

/// Pieces of an area that are written only after all of them proved writable.
class Pieces {
 public:
  explicit Pieces(const Area& area) : area_(area) {}
  void add(unsigned at, const void* data, unsigned bytes) { pieces_[count_++] = {at, bytes, data}; }
  [[nodiscard]] bool write() const {
    for (unsigned i = 0; i < count_; ++i) {
      if (!area_.probe(pieces_[i].at, pieces_[i].bytes)) return false;
    }
    for (unsigned i = 0; i < count_; ++i) {
      if (!area_.write(pieces_[i].at, pieces_[i].data, pieces_[i].bytes)) return false;
    }
    return true;
  }

 private:
  struct Piece {
    unsigned at, bytes;
    const void* data;
  };
  const Area& area_;
  std::array<Piece, 8> pieces_{};
  unsigned count_ = 0;
};

std::array<u8, kXsaveAvxBytes> upper_halves(const Cpu& cpu) {
  std::array<u8, kXsaveAvxBytes> out{};
  for (unsigned i = 0; i < 16; ++i) {
    std::memcpy(out.data() + 16 * i, cpu.state.fpu.ymm[i].data() + 16, 16);
  }
  return out;
}

enum class Form : u8 { kXsave, kXsaveopt, kXsavec };  // XSAVES is XSAVEC with XCR0 | IA32_XSS

bool save(Cpu& cpu, const Instruction& insn, Form form, u64 features) {
  const Area area(cpu, insn);
  if (!area.check(AccessType::kWrite)) return false;
  const u64 rfbm = features & requested(cpu);
  const bool compacted = form == Form::kXsavec;
  u64 in_use = xstate_in_use(cpu);
  // The compacting forms count MXCSR as part of the SSE component (13.10).
  if (compacted && cpu.state.fpu.mxcsr != kMxcsrInitial) in_use |= kXstateSse;
  const u64 saved = form == Form::kXsave ? rfbm : rfbm & in_use;
  const u64 xcomp_bv = compacted ? rfbm | kCompacted : 0;

  std::array<u64, 2> header{};
  if (compacted) {
    header = {rfbm & in_use, xcomp_bv};
  } else {
    u64 old;
    if (!area.read(kXsaveLegacyBytes, &old, 8)) return false;
    header[0] = (old & ~rfbm) | (rfbm & in_use);
  }

  LegacyRegion region;
  Pieces pieces(area);
  if (saved & kXstateX87) {
    store_x87(cpu, wide_form(cpu, insn), region);
    pieces.add(0, region.data(), kFxsaveMxcsr);
    pieces.add(kFxsaveSt, region.data() + kFxsaveSt, kFxsaveXmm - kFxsaveSt);
  }
  if (compacted ? (saved & kXstateSse) != 0 : (rfbm & (kXstateSse | kXstateAvx)) != 0) {
    store_mxcsr(cpu, region);
    pieces.add(kFxsaveMxcsr, region.data() + kFxsaveMxcsr, 8);
  }
  if (saved & kXstateSse) {
    store_xmm(cpu, region);
    pieces.add(kFxsaveXmm, region.data() + kFxsaveXmm, fxsave_xmm_end(cpu) - kFxsaveXmm);
  }
  const auto upper = upper_halves(cpu);
  if (saved & kXstateAvx) {
    pieces.add(avx_offset(), upper.data(), cpu.code64() ? kXsaveAvxBytes : kXsaveAvxBytes / 2);
  }
  const u64 pkru = cpu.state.pkru;
  if (saved & kXstatePkru) pieces.add(pkru_offset(xcomp_bv), &pkru, kXsavePkruBytes);
  pieces.add(kXsaveLegacyBytes, header.data(), compacted ? 16 : 8);
  return pieces.write();
}

bool restore(Cpu& cpu, const Instruction& insn, u64 features, bool supervisor) {
  const Area area(cpu, insn);
  if (!area.check(AccessType::kRead)) return false;
  std::array<u64, 8> header;
  if (!area.read(kXsaveLegacyBytes, header.data(), kXsaveHeaderBytes)) return false;
  const u64 xstate_bv = header[0], xcomp_bv = header[1];
  const bool compacted = (xcomp_bv & kCompacted) != 0;
  const auto bad = [&] { return cpu.raise(kVectorGp, 0); };
  if (supervisor && !compacted) return bad();
  if (compacted) {
    if (!cpu.has(Feature::kXsavec)) return bad();
    if (xcomp_bv & ~kCompacted & ~features) return bad();
    if (xstate_bv & ~(xcomp_bv & ~kCompacted)) return bad();
    if (std::any_of(header.begin() + 2, header.end(), [](u64 word) { return word != 0; })) {
      return bad();
    }
  } else if ((xstate_bv & ~features) || xcomp_bv != 0 || header[2] != 0) {
    return bad();
  }

  const u64 rfbm = features & requested(cpu);
  const u64 from_memory = rfbm & xstate_bv;
  const u64 initialized = rfbm & ~xstate_bv;
  // The standard form loads MXCSR for SSE and AVX whatever XSTATE_BV says (13.8.1).
  const bool loads_mxcsr =
      compacted ? (from_memory & kXstateSse) != 0 : (rfbm & (kXstateSse | kXstateAvx)) != 0;

  // All reads before any change.
  LegacyRegion region;
  std::array<u8, kXsaveAvxBytes> upper{};
  u64 pkru = 0;
  if (from_memory & kXstateX87) {
    if (!area.read(0, region.data(), kFxsaveMxcsr) ||
        !area.read(kFxsaveSt, region.data() + kFxsaveSt, kFxsaveXmm - kFxsaveSt)) {
      return false;
    }
  }
  u32 mxcsr = kMxcsrInitial;
  if (loads_mxcsr) {
    if (!area.read(kFxsaveMxcsr, region.data() + kFxsaveMxcsr, 4)) return false;
    mxcsr = region_mxcsr(region);
    if (mxcsr & ~kMxcsrMask) return bad();
  }
  if ((from_memory & kXstateSse) &&
      !area.read(kFxsaveXmm, region.data() + kFxsaveXmm, fxsave_xmm_end(cpu) - kFxsaveXmm)) {
    return false;
  }
  const unsigned avx_bytes = cpu.code64() ? kXsaveAvxBytes : kXsaveAvxBytes / 2;
  if ((from_memory & kXstateAvx) && !area.read(avx_offset(), upper.data(), avx_bytes)) return false;
  if ((from_memory & kXstatePkru) && !area.read(pkru_offset(xcomp_bv), &pkru, kXsavePkruBytes)) {
    return false;
  }

  FpuState& fpu = cpu.state.fpu;
  if (from_memory & kXstateX87) load_x87(cpu, wide_form(cpu, insn), region);
  if (initialized & kXstateX87) reset_x87(cpu);
  if (loads_mxcsr || (compacted && (initialized & kXstateSse))) fpu.mxcsr = mxcsr;
  if (initialized & kXstateSse) std::fill(region.begin() + kFxsaveXmm, region.end(), u8{0});
  if (rfbm & kXstateSse) load_xmm(cpu, region);
  if (rfbm & kXstateAvx) {
    for (unsigned i = 0; i < avx_bytes / 16; ++i) {
      std::memcpy(fpu.ymm[i].data() + 16, upper.data() + 16 * i, 16);
    }
  }
  if ((rfbm & kXstatePkru) && cpu.state.pkru != static_cast<u32>(pkru)) {
    cpu.state.pkru = static_cast<u32>(pkru);
    cpu.flush_tlb(true);
  }
  return true;
}

bool xsave(Cpu& cpu, const Instruction& insn) {
  return save(cpu, insn, Form::kXsave, cpu.state.xcr0);
}
bool xsaveopt(Cpu& cpu, const Instruction& insn) {
  return save(cpu, insn, Form::kXsaveopt, cpu.state.xcr0);
}
bool xsavec(Cpu& cpu, const Instruction& insn) {
  return save(cpu, insn, Form::kXsavec, cpu.state.xcr0);
}
bool xsaves(Cpu& cpu, const Instruction& insn) {
  return save(cpu, insn, Form::kXsavec, cpu.state.xcr0 | cpu.state.msr.xss);
}
bool xrstor(Cpu& cpu, const Instruction& insn) { return restore(cpu, insn, cpu.state.xcr0, false); }
bool xrstors(Cpu& cpu, const Instruction& insn) {
  return restore(cpu, insn, cpu.state.xcr0 | cpu.state.msr.xss, true);
}

void return_pair(Cpu& cpu, u64 value) {
  set_register<u32>(cpu, kRax, static_cast<u32>(value));
  set_register<u32>(cpu, kRdx, static_cast<u32>(value >> 32));
}

bool xgetbv(Cpu& cpu, const Instruction&) {
  if (!(cpu.state.cr4 & kCr4Osxsave)) return cpu.raise(kVectorUd);
  const u32 index = static_cast<u32>(cpu.state.regs[kRcx]);
  if (index == 0) {
    return_pair(cpu, cpu.state.xcr0);
  } else if (index == 1 && cpu.has(Feature::kXgetbv1)) {
    return_pair(cpu, cpu.state.xcr0 & xstate_in_use(cpu));
  } else {
    return cpu.raise(kVectorGp, 0);
  }
  return true;
}

bool xsetbv(Cpu& cpu, const Instruction&) {
  if (!(cpu.state.cr4 & kCr4Osxsave)) return cpu.raise(kVectorUd);
  const u64 value = requested(cpu);
  const bool valid = static_cast<u32>(cpu.state.regs[kRcx]) == 0 && (value & kXstateX87) &&
                     !(value & ~cpu.model().xcr0_mask()) &&
                     !((value & kXstateAvx) && !(value & kXstateSse));
  if (!valid) return cpu.raise(kVectorGp, 0);
  cpu.state.xcr0 = value;
  cpu.update_mode();
  return false;  // the AVX enable is part of the block key
}

bool rdpkru(Cpu& cpu, const Instruction&) {
  if (!(cpu.state.cr4 & kCr4Pke)) return cpu.raise(kVectorUd);
  if (static_cast<u32>(cpu.state.regs[kRcx]) != 0) return cpu.raise(kVectorGp, 0);
  return_pair(cpu, cpu.state.pkru);
  return true;
}

bool wrpkru(Cpu& cpu, const Instruction&) {
  if (!(cpu.state.cr4 & kCr4Pke)) return cpu.raise(kVectorUd);
  if (static_cast<u32>(cpu.state.regs[kRcx]) != 0 || static_cast<u32>(cpu.state.regs[kRdx]) != 0) {
    return cpu.raise(kVectorGp, 0);
  }
  const u32 value = static_cast<u32>(cpu.state.regs[kRax]);
  if (value == cpu.state.pkru) return true;
  cpu.state.pkru = value;
  cpu.flush_tlb(true);
  return true;
}

}  // namespace

Handler select_Xsave(const Instruction&) { return xsave; }
Handler select_Xsaveopt(const Instruction&) { return xsaveopt; }
Handler select_Xsavec(const Instruction&) { return xsavec; }
Handler select_Xsaves(const Instruction&) { return xsaves; }
Handler select_Xrstor(const Instruction&) { return xrstor; }
Handler select_Xrstors(const Instruction&) { return xrstors; }
Handler select_Xgetbv(const Instruction&) { return xgetbv; }
Handler select_Xsetbv(const Instruction&) { return xsetbv; }
Handler select_Rdpkru(const Instruction&) { return rdpkru; }
Handler select_Wrpkru(const Instruction&) { return wrpkru; }

}  // namespace dragoman
