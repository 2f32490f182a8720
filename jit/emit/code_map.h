// Which host code belongs to which guest instruction, noted while it is emitted.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "jit/region_observer.h"

namespace dragoman {

/// Ranges of a region's host code. Costs a store per instruction; nobody need look at them.
class CodeMap {
 public:
  /// Code from `offset` on is of this part, until the next call.
  void start(std::size_t offset, CodePart part, int block = -1, int instruction = -1) {
    current_ = {static_cast<u32>(base_ + offset), part, static_cast<i16>(block),
                static_cast<i16>(instruction)};
    if (!ranges_.empty() && ranges_.back().begin == current_.begin) ranges_.pop_back();
    ranges_.push_back(current_);
  }
  /// Offsets count anew from here on, for code that is placed behind the first `bytes`.
  void put_behind(std::size_t bytes) { base_ = bytes; }
  const CodeRange& current() const { return current_; }
  const std::vector<CodeRange>& ranges() const { return ranges_; }
  void clear() {
    ranges_.clear();
    base_ = 0;
  }

 private:
  CodeRange current_;
  std::size_t base_ = 0;
  std::vector<CodeRange> ranges_;
};

/// Code that is emitted behind the main line, later. Each piece keeps the owner it was put off for.
class OutOfLine {
 public:
  explicit OutOfLine(CodeMap& map) : map_(map) {}

  /// False when there is no room for more.
  template <class Code>
  bool push_back(const Code& code) {
    static_assert(std::is_trivially_destructible_v<Code>);
    static_assert(alignof(Code) <= kAlignment);
    constexpr std::size_t kSize = (sizeof(Code) + kAlignment - 1) & ~(kAlignment - 1);
    if (used_ + kSize > kBytes) return false;
    void* const at = memory_.get() + used_;
    used_ += kSize;
    pieces_.push_back(
        {map_.current(), [](void* piece) { (*static_cast<Code*>(piece))(); }, new (at) Code(code)});
    return true;
  }
  /// Emits all pieces, also those they put off in turn. `offset` tells where the code is.
  template <class Offset>
  void emit(Offset&& offset) {
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
      const Piece piece = pieces_[i];
      map_.start(offset(), CodePart::kRare, piece.owner.block, piece.owner.instruction);
      piece.run(piece.code);
    }
  }
  void clear() {
    pieces_.clear();
    used_ = 0;
  }

 private:
  static constexpr std::size_t kAlignment = 16;
  static constexpr std::size_t kBytes = std::size_t{1} << 20;
  struct Piece {
    CodeRange owner;
    void (*run)(void* piece);
    void* code;
  };
  CodeMap& map_;
  std::vector<Piece> pieces_;
  std::unique_ptr<std::byte[]> memory_{new std::byte[kBytes]};
  std::size_t used_ = 0;
};

}  // namespace dragoman
