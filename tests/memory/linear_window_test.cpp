// Pages shown at a fixed distance from their linear addresses.
#include "memory/linear_window.h"

#include <gtest/gtest.h>

#include <map>

#include "memory/shadow_table.h"

namespace dragoman {
namespace {

constexpr u64 kFirst = LinearWindow::kHighFirst >> kPageShift;
using Page = LinearWindow::Page;

class WindowOfPages : public testing::Test {
 protected:
  void SetUp() override {
    window = LinearWindow::create(*memory, gate);
    if (window == nullptr) GTEST_SKIP() << "the host has no address space for a window";
    window->give_to(table.get());
  }
  static u8* host(u64 linear_page) { return reinterpret_cast<u8*>(linear_page << kPageShift); }
  /// Compares with `pages`; true when the window is open afterwards.
  bool check() {
    window->check([this](u64 page) {
      ++looked_at;
      const auto found = pages.find(page);
      return found != pages.end() ? std::optional(found->second) : std::nullopt;
    });
    return gate == table.get();
  }
  bool show(u64 linear_page, Page page, u64 count = 1, u64 page_bytes = kPageSize) {
    for (u64 i = 0; i < count; ++i)
      pages[linear_page + i] = {page.pool_page + static_cast<u32>(i), page.writable};
    return window->show(linear_page, page, count, page_bytes);
  }

  std::unique_ptr<GuestMemory> memory = GuestMemory::create(4 * kMiB).take();
  std::unique_ptr<ShadowTable> table = std::make_unique<ShadowTable>();
  const ShadowTable* gate = nullptr;
  std::unique_ptr<LinearWindow> window;
  std::map<u64, Page> pages;
  unsigned looked_at = 0;
};

TEST_F(WindowOfPages, ShowsThePool) {
  EXPECT_EQ(gate, nullptr);
  memory->ram()[0x3005] = 42;
  ASSERT_TRUE(show(kFirst + 7, {3, true}, 2));
  EXPECT_EQ(host(kFirst + 7)[5], 42);
  host(kFirst + 8)[0] = 17;
  EXPECT_EQ(memory->ram()[0x4000], 17);
  EXPECT_EQ(window->find(kFirst + 8), (Page{4, true}));
  EXPECT_EQ(window->find(kFirst + 9), std::nullopt);
  if (window->part(0x400000) == WindowPart::kLow) {
    ASSERT_TRUE(show(0x400, {3, false}));
    EXPECT_EQ(host(0x400)[5], 42);
  }
}

TEST_F(WindowOfPages, KnowsWhatItServes) {
  EXPECT_EQ(window->part(LinearWindow::kHighFirst - 1), WindowPart::kNone);
  EXPECT_EQ(window->part(LinearWindow::kHighFirst), WindowPart::kHigh);
  EXPECT_EQ(window->part(LinearWindow::kHighEnd - 1), WindowPart::kHigh);
  EXPECT_EQ(window->part(LinearWindow::kHighEnd), WindowPart::kNone);
  EXPECT_EQ(window->part(0xffff888000000000), WindowPart::kNone);
  EXPECT_NE(window->part(LinearWindow::kLowEnd), WindowPart::kLow);
  EXPECT_EQ(window->part(LinearWindow::kLowFirst - 1), WindowPart::kNone);
  EXPECT_FALSE(window->serves(WindowPart::kEither, LinearWindow::kLowEnd));
  EXPECT_FALSE(window->serves(WindowPart::kLow, LinearWindow::kHighFirst));
  EXPECT_TRUE(window->serves(WindowPart::kEither, LinearWindow::kHighFirst));
}

TEST_F(WindowOfPages, OnlyWhatIsToldIsLookedAt) {
  ASSERT_TRUE(show(kFirst, {3, true}, 3));
  EXPECT_TRUE(check());
  EXPECT_EQ(looked_at, 0u);
  table->flush_page(kFirst + 9);  // not shown
  EXPECT_EQ(gate, table.get());
  table->flush_page(kFirst + 1);
  EXPECT_EQ(gate, nullptr);
  pages.erase(kFirst + 1);
  EXPECT_TRUE(check());
  EXPECT_EQ(looked_at, 1u);
  EXPECT_EQ(window->find(kFirst + 1), std::nullopt);
  EXPECT_EQ(window->pages(), 2u);
  table->flush(false);
  EXPECT_EQ(gate, nullptr);
  EXPECT_TRUE(check());
  EXPECT_EQ(looked_at, 3u);
  EXPECT_EQ(window->pages(), 2u);
}

TEST_F(WindowOfPages, APartOfALargePageStandsForAll) {
  ASSERT_TRUE(show(kFirst, {3, true}, 3, 2 * kMiB));
  EXPECT_TRUE(check());
  table->flush_page(kFirst + 500);
  EXPECT_EQ(gate, nullptr);
  EXPECT_TRUE(check());
  EXPECT_EQ(looked_at, 3u);
}

TEST_F(WindowOfPages, ManyChangesEmptyIt) {
  for (u64 i = 0; i < 300; ++i) ASSERT_TRUE(show(kFirst + 2 * i, {static_cast<u32>(i), true}));
  pages.clear();
  table->flush(true);
  EXPECT_TRUE(check());
  EXPECT_EQ(window->pages(), 0u);
}

TEST_F(WindowOfPages, WritesAreAskedForAgain) {
  ASSERT_TRUE(show(kFirst, {3, true}));
  ASSERT_TRUE(show(kFirst + 5, {3, true}));
  ASSERT_TRUE(show(kFirst + 6, {9, true}));
  table->drop_writes(memory->ram() + 0x3000, kPageSize);
  EXPECT_EQ(window->find(kFirst), (Page{3, false}));
  EXPECT_EQ(window->find(kFirst + 5), (Page{3, false}));
  EXPECT_EQ(window->find(kFirst + 6), (Page{9, true}));
  EXPECT_EXIT(*const_cast<volatile u8*>(host(kFirst)) = 1, testing::KilledBySignal(SIGSEGV), "");
  ASSERT_TRUE(show(kFirst, {3, true}));
  host(kFirst)[0] = 1;
}

TEST_F(WindowOfPages, HasOneOwner) {
  ASSERT_TRUE(show(kFirst, {3, true}));
  EXPECT_TRUE(check());
  ShadowTable& other = *std::make_unique<ShadowTable>().release();
  window->give_to(&other);
  EXPECT_EQ(gate, nullptr);
  EXPECT_EQ(window->pages(), 0u);
  table->flush(true);  // it is not told any more
  window->give_to(nullptr);
  delete &other;
}

}  // namespace
}  // namespace dragoman
