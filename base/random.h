// A repeatable sequence of numbers.
#pragma once

#include "base/types.h"

namespace dragoman {

/// SplitMix64 (Steele, Lea, Flood 2014): a sequence costs no more than its seed, and the state is
/// one number that can be saved.
class SplitMix64 {
 public:
  explicit SplitMix64(u64 seed = 0) : state_(seed) {}
  u64 next() {
    u64 z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

 private:
  u64 state_;
};

}  // namespace dragoman
