// The SMBus function and the TCO watchdog of the ICH9.
#include <gtest/gtest.h>

#include "devices/ich9_lpc.h"
#include "devices/ich9_smbus.h"
#include "devices/spd_eeprom.h"
#include "tests/devices/pci_test_bench.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

constexpr u16 kPm = 0x600, kTco = kPm + 0x60, kSmbus = 0xc000;
constexpr u64 kRcba = 0xfed1c000;
constexpr u64 kTick = 600'000'000;

class Ich9Test : public testing::Test, protected PciTestBench {
 protected:
  Ich9Test() {
    bus.attach(31, 0, lpc);
    bus.attach(31, 3, smbus);
    smbus.connect_intx(IrqLine(irq, 0));
    smbus.set_device(spd);
    lpc.reset();
    smbus.reset();
    config_write(31, 0, 0x40, 4, kPm | 1);
    config_write(31, 0, 0x44, 1, 0x80);
    config_write(31, 0, 0xf0, 4, static_cast<u32>(kRcba | 1));
    config_write(31, 3, 0x20, 4, kSmbus);
    config_write(31, 3, 0x04, 2, 1);
  }
  u32 in(unsigned port, unsigned size = 1) {
    return ports.read(Port(static_cast<u16>(port)), size);
  }
  void out(unsigned port, u32 value, unsigned size = 1) {
    ports.write(Port(static_cast<u16>(port)), size, value);
  }
  u8 transfer(u8 slave, u8 command, u8 control) {
    out(kSmbus, 0xff);
    out(kSmbus + 4, slave);
    out(kSmbus + 3, command);
    out(kSmbus + 2, control | 0x40u);
    return static_cast<u8>(in(kSmbus)&0x1f);
  }
  void pass(u64 ns) { run_until(clock.now + ns); }

  unsigned resets = 0, smis = 0;
  IrqRecorder pic, ioapic, irq;
  PciBus bus{"pci", ports, Ich9Lpc::wiring};
  Ich9Lpc lpc{"ich9-lpc",
              spaces,
              scheduler,
              pic,
              ioapic,
              {.reset = [this](bool hard) { resets += hard ? 1 : 0; },
               .smi = [this] { ++smis; },
               .power_off = [] {},
               .sleep = [](unsigned) {}}};
  Ich9Smbus smbus{"ich9-smbus", spaces};
  SpdEeprom spd{"spd", 256 * kMiB};
};

TEST_F(Ich9Test, StateListsAreComplete) {
  check_state_list<Ich9SmbusState>();
  check_state_list<Ich9TcoState>();
}

TEST_F(Ich9Test, SmbusReadsMemoryModules) {
  EXPECT_EQ(config_read(31, 3, 0, 4), 0x29308086u);
  EXPECT_EQ(config_read(31, 3, 8, 4) >> 8, 0x0c0500u);
  EXPECT_EQ(in(kSmbus), 0xffu) << "the host is not enabled";
  config_write(31, 3, 0x40, 1, 1);
  EXPECT_EQ(in(kSmbus), 0u) << "who reads this has the controller";
  EXPECT_EQ(in(kSmbus), 0x40u) << "and others have not";
  out(kSmbus, 0x40);
  EXPECT_EQ(in(kSmbus), 0u);

  EXPECT_EQ(transfer(0xa1, 2, 2 << 2), 0x02u);
  EXPECT_EQ(in(kSmbus + 5), 4u) << "byte 2: SDRAM";
  EXPECT_EQ(transfer(0xa1, 2, 3 << 2), 0x02u);
  EXPECT_EQ(in(kSmbus + 5), 4u) << "a word";
  EXPECT_EQ(transfer(0xa0, 2, 1 << 2), 0x02u) << "Send Byte sets the place";
  EXPECT_EQ(transfer(0xa1, 0, 1 << 2), 0x02u);
  EXPECT_EQ(in(kSmbus + 5), 4u);
  EXPECT_EQ(transfer(0xa0, 0, 0), 0x02u) << "Quick finds it";
  EXPECT_EQ(transfer(0xae, 0, 0), 0x04u) << "nobody is there";
  EXPECT_EQ(transfer(0xa0, 2, 2 << 2), 0x04u) << "write-protected";
  EXPECT_EQ(transfer(0xa1, 2, 5 << 2), 0x04u) << "no blocks";
  EXPECT_FALSE(irq.levels[0]);
  EXPECT_EQ(transfer(0xa1, 2, 2 << 2 | 1), 0x02u);
  EXPECT_TRUE(irq.levels[0]);
  out(kSmbus, 0x02);
  EXPECT_FALSE(irq.levels[0]);
}

TEST_F(Ich9Test, WatchdogResetsTheBoard) {
  EXPECT_EQ(in(kTco + 0x12, 2), 4u);
  EXPECT_EQ(in(kTco + 0x08, 2) & 0x0800, 0x0800u) << "halted";
  pass(100 * kTick);
  EXPECT_EQ(resets, 0u);
  out(kTco + 0x12, 10, 2);
  EXPECT_EQ(in(kTco + 0x12, 2), 10u);
  out(kTco, 1, 2);
  EXPECT_EQ(in(kTco, 2), 10u);
  out(kTco + 0x08, 0, 2);
  pass(4 * kTick);
  EXPECT_EQ(in(kTco, 2), 6u);
  out(kTco, 1, 2);  // a system that lives
  pass(9 * kTick);
  EXPECT_EQ(in(kTco + 4, 2), 0u);
  out(kPm + 0x30, 1 | 1 << 13, 4);  // SMI by TCO
  pass(kTick);
  EXPECT_EQ(in(kTco + 4, 2), 8u) << "the first timeout";
  EXPECT_EQ(smis, 1u);
  EXPECT_EQ(in(kPm + 0x34, 4), 1u << 13);
  EXPECT_EQ(resets, 0u);
  out(kTco + 4, 8, 2);
  pass(10 * kTick);
  EXPECT_EQ(in(kTco + 4, 2), 8u) << "the first again, as it was acknowledged";
  EXPECT_EQ(resets, 0u);
  pass(10 * kTick);
  EXPECT_EQ(resets, 1u);
  lpc.reset();
  config_write(31, 0, 0x40, 4, kPm | 1);
  config_write(31, 0, 0x44, 1, 0x80);
  EXPECT_EQ(in(kTco + 6, 2), 2u) << "why the board was reset";
  EXPECT_EQ(in(kTco + 4, 2), 0u);
  out(kTco + 6, 2, 2);
  EXPECT_EQ(in(kTco + 6, 2), 0u);
  pass(100 * kTick);
  EXPECT_EQ(resets, 1u);
}

TEST_F(Ich9Test, WatchdogIgnoresInitialValuesBelowFour) {
  const auto reloaded = [&](u32 initial) {
    out(kTco + 0x12, initial, 2);
    out(kTco, 1, 2);
    return in(kTco, 2);
  };
  for (const u32 ignored : {0u, 1u, 2u, 3u, 0xfc00u}) {
    EXPECT_EQ(reloaded(ignored), 4u) << "as after a reset";
  }
  EXPECT_EQ(reloaded(5), 5u);
  EXPECT_EQ(reloaded(3), 5u);
  EXPECT_EQ(reloaded(0x200), 0x200u) << "each byte alone would be ignored";
  EXPECT_EQ(reloaded(4), 4u);
  out(kTco + 0x12, 0, 2);
  out(kTco, 1, 2);
  out(kTco + 0x08, 0, 2);  // counts: no timer of 0 ticks may come again and again at one moment
  pass(4 * kTick + kTick / 2);
  EXPECT_EQ(in(kTco + 4, 2), 8u);
  EXPECT_EQ(in(kTco, 2), 4u) << "half a tick into the second round";
}

TEST_F(Ich9Test, WatchdogWithoutReboot) {
  EXPECT_EQ(memory.read(PhysicalAddress(kRcba + 0x3410), 4), 0u);
  memory.write(PhysicalAddress(kRcba + 0x3410), 4, 0xffffffff);
  EXPECT_EQ(memory.read(PhysicalAddress(kRcba + 0x3410), 4), 0x20u) << "NO_REBOOT";
  out(kTco, 1, 2);
  out(kTco + 0x08, 0, 2);
  pass(20 * kTick);
  EXPECT_EQ(in(kTco + 6, 2), 2u);
  EXPECT_EQ(resets, 0u);
  out(kTco + 0x08, 0x0800, 2);
  const u32 halted = in(kTco, 2);
  pass(20 * kTick);
  EXPECT_EQ(in(kTco, 2), halted);
}

}  // namespace
}  // namespace dragoman
