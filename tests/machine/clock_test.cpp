// Virtual time by counted instructions (-icount) and by the host's clock.
#include "machine/clock.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace dragoman
