// The legacy region of FXSAVE and XSAVE areas.
#pragma once

#include <array>

#include "cpu/cpu.h"

namespace dragoman {

using LegacyRegion = std::array<u8, 512>;

inline constexpr unsigned kFxsaveMxcsr = 24;
inline constexpr unsigned kFxsaveSt = 32;
inline constexpr unsigned kFxsaveXmm = 160;
/// Where the part ends that FXSAVE writes; what follows belongs to software.
inline unsigned fxsave_xmm_end(const Cpu& cpu) {
  return kFxsaveXmm + (cpu.code64() ? 16u : 8u) * 16u;
}

/// x87 part: bytes 0..23 and 32..159. `wide`: the REX.W form with 64-bit pointers.
void store_x87(const Cpu& cpu, bool wide, LegacyRegion& region);
void load_x87(Cpu& cpu, bool wide, const LegacyRegion& region);
/// The initial configuration of XSAVE's x87 component: FNINIT and all registers zero.
void reset_x87(Cpu& cpu);

void store_mxcsr(const Cpu& cpu, LegacyRegion& region);
u32 region_mxcsr(const LegacyRegion& region);

void store_xmm(const Cpu& cpu, LegacyRegion& region);
void load_xmm(Cpu& cpu, const LegacyRegion& region);

/// True when the area at `offset` starts on a multiple of `alignment`; else #GP(0), or the segment
/// fault, is pending.
[[nodiscard]] bool check_area_alignment(Cpu& cpu, const Instruction& insn, u64 offset,
                                        unsigned alignment, AccessType type);

}  // namespace dragoman
