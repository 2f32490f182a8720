// What the memory tests share: a pool, a map, a log kept in a file, and registers that remember.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "memory/memory_map.h"

namespace dragoman {

/// Registers that answer with a fixed value and remember every access.
struct RecordingRegisters : MmioHandler {
  struct Access {
    bool write;
    unsigned bank;
    u64 offset;
    unsigned size;
    u64 value;
    bool operator==(const Access&) const = default;
  };
  std::vector<Access> seen;
  u64 answer = 0x8877665544332211;

  u64 mmio_read(unsigned bank, u64 offset, unsigned size) override {
    seen.push_back({false, bank, offset, size, 0});
    return answer;
  }
  void mmio_write(unsigned bank, u64 offset, unsigned size, u64 value) override {
    seen.push_back({true, bank, offset, size, value});
  }
};

struct MemoryBench : testing::Test {
  static constexpr u64 kRamBytes = 2 * kMiB;
  Log log;
  std::unique_ptr<GuestMemory> memory = GuestMemory::create(kRamBytes).take();
  MemoryMap map{*memory, log};
  RecordingRegisters registers;
  using Access = RecordingRegisters::Access;

  static PhysicalAddress at(u64 address) { return PhysicalAddress(address); }
  RangeId add_ram() {
    return map.add_memory("ram", at(0), kRamBytes, memory->ram(), true, true,
                          MemoryMap::kPriorityRam);
  }
};

}  // namespace dragoman
