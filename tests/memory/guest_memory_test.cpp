#include "memory/guest_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace dragoman {
namespace {

using Calls = std::vector<std::pair<u64, u64>>;

struct CodeWrites : CodeWriteListener {
  Calls seen;
  void code_written(u64 offset, u64 length) override { seen.emplace_back(offset, length); }
};
struct DroppedPointers : WriteCacheListener {
  Calls seen;
  void drop_write_pointers(u64 first_page, u64 count) override {
    seen.emplace_back(first_page, count);
  }
};

struct GuestMemoryTest : testing::Test {
  std::unique_ptr<GuestMemory> memory = GuestMemory::create(1 * kMiB).take();
  CodeWrites code;
  DroppedPointers cache, second_cache;

  void SetUp() override {
    memory->set_code_listener(&code);
    memory->add_write_cache(&cache);
    memory->add_write_cache(&second_cache);
  }
};

TEST_F(GuestMemoryTest, RamIsZeroedAndAtTheStartOfThePool) {
  EXPECT_EQ(memory->ram_size(), kMiB);
  EXPECT_EQ(memory->offset_of(memory->ram()), 0u);
  const auto ram = memory->ram_span();
  EXPECT_TRUE(std::all_of(ram.begin(), ram.end(), [](u8 byte) { return byte == 0; }));
}

TEST_F(GuestMemoryTest, BlocksFollowRamPageAlignedAndApart) {
  u8* first = memory->allocate(100);
  u8* second = memory->allocate(2 * kPageSize);
  EXPECT_GE(memory->offset_of(first), memory->ram_size());
  EXPECT_EQ(memory->offset_of(first) % kPageSize, 0u);
  EXPECT_GE(memory->offset_of(second), memory->offset_of(first) + kPageSize);
  EXPECT_EQ(memory->offset_of(second) % kPageSize, 0u);
  EXPECT_TRUE(memory->contains(second + 2 * kPageSize - 1));
  EXPECT_EQ(first[0], 0);
  second[0] = 1;
  int elsewhere = 0;
  EXPECT_FALSE(memory->contains(reinterpret_cast<u8*>(&elsewhere)));
}

TEST_F(GuestMemoryTest, RefusedSizesAreAnErrorWithARemedy) {
  const auto huge = GuestMemory::create(u64{1} << 62);
  ASSERT_FALSE(huge.ok());
  EXPECT_NE(huge.error().message.find("-m"), std::string::npos);
}

TEST_F(GuestMemoryTest, WritesSetTheDirtyFlagOfEveryPageTouched) {
  memory->note_write(3 * kPageSize - 1, kPageSize + 2);  // pages 2, 3, 4
  for (u64 page = 0; page < 8; ++page) {
    EXPECT_EQ((memory->flags(page) & kPageDirty) != 0, page >= 2 && page <= 4) << page;
  }
  EXPECT_TRUE(code.seen.empty());
}

TEST_F(GuestMemoryTest, CodeListenerHearsPieceByPieceAndOnlyOfCodePages) {
  memory->mark_code(2);
  memory->mark_code(4);
  memory->note_write(3 * kPageSize - 5, kPageSize + 10);
  EXPECT_EQ(code.seen, (Calls{{3 * kPageSize - 5, 5}, {4 * kPageSize, 5}}));
  code.seen.clear();
  memory->clear_code(2);
  memory->note_write(2 * kPageSize, 4);
  EXPECT_TRUE(code.seen.empty());
}

TEST_F(GuestMemoryTest, ClearedBytesAreZeroAndNoOthers) {
  memory->set_code_listener(&code);
  memory->mark_code(2);
  std::fill_n(memory->ram(), 8 * kPageSize, u8{0x5a});
  memory->clear(kPageSize + 100, 3 * kPageSize);
  memory->clear(6 * kPageSize, 0);
  memory->clear(7 * kPageSize + 1, 2);
  for (u64 at = 0; at < 8 * kPageSize; ++at) {
    const bool cleared = (at >= kPageSize + 100 && at < 4 * kPageSize + 100) ||
                         (at > 7 * kPageSize && at <= 7 * kPageSize + 2);
    ASSERT_EQ(memory->ram()[at], cleared ? 0 : 0x5a) << at;
  }
  EXPECT_EQ(code.seen, (Calls{{2 * kPageSize, kPageSize}}));
}

TEST_F(GuestMemoryTest, ComingIntoUseChangesNoByte) {
  const auto large = GuestMemory::create(6 * kMiB + kPageSize).take();
  const u64 pages = large->ram_size() >> kPageShift;
  for (u64 page = 0; page < pages; page += 3)
    large->ram()[page << kPageShift] = static_cast<u8>(page + 1);
  for (u64 page = 0; page < pages; ++page) large->note_use(page);
  large->note_use_of(kPageSize - 1, 2 * kPageSize);
  for (u64 page = 0; page < pages; ++page)
    ASSERT_EQ(large->ram()[page << kPageShift], page % 3 == 0 ? static_cast<u8>(page + 1) : 0)
        << page;
}

TEST_F(GuestMemoryTest, EmptyWritesSayNothing) {
  memory->mark_code(0);
  memory->note_write(0, 0);
  EXPECT_TRUE(code.seen.empty());
  EXPECT_FALSE(memory->flags(0) & kPageDirty);
}

TEST_F(GuestMemoryTest, MarkingCodeDropsWritePointersOfAllCachesOnce) {
  memory->mark_code(7);
  memory->mark_code(7);
  EXPECT_EQ(cache.seen, (Calls{{7, 1}}));
  EXPECT_EQ(second_cache.seen, (Calls{{7, 1}}));
  memory->clear_code(7);
  memory->mark_code(7);  // pointers may have been cached in between
  EXPECT_EQ(cache.seen.size(), 2u);
}

TEST_F(GuestMemoryTest, TrackedPagesStartDirtyAndEachTakeArmsAgain) {
  memory->track(10, 3);
  EXPECT_EQ(cache.seen, (Calls{{10, 3}}));
  EXPECT_TRUE(memory->flags(12) & kPageTracked);
  EXPECT_FALSE(memory->flags(13) & kPageTracked);
  EXPECT_TRUE(memory->take_dirty(11));
  EXPECT_EQ(cache.seen.back(), (std::pair<u64, u64>{11, 1}));
  const std::size_t drops = cache.seen.size();
  EXPECT_FALSE(memory->take_dirty(11));
  EXPECT_EQ(cache.seen.size(), drops) << "a clean page has no cached write pointers";
  memory->note_write(11 * kPageSize + 8, 1);
  EXPECT_TRUE(memory->take_dirty(11));
  EXPECT_TRUE(memory->take_dirty(10));
}

}  // namespace
}  // namespace dragoman
