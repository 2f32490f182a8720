// Numbers for cases: repeatable from a seed, and often at an edge.
#pragma once

#include <array>
#include <cstring>
#include <span>

#include "base/types.h"

namespace dragoman {

/// SplitMix64 (Steele, Lea, Flood 2014): a new sequence costs nothing, so every case has its own.
class CaseRandom {
 public:
  using result_type = u64;
  explicit CaseRandom(u64 seed) : state_(seed) {}
  static constexpr u64 min() { return 0; }
  static constexpr u64 max() { return ~u64{0}; }

  u64 operator()() {
    state_ += 0x9e3779b97f4a7c15;
    u64 z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
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
  u64 state_;
};

}  // namespace dragoman
