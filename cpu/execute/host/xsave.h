// Layout of the FXSAVE and XSAVE areas (SDM vol. 1, 10.5.1 and chapter 13).
#pragma once

#include "base/types.h"

namespace dragoman {

class Cpu;

/// State components, by XCR0 bit.
enum XsaveComponent : u64 {
  kXstateX87 = u64{1} << 0,
  kXstateSse = u64{1} << 1,
  kXstateAvx = u64{1} << 2,
  kXstatePkru = u64{1} << 9,
};

inline constexpr unsigned kXsaveLegacyBytes = 512;
inline constexpr unsigned kXsaveHeaderBytes = 64;
/// Standard-format offsets and sizes, as CPUID leaf 0Dh reports them.
inline constexpr unsigned kXsaveAvxOffset = 576;
inline constexpr unsigned kXsaveAvxBytes = 256;
inline constexpr unsigned kXsavePkruOffset = 2688;
inline constexpr unsigned kXsavePkruBytes = 8;
/// MXCSR bits that may be set, as FXSAVE reports them.
inline constexpr u32 kMxcsrMask = 0xffff;

/// Size of the area for a set of components in the standard or the compacted format.
constexpr unsigned xsave_area_bytes(u64 components, bool compacted) {
  unsigned end = kXsaveLegacyBytes + kXsaveHeaderBytes;
  if (components & kXstateAvx) end = kXsaveAvxOffset + kXsaveAvxBytes;
  if (components & kXstatePkru) {
    end = compacted ? end + kXsavePkruBytes : kXsavePkruOffset + kXsavePkruBytes;
  }
  return end;
}

/// XINUSE: the components that are not in their initial configuration.
u64 xstate_in_use(const Cpu& cpu);

}  // namespace dragoman
