// The chips of the board q35: 82G33 and the LPC bridge of the ICH9.
#include <gtest/gtest.h>

#include "devices/i82g33.h"
#include "devices/ich9_lpc.h"
#include "tests/devices/pci_test_bench.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

class Q35Test : public testing::Test, protected PciTestBench {
 protected:
  Q35Test() {
    bus.attach(0, 0, host);
    bus.attach(31, 0, lpc);
    bus.connect_pirqs(lpc);
    host.reset();
    lpc.reset();
  }
  u64 peek(u64 address, unsigned size = 4) { return memory.read(PhysicalAddress(address), size); }
  void poke(u64 address, u64 value, unsigned size = 4) {
    memory.write(PhysicalAddress(address), size, value);
  }
  u32 in(u32 port, unsigned size) { return ports.read(Port(static_cast<u16>(port)), size); }
  void out(u32 port, unsigned size, u32 value) {
    ports.write(Port(static_cast<u16>(port)), size, value);
  }
  void open_pm() {
    config_write(31, 0, 0x40, 4, 0x601);
    config_write(31, 0, 0x44, 1, 0x80);
  }

  std::vector<bool> resets;
  unsigned smis = 0, power_offs = 0;
  std::vector<unsigned> sleeps;
  IrqRecorder pic, ioapic;
  PciBus bus{"pci", ports, Ich9Lpc::wiring};
  I82g33 host{"82g33", spaces, bus, 4 * kMiB};
  Ich9Lpc lpc{"ich9-lpc",
              spaces,
              scheduler,
              pic,
              ioapic,
              {.reset = [this](bool hard) { resets.push_back(hard); },
               .smi = [this] { ++smis; },
               .power_off = [this] { ++power_offs; },
               .sleep = [this](unsigned type) { sleeps.push_back(type); }}};
};

TEST_F(Q35Test, StateListsAreComplete) {
  check_state_list<I82g33State>();
  check_state_list<Ich9LpcState>();
  check_state_list<AcpiPm1State>();
}

TEST_F(Q35Test, Identities) {
  EXPECT_EQ(config_read(0, 0, 0, 4), 0x29c08086u);
  EXPECT_EQ(config_read(31, 0, 0, 4), 0x29188086u);
  EXPECT_EQ(config_read(31, 0, 8, 4), 0x06010002u);
  EXPECT_EQ(config_read(31, 0, 0x0e, 1), 0x80u);
}

TEST_F(Q35Test, ConfigurationSpaceInMemory) {
  EXPECT_EQ(config_read(0, 0, 0x60, 4), 0xe0000000u);
  EXPECT_EQ(peek(0xb0000000), 0xffffffffu) << "not enabled";
  config_write(0, 0, 0x60, 4, 0xb0000001);
  EXPECT_EQ(peek(0xb0000000), 0x29c08086u);
  EXPECT_EQ(peek(0xb00f8002, 2), 0x2918u);
  EXPECT_EQ(peek(0xb00f8000, 8), 0x0200000729188086ull);
  EXPECT_EQ(peek(0xb00f8002, 1), 0x18u);
  EXPECT_EQ(peek(0xb00f8000 + 0x100), 0xffffffffu) << "no extended registers";
  EXPECT_EQ(peek(0xb0008000), 0xffffffffu) << "no such slot";
  EXPECT_EQ(peek(0xb0100000), 0xffffffffu) << "bus 1";
  poke(0xb00f8060, 0x0b0b0a0a);
  EXPECT_EQ(config_read(31, 0, 0x60, 4), 0x0b0b0a0au);
  // 64 MiB, elsewhere, moved by itself.
  poke(0xb0000060, 0xc4000005);
  EXPECT_EQ(peek(0xb0000000), 0xffffffffu);
  EXPECT_EQ(peek(0xc4000000), 0x29c08086u);
  EXPECT_EQ(peek(0xc8000000), 0xffffffffu);
  host.reset();
  EXPECT_EQ(peek(0xc4000000), 0xffffffffu);
}

TEST_F(Q35Test, PamAndSmram) {
  poke(0xc0000, 0x11);
  EXPECT_EQ(peek(0xc0000), 0xffffffffu);
  config_write(0, 0, 0x91, 1, 0x02);  // writes to RAM
  poke(0xc0000, 0x11111111);
  EXPECT_EQ(peek(0xc0000), 0xffffffffu);
  config_write(0, 0, 0x91, 1, 0x01);  // reads from RAM
  EXPECT_EQ(peek(0xc0000), 0x11111111u);
  config_write(0, 0, 0x90, 1, 0x30);
  poke(0xf0000, 0x22222222);
  EXPECT_EQ(peek(0xf0000), 0x22222222u);
  config_write(0, 0, 0x9d, 1, 0x4a);  // open
  poke(0xa0000, 0x33333333);
  config_write(0, 0, 0x9d, 1, 0x0a);
  EXPECT_EQ(peek(0xa0000), 0xffffffffu);
  host.set_smm(true);
  EXPECT_EQ(peek(0xa0000), 0x33333333u);
  host.set_smm(false);
  config_write(0, 0, 0x9d, 1, 0x1a);  // locked
  config_write(0, 0, 0x9d, 1, 0x4a);
  EXPECT_EQ(config_read(0, 0, 0x9d, 1) & 0x50, 0x10u);
  EXPECT_EQ(peek(0xa0000), 0xffffffffu);
}

TEST_F(Q35Test, InterruptRouting) {
  EXPECT_EQ(Ich9Lpc::wiring(2, 0), 6u) << "slot 2 INTA# is PIRQG#";
  EXPECT_EQ(Ich9Lpc::wiring(3, 1), 4u);
  EXPECT_EQ(Ich9Lpc::wiring(31, 1), 1u);
  lpc.set_irq(6, true);
  EXPECT_TRUE(ioapic.levels[22]);
  EXPECT_FALSE(pic.levels[11]);
  config_write(31, 0, 0x6a, 1, 11);
  EXPECT_TRUE(pic.levels[11]);
  EXPECT_FALSE(ioapic.levels[11]) << "ISA inputs of the I/O APIC are for ISA";
  lpc.set_irq(6, false);
  EXPECT_FALSE(pic.levels[11]);
  EXPECT_FALSE(ioapic.levels[22]);
  config_write(31, 0, 0x60, 1, 8);  // reserved
  lpc.set_irq(0, true);
  EXPECT_FALSE(pic.levels[8]);
  EXPECT_TRUE(ioapic.levels[16]);
  lpc.isa_irq(0).raise();
  EXPECT_TRUE(pic.levels[0]);
  EXPECT_TRUE(ioapic.levels[2]);
  EXPECT_FALSE(ioapic.levels[0]);
  lpc.isa_irq(4).raise();
  EXPECT_TRUE(pic.levels[4]);
  EXPECT_TRUE(ioapic.levels[4]);
}

TEST_F(Q35Test, PowerManagement) {
  EXPECT_EQ(in(0x604, 2), 0xffffu);
  open_pm();
  clock.now = 1'000'000'000;
  EXPECT_EQ(in(0x608, 4), 3579545u);
  EXPECT_EQ(in(0x604, 2), 0u);
  out(0xb2, 1, 0xf1);
  EXPECT_EQ(in(0x604, 2), 1u) << "SCI_EN";
  out(0x602, 2, 0x100);
  lpc.press_power_button();
  EXPECT_TRUE(pic.levels[9]);
  EXPECT_TRUE(ioapic.levels[9]);
  config_write(31, 0, 0x44, 1, 0x84);  // to I/O APIC input 20
  EXPECT_FALSE(pic.levels[9]);
  EXPECT_TRUE(ioapic.levels[20]);
  config_write(31, 0, 0x44, 1, 0x80);
  EXPECT_EQ(in(0x600, 2) & 0x100, 0x100u);
  out(0x600, 2, 0x100);
  EXPECT_FALSE(pic.levels[9]);
  out(0x604, 2, 5 << 10 | 0x2000);
  EXPECT_EQ(sleeps, std::vector<unsigned>{5});
  out(0x604, 2, 7 << 10 | 0x2000);
  EXPECT_EQ(power_offs, 1u);
  // General purpose events are 64 bits wide.
  out(0x62c, 4, 0x12345678);
  EXPECT_EQ(in(0x62c, 4), 0x12345678u);
  EXPECT_EQ(in(0x650, 4), 0u) << "not implemented";
}

TEST_F(Q35Test, SystemManagementInterrupt) {
  open_pm();
  out(0x630, 4, 0x20);
  out(0xb2, 1, 0x12);
  EXPECT_EQ(smis, 0u) << "GBL_SMI_EN";
  out(0x630, 4, 0x21);
  out(0xb2, 1, 0x12);
  EXPECT_EQ(smis, 1u);
  EXPECT_EQ(in(0x634, 4), 0x20u);
  out(0x634, 4, 0x20);
  EXPECT_EQ(in(0x634, 4), 0u);
  EXPECT_EQ(in(0xb2, 1), 0x12u);
  config_write(31, 0, 0xa0, 1, 0x10);  // SMI_LOCK
  config_write(31, 0, 0xa0, 1, 0x00);
  EXPECT_EQ(config_read(31, 0, 0xa0, 1), 0x10u);
  out(0x630, 4, 0);
  EXPECT_EQ(in(0x630, 4), 1u);
}

TEST_F(Q35Test, ResetControlAndChipsetRegisters) {
  out(0xcf9, 1, 2);
  out(0xcf9, 1, 6);
  out(0xcf9, 1, 6);
  out(0xcf9, 1, 0);
  out(0xcf9, 1, 4);
  EXPECT_EQ(resets, (std::vector<bool>{true, false}));
  config_write(31, 0, 0xf0, 4, 0xfed1c001);
  EXPECT_EQ(peek(0xfed1c000 + 0x3404), 0x80u);
  EXPECT_EQ(peek(0xfed1c000 + 0x3140, 2), 0x3210u);
  EXPECT_EQ(peek(0xfed1c000 + 0x31fe, 2), 0x0100u);
}

TEST_F(Q35Test, StateMoves) {
  open_pm();
  out(0x602, 2, 0x100);
  out(0xb2, 1, 0xf1);
  lpc.press_power_button();
  lpc.set_irq(5, true);
  std::vector<u8> saved;
  lpc.save(saved);
  lpc.set_irq(5, false);
  lpc.reset();
  EXPECT_FALSE(pic.levels[9]);
  std::span<const u8> input(saved);
  ASSERT_TRUE(lpc.load(input));
  EXPECT_TRUE(pic.levels[9]);
  EXPECT_TRUE(ioapic.levels[21]);
  EXPECT_EQ(in(0x602, 2), 0x100u);
}

}  // namespace
}  // namespace dragoman
