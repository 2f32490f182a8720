// Pages of guest memory as they were at earlier moments: equal pages are kept once, compressed.
#pragma once

#include <span>
#include <vector>

#include "base/types.h"

namespace dragoman {

/// Pages by number. Number 0 is the page of zeros, which costs nothing.
class PageStore {
 public:
  using Number = u32;

  /// Keeps a copy and gives it a number; `hash` is hash_of(page).
  Number add(std::span<const u8, kPageSize> page, u64 hash);
  /// Another use of a page, and the end of one.
  void use(Number page);
  void release(Number page);
  u64 hash(Number page) const { return pages_[page].hash; }
  void read(Number page, std::span<u8, kPageSize> out) const;
  /// Host memory that the pages take.
  u64 bytes() const { return bytes_; }

  static u64 hash_of(std::span<const u8, kPageSize> page);

  PageStore();

 private:
  struct Page {
    std::vector<u8> compressed;
    u64 hash = 0;
    u32 users = 0;
  };
  u64 cost(const Page& page) const { return sizeof(Page) + page.compressed.size(); }

  std::vector<Page> pages_;
  std::vector<Number> free_;
  u64 bytes_ = 0;
};

/// Which pages of an area of this process were ever touched; the others are zero. Empty when the
/// host does not tell (proc(5), /proc/pid/pagemap).
std::vector<bool> touched_pages(const u8* area, u64 pages);

}  // namespace dragoman
