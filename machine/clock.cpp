#include "machine/clock.h"

#include <algorithm>
#include <ctime>

namespace dragoman {
namespace {

/// A look at the timers costs about as much as so many instructions.
constexpr u64 kLeastInstructions = 2000;
/// Unless they take long: a REP that fills a screen through a device's window is one instruction,
/// and code that waits for a disk reads ports.
constexpr u64 kLeastNs = 4'000;
/// What took less than this and few instructions says little about the speed of the guest's code.
constexpr u64 kMeasurableNs = 40'000;
constexpr u64 kLongestSliceNs = 1'000'000;
/// A slice of that length is believed at once: a second one would hold up timers and host.
constexpr u64 kHeldUpNs = 8'000'000;
/// Fast code is not stopped more often than so: every stop costs it what lies in the host's caches.
constexpr u64 kSliceNs = 100'000;
/// Deadlines farther away than this need no estimate.
constexpr u64 kFarNs = 20'000'000;
/// Processor time is looked at so often; it is a system call.
constexpr u64 kSampleNs = 2'000'000;

u64 time_of(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<u64>(now.tv_sec) * 1'000'000'000u + static_cast<u64>(now.tv_nsec);
}

}  // namespace

u64 host_time_ns() { return time_of(CLOCK_MONOTONIC); }
u64 thread_time_ns() { return time_of(CLOCK_THREAD_CPUTIME_ID); }

HostClock::HostClock(std::function<u64()> host, std::function<u64()> executed)
    : host_(std::move(host)), executed_(std::move(executed)), anchor_(host_()) {}

HostClock::Advance HostClock::advance(u64 host) const {
  Advance a;
  a.executed = host - anchor_;
  if (running_ && a.executed > kStallNs) {
    // The sample is a little older than the anchor; in between the thread was executed at most
    // all the time.
    const u64 since_sample = executed_() - sample_;
    const u64 before = anchor_ - sampled_at_;
    const u64 executed = since_sample > before ? since_sample - before : 0;
    a.executed = std::min(a.executed, kStallNs + executed);
  }
  a.gained = a.executed + std::min(lag_, a.executed / 8);
  if (running_) a.gained = std::min(a.gained, farthest_ - virtual_);
  return a;
}

u64 HostClock::anchor(u64 host) {
  const Advance a = advance(host);
  virtual_ += a.gained;
  const u64 passed = host - anchor_;
  lag_ = std::min(lag_ + passed - a.gained, kMostLagNs);
  anchor_ = host;
  return a.executed;
}

void HostClock::set_paused(bool paused) {
  if (paused == paused_) return;
  if (paused) {
    anchor(host_());
  } else {
    anchor_ = host_();
  }
  paused_ = paused;
  running_ = false;
}

void HostClock::waits() {
  if (!paused_) anchor(host_());
  running_ = false;
}

void HostClock::due_sooner(u64 deadline_ns) {
  farthest_ = std::min(farthest_, std::max(deadline_ns, now_ns() + kStepNs));
}

u64 HostClock::within(u64 ns) const {
  return std::max<u64>(static_cast<u64>((u128{ns} * speed_) >> kSpeedShift), 1);
}

u64 HostClock::slice(u64 least) const {
  return std::max(std::min(least, within(kLongestSliceNs)), within(kSliceNs));
}

u64 HostClock::instructions_until(u64 deadline_ns, u64 limit) {
  asked_ = host_();
  if (!paused_) anchor(asked_);
  if (asked_ - sampled_at_ > kSampleNs) {
    sampled_at_ = asked_;
    sample_ = executed_();
  }
  running_ = true;
  farthest_ = std::max(deadline_ns, virtual_ + kStepNs);
  const u64 wait = deadline_ns > virtual_ ? deadline_ns - virtual_ : 0;
  if (wait > kFarNs) return limit;
  const u64 least = std::min({kLeastInstructions, within(kLeastNs), limit});
  return std::clamp(within(wait), least, limit);
}

void HostClock::ran(u64 instructions) {
  const u64 now = host_();
  // Time that the host took away says nothing of the guest's code.
  const u64 took = std::max<u64>(paused_ ? now - asked_ : anchor(now), 1);
  if (instructions < kLeastInstructions / 2 && took < kMeasurableNs)
    return;  // mostly the way in and out
  const u64 measured =
      std::clamp<u64>((instructions << kSpeedShift) / took, 16, u64{64} << kSpeedShift);
  speed_ = took > kHeldUpNs ? std::min(speed_, measured) : (speed_ * 7 + measured) / 8;
}

}  // namespace dragoman
