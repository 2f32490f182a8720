#include "memory/shadow_table.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace dragoman {
namespace {

struct ShadowTableTest : testing::Test {
  std::unique_ptr<ShadowTable> table = std::make_unique<ShadowTable>();
  std::vector<u8> host = std::vector<u8>(8 * kPageSize);

  u64 delta(u64 page, u64 host_page) const {
    return reinterpret_cast<u64>(host.data()) + host_page * kPageSize - (page << kPageShift);
  }
  ShadowTable::Entry& fill(u64 page, u64 host_page, bool global = false) {
    ShadowTable::Entry& entry = table->claim(page, delta(page, host_page), global);
    entry.read = entry.write = page << kPageShift;
    table->add_fetch(page, delta(page, host_page), global);
    return entry;
  }
  bool readable(u64 page) { return table->entry(page).readable(page << kPageShift, 8); }
  bool writable(u64 page) { return table->entry(page).writable(page << kPageShift, 8); }
  bool fetchable(u64 page) { return table->fetch(page) != nullptr; }
};

TEST_F(ShadowTableTest, StartsEmpty) {
  for (u64 page : {u64{0}, u64{1}, ShadowTable::kEntries, u64{0xfffffffffffff}}) {
    EXPECT_FALSE(readable(page));
    EXPECT_FALSE(writable(page));
    EXPECT_FALSE(fetchable(page));
    EXPECT_FALSE(table->entry(page).readable((page << kPageShift) + kPageMask, 1));
  }
}

TEST_F(ShadowTableTest, AnAccessMustEndInItsPage) {
  const ShadowTable::Entry& entry = fill(6, 0);
  EXPECT_TRUE(entry.readable(6 * kPageSize + kPageSize - 8, 8));
  EXPECT_FALSE(entry.readable(6 * kPageSize + kPageSize - 7, 8));
  EXPECT_FALSE(entry.writable(6 * kPageSize + kPageSize - 1, 2));
  EXPECT_FALSE(entry.readable(6 * kPageSize - 1, 1));
}

TEST_F(ShadowTableTest, AFreshClaimGrantsNothing) {
  table->claim(5, delta(5, 0), false);
  EXPECT_FALSE(readable(5));
  EXPECT_FALSE(writable(5));
  EXPECT_FALSE(fetchable(5));
}

TEST_F(ShadowTableTest, ClaimsOfTheSamePageAddPermissions) {
  table->claim(5, delta(5, 0), false).read = u64{5} << kPageShift;
  table->claim(5, delta(5, 0), false).write = u64{5} << kPageShift;
  EXPECT_TRUE(readable(5));
  EXPECT_TRUE(writable(5));
}

TEST_F(ShadowTableTest, AMovedPageLosesItsOldPermissions) {
  fill(5, 0);
  table->claim(5, delta(5, 1), false).read = u64{5} << kPageShift;
  EXPECT_TRUE(readable(5));
  EXPECT_FALSE(writable(5));
  EXPECT_EQ(table->entry(5).delta, delta(5, 1));
}

TEST_F(ShadowTableTest, PagesOfOneSlotDoNotAnswerForEachOther) {
  const u64 other = 5 + 3 * ShadowTable::kEntries;
  fill(5, 0);
  EXPECT_FALSE(readable(other));
  // Same delta as before: still another page.
  table->claim(other, delta(5, 0), false).read = other << kPageShift;
  EXPECT_TRUE(readable(other));
  EXPECT_FALSE(readable(5));
  EXPECT_FALSE(writable(5));
  EXPECT_FALSE(writable(other));
}

TEST_F(ShadowTableTest, FlushKeepsGlobalPagesUnlessTold) {
  fill(1, 0);
  fill(2, 1, /*global=*/true);
  table->flush(/*global_too=*/false);
  EXPECT_FALSE(readable(1));
  EXPECT_TRUE(readable(2));
  table->flush(/*global_too=*/true);
  EXPECT_FALSE(readable(2));
}

TEST_F(ShadowTableTest, EveryFillAfterAFlushIsFlushedAgain) {
  for (int round = 0; round < 3; ++round) {
    for (u64 page = 0; page < ShadowTable::kEntries; ++page) fill(page, page % 8, page % 3 == 0);
    table->flush(round == 1);
    for (u64 page = 0; page < ShadowTable::kEntries; ++page) {
      ASSERT_EQ(readable(page), round != 1 && page % 3 == 0) << round << " " << page;
    }
  }
}

TEST_F(ShadowTableTest, ASlotTakenOverFromAGlobalPageIsNoLongerGlobal) {
  fill(7, 0, /*global=*/true);
  fill(7 + ShadowTable::kEntries, 1, /*global=*/false);
  table->flush(/*global_too=*/false);
  EXPECT_FALSE(readable(7 + ShadowTable::kEntries));
}

TEST_F(ShadowTableTest, FlushPageTakesThatPageOnly) {
  fill(3, 0, /*global=*/true);
  fill(4, 1);
  table->flush_page(4 + ShadowTable::kEntries);  // same slot, another page
  EXPECT_TRUE(readable(4));
  table->flush_page(3);
  EXPECT_FALSE(readable(3));
  EXPECT_TRUE(readable(4));
  fill(3, 2);
  table->flush(true);
  EXPECT_FALSE(readable(3));
}

TEST_F(ShadowTableTest, FlushPageSeesEveryKindOfPermission) {
  table->add_fetch(9, delta(9, 0), false);
  EXPECT_TRUE(fetchable(9));
  table->flush_page(9);
  EXPECT_FALSE(fetchable(9));
}

TEST_F(ShadowTableTest, DropWritesTakesWritePermissionByHostAddress) {
  fill(0x10, 0);
  fill(0x20, 1);
  fill(0x30, 2);
  fill(0xfffff80000041, 1);  // a second view of host page 1
  table->drop_writes(host.data() + kPageSize, kPageSize);
  EXPECT_TRUE(writable(0x10));
  EXPECT_FALSE(writable(0x20));
  EXPECT_FALSE(writable(0xfffff80000041));
  EXPECT_TRUE(writable(0x30));
  EXPECT_TRUE(readable(0x20));
  EXPECT_TRUE(fetchable(0x20));
}

}  // namespace
}  // namespace dragoman
