// Translations kept for the guest's address spaces: shadow page tables of user mode for every PCID
// used of late (SDM vol. 3, 4.10.1), those of the supervisor, whose global pages outlive any change
// of CR3 (4.10.2.4), and short identities of what instruction fetches see.
#pragma once

#include <array>
#include <bitset>
#include <memory>
#include <utility>
#include <vector>

#include "base/types.h"
#include "memory/guest_memory.h"
#include "memory/shadow_table.h"

namespace dragoman {

/// Whose rights a shadow table holds: supervisor, user, supervisor with SMAP lifted (EFLAGS.AC),
/// and one that is never filled, used while every access must be looked at (#AC).
enum ShadowView : u8 { kViewSupervisor, kViewUser, kViewSupervisorAc, kViewChecked, kViewCount };

/// A set of guest pages, hashed: may take a page for a member that is none, never the other way.
class PageFilter {
 public:
  /// `page_bytes` is the size of the guest's page around `linear_page`.
  void add(u64 linear_page, u64 page_bytes) {
    any_ = true;
    if (page_bytes <= kPageSize) {
      small_.set(first_hash(linear_page));
      small_.set(second_hash(linear_page));
    } else if (page_bytes <= 2 * kMiB) {
      large_.set(linear_page >> kLargeShift & (kRegions - 1));
    } else {
      giant_.set(linear_page >> kGiantShift & (kRegions - 1));
    }
  }
  bool may_hold(u64 linear_page) const {
    return any_ &&
           ((small_.test(first_hash(linear_page)) && small_.test(second_hash(linear_page))) ||
            large_.test(linear_page >> kLargeShift & (kRegions - 1)) ||
            giant_.test(linear_page >> kGiantShift & (kRegions - 1)));
  }
  void clear() {
    if (!any_) return;
    small_.reset();
    large_.reset();
    giant_.reset();
    any_ = false;
  }

 private:
  /// Thousands of pages should hardly ever be taken for others: every mistake makes a new context.
  static constexpr unsigned kSmallBits = 18;
  static constexpr unsigned kLargeShift = 9, kGiantShift = 18;
  static constexpr u64 kRegions = 1024;
  static u64 first_hash(u64 linear_page) {
    return linear_page * 0x9e3779b97f4a7c15u >> (64 - kSmallBits);
  }
  static u64 second_hash(u64 linear_page) {
    return linear_page * 0xd6e8feb86659fd93u >> (64 - kSmallBits);
  }

  std::bitset<std::size_t{1} << kSmallBits> small_;
  std::bitset<kRegions> large_, giant_;
  bool any_ = false;
};

/// What decides, beside the translations, where a fetch at an address goes.
struct FetchMode {
  u32 mode_key = 0;
  u32 base = 0;   ///< of CS, 0 in 64-bit mode
  u32 limit = 0;  ///< of CS, 0 in 64-bit mode
  bool operator==(const FetchMode&) const = default;
};

/// The identities given out in one address space.
class FetchContexts {
 public:
  /// 0 when this mode has none (any more).
  u32 find(const FetchMode& mode) {
    if (entries_[newest_].mode == mode) return entries_[newest_].id;
    if (entries_[second_].mode == mode) {
      std::swap(newest_, second_);
      return entries_[newest_].id;
    }
    return find_slow(mode);
  }
  void add(const FetchMode& mode, u32 id);
  void clear() { *this = FetchContexts(); }

 private:
  static constexpr unsigned kSets = 16, kWays = 4;
  struct Entry {
    FetchMode mode;
    u32 id = 0;
  };
  static unsigned first_way(const FetchMode& mode) {
    const u32 hash = (mode.mode_key ^ mode.base * 0x9e3779b1u ^ mode.limit) * 0x85ebca6bu;
    return (hash >> 28) * kWays;
  }
  u32 find_slow(const FetchMode& mode);
  void use(unsigned entry) {
    second_ = newest_;
    newest_ = entry;
  }

  std::array<Entry, std::size_t{kSets} * kWays> entries_;
  std::array<u8, kSets> next_way_{};
  unsigned newest_ = 0, second_ = 1;
};

class AddressSpaces {
 public:
  static constexpr unsigned kSpaces = 8;

  explicit AddressSpaces(GuestMemory& memory) : memory_(memory) { current_->kept = true; }
  AddressSpaces(const AddressSpaces&) = delete;
  AddressSpaces& operator=(const AddressSpaces&) = delete;

  /// The table of the current address space; made at its first use.
  ShadowTable& view(ShadowView view) {
    ShadowTable*& table = view == kViewChecked ? checked_
                          : view == kViewUser  ? current_->views[view]
                                               : supervisor_.views[view];
    if (table == nullptr) table = make_table(view);
    return *table;
  }
  bool never_filled(const ShadowTable& table) const { return &table == checked_; }
  u16 pcid() const { return current_->pcid; }

  /// Makes the address space of `pcid` the current one, with what is kept for it.
  void select(u16 pcid);

  /// Drops what the current PCID has, except global translations.
  void flush_current();
  /// The same for any PCID, and for all of them.
  void flush_pcid(u16 pcid);
  void flush_all_but_global();
  /// Drops everything.
  void flush_all();
  /// INVLPG: the page of the current PCID, and global pages there. True when the identity of
  /// fetches changed.
  bool flush_page(u64 linear_page);
  void flush_page_of(u16 pcid, u64 linear_page);

  /// Write permission on these bytes of the pool must be asked for again.
  void drop_writes(const u8* first, u64 bytes);

  /// To be told of global pages and of pages code is run from, in the current space.
  void note_global(u64 linear_page, u64 page_bytes) { global_pages_.add(linear_page, page_bytes); }
  /// `user`: by CPL 3.
  void note_executed(const ShadowTable::Fetch& fetch, bool user) {
    Space& space = user ? *current_ : supervisor_;
    space.executed.add(fetch.tag >> kPageShift, fetch.page_bytes);
    if (!user && !fetch.global) supervisor_ran_local_ = true;
  }

  /// Identity of fetches in `mode`, never 0: as long as it is the same, a fetch from a page that
  /// was noted as executed under it finds the same memory.
  u32 fetch_context(const FetchMode& mode, bool user) {
    Space& space = user ? *current_ : supervisor_;
    const u32 id = space.contexts.find(mode);
    return __builtin_expect(id >> kEpochShift == next_context_ >> kEpochShift && id != 0, 1)
               ? id
               : new_context(space, mode);
  }
  /// Identities in use at the same time have the same bits from here on: those of another epoch are
  /// replaced at their next use, so that a cache may keep only the lower ones.
  static constexpr unsigned kEpochShift = 16;
  /// Identities given out since they were last started anew.
  u32 contexts_made() const { return next_context_ - 1; }
  /// True when identities run out: soon the oldest would come again.
  bool contexts_used_up() const { return next_context_ >= kLastContext; }
  /// Starts anew; whoever remembers identities must forget them.
  void forget_contexts();

 private:
  friend class CpuTester;
  static constexpr u32 kLastContext = 0xfff00000;
  static constexpr u64 kLogged = 64;

  struct Space {
    std::array<ShadowTable*, kViewChecked> views{};
    u16 pcid = 0;
    bool kept = false;  ///< holds translations of `pcid`
    u64 used = 0;       ///< when it was left last
    // What happened since then and is caught up with when it is used next.
    bool flush_pending = false;
    bool flush_all_pending = false;
    bool writes_pending = false;
    u64 log_position = 0;
    PageFilter executed;  ///< pages code was run from under `contexts`
    FetchContexts contexts;

    template <class Action>
    void each(Action&& action) {
      for (ShadowTable* table : views) {
        if (table != nullptr) action(*table);
      }
    }
    void new_incarnation() {
      executed.clear();
      contexts.clear();
    }
    bool drop_page(u64 linear_page, bool global_only);
  };

  ShadowTable* make_table(ShadowView view);
  void catch_up(Space& space);
  void flush_supervisor(bool global_too);
  u32 new_context(Space& space, const FetchMode& mode);

  GuestMemory& memory_;
  /// One of user mode for each space, those of the supervisor, and `checked_`.
  std::vector<std::unique_ptr<ShadowTable>> tables_;
  ShadowTable* checked_ = nullptr;
  std::array<Space, kSpaces> spaces_;
  Space* current_ = &spaces_[0];
  /// Of the current PCID, and global: the others' translations go when CR3 changes. A kernel's own
  /// pages are global, so that little has to be found again.
  Space supervisor_;
  bool supervisor_ran_local_ = false;  ///< `supervisor_.executed` has pages that are not global
  u64 clock_ = 0;
  PageFilter global_pages_;  ///< of all spaces
  /// Pages dropped by INVLPG that may be global in another space, newest at log_end_ - 1.
  std::array<u64, kLogged> log_{};
  u64 log_end_ = 0;
  u32 next_context_ = 1;
};

}  // namespace dragoman
