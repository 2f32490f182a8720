#include "cpu/execute/block_cache.h"

#include <algorithm>
#include <new>

#include "cpu/execute/translation.h"

namespace dragoman {

BlockCache::BlockCache(GuestMemory& memory)
    : memory_(memory),
      buckets_(kBuckets),
      memory_of_blocks_(static_cast<std::byte*>(allocate_huge(kBytes))) {}

BlockCache::~BlockCache() { release_huge(memory_of_blocks_, kBytes); }

void* BlockCache::allocate(std::size_t bytes) {
  bytes = (bytes + 15) & ~std::size_t{15};
  void* place = memory_of_blocks_ + used_;
  used_ += bytes;
  return place;
}

BlockCache::PageCode& BlockCache::page_code(u64 page) {
  const u64 group = page / kPagesPerGroup;
  if (group >= pages_.size()) pages_.resize(group + 1);
  if (pages_[group] == nullptr) pages_[group] = std::make_unique<PageGroup>();
  return (*pages_[group])[page % kPagesPerGroup];
}

Block* BlockCache::insert(u64 offset, u32 key, const Instruction* instructions, unsigned count,
                          unsigned bytes, u64 second_offset) {
  auto* block = new (allocate(sizeof(Block))) Block;
  block->offset = offset;
  block->second_offset = second_offset;
  block->key = key;
  block->count = static_cast<u16>(count);
  block->bytes = static_cast<u16>(bytes);
  block->instructions = static_cast<Instruction*>(allocate(count * sizeof(Instruction)));
  std::uninitialized_copy_n(instructions, count, block->instructions);

  Block*& head = buckets_[bucket(offset, key)];
  block->hash_next = head;
  head = block;
  const u64 page = offset >> kPageShift;
  PageCode& first = page_code(page);
  block->page_next = first.first;
  first.first = block;
  first.lines |= line_mask(offset, block->first_bytes());
  memory_.mark_code(page);
  if (block->crosses()) {
    const u64 second_page = second_offset >> kPageShift;
    PageCode& second = page_code(second_page);
    block->second_next = second.second;
    second.second = block;
    second.lines |= line_mask(second_offset, bytes - block->first_bytes());
    memory_.mark_code(second_page);
  }
  return block;
}

void BlockCache::unlink_hash(Block& block) {
  Block** link = &buckets_[bucket(block.offset, block.key)];
  while (*link != &block) link = &(*link)->hash_next;
  *link = block.hash_next;
}

void BlockCache::unlink_first(Block& block) {
  Block** link = &page_code(block.offset >> kPageShift).first;
  while (*link != &block) link = &(*link)->page_next;
  *link = block.page_next;
}

void BlockCache::unlink_second(Block& block) {
  Block** link = &page_code(block.second_offset >> kPageShift).second;
  while (*link != &block) link = &(*link)->second_next;
  *link = block.second_next;
}

/// Takes a block out of everything but the list that is being walked.
void BlockCache::drop(Block& block, Handler cancelled) {
  unlink_hash(block);
  for (unsigned i = 0; i < block.count; ++i) block.instructions[i].handler = cancelled;
  if (block.translated != nullptr) translation_->forget(block);
  block.key = Block::kDropped;
}

void BlockCache::invalidate(u64 offset, u64 length, Handler cancelled, Handler keep) {
  const u64 page = offset >> kPageShift;
  if (!may_hold_code(offset, length)) return;  // data beside code
  PageCode& here = page_code(page);
  u64 lines = 0;
  const auto clear_if_empty = [this](u64 which) {
    PageCode& code = page_code(which);
    if (code.empty()) {
      code.lines = 0;
      memory_.clear_code(which);
    }
  };
  Block** link = &here.first;
  while (*link != nullptr) {
    Block& block = **link;
    const bool kept =
        keep != nullptr && block.offset == offset && block.instructions[0].handler == keep;
    if (offset < block.offset + block.first_bytes() && block.offset < offset + length && !kept) {
      *link = block.page_next;
      drop(block, cancelled);
      if (block.crosses()) {
        unlink_second(block);
        clear_if_empty(block.second_offset >> kPageShift);
      }
    } else {
      lines |= line_mask(block.offset, block.first_bytes());
      link = &block.page_next;
    }
  }
  link = &here.second;
  while (*link != nullptr) {
    Block& block = **link;
    const u64 rest = block.bytes - block.first_bytes();
    if (offset < block.second_offset + rest && block.second_offset < offset + length) {
      *link = block.second_next;
      drop(block, cancelled);
      unlink_first(block);
      clear_if_empty(block.offset >> kPageShift);
    } else {
      lines |= line_mask(block.second_offset, rest);
      link = &block.second_next;
    }
  }
  here.lines = lines;
  clear_if_empty(page);
}

void BlockCache::clear() {
  if (translation_ != nullptr) translation_->forget_all();
  for (std::size_t group = 0; group < pages_.size(); ++group) {
    for (u64 i = 0; pages_[group] != nullptr && i < kPagesPerGroup; ++i) {
      if (!(*pages_[group])[i].empty()) memory_.clear_code(group * kPagesPerGroup + i);
    }
  }
  std::fill(buckets_.begin(), buckets_.end(), nullptr);
  pages_.clear();
  used_ = 0;
  ++generation_;
}

}  // namespace dragoman
