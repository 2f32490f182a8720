// Where the host's program counter is, looked at up to a thousand times per second of processor
// time; hosts whose clock ticks more slowly give as many samples as ticks.
#pragma once

#include <signal.h>
#include <time.h>

#include <array>
#include <atomic>
#include <span>

#include "base/types.h"

namespace dragoman {

/// Samples the thread that called start(), by a timer signal. The newest samples wait in a ring
/// until take() fetches them.
class HostSampler {
 public:
  static constexpr std::size_t kRing = 8192;

  HostSampler() = default;
  ~HostSampler() { stop(); }
  HostSampler(const HostSampler&) = delete;
  HostSampler& operator=(const HostSampler&) = delete;

  /// False when the host gives no such timer; there are no samples then.
  bool start();
  void stop();

  /// Calls `use` with every address sampled since the last call.
  template <class Use>
  void take(Use&& use) {
    const u64 end = next_.load(std::memory_order_acquire);
    if (end - taken_ > kRing) taken_ = end - kRing;
    for (; taken_ != end; ++taken_) use(ring_[taken_ % kRing]);
  }
  u64 waiting() const { return next_.load(std::memory_order_relaxed) - taken_; }

 private:
  static void on_signal(int, siginfo_t* info, void* context);

  std::array<u64, kRing> ring_{};
  std::atomic<u64> next_{0};
  u64 taken_ = 0;
  timer_t timer_{};
  bool running_ = false;
};

}  // namespace dragoman
