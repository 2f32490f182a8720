// The two sources of virtual time: the host's clock, and the count of executed instructions.
#pragma once

#include <functional>

#include "base/scheduler.h"
#include "base/types.h"

namespace dragoman {

/// Host monotonic time in nanoseconds, for deadlines that are not the guest's.
u64 host_time_ns();

/// Virtual time of a machine.
class MachineClock : public VirtualClock {
 public:
  /// The processor waits until `deadline_ns`. A clock that counts instructions jumps there; a clock
  /// that follows the host returns false: the caller has to wait.
  virtual bool skip_to(u64 deadline_ns) = 0;
  /// Instructions after which virtual time reaches `deadline_ns`, at most `limit`: exact for a
  /// clock that counts them, about for one that follows the host.
  virtual u64 instructions_until(u64 deadline_ns, u64 limit) = 0;
  /// Virtual time when so many instructions have been executed from now on, equally exact.
  virtual u64 time_after(u64 instructions) = 0;
  /// So many were executed since instructions_until() was asked.
  virtual void ran(u64 instructions) = 0;
  /// Stands still while a debugger holds the machine.
  virtual void set_paused(bool paused) = 0;
};

/// Follows the host's monotonic clock. How far instructions reach is judged by the speed of late.
class HostClock final : public MachineClock {
 public:
  HostClock() : start_(host_time_ns()) {}
  u64 now_ns() override { return (paused_at_ != 0 ? paused_at_ : host_time_ns()) - start_; }
  bool skip_to(u64) override { return false; }
  u64 instructions_until(u64 deadline_ns, u64 limit) override;
  u64 time_after(u64 instructions) override { return now_ns() + (instructions << 10) / speed_; }
  void ran(u64 instructions) override;
  void set_paused(bool paused) override {
    if (paused == (paused_at_ != 0)) return;
    if (!paused) start_ += host_time_ns() - paused_at_;
    paused_at_ = paused ? host_time_ns() : 0;
  }

 private:
  u64 start_;
  u64 paused_at_ = 0;  ///< host time, 0 while it runs
  u64 asked_ = 0;      ///< when instructions_until() was asked
  u64 speed_ = 1024;   ///< instructions in 1024 ns
};

/// `-icount shift=N`: every instruction takes 2^N ns, and waiting takes no host time.
class InstructionClock final : public MachineClock {
 public:
  /// `retired` gives the exact number of instructions executed so far.
  InstructionClock(unsigned shift, std::function<u64()> retired)
      : shift_(shift), retired_(std::move(retired)) {}
  u64 now_ns() override { return (retired_() << shift_) + skipped_; }
  bool skip_to(u64 deadline_ns) override {
    const u64 now = now_ns();
    if (deadline_ns > now) skipped_ += deadline_ns - now;
    return true;
  }
  u64 instructions_until(u64 deadline_ns, u64 limit) override {
    const u64 now = now_ns();
    if (deadline_ns <= now) return 1;
    const u64 needed = ((deadline_ns - now - 1) >> shift_) + 1;
    return needed < limit ? needed : limit;
  }
  u64 time_after(u64 instructions) override { return now_ns() + (instructions << shift_); }
  void ran(u64) override {}
  void set_paused(bool) override {}

 private:
  unsigned shift_;
  std::function<u64()> retired_;
  u64 skipped_ = 0;
};

}  // namespace dragoman
