// The PIIX3 IDE function through its registers: ATA disks, the CD-ROM drive, the bus master.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <numeric>
#include <optional>

#include "devices/block/memory_image.h"
#include "devices/ide/piix3_ide.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

class FakeClock : public VirtualClock {
 public:
  u64 now_ns() override { return now; }
  u64 now = 0;
};

class FakeIrq : public IrqSink {
 public:
  void set_irq(unsigned pin, bool level) override { levels[pin & 1] = level; }
  std::array<bool, 2> levels{};
};

/// An image whose sectors in [bad, bad + 1) cannot be read or written.
class BadImage : public BlockImage {
 public:
  u64 size() const override { return 64 * 512; }
  bool read_only() const override { return false; }
  Result<void> read(u64 offset, std::span<u8> out) override {
    return touches(offset, out.size()) ? Result<void>(error("bad sector")) : Result<void>();
  }
  Result<void> write(u64 offset, std::span<const u8> in) override {
    return touches(offset, in.size()) ? Result<void>(error("bad sector")) : Result<void>();
  }
  Result<void> flush() override { return error("no space"); }
  const std::string& description() const override { return name_; }

 private:
  static bool touches(u64 offset, u64 length) {
    return offset < 11 * 512 && offset + length > 10 * 512;
  }
  std::string name_ = "bad";
};

constexpr u32 kDiskSectors = 4096;
constexpr u16 kBusMaster = 0xc000;

class Piix3IdeTest : public testing::Test {
 protected:
  Piix3IdeTest()
      : memory_(GuestMemory::create(4 * kMiB).take()),
        map_(*memory_, log_),
        ports_(log_),
        scheduler_(clock_),
        ide_("piix3-ide", {map_, ports_}, scheduler_, log_, IrqLine(irq_, 0), IrqLine(irq_, 1)) {
    map_.add_memory("ram", PhysicalAddress(0), 4 * kMiB, memory_->ram(), true, true, 0);
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
    clock_.now += kIdeCompletionDelayNs;
    scheduler_.run_due();
  }

  u16 port(unsigned reg) const { return static_cast<u16>((channel_ == 0 ? 0x1f0 : 0x170) + reg); }
  void out(unsigned reg, u32 value, unsigned size = 1) {
    ports_.write(Port(port(reg)), size, value);
  }
  u32 in(unsigned reg, unsigned size = 1) { return ports_.read(Port(port(reg)), size); }
  u8 alt() { return static_cast<u8>(ports_.read(Port(channel_ == 0 ? 0x3f6 : 0x376), 1)); }
  void control(u8 value) { ports_.write(Port(channel_ == 0 ? 0x3f6 : 0x376), 1, value); }
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
    map_.store<u32>(PhysicalAddress(at), address);
    map_.store<u32>(PhysicalAddress(at + 4), (count & 0xffff) | (last ? 0x80000000 : 0));
  }
  void start_dma(bool to_memory, u32 table = 0x1000) {
    ports_.write(Port(bm(4)), 4, table);
    ports_.write(Port(bm(2)), 1, 6);
    ports_.write(Port(bm(0)), 1, to_memory ? 9 : 1);
  }
  u8 bm_status() { return static_cast<u8>(ports_.read(Port(bm(2)), 1)); }
  std::vector<u8> ram(u32 at, u32 count) {
    std::vector<u8> data(count);
    map_.read_bytes(PhysicalAddress(at), data);
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

  FakeClock clock_;
  FakeIrq irq_;
  Log log_;
  std::unique_ptr<GuestMemory> memory_;
  MemoryMap map_;
  PortMap ports_;
  Scheduler scheduler_;
  Piix3Ide ide_;
  std::shared_ptr<MemoryImage> disk_, cd_;
  AtapiCdrom* cdrom_ = nullptr;
  unsigned channel_ = 0;
  unsigned device_ = 0;
};

TEST_F(Piix3IdeTest, StateListIsComplete) { check_state_list<Piix3IdeState>(); }

TEST_F(Piix3IdeTest, ConfigurationSpace) {
  EXPECT_EQ(ide_.config_read(0, 4), 0x70108086u);
  EXPECT_EQ(ide_.config_read(8, 4), 0x01018000u);
  ide_.config_write(0x20, 4, 0xffffffff);
  EXPECT_EQ(ide_.config_read(0x20, 4), 0xfffffff1u);  // firmware sizes it on all 32 bits
  ide_.config_write(0x40, 2, 0);  // decode off
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
  Piix3Ide empty("empty", {map_, ports_}, scheduler_, log_, IrqLine(), IrqLine());
  empty.reset();
  empty.config_write(0x40, 2, 0x8000);
  empty.config_write(0x04, 2, 1);
  EXPECT_EQ(in(7), 0x7fu) << "pulled-down DD7";
}

TEST_F(Piix3IdeTest, Identify) {
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

TEST_F(Piix3IdeTest, PioRead) {
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

TEST_F(Piix3IdeTest, PioWriteLba48AndChs) {
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

TEST_F(Piix3IdeTest, Multiple) {
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

TEST_F(Piix3IdeTest, HighOrderByteReadsTheOlderHalf) {
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

TEST_F(Piix3IdeTest, RangesAndUnknownCommands) {
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
  ports_.write(Port(bm(0)), 1, 0);
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
  ports_.write(Port(bm(0)), 1, 0);
  prd(0x1000, 0x20000, 4096, true);
  start_dma(true);
  command28(0xc8, 0, 2);
  run();
  EXPECT_EQ(bm_status() & 7, 5);
  // A table outside of memory.
  ports_.write(Port(bm(0)), 1, 0);
  EXPECT_EQ(bm_status() & 1, 0);
  start_dma(true, 0xe0000000);
  command28(0xc8, 0, 2);
  run();
  EXPECT_EQ(bm_status() & 3, 2);
  // A table without an end: 8192 regions of two bytes are less than 64 sectors.
  ports_.write(Port(bm(0)), 1, 0);
  for (u32 i = 0; i < 8192; ++i) prd(0x100000 + 8 * i, 0x20000, 2, false);
  start_dma(true, 0x100000);
  command28(0xc8, 0, 64);
  run();
  EXPECT_EQ(bm_status() & 3, 2);
  // The wrong direction.
  ports_.write(Port(bm(0)), 1, 0);
  prd(0x1000, 0x20000, 1024, true);
  start_dma(false);
  command28(0xc8, 0, 2);
  EXPECT_EQ(bm_status() & 3, 2);
}

TEST_F(Piix3IdeTest, HostErrors) {
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

TEST_F(Piix3IdeTest, DiagnosticAndPower) {
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

TEST_F(Piix3IdeTest, IdentifyPacket) {
  channel_ = 1;
  out(6, 0xa0);
  out(7, 0xec);
  run();
  EXPECT_EQ(in(7) & 1, 1u);
  EXPECT_EQ(in(5), 0xebu);
  out(7, 0xa1);
  const auto id = read_block(512);
  EXPECT_EQ(word(id, 0), 0x85c0);
  EXPECT_EQ(alt(), 0x50);
}

TEST_F(Piix3IdeTest, CdReadsInBlocksOfTheHost) {
  channel_ = 1;
  EXPECT_FALSE(packet_in({0x28, 0, 0, 0, 0, 16, 0, 0, 1})) << "power-on unit attention";
  EXPECT_EQ(in(1) >> 4, 6u);
  EXPECT_EQ(sense(), 0x062900u);
  const auto all = cd_->bytes();
  for (const u16 limit : {2048, 0xfffe, 512, 3000, 0xffff, 0}) {
    const auto data =
        packet_in({0x28, 0, 0, 0, 0, 16, 0, 0, 9}, limit == 0 ? u16{0xfffe} : limit).value();
    EXPECT_EQ(data, std::vector<u8>(all.begin() + 16 * 2048, all.begin() + 25 * 2048)) << limit;
  }
  // The last sector is half there.
  auto last = packet_in({0xa8, 0, 0, 0, 0, 100, 0, 0, 0, 1}).value();
  EXPECT_EQ(last.size(), 2048u);
  EXPECT_TRUE(std::equal(last.begin(), last.begin() + 512, all.begin() + 100 * 2048));
  EXPECT_EQ(last[512], 0);
  EXPECT_FALSE(packet_in({0x28, 0, 0, 0, 0, 100, 0, 0, 2}));
  EXPECT_EQ(sense(), 0x052100u);
  EXPECT_EQ(packet_in({0xbe, 0, 0, 0, 0, 1, 0, 0, 1, 0x10}).value().size(), 2048u);
}

TEST_F(Piix3IdeTest, CdDma) {
  use_cdrom();
  prd(0x1000, 0x20000, 0x8000, false);
  prd(0x1008, 0x40000, 0x9000, true);
  start_dma(true);
  packet({0x28, 0, 0, 0, 0, 2, 0, 0, 34}, true);
  run();
  EXPECT_TRUE(irq());
  EXPECT_EQ(in(7), 0x50u);
  EXPECT_EQ(in(2), 3u);
  EXPECT_EQ(bm_status() & 7, 4);
  const auto all = cd_->bytes();
  EXPECT_EQ(ram(0x40000, 0x9000),
            std::vector<u8>(all.begin() + 2 * 2048 + 0x8000, all.begin() + 36 * 2048));
}

TEST_F(Piix3IdeTest, CdInformation) {
  use_cdrom();
  EXPECT_EQ(packet_in({0x12, 0, 0, 0, 255}).value().size(), 36u);
  EXPECT_EQ(packet_in({0x12, 0, 0, 0, 5}).value(), (std::vector<u8>{5, 0x80, 0, 0x21, 31}));
  EXPECT_EQ(packet_in({0x25}).value(), (std::vector<u8>{0, 0, 0, 100, 0, 0, 8, 0}));
  EXPECT_EQ(
      packet_in({0x43, 0, 0, 0, 0, 0, 0, 0, 100}).value(),
      (std::vector<u8>{0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 0, 101}));
  const auto msf = packet_in({0x43, 2, 0, 0, 0, 0, 0xaa, 0, 100}).value();
  EXPECT_EQ(msf, (std::vector<u8>{0, 10, 1, 1, 0, 0x14, 0xaa, 0, 0, 0, 3, 26}));
  EXPECT_EQ(packet_in({0x43, 0, 1, 0, 0, 0, 0, 0, 100}).value().size(), 12u);
  const auto raw = packet_in({0x43, 0, 2, 0, 0, 0, 0, 0, 100}).value();
  ASSERT_EQ(raw.size(), 48u);
  EXPECT_EQ(raw[26 + 3], 0xa2);
  EXPECT_EQ(raw[26 + 9], 3);
  EXPECT_EQ(raw[26 + 10], 26);
  const auto features = packet_in({0x46, 0, 0, 0, 0, 0, 0, 1, 0}).value();
  EXPECT_EQ(features[7], 8) << "CD-ROM profile";
  EXPECT_EQ(features[3] + 4u, features.size());
  EXPECT_EQ(packet_in({0x46, 2, 0, 3, 0, 0, 0, 1, 0}).value().size(), 16u);
  EXPECT_EQ(packet_in({0x51, 0, 0, 0, 0, 0, 0, 0, 34}).value().size(), 34u);
  EXPECT_EQ(packet_in({0x52, 1, 0, 0, 0, 1, 0, 0, 36}).value()[27], 101);
  EXPECT_EQ(packet_in({0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8}).value().size(), 8u);
  EXPECT_EQ(packet_in({0x44, 2, 0, 0, 0, 75, 0, 0, 8}).value(),
            (std::vector<u8>{1, 0, 0, 0, 0, 0, 3, 0}));
  const auto page = packet_in({0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 100}).value();
  EXPECT_EQ(page.size(), 30u);
  EXPECT_EQ(page[8], 0x2a);
  EXPECT_EQ(packet_in({0x1a, 0, 0x3f, 0, 255}).value()[0] + 1u,
            packet_in({0x1a, 0, 0x3f, 0, 255}).value().size());
  EXPECT_FALSE(packet_in({0x5a, 0, 0x33, 0, 0, 0, 0, 0, 100}));
  EXPECT_EQ(sense(), 0x052400u);
  EXPECT_FALSE(packet_in({0xff}));
  EXPECT_EQ(sense(), 0x052000u);
  EXPECT_EQ(sense(), 0u) << "told once";
}

TEST_F(Piix3IdeTest, CdModeSelect) {
  use_cdrom();
  const auto select = [&](std::vector<u8> list) {
    packet({0x55, 0x10, 0, 0, 0, 0, 0, 0, static_cast<u8>(list.size())});
    run();
    EXPECT_EQ(in(2), 0u) << "from the host";
    EXPECT_EQ(in(4), list.size());
    for (std::size_t i = 0; i < list.size(); i += 2) out(0, list[i] | list[i + 1] << 8, 2);
    run();
    return in(7) & 1;
  };
  EXPECT_EQ(select({0, 0, 0, 0, 0, 0, 0, 0, 1, 6, 0, 9, 0, 0, 0, 0}), 0u);
  EXPECT_EQ(packet_in({0x5a, 0, 1, 0, 0, 0, 0, 0, 100}).value()[11], 9);
  EXPECT_EQ(select({0, 0, 0, 0, 0, 0, 0, 0, 1, 6, 4, 9, 0, 0, 0, 0}), 1u);
  EXPECT_EQ(sense(), 0x052600u);
}

TEST_F(Piix3IdeTest, CdTrayAndMediumChange) {
  use_cdrom();
  EXPECT_TRUE(packet_in({0x1e, 0, 0, 0, 1}));
  EXPECT_FALSE(packet_in({0x1b, 0, 0, 0, 2})) << "locked";
  EXPECT_EQ(sense(), 0x055302u);
  EXPECT_TRUE(packet_in({0x1e, 0, 0, 0, 0}));
  EXPECT_TRUE(packet_in({0x1b, 0, 0, 0, 2}));
  EXPECT_TRUE(cdrom_->tray_open());
  EXPECT_FALSE(packet_in({0x00}));
  EXPECT_EQ(sense(), 0x023a02u);
  cdrom_->set_medium(nullptr);
  EXPECT_FALSE(packet_in({0x25}));
  EXPECT_EQ(sense(), 0x023a01u);
  cdrom_->set_medium(std::make_shared<MemoryImage>(std::vector<u8>(4096), true));
  const auto event = packet_in({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}).value();
  EXPECT_EQ(event, (std::vector<u8>{0, 6, 4, 0x10, 2, 2, 0, 0}));
  EXPECT_EQ(packet_in({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}).value()[4], 0);
  EXPECT_FALSE(packet_in({0x00}));
  EXPECT_EQ(sense(), 0x062800u);
  EXPECT_TRUE(packet_in({0x00}));
  EXPECT_EQ(packet_in({0x25}).value()[3], 1);
}

TEST_F(Piix3IdeTest, DeviceResetEndsAPacket) {
  use_cdrom();
  packet({0x28, 0, 0, 0, 0, 0, 0, 0, 4});
  out(7, 0x08);
  run();
  EXPECT_EQ(alt(), 0);
  EXPECT_EQ(in(5), 0xebu);
  EXPECT_FALSE(irq());
}

}  // namespace
}  // namespace dragoman
