#include "jit/code_cache.h"

#include <algorithm>
#include <cstring>

namespace dragoman {
namespace {

/// Enough that emptying one is short and costs little of what is hot, and large enough for any
/// region where the cache is not tiny.
constexpr u64 kMostChunks = 16;
constexpr u64 kLeastChunkBytes = 128 * kKiB;

}  // namespace

CodeCache::CodeCache(u64 bytes) : memory_(kStubBytes + bytes) {
  const u64 count = std::clamp<u64>(bytes / kLeastChunkBytes, 2, kMostChunks);
  const u64 size = bytes / count & ~(kAlignment - 1);
  chunks_.resize(count);
  chunk_bytes_ = size;
  for (u64 i = 0; i < count; ++i) {
    chunks_[i].begin = kStubBytes + i * size;
    chunks_[i].end = chunks_[i].begin + size;
    empty(chunks_[i]);
  }
}

const void* CodeCache::add_stub(std::span<const u8> code) {
  if (code.empty() || !memory_.map() || stubs_used_ + code.size() > kStubBytes) return nullptr;
  const u8* start = memory_.run_view() + stubs_used_;
  memory_.write(start, code);
  stubs_used_ = (stubs_used_ + code.size() + kStubAlignment - 1) & ~(kStubAlignment - 1);
  return start;
}

void CodeCache::empty(Chunk& chunk) {
  chunk.regions.clear();
  chunk.sites.clear();
  chunk.exits.clear();
  chunk.first = chunk.main_made = chunk.begin;
  chunk.last = chunk.rare_made = chunk.end;
}

void CodeCache::write_jump(const u8* from, const u8* to) {
  std::array<u8, 5> code{0xe9};
  const i32 displacement = static_cast<i32>(to - (from + code.size()));
  std::memcpy(&code[1], &displacement, 4);
  write(from, code);
}

void CodeCache::advance() {
  current_ = next_index();
  empty(current());
}

void CodeCache::clear() {
  for (Chunk& chunk : chunks_) empty(chunk);
  current_ = 0;
}

CodeCache::Place CodeCache::place(u64 main_bytes, u64 rare_bytes) {
  Chunk& chunk = current();
  const u64 main_size = (main_bytes + kAlignment - 1) & ~(kAlignment - 1);
  const u64 rare_size = (rare_bytes + kAlignment - 1) & ~(kAlignment - 1);
  if (!room(main_size + rare_size)) return {};
  Place place;
  place.main = memory_.run_view() + chunk.first;
  const u64 before = chunk.first;
  chunk.first += main_size;
  const u64 first_granule = (before + kGranule - 1) / kGranule;
  const u64 end_granule = (chunk.first + kGranule - 1) / kGranule;
  if (end_granule > region_index_.size()) region_index_.resize(end_granule);
  std::fill(region_index_.begin() + static_cast<std::ptrdiff_t>(first_granule),
            region_index_.begin() + static_cast<std::ptrdiff_t>(end_granule),
            static_cast<u32>(chunk.regions.size() - 1));
  chunk.last -= rare_size;
  make_pages(chunk);
  place.rare = memory_.run_view() + chunk.last;
  return place;
}

/// Pages for what was placed, and some more. The main line gets huge ones once it is long: short
/// programs shall not pay for 2 MiB.
void CodeCache::make_pages(Chunk& chunk) {
  constexpr u64 kStep = 64 * kKiB;
  constexpr u64 kHuge = ExecutableMemory::kHugePage;
  const u8* const run = memory_.run_view();
  while (chunk.main_made < chunk.first) {
    const u64 at = chunk.main_made;
    const bool huge = at % kHuge == 0 && at >= chunk.begin + kHuge / 4 && at + kHuge <= chunk.last;
    if (huge) memory_.make_huge(run + at);
    const u64 end = huge ? at + kHuge : std::min((at / kStep + 1) * kStep, chunk.end);
    memory_.populate(run + at, end - at);
    chunk.main_made = end;
  }
  while (chunk.rare_made > chunk.last) {
    const u64 begin = std::max((chunk.rare_made - 1) / kStep * kStep, chunk.begin);
    memory_.populate(run + begin, chunk.rare_made - begin);
    chunk.rare_made = begin;
  }
}

TranslatedRegion* CodeCache::region_at(const u8* address) {
  const u64 offset = static_cast<u64>(address - memory_.run_view());
  const u64 number = (offset - kStubBytes) / chunk_bytes_;
  if (offset < kStubBytes || number >= chunks_.size()) return nullptr;
  Chunk& chunk = chunks_[number];
  if (offset >= chunk.first || chunk.regions.empty()) return nullptr;
  // A granule in which the chunk's first region begins has no index of its own.
  std::size_t i = offset / kGranule * kGranule < chunk.begin ? 0 : region_index_[offset / kGranule];
  while (i + 1 < chunk.regions.size() && chunk.regions[i + 1].entry <= address) ++i;
  return chunk.regions[i].entry <= address ? &chunk.regions[i] : nullptr;
}

u64 CodeCache::bytes_used() const {
  u64 used = 0;
  for (const Chunk& c : chunks_) used += (c.first - c.begin) + (c.end - c.last);
  return used;
}

}  // namespace dragoman
