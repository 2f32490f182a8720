// What no driver would do to an AHCI adapter: it must neither hang nor crash.
#include <random>

#include "tests/devices/ahci_test_bench.h"

namespace dragoman {
namespace {

using AhciHostileTest = AhciTest;

TEST_F(AhciHostileTest, RegionsEndBeforeTheData) {
  build(0, command(0x25, 0, 8), {{kData, 512}});
  issue(0);
  run();
  EXPECT_TRUE(pget(kIs) & kOfs);
  EXPECT_EQ(moved(0), 512u);
  EXPECT_EQ(pget(kCi), 0u) << "the rest is dropped";
  // A write waits for data for ever; a COMRESET gets the device back.
  const auto before = sectors(0, 8);
  build(0, command(0x35, 0, 8), {{kData, 512}}, kWrite);
  issue(0);
  run();
  EXPECT_EQ(pget(kCi), 1u);
  pset(kCmd, 0x10);
  pset(kSctl, 1);
  pset(kSctl, 0);
  run();
  EXPECT_EQ(pget(kTfd), 0x150u);
  EXPECT_EQ(sectors(0, 8), before);
  pset(kCmd, 0x11);
  build(0, command(0x25, 5, 1), {{kData, 512}});
  issue(0);
  run();
  EXPECT_EQ(ram(kData, 512), sectors(5, 1));
}

TEST_F(AhciHostileTest, LargestTableAndNoTable) {
  // 65,535 regions of two bytes, all the same, hold less than a 256-sector read.
  constexpr u64 kTableAt = 0x200000;
  memory.write_bytes(PhysicalAddress(kTableAt), command(0x25, 0, 256));
  for (u32 i = 0; i < 65535; ++i) {
    memory.store<u64>(PhysicalAddress(kTableAt + 0x80 + 16 * u64{i}), kData);
    memory.store<u32>(PhysicalAddress(kTableAt + 0x8c + 16 * u64{i}), 1);
  }
  header(0, 0, 65535, kTableAt);
  issue(0);
  run();
  EXPECT_EQ(moved(0), 131070u);
  EXPECT_TRUE(pget(kIs) & kOfs);
  acknowledge();
  build(0, command(0x25, 0, 1), {});
  issue(0);
  run();
  EXPECT_EQ(moved(0), 0u);
  EXPECT_TRUE(pget(kIs) & kOfs);
}

TEST_F(AhciHostileTest, DataIntoItsOwnRegisters) {
  memory.write_bytes(PhysicalAddress(kData), std::vector<u8>(4096, 0xff));
  build(0, command(0x35, 0, 8), {{kData, 4096}}, kWrite);
  issue(0);
  run();
  acknowledge();
  // Ones into all registers of the adapter: HBA reset, all ports issued ...
  build(0, command(0x25, 0, 4), {{kAbar, 2048}});
  issue(0);
  run();
  EXPECT_EQ(pget(kCi), 0u);
  EXPECT_EQ(pget(kCmd) & 0x11, 0x11u) << "the registers found it inside a command";
  // Command list, received FISes and table inside the registers.
  pset(kCmd, 0);
  pset(kClb, kAbar);
  pset(kFb, kAbar + 0x100);
  pset(kCmd, 0x11);
  pset(kCi, ~u32{0});
  run();
  pset(kSctl, 1);
  pset(kSctl, 0);
  run();
  EXPECT_EQ(pget(kTfd) & 0x80, 0u);
}

TEST_F(AhciHostileTest, WrongFises) {
  build(0, {0x34, 0x80, 0xec}, {{kData, 512}});
  issue(0);
  EXPECT_EQ(pget(kIs), 1u << 27);
  restart_port();
  build(0, command(0xec), {{kData, 512}});
  memory.store<u32>(PhysicalAddress(list(0)), 1u << 16 | 2);  // a FIS of two doublewords
  issue(0);
  EXPECT_EQ(pget(kIs), 1u << 27);
  restart_port();
  // A queued command whose tag is still out.
  build(0, queued(0x60, 5, 0, 1), {{kData, 512}});
  build(1, queued(0x60, 5, 0, 1), {{kData, 512}});
  pset(kSact, 1u << 5);
  pset(kCi, 3);
  run();
  EXPECT_TRUE(pget(kIs) & kTfes);
  // Addresses at the end of the space.
  restart_port();
  pset(kCmd, 0x10);
  pset(kClb, 0xfffffc00);
  pset(kClb + 4, 0xffffffff);
  pset(kFb, 0xffffff00);
  pset(kFb + 4, 0xffffffff);
  pset(kCmd, 0x11);
  pset(kCi, ~u32{0});
  run();
}

TEST_F(AhciHostileTest, RandomRegistersAndCommands) {
  std::mt19937 random(4);
  const auto any = [&](u32 below) { return static_cast<u32>(random() % below); };
  for (unsigned round = 0; round < 4000; ++round) {
    port_ = any(6);
    const unsigned slot = any(32);
    const u32 lba = any(8) == 0 ? random() : any(kSectors);
    const u8 code = any(3) == 0
                        ? static_cast<u8>(random())
                        : std::array<u8, 8>{0x25, 0x35, 0x60, 0x61, 0xec, 0xa0, 0x24, 0x34}[any(8)];
    auto bytes = any(2) == 0
                     ? queued(code, any(32), lba, static_cast<u16>(any(20)))
                     : command(code, lba, static_cast<u16>(any(20)), static_cast<u16>(any(4)));
    if (any(20) == 0) bytes[any(14)] = static_cast<u8>(random());
    const u64 at = any(20) == 0 ? kAbar + any(2048) : kData + any(0x10000);
    build(slot, bytes, {{at, any(4096) + 1, any(2) == 0}, {kData, any(8192) + 1}},
          any(2) * kWrite | any(2) * kAtapi);
    if (any(16) == 0) memory.store<u32>(PhysicalAddress(table(slot) + 0x40), random());
    pset(kSact, random());
    pset(kCi, any(4) == 0 ? random() : 1u << slot);
    if (any(3) == 0) run();
    if (any(6) == 0) restart_port();
    if (any(12) == 0) set(any(0x400), random());
    if (any(12) == 0) {
      pset(kCmd, 0);
      pset(kSctl, 1);
      pset(kSctl, 0);
      run();
    }
    if (any(8) == 0) start_port(port_);
    if (any(64) == 0) {
      std::vector<u8> saved;
      ahci_.save(saved);
      for (unsigned i = 0; i < 8; ++i) {
        saved[256 + random() % (saved.size() - 256)] = static_cast<u8>(random());
      }
      std::span<const u8> input(saved);
      ASSERT_TRUE(ahci_.load(input));
    }
  }
  // It still works.
  ahci_.reset();
  ahci_.config_write(0x24, 4, kAbar);
  ahci_.config_write(0x04, 2, 6);
  run();
  port_ = 0;
  start_port(0);
  build(0, command(0x25, 5, 1), {{kData, 512}});
  issue(0);
  run();
  EXPECT_EQ(pget(kCi), 0u);
  EXPECT_EQ(ram(kData, 512), sectors(5, 1));
}

}  // namespace
}  // namespace dragoman
