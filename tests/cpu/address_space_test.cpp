// Several address spaces kept at once: PCIDs and what drops their translations (SDM vol. 3, 4.10),
// and the identity of fetch translations.
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <set>

#include "tests/cpu/event_machine.h"

namespace dragoman {

class CpuTester {
 public:
  static void use_up_contexts(Cpu& cpu) {
    cpu.spaces_->next_context_ = AddressSpaces::kLastContext;
  }
};

namespace {

/// 64-bit mode with PCIDs. Every space maps the first 4 MiB one to one and has pages of its own at
/// kLinear. Physical page n from kPhysical on holds `mov al, n; hlt`.
class AddressSpaceTest : public ::testing::Test {
 protected:
  static constexpr u64 kLinear = 0x400000, kPhysical = 0x200000, kTables = 0x100000;
  static constexpr u64 kGlobal = 0x100, kUser = 4, kWritable = 2;
  static constexpr u32 kMovCr3 = 0x10000, kInvlpg = 0x10010, kInvpcid = 0x10020, kMovCr4 = 0x10030;
  static constexpr unsigned kSpaces = 14;

  AddressSpaceTest() {
    m.long_mode(0);
    m.code(kMovCr3, {0x0f, 0x22, 0xd8});               // mov cr3, rax
    m.code(kInvlpg, {0x0f, 0x01, 0x38});               // invlpg [rax]
    m.code(kInvpcid, {0x66, 0x0f, 0x38, 0x82, 0x0f});  // invpcid rcx, [rdi]
    m.code(kMovCr4, {0x0f, 0x22, 0xe0});               // mov cr4, rax
    for (unsigned n = 0; n < 256; ++n) {
      m.code(kPhysical + n * kPageSize, {0xb0, static_cast<int>(n), 0xf4});
    }
    for (unsigned space = 0; space < kSpaces; ++space) {
      const u64 root = root_of(space);
      m.put<u64>(root, (root + 0x1000) | 7);
      m.put<u64>(root + 0x1000, (root + 0x2000) | 7);
      m.put<u64>(root + 0x2000, 0x000000 | 0x187);  // global 2 MiB pages, as a kernel has them
      m.put<u64>(root + 0x2008, 0x200000 | 0x187);
      m.put<u64>(root + 0x2010, (root + 0x3000) | 7);
    }
    m.state().cr3 = root_of(0);
    m.state().cr4 |= kCr4Pge | kCr4Pcide;
    m.state().cr0 |= kCr0Wp;
    m.cpu->state_replaced();
  }

  static u64 root_of(unsigned space) { return kTables + space * 0x4000; }
  static u64 linear(unsigned page) { return kLinear + page * kPageSize; }
  void map(unsigned space, unsigned page, unsigned n, u64 bits = kWritable) {
    m.put<u64>(root_of(space) + 0x3000 + 8 * page, (kPhysical + n * kPageSize) | bits | kUser | 1);
  }
  void map_everywhere(unsigned page, unsigned n, u64 bits) {
    for (unsigned space = 0; space < kSpaces; ++space) map(space, page, n, bits);
  }

  /// True when the instruction at `rip` was executed without a fault.
  bool step(u32 rip) {
    m.state().rip() = rip;
    (void)m.cpu->run(1);
    return m.state().rip() > rip && m.state().rip() < rip + 8;
  }
  bool load_cr3(u64 value) {
    m.reg(kRax) = value;
    return step(kMovCr3);
  }
  /// The space's tables under the PCID of the same number.
  void enter(unsigned space, bool keep) {
    ASSERT_TRUE(load_cr3(root_of(space) | space | (keep ? bit(63) : 0)));
    ASSERT_EQ(m.state().cr3, root_of(space) | space);
  }
  void invlpg(u64 address) {
    m.reg(kRax) = address;
    ASSERT_TRUE(step(kInvlpg));
  }
  bool invpcid(u64 type, u64 pcid, u64 address) {
    m.put<u64>(0x18000, pcid);
    m.put<u64>(0x18008, address);
    m.reg(kRcx) = type;
    m.reg(kRdi) = 0x18000;
    return step(kInvpcid);
  }
  // Programs look and run in user mode, whose translations are kept for every PCID. The
  // supervisor's are one set, in which only global pages outlive a change of CR3.
  template <class Action>
  auto as_user(Action&& action) {
    m.state().cpl = 3;
    m.cpu->update_mode();
    const auto result = action();
    m.state().cpl = 0;
    m.cpu->update_mode();
    return result;
  }
  /// What a read of the page finds, -1 for a fault.
  int look(unsigned page) {
    return as_user([&] { return look_here(page); });
  }
  int look_here(unsigned page) {
    u8 value = 0;
    if (m.cpu->read_linear(linear(page) + 1, value)) return value;
    m.cpu->clear_fault();
    return -1;
  }
  /// What its code does.
  int execute(unsigned page) {
    return as_user([&] { return execute_here(page); });
  }
  int execute_here(unsigned page) {
    m.reg(kRax) = 0xff;
    m.state().rip() = linear(page);
    (void)m.cpu->run(1);
    return static_cast<u8>(m.reg(kRax));
  }
  u64 context() {
    return as_user([&] { return m.cpu->fetch_context(); });
  }

  EventMachine m;
};

// --- PCIDs ---------------------------------------------------------------------------------------

TEST_F(AddressSpaceTest, ASwitchWithoutFlushKeepsTranslations) {
  map(1, 0, 1);
  map(2, 0, 2);
  enter(1, false);
  EXPECT_EQ(look(0), 1);
  EXPECT_EQ(execute(0), 1);
  enter(2, false);
  EXPECT_EQ(look(0), 2);
  EXPECT_EQ(execute(0), 2);
  map(1, 0, 11);
  map(2, 0, 12);
  enter(1, true);
  EXPECT_EQ(look(0), 1);  // stale, which the guest asked for
  EXPECT_EQ(execute(0), 1);
  enter(2, true);
  EXPECT_EQ(look(0), 2);
  EXPECT_EQ(execute(0), 2);
  enter(1, false);
  EXPECT_EQ(look(0), 11);
  EXPECT_EQ(execute(0), 11);
  enter(2, true);  // of its own PCID only
  EXPECT_EQ(look(0), 2);
  enter(2, false);
  EXPECT_EQ(look(0), 12);
  EXPECT_EQ(execute(0), 12);
}

TEST_F(AddressSpaceTest, WithoutPcidsEveryCr3WriteFlushes) {
  m.state().cr4 &= ~u64{kCr4Pcide};
  m.cpu->state_replaced();
  map(1, 0, 1);
  map(1, 1, 2, kGlobal);
  ASSERT_TRUE(load_cr3(root_of(1) | 0x18));  // PWT and PCD
  EXPECT_EQ(look(0), 1);
  EXPECT_EQ(look(1), 2);
  map(1, 0, 3);
  map(1, 1, 4, kGlobal);
  ASSERT_TRUE(load_cr3(root_of(1)));
  EXPECT_EQ(look(0), 3);
  EXPECT_EQ(look(1), 2);
  EXPECT_FALSE(load_cr3(root_of(1) | bit(63)));
}

TEST_F(AddressSpaceTest, GlobalPagesSurviveUntilSomeSpaceDropsThem) {
  for (int how = 0; how < 3; ++how) {
    map_everywhere(0, 1, kGlobal);
    enter(1, false);
    invlpg(linear(0));
    EXPECT_EQ(look(0), 1);
    EXPECT_EQ(execute(0), 1);
    map_everywhere(0, 2, kGlobal);
    enter(2, false);
    enter(1, false);
    EXPECT_EQ(look(0), 1);
    EXPECT_EQ(execute(0), 1);
    enter(2, true);
    if (how == 0) {
      invlpg(linear(0));
    } else if (how == 1) {
      ASSERT_TRUE(invpcid(2, 0, 0));
    } else {
      for (const u64 flip : {u64{kCr4Pge}, u64{kCr4Pge}}) {
        m.reg(kRax) = m.state().cr4 ^ flip;
        ASSERT_TRUE(step(kMovCr4));
      }
    }
    enter(1, true);
    EXPECT_EQ(look(0), 2) << how;
    EXPECT_EQ(execute(0), 2) << how;
  }
}

TEST_F(AddressSpaceTest, InvpcidDropsWhatItSays) {
  // Pages 0 and 1 are private, 2 is global. 1 means dropped; what need not go is expected to stay.
  struct Case {
    u64 type;
    int first, second, global, other_space;
  };
  static constexpr Case kCases[] = {
      {0, 1, 0, 0, 0}, {1, 1, 1, 0, 0}, {2, 1, 1, 1, 1}, {3, 1, 1, 0, 1}};
  for (const Case& c : kCases) {
    for (const unsigned current : {1u, 3u}) {
      ASSERT_TRUE(invpcid(2, 0, 0));
      map(1, 0, 10);
      map(1, 1, 20);
      map_everywhere(2, 30, kGlobal);
      map(2, 0, 40);
      enter(1, false);
      EXPECT_EQ(look(0) + look(1) + look(2), 60);
      EXPECT_EQ(execute(0) + execute(1) + execute(2), 60);
      enter(2, false);
      EXPECT_EQ(look(0), 40);
      map(1, 0, 11);
      map(1, 1, 21);
      map_everywhere(2, 31, kGlobal);
      map(2, 0, 41);
      enter(current, true);
      ASSERT_TRUE(invpcid(c.type, 1, linear(0)));
      enter(1, true);
      EXPECT_EQ(look(0), 10 + c.first) << c.type;
      EXPECT_EQ(execute(0), 10 + c.first) << c.type;
      EXPECT_EQ(look(1), 20 + c.second) << c.type;
      EXPECT_EQ(execute(1), 20 + c.second) << c.type;
      EXPECT_EQ(look(2), 30 + c.global) << c.type;
      EXPECT_EQ(execute(2), 30 + c.global) << c.type;
      enter(2, true);
      EXPECT_EQ(look(0), 40 + c.other_space) << c.type;
    }
  }
}

TEST_F(AddressSpaceTest, FaultsOfPcidsAndInvpcid) {
  EXPECT_TRUE(invpcid(0, 0xfff, linear(0)));
  EXPECT_TRUE(invpcid(1, 0xfff, bit(47)));
  EXPECT_FALSE(invpcid(0, 1, bit(47)));  // not canonical
  EXPECT_FALSE(invpcid(4, 0, 0));
  EXPECT_FALSE(invpcid(bit(32), 0, 0));  // all 64 bits of the register count
  for (const u64 type : {0, 1, 2, 3}) EXPECT_FALSE(invpcid(type, 0x1000, 0));
  EXPECT_FALSE(load_cr3(root_of(0) | bit(m.model.physical_bits)));
  EXPECT_FALSE(load_cr3(root_of(0) | bit(62)));
  EXPECT_TRUE(load_cr3(root_of(0) | 0xfff | bit(63)));

  // PCIDE is cleared whatever the PCID is, and set with PCID 0 only.
  const u64 cr4 = m.state().cr4;
  m.reg(kRax) = cr4 & ~u64{kCr4Pcide};
  EXPECT_TRUE(step(kMovCr4));
  m.reg(kRax) = cr4;
  EXPECT_FALSE(step(kMovCr4));
  EXPECT_FALSE(invpcid(0, 1, linear(0)));
  EXPECT_FALSE(invpcid(1, 1, 0));
  EXPECT_TRUE(invpcid(0, 0, linear(0)));
  EXPECT_TRUE(load_cr3(root_of(0)));
  m.reg(kRax) = cr4;
  EXPECT_TRUE(step(kMovCr4));
}

TEST_F(AddressSpaceTest, ClearingPcideFlushesEverything) {
  map(0, 0, 1);
  map(1, 0, 2);
  map(1, 1, 3, kGlobal);
  enter(1, false);
  EXPECT_EQ(look(0) + look(1), 5);
  enter(0, false);
  EXPECT_EQ(look(0), 1);
  map(0, 0, 11);
  map(1, 0, 12);
  map(1, 1, 13, kGlobal);
  const u64 cr4 = m.state().cr4;
  for (const u64 value : {cr4 & ~u64{kCr4Pcide}, cr4}) {
    m.reg(kRax) = value;
    ASSERT_TRUE(step(kMovCr4));
  }
  EXPECT_EQ(look(0), 11);
  enter(1, true);
  EXPECT_EQ(look(0), 12);
  EXPECT_EQ(look(1), 13);
}

TEST_F(AddressSpaceTest, APageFaultDropsWhatWasCachedForItsAddress) {
  map(1, 0, 1, 0);
  enter(1, false);
  EXPECT_EQ(look(0), 1);
  map(1, 0, 2, 0);
  EXPECT_EQ(look(0), 1);
  EXPECT_FALSE(m.cpu->write_linear<u8>(linear(0) + 8, 0));  // read-only
  EXPECT_EQ(m.cpu->fault().vector, kVectorPf);
  m.cpu->clear_fault();
  EXPECT_EQ(look(0), 2);
}

TEST_F(AddressSpaceTest, CodeIsSeenWrittenFromAnotherSpace) {
  map(1, 0, 1);
  map(2, 5, 1);
  enter(1, false);
  EXPECT_EQ(look(0), 1);
  ASSERT_TRUE(m.cpu->write_linear<u8>(linear(0) + 1, 7));  // a write entry of space 1
  enter(2, false);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(execute(5), 7);
  enter(1, true);
  ASSERT_TRUE(m.cpu->write_linear<u8>(linear(0) + 1, 9));
  enter(2, true);
  EXPECT_EQ(execute(5), 9);
}

TEST_F(AddressSpaceTest, DirtyTrackingReachesTheSpacesNotInUse) {
  map(1, 0, 1);
  const u64 page = m.memory->offset_of(m.memory->ram() + kPhysical + kPageSize) >> kPageShift;
  m.memory->track(page, 1);
  enter(1, false);
  ASSERT_TRUE(m.cpu->write_linear<u8>(linear(0) + 8, 1));
  enter(2, false);
  EXPECT_TRUE(m.memory->take_dirty(page));
  EXPECT_FALSE(m.memory->take_dirty(page));
  enter(1, true);
  ASSERT_TRUE(m.cpu->write_linear<u8>(linear(0) + 8, 2));
  EXPECT_TRUE(m.memory->take_dirty(page));
}

/// Random switches, changes and invalidations over more spaces than are kept. Every read and fetch
/// finds a mapping that was there since the last invalidation that the manual promises.
TEST_F(AddressSpaceTest, NothingStaleAfterWhatMustDropIt) {
  constexpr unsigned kPages = 6;  // the upper two are global
  const auto global = [](unsigned page) { return page >= 4; };
  std::array<std::array<std::set<int>, kPages>, kSpaces> seen;
  std::array<std::array<int, kPages>, kSpaces> now{};
  std::mt19937 random(4);
  const auto pick = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  const auto settle = [&](unsigned space, unsigned page) {
    seen[space][page] = {now[space][page]};
  };
  const auto set = [&](unsigned space, unsigned page, unsigned n) {
    map(space, page, n, kWritable | (global(page) ? kGlobal : 0));
    now[space][page] = static_cast<int>(n);
    seen[space][page].insert(static_cast<int>(n));
  };
  const auto settle_space = [&](unsigned space) {
    for (unsigned page = 0; page < 4; ++page) settle(space, page);
  };
  const auto settle_global = [&](unsigned page) {
    for (unsigned space = 0; space < kSpaces; ++space) settle(space, page);
  };
  for (unsigned space = 0; space < kSpaces; ++space) {
    for (unsigned page = 0; page < kPages; ++page) set(space, page, global(page) ? page : space);
  }
  unsigned current = 0;
  unsigned stale = 0;
  for (int i = 0; i < 40000; ++i) {
    const unsigned space = pick(kSpaces), page = pick(kPages);
    switch (pick(16)) {
      case 0:
      case 1:
      case 2: {
        const unsigned n = pick(250);
        if (!global(page)) {
          set(space, page, n);
        } else {
          for (unsigned s = 0; s < kSpaces; ++s) set(s, page, n);
        }
        break;
      }
      case 3:
      case 4:
      case 5: {
        const unsigned to = pick(2) ? space : pick(4);  // some more often than others
        const bool keep = pick(4) != 0;
        enter(to, keep);
        current = to;
        if (!keep) settle_space(to);
        break;
      }
      case 6: {
        for (unsigned n = pick(10) == 0 ? 100 : 1; n != 0; --n) invlpg(linear(page));
        if (global(page)) {
          settle_global(page);
        } else {
          settle(current, page);
        }
        break;
      }
      case 7: {
        const unsigned type = pick(20) == 0 ? 2 : pick(20) == 0 ? 3 : pick(2);
        ASSERT_TRUE(invpcid(type, space, linear(page)));
        if (type == 0 && !global(page)) settle(space, page);
        if (type == 1) settle_space(space);
        if (type >= 2) {
          for (unsigned s = 0; s < kSpaces; ++s) settle_space(s);
        }
        if (type == 2) {
          settle_global(4);
          settle_global(5);
        }
        break;
      }
      default: {
        const int got = pick(2) ? look(page) : execute(page);
        ASSERT_TRUE(seen[current][page].contains(got))
            << "step " << i << " space " << current << " page " << page << " found " << got;
        stale += got != now[current][page];
      }
    }
  }
  EXPECT_GT(stale, 100u);  // or nothing was kept at all
}

TEST_F(AddressSpaceTest, TheSupervisorKeepsOnlyGlobalPages) {
  map(1, 0, 1);
  map(2, 0, 2);
  map_everywhere(1, 3, kWritable | kGlobal);
  enter(1, false);
  EXPECT_EQ(look_here(0), 1);
  EXPECT_EQ(look_here(1), 3);
  EXPECT_EQ(execute_here(1), 3);
  const u64 id = m.cpu->fetch_context();
  enter(2, true);
  EXPECT_EQ(look_here(0), 2);  // not what the other space has there
  EXPECT_EQ(m.cpu->fetch_context(), id);
  map_everywhere(1, 4, kWritable | kGlobal);
  EXPECT_EQ(look_here(1), 3);  // stale
  EXPECT_EQ(execute_here(1), 3);
  invlpg(linear(1));
  EXPECT_EQ(look_here(1), 4);
  EXPECT_EQ(execute_here(1), 4);
  EXPECT_NE(m.cpu->fetch_context(), id);
  // Code that is not global: the identity goes with the space.
  EXPECT_EQ(execute_here(0), 2);
  const u64 local = m.cpu->fetch_context();
  enter(1, true);
  EXPECT_NE(m.cpu->fetch_context(), local);
  EXPECT_EQ(execute_here(0), 1);
}

// --- Identity of fetches -------------------------------------------------------------------------

TEST_F(AddressSpaceTest, FetchContextComesBackWithTheSpace) {
  for (unsigned space = 1; space < 4; ++space) map(space, 0, space);
  std::array<u64, 4> ids{};
  for (unsigned space = 1; space < 4; ++space) {
    enter(space, false);
    EXPECT_EQ(execute(0), static_cast<int>(space));
    ids[space] = context();
    EXPECT_NE(ids[space], 0u);
    EXPECT_NE(ids[space], ids[space - 1]);
  }
  EXPECT_NE(ids[1], ids[3]);
  for (unsigned space = 1; space < 4; ++space) {
    enter(space, true);
    EXPECT_EQ(context(), ids[space]);
  }
  enter(1, false);
  EXPECT_NE(context(), ids[1]);
  enter(2, true);
  EXPECT_EQ(context(), ids[2]);
  ASSERT_TRUE(invpcid(1, 3, 0));
  EXPECT_EQ(context(), ids[2]);
  enter(3, true);
  EXPECT_NE(context(), ids[3]);
  enter(2, true);
  ASSERT_TRUE(invpcid(3, 0, 0));
  EXPECT_NE(context(), ids[2]);
}

TEST_F(AddressSpaceTest, OnlyPagesThatWereExecutedChangeTheFetchContext) {
  map(1, 0, 1);
  map(1, 1, 2);
  enter(1, false);
  EXPECT_EQ(execute(0), 1);
  EXPECT_EQ(look(1), 2);
  u64 id = context();
  invlpg(linear(1));
  invlpg(linear(77));
  EXPECT_EQ(context(), id);
  invlpg(linear(0));
  EXPECT_NE(context(), id);

  // Executed again from what is still cached: the new context has to know of it.
  EXPECT_EQ(execute(0), 1);
  EXPECT_EQ(execute(1), 2);
  id = context();
  invlpg(linear(0));
  EXPECT_NE(context(), id);
  id = context();
  EXPECT_EQ(execute(1), 2);
  EXPECT_EQ(context(), id);
  map(1, 1, 3);
  invlpg(linear(1));
  EXPECT_NE(context(), id);
  EXPECT_EQ(execute(1), 3);
}

TEST_F(AddressSpaceTest, PagesWhoseFetchEntryWasReplacedStillCountAsExecuted) {
  map(1, 0, 1);
  enter(1, false);
  EXPECT_EQ(execute_here(0), 1);
  m.code(0, {0xb0, 9, 0xf4});  // a page with the same low bits
  m.state().rip() = 0;
  (void)m.cpu->run(1);
  EXPECT_EQ(static_cast<u8>(m.reg(kRax)), 9);
  const u64 id = m.cpu->fetch_context();
  map(1, 0, 2);
  invlpg(linear(0));
  EXPECT_NE(m.cpu->fetch_context(), id);
  EXPECT_EQ(execute_here(0), 2);
}

TEST_F(AddressSpaceTest, InvlpgInsideALargePageOfCodeChangesTheFetchContext) {
  const u64 id = m.cpu->fetch_context();
  invlpg(0x1ff000);  // the instruction itself lies in the first 2 MiB
  EXPECT_NE(m.cpu->fetch_context(), id);
}

TEST_F(AddressSpaceTest, AGlobalPageOfCodeDroppedElsewhereChangesTheFetchContext) {
  map_everywhere(0, 1, kGlobal);
  map_everywhere(1, 2, kGlobal);
  enter(1, false);
  EXPECT_EQ(execute(0), 1);
  EXPECT_EQ(look(1), 2);
  const u64 id = context();
  enter(2, false);
  invlpg(linear(1));
  enter(1, true);
  EXPECT_EQ(context(), id);
  enter(2, true);
  invlpg(linear(0));
  enter(1, true);
  EXPECT_NE(context(), id);
}

TEST_F(AddressSpaceTest, EveryModeHasItsFetchContext) {
  CpuState& s = m.state();
  std::set<u64> ids;
  std::array<u64, 8> first{};
  for (int round = 0; round < 2; ++round) {
    for (unsigned i = 0; i < 8; ++i) {
      s.cpl = i & 1 ? 3 : 0;
      s.cr0 = (s.cr0 & ~u64{kCr0Ts}) | (i & 2 ? u64{kCr0Ts} : 0);
      s.segments[kCs].attributes = static_cast<u16>(i & 4 ? 0xc09b : 0xa09b);
      m.cpu->update_mode();
      const u64 id = m.cpu->fetch_context();
      if (round == 0) {
        first[i] = id;
        EXPECT_TRUE(ids.insert(id).second);
      }
      EXPECT_EQ(id, first[i]) << i;
    }
  }
}

TEST_F(AddressSpaceTest, OutsideOf64BitModeTheCodeSegmentIsPartOfTheFetchContext) {
  m.state().efer = m.state().cr4 = 0;
  m.protected_mode(0);
  Segment& cs = m.state().segments[kCs];
  const u64 flat = m.cpu->fetch_context();
  cs.base = 0x1000;
  m.cpu->update_mode();
  const u64 based = m.cpu->fetch_context();
  EXPECT_NE(based, flat);
  cs.limit = 0xfffff;
  m.cpu->update_mode();
  EXPECT_NE(m.cpu->fetch_context(), based);
  EXPECT_NE(m.cpu->fetch_context(), flat);
  cs.base = 0;
  cs.limit = 0xffffffff;
  m.cpu->update_mode();
  EXPECT_EQ(m.cpu->fetch_context(), flat);
  // In a smaller segment the same block no longer fits.
  m.code(EventMachine::kCode0, {0x90, 0x90, 0xeb, 0xfc});
  (void)m.cpu->run(9);
  EXPECT_EQ(m.state().rip(), EventMachine::kCode0);
  cs.limit = EventMachine::kCode0;
  m.cpu->update_mode();
  (void)m.cpu->run(2);
  EXPECT_EQ(m.state().rip(), EventMachine::kHandler + 16u * kVectorGp);
}

TEST_F(AddressSpaceTest, FetchContextsThatAreUsedUpStartAnew) {
  map(1, 0, 1);
  enter(1, false);
  EXPECT_EQ(execute(0), 1);
  CpuTester::use_up_contexts(*m.cpu);
  enter(1, false);
  map(1, 0, 2);
  enter(1, false);
  EXPECT_EQ(execute(0), 2);
  EXPECT_LT(context(), 100u);
  EXPECT_NE(context(), 0u);
  map(1, 0, 3);
  enter(1, false);
  EXPECT_EQ(execute(0), 3);
}

}  // namespace
}  // namespace dragoman
