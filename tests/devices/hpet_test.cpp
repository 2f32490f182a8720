#include "devices/hpet.h"

#include <gtest/gtest.h>

#include "tests/devices/pci_test_bench.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

class HpetTest : public testing::Test, protected PciTestBench {
 protected:
  u64 read(u32 offset, unsigned size = 8) {
    return memory.read(PhysicalAddress(0xfed00000 + offset), size);
  }
  void write(u32 offset, u64 value, unsigned size = 8) {
    memory.write(PhysicalAddress(0xfed00000 + offset), size, value);
  }
  static u32 config(unsigned n) { return 0x100 + 0x20 * n; }
  static u32 comparator(unsigned n) { return 0x108 + 0x20 * n; }
  static constexpr u64 kPin20 = 20 << 9;

  IrqRecorder isa, ioapic;
  Hpet hpet{"hpet", scheduler, memory, IrqLine(isa, 0), IrqLine(isa, 8), ioapic};
};

TEST_F(HpetTest, StateListsAreComplete) {
  check_state_list<HpetState>();
  check_state_list<HpetTimerState>();
}

TEST_F(HpetTest, Capabilities) {
  EXPECT_EQ(read(0), 0x009896808086a201u);
  EXPECT_EQ(read(4, 4), 0x00989680u);
  EXPECT_EQ(read(config(0)), 0x00f0000000000030u);
  write(config(0), ~u64{0});
  EXPECT_EQ(read(config(0)) & 0xc000, 0u);  // no FSB delivery
}

TEST_F(HpetTest, CounterRunsWhileEnabled) {
  run_until(1000);
  EXPECT_EQ(read(0xf0), 0u);
  write(0xf0, 5);
  write(0x10, 1);
  run_until(2000);
  EXPECT_EQ(read(0xf0), 105u);
  EXPECT_EQ(read(0xf0, 4), 105u);
  write(0xf0, 0);  // only while halted
  EXPECT_EQ(read(0xf0), 105u);
  write(0x10, 0);
  run_until(3000);
  EXPECT_EQ(read(0xf0), 105u);
}

TEST_F(HpetTest, OneShotEdge) {
  write(config(2), kPin20 | 4);
  write(comparator(2), 100);
  write(0x10, 1);
  run_until(999);
  EXPECT_EQ(ioapic.rises[20], 0u);
  run_until(1000);
  EXPECT_EQ(ioapic.rises[20], 1u);
  EXPECT_FALSE(ioapic.levels[20]);
  EXPECT_EQ(read(0x20), 0u);
  run_until(100000);
  EXPECT_EQ(ioapic.rises[20], 1u);
}

TEST_F(HpetTest, LevelStaysUntilStatusIsCleared) {
  write(config(1), kPin20 | 6);
  write(comparator(1), 10);
  write(0x10, 1);
  run_until(100);
  EXPECT_TRUE(ioapic.levels[20]);
  EXPECT_EQ(read(0x20), 2u);
  write(0x20, 1);
  EXPECT_TRUE(ioapic.levels[20]);
  write(0x20, 2);
  EXPECT_FALSE(ioapic.levels[20]);
}

TEST_F(HpetTest, PeriodicWithAccumulator) {
  write(config(0), kPin20 | 4 | 8 | 0x40);
  write(comparator(0), 1000);  // first match
  EXPECT_EQ(read(config(0)) & 0x40, 0u);
  write(comparator(0), 500);  // period
  EXPECT_EQ(read(comparator(0)), 1000u);
  write(0x10, 1);
  run_until(9999);
  EXPECT_EQ(ioapic.rises[20], 0u);
  run_until(10000);
  EXPECT_EQ(ioapic.rises[20], 1u);
  EXPECT_EQ(read(comparator(0)), 1500u);
  run_until(30000);
  EXPECT_EQ(ioapic.rises[20], 5u);
}

TEST_F(HpetTest, PeriodicDropsLostTicks) {
  write(config(0), kPin20 | 4 | 8 | 0x40);
  write(comparator(0), 1000);
  write(0x10, 1);
  clock.now = 1005000;
  scheduler.run_due();
  EXPECT_EQ(ioapic.rises[20], 1u);
  EXPECT_EQ(scheduler.next_deadline(), 1010000u);
}

TEST_F(HpetTest, TinyPeriodDoesNotStorm) {
  write(config(0), kPin20 | 4 | 8 | 0x40);
  write(comparator(0), 1);
  write(0x10, 1);
  clock.now = 100;
  scheduler.run_due();
  EXPECT_GE(scheduler.next_deadline(), 1000u);
}

TEST_F(HpetTest, ThirtyTwoBitComparatorWraps) {
  write(0xf0, 0xfffffff0);
  write(config(0), kPin20 | 4 | 0x100);
  write(comparator(0), 0x10, 4);
  write(0x10, 1);
  run_until(0x20 * 10);
  EXPECT_EQ(ioapic.rises[20], 1u);
  EXPECT_EQ(read(0xf0), 0x100000010u);
}

TEST_F(HpetTest, LegacyReplacement) {
  hpet.set_irq(Hpet::kPit, true);
  EXPECT_TRUE(isa.levels[0]);
  write(config(0), 4 | 8 | 0x40);
  write(comparator(0), 100);
  write(0x10, 3);
  EXPECT_FALSE(isa.levels[0]);  // the PIT is cut off
  hpet.set_irq(Hpet::kPit, false);
  hpet.set_irq(Hpet::kPit, true);
  EXPECT_EQ(isa.rises[0], 1u);
  run_until(1000);
  EXPECT_EQ(isa.rises[0], 2u);
  EXPECT_TRUE(isa.levels[0]);  // held for the 8259
  run_until(2000);
  EXPECT_EQ(isa.rises[0], 3u);
  write(0x10, 1);
  EXPECT_TRUE(isa.levels[0]);  // the PIT's own level again
  hpet.set_irq(Hpet::kPit, false);
  EXPECT_FALSE(isa.levels[0]);
}

TEST_F(HpetTest, SavedTimerFiresAfterLoad) {
  write(config(2), kPin20 | 4);
  write(comparator(2), 100);
  write(0x10, 1);
  run_until(500);
  std::vector<u8> saved;
  hpet.save(saved);
  hpet.reset();
  EXPECT_EQ(read(0xf0), 0u);
  std::span<const u8> in(saved);
  ASSERT_TRUE(hpet.load(in).ok());
  EXPECT_EQ(read(0xf0), 50u);
  run_until(1000);
  EXPECT_EQ(ioapic.rises[20], 1u);
}

}  // namespace
}  // namespace dragoman
