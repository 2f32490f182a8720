// The PIIX3 IDE function: configuration space, drives on their channels, the bus master, its state.
#include <cstring>

#include "tests/devices/ide_test_bench.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

TEST_F(Piix3IdeTest, StateListIsComplete) { check_state_list<Piix3IdeState>(); }

TEST_F(Piix3IdeTest, ConfigurationSpace) {
  EXPECT_EQ(ide_.config_read(0, 4), 0x70108086u);
  EXPECT_EQ(ide_.config_read(8, 4), 0x01018000u);
  ide_.config_write(0x20, 4, 0xffffffff);
  EXPECT_EQ(ide_.config_read(0x20, 4), 0xfffffff1u);  // firmware sizes it on all 32 bits
  ide_.config_write(0x40, 2, 0);                      // decode off
  EXPECT_EQ(in(7), 0xffu);
}

TEST_F(Piix3IdeTest, SignaturesAfterReset) {
  EXPECT_EQ(in(7), 0x50u);
  EXPECT_EQ(in(1), 1u);
  EXPECT_EQ(in(4) | in(5) << 8, 0u);
  channel_ = 1;
  EXPECT_EQ(in(7), 0u);
  EXPECT_EQ(in(4) | in(5) << 8, 0xeb14u);
  control(4);
  EXPECT_EQ(alt(), 0x80);
  control(0);
  EXPECT_EQ(alt(), 0x80);
  run();
  EXPECT_EQ(alt(), 0);
  EXPECT_FALSE(irq());
}

TEST_F(Piix3IdeTest, AbsentDrives) {
  out(6, 0xb0);  // device 1 of the primary channel
  EXPECT_EQ(in(7), 0u);
  out(2, 0x55);
  EXPECT_EQ(in(2), 0x55u) << "device 0 answers";
  Piix3Ide empty("empty", {memory, ports}, scheduler, log, IrqLine(), IrqLine());
  empty.reset();
  empty.config_write(0x40, 2, 0x8000);
  empty.config_write(0x04, 2, 1);
  EXPECT_EQ(in(7), 0x7fu) << "pulled-down DD7";
}

TEST_F(Piix3IdeTest, InterruptDisable) {
  control(2);
  command28(0x40, 0, 8);
  run();
  EXPECT_EQ(alt(), 0x50);
  EXPECT_FALSE(irq());
  EXPECT_EQ(bm_status() & 4, 0);
  control(0);
  EXPECT_TRUE(irq()) << "still pending";
  EXPECT_EQ(bm_status() & 4, 4);
  in(7);
  EXPECT_FALSE(irq());
}

TEST_F(Piix3IdeTest, DmaReadAndWrite) {
  prd(0x1000, 0x20000, 0x600, false);
  prd(0x1008, 0x30000, 0xa00, true);
  start_dma(true);
  EXPECT_EQ(bm_status() & 7, 1);
  command28(0xc8, 100, 8);
  EXPECT_FALSE(irq());
  run();
  EXPECT_TRUE(irq());
  EXPECT_EQ(bm_status() & 7, 4);
  EXPECT_EQ(in(7), 0x50u);
  auto data = ram(0x20000, 0x600);
  const auto rest = ram(0x30000, 0xa00);
  data.insert(data.end(), rest.begin(), rest.end());
  EXPECT_EQ(data, disk_bytes(100, 8));

  // The other order: first the command, then the bus master; 64 KiB as count 0, LBA48.
  ports.write(Port(bm(0)), 1, 0);
  prd(0x1000, 0x100000, 0, true);
  command48(0x35, 1000, 128);
  EXPECT_EQ(alt() & 0x88, 0x08);
  start_dma(false);
  run();
  EXPECT_EQ(bm_status() & 7, 4);
  EXPECT_EQ(disk_bytes(1000, 128), ram(0x100000, 0x10000));
}

TEST_F(Piix3IdeTest, DescriptorTableFaults) {
  // Shorter than the command: active ends, no interrupt, the drive waits.
  prd(0x1000, 0x20000, 512, true);
  start_dma(true);
  command28(0xc8, 0, 2);
  run();
  EXPECT_EQ(bm_status() & 7, 0);
  EXPECT_FALSE(irq());
  EXPECT_EQ(alt() & 0x88, 0x08);
  control(4);
  control(0);
  run();
  EXPECT_EQ(alt(), 0x50);
  // Longer: active stays with the interrupt.
  ports.write(Port(bm(0)), 1, 0);
  prd(0x1000, 0x20000, 4096, true);
  start_dma(true);
  command28(0xc8, 0, 2);
  run();
  EXPECT_EQ(bm_status() & 7, 5);
  // A table outside of memory.
  ports.write(Port(bm(0)), 1, 0);
  EXPECT_EQ(bm_status() & 1, 0);
  start_dma(true, 0xe0000000);
  command28(0xc8, 0, 2);
  run();
  EXPECT_EQ(bm_status() & 3, 2);
  // A table without an end: 8192 regions of two bytes are less than 64 sectors.
  ports.write(Port(bm(0)), 1, 0);
  for (u32 i = 0; i < 8192; ++i) prd(0x100000 + 8 * i, 0x20000, 2, false);
  start_dma(true, 0x100000);
  command28(0xc8, 0, 64);
  run();
  EXPECT_EQ(bm_status() & 3, 2);
  // The wrong direction.
  ports.write(Port(bm(0)), 1, 0);
  prd(0x1000, 0x20000, 1024, true);
  start_dma(false);
  command28(0xc8, 0, 2);
  EXPECT_EQ(bm_status() & 3, 2);
}

TEST_F(Piix3IdeTest, StateMovesInTheMiddleOfATransfer) {
  command28(0x20, 5, 2);
  run();
  in(0, 4);
  std::vector<u8> saved;
  ide_.save(saved);
  power_on();
  std::span<const u8> input(saved);
  ASSERT_TRUE(ide_.load(input));
  EXPECT_TRUE(irq());
  const auto expected = disk_bytes(5, 1);
  EXPECT_EQ(in(0, 2), static_cast<u32>(expected[4] | expected[5] << 8));
  // A damaged state is brought into range.
  auto worst = std::make_unique<Piix3IdeState>();
  visit_fields(*worst, "", [](const std::string&, auto& leaf) {
    using Leaf = std::remove_cvref_t<decltype(leaf)>;
    if constexpr (std::is_same_v<Leaf, bool>) {
      leaf = true;
    } else {
      std::memset(&leaf, 0xff, sizeof(leaf));
    }
  });
  std::vector<u8> damaged(saved.begin(), saved.begin() + 256);  // configuration space as it was
  save_fields(*worst, damaged);
  input = damaged;
  ASSERT_TRUE(ide_.load(input));
  for (int i = 0; i < 70000; ++i) in(0, 4);
}

}  // namespace
}  // namespace dragoman
