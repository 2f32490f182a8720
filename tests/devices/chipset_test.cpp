// i440FX, PIIX3, PIIX4 power management.
#include <gtest/gtest.h>

#include "devices/i440fx.h"
#include "devices/piix3.h"
#include "devices/piix4_pm.h"
#include "devices/spd_eeprom.h"
#include "tests/devices/pci_test_bench.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

class RecordingHandler : public MmioHandler {
 public:
  u64 mmio_read(unsigned, u64, unsigned) override { return 0x5a5a5a5a5a5a5a5a; }
  void mmio_write(unsigned, u64, unsigned, u64) override { ++writes; }
  unsigned writes = 0;
};

class ChipsetTest : public testing::Test, protected PciTestBench {
 protected:
  ChipsetTest() {
    bus.connect_pirqs(piix3);
    bus.attach(0, 0, host);
    bus.attach(1, 0, piix3);
    bus.attach(1, 3, pm);
    host.reset();
    piix3.reset();
    pm.reset();
  }
  void enable_pm() {
    config_write(1, 3, 0x40, 4, 0xb001);
    config_write(1, 3, 0x80, 1, 1);
  }
  u32 in(u16 port, unsigned size) { return ports.read(Port(port), size); }
  void out(u16 port, unsigned size, u32 value) { ports.write(Port(port), size, value); }

  std::vector<bool> resets;
  unsigned smis = 0, power_offs = 0;
  std::vector<unsigned> sleeps;
  IrqRecorder pic, ioapic;
  PciBus bus{"pci", ports};
  I440fx host{"i440fx", spaces, 4 * kMiB};
  Piix3 piix3{"piix3", spaces, pic, ioapic, [this](bool hard) { resets.push_back(hard); }};
  Piix4Pm pm{"piix4_pm",
             spaces,
             scheduler,
             {.sci = IrqLine(piix3, Piix3::kSci),
              .smi = [this] { ++smis; },
              .power_off = [this] { ++power_offs; },
              .sleep = [this](unsigned type) { sleeps.push_back(type); }}};
};

TEST_F(ChipsetTest, StateListsAreComplete) {
  check_state_list<I440fxState>();
  check_state_list<Piix3State>();
  check_state_list<Piix4PmState>();
}

TEST_F(ChipsetTest, Identities) {
  EXPECT_EQ(config_read(0, 0, 0, 4), 0x12378086u);
  EXPECT_EQ(config_read(1, 0, 0, 4), 0x70008086u);
  EXPECT_EQ(config_read(1, 0, 0x0e, 1), 0x80u);
  EXPECT_EQ(config_read(1, 3, 0, 4), 0x71138086u);
}

TEST_F(ChipsetTest, PowerManagementTimerIsReadInOnePiece) {
  enable_pm();
  clock.step = 5'000;  // eighteen ticks: the low byte wraps between looks at the clock
  u32 last = in(0xb008, 4);
  for (unsigned i = 0; i < 300; ++i) {
    const u32 now = in(0xb008, 4);
    ASSERT_GT(now, last);
    ASSERT_LT(now - last, 200u);
    last = now;
  }
}

TEST_F(ChipsetTest, PamCombinationsOfEverySegment) {
  // A ROM behind all of C0000h..FFFFFh, with another byte than RAM.
  u8* rom = pool->allocate(0x40000);
  std::fill(rom, rom + 0x40000, u8{0xee});
  memory.add_memory("rom", PhysicalAddress(0xc0000), 0x40000, rom, true, false,
                    MemoryMap::kPriorityRom);
  struct Segment {
    u32 first, last;
    unsigned reg, shift;
  };
  const Segment segments[] = {
      {0xf0000, 0xfffff, 0x59, 4}, {0xc0000, 0xc3fff, 0x5a, 0}, {0xc4000, 0xc7fff, 0x5a, 4},
      {0xc8000, 0xcbfff, 0x5b, 0}, {0xcc000, 0xcffff, 0x5b, 4}, {0xd0000, 0xd3fff, 0x5c, 0},
      {0xd4000, 0xd7fff, 0x5c, 4}, {0xd8000, 0xdbfff, 0x5d, 0}, {0xdc000, 0xdffff, 0x5d, 4},
      {0xe0000, 0xe3fff, 0x5e, 0}, {0xe4000, 0xe7fff, 0x5e, 4}, {0xe8000, 0xebfff, 0x5f, 0},
      {0xec000, 0xeffff, 0x5f, 4}};
  for (const Segment& s : segments) {
    for (const u32 address : {s.first, s.last}) {
      for (unsigned mode = 0; mode < 4; ++mode) {
        SCOPED_TRACE(testing::Message() << std::hex << address << " mode " << mode);
        pool->ram()[address] = 0x11;
        config_write(0, 0, s.reg, 1, mode << s.shift);
        EXPECT_EQ(memory.read(PhysicalAddress(address), 1), mode & 1 ? 0x11u : 0xeeu);
        memory.write(PhysicalAddress(address), 1, 0x22);
        EXPECT_EQ(pool->ram()[address], mode & 2 ? 0x22 : 0x11);
        EXPECT_EQ(rom[address - 0xc0000], 0xee);
      }
    }
    // Its neighbours stayed with the ROM.
    if (s.first > 0xc0000) {
      EXPECT_EQ(memory.read(PhysicalAddress(s.first - 1), 1), 0xeeu);
    }
    if (s.last < 0xfffff) {
      EXPECT_EQ(memory.read(PhysicalAddress(s.last + 1), 1), 0xeeu);
    }
    config_write(0, 0, s.reg, 1, 0);
  }
}

TEST_F(ChipsetTest, PamWithoutRomReadsAllOnes) {
  pool->ram()[0xd0000] = 0x11;
  EXPECT_EQ(memory.read(PhysicalAddress(0xd0000), 1), 0xffu);
  EXPECT_EQ(memory.read(PhysicalAddress(0x100000), 1), 0u);
}

TEST_F(ChipsetTest, SmramIsVisibleInSmmOnly) {
  RecordingHandler vga;
  memory.add_mmio("vga", PhysicalAddress(0xa0000), 0x20000, vga, 0);
  pool->ram()[0xa8000] = 0x11;
  const auto visible = [&] { return memory.read(PhysicalAddress(0xa8000), 1) == 0x11; };
  host.set_smm(true);
  EXPECT_FALSE(visible());  // G_SMRAME is clear
  config_write(0, 0, 0x72, 1, 0x08);
  EXPECT_TRUE(visible());
  host.set_smm(false);
  EXPECT_FALSE(visible());
  config_write(0, 0, 0x72, 1, 0x48);  // D_OPEN
  EXPECT_TRUE(visible());
  EXPECT_EQ(config_read(0, 0, 0x72, 1), 0x4au);
  // D_LCK closes D_OPEN for good.
  config_write(0, 0, 0x72, 1, 0x58);
  EXPECT_EQ(config_read(0, 0, 0x72, 1), 0x1au);
  EXPECT_FALSE(visible());
  config_write(0, 0, 0x72, 1, 0x48);
  EXPECT_EQ(config_read(0, 0, 0x72, 1), 0x1au);
  EXPECT_FALSE(visible());
  host.reset();
  EXPECT_EQ(config_read(0, 0, 0x72, 1), 0x02u);
}

TEST_F(ChipsetTest, RamAbove4GiB) {
  PciTestBench big(8 * kMiB);
  I440fx bridge("i440fx", big.spaces, 6 * kMiB);
  big.pool->ram()[6 * kMiB] = 0x33;
  EXPECT_EQ(big.memory.read(PhysicalAddress(4 * kGiB), 1), 0x33u);
  EXPECT_EQ(big.memory.read(PhysicalAddress(6 * kMiB), 1), 0xffu);
}

TEST_F(ChipsetTest, PirqRouting) {
  piix3.set_irq(Piix3::kPirqA + 1, true);
  EXPECT_FALSE(pic.levels[11]);
  config_write(1, 0, 0x61, 1, 11);
  EXPECT_TRUE(pic.levels[11]);
  EXPECT_TRUE(ioapic.levels[11]);
  config_write(1, 0, 0x61, 1, 10);
  EXPECT_FALSE(pic.levels[11]);
  EXPECT_TRUE(pic.levels[10]);
  config_write(1, 0, 0x61, 1, 0x8a);
  EXPECT_FALSE(pic.levels[10]);
}

TEST_F(ChipsetTest, SharedIsaIrqIsOredAndIrq0GoesToIoapicPin2) {
  config_write(1, 0, 0x60, 1, 10);
  const IrqLine isa = piix3.isa_irq(10);
  isa.raise();
  piix3.set_irq(0, true);
  isa.lower();
  EXPECT_TRUE(pic.levels[10]);
  piix3.set_irq(0, false);
  EXPECT_FALSE(pic.levels[10]);
  piix3.isa_irq(0).raise();
  EXPECT_TRUE(pic.levels[0]);
  EXPECT_TRUE(ioapic.levels[2]);
  EXPECT_FALSE(ioapic.levels[0]);
}

TEST_F(ChipsetTest, ResetKeepsInputLevels) {
  piix3.isa_irq(5).raise();
  config_write(1, 0, 0x60, 1, 10);
  piix3.set_irq(0, true);
  piix3.reset();
  EXPECT_TRUE(pic.levels[5]);
  EXPECT_FALSE(pic.levels[10]);  // not routed any more
  config_write(1, 0, 0x60, 1, 11);
  EXPECT_TRUE(pic.levels[11]);
}

TEST_F(ChipsetTest, ResetControl) {
  out(0xcf9, 1, 2);
  EXPECT_TRUE(resets.empty());
  out(0xcf9, 1, 6);
  out(0xcf9, 1, 6);  // no edge
  out(0xcf9, 1, 0);
  out(0xcf9, 1, 4);
  EXPECT_EQ(resets, (std::vector<bool>{true, false}));
  out(0xcf8, 4, 0x80000000);
  EXPECT_EQ(in(0xcf8, 4), 0x80000000u);
}

TEST_F(ChipsetTest, PmPortsFollowBaseAndEnable) {
  EXPECT_EQ(in(0xb000, 2), 0xffffu);
  enable_pm();
  EXPECT_EQ(in(0xb000, 2), 0u);
  EXPECT_EQ(config_read(1, 3, 0x40, 4), 0xb001u);
  config_write(1, 3, 0x40, 4, 0x600);
  EXPECT_EQ(in(0xb000, 2), 0xffffu);
  EXPECT_EQ(in(0x600, 2), 0u);
}

TEST_F(ChipsetTest, PmTimerCountsAndOverflows) {
  enable_pm();
  run_until(1000000000);
  EXPECT_EQ(in(0xb008, 4), 3579545u);
  out(0xb004, 2, 1);  // SCI_EN
  out(0xb002, 2, 1);  // TMR_EN
  const u64 overflow = (u64{1 << 23} * 1000000000 + 3579544) / 3579545;
  run_until(overflow - 1000);
  EXPECT_EQ(in(0xb000, 2) & 1, 0u);
  EXPECT_FALSE(pic.levels[9]);
  run_until(overflow);
  EXPECT_EQ(in(0xb008, 4), 0x800000u);
  EXPECT_TRUE(pic.levels[9]);
  EXPECT_TRUE(ioapic.levels[9]);
  out(0xb000, 2, 1);
  EXPECT_FALSE(pic.levels[9]);
  EXPECT_EQ(in(0xb000, 2) & 1, 0u);
  run_until(2 * overflow);
  EXPECT_EQ(in(0xb008, 4), 0u);  // 24 bits
  EXPECT_EQ(pic.rises[9], 2u);
}

TEST_F(ChipsetTest, PmTimerStatusAppearsWithoutInterruptEnable) {
  enable_pm();
  clock.now = 3000000000;
  EXPECT_EQ(in(0xb000, 2) & 1, 1u);
  out(0xb000, 2, 1);
  EXPECT_EQ(in(0xb000, 2) & 1, 0u);
}

TEST_F(ChipsetTest, AcpiEnableThroughApmc) {
  enable_pm();
  out(0xb2, 1, 0xf1);
  EXPECT_EQ(in(0xb004, 2) & 1, 1u);
  EXPECT_EQ(smis, 0u);
  config_write(1, 3, 0x58, 4, 1 << 25);
  out(0xb2, 1, 0xf0);
  EXPECT_EQ(smis, 0u);  // GLBCTL.SMI_EN is still clear
  out(0xb028, 4, 1);
  out(0xb3, 1, 0x44);
  out(0xb2, 1, 0x12);
  EXPECT_EQ(smis, 1u);
  EXPECT_EQ(in(0xb2, 1), 0x12u);
  EXPECT_EQ(in(0xb3, 1), 0x44u);
  EXPECT_EQ(in(0xb004, 2) & 1, 0u);
}

TEST_F(ChipsetTest, PowerButtonAndSoftOff) {
  enable_pm();
  out(0xb004, 2, 1);
  out(0xb002, 2, 0x100);
  pm.press_power_button();
  EXPECT_TRUE(pic.levels[9]);
  EXPECT_EQ(in(0xb000, 2) & 0x100, 0x100u);
  out(0xb000, 2, 0x100);
  EXPECT_FALSE(pic.levels[9]);
  out(0xb004, 2, 0x2001);
  EXPECT_EQ(power_offs, 1u);
  out(0xb004, 2, 0x2401);
  EXPECT_EQ(sleeps, std::vector<unsigned>{1});
  EXPECT_EQ(in(0xb004, 2), 0x0401u);  // SLP_EN reads as 0
}

TEST_F(ChipsetTest, GeneralPurposeEvents) {
  enable_pm();
  out(0xb004, 2, 1);
  pm.raise_gpe(3);
  EXPECT_EQ(in(0xafe0, 2), 8u);
  EXPECT_FALSE(pic.levels[9]);
  out(0xafe2, 2, 8);
  EXPECT_TRUE(pic.levels[9]);
  out(0xafe0, 1, 8);
  EXPECT_FALSE(pic.levels[9]);
}

TEST_F(ChipsetTest, SmbusAnswersNoDevice) {
  config_write(1, 3, 0x90, 4, 0xb101);
  EXPECT_EQ(in(0xb100, 1), 0xffu);
  config_write(1, 3, 0xd2, 1, 9);
  EXPECT_EQ(in(0xb100, 1), 0u);
  out(0xb104, 1, 0xa1);
  out(0xb102, 1, 0x48);
  EXPECT_EQ(in(0xb100, 1), 4u);
  out(0xb100, 1, 4);
  EXPECT_EQ(in(0xb100, 1), 0u);
}

struct SmbusTest : ChipsetTest {
  SpdEeprom modules{"spd", 768 * kMiB};

  SmbusTest() {
    pm.set_smbus_device(modules);
    config_write(1, 3, 0x90, 4, 0xb101);
    config_write(1, 3, 0xd2, 1, 9);
  }
  /// As drivers do it: clears the status, starts, waits, clears again. The status.
  u32 transfer(u8 address, u8 protocol, u8 command = 0) {
    out(0xb100, 1, 0xff);
    out(0xb104, 1, address);
    out(0xb103, 1, command);
    out(0xb102, 1, protocol);
    out(0xb102, 1, in(0xb102, 1) | 0x40);
    const u32 status = in(0xb100, 1);
    out(0xb100, 1, status);
    EXPECT_EQ(in(0xb100, 1), 0u);
    return status;
  }
  u8 byte_at(u8 slot, u8 place) {
    EXPECT_EQ(transfer(static_cast<u8>(0xa1 + 2 * slot), 0x08, place), 2u);
    return static_cast<u8>(in(0xb105, 1));
  }
};

TEST_F(SmbusTest, FindsTheModules) {
  check_state_list<SpdEepromState>();
  EXPECT_EQ(transfer(0xa1, 0x00), 2u);  // quick command
  EXPECT_EQ(transfer(0xa3, 0x00), 2u);
  EXPECT_EQ(transfer(0xa5, 0x00), 4u) << "two modules hold 768 MiB";
  EXPECT_EQ(transfer(0x61, 0x00), 4u);
  EXPECT_EQ(transfer(0xa0, 0x08), 4u) << "they are write-protected";
  EXPECT_EQ(transfer(0xa1, 0x14), 4u) << "no blocks";
}

TEST_F(SmbusTest, ModulesSayWhatTheyAre) {
  u64 total = 0;
  for (u8 slot = 0; slot < 2; ++slot) {
    EXPECT_EQ(byte_at(slot, 2), 4) << "SDRAM";
    u8 sum = 0;
    for (u8 place = 0; place < 63; ++place) sum = static_cast<u8>(sum + byte_at(slot, place));
    EXPECT_EQ(byte_at(slot, 63), sum);
    // Rows, columns, banks, ranks, eight bytes wide: the same size as byte 31 has.
    const unsigned bits = byte_at(slot, 3) + byte_at(slot, 4);
    const u64 rank = (u64{1} << bits) * byte_at(slot, 17) * 8;
    EXPECT_EQ(rank, byte_at(slot, 31) * 4 * kMiB);
    total += rank * byte_at(slot, 5);
  }
  EXPECT_EQ(total, 768 * kMiB);
}

TEST_F(SmbusTest, ReadsGoOnWhereOneEnded) {
  EXPECT_EQ(transfer(0xa0, 0x04, 62), 2u);  // send byte: the place
  EXPECT_EQ(transfer(0xa1, 0x04), 2u);      // receive byte
  EXPECT_EQ(in(0xb105, 1), 0x12u);
  EXPECT_EQ(transfer(0xa1, 0x0c, 73), 2u);  // a word
  EXPECT_EQ(in(0xb105, 2) & 0xffff, u32{'D' | 'R' << 8});
}

TEST(Spd, HoldsWhatEightModulesCan) {
  EXPECT_FALSE(SpdEeprom("spd", 1 * kMiB).answers(0x50));
  EXPECT_TRUE(SpdEeprom("spd", 64 * kGiB).answers(0x57));
  EXPECT_FALSE(SpdEeprom("spd", 64 * kGiB).answers(0x58));
}

TEST_F(ChipsetTest, SavedPmTimerContinues) {
  enable_pm();
  out(0xb004, 2, 1);
  out(0xb002, 2, 1);
  std::vector<u8> saved;
  pm.save(saved);
  pm.reset();
  std::span<const u8> input(saved);
  ASSERT_TRUE(pm.load(input).ok());
  run_until(2400000000);
  EXPECT_TRUE(pic.levels[9]);
}

}  // namespace
}  // namespace dragoman
