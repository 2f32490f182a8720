#include "base/scheduler.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace dragoman {
namespace {

struct ManualClock : VirtualClock {
  u64 now = 0;
  u64 now_ns() override { return now; }
};

struct SchedulerTest : testing::Test {
  ManualClock clock;
  Scheduler scheduler{clock};
  std::string ran;  // one letter per action

  std::unique_ptr<Timer> timer(char letter) {
    return std::make_unique<Timer>(scheduler, std::string(1, letter),
                                   [this, letter] { ran += letter; });
  }
  std::string run_at(u64 now) {
    clock.now = now;
    ran.clear();
    scheduler.run_due();
    return ran;
  }
};

TEST_F(SchedulerTest, RunsInOrderOfDeadlinesAndNotBefore) {
  auto a = timer('a'), b = timer('b'), c = timer('c');
  c->arm_at(30);
  a->arm_at(10);
  b->arm_at(20);
  EXPECT_EQ(scheduler.next_deadline(), 10u);
  EXPECT_EQ(run_at(9), "");
  EXPECT_EQ(run_at(20), "ab");
  EXPECT_EQ(scheduler.next_deadline(), 30u);
  EXPECT_EQ(run_at(1000), "c");
  EXPECT_EQ(scheduler.next_deadline(), Scheduler::kNever);
}

TEST_F(SchedulerTest, TiesRunInTheOrderOfArming) {
  std::vector<std::unique_ptr<Timer>> timers;
  for (char letter = 'a'; letter <= 'j'; ++letter) timers.push_back(timer(letter));
  for (auto& t : timers) t->arm_at(5);
  timers[2]->arm_at(5);  // armed anew: now the last
  EXPECT_EQ(run_at(5), "abdefghijc");
}

TEST_F(SchedulerTest, RunsOncePerArming) {
  auto a = timer('a');
  a->arm_at(10);
  EXPECT_TRUE(a->armed());
  EXPECT_EQ(run_at(10), "a");
  EXPECT_FALSE(a->armed());
  EXPECT_EQ(run_at(20), "");
}

TEST_F(SchedulerTest, RearmingReplacesTheDeadline) {
  auto a = timer('a');
  a->arm_at(10);
  a->arm_at(50);
  EXPECT_EQ(a->deadline(), 50u);
  EXPECT_EQ(scheduler.next_deadline(), 50u);
  EXPECT_EQ(run_at(49), "");
  a->arm_at(40);
  EXPECT_EQ(run_at(49), "a");
  EXPECT_EQ(run_at(60), "");
}

TEST_F(SchedulerTest, ArmAfterCountsFromNow) {
  auto a = timer('a');
  clock.now = 100;
  a->arm_after(7);
  EXPECT_EQ(a->deadline(), 107u);
}

TEST_F(SchedulerTest, CancelledAndDestroyedTimersDoNotRun) {
  auto a = timer('a'), b = timer('b'), c = timer('c');
  a->arm_at(1);
  b->arm_at(2);
  c->arm_at(3);
  a->cancel();
  a->cancel();  // harmless
  EXPECT_FALSE(a->armed());
  b.reset();
  EXPECT_EQ(run_at(10), "c");
}

TEST_F(SchedulerTest, AnActionMayCancelALaterTimer) {
  auto b = timer('b');
  Timer a(scheduler, "a", [&] { b->cancel(); });
  a.arm_at(1);
  b->arm_at(2);
  EXPECT_EQ(run_at(10), "");
}

TEST_F(SchedulerTest, PeriodicTimerKeepsItsPhaseThroughLateCalls) {
  Timer* self = nullptr;
  std::vector<u64> deadlines;
  Timer tick(scheduler, "tick", [&] {
    deadlines.push_back(self->deadline());
    self->arm_at(self->deadline() + 10);
  });
  self = &tick;
  tick.arm_at(10);
  for (u64 now : {25, 25, 26, 31}) run_at(now);
  EXPECT_EQ(deadlines, (std::vector<u64>{10, 20, 30}));
}

TEST_F(SchedulerTest, ATimerArmedForThePastByAnActionRunsNoLaterThanTheNextCall) {
  auto b = timer('b');
  Timer a(scheduler, "a", [&] { b->arm_at(3); });
  a.arm_at(5);
  run_at(10);
  if (ran.empty()) run_at(10);
  EXPECT_EQ(ran, "b");
}

TEST_F(SchedulerTest, ATimerThatRearmsForThePastRunsOncePerCall) {
  Timer* self = nullptr;
  int runs = 0;
  Timer a(scheduler, "a", [&] {
    ++runs;
    self->arm_at(0);
  });
  self = &a;
  a.arm_at(0);
  run_at(10);
  EXPECT_EQ(runs, 1);
  run_at(10);
  EXPECT_EQ(runs, 2);
}

TEST_F(SchedulerTest, ATimerThatRearmsForThePastDoesNotStarveTheOthers) {
  Timer* self = nullptr;
  Timer a(scheduler, "a", [&] { self->arm_at(0); });
  self = &a;
  auto b = timer('b');
  a.arm_at(0);
  b->arm_at(5);
  EXPECT_EQ(run_at(10), "b");
}

}  // namespace
}  // namespace dragoman
