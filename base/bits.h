// Small helpers for bit fields of guest registers.
#pragma once

#include <type_traits>

#include "base/types.h"

namespace dragoman {

/// A value with only bit `n` set.
constexpr u64 bit(unsigned n) { return u64{1} << n; }

/// Bits `low`..`high` (inclusive) of `value`, moved down to bit 0.
template <class T>
constexpr T bits(T value, unsigned high, unsigned low) {
  const unsigned width = high - low + 1;
  const u64 mask = width >= 64 ? ~u64{0} : bit(width) - 1;
  return static_cast<T>((static_cast<u64>(value) >> low) & mask);
}

/// `value` with bits `low`..`high` replaced by `field`.
template <class T>
constexpr T with_bits(T value, unsigned high, unsigned low, u64 field) {
  const unsigned width = high - low + 1;
  const u64 mask = (width >= 64 ? ~u64{0} : bit(width) - 1) << low;
  return static_cast<T>((static_cast<u64>(value) & ~mask) | ((field << low) & mask));
}

/// Sign-extends the low `width` bits of `value`.
constexpr u64 sign_extend(u64 value, unsigned width) {
  const unsigned shift = 64 - width;
  return static_cast<u64>(static_cast<i64>(value << shift) >> shift);
}

/// The low `size` bytes set: 1, 2, 4 or 8 bytes.
constexpr u64 size_mask(unsigned size) { return size >= 8 ? ~u64{0} : bit(size * 8) - 1; }

/// `value` rounded up to a multiple of `alignment` (a power of two).
constexpr u64 align_up(u64 value, u64 alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}

}  // namespace dragoman
