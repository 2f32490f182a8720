// Where indirect branches of a region lead, as far as a trace wants to know.
#include "jit/region_observer.h"

namespace dragoman {
namespace {
/// A branch with more targets than this (a return of a much used function) shows the frequent ones.
constexpr std::size_t kMostTargets = 16;
/// Passes between two that are looked at: at least this many, and fewer than so many more.
constexpr u32 kLeastApart = 16, kSpread = 64;
}  // namespace

void RegionCounters::Exit::sample(u64 target) {
  u64 seed = count * 0x9e3779b97f4a7c15;
  seed ^= seed >> 32;
  until_sample = static_cast<i32>(kLeastApart + seed % kSpread);
  Target* rarest = nullptr;
  for (Target& t : targets) {
    if (t.rip == target) {
      ++t.samples;
      return;
    }
    if (rarest == nullptr || t.samples < rarest->samples) rarest = &t;
  }
  if (targets.size() < kMostTargets) {
    targets.push_back({target, 1});
    return;
  }
  // The newcomer takes over what the rarest one had: a frequent one is not pushed out again.
  *rarest = {target, rarest->samples + 1};
}

u64 RegionCounters::Exit::times(const Target& target) const {
  u64 samples = 0;
  for (const Target& t : targets) samples += t.samples;
  if (samples == 0) return 0;
  return static_cast<u64>(static_cast<double>(count) * static_cast<double>(target.samples) /
                          static_cast<double>(samples));
}

}  // namespace dragoman
