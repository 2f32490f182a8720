// ATA disks through the registers of their channel.
#include <numeric>

#include "tests/devices/ide_test_bench.h"

namespace dragoman {
namespace {

using AtaDiskTest = Piix3IdeTest;

TEST_F(AtaDiskTest, Identify) {
  command28(0xec, 0, 0);
  const auto id = read_block(512, 4);
  EXPECT_EQ(alt(), 0x50);
  EXPECT_EQ(word(id, 0), 0x0040);
  EXPECT_EQ(word(id, 1), 4);  // 4096 / (16 * 63)
  EXPECT_EQ(word(id, 10), 'S' << 8 | 'E');
  EXPECT_EQ(word(id, 60) | word(id, 61) << 16, static_cast<int>(kDiskSectors));
  EXPECT_EQ(word(id, 100), kDiskSectors);
  EXPECT_EQ(word(id, 88) & 0xff, 0x3f);
  EXPECT_EQ(std::accumulate(id.begin(), id.end(), 0) & 0xff, 0);
  out(1, 3);
  command28(0xef, 0, 0x45);  // UDMA 5
  run();
  EXPECT_EQ(in(7), 0x50u);
  command28(0xec, 0, 0);
  EXPECT_EQ(word(read_block(512), 88), 0x203f);
}

TEST_F(AtaDiskTest, PioRead) {
  command28(0x20, 5, 3);
  std::vector<u8> data;
  for (int i = 0; i < 3; ++i) {
    const auto block = read_block(512);
    data.insert(data.end(), block.begin(), block.end());
  }
  EXPECT_EQ(data, disk_bytes(5, 3));
  EXPECT_EQ(alt(), 0x50);
  run();
  EXPECT_FALSE(irq()) << "no interrupt after the last block";
  EXPECT_EQ(in(3), 7u) << "the last sector";
}

TEST_F(AtaDiskTest, PioWriteLba48AndChs) {
  command48(0x34, 4000, 2);
  for (int i = 0; i < 2; ++i) {
    write_block(512, static_cast<u8>(0x40 + i));
    EXPECT_FALSE(irq());
    run();
    EXPECT_TRUE(irq());
    in(7);
  }
  EXPECT_EQ(disk_bytes(4000, 1), std::vector<u8>(512, 0x40));
  EXPECT_EQ(disk_bytes(4001, 1), std::vector<u8>(512, 0x41));
  // Cylinder 3, head 15, sector 32 with 16 heads and 63 sectors: (3 * 16 + 15) * 63 + 31 = 4000.
  out(6, 0xaf);
  out(2, 1);
  out(3, 32);
  out(4, 3);
  out(5, 0);
  out(7, 0x20);
  EXPECT_EQ(read_block(512), std::vector<u8>(512, 0x40));
  EXPECT_EQ(in(3), 32u);
  out(3, 0);  // sector 0 does not exist
  out(7, 0x20);
  run();
  EXPECT_EQ(in(7) & 0x09, 1u);
  EXPECT_EQ(in(1), 0x10u);
}

TEST_F(AtaDiskTest, Multiple) {
  command28(0xc4, 0, 5);
  run();
  EXPECT_EQ(in(7) & 1, 1u) << "not set";
  command28(0xc6, 0, 3);
  run();
  EXPECT_EQ(in(1), 4u) << "no power of two";
  command28(0xc6, 0, 4);
  run();
  EXPECT_EQ(in(7), 0x50u);
  command28(0xc4, 8, 6);
  EXPECT_EQ(read_block(4 * 512), disk_bytes(8, 4));
  EXPECT_EQ(read_block(2 * 512), disk_bytes(12, 2));
  EXPECT_EQ(alt(), 0x50);
  command48(0x39, 8, 5);
  write_block(4 * 512, 0x77);
  run();
  write_block(512, 0x77);
  run();
  EXPECT_EQ(alt(), 0x50);
  EXPECT_EQ(disk_bytes(8, 5), std::vector<u8>(5 * 512, 0x77));
}

TEST_F(AtaDiskTest, HighOrderByteReadsTheOlderHalf) {
  out(2, 0x12);
  out(2, 0x34);
  EXPECT_EQ(in(2), 0x34u);
  control(0x80);
  EXPECT_EQ(in(2), 0x12u);
  out(3, 0);  // any write to the command block clears HOB
  EXPECT_EQ(in(2), 0x34u);
  command28(0x27, 0, 0);  // READ NATIVE MAX EXT
  run();
  EXPECT_EQ(in(3) | in(4) << 8, kDiskSectors - 1);
}

TEST_F(AtaDiskTest, RangesAndUnknownCommands) {
  command28(0x20, kDiskSectors - 1, 2);
  run();
  EXPECT_EQ(in(7), 0x51u);
  EXPECT_EQ(in(1), 0x10u);
  command48(0x42, u64{1} << 47, 0);
  run();
  EXPECT_EQ(in(1), 0x10u);
  for (const u8 command : {0x00, 0xb0, 0xb1, 0xf1, 0xf9, 0xa0, 0x08, 0xff}) {
    command28(command, 0, 0);
    run();
    EXPECT_EQ(in(7), 0x51u) << int{command};
    EXPECT_EQ(in(1), 4u) << int{command};
  }
}

TEST_F(AtaDiskTest, HostErrors) {
  channel_ = 1;
  device_ = 1;
  command28(0x20, 10, 1);
  run();
  EXPECT_EQ(in(7), 0x51u);
  EXPECT_EQ(in(1), 0x40u);
  EXPECT_EQ(in(3), 10u);
  command28(0x30, 10, 1);
  write_block(512, 0);
  run();
  EXPECT_EQ(in(7), 0x71u);
  command28(0xe7, 0, 0);
  run();
  EXPECT_EQ(in(7), 0x71u);
}

TEST_F(AtaDiskTest, DiagnosticAndPower) {
  channel_ = 1;
  out(6, 0xb0);
  out(7, 0x90);
  run();
  EXPECT_TRUE(irq());
  EXPECT_EQ(in(1), 1u);
  EXPECT_EQ(in(5), 0xebu) << "device 0 is selected";
  device_ = 1;
  command28(0xe0, 0, 0);
  run();
  command28(0xe5, 0, 1);
  run();
  EXPECT_EQ(in(2), 0u) << "standby";
  command28(0x40, 0, 1);
  run();
  command28(0xe5, 0, 1);
  run();
  EXPECT_EQ(in(2), 0xffu);
}

}  // namespace
}  // namespace dragoman
