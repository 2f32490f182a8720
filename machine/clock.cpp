#include "machine/clock.h"

#include <algorithm>
#include <ctime>

namespace dragoman {
namespace {

/// A look at the timers costs about as much as so many instructions.
constexpr u64 kLeastInstructions = 2000;
/// Deadlines farther away than this need no estimate.
constexpr u64 kFarNs = 20'000'000;

}  // namespace

u64 host_time_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<u64>(now.tv_sec) * 1'000'000'000u + static_cast<u64>(now.tv_nsec);
}

u64 HostClock::instructions_until(u64 deadline_ns, u64 limit) {
  asked_ = now_ns();
  const u64 wait = deadline_ns > asked_ ? deadline_ns - asked_ : 0;
  if (wait > kFarNs) return limit;
  return std::clamp((wait * speed_) >> 10, std::min(kLeastInstructions, limit), limit);
}

void HostClock::ran(u64 instructions) {
  if (instructions < kLeastInstructions / 2) return;  // mostly the way in and out
  const u64 took = std::max<u64>(now_ns() - asked_, 1);
  const u64 measured = std::clamp<u64>((instructions << 10) / took, 8, 64 << 10);
  speed_ = (speed_ * 7 + measured) / 8;
}

}  // namespace dragoman
