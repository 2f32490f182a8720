#include "cpu/execute/block_cache.h"

#include <algorithm>
#include <new>

#include "cpu/execute/translation.h"

namespace dragoman {

BlockCache::BlockCache(GuestMemory& memory) : memory_(memory), buckets_(kBuckets) {}

void* BlockCache::allocate(std::size_t bytes) {
  bytes = (bytes + 15) & ~std::size_t{15};
  if (used_ + bytes > kChunkBytes) {
    chunks_.push_back(std::make_unique_for_overwrite<std::byte[]>(kChunkBytes));
    used_ = 0;
  }
  void* place = chunks_.back().get() + used_;
  used_ += bytes;
  return place;
}

Block* BlockCache::insert(u64 offset, u32 key, const Instruction* instructions, unsigned count,
                          unsigned bytes) {
  auto* block = new (allocate(sizeof(Block))) Block;
  block->offset = offset;
  block->key = key;
  block->count = static_cast<u16>(count);
  block->bytes = static_cast<u16>(bytes);
  block->instructions = static_cast<Instruction*>(allocate(count * sizeof(Instruction)));
  std::uninitialized_copy_n(instructions, count, block->instructions);

  Block*& head = buckets_[bucket(offset, key)];
  block->hash_next = head;
  head = block;
  const u64 page = offset >> kPageShift;
  if (page >= pages_.size()) pages_.resize(page + 1);
  block->page_next = pages_[page].first;
  pages_[page].first = block;
  pages_[page].lines |= line_mask(offset, bytes);
  memory_.mark_code(page);
  return block;
}

void BlockCache::unlink_hash(Block& block) {
  Block** link = &buckets_[bucket(block.offset, block.key)];
  while (*link != &block) link = &(*link)->hash_next;
  *link = block.hash_next;
}

void BlockCache::invalidate(u64 offset, u64 length, Handler cancelled) {
  const u64 page = offset >> kPageShift;
  if (page >= pages_.size()) return;
  if (!(pages_[page].lines & line_mask(offset, length))) return;  // data beside code
  u64 lines = 0;
  Block** link = &pages_[page].first;
  while (*link != nullptr) {
    Block& block = **link;
    if (offset < block.offset + block.bytes && block.offset < offset + length) {
      *link = block.page_next;
      unlink_hash(block);
      for (unsigned i = 0; i < block.count; ++i) block.instructions[i].handler = cancelled;
      if (block.translated != nullptr) translation_->forget(block);
      ++generation_;
    } else {
      lines |= line_mask(block.offset, block.bytes);
      link = &block.page_next;
    }
  }
  pages_[page].lines = lines;
  if (pages_[page].first == nullptr) memory_.clear_code(page);
}

void BlockCache::clear() {
  if (translation_ != nullptr) translation_->forget_all();
  for (std::size_t page = 0; page < pages_.size(); ++page) {
    if (pages_[page].first != nullptr) memory_.clear_code(page);
  }
  std::fill(buckets_.begin(), buckets_.end(), nullptr);
  pages_.clear();
  chunks_.clear();
  used_ = kChunkBytes;
  ++generation_;
}

}  // namespace dragoman
