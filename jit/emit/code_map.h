// Which host code belongs to which guest instruction, noted while it is emitted.
#pragma once

#include <deque>
#include <functional>
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
  std::vector<CodeRange> take() { return std::move(ranges_); }

 private:
  CodeRange current_;
  std::size_t base_ = 0;
  std::vector<CodeRange> ranges_;
};

/// Code that is emitted behind the main line, later. Each piece keeps the owner it was put off for.
class OutOfLine {
 public:
  explicit OutOfLine(CodeMap& map) : map_(map) {}
  void push_back(std::function<void()> piece) {
    pieces_.push_back({map_.current(), std::move(piece)});
  }
  /// Emits all pieces, also those they put off in turn. `offset` tells where the code is.
  template <class Offset>
  void emit(Offset&& offset) {
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
      const CodeRange owner = pieces_[i].owner;
      map_.start(offset(), CodePart::kRare, owner.block, owner.instruction);
      pieces_[i].code();
    }
  }

 private:
  struct Piece {
    CodeRange owner;
    std::function<void()> code;
  };
  CodeMap& map_;
  std::deque<Piece> pieces_;
};

}  // namespace dragoman
