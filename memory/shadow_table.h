// Shadow page table: guest-linear pages mapped straight to host pointers with permissions, filled
// from guest page walks. One per privilege view of the current address space. Direct-mapped.
#pragma once

#include <array>
#include <vector>

#include "base/types.h"

namespace dragoman {

class ShadowTable {
 public:
  static constexpr unsigned kBits = 12;
  static constexpr u64 kEntries = u64{1} << kBits;
  static constexpr u64 kEmpty = ~u64{0};  // no linear page number has its top bits set

  /// Tags are linear page numbers; a tag that does not match means "take the slow path".
  struct Entry {
    u64 read = kEmpty;
    u64 write = kEmpty;
    u64 execute = kEmpty;
    u64 delta = 0;  ///< host address = linear address + delta
  };

  Entry& entry(u64 linear_page) { return entries_[linear_page & (kEntries - 1)]; }

  /// The entry of `linear_page` made ready to take permissions for `delta`: emptied unless it
  /// already belongs to this page and host location. `page_bytes` is the size of the guest's page.
  Entry& claim(u64 linear_page, u64 delta, bool global, u64 page_bytes = kPageSize) {
    const u64 slot = linear_page & (kEntries - 1);
    Entry& e = entries_[slot];
    const bool same = e.delta == delta &&
                      (e.read == linear_page || e.write == linear_page || e.execute == linear_page);
    if (!same) e = Entry{kEmpty, kEmpty, kEmpty, delta};
    global_[slot] = global;
    if (page_bytes == 2 * kMiB) large_[linear_page >> kLargeShift & (kFilter - 1)] = true;
    if (page_bytes > 2 * kMiB) giant_[linear_page >> kGiantShift & (kFilter - 1)] = true;
    if (!listed_[slot]) {
      listed_[slot] = true;
      filled_.push_back(static_cast<u16>(slot));
    }
    return e;
  }

  /// Empties the table, keeping entries of global pages unless `global_too`. Costs what was filled
  /// since the last flush.
  void flush(bool global_too) {
    std::size_t kept = 0;
    for (const u16 slot : filled_) {
      if (!global_too && global_[slot]) {
        filled_[kept++] = slot;
      } else {
        entries_[slot] = Entry{};
        listed_[slot] = false;
      }
    }
    filled_.resize(kept);
    if (kept == 0) {
      large_.fill(false);
      giant_.fill(false);
    }
  }
  /// Drops the translation of `linear_page`. One of a large page goes as a whole: a single INVLPG
  /// anywhere inside invalidates all of it (SDM vol. 3, 4.10.4.1).
  void flush_page(u64 linear_page) {
    if (giant_[linear_page >> kGiantShift & (kFilter - 1)]) {
      flush(true);  // 4 MiB or 1 GiB
      return;
    }
    if (large_[linear_page >> kLargeShift & (kFilter - 1)]) {
      const u64 first = linear_page & ~((u64{1} << kLargeShift) - 1);
      for (u64 i = 0; i < u64{1} << kLargeShift; ++i) drop(first + i);
      return;
    }
    drop(linear_page);
  }
  /// Removes write permission from every entry that points into the host range.
  void drop_writes(const u8* first, u64 bytes) {
    for (const u16 slot : filled_) {
      Entry& e = entries_[slot];
      if (e.write == kEmpty) continue;
      const u64 host = (e.write << kPageShift) + e.delta;
      if (host - reinterpret_cast<u64>(first) < bytes) e.write = kEmpty;
    }
  }

 private:
  static constexpr unsigned kLargeShift = 9;   // 4 KiB pages of a 2 MiB page
  static constexpr unsigned kGiantShift = 18;  // of 1 GiB
  static constexpr u64 kFilter = 1024;

  void drop(u64 linear_page) {
    Entry& e = entry(linear_page);
    if (e.read == linear_page || e.write == linear_page || e.execute == linear_page) e = Entry{};
  }

  std::array<Entry, kEntries> entries_;
  std::array<bool, kEntries> global_{};
  std::array<bool, kEntries> listed_{};
  // Regions in which a piece of a large page was entered since the table was last empty, hashed.
  std::array<bool, kFilter> large_{};
  std::array<bool, kFilter> giant_{};
  std::vector<u16> filled_;
};

}  // namespace dragoman
