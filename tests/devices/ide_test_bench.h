// A PIIX3 IDE function with drives, for the tests of the function, the disk and the CD-ROM drive.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "devices/block/memory_image.h"
#include "devices/ide/piix3_ide.h"
#include "tests/devices/bad_image.h"
#include "tests/devices/pci_test_bench.h"

namespace dragoman {

inline constexpr u32 kDiskSectors = 4096;
inline constexpr u16 kBusMaster = 0xc000;

/// The function with a disk (channel 0), a CD-ROM drive and a disk with a bad sector (channel 1) on
/// its bus, and the drivers' way of talking to them. `channel_` and `device_` choose.
class Piix3IdeTest : public testing::Test, protected PciTestBench {
 protected:
  Piix3IdeTest() : ide_("piix3-ide", spaces, scheduler, log, IrqLine(irq_, 0), IrqLine(irq_, 1)) {
    memory.add_memory("ram", PhysicalAddress(0), 4 * kMiB, pool->ram(), true, true, 0);
    std::vector<u8> bytes(kDiskSectors * 512);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = pattern(i);
    disk_ = std::make_shared<MemoryImage>(std::move(bytes));
    std::vector<u8> cd(100 * 2048 + 512);
    for (std::size_t i = 0; i < cd.size(); ++i) cd[i] = pattern(i * 3);
    cd_ = std::make_shared<MemoryImage>(std::move(cd), true);
    ide_.attach_disk(0, 0, disk_, "SERIAL1");
    cdrom_ = &ide_.attach_cdrom(1, 0, cd_, "CD1");
    ide_.attach_disk(1, 1, std::make_shared<BadImage>(), "BAD");
    power_on();
  }

  static u8 pattern(std::size_t i) { return static_cast<u8>(i * 31 + i / 512 * 7 + i / 65536); }

  void power_on() {
    ide_.reset();
    ide_.config_write(0x40, 2, 0x8000);
    ide_.config_write(0x42, 2, 0x8000);
    ide_.config_write(0x20, 4, kBusMaster);
    ide_.config_write(0x04, 2, 5);
    run();
  }
  void run() {
    clock.now += kIdeCompletionDelayNs;
    scheduler.run_due();
  }

  u16 port(unsigned reg) const { return static_cast<u16>((channel_ == 0 ? 0x1f0 : 0x170) + reg); }
  void out(unsigned reg, u32 value, unsigned size = 1) {
    ports.write(Port(port(reg)), size, value);
  }
  u32 in(unsigned reg, unsigned size = 1) { return ports.read(Port(port(reg)), size); }
  u8 alt() { return static_cast<u8>(ports.read(Port(channel_ == 0 ? 0x3f6 : 0x376), 1)); }
  void control(u8 value) { ports.write(Port(channel_ == 0 ? 0x3f6 : 0x376), 1, value); }
  bool irq() const { return irq_.levels[channel_]; }

  void command28(u8 command, u32 lba, u8 count) {
    out(6, 0xe0 | device_ << 4 | lba >> 24);
    out(2, count);
    out(3, lba & 0xff);
    out(4, lba >> 8 & 0xff);
    out(5, lba >> 16 & 0xff);
    out(7, command);
  }
  void command48(u8 command, u64 lba, u16 count) {
    out(6, 0xe0 | device_ << 4);
    out(2, count >> 8);
    out(3, lba >> 24 & 0xff);
    out(4, lba >> 32 & 0xff);
    out(5, lba >> 40 & 0xff);
    out(2, count & 0xff);
    out(3, lba & 0xff);
    out(4, lba >> 8 & 0xff);
    out(5, lba >> 16 & 0xff);
    out(7, command);
  }
  /// Waits for the interrupt, acknowledges it and reads `bytes` from the data port.
  std::vector<u8> read_block(std::size_t bytes, unsigned width = 2) {
    EXPECT_FALSE(irq());
    EXPECT_EQ(alt(), 0x80);
    run();
    EXPECT_TRUE(irq());
    EXPECT_EQ(in(7) & 0x89, 0x08);
    EXPECT_FALSE(irq());
    std::vector<u8> data;
    for (std::size_t i = 0; i < bytes; i += width) {
      const u32 value = in(0, width);
      for (unsigned b = 0; b < width; ++b) data.push_back(static_cast<u8>(value >> (8 * b)));
    }
    return data;
  }
  void write_block(std::size_t bytes, u8 value) {
    ASSERT_EQ(alt(), 0x58);
    for (std::size_t i = 0; i < bytes; i += 2) out(0, value | value << 8, 2);
  }
  std::vector<u8> disk_bytes(u64 sector, u64 count) const {
    const auto all = disk_->bytes();
    return {all.begin() + static_cast<long>(sector * 512),
            all.begin() + static_cast<long>((sector + count) * 512)};
  }
  static u16 word(const std::vector<u8>& data, unsigned index) {
    return static_cast<u16>(data[2 * index] | data[2 * index + 1] << 8);
  }

  // Bus master.
  u16 bm(unsigned reg) const { return static_cast<u16>(kBusMaster + 8 * channel_ + reg); }
  void prd(u32 at, u32 address, u32 count, bool last) {
    memory.store<u32>(PhysicalAddress(at), address);
    memory.store<u32>(PhysicalAddress(at + 4), (count & 0xffff) | (last ? 0x80000000 : 0));
  }
  void start_dma(bool to_memory, u32 table = 0x1000) {
    ports.write(Port(bm(4)), 4, table);
    ports.write(Port(bm(2)), 1, 6);
    ports.write(Port(bm(0)), 1, to_memory ? 9 : 1);
  }
  u8 bm_status() { return static_cast<u8>(ports.read(Port(bm(2)), 1)); }
  std::vector<u8> ram(u32 at, u32 count) {
    std::vector<u8> data(count);
    memory.read_bytes(PhysicalAddress(at), data);
    return data;
  }

  // ATAPI.
  void packet(std::vector<u8> bytes, bool dma = false, u16 limit = 0xfffe) {
    bytes.resize(12);
    out(6, 0xa0);
    out(1, dma ? 1 : 0);
    out(4, limit & 0xff);
    out(5, limit >> 8);
    out(7, 0xa0);
    ASSERT_EQ(alt() & 0x89, 0x08);
    ASSERT_EQ(in(2), 1u);
    for (unsigned i = 0; i < 12; i += 2) out(0, bytes[i] | bytes[i + 1] << 8, 2);
  }
  /// Runs a packet command to its end; its data, or nothing after a check condition.
  std::optional<std::vector<u8>> packet_in(std::vector<u8> bytes, u16 limit = 0xfffe) {
    packet(std::move(bytes), false, limit);
    std::vector<u8> data;
    for (unsigned blocks = 0; blocks < 1000; ++blocks) {
      run();
      EXPECT_TRUE(irq());
      const u8 status = static_cast<u8>(in(7));
      if (status & 1) return std::nullopt;
      if (!(status & 8)) {
        EXPECT_EQ(in(2), 3u);
        return data;
      }
      EXPECT_EQ(in(2), 2u);
      const u32 count = in(4) | in(5) << 8;
      EXPECT_LE(count, limit);
      for (u32 i = 0; i < count; i += 2) {
        const u32 value = in(0, 2);
        data.push_back(static_cast<u8>(value));
        if (i + 1 < count) data.push_back(static_cast<u8>(value >> 8));
      }
    }
    ADD_FAILURE() << "no end";
    return std::nullopt;
  }
  u32 sense() {
    const auto data = packet_in({0x03, 0, 0, 0, 18}).value();
    return static_cast<u32>(data[2] << 16 | data[12] << 8 | data[13]);
  }
  void use_cdrom() {
    channel_ = 1;
    packet_in({0x00});  // takes the power-on unit attention
    sense();
  }

  IrqRecorder irq_;
  Piix3Ide ide_;
  std::shared_ptr<MemoryImage> disk_, cd_;
  AtapiCdrom* cdrom_ = nullptr;
  unsigned channel_ = 0;
  unsigned device_ = 0;
};

}  // namespace dragoman
