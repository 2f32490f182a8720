#include "memory/memory_map.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "tests/memory/memory_bench.h"

namespace dragoman {
namespace {

using MemoryMapTest = MemoryBench;

TEST_F(MemoryMapTest, RamHoldsWhatIsWrittenLittleEndian) {
  add_ram();
  map.write(at(0x1000), 8, 0x0102030405060708);
  EXPECT_EQ(map.read(at(0x1000), 8), 0x0102030405060708u);
  EXPECT_EQ(map.read(at(0x1000), 4), 0x05060708u);
  EXPECT_EQ(map.read(at(0x1003), 2), 0x0405u);
  EXPECT_EQ(map.read(at(0x1007), 1), 0x01u);
  map.write(at(0x1000), 1, 0xffffff00);  // only the low byte
  EXPECT_EQ(map.read(at(0x1000), 4), 0x05060700u);
}

TEST_F(MemoryMapTest, UnmappedReadsAllOnesAndDropsWrites) {
  EXPECT_EQ(map.read(at(0x5000), 1), 0xffu);
  EXPECT_EQ(map.read(at(0x5000), 4), 0xffffffffu);
  EXPECT_EQ(map.read(at(~u64{0}), 1), 0xffu);
  map.write(at(0x5000), 4, 0);
  add_ram();
  EXPECT_EQ(map.read(at(kRamBytes), 8), ~u64{0});
  map.write(at(kRamBytes), 8, 0);
}

TEST_F(MemoryMapTest, RegistersSeeBankAndOffsetNotAddresses) {
  map.add_mmio("regs", at(0xfec00000), 0x1000, registers, 7);
  map.write(at(0xfec00010), 4, 0xaabbccddeeff0011);
  EXPECT_EQ(map.read(at(0xfec00ffc), 4), 0x44332211u);  // the answer is cut to the size
  EXPECT_EQ(registers.seen,
            (std::vector<Access>{{true, 7, 0x10, 4, 0xeeff0011}, {false, 7, 0xffc, 4, 0}}));
}

TEST_F(MemoryMapTest, UnalignedRegisterAccessesArriveWhole) {
  map.add_mmio("regs", at(0x10000), 0x1000, registers, 0);
  EXPECT_EQ(map.read(at(0x10003), 8), registers.answer);
  EXPECT_EQ(registers.seen, (std::vector<Access>{{false, 0, 3, 8, 0}}));
}

TEST_F(MemoryMapTest, HigherPriorityHidesLowerWhateverTheOrder) {
  map.add_mmio("regs", at(0x2000), 0x1000, registers, 0, MemoryMap::kPriorityDevice);
  add_ram();
  map.write(at(0x2800), 4, 1);
  ASSERT_EQ(registers.seen.size(), 1u);
  EXPECT_EQ(registers.seen[0].offset, 0x800u);
  map.write(at(0x1ffc), 4, 2);
  map.write(at(0x3000), 4, 3);
  EXPECT_EQ(registers.seen.size(), 1u);
  EXPECT_EQ(map.read(at(0x1ffc), 4), 2u);
  EXPECT_EQ(map.read(at(0x3000), 4), 3u);
}

TEST_F(MemoryMapTest, BetweenEqualsTheLaterWins) {
  RecordingRegisters later;
  map.add_mmio("first", at(0x2000), 0x2000, registers, 1);
  map.add_mmio("second", at(0x3000), 0x2000, later, 2);
  (void)map.read(at(0x2ffc), 4);
  (void)map.read(at(0x3000), 4);
  EXPECT_EQ(registers.seen, (std::vector<Access>{{false, 1, 0xffc, 4, 0}}));
  EXPECT_EQ(later.seen, (std::vector<Access>{{false, 2, 0, 4, 0}}));
}

TEST_F(MemoryMapTest, DisabledRangesDoNotTakePart) {
  add_ram();
  const RangeId range = map.add_mmio("regs", at(0x2000), 0x1000, registers, 0,
                                     MemoryMap::kPriorityDevice, /*enabled=*/false);
  map.write(at(0x2000), 4, 0x1234);
  map.set_enabled(range, true);
  EXPECT_EQ(map.read(at(0x2000), 4), 0x44332211u);
  map.set_enabled(range, false);
  EXPECT_EQ(map.read(at(0x2000), 4), 0x1234u);
  EXPECT_EQ(registers.seen.size(), 1u);
}

TEST_F(MemoryMapTest, MovedRangesKeepTheirOffsets) {
  add_ram();
  const RangeId range = map.add_mmio("bar", at(0x10000), 0x1000, registers, 3);
  map.write(at(0x10000), 1, 1);
  map.move(range, at(0x20000));
  map.write(at(0x10008), 1, 2);  // RAM again
  map.write(at(0x20008), 1, 3);
  EXPECT_EQ(registers.seen, (std::vector<Access>{{true, 3, 0, 1, 1}, {true, 3, 8, 1, 3}}));
  EXPECT_EQ(map.read(at(0x10008), 1), 2u);
}

TEST_F(MemoryMapTest, RangesAtTheTopOfTheAddressSpaceAreHarmless) {
  // A guest may put a 64-bit base address register anywhere.
  const RangeId range = map.add_mmio("bar", at(0x10000), 0x1000, registers, 0);
  for (u64 first : {~u64{0xfff}, ~u64{0x7ff} & ~u64{1}, ~u64{0}}) {
    map.move(range, at(first));
    (void)map.read(at(first), 8);
    map.write(at(~u64{0}), 8, 0);
    (void)map.page(at(first));
    std::array<u8, 16> bytes{};
    map.read_bytes(at(~u64{0} - 7), bytes);
  }
  map.move(range, at(0x20000));
  registers.seen.clear();
  map.write(at(0x20004), 4, 5);
  EXPECT_EQ(registers.seen, (std::vector<Access>{{true, 0, 4, 4, 5}}));
}

// A programmable attribute map decides separately about reads and writes of a segment: to the ROM
// (or nothing) below, or to RAM.
struct PamTest : MemoryBench {
  static constexpr u64 kSegment = 0xf0000;
  static constexpr u64 kSegmentBytes = 0x10000;
  u8* rom = memory->allocate(kSegmentBytes);
  RangeId pam{};

  void SetUp() override {
    add_ram();
    std::memset(rom, 0x52, kSegmentBytes);
    map.add_memory("rom", at(kSegment), kSegmentBytes, rom, true, false, MemoryMap::kPriorityRom);
    pam = map.add_memory("pam", at(kSegment), kSegmentBytes, memory->ram() + kSegment, false, false,
                         MemoryMap::kPriorityShadow);
    memory->ram()[kSegment] = 0xaa;
  }
  u64 first_byte() { return map.read(at(kSegment), 1); }
};

TEST_F(PamTest, RomSwallowsWritesInsteadOfPassingThemToTheRamItHides) {
  map.write(at(kSegment), 1, 1);
  EXPECT_EQ(first_byte(), 0x52u);
  EXPECT_EQ(memory->ram()[kSegment], 0xaa);
  EXPECT_EQ(rom[0], 0x52);
}

TEST_F(PamTest, WriteOnlyCopiesRomToRamUnderneath) {
  map.set_access(pam, false, true);
  map.write(at(kSegment), 1, first_byte());
  EXPECT_EQ(first_byte(), 0x52u);
  EXPECT_EQ(memory->ram()[kSegment], 0x52);
  map.write(at(kSegment), 1, 0x33);
  EXPECT_EQ(first_byte(), 0x52u);
  map.set_access(pam, true, true);
  EXPECT_EQ(first_byte(), 0x33u);
}

TEST_F(PamTest, ReadOnlyShowsRamAndProtectsIt) {
  map.set_access(pam, true, false);
  EXPECT_EQ(first_byte(), 0xaau);
  map.write(at(kSegment), 1, 1);
  EXPECT_EQ(first_byte(), 0xaau);
  EXPECT_EQ(rom[0], 0x52);
}

TEST_F(PamTest, PageViewsFollowTheAccessBits) {
  u8* ram = memory->ram() + kSegment + 0x3000;
  const PhysicalAddress page = at(kSegment + 0x3abc);
  const auto expect = [&](u8* read, u8* write) {
    const MemoryMap::PageView view = map.page(page);
    EXPECT_EQ(view.read, read);
    EXPECT_EQ(view.write, write);
  };
  expect(rom + 0x3000, nullptr);
  map.set_access(pam, false, true);
  expect(rom + 0x3000, ram);
  map.set_access(pam, true, false);
  expect(ram, nullptr);
  map.set_access(pam, true, true);
  expect(ram, ram);
}

TEST_F(MemoryMapTest, PageViewsNeedAWholePageOfMemory) {
  add_ram();
  EXPECT_EQ(map.page(at(0x4123)).read, memory->ram() + 0x4000);
  EXPECT_EQ(map.page(at(0x4123)).write, memory->ram() + 0x4000);
  map.add_mmio("half", at(0x4800), 0x10, registers, 0);
  map.add_mmio("whole", at(0x6000), 0x1000, registers, 0);
  EXPECT_EQ(map.page(at(0x4000)).read, nullptr);
  EXPECT_EQ(map.page(at(0x4fff)).write, nullptr);
  EXPECT_EQ(map.page(at(0x5000)).read, memory->ram() + 0x5000);
  EXPECT_EQ(map.page(at(0x6000)).read, nullptr);
  EXPECT_EQ(map.page(at(kRamBytes)).read, nullptr);
  map.write(at(0x4000), 4, 0x11111111);  // read() and write() still reach the RAM around it
  EXPECT_EQ(map.read(at(0x4000), 4), 0x11111111u);
}

TEST_F(MemoryMapTest, AccessesAcrossABorderReachBothSides) {
  add_ram();
  map.add_mmio("regs", at(0x2000), 0x1000, registers, 0);
  map.write(at(0x1ffe), 4, 0x44332211);
  EXPECT_EQ(map.read(at(0x1ffe), 2), 0x2211u);
  EXPECT_EQ(registers.seen, (std::vector<Access>{{true, 0, 0, 1, 0x33}, {true, 0, 1, 1, 0x44}}));
  registers.answer = 0x5a;
  EXPECT_EQ(map.read(at(0x1ffe), 4), 0x5a5a2211u);
}

TEST_F(MemoryMapTest, AccessesAcrossTheEndOfRamReadOnesThere) {
  add_ram();
  map.write(at(kRamBytes - 2), 8, 0x1122334455667788);
  EXPECT_EQ(map.read(at(kRamBytes - 2), 8), 0xffffffffffff7788u);
}

TEST_F(MemoryMapTest, AdjacentMemoryRangesActAsOne) {
  map.add_memory("low", at(0), 0x1000, memory->ram(), true, true, 0);
  map.add_memory("high", at(0x1000), 0x1000, memory->ram() + 0x8000, true, true, 0);
  map.write(at(0xffd), 8, 0x8877665544332211);
  EXPECT_EQ(map.read(at(0xffd), 8), 0x8877665544332211u);
  EXPECT_EQ(memory->ram()[0xfff], 0x33);
  EXPECT_EQ(memory->ram()[0x8000], 0x44);
}

TEST_F(MemoryMapTest, BlocksOfBytesCrossEverything) {
  add_ram();
  map.add_mmio("regs", at(0x2000), 0x10, registers, 0);
  std::vector<u8> pattern(0x1000);
  std::iota(pattern.begin(), pattern.end(), u8{1});
  map.write_bytes(at(0x1ff4), pattern);
  // Registers get the widest aligned pieces, lowest first.
  ASSERT_EQ(registers.seen.size(), 2u);
  EXPECT_EQ(registers.seen[0], (Access{true, 0, 0, 8, 0x14131211100f0e0d}));
  EXPECT_EQ(registers.seen[1], (Access{true, 0, 8, 8, 0x1c1b1a1918171615}));
  std::vector<u8> back(0x1000);
  map.read_bytes(at(0x1ff4), back);
  EXPECT_TRUE(std::equal(back.begin(), back.begin() + 12, pattern.begin()));
  EXPECT_TRUE(std::equal(back.begin() + 28, back.end(), pattern.begin() + 28));
  EXPECT_EQ(back[12], 0x11);
  EXPECT_EQ(back[19], 0x88);
}

TEST_F(MemoryMapTest, UnalignedBlocksSplitRegisterAccessesAtTheirAlignment) {
  map.add_mmio("regs", at(0x2000), 0x1000, registers, 0);
  std::array<u8, 7> bytes{};
  map.read_bytes(at(0x2001), bytes);
  std::vector<std::pair<u64, unsigned>> pieces;
  for (const Access& access : registers.seen) pieces.emplace_back(access.offset, access.size);
  EXPECT_EQ(pieces, (std::vector<std::pair<u64, unsigned>>{{1, 1}, {2, 2}, {4, 4}}));
}

TEST_F(MemoryMapTest, BlocksReachingIntoNothingReadOnes) {
  add_ram();
  std::array<u8, 32> bytes{};
  map.read_bytes(at(kRamBytes - 8), bytes);
  EXPECT_EQ(bytes[7], 0);
  for (std::size_t i = 8; i < bytes.size(); ++i) EXPECT_EQ(bytes[i], 0xff);
  map.write_bytes(at(kRamBytes - 8), bytes);  // the rest is dropped
}

TEST_F(MemoryMapTest, LoadsAndStoresDescriptors) {
  add_ram();
  struct Descriptor {
    u64 address;
    u32 length;
    u16 flags, next;
  };
  map.store(at(0x1ffa), Descriptor{0x1122334455667788, 99, 1, 2});
  const auto back = map.load<Descriptor>(at(0x1ffa));
  EXPECT_EQ(back.address, 0x1122334455667788u);
  EXPECT_EQ(back.length, 99u);
  EXPECT_EQ(back.next, 2);
}

TEST_F(MemoryMapTest, WritesMarkPagesDirtyAndTellTheCodeListener) {
  struct Listener : CodeWriteListener {
    std::vector<std::pair<u64, u64>> seen;
    void code_written(u64 offset, u64 length) override { seen.emplace_back(offset, length); }
  } listener;
  memory->set_code_listener(&listener);
  // The same pool page seen at another physical address: code is keyed by pool offset.
  map.add_memory("alias", at(0x100000), 0x2000, memory->ram() + 0x3000, true, true, 0);
  memory->mark_code(3);
  map.write(at(0x100ff0), 4, 1);
  EXPECT_EQ(listener.seen, (std::vector<std::pair<u64, u64>>{{0x3ff0, 4}}));
  listener.seen.clear();
  map.write_bytes(at(0x100ffe), std::array<u8, 8>{});
  EXPECT_EQ(listener.seen, (std::vector<std::pair<u64, u64>>{{0x3ffe, 2}}));
  EXPECT_TRUE(memory->flags(3) & kPageDirty);
  EXPECT_TRUE(memory->flags(4) & kPageDirty);
  EXPECT_FALSE(memory->flags(5) & kPageDirty);
}

TEST_F(MemoryMapTest, GenerationTellsOfEveryChangeOfTheLayout) {
  u64 last = map.generation();
  const auto changed = [&] {
    const bool result = map.generation() != last;
    last = map.generation();
    return result;
  };
  add_ram();
  EXPECT_TRUE(changed());
  const RangeId bar = map.add_mmio("bar", at(0x10000), 0x1000, registers, 0);
  EXPECT_TRUE(changed());
  map.move(bar, at(0x20000));
  EXPECT_TRUE(changed());
  map.move(bar, at(0x20000));
  EXPECT_FALSE(changed()) << "nothing moved";
  map.set_enabled(bar, false);
  EXPECT_TRUE(changed());
  const RangeId pam = map.add_memory("pam", at(0x1000), 0x1000, memory->ram(), false, false,
                                     MemoryMap::kPriorityShadow);
  changed();
  map.set_access(pam, true, false);
  EXPECT_TRUE(changed());
  (void)map.read(at(0x1000), 4);
  map.write(at(0x3000), 4, 0);
  EXPECT_FALSE(changed());
}

TEST_F(MemoryMapTest, SectionsAreSortedDisjointAndNamed) {
  add_ram();
  map.add_mmio("hole", at(0xa0000), 0x20000, registers, 0);
  map.add_mmio("apic", at(0xfee00000), 0x1000, registers, 0);
  std::vector<std::string> names;
  u64 next = 0;
  for (const MemoryMap::Section& section : map.sections()) {
    EXPECT_GE(section.first, next);
    EXPECT_GE(section.last, section.first);
    next = section.last + 1;
    names.push_back(section.name);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"ram", "hole", "ram", "apic"}));
}

TEST_F(MemoryMapTest, AHandlerMayChangeTheMapUnderItself) {
  struct Remapper : MmioHandler {
    MemoryMap* map = nullptr;
    RangeId own = 0;
    u64 mmio_read(unsigned, u64, unsigned) override { return 0; }
    void mmio_write(unsigned, u64, unsigned, u64) override { map->set_enabled(own, false); }
  } remapper;
  add_ram();
  remapper.map = &map;
  remapper.own = map.add_mmio("self", at(0x2000), 0x1000, remapper, 0);
  map.write(at(0x2000), 4, 0);
  map.write(at(0x2000), 4, 0x99);
  EXPECT_EQ(map.read(at(0x2000), 4), 0x99u);
}

}  // namespace
}  // namespace dragoman
