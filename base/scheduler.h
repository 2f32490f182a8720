// Virtual time. Every timed action of a device is a Timer of the machine's one Scheduler; no
// device reads a host clock.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/types.h"

namespace dragoman {

/// Source of virtual time in nanoseconds since power-on; never runs backwards.
class VirtualClock {
 public:
  virtual ~VirtualClock() = default;
  virtual u64 now_ns() = 0;
};

class Timer;

/// Runs timers in order of their deadlines; ties run in the order in which they were armed.
class Scheduler {
 public:
  static constexpr u64 kNever = ~u64{0};

  explicit Scheduler(VirtualClock& clock) : clock_(clock) {}

  /// Current virtual time, ns.
  u64 now() { return clock_.now_ns(); }
  /// Deadline of the earliest armed timer, or kNever.
  u64 next_deadline() const { return heap_.empty() ? kNever : heap_.front().deadline; }
  /// Runs every timer due at the current virtual time, once. What is armed meanwhile waits for the
  /// next call, so that a timer that re-arms itself for the past starves nobody.
  void run_due();
  /// What is armed, to be put back later in the same program: the same timers at the same times,
  /// and in the same order where these are equal.
  struct Saved;
  Saved save() const;
  void restore(const Saved& saved);
  /// `nearer` is called with the new deadline whenever an armed timer becomes the earliest one, so
  /// that a run loop that is under way towards another can be cut short.
  void set_listener(std::function<void(u64 deadline)> nearer) { nearer_ = std::move(nearer); }

 private:
  friend class Timer;
  struct Entry {
    u64 deadline;
    u64 order;
    Timer* timer;
  };

 public:
  struct Saved {
    std::vector<Entry> armed;
    u64 next_order = 0;
  };

 private:
  static bool later(const Entry& a, const Entry& b);
  void arm(Timer& timer, u64 deadline);
  void cancel(Timer& timer);

  VirtualClock& clock_;
  std::vector<Entry> heap_;
  u64 next_order_ = 0;
  std::function<void(u64)> nearer_;
};

/// A named action at a point of virtual time. Owned by its device; may not outlive the scheduler.
class Timer {
 public:
  Timer(Scheduler& scheduler, std::string name, std::function<void()> action)
      : scheduler_(scheduler), name_(std::move(name)), action_(std::move(action)) {}
  ~Timer() { cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// (Re)arms for virtual time `deadline_ns`; a deadline in the past runs at the next chance.
  void arm_at(u64 deadline_ns) { scheduler_.arm(*this, deadline_ns); }
  void arm_after(u64 delay_ns) { arm_at(scheduler_.now() + delay_ns); }
  void cancel() {
    if (armed_) scheduler_.cancel(*this);
  }
  bool armed() const { return armed_; }
  u64 deadline() const { return deadline_; }
  const std::string& name() const { return name_; }

 private:
  friend class Scheduler;
  Scheduler& scheduler_;
  std::string name_;
  std::function<void()> action_;
  u64 deadline_ = Scheduler::kNever;
  u64 order_ = 0;
  bool armed_ = false;
};

}  // namespace dragoman
