#include "devices/i8259.h"

#include "tests/devices/isa_test_bench.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

struct I8259Test : ::testing::Test, IsaTestBench {
  I8259Pair pic{log, ports, IrqLine(wires, 0)};

  void initialise(u8 master_icw4 = 1, u8 slave_icw4 = 1) {
    out(0x20, 0x11);
    out(0x21, 0x08);
    out(0x21, 0x04);
    out(0x21, master_icw4);
    out(0xa0, 0x11);
    out(0xa1, 0x70);
    out(0xa1, 0x02);
    out(0xa1, slave_icw4);
  }
  u8 isr(u16 base = 0x20) {
    out(base, 0x0b);
    return in(base);
  }
  u8 irr(u16 base = 0x20) {
    out(base, 0x0a);
    return in(base);
  }
};

TEST_F(I8259Test, StateListIsComplete) { check_state_list<I8259State>(); }

TEST_F(I8259Test, EdgeGivesOneInterruptAndEoiEndsIt) {
  initialise();
  pic.set_irq(1, true);
  EXPECT_TRUE(wires.level[0]);
  EXPECT_EQ(irr(), 0x02);
  EXPECT_EQ(pic.acknowledge(), 0x09);
  EXPECT_FALSE(wires.level[0]);
  EXPECT_EQ(isr(), 0x02);
  EXPECT_EQ(irr(), 0x00);
  out(0x20, 0x20);
  EXPECT_EQ(isr(), 0x00);
  EXPECT_FALSE(wires.level[0]);  // the line is still high, but that is no new edge
  pic.set_irq(1, false);
  pic.set_irq(1, true);
  EXPECT_TRUE(wires.level[0]);
}

TEST_F(I8259Test, NoInterruptWhileInitialisationIsIncomplete) {
  out(0x20, 0x11);
  out(0x21, 0x08);
  pic.set_irq(1, true);
  EXPECT_FALSE(wires.level[0]);
  out(0x21, 0x04);
  out(0x21, 0x01);
  EXPECT_TRUE(wires.level[0]);
}

TEST_F(I8259Test, InitialisationForgetsOldEdgesAndMasks) {
  initialise();
  out(0x21, 0xff);
  pic.set_irq(3, true);
  EXPECT_EQ(irr(), 0x08);
  initialise();
  EXPECT_EQ(in(0x21), 0x00);
  EXPECT_EQ(irr(), 0x00);
  EXPECT_FALSE(wires.level[0]);
}

TEST_F(I8259Test, MaskHoldsBackButKeepsTheRequest) {
  initialise();
  out(0x21, 0x10);
  pic.set_irq(4, true);
  EXPECT_FALSE(wires.level[0]);
  EXPECT_EQ(irr(), 0x10);
  out(0x21, 0x00);
  EXPECT_TRUE(wires.level[0]);
}

TEST_F(I8259Test, HigherPriorityInterruptsLowerButNotTheOtherWay) {
  initialise();
  pic.set_irq(5, true);
  EXPECT_EQ(pic.acknowledge(), 0x0d);
  pic.set_irq(6, true);
  EXPECT_FALSE(pic.pending());
  pic.set_irq(1, true);
  EXPECT_TRUE(pic.pending());
  EXPECT_EQ(pic.acknowledge(), 0x09);
  out(0x20, 0x20);  // ends IRQ1, the more important one
  EXPECT_EQ(isr(), 0x20);
  out(0x20, 0x65);  // specific EOI 5
  EXPECT_EQ(pic.acknowledge(), 0x0e);
}

TEST_F(I8259Test, SpuriousInterruptWhenTheLineFallsEarly) {
  initialise();
  pic.set_irq(3, true);
  EXPECT_TRUE(pic.pending());
  pic.set_irq(3, false);
  EXPECT_FALSE(pic.pending());
  EXPECT_EQ(pic.acknowledge(), 0x0f);
  EXPECT_EQ(isr(), 0x00);
}

TEST_F(I8259Test, MaskingAtTheSlaveTakesTheCascadeDown) {
  initialise();
  pic.set_irq(10, true);
  EXPECT_TRUE(pic.pending());
  out(0xa1, 0x04);
  EXPECT_FALSE(pic.pending());
  out(0xa1, 0x00);
  EXPECT_EQ(pic.acknowledge(), 0x72);
  EXPECT_EQ(isr(0x20), 0x04);
  EXPECT_EQ(isr(0xa0), 0x04);
}

TEST_F(I8259Test, TwoSlaveRequestsComeOneAfterTheOther) {
  initialise();
  pic.set_irq(8, true);
  pic.set_irq(12, true);
  EXPECT_EQ(pic.acknowledge(), 0x70);
  EXPECT_FALSE(pic.pending());
  out(0xa0, 0x20);
  out(0x20, 0x20);
  EXPECT_TRUE(pic.pending());
  EXPECT_EQ(pic.acknowledge(), 0x74);
}

TEST_F(I8259Test, SlaveEoiBeforeMasterEoiKeepsTheNextEdge) {
  initialise();
  pic.set_irq(12, true);
  EXPECT_EQ(pic.acknowledge(), 0x74);
  pic.set_irq(9, true);         // more important than 12: the slave asks again
  EXPECT_FALSE(pic.pending());  // the master still has the slave in service
  out(0x20, 0x20);
  EXPECT_TRUE(pic.pending());
  EXPECT_EQ(pic.acknowledge(), 0x71);
}

TEST_F(I8259Test, SpecialFullyNestedModeLetsTheSlaveNest) {
  initialise(0x11);
  pic.set_irq(12, true);
  EXPECT_EQ(pic.acknowledge(), 0x74);
  pic.set_irq(9, true);
  EXPECT_TRUE(pic.pending());
  EXPECT_EQ(pic.acknowledge(), 0x71);
}

TEST_F(I8259Test, LevelTriggeredInputAsksAgainAfterEoi) {
  initialise();
  out(0x4d1, 0xff);
  EXPECT_EQ(in(0x4d1), 0xde);
  out(0x4d0, 0xff);
  EXPECT_EQ(in(0x4d0), 0xf8);
  EXPECT_TRUE(pic.level_triggered(11));
  EXPECT_FALSE(pic.level_triggered(13));
  pic.set_irq(11, true);
  EXPECT_EQ(pic.acknowledge(), 0x73);
  EXPECT_EQ(irr(0xa0), 0x08);  // IRR of a level input is its wire
  out(0xa0, 0x20);
  out(0x20, 0x20);
  EXPECT_TRUE(pic.pending());
  pic.set_irq(11, false);
  EXPECT_FALSE(pic.pending());
}

TEST_F(I8259Test, SpecialMaskModeOpensLowerLevels) {
  initialise();
  pic.set_irq(3, true);
  EXPECT_EQ(pic.acknowledge(), 0x0b);
  pic.set_irq(6, true);
  EXPECT_FALSE(pic.pending());
  out(0x21, 0x08);
  EXPECT_FALSE(pic.pending());
  out(0x20, 0x68);
  EXPECT_TRUE(pic.pending());
  EXPECT_EQ(pic.acknowledge(), 0x0e);
  out(0x20, 0x20);  // non-specific: passes over the masked level 3
  EXPECT_EQ(isr(), 0x08);
  out(0x20, 0x48);
  out(0x20, 0x20);
  EXPECT_EQ(isr(), 0x00);
}

TEST_F(I8259Test, RotationMakesTheServedLevelLowest) {
  initialise();
  pic.set_irq(4, true);
  pic.set_irq(6, true);
  EXPECT_EQ(pic.acknowledge(), 0x0c);
  out(0x20, 0xa0);
  EXPECT_EQ(pic.acknowledge(), 0x0e);
  out(0x20, 0xe6);  // rotate on specific EOI: 6 is now lowest, 7 highest
  pic.set_irq(0, true);
  pic.set_irq(7, true);
  EXPECT_EQ(pic.acknowledge(), 0x0f);
  out(0x20, 0x67);
  out(0x20, 0xc3);  // set priority: 3 lowest
  pic.set_irq(0, false);
  pic.set_irq(0, true);
  pic.set_irq(4, false);
  pic.set_irq(4, true);
  EXPECT_EQ(pic.acknowledge(), 0x0c);
}

TEST_F(I8259Test, AutomaticEoiLeavesNothingInService) {
  initialise(0x03, 0x03);
  pic.set_irq(2 + 8, true);
  EXPECT_EQ(pic.acknowledge(), 0x72);
  EXPECT_EQ(isr(), 0);
  EXPECT_EQ(isr(0xa0), 0);
  out(0x20, 0x80);  // rotate in automatic EOI mode
  pic.set_irq(0, true);
  EXPECT_EQ(pic.acknowledge(), 0x08);
  EXPECT_EQ(pic.state().chip[0].lowest, 0);
  out(0x20, 0x00);
  pic.set_irq(5, true);
  EXPECT_EQ(pic.acknowledge(), 0x0d);
  EXPECT_EQ(pic.state().chip[0].lowest, 0);
}

TEST_F(I8259Test, PollAcknowledges) {
  initialise();
  out(0x20, 0x0c);
  EXPECT_EQ(in(0x20) & 0x80, 0);
  pic.set_irq(4, true);
  out(0x20, 0x0c);
  EXPECT_EQ(in(0x20), 0x84);
  EXPECT_EQ(isr(), 0x10);
  EXPECT_EQ(irr(), 0x00);
}

TEST_F(I8259Test, SingleModeTakesNoIcw3) {
  out(0x20, 0x13);
  out(0x21, 0x40);
  out(0x21, 0x01);  // ICW4
  out(0x21, 0xfe);  // OCW1
  EXPECT_EQ(in(0x21), 0xfe);
  pic.set_irq(0, true);
  EXPECT_EQ(pic.acknowledge(), 0x40);
}

TEST_F(I8259Test, SavedStateDrivesTheOutputAgain) {
  initialise();
  pic.set_irq(1, true);
  std::vector<u8> saved;
  pic.save(saved);
  IsaTestBench other;
  I8259Pair copy(other.log, other.ports, IrqLine(other.wires, 0));
  std::span<const u8> input(saved);
  ASSERT_TRUE(copy.load(input).ok());
  EXPECT_TRUE(other.wires.level[0]);
  EXPECT_EQ(copy.acknowledge(), 0x09);
  pic.reset();
  EXPECT_FALSE(wires.level[0]);
}

}  // namespace
}  // namespace dragoman
