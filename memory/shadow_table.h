// Shadow page table: guest-linear pages mapped straight to host pointers with permissions, filled
// from guest page walks. One per privilege view of an address space. Direct-mapped.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "base/types.h"
#include "memory/linear_window.h"

namespace dragoman {

class ShadowTable {
 public:
  static constexpr unsigned kBits = 16;
  static constexpr u64 kEntries = u64{1} << kBits;
  static constexpr u64 kWatched = u64{2} << kPageShift;  ///< in a tag; see Entry

  /// A tag is the linear address of the page; an access at `linear` hits when its distance from the
  /// tag leaves room for it in the page. An empty tag names a page that has another slot, so that
  /// no access that looks here is near it.
  struct Entry {
    u64 read;
    u64 write;
    u64 host;   ///< of the page's first byte
    u64 delta;  ///< host address = linear address + delta

    bool readable(u64 linear, u64 size) const { return linear - read <= kPageSize - size; }
    bool writable(u64 linear, u64 size) const { return linear - write <= kPageSize - size; }
    /// Marked by watch_reads() or watch_writes(), and allowed.
    bool readable_but_watched(u64 linear, u64 size) const {
      return (linear ^ kWatched) - read <= kPageSize - size;
    }
    bool writable_but_watched(u64 linear, u64 size) const {
      return (linear ^ kWatched) - write <= kPageSize - size;
    }
    /// Permission for accesses that have been compared with the debugger's watchpoints: the tag
    /// names a page of another slot, so that no other access hits it.
    void watch_reads(u64 linear_page) { read = linear_page << kPageShift ^ kWatched; }
    void watch_writes(u64 linear_page) { write = linear_page << kPageShift ^ kWatched; }
    bool belongs_to(u64 linear_page) const {
      const u64 address = linear_page << kPageShift;
      return read == address || write == address || read == (address ^ kWatched) ||
             write == (address ^ kWatched);
    }
  };
  /// The same for instruction fetches, which only the block look-up does.
  struct Fetch {
    u64 tag = kNoFetch;
    u64 delta = 0;
    u32 page_bytes = 0;  ///< size of the guest's page
    bool global = false;
  };

  /// How much of it will be used: a kernel's everywhere, a program's here and there, as most of
  /// what programs do goes through the window.
  enum class Use : u8 { kSparse, kDense };
  /// Zeroed, which is what nearly all entries are when empty: memory of entries is touched when
  /// they are filled.
  static void* operator new(std::size_t bytes, Use use = Use::kSparse);
  static void operator delete(void* table, std::size_t bytes);
  static void operator delete(void* table, Use);

  ShadowTable();
  ShadowTable(const ShadowTable&) = delete;
  ShadowTable& operator=(const ShadowTable&) = delete;

  Entry& entry(u64 linear_page) { return entries_[linear_page & (kEntries - 1)]; }

  /// The entry of `linear_page` made ready to take permissions for `delta`: emptied unless it
  /// already belongs to this page and host location. `page_bytes` is the size of the guest's page.
  Entry& claim(u64 linear_page, u64 delta, bool global, u64 page_bytes = kPageSize) {
    const u64 slot = linear_page & (kEntries - 1);
    const u64 address = linear_page << kPageShift;
    Entry& e = entries_[slot];
    const bool same = e.delta == delta && e.belongs_to(linear_page);
    if (!same) {
      e = empty(slot);
      e.delta = delta;
      e.host = address + delta;
    }
    global_[slot] = global;
    note_size(linear_page, page_bytes);
    note(filled_, listed_, slot, global);
    return e;
  }

  /// What fetches from `linear_page` hit, or null.
  const Fetch* fetch(u64 linear_page) const {
    const Fetch& f = fetches_[linear_page & (kFetches - 1)];
    return f.tag == linear_page << kPageShift ? &f : nullptr;
  }
  void add_fetch(u64 linear_page, u64 delta, bool global, u64 page_bytes = kPageSize) {
    const u64 slot = linear_page & (kFetches - 1);
    fetches_[slot] = {linear_page << kPageShift, delta, static_cast<u32>(page_bytes), global};
    note(filled_fetches_, listed_fetches_, slot, global);
    note_size(linear_page, page_bytes);
  }

  /// Empties the table, keeping entries of global pages unless `global_too`. Costs what was filled
  /// since the last flush, and of global pages nothing where they stay.
  void flush(bool global_too) {
    if (window_ != nullptr) window_->note_all();
    flush_kind(false);
    if (global_too) flush_kind(true);
  }
  /// Drops the entries of global pages only.
  void flush_global() {
    if (window_ != nullptr) window_->note_all();
    flush_kind(true);
  }
  /// Drops the translation of `linear_page`, or only one of a global page. One of a large page goes
  /// as a whole: a single INVLPG anywhere inside invalidates all of it (SDM vol. 3, 4.10.4.1).
  /// True when fetches may have lost something.
  bool flush_page(u64 linear_page, bool global_only = false) {
    if (window_ != nullptr) window_->note_page(linear_page);
    if (giant_[linear_page >> kGiantShift & (kFilter - 1)]) {  // 4 MiB or 1 GiB
      const bool fetches = !filled_fetches_[0].empty() || !filled_fetches_[1].empty();
      flush_kind(true);
      if (!global_only) flush_kind(false);
      return fetches;
    }
    if (large_[linear_page >> kLargeShift & (kFilter - 1)]) {
      const u64 first = linear_page & ~((u64{1} << kLargeShift) - 1);
      bool fetches = false;
      for (u64 i = 0; i < u64{1} << kLargeShift; ++i) fetches |= drop(first + i, global_only);
      return fetches;
    }
    return drop(linear_page, global_only);
  }
  /// Removes write permission from every entry that points into the host range.
  void drop_writes(const u8* first, u64 bytes) {
    if (window_ != nullptr) window_->drop_writes(first, bytes);
    for (const auto& slots : filled_) {
      for (const u16 slot : slots) {
        Entry& e = entries_[slot];
        if (e.host - reinterpret_cast<u64>(first) < bytes) e.write = empty_tag(slot);
      }
    }
  }
  /// The same for entries whose host page the predicate names.
  template <class Predicate>
  void drop_writes_if(Predicate&& predicate) {
    if (window_ != nullptr) window_->note_all();
    for (const auto& slots : filled_) {
      for (const u16 slot : slots) {
        Entry& e = entries_[slot];
        if (e.write != empty_tag(slot) && predicate(reinterpret_cast<const u8*>(e.host))) {
          e.write = empty_tag(slot);
        }
      }
    }
  }

  /// Where the pages of the table are shown as well, or null: what it forgets is looked at there
  /// too.
  void set_window(LinearWindow* window) { window_ = window; }

 private:
  static constexpr unsigned kLargeShift = 9;   // 4 KiB pages of a 2 MiB page
  static constexpr unsigned kGiantShift = 18;  // of 1 GiB
  static constexpr u64 kFilter = 1024;
  static constexpr u64 kFetches = 1024;
  static constexpr u64 kNoFetch = 1;  // no page's address

  /// Slots that may hold something: of pages that are not global, and of global ones. A slot can be
  /// in both lists.
  using Slots = std::array<std::vector<u16>, 2>;
  static void note(Slots& slots, auto& listed, u64 slot, bool global) {
    const u8 bit = global ? 2 : 1;
    if (listed[slot] & bit) return;
    listed[slot] = static_cast<u8>(listed[slot] | bit);
    slots[global].push_back(static_cast<u16>(slot));
  }
  void flush_kind(bool global) {
    const u8 other = global ? 1 : 2;
    for (const u16 slot : filled_[global]) {
      if (global_[slot] == global) entries_[slot] = empty(slot);
      listed_[slot] &= other;
    }
    filled_[global].clear();
    for (const u16 slot : filled_fetches_[global]) {
      if (fetches_[slot].global == global) fetches_[slot].tag = kNoFetch;
      listed_fetches_[slot] &= other;
    }
    filled_fetches_[global].clear();
    if (filled_[0].empty() && filled_[1].empty() && filled_fetches_[0].empty() &&
        filled_fetches_[1].empty()) {
      large_.fill(false);
      giant_.fill(false);
    }
  }
  bool drop(u64 linear_page, bool global_only) {
    const u64 slot = linear_page & (kEntries - 1);
    const u64 address = linear_page << kPageShift;
    Entry& e = entries_[slot];
    if (e.belongs_to(linear_page) && (global_[slot] || !global_only)) {
      e = empty(slot);
    }
    Fetch& f = fetches_[linear_page & (kFetches - 1)];
    if (f.tag != address || (!f.global && global_only)) return false;
    f.tag = kNoFetch;
    return true;
  }
  /// Page 0 is far from what looks at other slots than its own, watched or not.
  static constexpr u64 kOddlyEmpty = 4;
  static_assert((kWatched >> kPageShift) < kOddlyEmpty);
  static u64 empty_tag(u64 slot) { return slot < kOddlyEmpty ? (slot ^ 1) << kPageShift : 0; }
  static Entry empty(u64 slot) { return {empty_tag(slot), empty_tag(slot), 0, 0}; }
  void note_size(u64 linear_page, u64 page_bytes) {
    if (page_bytes == 2 * kMiB) large_[linear_page >> kLargeShift & (kFilter - 1)] = true;
    if (page_bytes > 2 * kMiB) giant_[linear_page >> kGiantShift & (kFilter - 1)] = true;
  }

  std::array<Entry, kEntries> entries_;  // first, and not set by the constructor
  std::array<Fetch, kFetches> fetches_;
  std::array<bool, kEntries> global_{};
  std::array<u8, kEntries> listed_{};
  std::array<u8, kFetches> listed_fetches_{};
  // Regions in which a piece of a large page was entered since the table was last empty, hashed.
  std::array<bool, kFilter> large_{};
  std::array<bool, kFilter> giant_{};
  Slots filled_, filled_fetches_;
  LinearWindow* window_ = nullptr;
};

}  // namespace dragoman
