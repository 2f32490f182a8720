// An AHCI adapter with a disk, a CD-ROM drive and a disk with a bad sector, and a driver's way of
// talking to it.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "devices/ahci/ahci.h"
#include "devices/block/memory_image.h"
#include "tests/devices/bad_image.h"
#include "tests/devices/pci_test_bench.h"

namespace dragoman {

class AhciTest : public testing::Test, protected PciTestBench, protected MsiSink {
 protected:
  static constexpr u32 kAbar = 0xf0000000;
  static constexpr u32 kSectors = 4096;
  static constexpr u64 kTables = 0x2000;  ///< command tables, 512 bytes for each slot
  static constexpr u32 kTableBytes = 0x200;
  static constexpr u64 kData = 0x100000;
  // Global registers.
  enum : u32 { kCap = 0x00, kGhc = 0x04, kHbaIs = 0x08, kPi = 0x0c, kVs = 0x10 };
  // Port registers.
  enum : u32 {
    kClb = 0x00,
    kFb = 0x08,
    kIs = 0x10,
    kIe = 0x14,
    kCmd = 0x18,
    kTfd = 0x20,
    kSig = 0x24,
    kSsts = 0x28,
    kSctl = 0x2c,
    kSerr = 0x30,
    kSact = 0x34,
    kCi = 0x38
  };
  // PxIS.
  enum : u32 {
    kDhrs = 1,
    kPss = 2,
    kDss = 4,
    kSdbs = 8,
    kDps = 32,
    kOfs = 1 << 24,
    kTfes = 1 << 30
  };
  // Command header: write, ATAPI, reset, clear busy.
  enum : u32 { kWrite = 1 << 6, kAtapi = 1 << 5, kResetBit = 1 << 8, kClearBusy = 1 << 10 };

  AhciTest() : ahci_("ahci", spaces, static_cast<MsiSink&>(*this), scheduler, log) {
    memory.add_memory("ram", PhysicalAddress(0), pool->ram_size(), pool->ram(), true, true, 0);
    std::vector<u8> bytes(u64{kSectors} * 512);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = static_cast<u8>(i * 31 + i / 512 * 7 + i / 65536);
    }
    disk_ = std::make_shared<MemoryImage>(std::move(bytes));
    std::vector<u8> cd(100 * 2048);
    for (std::size_t i = 0; i < cd.size(); ++i) cd[i] = static_cast<u8>(i * 93 + i / 2048);
    cd_ = std::make_shared<MemoryImage>(std::move(cd), true);
    ahci_.attach_disk(0, disk_, "SERIAL1");
    cdrom_ = &ahci_.attach_cdrom(1, cd_, "CD1");
    ahci_.attach_disk(5, std::make_shared<BadImage>(), "BAD");
    ahci_.connect_intx(IrqLine(irq_, 0));
    ahci_.reset();
    ahci_.config_write(0x24, 4, kAbar);
    ahci_.config_write(0x04, 2, 6);
    run();
    for (const unsigned port : {0u, 1u, 5u}) start_port(port);
    set(kGhc, 1u << 31 | 2);
  }

  void deliver_msi(u64 address, u32 data) override { messages_.emplace_back(address, data); }
  void run() {
    clock.now += kIdeCompletionDelayNs;
    scheduler.run_due();
  }
  u32 get(u32 offset) { return static_cast<u32>(memory.read(PhysicalAddress(kAbar + offset), 4)); }
  void set(u32 offset, u32 value) { memory.write(PhysicalAddress(kAbar + offset), 4, value); }
  static u32 reg(unsigned port, u32 offset) { return 0x100 + 0x80 * port + offset; }
  u32 pget(u32 offset) { return get(reg(port_, offset)); }
  void pset(u32 offset, u32 value) { set(reg(port_, offset), value); }

  static u64 list(unsigned port) { return 0x10000 + 0x1000 * u64{port}; }
  static u64 fises(unsigned port) { return list(port) + 0x400; }
  void start_port(unsigned port) {
    set(reg(port, kClb), static_cast<u32>(list(port)));
    set(reg(port, kFb), static_cast<u32>(fises(port)));
    set(reg(port, kSerr), ~u32{0});
    set(reg(port, kIs), ~u32{0});
    set(reg(port, kIe), ~u32{0});
    set(reg(port, kCmd), 0x11);
  }
  void restart_port() {
    pset(kCmd, 0x10);
    pset(kIs, ~u32{0});
    set(kHbaIs, ~u32{0});
    pset(kCmd, 0x11);
  }

  struct Region {
    u64 address;
    u32 bytes;
    bool interrupt = false;
  };
  static u64 table(unsigned slot) { return kTables + u64{kTableBytes} * slot; }
  void header(unsigned slot, u32 options, u16 regions, u64 at) {
    const PhysicalAddress header(list(port_) + 32 * u64{slot});
    memory.store<u32>(header, options | 5 | u32{regions} << 16);
    memory.store<u32>(header + 4, 0);
    memory.store<u64>(header + 8, at);
  }
  /// Builds slot `slot` with a register FIS and regions, without issuing it.
  void build(unsigned slot, std::vector<u8> fis, std::initializer_list<Region> regions,
             u32 options = 0) {
    fis.resize(20);
    memory.write_bytes(PhysicalAddress(table(slot)), fis);
    u32 n = 0;
    for (const Region& region : regions) {
      const PhysicalAddress entry(table(slot) + 0x80 + 16 * n++);
      memory.store<u64>(entry, region.address);
      memory.store<u32>(entry + 8, 0);
      memory.store<u32>(entry + 12, (region.bytes - 1) | (region.interrupt ? 1u << 31 : 0));
    }
    header(slot, options, static_cast<u16>(n), table(slot));
  }
  /// A command with a 48-bit address.
  static std::vector<u8> command(u8 code, u64 lba = 0, u16 count = 0, u16 features = 0) {
    return {0x27,
            0x80,
            code,
            static_cast<u8>(features),
            static_cast<u8>(lba),
            static_cast<u8>(lba >> 8),
            static_cast<u8>(lba >> 16),
            0x40,
            static_cast<u8>(lba >> 24),
            static_cast<u8>(lba >> 32),
            static_cast<u8>(lba >> 40),
            static_cast<u8>(features >> 8),
            static_cast<u8>(count),
            static_cast<u8>(count >> 8)};
  }
  static std::vector<u8> queued(u8 code, unsigned tag, u64 lba, u16 count) {
    return command(code, lba, static_cast<u16>(tag << 3), count);
  }
  void issue(unsigned slot) { pset(kCi, 1u << slot); }
  void packet(std::initializer_list<u8> bytes, std::initializer_list<Region> regions, bool dma) {
    auto fis = command(0xa0, 0, 0, dma ? 1 : 0);
    fis[5] = 0xfe;  // byte count limit
    fis[6] = 0xff;
    build(0, fis, regions, kAtapi);
    std::vector<u8> cdb(bytes);
    cdb.resize(16);
    memory.write_bytes(PhysicalAddress(table(0) + 0x40), cdb);
    issue(0);
  }
  u32 moved(unsigned slot) {
    return memory.load<u32>(PhysicalAddress(list(port_) + 32 * u64{slot} + 4));
  }
  std::vector<u8> ram(u64 at, u64 count) {
    std::vector<u8> data(count);
    memory.read_bytes(PhysicalAddress(at), data);
    return data;
  }
  std::vector<u8> fis(u64 offset, u64 count) { return ram(fises(port_) + offset, count); }
  static std::vector<u8> bytes_of(const MemoryImage& image, u64 first, u64 count) {
    const auto all = image.bytes();
    return {all.begin() + static_cast<long>(first), all.begin() + static_cast<long>(first + count)};
  }
  std::vector<u8> sectors(u64 lba, u64 count) { return bytes_of(*disk_, lba * 512, count * 512); }
  bool irq() const { return irq_.levels[0]; }
  void acknowledge() {
    pset(kIs, ~u32{0});
    set(kHbaIs, ~u32{0});
  }

  std::vector<std::pair<u64, u32>> messages_;
  IrqRecorder irq_;
  Ahci ahci_;
  std::shared_ptr<MemoryImage> disk_, cd_;
  AtapiCdrom* cdrom_ = nullptr;
  unsigned port_ = 0;
};

}  // namespace dragoman
