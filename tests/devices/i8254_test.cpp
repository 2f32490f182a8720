#include "devices/i8254.h"

#include "devices/port61.h"
#include "devices/port92.h"
#include "tests/devices/isa_test_bench.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

struct I8254Test : ::testing::Test, IsaTestBench {
  I8254 pit{scheduler, ports, IrqLine(wires, 0)};
  Port61 port61{scheduler, ports, pit, IrqLine(wires, 1)};

  void to_tick(u64 tick) { run_until(I8254::ns_of(tick)); }
  void program(unsigned counter, u8 mode, u16 count, bool bcd = false) {
    out(0x43, static_cast<u8>(counter << 6 | 0x30 | mode << 1 | (bcd ? 1 : 0)));
    out(static_cast<u16>(0x40 + counter), static_cast<u8>(count));
    out(static_cast<u16>(0x40 + counter), static_cast<u8>(count >> 8));
  }
  u16 count(unsigned counter) {
    out(0x43, static_cast<u8>(counter << 6));
    const u16 port = static_cast<u16>(0x40 + counter);
    const u8 low = in(port);
    return static_cast<u16>(low | in(port) << 8);
  }
  u8 status(unsigned counter) {
    out(0x43, static_cast<u8>(0xe0 | 2 << counter));
    return in(static_cast<u16>(0x40 + counter));
  }
};

TEST_F(I8254Test, StateListsAreComplete) {
  check_state_list<I8254State>();
  check_state_list<Port61State>();
  check_state_list<Port92State>();
}

TEST_F(I8254Test, ClockHasNoDrift) {
  EXPECT_EQ(I8254::tick_at(88'000), 105u);
  EXPECT_EQ(I8254::tick_at(u64{88'000} * 1'000'000'000), u64{105} * 1'000'000'000);
  for (u64 tick = 0; tick < 1000; ++tick) {
    EXPECT_EQ(I8254::tick_at(I8254::ns_of(tick)), tick);
    if (tick != 0) {
      EXPECT_EQ(I8254::tick_at(I8254::ns_of(tick) - 1), tick - 1);
    }
  }
}

TEST_F(I8254Test, Mode0RisesAfterCountPlusOneClocks) {
  to_tick(100);
  program(0, 0, 4);
  EXPECT_FALSE(pit.output(0));
  EXPECT_NE(status(0) & 0x40, 0);  // null count until the next clock
  to_tick(101);
  EXPECT_EQ(count(0), 4);
  EXPECT_EQ(status(0), 0x30);
  to_tick(104);
  EXPECT_EQ(count(0), 1);
  EXPECT_FALSE(wires.level[0]);
  to_tick(105);
  EXPECT_TRUE(wires.level[0]);
  EXPECT_EQ(status(0), 0xb0);
  to_tick(106);
  EXPECT_EQ(count(0), 0xffff);
  out(0x40, 3);  // the first byte lowers OUT at once
  EXPECT_FALSE(wires.level[0]);
}

TEST_F(I8254Test, Mode0GateHoldsTheCount) {
  to_tick(10);
  out(0x61, 1);
  program(2, 0, 100);
  to_tick(21);
  EXPECT_EQ(count(2), 90);
  out(0x61, 0);
  to_tick(1000);
  EXPECT_EQ(count(2), 90);
  out(0x61, 1);
  to_tick(1089);
  EXPECT_FALSE(pit.output(2));
  to_tick(1090);
  EXPECT_TRUE(pit.output(2));
  EXPECT_NE(in(0x61) & 0x20, 0);
}

TEST_F(I8254Test, Mode1IsARetriggerableOneShot) {
  program(2, 1, 5);
  EXPECT_TRUE(pit.output(2));
  to_tick(50);
  out(0x61, 1);
  EXPECT_TRUE(pit.output(2));
  to_tick(51);
  EXPECT_FALSE(pit.output(2));
  to_tick(53);
  out(0x61, 0);
  out(0x61, 1);
  to_tick(58);
  EXPECT_FALSE(pit.output(2));
  to_tick(59);
  EXPECT_TRUE(pit.output(2));
}

TEST_F(I8254Test, Mode2CountsAndInterruptsPeriodically) {
  program(0, 2, 10);
  EXPECT_TRUE(wires.level[0]);
  const int before = wires.rises[0];
  to_tick(1);
  EXPECT_EQ(count(0), 10);
  to_tick(10);
  EXPECT_EQ(count(0), 1);
  EXPECT_FALSE(pit.output(0));
  to_tick(11);
  EXPECT_EQ(count(0), 10);
  EXPECT_TRUE(pit.output(0));
  to_tick(1001);
  EXPECT_EQ(wires.rises[0] - before, 100);
}

TEST_F(I8254Test, Mode2TakesANewCountAtTheEndOfThePeriod) {
  program(0, 2, 10);
  to_tick(5);
  out(0x40, 20);
  out(0x40, 0);
  EXPECT_EQ(count(0), 6);
  EXPECT_NE(status(0) & 0x40, 0);
  to_tick(11);
  EXPECT_EQ(count(0), 20);
  EXPECT_EQ(status(0) & 0x40, 0);
  const int before = wires.rises[0];
  to_tick(30);
  EXPECT_EQ(wires.rises[0], before);
  to_tick(31);
  EXPECT_EQ(wires.rises[0], before + 1);
}

TEST_F(I8254Test, Mode3CountsByTwoAndIsSquare) {
  out(0x61, 1);
  program(2, 3, 6);
  std::string wave;
  for (u64 tick = 1; tick <= 12; ++tick) {
    to_tick(tick);
    wave += pit.output(2) ? '1' : '0';
    EXPECT_EQ(count(2), 6 - 2 * ((tick - 1) % 3)) << tick;
  }
  EXPECT_EQ(wave, "111000111000");
  program(2, 3, 5);
  const u64 start = I8254::tick_at(clock.now) + 1;
  std::string odd, counts;
  for (u64 i = 0; i < 10; ++i) {
    to_tick(start + i);
    odd += pit.output(2) ? '1' : '0';
    counts += static_cast<char>('0' + count(2));
  }
  EXPECT_EQ(odd, "1110011100");
  EXPECT_EQ(counts, "4204242042");
}

TEST_F(I8254Test, Mode3InterruptsOncePerPeriod) {
  program(0, 3, 1000);
  const int before = wires.rises[0];
  to_tick(1000);
  EXPECT_EQ(wires.rises[0], before);
  to_tick(1001);
  EXPECT_EQ(wires.rises[0], before + 1);
  to_tick(10001);
  EXPECT_EQ(wires.rises[0], before + 10);
}

TEST_F(I8254Test, Mode4StrobesOnce) {
  program(0, 4, 3);
  const int before = wires.rises[0];
  to_tick(3);
  EXPECT_TRUE(pit.output(0));
  to_tick(4);
  EXPECT_FALSE(pit.output(0));
  to_tick(5);
  EXPECT_TRUE(pit.output(0));
  EXPECT_EQ(wires.rises[0], before + 1);
  to_tick(200'000);
  EXPECT_EQ(wires.rises[0], before + 1);
}

TEST_F(I8254Test, Mode5StrobesAfterItsTrigger) {
  program(2, 5, 3);
  to_tick(20);
  EXPECT_TRUE(pit.output(2));
  out(0x61, 1);
  to_tick(23);
  EXPECT_TRUE(pit.output(2));
  to_tick(24);
  EXPECT_FALSE(pit.output(2));
  to_tick(25);
  EXPECT_TRUE(pit.output(2));
}

TEST_F(I8254Test, BcdCountsInDecimal) {
  program(0, 2, 0x1000, true);
  to_tick(2);
  EXPECT_EQ(count(0), 0x0999);
  program(0, 0, 0x0000, true);  // 10000
  const u64 start = I8254::tick_at(clock.now) + 1;
  to_tick(start + 1);
  EXPECT_EQ(count(0), 0x9999);
}

TEST_F(I8254Test, LatchHoldsUntilReadAndReadBackGivesStatusFirst) {
  program(0, 2, 1000);
  to_tick(101);
  out(0x43, 0x00);
  to_tick(301);
  out(0x43, 0x00);  // ignored: still latched
  EXPECT_EQ(in(0x40), 900 & 0xff);
  EXPECT_EQ(in(0x40), 900 >> 8);
  out(0x43, 0xc2);  // read-back: status and count of counter 0
  EXPECT_EQ(in(0x40), 0xb4);
  EXPECT_EQ(in(0x40), 700 & 0xff);
  EXPECT_EQ(in(0x40), 700 >> 8);
}

TEST_F(I8254Test, SingleByteAccess) {
  out(0x43, 0x14);  // LSB only, mode 2
  out(0x40, 100);
  to_tick(11);
  EXPECT_EQ(in(0x40), 90);
  EXPECT_EQ(in(0x40), 90);
  out(0x43, 0x24);  // MSB only
  out(0x40, 2);
  run_until(clock.now + 2000);
  EXPECT_EQ(in(0x40), 1);
}

TEST_F(I8254Test, AJumpOfTimeGivesOneEdge) {
  program(0, 2, 1193);
  run_for(10'000'000);
  const int before = wires.rises[0];
  jump_for(10'000'000'000);
  EXPECT_EQ(wires.rises[0], before + 1);
  scheduler.run_due();
  EXPECT_EQ(wires.rises[0], before + 1);
  EXPECT_GT(scheduler.next_deadline(), clock.now);
  run_for(1'000'000);
  EXPECT_EQ(wires.rises[0], before + 2);
}

TEST_F(I8254Test, IllegalCountOneMakesNoStorm) {
  program(0, 2, 1);
  const int before = wires.rises[0];
  run_for(1'000'000);
  EXPECT_EQ(wires.rises[0], before);
}

TEST_F(I8254Test, LoadRearmsTheTimer) {
  program(0, 2, 1000);
  std::vector<u8> saved;
  pit.save(saved);
  IsaTestBench other;
  I8254 copy(other.scheduler, other.ports, IrqLine(other.wires, 0));
  std::span<const u8> input(saved);
  ASSERT_TRUE(copy.load(input).ok());
  const int before = other.wires.rises[0];
  other.run_until(I8254::ns_of(1001));
  EXPECT_EQ(other.wires.rises[0], before + 1);
}

TEST_F(I8254Test, Port61TogglesRefreshAndReportsNmi) {
  int changes = 0;
  u8 last = in(0x61) & 0x10;
  for (int i = 0; i < 100; ++i) {
    run_for(1508);
    const u8 now = in(0x61) & 0x10;
    changes += now != last;
    last = now;
  }
  EXPECT_NEAR(changes, 10, 1);
  port61.report_serr();
  EXPECT_FALSE(wires.level[1]);
  port61.set_nmi_masked(false);
  EXPECT_TRUE(wires.level[1]);
  EXPECT_NE(in(0x61) & 0x80, 0);
  out(0x61, 0x04);
  EXPECT_FALSE(wires.level[1]);
  EXPECT_EQ(in(0x61) & 0x80, 0);
  port61.report_serr();
  EXPECT_FALSE(wires.level[1]);
}

TEST_F(I8254Test, Port92DrivesA20AndResets) {
  bool a20 = false;
  A20Gate gate([&](bool level) { a20 = level; });
  Port92 port92(ports, IrqLine(gate, A20Gate::kPort92), IrqLine(wires, 2));
  out(0x92, 2);
  EXPECT_TRUE(a20);
  EXPECT_EQ(in(0x92), 2);
  gate.set_irq(A20Gate::kKeyboardController, true);
  out(0x92, 0);
  EXPECT_TRUE(a20);  // either source is enough
  gate.set_irq(A20Gate::kKeyboardController, false);
  EXPECT_FALSE(a20);
  out(0x92, 1);
  out(0x92, 1);
  EXPECT_EQ(wires.rises[2], 1);
}

}  // namespace
}  // namespace dragoman
