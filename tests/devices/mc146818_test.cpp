#include "devices/mc146818.h"

#include "tests/devices/isa_test_bench.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

constexpr u64 kSecond = 1'000'000'000;

struct Mc146818Test : ::testing::Test, IsaTestBench {
  // 1999-12-31 23:59:50 UTC, a Friday.
  Mc146818 rtc{scheduler, ports, IrqLine(wires, 8), 946684790,
               [this](bool masked) { nmi_masked = masked; }};
  bool nmi_masked = true;

  u8 get(u8 index) {
    out(0x70, index);
    return in(0x71);
  }
  void set(u8 index, u8 value) {
    out(0x70, index);
    out(0x71, value);
  }
};

TEST_F(Mc146818Test, StateListIsComplete) { check_state_list<Mc146818State>(); }

TEST_F(Mc146818Test, ShowsTheDateAndRollsOver) {
  EXPECT_EQ(get(0), 0x50);
  EXPECT_EQ(get(2), 0x59);
  EXPECT_EQ(get(4), 0x23);
  EXPECT_EQ(get(6), 6);
  EXPECT_EQ(get(7), 0x31);
  EXPECT_EQ(get(8), 0x12);
  EXPECT_EQ(get(9), 0x99);
  EXPECT_EQ(get(0x32), 0x19);
  run_until(10 * kSecond - 1);
  EXPECT_EQ(get(0), 0x59);
  run_until(10 * kSecond);
  EXPECT_EQ(get(0), 0);
  EXPECT_EQ(get(4), 0);
  EXPECT_EQ(get(6), 7);
  EXPECT_EQ(get(7), 1);
  EXPECT_EQ(get(8), 1);
  EXPECT_EQ(get(9), 0);
  EXPECT_EQ(get(0x32), 0x20);
}

TEST_F(Mc146818Test, LongJumpsKeepTheCalendar) {
  jump_for(u64{366} * 86400 * kSecond);  // 2000 was a leap year: 2000-12-31 23:59:50
  EXPECT_EQ(get(0), 0x50);
  EXPECT_EQ(get(4), 0x23);
  EXPECT_EQ(get(7), 0x31);
  EXPECT_EQ(get(8), 0x12);
  EXPECT_EQ(get(9), 0x00);
  EXPECT_EQ(get(0x32), 0x20);
  EXPECT_EQ(get(6), 1);  // a Sunday
}

TEST_F(Mc146818Test, UpdateInProgressPrecedesTheUpdate) {
  run_until(kSecond - 2'400'000);
  EXPECT_EQ(get(10) & 0x80, 0);
  run_until(kSecond - 2'000'000);
  EXPECT_EQ(get(10) & 0x80, 0x80);
  EXPECT_EQ(get(0), 0x50);
  run_until(kSecond);
  EXPECT_EQ(get(10) & 0x80, 0);
  EXPECT_EQ(get(0), 0x51);
}

TEST_F(Mc146818Test, SetStopsUpdates) {
  set(11, 0x92);
  EXPECT_EQ(get(11), 0x82);  // SET clears UIE
  run_until(5 * kSecond - 1'000'000);
  EXPECT_EQ(get(10) & 0x80, 0);
  EXPECT_EQ(get(0), 0x50);
  set(0, 0x10);
  set(11, 0x02);
  run_until(5 * kSecond);
  EXPECT_EQ(get(0), 0x11);
}

TEST_F(Mc146818Test, BinaryAnd12HourModes) {
  set(11, 0x84);
  set(4, 0x8b);  // 11 pm
  set(2, 59);
  set(0, 59);
  set(7, 30);
  set(8, 11);
  set(11, 0x04);
  run_for(kSecond);
  EXPECT_EQ(get(4), 12);  // 12 am
  EXPECT_EQ(get(7), 1);
  EXPECT_EQ(get(8), 12);
  set(11, 0x80);
  set(4, 0x11);  // 11 am in BCD
  set(2, 0x59);
  set(0, 0x59);
  set(11, 0x00);
  run_for(kSecond);
  EXPECT_EQ(get(4), 0x92);  // 12 pm
}

TEST_F(Mc146818Test, PeriodicInterruptUntilRegisterCIsRead) {
  set(11, 0x42);
  get(12);
  const u64 start = clock.now;
  run_for(976'000);
  EXPECT_FALSE(wires.level[8]);
  run_until(start + 976'563);
  EXPECT_TRUE(wires.level[8]);
  run_for(10 * 976'563);
  EXPECT_EQ(wires.rises[8], 1);  // unread: no more interrupts
  EXPECT_EQ(get(12), 0xc0);
  EXPECT_FALSE(wires.level[8]);
  EXPECT_EQ(get(12), 0x00);
  run_for(976'563);
  EXPECT_TRUE(wires.level[8]);
  set(10, 0x2f);  // 2 Hz
  get(12);
  run_until(kSecond / 2 - 1);
  EXPECT_FALSE(wires.level[8]);
  run_until(kSecond / 2);
  EXPECT_TRUE(wires.level[8]);
}

TEST_F(Mc146818Test, AlarmWithDoNotCare) {
  set(1, 0x55);
  set(3, 0xff);
  set(5, 0xc0);
  get(12);
  set(11, 0x22);
  run_until(5 * kSecond - 1);
  EXPECT_FALSE(wires.level[8]);
  run_until(5 * kSecond);
  EXPECT_TRUE(wires.level[8]);
  EXPECT_EQ(get(12) & 0xb0, 0xb0);
  run_until(64 * kSecond);
  EXPECT_FALSE(wires.level[8]);
  run_until(65 * kSecond);
  EXPECT_TRUE(wires.level[8]);
}

TEST_F(Mc146818Test, EnablingAFlagAlreadySetInterruptsAtOnce) {
  run_until(kSecond);
  EXPECT_FALSE(wires.level[8]);
  set(11, 0x12);
  EXPECT_TRUE(wires.level[8]);
  EXPECT_EQ(get(12) & 0x90, 0x90);
}

TEST_F(Mc146818Test, DividerResetDelaysTheNextUpdateByHalfASecond) {
  set(10, 0x76);
  run_for(3 * kSecond);
  EXPECT_EQ(get(0), 0x50);
  set(10, 0x26);
  run_for(kSecond / 2 - 1);
  EXPECT_EQ(get(0), 0x50);
  run_for(1);
  EXPECT_EQ(get(0), 0x51);
}

TEST_F(Mc146818Test, RamNmiMaskAndReset) {
  rtc.set_cmos(0x38, 0x20);
  EXPECT_EQ(get(0x38), 0x20);
  EXPECT_FALSE(nmi_masked);
  out(0x70, 0x80 | 0x38);
  EXPECT_TRUE(nmi_masked);
  EXPECT_EQ(in(0x71), 0x20);
  set(0x40, 0x5a);
  set(13, 0);
  EXPECT_EQ(get(13), 0x80);
  set(11, 0x7a);
  rtc.reset();
  EXPECT_EQ(get(11), 0x02);
  EXPECT_EQ(get(0x40), 0x5a);
}

}  // namespace
}  // namespace dragoman
