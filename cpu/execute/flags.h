// Lazy arithmetic flags: setting them from operations, reading them one by one or as RFLAGS bits.
#pragma once

#include <bit>
#include <type_traits>

#include "cpu/state.h"

namespace dragoman {

template <class T>
inline u64 sign_extended(T value) {
  return static_cast<u64>(static_cast<i64>(static_cast<std::make_signed_t<T>>(value)));
}

/// Bit vector of carries out of every bit position, moved so that CF and OF are on top.
template <class T>
inline u64 placed_carries(T carries) {
  return (static_cast<u64>(carries) << (64 - 8 * sizeof(T))) | (carries & 8);
}

inline bool flag_cf(const LazyFlags& f) { return static_cast<i64>(f.carries) < 0; }
inline bool flag_of(const LazyFlags& f) {
  return static_cast<i64>(f.carries ^ (f.carries << 1)) < 0;
}
inline bool flag_af(const LazyFlags& f) { return (f.carries & 8) != 0; }
inline bool flag_zf(const LazyFlags& f) { return f.result == 0; }
inline bool flag_sf(const LazyFlags& f) { return static_cast<i64>(f.result ^ f.flip) < 0; }
inline bool flag_pf(const LazyFlags& f) {
  return (std::popcount(static_cast<u8>(f.result ^ f.flip)) & 1) == 0;
}

template <class T>
inline void set_flags_add(LazyFlags& f, T a, T b, T result) {
  f.result = sign_extended(result);
  f.carries = placed_carries<T>(static_cast<T>((a & b) | ((a | b) & ~result)));
  f.flip = 0;
}

template <class T>
inline void set_flags_sub(LazyFlags& f, T a, T b, T result) {
  f.result = sign_extended(result);
  f.carries = placed_carries<T>(static_cast<T>((~a & b) | (~(a ^ b) & result)));
  f.flip = 0;
}

/// AND, OR, XOR, TEST: CF = OF = 0; AF is undefined by the manual, cleared here as on real CPUs.
template <class T>
inline void set_flags_logic(LazyFlags& f, T result) {
  f.result = sign_extended(result);
  f.carries = 0;
  f.flip = 0;
}

/// Replaces CF and OF, keeps AF.
inline void set_cf_of(LazyFlags& f, bool cf, bool of) {
  f.carries = (f.carries & 8) | (u64{cf} << 63) | (u64{cf != of} << 62);
}
/// Replaces CF, keeps OF and AF.
inline void set_cf(LazyFlags& f, bool cf) { set_cf_of(f, cf, flag_of(f)); }

/// The six arithmetic flags at their RFLAGS positions.
inline u32 arithmetic_flags(const LazyFlags& f) {
  return (flag_cf(f) ? kFlagCf : 0u) | (flag_pf(f) ? kFlagPf : 0u) | (flag_af(f) ? kFlagAf : 0u) |
         (flag_zf(f) ? kFlagZf : 0u) | (flag_sf(f) ? kFlagSf : 0u) | (flag_of(f) ? kFlagOf : 0u);
}

/// Sets the six arithmetic flags from RFLAGS bits.
inline void set_arithmetic_flags(LazyFlags& f, u32 rflags) {
  const bool cf = rflags & kFlagCf;
  const bool of = rflags & kFlagOf;
  f.result = (rflags & kFlagZf) ? 0 : 0x100;  // low byte zero has even parity
  f.flip = ((rflags & kFlagSf) ? bit(63) : 0) | ((rflags & kFlagPf) ? 0 : 1);
  f.carries = (u64{cf} << 63) | (u64{cf != of} << 62) | ((rflags & kFlagAf) ? 8 : 0);
}

/// Condition codes of Jcc, SETcc, CMOVcc (SDM vol. 1, appendix B), by opcode bits 3:0.
inline bool condition_holds(const LazyFlags& f, unsigned condition) {
  bool result = false;
  switch (condition >> 1) {
    case 0:
      result = flag_of(f);
      break;
    case 1:
      result = flag_cf(f);
      break;
    case 2:
      result = flag_zf(f);
      break;
    case 3:
      result = flag_cf(f) || flag_zf(f);
      break;
    case 4:
      result = flag_sf(f);
      break;
    case 5:
      result = flag_pf(f);
      break;
    case 6:
      result = flag_sf(f) != flag_of(f);
      break;
    case 7:
      result = flag_zf(f) || flag_sf(f) != flag_of(f);
      break;
  }
  return result != ((condition & 1) != 0);
}

}  // namespace dragoman
