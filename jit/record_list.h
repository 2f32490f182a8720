// Where the code cache keeps what it knows of its regions: records that are made one after the
// other and go together, so that they lie close to each other and none is freed by itself.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory_resource>
#include <new>
#include <utility>
#include <vector>

#include "base/address_room.h"
#include "base/huge_pages.h"

namespace dragoman {

/// Hands out memory from the front of large blocks and takes it back as a whole, with itself.
class RecordMemory final : public std::pmr::memory_resource {
 public:
  /// Blocks of kHugePageBytes lie in huge pages of the host.
  explicit RecordMemory(std::size_t block_bytes)
      : block_bytes_(std::min<std::size_t>(block_bytes, kHugePageBytes)) {}
  RecordMemory(const RecordMemory&) = delete;
  RecordMemory& operator=(const RecordMemory&) = delete;
  ~RecordMemory() override {
    for (const Block& block : blocks_) {
      if (block.bytes == kHugePageBytes) {
        release_huge(block.memory, block.bytes);
      } else {
        ::operator delete(block.memory);
      }
    }
  }
  /// Of all blocks.
  std::size_t bytes() const { return bytes_; }

 private:
  struct Block {
    void* memory;
    std::size_t bytes;
  };

  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    next_ += -next_ & (alignment - 1);
    if (next_ + bytes > end_) {
      const std::size_t size = std::max(bytes, block_bytes_);
      void* const memory = size == kHugePageBytes ? allocate_huge(size) : ::operator new(size);
      blocks_.push_back({memory, size});
      bytes_ += size;
      next_ = reinterpret_cast<std::uintptr_t>(memory);
      end_ = next_ + size;
    }
    void* const place = reinterpret_cast<void*>(next_);
    next_ += bytes;
    return place;
  }
  void do_deallocate(void*, std::size_t, std::size_t) override {}
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  std::size_t block_bytes_;
  std::size_t bytes_ = 0;
  std::vector<Block> blocks_;
  std::uintptr_t next_ = 0, end_ = 0;
};

/// Records that stay where they are while more come. Made with `allocator_type` where they have
/// one.
template <class T>
class RecordList {
 public:
  explicit RecordList(RecordMemory& memory) : memory_(&memory) {}
  RecordList(const RecordList&) = delete;
  RecordList& operator=(const RecordList&) = delete;
  ~RecordList() { shrink(0); }

  T& emplace_back() {
    if (size_ == pieces_.size() * kPerPiece) pieces_.push_back(memory_.allocate(kPerPiece));
    T* const place = &pieces_[size_ / kPerPiece][size_ % kPerPiece];
    memory_.construct(place);
    ++size_;
    return *place;
  }
  /// Takes the newest ones away until `size` are left.
  void shrink(std::size_t size) {
    while (size_ > size) {
      --size_;
      (*this)[size_].~T();
    }
  }
  T& operator[](std::size_t i) { return pieces_[i / kPerPiece][i % kPerPiece]; }
  std::size_t size() const { return size_; }

 private:
  static constexpr std::size_t kPerPiece = 64;
  std::pmr::polymorphic_allocator<T> memory_;
  std::vector<T*> pieces_;
  std::size_t size_ = 0;
};

}  // namespace dragoman
