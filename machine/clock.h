// The two sources of virtual time: the host's clock, and the count of executed instructions.
#pragma once

#include <functional>

#include "base/scheduler.h"
#include "base/types.h"

namespace dragoman {

/// Host monotonic time in nanoseconds, for deadlines that are not the guest's.
u64 host_time_ns();
/// Processor time of the calling thread in nanoseconds.
u64 thread_time_ns();

/// Virtual time of a machine.
class MachineClock : public VirtualClock {
 public:
  /// The processor waits until `deadline_ns`. A clock that counts instructions jumps there; a clock
  /// that follows the host returns false: the caller has to wait.
  virtual bool skip_to(u64 deadline_ns) = 0;
  /// The processor waits from now on, until instructions_until() is asked again.
  virtual void waits() = 0;
  /// Instructions after which virtual time reaches `deadline_ns`, at most `limit`: exact for a
  /// clock that counts them, about for one that follows the host.
  virtual u64 instructions_until(u64 deadline_ns, u64 limit) = 0;
  /// A timer was armed that is due before the one instructions_until() was told of.
  virtual void due_sooner(u64 deadline_ns) = 0;
  /// Instructions from one look at the timers to the next, `least` or more where they are fast,
  /// fewer where so many would take milliseconds.
  virtual u64 slice(u64 least) const = 0;
  /// Virtual time when so many instructions have been executed from now on, equally exact.
  virtual u64 time_after(u64 instructions) = 0;
  /// So many were executed since instructions_until() was asked.
  virtual void ran(u64 instructions) = 0;
  /// Stands still while a debugger holds the machine.
  virtual void set_paused(bool paused) = 0;
  /// What virtual time has beyond the counted instructions: the waiting that was jumped over.
  /// Always 0 for a clock that follows the host.
  virtual u64 skipped() const { return 0; }
  virtual void set_skipped(u64) {}
};

/// Follows the host's monotonic clock. How far instructions reach is judged by the speed of late.
///
/// A host with too much to do takes the processor away for milliseconds. Guests take a jump of time
/// in the middle of their code for broken hardware (Linux: "8254 timer not connected to IO-APIC"):
/// unless the processor waits, time goes on no farther than the thread was executed, but for
/// kStallNs between two looks. Nor does it pass a timer that has not run yet, but for kStepNs: the
/// host's host takes processors away as well, which nothing tells of, and a guest that counts the
/// ticks of a period timer would miss all but one of those in such a gap. What is missed is caught
/// up later, an eighth faster, as far as kMostLagNs.
class HostClock final : public MachineClock {
 public:
  static constexpr u64 kStallNs = 500'000;
  static constexpr u64 kStepNs = 100'000;
  static constexpr u64 kMostLagNs = 5'000'000'000;

  /// `host` is monotonic time, `executed` the processor time of the calling thread, both in ns.
  explicit HostClock(std::function<u64()> host = host_time_ns,
                     std::function<u64()> executed = thread_time_ns);
  u64 now_ns() override { return paused_ ? virtual_ : virtual_ + advance(host_()).gained; }
  bool skip_to(u64) override { return false; }
  void waits() override;
  u64 instructions_until(u64 deadline_ns, u64 limit) override;
  void due_sooner(u64 deadline_ns) override;
  u64 slice(u64 least) const override;
  u64 time_after(u64 instructions) override {
    return now_ns() + static_cast<u64>((u128{instructions} << kSpeedShift) / speed_);
  }
  void ran(u64 instructions) override;
  void set_paused(bool paused) override;

 private:
  /// Since `anchor_`.
  struct Advance {
    u64 executed = 0;  ///< how long the thread was, as far as that is known
    u64 gained = 0;    ///< by virtual time
  };
  Advance advance(u64 host) const;
  /// Instructions in a time at the speed of late; at least one.
  u64 within(u64 ns) const;
  /// Returns how long the thread was executed since it was called last.
  u64 anchor(u64 host);

  std::function<u64()> host_, executed_;
  u64 anchor_;  ///< host time at which virtual time was virtual_
  u64 virtual_ = 0;
  u64 lag_ = 0;           ///< to be caught up
  u64 farthest_ = 0;      ///< while it runs: virtual time it does not pass
  bool running_ = false;  ///< it does not wait
  bool paused_ = false;
  u64 sampled_at_ = 0, sample_ = 0;  ///< host time and processor time when that was looked at last
  u64 asked_ = 0;                    ///< host time when instructions_until() was asked
  static constexpr unsigned kSpeedShift = 20;
  u64 speed_ = u64{1} << kSpeedShift;  ///< instructions in 2^20 ns
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
  void waits() override {}
  void due_sooner(u64) override {}
  u64 slice(u64 least) const override { return least; }
  u64 instructions_until(u64 deadline_ns, u64 limit) override {
    const u64 now = now_ns();
    if (deadline_ns <= now) return 1;
    const u64 needed = ((deadline_ns - now - 1) >> shift_) + 1;
    return needed < limit ? needed : limit;
  }
  u64 time_after(u64 instructions) override { return now_ns() + (instructions << shift_); }
  void ran(u64) override {}
  void set_paused(bool) override {}
  u64 skipped() const override { return skipped_; }
  void set_skipped(u64 ns) override { skipped_ = ns; }

 private:
  unsigned shift_;
  std::function<u64()> retired_;
  u64 skipped_ = 0;
};

}  // namespace dragoman
