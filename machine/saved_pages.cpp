#include "machine/saved_pages.h"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.h"

namespace dragoman {
namespace {
constexpr int kLevel = 1;  // a page should cost less time to keep than it took to write
}  // namespace

PageStore::PageStore() {
  const std::array<u8, kPageSize> zeros{};
  pages_.push_back({{}, hash_of(zeros), 1});
}

u64 PageStore::hash_of(std::span<const u8, kPageSize> page) {
  return XXH3_64bits(page.data(), page.size());
}

PageStore::Number PageStore::add(std::span<const u8, kPageSize> page, u64 hash) {
  if (hash == pages_[0].hash) return 0;
  Page kept;
  kept.hash = hash;
  kept.users = 1;
  std::array<u8, kPageSize> buffer;
  const std::size_t size =
      ZSTD_compress(buffer.data(), buffer.size(), page.data(), page.size(), kLevel);
  if (ZSTD_isError(size)) {  // does not get smaller
    kept.compressed.assign(page.begin(), page.end());
  } else {
    kept.compressed.assign(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(size));
  }
  bytes_ += cost(kept);
  if (free_.empty()) {
    pages_.push_back(std::move(kept));
    return static_cast<Number>(pages_.size() - 1);
  }
  const Number number = free_.back();
  free_.pop_back();
  pages_[number] = std::move(kept);
  return number;
}

void PageStore::use(Number page) {
  if (page != 0) ++pages_[page].users;
}

void PageStore::release(Number page) {
  if (page == 0 || --pages_[page].users != 0) return;
  bytes_ -= cost(pages_[page]);
  pages_[page] = {};
  free_.push_back(page);
}

void PageStore::read(Number page, std::span<u8, kPageSize> out) const {
  const std::vector<u8>& kept = pages_[page].compressed;
  if (page == 0) {
    std::fill(out.begin(), out.end(), u8{0});
  } else if (kept.size() == kPageSize) {
    std::memcpy(out.data(), kept.data(), kPageSize);
  } else {
    const std::size_t size = ZSTD_decompress(out.data(), out.size(), kept.data(), kept.size());
    DRAGOMAN_ASSERT(size == kPageSize);
  }
}

std::vector<bool> touched_pages(const u8* area, u64 pages) {
  const int file = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  std::vector<bool> touched(pages);
  std::array<u64, 512> entries;
  const u64 first = reinterpret_cast<u64>(area) >> kPageShift;
  bool told = true;
  for (u64 at = 0; at < pages && told; at += entries.size()) {
    const u64 count = std::min<u64>(entries.size(), pages - at);
    const auto wanted = static_cast<ssize_t>(count * sizeof(u64));
    told = ::pread(file, entries.data(), static_cast<std::size_t>(wanted),
                   static_cast<off_t>((first + at) * sizeof(u64))) == wanted;
    // Bit 63: in memory, bit 62: swapped.
    for (u64 i = 0; i < count; ++i) touched[at + i] = (entries[i] >> 62) != 0;
  }
  ::close(file);
  return told ? touched : std::vector<bool>{};
}

}  // namespace dragoman
