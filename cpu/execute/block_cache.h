// Decoded blocks, keyed by where their bytes are in the memory pool and by the mode they were
// decoded for. The interpreter runs these; the translator will attach host code to them.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include "base/huge_pages.h"
#include "base/types.h"
#include "cpu/decode/instruction.h"
#include "memory/guest_memory.h"

namespace dragoman {

/// A straight run of decoded instructions inside one page, or one instruction that reaches into the
/// next page.
struct Block {
  static constexpr u64 kOnePage = ~u64{0};
  static constexpr u32 kDropped = ~u32{0};  ///< no mode's key

  u64 offset = 0;                ///< pool offset of the first byte
  u64 second_offset = kOnePage;  ///< pool offset of the part on the next linear page
  u32 key = 0;                   ///< mode key (Cpu::update_mode), or kDropped
  u16 count = 0;
  u16 bytes = 0;
  Block* hash_next = nullptr;
  Block* page_next = nullptr;
  Block* second_next = nullptr;  ///< in the list of the second page
  Instruction* instructions = nullptr;
  /// Of its instructions, as bits: those that read from where a later one writes, but found the
  /// page not to be written time and again. The Translation's.
  u32 reads_only = 0;
  /// Instructions, a bit each, whose addresses were not found in the part of a LinearWindow where
  /// they were looked for; and in none, or which cannot be shown there.
  u32 mixed = 0, outside = 0;
  /// Those whose base and index say only together where they access.
  u32 paired = 0;
  u32 runs = 0;  ///< times interpreted, until it is worth translating
  /// `outside` was forgotten once: the block runs often, and what was so as a program began may
  /// be over. The Translation's.
  bool tried_again = false;
  void* translated = nullptr;  ///< belongs to the Translation

  bool crosses() const { return second_offset != kOnePage; }
  /// Bytes on the first page.
  u64 first_bytes() const { return crosses() ? kPageSize - (offset & kPageMask) : bytes; }
};

class Translation;
struct Row;

/// Decoding stops behind an instruction of this row.
bool ends_block(const Row& row);

/// Finds and keeps blocks; forgets those whose bytes change.
class BlockCache {
 public:
  static constexpr unsigned kMaxInstructions = 32;  ///< as many as a mask of them has bits

  explicit BlockCache(GuestMemory& memory);
  ~BlockCache();
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  Block* find(u64 offset, u32 key, u64 second_offset = Block::kOnePage) const {
    for (Block* b = buckets_[bucket(offset, key)]; b != nullptr; b = b->hash_next) {
      if (b->offset == offset && b->key == key && b->second_offset == second_offset) return b;
    }
    return nullptr;
  }
  /// Copies the instructions into the cache and marks their pages as code.
  Block* insert(u64 offset, u32 key, const Instruction* instructions, unsigned count,
                unsigned bytes, u64 second_offset = Block::kOnePage);
  /// Bytes changed: removes overlapping blocks. Their instructions get the handler `cancelled`,
  /// so that a block that is being executed stops before the next instruction.
  /// Blocks that begin at `offset` with the handler `keep` stay.
  void invalidate(u64 offset, u64 length, Handler cancelled, Handler keep = nullptr);
  /// True when decoded code may lie in these bytes of one page (in units of 64 bytes).
  bool may_hold_code(u64 offset, u64 length) const {
    const PageCode* const page = find_page(offset >> kPageShift);
    return page != nullptr && (page->lines & line_mask(offset, length)) != 0;
  }
  /// Forgets everything; not while a block is executed.
  void clear();
  /// True when the cache should be cleared before the next insert.
  bool full() const { return used_ + kSpare > bound_; }
  /// Blocks shall take about so much memory at most; 128 MiB unless told.
  void set_bound(std::size_t bytes) { bound_ = bytes < kBytes ? bytes : kBytes; }

  /// Told about blocks that go; may be null.
  void set_translation(Translation* translation) { translation_ = translation; }

  /// Changes when the memory of all blocks is used anew; caches of Block pointers compare it, and
  /// look whether their block was dropped.
  u64 generation() const { return generation_; }

 private:
  static constexpr u64 kBuckets = u64{1} << 18;
  static constexpr std::size_t kBytes = std::size_t{128} << 20;
  /// More than the largest block.
  static constexpr std::size_t kSpare = kMaxInstructions * sizeof(Instruction) + 1024;

  static u64 bucket(u64 offset, u32 key) {
    return ((offset * 0x9e3779b97f4a7c15u) >> 40 ^ key * 0x45d9f3bu) & (kBuckets - 1);
  }
  void* allocate(std::size_t bytes);
  void unlink_hash(Block& block);
  void unlink_first(Block& block);
  void unlink_second(Block& block);
  void drop(Block& block, Handler cancelled);

  GuestMemory& memory_;
  std::vector<Block*, HugeAllocator<Block*>> buckets_;
  /// Blocks of one page, and which of its 64-byte lines hold code.
  struct PageCode {
    Block* first = nullptr;
    Block* second = nullptr;  ///< that end here, on their second page
    u64 lines = 0;
    bool empty() const { return first == nullptr && second == nullptr; }
  };
  static u64 line_mask(u64 offset, u64 length) {
    const u64 first = (offset & kPageMask) >> 6;
    const u64 last = ((offset & kPageMask) + length - 1) >> 6;
    return (~u64{0} >> (63 - (last - first))) << first;
  }

  /// In groups, as code lies in few places of a large memory.
  static constexpr u64 kPagesPerGroup = 256;
  using PageGroup = std::array<PageCode, kPagesPerGroup>;
  PageCode* find_page(u64 page) const {
    const u64 group = page / kPagesPerGroup;
    return group < pages_.size() && pages_[group] != nullptr
               ? &(*pages_[group])[page % kPagesPerGroup]
               : nullptr;
  }
  PageCode& page_code(u64 page);

  std::vector<std::unique_ptr<PageGroup>> pages_;
  std::byte* const memory_of_blocks_;  ///< kBytes, taken as needed from the front
  std::size_t used_ = 0, bound_ = kBytes;
  u64 generation_ = 1;
  Translation* translation_ = nullptr;
};

}  // namespace dragoman
