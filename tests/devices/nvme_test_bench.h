// An NVMe controller with a disk, and a driver's way of talking to it.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "devices/block/memory_image.h"
#include "devices/nvme/nvme.h"
#include "tests/devices/pci_test_bench.h"

namespace dragoman {

class NvmeTest : public testing::Test, protected PciTestBench, protected MsiSink {
 protected:
  static constexpr u32 kBar = 0xf0000000;
  static constexpr u32 kTable = 0xf0010000;  ///< MSI-X
  static constexpr u64 kSectors = 4096;
  static constexpr u64 kAdminSubmission = 0x10000;
  static constexpr u64 kAdminCompletion = 0x11000;
  static constexpr u64 kData = 0x100000;
  enum : u32 {
    kCap = 0x00,
    kVs = 0x08,
    kIntms = 0x0c,
    kIntmc = 0x10,
    kCc = 0x14,
    kCsts = 0x1c,
    kAqa = 0x24,
    kAsq = 0x28,
    kAcq = 0x30
  };

  NvmeTest() { make(disk()); }

  static std::shared_ptr<MemoryImage> disk(bool read_only = false) {
    std::vector<u8> bytes(kSectors * 512);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = static_cast<u8>(i * 31 + i / 512 * 7 + i / 65536);
    }
    return std::make_shared<MemoryImage>(std::move(bytes), read_only);
  }
  void make(std::shared_ptr<BlockImage> image) {
    if (nvme_ != nullptr) {
      nvme_->reset();
      retired_.push_back(std::move(nvme_));  // the memory map still knows it
    }
    if (!ram_added_) {
      memory.add_memory("ram", PhysicalAddress(0), pool->ram_size(), pool->ram(), true, true, 0);
    }
    ram_added_ = true;
    disk_ = std::dynamic_pointer_cast<MemoryImage>(image);
    nvme_ = std::make_unique<Nvme>("nvme", spaces, static_cast<MsiSink&>(*this), scheduler, log,
                                   std::move(image), "S1");
    nvme_->connect_intx(IrqLine(irq_, 0));
    power_on();
  }
  void power_on() {
    nvme_->reset();
    nvme_->config_write(0x10, 4, kBar);
    nvme_->config_write(0x20, 4, kTable);
    nvme_->config_write(0x04, 2, 6);
  }
  void enable() {
    admin_ = {0, 0, true};
    set(kAqa, 15 << 16 | 15);
    set8(kAsq, kAdminSubmission);
    set8(kAcq, kAdminCompletion);
    set(kCc, 4 << 20 | 6 << 16 | 1);
    ASSERT_EQ(get(kCsts), 1u);
  }

  void deliver_msi(u64 address, u32 data) override { messages_.emplace_back(address, data); }
  u32 get(u32 offset) { return static_cast<u32>(memory.read(PhysicalAddress(kBar + offset), 4)); }
  void set(u32 offset, u32 value) { memory.write(PhysicalAddress(kBar + offset), 4, value); }
  void set8(u32 offset, u64 value) { memory.write(PhysicalAddress(kBar + offset), 8, value); }
  void ring(unsigned queue, bool completion, u32 value) {
    set(0x1000 + 8 * queue + (completion ? 4 : 0), value);
  }

  struct Entry {
    std::array<u32, 16> words{};
    Entry(u8 opcode, u32 nsid, u64 prp1 = 0, u64 prp2 = 0, std::vector<u32> from10 = {}) {
      words[0] = opcode;
      words[1] = nsid;
      words[6] = static_cast<u32>(prp1);
      words[7] = static_cast<u32>(prp1 >> 32);
      words[8] = static_cast<u32>(prp2);
      words[9] = static_cast<u32>(prp2 >> 32);
      std::copy(from10.begin(), from10.end(), words.begin() + 10);
    }
  };
  struct Completion {
    u32 result;
    u16 head, queue, id, status;  ///< status without the phase
    bool phase;
  };
  /// A queue pair as the driver keeps it.
  struct Pair {
    u32 tail = 0;
    u32 head = 0;
    bool phase = true;
  };

  void put(u64 queue, u32 slot, Entry entry, u16 id) {
    entry.words[0] |= u32{id} << 16;
    memory.write_bytes(PhysicalAddress(queue + 64 * u64{slot}),
                       {reinterpret_cast<const u8*>(entry.words.data()), 64});
  }
  Completion completion_at(u64 queue, u32 slot) {
    const PhysicalAddress at(queue + 16 * u64{slot});
    const u32 third = memory.load<u32>(at + 8);
    const u32 fourth = memory.load<u32>(at + 12);
    return {memory.load<u32>(at),     static_cast<u16>(third),        static_cast<u16>(third >> 16),
            static_cast<u16>(fourth), static_cast<u16>(fourth >> 17), (fourth >> 16 & 1) != 0};
  }
  void submit(Pair& pair, unsigned number, u64 queue, u32 entries, const Entry& entry) {
    put(queue, pair.tail, entry, next_id_++);
    pair.tail = (pair.tail + 1) % entries;
    ring(number, false, pair.tail);
  }
  /// The next completion, or nothing; its place is given back.
  std::optional<Completion> reap(Pair& pair, unsigned number, u64 queue, u32 entries) {
    const Completion c = completion_at(queue, pair.head);
    if (c.phase != pair.phase) return std::nullopt;
    pair.head = (pair.head + 1) % entries;
    if (pair.head == 0) pair.phase = !pair.phase;
    ring(number, true, pair.head);
    return c;
  }
  Completion admin(const Entry& entry) {
    submit(admin_, 0, kAdminSubmission, 16, entry);
    const auto c = reap(admin_, 0, kAdminCompletion, 16);
    EXPECT_TRUE(c) << "no completion";
    return c.value_or(Completion{});
  }

  static constexpr u64 submission(unsigned n) { return 0x20000 + 0x2000 * u64{n}; }
  static constexpr u64 completion(unsigned n) { return submission(n) + 0x1000; }
  static constexpr u32 kEntries = 8;  ///< of I/O queues
  void create_queues(unsigned n, u32 vector = 0) {
    ASSERT_EQ(
        admin({0x05, 0, completion(n), 0, {(kEntries - 1) << 16 | n, vector << 16 | 3}}).status, 0);
    ASSERT_EQ(admin({0x01, 0, submission(n), 0, {(kEntries - 1) << 16 | n, n << 16 | 1}}).status,
              0);
    io_[n] = {};
  }
  void submit_io(unsigned n, const Entry& entry) {
    submit(io_[n], n, submission(n), kEntries, entry);
  }
  std::optional<Completion> reap_io(unsigned n) { return reap(io_[n], n, completion(n), kEntries); }
  Completion io(const Entry& entry, unsigned n = 1) {
    submit_io(n, entry);
    const auto c = reap_io(n);
    EXPECT_TRUE(c) << "no completion";
    return c.value_or(Completion{});
  }
  static Entry transfer(bool write, u64 lba, u32 sectors, u64 prp1, u64 prp2 = 0) {
    return {static_cast<u8>(write ? 1 : 2),
            1,
            prp1,
            prp2,
            {static_cast<u32>(lba), static_cast<u32>(lba >> 32), sectors - 1}};
  }

  std::vector<u8> ram(u64 at, u64 count) {
    std::vector<u8> data(count);
    memory.read_bytes(PhysicalAddress(at), data);
    return data;
  }
  std::vector<u8> sectors(u64 lba, u64 count) const {
    const auto all = disk_->bytes();
    return {all.begin() + static_cast<long>(lba * 512),
            all.begin() + static_cast<long>((lba + count) * 512)};
  }
  template <class T>
  T at(u64 offset) {
    return memory.load<T>(PhysicalAddress(kData + offset));
  }

  IrqRecorder irq_;
  std::unique_ptr<Nvme> nvme_;
  std::vector<std::unique_ptr<Nvme>> retired_;
  std::shared_ptr<MemoryImage> disk_;
  std::vector<std::pair<u64, u32>> messages_;
  Pair admin_;
  std::array<Pair, 20> io_;
  u16 next_id_ = 100;
  bool ram_added_ = false;
};

}  // namespace dragoman
