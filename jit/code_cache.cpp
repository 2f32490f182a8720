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
  make_records(current());
}

const void* CodeCache::add_stub(std::span<const u8> code) {
  if (code.empty() || !memory_.map() || stubs_used_ + code.size() > kStubBytes) return nullptr;
  const u8* start = memory_.run_view() + stubs_used_;
  write(start, code);
  stubs_used_ = (stubs_used_ + code.size() + kStubAlignment - 1) & ~(kStubAlignment - 1);
  return start;
}

/// About as much memory goes into records as into code.
void CodeCache::make_records(Chunk& chunk) {
  chunk.records = std::make_unique<Records>(chunk_bytes_ / 4);
}

bool CodeCache::room(u64 bytes) const {
  const Chunk& chunk = chunks_[current_];
  return chunk.last - chunk.first >= bytes + chunk.records->memory.bytes();
}

void CodeCache::empty(Chunk& chunk) {
  chunk.records.reset();
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
  make_records(current());
}

void CodeCache::clear() {
  for (Chunk& chunk : chunks_) empty(chunk);
  current_ = 0;
  make_records(current());
}

CodeCache::Place CodeCache::place(u64 main_bytes, u64 rare_bytes) {
  Chunk& chunk = current();
  const u64 main_size = (main_bytes + kAlignment - 1) & ~(kAlignment - 1);
  const u64 rare_size = (rare_bytes + kAlignment - 1) & ~(kAlignment - 1);
  if (chunk.last - chunk.first < main_size + rare_size) return {};
  Place place;
  place.main = memory_.run_view() + chunk.first;
  chunk.first += main_size;
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

void CodeCache::add_call(const u8* back, u32 site) {
  const u64 offset = static_cast<u64>(back - memory_.run_view());
  Records& r = *current().records;
  // Calls come in the order of their addresses.
  const u64 granule = (offset - current().begin) / kGranule;
  while (r.first_call.size() <= granule) r.first_call.push_back(static_cast<u32>(r.calls.size()));
  r.calls.emplace_back() = {static_cast<u32>(offset), site};
}

Site& CodeCache::site_of_call(const u8* back) {
  const u64 offset = static_cast<u64>(back - memory_.run_view());
  const Chunk& chunk = chunks_[(offset - kStubBytes) / chunk_bytes_];
  Records& r = *chunk.records;
  u32 i = r.first_call[(offset - chunk.begin) / kGranule];
  while (r.calls[i].back != offset) ++i;
  return r.sites[r.calls[i].site];
}

void CodeCache::add_window(const u8* at, u32 site) {
  current().records->windows.emplace_back() = {static_cast<u32>(at - memory_.run_view()), site};
}

Site* CodeCache::site_of_fault(const u8* at) {
  for (Chunk& chunk : chunks_) {
    const std::span<const u8> code = code_of(chunk);
    if (at < code.data() || at >= code.data() + code.size() || chunk.records == nullptr) continue;
    auto& windows = chunk.records->windows;
    const u64 offset = static_cast<u64>(at - memory_.run_view());
    std::size_t low = 0, high = windows.size();  // the first one that begins behind it
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      (windows[middle].begin <= offset ? low = middle + 1 : high = middle);
    }
    if (low == 0 || offset - windows[low - 1].begin >= kMostOfAccess) return nullptr;
    return &chunk.records->sites[windows[low - 1].site];
  }
  return nullptr;
}

std::optional<u32> CodeCache::recipe_number(const FlagRecipe& recipe) {
  constexpr std::size_t kMost = 1024;  // looked through one by one
  const auto found = std::find(recipes_.begin(), recipes_.end(), recipe);
  if (found == recipes_.end()) {
    if (recipes_.size() == kMost) return std::nullopt;
    recipes_.push_back(recipe);
    return static_cast<u32>(recipes_.size() - 1);
  }
  return static_cast<u32>(found - recipes_.begin());
}

u64 CodeCache::bytes_used() const {
  u64 used = 0;
  for (const Chunk& c : chunks_) used += (c.first - c.begin) + (c.end - c.last);
  return used;
}

}  // namespace dragoman
