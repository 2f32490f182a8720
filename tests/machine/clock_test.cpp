// Virtual time by counted instructions (-icount) and by the host's clock.
#include "machine/clock.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace dragoman {
namespace {

constexpr u64 kLimit = 20'000;

struct Counted {
  explicit Counted(unsigned shift) : clock(shift, [this] { return retired; }) {}
  u64 retired = 0;
  InstructionClock clock;
};

TEST(InstructionClock, EveryInstructionTakesTheSameTime) {
  Counted counted(3);
  EXPECT_EQ(counted.clock.now_ns(), 0u);
  counted.retired = 1000;
  EXPECT_EQ(counted.clock.now_ns(), 8000u);
}

TEST(InstructionClock, BudgetReachesTheDeadlineAndNotMore) {
  for (const unsigned shift : {0u, 1u, 5u, 10u}) {
    for (const u64 distance : {1u, 2u, 31u, 32u, 33u, 1024u, 5000u}) {
      Counted counted(shift);
      counted.retired = 77;
      const u64 deadline = counted.clock.now_ns() + distance;
      const u64 budget = counted.clock.instructions_until(deadline, kLimit);
      ASSERT_GE(budget, 1u);
      counted.retired += budget - 1;
      EXPECT_LT(counted.clock.now_ns(), deadline) << shift << " " << distance;
      counted.retired += 1;
      EXPECT_GE(counted.clock.now_ns(), deadline) << shift << " " << distance;
    }
  }
}

TEST(InstructionClock, LimitCutsFarDeadlines) {
  Counted counted(0);
  EXPECT_EQ(counted.clock.instructions_until(kLimit - 1, kLimit), kLimit - 1);
  EXPECT_EQ(counted.clock.instructions_until(kLimit, kLimit), kLimit);
  EXPECT_EQ(counted.clock.instructions_until(kLimit + 1, kLimit), kLimit);
}

TEST(InstructionClock, NoDeadlineGivesTheLimit) {
  for (const unsigned shift : {0u, 1u, 10u}) {
    Counted counted(shift);
    EXPECT_EQ(counted.clock.instructions_until(Scheduler::kNever, kLimit), kLimit) << shift;
    counted.retired = 123'456'789;
    EXPECT_EQ(counted.clock.instructions_until(Scheduler::kNever, kLimit), kLimit) << shift;
  }
}

TEST(InstructionClock, PassedDeadlineStillMakesProgress) {
  Counted counted(2);
  counted.retired = 100;
  EXPECT_EQ(counted.clock.instructions_until(400, kLimit), 1u);
  EXPECT_EQ(counted.clock.instructions_until(0, kLimit), 1u);
}

TEST(InstructionClock, WaitingJumpsToTheDeadlineAndCountsOnFromThere) {
  Counted counted(1);
  counted.retired = 50;
  EXPECT_TRUE(counted.clock.skip_to(5000));
  EXPECT_EQ(counted.clock.now_ns(), 5000u);
  counted.retired += 10;
  EXPECT_EQ(counted.clock.now_ns(), 5020u);
  EXPECT_EQ(counted.clock.instructions_until(5030, kLimit), 5u);
}

TEST(InstructionClock, TimeNeverRunsBackwards) {
  Counted counted(0);
  counted.retired = 1000;
  EXPECT_TRUE(counted.clock.skip_to(1000));
  EXPECT_TRUE(counted.clock.skip_to(10));
  EXPECT_EQ(counted.clock.now_ns(), 1000u);
}

TEST(HostClock, WaitingIsLeftToTheCaller) {
  HostClock clock;
  EXPECT_FALSE(clock.skip_to(~u64{0} / 2));
  EXPECT_LT(clock.now_ns(), ~u64{0} / 2);
  EXPECT_EQ(clock.instructions_until(Scheduler::kNever, kLimit), kLimit);
}

TEST(HostClock, NearDeadlinesGiveShortBudgets) {
  HostClock clock;
  const u64 now = clock.instructions_until(0, kLimit);
  EXPECT_GT(now, 0u);
  EXPECT_LT(now, kLimit) << "what is due is looked at soon";
  EXPECT_EQ(clock.instructions_until(0, 1), 1u);
  EXPECT_GE(clock.time_after(kLimit), clock.time_after(0));
}

/// A host whose time and whose share of it the test sets.
struct HostTimes {
  u64 host = 1'000'000, executed = 50'000;
  HostClock clock{[this] { return host; }, [this] { return executed; }};
  void pass(u64 ns, u64 of_it_executed) {
    host += ns;
    executed += of_it_executed;
  }
  void pass(u64 ns) { pass(ns, ns); }
};

TEST(HostClock, FollowsTheHostWhereTheThreadIsExecuted) {
  HostTimes t;
  for (unsigned i = 0; i < 100; ++i) {
    (void)t.clock.instructions_until(Scheduler::kNever, kLimit);
    t.pass(3'000'000);
    t.clock.ran(kLimit);
  }
  EXPECT_EQ(t.clock.now_ns(), 300'000'000u);
}

TEST(HostClock, WaitingIsNoStall) {
  HostTimes t;
  t.pass(40'000'000, 0);
  EXPECT_EQ(t.clock.now_ns(), 40'000'000u);
}

TEST(HostClock, WaitingAfterASliceIsNoStallEither) {
  HostTimes t;
  (void)t.clock.instructions_until(Scheduler::kNever, kLimit);
  t.pass(100'000);
  t.clock.ran(kLimit);
  t.clock.waits();
  t.pass(40'000'000, 0);
  EXPECT_EQ(t.clock.now_ns(), 40'100'000u);
  (void)t.clock.instructions_until(Scheduler::kNever, kLimit);
  EXPECT_EQ(t.clock.now_ns(), 40'100'000u);
}

TEST(HostClock, TimeTakenAwayBetweenSlicesIsNoJump) {
  HostTimes t;
  (void)t.clock.instructions_until(Scheduler::kNever, kLimit);
  t.pass(100'000);
  t.clock.ran(kLimit);
  t.pass(50'000'000, 0);
  (void)t.clock.instructions_until(Scheduler::kNever, kLimit);
  EXPECT_LE(t.clock.now_ns(), 100'000 + HostClock::kStallNs);
}

TEST(HostClock, TimeTakenAwayWithinASliceIsNoJump) {
  HostTimes t;
  (void)t.clock.instructions_until(Scheduler::kNever, kLimit);
  t.pass(100'000);
  const u64 before = t.clock.now_ns();
  t.pass(50'000'000, 0);
  EXPECT_LE(t.clock.now_ns() - before, HostClock::kStallNs);
  t.clock.ran(kLimit);
  EXPECT_LE(t.clock.now_ns() - before, HostClock::kStallNs);
}

TEST(HostClock, WhatWasMissedIsCaughtUpWithoutAJump) {
  HostTimes t;
  (void)t.clock.instructions_until(Scheduler::kNever, kLimit);
  t.pass(50'000'000, 0);
  t.clock.ran(kLimit);
  u64 last = t.clock.now_ns();
  EXPECT_LT(last, 1'000'000u);
  for (unsigned i = 0; i < 10'000; ++i) {
    (void)t.clock.instructions_until(Scheduler::kNever, kLimit);
    t.pass(100'000);
    t.clock.ran(kLimit);
    const u64 now = t.clock.now_ns();
    ASSERT_GE(now, last + 100'000);
    ASSERT_LE(now, last + 100'000 + 100'000 / 8);
    last = now;
  }
  EXPECT_EQ(last, 50'000'000u + 10'000u * 100'000u) << "as late as the host";
}

TEST(HostClock, TimeDoesNotPassATimerThatHasNotRun) {
  // Stolen by the host's host: the thread seems to have been executed all the time.
  HostTimes t;
  (void)t.clock.instructions_until(4'000'000, kLimit);
  t.pass(40'000'000);
  EXPECT_EQ(t.clock.now_ns(), 4'000'000u);
  t.clock.ran(kLimit);
  EXPECT_EQ(t.clock.now_ns(), 4'000'000u);
  // The timer has run; what comes after it is waited for as well, and then for the next one.
  (void)t.clock.instructions_until(8'000'000, kLimit);
  t.pass(40'000'000);
  EXPECT_EQ(t.clock.now_ns(), 8'000'000u);
  t.clock.due_sooner(9'000'000);
  EXPECT_EQ(t.clock.now_ns(), 8'000'000u) << "never runs backwards";
}

TEST(HostClock, TimersThatFollowCloselyDoNotHoldTimeUp) {
  HostTimes t;
  for (unsigned i = 0; i < 100; ++i) {
    (void)t.clock.instructions_until(t.clock.now_ns() + 800, kLimit);
    t.pass(20'000);
    t.clock.ran(kLimit);
  }
  EXPECT_EQ(t.clock.now_ns(), 2'000'000u);
}

TEST(HostClock, ATimerArmedDuringASliceIsNotPassedEither) {
  HostTimes t;
  (void)t.clock.instructions_until(50'000'000, kLimit);
  t.pass(1'000'000);
  t.clock.due_sooner(2'000'000);
  t.pass(30'000'000);
  EXPECT_EQ(t.clock.now_ns(), 2'000'000u);
}

TEST(HostClock, SpeedIsThatOfTheCodeThoughTimeWasHeld) {
  HostTimes t;
  u64 budget = 0;
  for (unsigned i = 0; i < 100; ++i) {
    budget = t.clock.instructions_until(t.clock.now_ns() + 150'000, kLimit);
    t.pass(budget * 10);  // slow code: ten nanoseconds each
    t.clock.ran(budget);
  }
  EXPECT_NEAR(static_cast<double>(budget), 15'000, 1'500);
}

TEST(HostClock, StandsStillWhileHeld) {
  HostTimes t;
  t.pass(7'000'000);
  t.clock.set_paused(true);
  t.pass(900'000'000, 0);
  EXPECT_EQ(t.clock.now_ns(), 7'000'000u);
  t.clock.set_paused(false);
  EXPECT_EQ(t.clock.now_ns(), 7'000'000u);
  t.pass(5);
  EXPECT_EQ(t.clock.now_ns(), 7'000'005u);
}

TEST(HostClock, FastCodeIsStoppedLessOften) {
  HostTimes t;
  EXPECT_EQ(t.clock.slice(1'000'000), 1'000'000u);
  for (unsigned i = 0; i < 50; ++i) {
    const u64 slice = t.clock.slice(kLimit);
    (void)t.clock.instructions_until(Scheduler::kNever, slice);
    t.pass(slice / 4);  // four instructions in a nanosecond
    t.clock.ran(slice);
  }
  EXPECT_GT(t.clock.slice(kLimit), 390'000u);
}

TEST(HostClock, SlowInstructionsDoNotHoldTheTimersUp) {
  constexpr u64 kEach = 15'000;  // ns: a REP that goes through a device's window
  constexpr u64 kLeast = 60'000;
  HostTimes t;
  u64 took = 0;
  for (unsigned i = 0; i < 2; ++i) {
    const u64 budget = t.clock.instructions_until(Scheduler::kNever, t.clock.slice(kLeast));
    took = budget * kEach;
    t.pass(took);
    t.clock.ran(budget);
  }
  EXPECT_LE(took, 2'000'000u);
  EXPECT_GE(took, 500'000u) << "a look at the timers is not free either";
  const u64 soon = t.clock.instructions_until(t.clock.now_ns() + 1000, t.clock.slice(kLeast));
  EXPECT_LE(soon * kEach, 100'000u) << "a timer that is due";
  // Code as fast as before is soon believed to be so.
  for (unsigned i = 0; i < 10; ++i) {
    const u64 budget = t.clock.instructions_until(Scheduler::kNever, t.clock.slice(kLeast));
    t.pass(std::max<u64>(budget, 50'000));
    t.clock.ran(std::max<u64>(budget, 50'000));
  }
  EXPECT_GE(t.clock.slice(kLeast), kLeast);
}

}  // namespace
}  // namespace dragoman
