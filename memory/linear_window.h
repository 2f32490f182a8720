// Pages of a guest's user programs, shown by the host's own page tables at their linear addresses:
// code that was translated for it accesses them without a look-up. What is not shown, or not
// writable, makes the host fault, and is then looked at as everywhere else.
//
// The high part serves addresses from 2^46 to 2^47: Linux' shared libraries, stacks, heaps and
// position-independent programs. Nothing of the emulator is there (base/upper_half.h). What lies
// above, up to the largest positive number, is not canonical and faults (SDM vol. 1, 3.3.7.1), so
// that one signed comparison keeps accesses off the emulator's own memory. The low part serves
// programs linked to run at low addresses, but for the first pages, which Linux lets nobody map:
// nothing of the emulator lies in the host's lowest 64 GiB. Accesses that are now here, now there
// are compared with what lies between. Negative addresses are the host kernel's, and fault.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/upper_half.h"
#include "memory/guest_memory.h"

namespace dragoman {

class ShadowTable;

/// Parts of a LinearWindow, and either of them.
enum class WindowPart : u8 { kNone, kHigh, kLow, kEither };

class LinearWindow {
 public:
  static constexpr u64 kHighFirst = u64{1} << 46, kHighEnd = UpperHalf::kEnd;
  static constexpr u64 kLowFirst = 64 * kKiB, kLowEnd = 1536 * kMiB;
  /// How far from an address that was checked an access may be; with an index of 33 bits beside it.
  static constexpr u64 kReach = u64{1} << 31, kIndexReach = 56 * kGiB;

  /// The part that serves an address.
  WindowPart part(u64 linear) const {
    if (linear - kHighFirst < kHighEnd - kHighFirst) return WindowPart::kHigh;
    return linear - kLowFirst < kLowEnd - kLowFirst && low_ ? WindowPart::kLow : WindowPart::kNone;
  }
  bool serves(WindowPart wanted, u64 linear) const {
    const WindowPart found = part(linear);
    return wanted == WindowPart::kEither ? found != WindowPart::kNone : found == wanted;
  }
  /// Accesses may be made with WindowPart::kEither.
  bool has_either() const { return either_; }

  /// A page as it is, or should be, shown.
  struct Page {
    u32 pool_page = 0;  ///< offset in the pool, in pages
    bool writable = false;
    bool operator==(const Page&) const = default;
  };

  /// Takes the upper half of the address space, and room for the low part where it can be had.
  /// `gate` is set to the owner while its pages are what the guest's page tables say, else to null.
  /// Null when the process has no upper half to give, or `memory` is no file.
  static std::unique_ptr<LinearWindow> create(GuestMemory& memory, const ShadowTable*& gate);
  ~LinearWindow();
  LinearWindow(const LinearWindow&) = delete;
  LinearWindow& operator=(const LinearWindow&) = delete;

  /// Whose pages are shown, or null.
  ShadowTable* owner() const { return owner_; }
  /// Shows nothing until the pages of another table are put in.
  void give_to(ShadowTable* owner);
  /// Pages shown now.
  u64 pages() const { return pages_; }
  /// Times pages were shown, and times what is shown was compared with the guest's page tables.
  u64 fills() const { return fills_; }
  u64 checks() const { return checks_; }

  std::optional<Page> find(u64 linear_page) const;
  /// Shows `count` pages that follow each other in the pool as well, of guest pages of
  /// `page_bytes`. False when the host refuses, which empties the window.
  bool show(u64 linear_page, Page first, u64 count, u64 page_bytes);

  // What the owner tells. The page tables, or what else decides, may say something new of the
  // guest's page around this one, or of all:
  void note_page(u64 linear_page);
  void note_all();
  /// Writes to these bytes of the pool must be asked for again, at once.
  void drop_writes(const u8* first, u64 bytes);

  /// Compares what may have changed with what `look` says now (a Page, or nothing, for the number
  /// of a linear page), and opens the gate.
  template <class Look>
  void check(Look&& look) {
    ++checks_;
    if (all_stale_) {
      for (const auto& [region, entries] : regions_) {
        for (u64 i = 0; i < kRegionPages; ++i) {
          if (entries->list[i] != 0) compare(region << kRegionShift | i, look);
        }
      }
    } else {
      for (const u64 page : stale_) compare(page, look);
    }
    finish_check();
  }

 private:
  LinearWindow(GuestMemory& memory, const ShadowTable*& gate) : memory_(memory), gate_(gate) {}

  static constexpr unsigned kRegionShift = 9;
  static constexpr u64 kRegionPages = u64{1} << kRegionShift;
  static constexpr u32 kWritable = 1u << 31;
  /// Of every page 0, or its place in the pool plus 1, and kWritable.
  struct Region {
    std::array<u32, kRegionPages> list{};
    bool large = false;  ///< some are parts of a 2 MiB page
  };

  template <class Look>
  void compare(u64 linear_page, Look&& look) {
    const std::optional<Page> shown = find(linear_page);
    if (shown && look(linear_page) != shown) changed_.push_back(linear_page);
  }
  static u8* host(u64 linear_page) { return reinterpret_cast<u8*>(linear_page << kPageShift); }
  Region* region(u64 linear_page) const;
  void forget(u64 linear_page);
  void hide(u64 linear_page, u64 count);
  void hide_all();
  void finish_check();

  GuestMemory& memory_;
  const ShadowTable*& gate_;
  bool low_ = false;     ///< there is a low part
  bool either_ = false;  ///< likewise, and no negative address can be read
  ShadowTable* owner_ = nullptr;
  std::map<u64, std::unique_ptr<Region>> regions_;  ///< by linear page >> kRegionShift
  /// Where a page of the pool is shown; kSeveral when at more than one place.
  std::unordered_map<u32, u64> places_;
  static constexpr u64 kSeveral = ~u64{0};
  u64 pages_ = 0, mappings_ = 0, fills_ = 0, checks_ = 0;
  bool giant_ = false;  ///< some are parts of a larger page
  bool all_stale_ = false;
  std::vector<u64> stale_, changed_;
};

}  // namespace dragoman
