// Paging against a small model written from SDM vol. 3, chapter 4: rights, error codes, accessed
// and dirty bits over all combinations, reserved bits bit by bit, INVLPG of large pages.
#include <gtest/gtest.h>

#include <vector>

#include "tests/cpu/event_machine.h"

namespace dragoman {
namespace {

constexpr u64 kBitP = 1, kBitW = 2, kBitU = 4, kBitA = 0x20, kBitD = 0x40, kBitPs = 0x80;
constexpr u64 kBitNx = u64{1} << 63;

enum class Mode { k32Small, k32Large, kPaeSmall, kPaeLarge, kLong4K, kLong2M, kLong1G };
constexpr Mode kModes[] = {Mode::k32Small, Mode::k32Large, Mode::kPaeSmall, Mode::kPaeLarge,
                           Mode::kLong4K,  Mode::kLong2M,  Mode::kLong1G};
constexpr bool is_long(Mode m) {
  return m == Mode::kLong4K || m == Mode::kLong2M || m == Mode::kLong1G;
}
constexpr bool is_pae(Mode m) { return m != Mode::k32Small && m != Mode::k32Large; }

struct Rights {
  bool user, write, no_execute;
  u64 bits() const { return (user ? kBitU : 0) | (write ? kBitW : 0) | (no_execute ? kBitNx : 0); }
};

struct Control {
  bool wp, smep, smap, nxe;
  unsigned key_rights;  ///< 1 access disabled, 2 writes disabled
};

enum class Access { kRead, kWrite, kFetch };
enum class Who { kUser, kSupervisor, kSupervisorAc, kImplicit };

struct Verdict {
  bool allowed = true;
  u32 error = 0;
};

/// What the manual says (vol. 3, 4.6 and 4.7), for a page whose translation is present.
Verdict expected(Mode mode, const Control& c, bool user_page, bool writable, bool no_execute,
                 Access access, Who who) {
  const bool user_access = who == Who::kUser;
  const bool nx_works = is_pae(mode) && c.nxe;
  bool allowed = true;
  if (access == Access::kFetch) {
    if (user_access && !user_page) allowed = false;
    if (!user_access && user_page && c.smep) allowed = false;
    if (nx_works && no_execute) allowed = false;
  } else {
    const bool write = access == Access::kWrite;
    if (user_access) {
      allowed = user_page && (!write || writable);
    } else {
      if (user_page && c.smap && who != Who::kSupervisorAc) allowed = false;
      if (write && !writable && c.wp) allowed = false;
    }
  }
  bool key = false;
  if (is_long(mode) && access != Access::kFetch && user_page) {
    key = (c.key_rights & 1) ||
          ((c.key_rights & 2) && access == Access::kWrite && (c.wp || user_access));
  }
  Verdict v;
  v.allowed = allowed && !key;
  if (!v.allowed) {
    v.error = 1 | (access == Access::kWrite ? 2 : 0) | (user_access ? 4 : 0) |
              (access == Access::kFetch && (nx_works || c.smep) ? 0x10 : 0) | (key ? 0x20 : 0);
  }
  return v;
}

class Paging : public ::testing::Test {
 protected:
  static constexpr u64 kLinear = 0x40300000, kPhysical = 0x300000;
  static constexpr u64 kTables = 0x30000;
  static constexpr u64 kKey = u64{5} << 59;

  /// Builds tables for kLinear: the leaf and the entry right above it have the given rights, all
  /// others every right.
  void build(Mode mode, u64 upper, u64 leaf) {
    entries_.clear();
    const u64 all = kBitP | kBitW | kBitU;
    switch (mode) {
      case Mode::k32Small:
        entry32(kTables + 0x100 * 4, (kTables + 0x1000) | kBitP | upper);
        entry32(kTables + 0x1000 + 0x300 * 4, kPhysical | kBitP | leaf);
        break;
      case Mode::k32Large:
        entry32(kTables + 0x100 * 4, kBitPs | kBitP | leaf);
        break;
      case Mode::kPaeSmall:
      case Mode::kPaeLarge:
        if (mode == Mode::kPaeLarge) {
          entry(kTables + 0x1000 + 8, 0x200000 | kBitPs | kBitP | leaf);
        } else {
          entry(kTables + 0x1000 + 8, (kTables + 0x2000) | kBitP | upper);
          entry(kTables + 0x2000 + 0x100 * 8, kPhysical | kBitP | leaf);
        }
        break;
      case Mode::kLong4K:
        entry(kTables, (kTables + 0x1000) | all);
        entry(kTables + 0x1000 + 8, (kTables + 0x2000) | all);
        entry(kTables + 0x2000 + 8, (kTables + 0x3000) | kBitP | upper);
        entry(kTables + 0x3000 + 0x100 * 8, kPhysical | kBitP | kKey | leaf);
        break;
      case Mode::kLong2M:
        entry(kTables, (kTables + 0x1000) | all);
        entry(kTables + 0x1000 + 8, (kTables + 0x2000) | kBitP | upper);
        entry(kTables + 0x2000 + 8, 0x200000 | kBitPs | kBitP | kKey | leaf);
        break;
      case Mode::kLong1G:
        entry(kTables, (kTables + 0x1000) | kBitP | upper);
        entry(kTables + 0x1000 + 8, kBitPs | kBitP | kKey | leaf);
        break;
    }
  }
  bool has_upper(Mode mode) const { return mode != Mode::k32Large && mode != Mode::kPaeLarge; }

  void control(Mode mode, const Control& c) {
    CpuState& s = m_.state();
    if (is_long(mode) != long_) {
      long_ = is_long(mode);
      if (long_) {
        m_.long_mode(0);
      } else {
        m_.protected_mode(0);
      }
    }
    s.cr0 = kCr0Pe | kCr0Et | kCr0Ne | kCr0Pg | (c.wp ? u64{kCr0Wp} : 0);
    s.cr3 = kTables;
    s.cr4 = kCr4Pse | kCr4Pke | (is_pae(mode) ? u64{kCr4Pae} : 0) | (c.smep ? u64{kCr4Smep} : 0) |
            (c.smap ? u64{kCr4Smap} : 0);
    s.efer = (is_long(mode) ? kEferLme | kEferLma : 0) | (c.nxe ? u64{kEferNxe} : 0);
    s.pkru = c.key_rights << 10;
    s.cpl = 0;
    m_.cpu->state_replaced();
    if (mode == Mode::kPaeSmall || mode == Mode::kPaeLarge) {
      m_.put<u64>(kTables, 0);
      m_.put<u64>(kTables + 8, (kTables + 0x1000) | kBitP);
      m_.put<u64>(kTables + 16, 0);
      m_.put<u64>(kTables + 24, 0);
      ASSERT_TRUE(m_.cpu->load_pdptes(s.cr3));
    }
  }

  void become(Who who) {
    CpuState& s = m_.state();
    s.cpl = who == Who::kUser ? 3 : 0;
    s.flags = kFlagFixed | (who == Who::kSupervisorAc || who == Who::kImplicit ? u32{kFlagAc} : 0);
    m_.cpu->update_mode();
  }

  /// Makes the access; the verdict with the error code of the page fault.
  Verdict attempt(Access access, Who who, u64 linear = kLinear) {
    become(who);
    Cpu& cpu = *m_.cpu;
    bool ok = false;
    u32 value = 0;
    if (access == Access::kFetch) {
      Cpu::PageWalk walk;
      ok = cpu.translate(linear, AccessType::kExecute, Privilege::kCurrent, walk);
      if (ok) {
        EXPECT_EQ(walk.physical, kPhysical);
      }
    } else if (who == Who::kImplicit) {
      ok = access == Access::kRead ? cpu.read_system(linear, value)
                                   : cpu.write_system(linear, value);
    } else {
      ok = access == Access::kRead ? cpu.read<u32>(kDs, linear, value)
                                   : cpu.write<u32>(kDs, linear, 0x12345678);
    }
    if (ok) return {};
    EXPECT_EQ(cpu.fault().vector, kVectorPf);
    EXPECT_EQ(cpu.fault().address, linear);
    const Verdict v{false, cpu.fault().error_code};
    cpu.clear_fault();
    return v;
  }

  struct Entry {
    u64 address;
    bool wide;
  };
  void entry(u64 address, u64 value) {
    m_.put<u64>(address, value);
    entries_.push_back({address, true});
  }
  void entry32(u64 address, u64 value) {
    m_.put<u32>(address, static_cast<u32>(value));
    entries_.push_back({address, false});
  }
  u64 load(const Entry& e) { return e.wide ? m_.get<u64>(e.address) : m_.get<u32>(e.address); }

  EventMachine m_;
  bool long_ = true;
  std::vector<Entry> entries_;  ///< top to leaf

 public:
  Paging() {
    m_.protected_mode(0);
    long_ = false;
  }
};

TEST_F(Paging, RightsErrorCodesAccessedAndDirty) {
  static constexpr Access kAccesses[] = {Access::kRead, Access::kFetch, Access::kWrite,
                                         Access::kRead, Access::kFetch};
  static constexpr Who kOrders[2][4] = {
      {Who::kUser, Who::kSupervisor, Who::kSupervisorAc, Who::kImplicit},
      {Who::kImplicit, Who::kSupervisorAc, Who::kSupervisor, Who::kUser}};
  u64 checked = 0;
  for (const Mode mode : kModes) {
    for (unsigned n = 0; n < 4096; ++n) {
      const auto bit_of = [&](unsigned i) { return ((n >> i) & 1) != 0; };
      const Control c{bit_of(0), bit_of(1), bit_of(2), bit_of(3), (n >> 4) & 3};
      Rights leaf{bit_of(6), bit_of(7), bit_of(8)};
      Rights upper{bit_of(9), bit_of(10), bit_of(11)};
      if (!is_pae(mode) && (leaf.no_execute || upper.no_execute)) continue;
      if (is_pae(mode) && !c.nxe && (leaf.no_execute || upper.no_execute)) continue;  // reserved
      if (!has_upper(mode)) {
        if (upper.user || upper.write || upper.no_execute) continue;
        upper = {true, true, false};
      }
      ASSERT_NO_FATAL_FAILURE(control(mode, c));
      const bool user = leaf.user && upper.user;
      const bool writable = leaf.write && upper.write;
      const bool no_execute = leaf.no_execute || upper.no_execute;
      // The same tables are used by one after the other without a flush, as processes and kernel
      // do: nothing cached for one may help or hurt another.
      for (const auto& order : kOrders) {
        build(mode, upper.bits(), leaf.bits());
        m_.cpu->flush_tlb(true);
        bool accessed = false, dirty = false;
        for (const Who who : order) {
          for (const Access access : kAccesses) {
            if (access == Access::kFetch && who == Who::kImplicit) continue;
            const Verdict want = expected(mode, c, user, writable, no_execute, access, who);
            const Verdict got = attempt(access, who);
            ++checked;
            ASSERT_EQ(got.allowed, want.allowed) << "mode " << int(mode) << " n " << n << " access "
                                                 << int(access) << " who " << int(who);
            ASSERT_EQ(got.error, want.error) << "mode " << int(mode) << " n " << n << " access "
                                             << int(access) << " who " << int(who);
            if (want.allowed) {
              accessed = true;
              dirty = dirty || access == Access::kWrite;
            }
            for (std::size_t i = 0; i < entries_.size(); ++i) {
              const u64 e = load(entries_[i]);
              ASSERT_EQ((e & kBitA) != 0, accessed) << "mode " << int(mode) << " level " << i;
              const bool is_leaf = i + 1 == entries_.size();
              ASSERT_EQ((e & kBitD) != 0, is_leaf && dirty) << "mode " << int(mode) << " n " << n;
            }
          }
        }
      }
    }
  }
  EXPECT_GT(checked, 300'000u);
}

/// Reserved bits of the entry at `level` (0 = leaf, 1 above it ...), from tables 4-4 to 4-20.
u64 reserved_bits(Mode mode, unsigned level, unsigned physical_bits, bool nxe) {
  const auto range = [](unsigned high, unsigned low) {
    return high < low ? 0 : (~u64{0} >> (63 - high)) & ~((u64{1} << low) - 1);
  };
  if (mode == Mode::k32Small) return 0;
  if (mode == Mode::k32Large) {
    return range(21, std::min(physical_bits, 40u) - 19);
  }
  u64 r = range(51, physical_bits);
  if (!nxe) r |= kBitNx;
  if (!is_long(mode)) r |= range(62, 52);
  if (level == 0) {
    if (mode == Mode::kPaeLarge || mode == Mode::kLong2M) r |= range(20, 13);
    if (mode == Mode::kLong1G) r |= range(29, 13);
  }
  const unsigned pml4 = mode == Mode::kLong4K ? 3 : mode == Mode::kLong2M ? 2 : 1;
  if (is_long(mode) && level == pml4) r |= kBitPs;
  return r;
}

TEST_F(Paging, ReservedBitsOneByOne) {
  for (const unsigned physical_bits : {32u, 36u, 40u}) {
    CpuModel model = m_.model;
    model.physical_bits = physical_bits;
    CpuWiring wiring;
    wiring.memory = &m_.map;
    wiring.ports = &m_.ports;
    wiring.clock = &m_.clock;
    wiring.log = &m_.log;
    m_.cpu = std::make_unique<Cpu>(model, wiring);
    m_.protected_mode(0);
    long_ = false;
    for (const Mode mode : kModes) {
      for (const bool nxe : {false, true}) {
        ASSERT_NO_FATAL_FAILURE(control(mode, {true, false, false, nxe, 0}));
        build(mode, 7, 7);
        for (unsigned level = 0; level < entries_.size(); ++level) {
          const Entry e = entries_[entries_.size() - 1 - level];
          const u64 reserved = reserved_bits(mode, level, physical_bits, nxe);
          for (unsigned i = 0; i < (e.wide ? 64u : 32u); ++i) {
            const bool is_reserved = ((reserved >> i) & 1) != 0;
            if (i == 0 || (i == 7 && !is_reserved)) continue;
            // Address bits of a table lead elsewhere; those of a page only move the page.
            if (level > 0 && i >= 12 && i < physical_bits && !is_reserved) continue;
            build(mode, 7, 7);
            const u64 changed = load(e) ^ (u64{1} << i);
            if (is_reserved && (load(e) >> i & 1)) continue;
            if (e.wide) {
              m_.put<u64>(e.address, changed);
            } else {
              m_.put<u32>(e.address, static_cast<u32>(changed));
            }
            m_.cpu->flush_tlb(true);
            become(Who::kSupervisor);
            Cpu::PageWalk walk;
            const bool ok =
                m_.cpu->translate(kLinear, AccessType::kRead, Privilege::kCurrent, walk);
            ASSERT_EQ(ok, !is_reserved)
                << "mode " << int(mode) << " level " << level << " bit " << i << " nxe " << nxe
                << " physical bits " << physical_bits;
            if (!ok) {
              ASSERT_EQ(m_.cpu->fault().error_code, 9u);
              m_.cpu->clear_fault();
            }
          }
        }
      }
    }
  }
}

TEST_F(Paging, NotPresentAtEveryLevel) {
  for (const Mode mode : kModes) {
    ASSERT_NO_FATAL_FAILURE(control(mode, {true, true, true, true, 0}));
    build(mode, 7, 7);
    const std::vector<Entry> all = entries_;
    for (const Entry& e : all) {
      build(mode, 7, 7);
      // Nothing else in an entry that is not present counts, reserved bits least of all.
      if (e.wide) {
        m_.put<u64>(e.address, ~u64{1});
      } else {
        m_.put<u32>(e.address, ~u32{1});
      }
      m_.cpu->flush_tlb(true);
      EXPECT_EQ(attempt(Access::kRead, Who::kSupervisor).error, 0u);
      EXPECT_EQ(attempt(Access::kWrite, Who::kUser).error, 6u);
      EXPECT_EQ(attempt(Access::kFetch, Who::kUser).error, 0x14u);
    }
  }
}

TEST_F(Paging, InvlpgDropsAWholeLargePage) {
  // The page moves by its own size (or loses its right to write); one INVLPG anywhere inside is
  // enough (SDM vol. 3, 4.10.4.1).
  for (const Mode mode : {Mode::k32Large, Mode::kPaeLarge, Mode::kLong2M, Mode::kLong1G}) {
    ASSERT_NO_FATAL_FAILURE(control(mode, {true, false, false, true, 0}));
    build(mode, 7, 7);
    m_.cpu->flush_tlb(true);
    for (u64 page = 0; page < 16; ++page) {
      EXPECT_TRUE(attempt(Access::kWrite, Who::kSupervisor, kLinear + page * kPageSize).allowed);
    }
    build(mode, 7, kBitU);
    m_.cpu->flush_tlb_page(kLinear + 0x7000);
    for (u64 page = 0; page < 16; ++page) {
      EXPECT_FALSE(attempt(Access::kWrite, Who::kSupervisor, kLinear + page * kPageSize).allowed)
          << "mode " << int(mode) << " page " << page;
    }
  }
}

TEST_F(Paging, SecondPageOfACrossingAccessFaultsAtItsOwnAddress) {
  ASSERT_NO_FATAL_FAILURE(control(Mode::kLong4K, {true, false, false, true, 0}));
  build(Mode::kLong4K, 7, 7);
  m_.cpu->flush_tlb(true);
  become(Who::kSupervisor);
  u32 value;
  EXPECT_FALSE(m_.cpu->read<u32>(kDs, kLinear + 0xffe, value));
  EXPECT_EQ(m_.cpu->fault().address, kLinear + 0x1000);
  m_.cpu->clear_fault();
  // And nothing of a write that crosses arrives in the first page.
  m_.put<u16>(kPhysical + 0xffe, 0x1111);
  EXPECT_FALSE(m_.cpu->write<u32>(kDs, kLinear + 0xffe, 0x22222222));
  EXPECT_EQ(m_.get<u16>(kPhysical + 0xffe), 0x1111);
  m_.cpu->clear_fault();
}

TEST_F(Paging, PdptesAreRegisters) {
  ASSERT_NO_FATAL_FAILURE(control(Mode::kPaeSmall, {true, false, false, true, 0}));
  build(Mode::kPaeSmall, 7, 7);
  ASSERT_TRUE(m_.cpu->load_pdptes(kTables));
  m_.put<u64>(kTables + 8, 0);  // memory may change until CR3 is written again
  m_.cpu->flush_tlb(true);
  EXPECT_TRUE(attempt(Access::kRead, Who::kSupervisor).allowed);
  for (const unsigned i : {1u, 2u, 5u, 6u, 7u, 8u, 40u, 51u, 52u, 62u, 63u}) {
    m_.put<u64>(kTables + 16, u64{1} | u64{1} << i);
    EXPECT_FALSE(m_.cpu->load_pdptes(kTables)) << i;
    EXPECT_EQ(m_.cpu->fault().vector, kVectorGp);
    m_.cpu->clear_fault();
  }
  m_.put<u64>(kTables + 16, ~u64{1});  // not present: not looked at
  EXPECT_TRUE(m_.cpu->load_pdptes(kTables));
}

}  // namespace
}  // namespace dragoman
