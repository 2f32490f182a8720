// Numbers for cases: repeatable from a seed, and often at an edge.
#pragma once

#include <array>
#include <cstring>
#include <span>

#include "base/random.h"
#include "base/types.h"

namespace dragoman {

/// Every case has a sequence of its own.
class CaseRandom {
 public:
  using result_type = u64;
  explicit CaseRandom(u64 seed) : numbers_(seed) {}
  static constexpr u64 min() { return 0; }
  static constexpr u64 max() { return ~u64{0}; }

  u64 operator()() { return numbers_.next(); }
  u64 below(u64 n) { return (*this)() % n; }
  bool chance(unsigned one_in) { return below(one_in) == 0; }

  /// An integer operand: 0, 1, all ones, sign limits, shift counts and their neighbours, or any.
  u64 value();
  /// Vector operand bytes: integers, or floats among which are zeros, denormals, limits,
  /// infinities and NaNs.
  void fill(std::span<u8> out);
  /// An 80-bit value in the low ten bytes, also unnormals and pseudo-denormals.
  std::array<u8, 16> extended();

 private:
  SplitMix64 numbers_;
};

}  // namespace dragoman
