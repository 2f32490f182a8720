// Local APIC, APIC bus and IOAPIC.
#include <gtest/gtest.h>

#include "devices/ioapic.h"
#include "devices/local_apic.h"
#include "tests/devices/pci_test_bench.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

constexpr u32 kMasked = 0x10000;

class ApicTest : public testing::Test, protected PciTestBench {
 protected:
  ApicTest() {
    apic.connect(pins);
    write(0xf0, 0x1ff);
  }
  u32 read(u32 offset) {
    return static_cast<u32>(memory.read(PhysicalAddress(0xfee00000 + offset), 4));
  }
  void write(u32 offset, u32 value) {
    memory.write(PhysicalAddress(0xfee00000 + offset), 4, value);
  }
  void self_ipi(u8 vector) { write(0x300, 0x44000u | vector); }
  void eoi() { write(0xb0, 0); }
  bool irr(u8 vector) { return (read(0x200 + vector / 32 * 16) >> (vector % 32) & 1) != 0; }
  bool isr(u8 vector) { return (read(0x100 + vector / 32 * 16) >> (vector % 32) & 1) != 0; }
  LocalApicOptions options(u32 id) {
    return {.apic_id = id,
            .bootstrap = id == 0,
            .physical_bits = 40,
            .pic_acknowledge =
                [this] {
                  ++pic_acknowledges;
                  return u8{0x08};
                },
            .tsc = [this] { return clock.now * 2; },  // 2 GHz
            .tsc_to_ns = [](u64 tsc) { return (tsc + 1) / 2; },
            .ferr = IrqLine(isa, 13)};
  }
  u64 msr(u32 number) {
    u64 value = 0;
    EXPECT_TRUE(apic.read_x2apic(number, value)) << std::hex << number;
    return value;
  }
  void enter_x2apic() { ASSERT_TRUE(apic.set_apic_base(0xfee00d00)); }

  unsigned pic_acknowledges = 0;
  IrqRecorder isa;
  PinRecorder pins;
  ApicBus bus;
  LocalApic apic{"local apic", scheduler, memory, bus, options(0)};
};

TEST_F(ApicTest, StateListsAreComplete) {
  check_state_list<LocalApicState>();
  check_state_list<IoapicState>();
}

TEST_F(ApicTest, ResetValues) {
  apic.reset();
  EXPECT_EQ(apic.apic_base(), 0xfee00900u);
  EXPECT_EQ(read(0x20), 0u);
  EXPECT_EQ(read(0x30), 0x00050014u);
  EXPECT_EQ(read(0xf0), 0xffu);
  EXPECT_EQ(read(0xe0), 0xffffffffu);
  for (u32 lvt = 0x320; lvt <= 0x370; lvt += 0x10) EXPECT_EQ(read(lvt), kMasked);
}

TEST_F(ApicTest, PriorityAndEoi) {
  self_ipi(0x41);
  EXPECT_TRUE(pins.request);
  self_ipi(0x52);
  EXPECT_EQ(apic.acknowledge(), 0x52);
  EXPECT_TRUE(isr(0x52));
  EXPECT_EQ(read(0xa0), 0x50u);
  EXPECT_FALSE(pins.request);  // 41h waits behind class 5
  self_ipi(0x5f);              // same class: also waits
  EXPECT_FALSE(pins.request);
  self_ipi(0x60);
  EXPECT_TRUE(pins.request);
  EXPECT_EQ(apic.acknowledge(), 0x60);
  eoi();
  EXPECT_FALSE(isr(0x60));
  EXPECT_TRUE(isr(0x52));
  eoi();
  EXPECT_EQ(apic.acknowledge(), 0x5f);
  eoi();
  EXPECT_EQ(apic.acknowledge(), 0x41);
  eoi();
  EXPECT_FALSE(pins.request);
  eoi();  // nothing in service: harmless
}

TEST_F(ApicTest, TaskPriorityHoldsBack) {
  apic.set_cr8(5);
  EXPECT_EQ(read(0x80), 0x50u);
  self_ipi(0x5f);
  EXPECT_FALSE(pins.request);
  EXPECT_EQ(apic.acknowledge(), 0xff);  // spurious
  EXPECT_FALSE(isr(0xff));
  write(0x80, 0x4f);
  EXPECT_EQ(apic.cr8(), 4);
  EXPECT_EQ(read(0xa0), 0x4fu);
  EXPECT_TRUE(pins.request);
  EXPECT_EQ(apic.acknowledge(), 0x5f);
}

TEST_F(ApicTest, SoftwareDisableMasksAndRefuses) {
  write(0x350, 0x700);
  write(0xf0, 0xff);
  EXPECT_EQ(read(0x350), 0x10700u);
  write(0x350, 0x700);
  EXPECT_EQ(read(0x350), 0x10700u);
  self_ipi(0x40);
  EXPECT_FALSE(irr(0x40));
  bus.deliver({.destination = 0, .delivery = ApicDelivery::kNmi});
  EXPECT_EQ(pins.nmis, 1u);
}

TEST_F(ApicTest, VirtualWire) {
  apic.set_irq(LocalApic::kPinLint0, true);
  EXPECT_FALSE(pins.request);  // masked after reset
  write(0x350, 0x700);
  EXPECT_TRUE(pins.request);
  EXPECT_EQ(apic.acknowledge(), 0x08);
  EXPECT_EQ(pic_acknowledges, 1u);
  EXPECT_TRUE(pins.request);  // until the 8259 lowers INTR
  apic.set_irq(LocalApic::kPinLint0, false);
  EXPECT_FALSE(pins.request);
  write(0x360, 0x400);
  apic.set_irq(LocalApic::kPinLint1, true);
  EXPECT_EQ(pins.nmis, 1u);
}

TEST_F(ApicTest, GloballyDisabledPinsGoStraightToTheProcessor) {
  ASSERT_TRUE(apic.set_apic_base(0xfee00100));
  EXPECT_EQ(read(0x30), 0xffffffffu);
  apic.set_irq(LocalApic::kPinLint0, true);
  EXPECT_TRUE(pins.request);
  EXPECT_EQ(apic.acknowledge(), 0x08);
  EXPECT_FALSE(bus.deliver({.destination = 0, .vector = 0x40}));
}

TEST_F(ApicTest, OpenVirtualWire) {
  apic.reset();
  apic.open_virtual_wire();
  apic.set_irq(LocalApic::kPinLint0, true);
  EXPECT_TRUE(pins.request);
}

TEST_F(ApicTest, LevelTriggeredLint0HoldsRemoteIrr) {
  write(0x350, 0x8045);
  apic.set_irq(LocalApic::kPinLint0, true);
  EXPECT_EQ(read(0x350), 0xc045u);
  EXPECT_EQ(apic.acknowledge(), 0x45);
  EXPECT_FALSE(irr(0x45));
  eoi();
  EXPECT_TRUE(irr(0x45));  // still asserted
  apic.set_irq(LocalApic::kPinLint0, false);
  EXPECT_EQ(apic.acknowledge(), 0x45);
  eoi();
  EXPECT_FALSE(irr(0x45));
  EXPECT_EQ(read(0x350), 0x8045u);
}

TEST_F(ApicTest, RegistersMoveWithTheBase) {
  ASSERT_TRUE(apic.set_apic_base(0xfea00900));
  EXPECT_EQ(read(0x30), 0xffffffffu);
  EXPECT_EQ(memory.read(PhysicalAddress(0xfea00030), 4), 0x00050014u);
  EXPECT_FALSE(apic.set_apic_base(0xfee00900 | u64{1} << 40));
  EXPECT_FALSE(apic.set_apic_base(0xfee00901));
}

TEST_F(ApicTest, Errors) {
  write(0x370, 0xfe);
  self_ipi(0x05);
  EXPECT_TRUE(irr(0xfe));
  EXPECT_EQ(read(0x280), 0u);
  write(0x280, 0);
  EXPECT_EQ(read(0x280), 0x20u);
  bus.deliver({.destination = 0, .vector = 3});
  read(0x3f0);
  write(0x280, 0);
  EXPECT_EQ(read(0x280), 0xc0u);
  write(0x280, 0);
  EXPECT_EQ(read(0x280), 0u);
}

TEST_F(ApicTest, OneShotTimer) {
  write(0x3e0, 0xb);  // divide by 1
  write(0x320, 0x40);
  write(0x380, 1000);
  run_until(400);
  EXPECT_EQ(read(0x390), 600u);
  run_until(999);
  EXPECT_FALSE(irr(0x40));
  run_until(1000);
  EXPECT_TRUE(irr(0x40));
  EXPECT_EQ(read(0x390), 0u);
  apic.acknowledge();
  eoi();
  run_until(5000);
  EXPECT_FALSE(irr(0x40));
}

TEST_F(ApicTest, ExpiredOneShotStaysAtZeroWhenTheModeChanges) {
  write(0x3e0, 0xb);
  write(0x320, 0x40);
  write(0x380, 1000);
  clock.now = 1500;  // expired, and the scheduler has not come to it yet
  write(0x320, 0x20040);
  EXPECT_EQ(read(0x390), 0u);
  EXPECT_TRUE(irr(0x40));
  apic.acknowledge();
  eoi();
  run_until(5000);
  EXPECT_FALSE(irr(0x40));
  EXPECT_EQ(read(0x390), 0u);
}

TEST_F(ApicTest, DividerAndMaskedTimer) {
  write(0x3e0, 0x3);  // divide by 16
  write(0x320, kMasked | 0x40);
  write(0x380, 100);
  run_until(800);
  EXPECT_EQ(read(0x390), 50u);
  run_until(2000);
  write(0x320, 0x40);
  EXPECT_FALSE(irr(0x40));
}

TEST_F(ApicTest, PeriodicTimer) {
  write(0x3e0, 0xb);
  write(0x320, 0x20040);
  write(0x380, 10000);
  for (u64 n = 1; n <= 3; ++n) {
    run_until(n * 10000 - 1);
    EXPECT_FALSE(irr(0x40));
    run_until(n * 10000);
    EXPECT_TRUE(irr(0x40));
    apic.acknowledge();
    eoi();
  }
  run_until(34000);
  EXPECT_EQ(read(0x390), 6000u);
  write(0x380, 0);
  run_until(100000);
  EXPECT_FALSE(irr(0x40));
}

TEST_F(ApicTest, PeriodicTimerDropsLostTicksAndKeepsPhase) {
  write(0x3e0, 0xb);
  write(0x320, 0x20040);
  write(0x380, 10000);
  clock.now = 1004000;  // 100 periods at once
  scheduler.run_due();
  EXPECT_EQ(apic.acknowledge(), 0x40);
  eoi();
  EXPECT_EQ(scheduler.next_deadline(), 1010000u);
  EXPECT_EQ(read(0x390), 6000u);
}

TEST_F(ApicTest, ShortestPeriodDoesNotStormTheScheduler) {
  write(0x3e0, 0xb);
  write(0x320, 0x20040);
  write(0x380, 1);
  clock.now = 1000;
  scheduler.run_due();
  EXPECT_GE(scheduler.next_deadline(), 2000u);
  EXPECT_EQ(read(0x390), 1u);
}

TEST_F(ApicTest, TscDeadline) {
  apic.set_tsc_deadline(5000);
  EXPECT_EQ(apic.tsc_deadline(), 0u);  // other mode: ignored
  write(0x320, 0x40040);
  apic.set_tsc_deadline(5000);
  EXPECT_EQ(apic.tsc_deadline(), 5000u);
  run_until(2499);
  EXPECT_FALSE(irr(0x40));
  run_until(2500);
  EXPECT_TRUE(irr(0x40));
  EXPECT_EQ(apic.tsc_deadline(), 0u);
  apic.acknowledge();
  eoi();
  apic.set_tsc_deadline(1);  // long past: at once
  EXPECT_TRUE(irr(0x40));
  apic.acknowledge();
  eoi();
  apic.set_tsc_deadline(100000);
  apic.set_tsc_deadline(0);
  run_until(200000);
  EXPECT_FALSE(irr(0x40));
  apic.set_tsc_deadline(1000000);
  write(0x320, 0x40);  // leaving the mode disarms
  run_until(2000000);
  EXPECT_FALSE(irr(0x40));
}

TEST_F(ApicTest, SavedTimerFiresAfterLoad) {
  write(0x3e0, 0xb);
  write(0x320, 0x40);
  write(0x380, 1000);
  std::vector<u8> saved;
  apic.save(saved);
  apic.reset();
  run_until(500);
  std::span<const u8> in(saved);
  ASSERT_TRUE(apic.load(in).ok());
  EXPECT_EQ(read(0x390), 500u);
  run_until(1000);
  EXPECT_TRUE(irr(0x40));
}

TEST_F(ApicTest, X2apicTransitions) {
  EXPECT_FALSE(apic.set_apic_base(0xfee00500));  // extended without enabled
  ASSERT_TRUE(apic.set_apic_base(0xfee00100));
  EXPECT_FALSE(apic.set_apic_base(0xfee00d00));  // disabled -> x2APIC
  ASSERT_TRUE(apic.set_apic_base(0xfee00900));
  u64 value = 0;
  EXPECT_FALSE(apic.read_x2apic(0x802, value));
  ASSERT_TRUE(apic.set_apic_base(0xfee00d00));
  EXPECT_EQ(read(0x30), 0xffffffffu);  // no MMIO
  EXPECT_EQ(msr(0x803), 0x00050014u);
  EXPECT_FALSE(apic.set_apic_base(0xfee00900));  // x2APIC -> xAPIC
  EXPECT_TRUE(apic.set_apic_base(0xfee00d00));
  ASSERT_TRUE(apic.set_apic_base(0xfee00100));
  EXPECT_FALSE(apic.read_x2apic(0x803, value));
}

TEST_F(ApicTest, X2apicRegisters) {
  enter_x2apic();
  EXPECT_EQ(msr(0x802), 0u);
  EXPECT_EQ(msr(0x80d), 1u);
  EXPECT_EQ(msr(0x80f), 0x1ffu);  // kept across the switch
  u64 value = 0;
  for (const u32 bad : {0x80bu, 0x80eu, 0x831u, 0x83fu, 0x82fu, 0x840u, 0x8ffu, 0x800u}) {
    EXPECT_FALSE(apic.read_x2apic(bad, value)) << std::hex << bad;
  }
  EXPECT_FALSE(apic.write_x2apic(0x802, 0));
  EXPECT_FALSE(apic.write_x2apic(0x80b, 1));
  EXPECT_FALSE(apic.write_x2apic(0x808, 0x100));
  EXPECT_FALSE(apic.write_x2apic(0x828, 1));
  EXPECT_FALSE(apic.write_x2apic(0x838, u64{1} << 32));
  EXPECT_FALSE(apic.write_x2apic(0x832, 0x80040));
  EXPECT_TRUE(apic.write_x2apic(0x83f, 0x77));
  EXPECT_EQ(apic.acknowledge(), 0x77);
  EXPECT_TRUE(apic.write_x2apic(0x80b, 0));
  EXPECT_EQ(msr(0x813), 0u);
  EXPECT_TRUE(apic.write_x2apic(0x830, u64{0} << 32 | 0x40f3));  // physical destination 0
  EXPECT_EQ(apic.acknowledge(), 0xf3);
  EXPECT_TRUE(apic.write_x2apic(0x830, u64{1} << 32 | 0x4855));  // logical, cluster 0, bit 0
  EXPECT_TRUE(apic.write_x2apic(0x80b, 0));
  EXPECT_EQ(apic.acknowledge(), 0x55);
  EXPECT_EQ(msr(0x830), u64{1} << 32 | 0x4855);
}

TEST_F(ApicTest, InitKeepsBaseAndId) {
  ASSERT_TRUE(apic.set_apic_base(0xfea00900));
  self_ipi(0x40);
  bus.deliver({.destination = 0, .delivery = ApicDelivery::kInit});
  EXPECT_EQ(pins.inits, 1u);
  EXPECT_EQ(apic.apic_base(), 0xfea00900u);
  EXPECT_EQ(memory.read(PhysicalAddress(0xfea000f0), 4), 0xffu);
  EXPECT_FALSE(pins.request);
  apic.reset();
  EXPECT_EQ(apic.apic_base(), 0xfee00900u);
}

TEST_F(ApicTest, Ferr) {
  apic.set_ferr(true);
  EXPECT_TRUE(isa.levels[13]);
}

/// A second processor with its own view of the register page.
class TwoXapicsTest : public ApicTest {
 protected:
  TwoXapicsTest() {
    other.connect(other_pins);
    other_map.write(PhysicalAddress(0xfee000f0), 4, 0x1ff);
  }
  void other_write(u32 offset, u32 value) {
    other_map.write(PhysicalAddress(0xfee00000 + offset), 4, value);
  }
  PinRecorder other_pins;
  MemoryMap other_map{*pool, log};
  LocalApic other{"local apic 1", scheduler, other_map, bus, options(1)};
};

TEST_F(TwoXapicsTest, PhysicalDestinationAndShorthands) {
  EXPECT_EQ(other.apic_base(), 0xfee00800u);
  write(0x310, 1u << 24);
  write(0x300, 0x4040);
  EXPECT_FALSE(pins.request);
  EXPECT_EQ(other.acknowledge(), 0x40);
  write(0x300, 0xc4050);  // all excluding self
  EXPECT_FALSE(pins.request);
  EXPECT_EQ(other.acknowledge(), 0x50);
  write(0x300, 0x84060);  // all including self
  EXPECT_EQ(apic.acknowledge(), 0x60);
  EXPECT_EQ(other.acknowledge(), 0x60);
  write(0x310, 0xffu << 24);
  write(0x300, 0x4070);  // broadcast
  EXPECT_EQ(apic.acknowledge(), 0x70);
  EXPECT_EQ(other.acknowledge(), 0x70);
  EXPECT_EQ(read(0x310), 0xff000000u);
}

TEST_F(TwoXapicsTest, InitAndStartUp) {
  write(0x310, 1u << 24);
  write(0x300, 0x4500);
  EXPECT_EQ(other_pins.inits, 1u);
  write(0x300, 0x8500);  // level de-assert
  EXPECT_EQ(other_pins.inits, 1u);
  write(0x300, 0x4699);
  EXPECT_EQ(other_pins.start_ups, std::vector<u8>{0x99});
  write(0x300, 0x4400);
  EXPECT_EQ(other_pins.nmis, 1u);
  write(0x300, 0x4200);
  EXPECT_EQ(other_pins.smis, 1u);
  EXPECT_EQ(pins.inits + pins.nmis + pins.smis, 0u);
}

TEST_F(TwoXapicsTest, LogicalFlatAndCluster) {
  write(0xd0, 1u << 24);
  other_write(0xd0, 2u << 24);
  write(0x310, 2u << 24);
  write(0x300, 0x4840);
  EXPECT_FALSE(pins.request);
  EXPECT_TRUE(other_pins.request);
  write(0x310, 3u << 24);
  write(0x300, 0x4841);
  EXPECT_TRUE(pins.request);
  // Cluster: same bit in another cluster is not addressed.
  write(0xe0, 0x0fffffff);
  other_write(0xe0, 0x0fffffff);
  write(0xd0, 0x11u << 24);
  other_write(0xd0, 0x21u << 24);
  write(0x310, 0x11u << 24);
  write(0x300, 0x48f0);
  EXPECT_TRUE(irr(0xf0));
  EXPECT_NE(other.acknowledge(), 0xf0);
}

TEST_F(TwoXapicsTest, LowestPriorityPicksTheLessBusy) {
  write(0xd0, 1u << 24);
  other_write(0xd0, 2u << 24);
  apic.set_cr8(3);
  bus.deliver({.destination = 3,
               .logical = true,
               .delivery = ApicDelivery::kLowestPriority,
               .vector = 0x90});
  EXPECT_FALSE(pins.request);
  EXPECT_TRUE(other_pins.request);
}

TEST_F(TwoXapicsTest, Msi) {
  bus.deliver_msi(0xfee01000, 0x4061);
  EXPECT_FALSE(pins.request);
  EXPECT_EQ(other.acknowledge(), 0x61);
  other_write(0xd0, 2u << 24);
  bus.deliver_msi(0xfee0200c, 0x0172);  // logical, lowest priority
  EXPECT_EQ(other.acknowledge(), 0x72);
}

class IoapicTest : public ApicTest {
 protected:
  void set_entry(unsigned pin, u64 entry) {
    window_write(0x11 + 2 * pin, static_cast<u32>(entry >> 32));
    window_write(0x10 + 2 * pin, static_cast<u32>(entry));
  }
  u32 window_read(u32 index) {
    memory.write(PhysicalAddress(0xfec00000), 4, index);
    return static_cast<u32>(memory.read(PhysicalAddress(0xfec00010), 4));
  }
  void window_write(u32 index, u32 value) {
    memory.write(PhysicalAddress(0xfec00000), 4, index);
    memory.write(PhysicalAddress(0xfec00010), 4, value);
  }
  Ioapic ioapic{"ioapic", memory, bus};
};

TEST_F(IoapicTest, Registers) {
  EXPECT_EQ(window_read(1), 0x00170020u);
  window_write(0, 0xffffffff);
  EXPECT_EQ(window_read(0), 0x0f000000u);
  EXPECT_EQ(window_read(0x10), kMasked);
  window_write(0x10, 0xffffffff);
  EXPECT_EQ(window_read(0x10), 0x0001afffu);
  EXPECT_EQ(window_read(0xff), 0u);
  window_write(0xff, 1);
}

TEST_F(IoapicTest, EdgeTriggered) {
  set_entry(4, kMasked | 0x34);
  ioapic.set_irq(4, true);
  set_entry(4, 0x34);
  EXPECT_FALSE(pins.request);  // a masked edge is lost
  ioapic.set_irq(4, false);
  ioapic.set_irq(4, true);
  EXPECT_EQ(apic.acknowledge(), 0x34);
  ioapic.set_irq(4, true);
  eoi();
  EXPECT_FALSE(pins.request);
}

TEST_F(IoapicTest, LevelTriggeredRemoteIrrAndRedelivery) {
  set_entry(11, 0x8000 | 0x35);
  ioapic.set_irq(11, true);
  EXPECT_EQ(window_read(0x10 + 22), 0xc035u);
  EXPECT_EQ(apic.acknowledge(), 0x35);
  ioapic.set_irq(11, false);
  ioapic.set_irq(11, true);  // remote IRR: not sent again
  EXPECT_FALSE(irr(0x35));
  eoi();
  EXPECT_TRUE(irr(0x35));  // still asserted
  EXPECT_EQ(apic.acknowledge(), 0x35);
  ioapic.set_irq(11, false);
  eoi();
  EXPECT_FALSE(pins.request);
  EXPECT_EQ(window_read(0x10 + 22), 0x8035u);
}

TEST_F(IoapicTest, UnmaskingALevelDelivers) {
  set_entry(10, kMasked | 0x8000 | 0x36);
  ioapic.set_irq(10, true);
  EXPECT_FALSE(pins.request);
  set_entry(10, 0x8000 | 0x36);
  EXPECT_EQ(apic.acknowledge(), 0x36);
}

TEST_F(IoapicTest, EoiRegisterAndEdgeSwitchClearRemoteIrr) {
  set_entry(10, 0x8000 | 0x36);
  ioapic.set_irq(10, true);
  ioapic.set_irq(10, false);
  memory.write(PhysicalAddress(0xfec00040), 4, 0x36);
  EXPECT_EQ(window_read(0x10 + 20), 0x8036u);
  ioapic.set_irq(10, true);
  EXPECT_EQ(window_read(0x10 + 20), 0xc036u);
  set_entry(10, kMasked | 0x36);
  EXPECT_EQ(window_read(0x10 + 20), kMasked | 0x36u);
}

TEST_F(IoapicTest, UnacceptedLevelIsRetried) {
  set_entry(10, u64{7} << 56 | 0x8000 | 0x36);  // nobody has APIC ID 7
  ioapic.set_irq(10, true);
  EXPECT_EQ(window_read(0x10 + 20), 0x8036u);
  set_entry(10, 0x8000 | 0x36);
  EXPECT_TRUE(irr(0x36));
}

TEST_F(IoapicTest, ExtIntOnPin0) {
  set_entry(0, 0x700);
  ioapic.set_irq(0, true);
  EXPECT_TRUE(pins.request);
  EXPECT_EQ(apic.acknowledge(), 0x08);
  EXPECT_FALSE(pins.request);
}

TEST_F(IoapicTest, NmiDelivery) {
  set_entry(3, 0x400);
  ioapic.set_irq(3, true);
  EXPECT_EQ(pins.nmis, 1u);
}

}  // namespace
}  // namespace dragoman
