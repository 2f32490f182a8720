// The upper half of the address space of this process, 2^46 to 2^47: where Linux puts stacks,
// libraries and position-independent programs, in the guest as on the host. A program that begins
// in base/process_start.cc has nothing of its own there, so that a guest's user memory can be shown
// at the guest's own addresses (memory/linear_window.h).
#pragma once

#include "base/types.h"

namespace dragoman {

class UpperHalf {
 public:
  /// What is kept free: from somewhat below, for accesses beside an address that was looked at, to
  /// the last page but one (Linux gives nobody the last one).
  static constexpr u64 kMargin = 64 * kGiB;
  static constexpr u64 kFirst = (u64{1} << 46) - kMargin, kEnd = (u64{1} << 47) - kPageSize;

  /// The program began so that there is one.
  static bool exists();
  /// There is one in a process: false when there is none, or somebody has it.
  static bool take();
  /// It has nothing mapped in it again.
  static void give_back();
};

/// Nothing but 0 where the program began otherwise.
enum : int { kNoUpperHalf, kFreeUpperHalf, kTakenUpperHalf };
extern "C" int dragoman_upper_half;

}  // namespace dragoman
