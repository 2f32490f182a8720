// How control goes through the blocks of a region.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "jit/plan.h"

namespace dragoman {

class RegionFlow {
 public:
  /// Finds the edges of a plan whose blocks are complete; the plan outlives its use here.
  explicit RegionFlow(const RegionPlan& plan);

  /// A way from an instruction of a block, its last one where it falls through.
  struct Edge {
    std::size_t from = 0;  ///< block
    unsigned at = 0;       ///< instruction
  };
  const std::vector<Edge>& edges_to(std::size_t block) const { return edges_to_[block]; }

  /// All blocks, each behind those that lead to it, but for ways round loops.
  std::span<const u8> order() const { return {order_.data(), count_}; }
  bool comes_before(std::size_t block, std::size_t other) const {
    return position_[block] < position_[other];
  }
  /// The block is on every way from the entry to `other`, which may be itself.
  bool dominates(std::size_t block, std::size_t other) const {
    return (dominators_[other] >> block & 1) != 0;
  }

  /// What happens on ways round a loop.
  struct Effects {
    u32 written = 0;             ///< registers, as bits
    bool forgets_pages = false;  ///< no page that was looked up before is sure any more
  };
  /// Of the loop from `head` that the edge `back` closes, whose block the head dominates. Blocks go
  /// on behind branches out of the loop: that is no part of it.
  Effects effects_of_loop(std::size_t head, const Edge& back) const;

 private:
  void find_edges();
  void find_order();
  void find_dominators();

  static_assert(kMaxRegionBlocks <= 64);  // bits of a set
  const RegionPlan& plan_;
  std::size_t count_;
  std::vector<std::vector<Edge>> edges_to_;
  std::array<u8, kMaxRegionBlocks> order_{}, position_{};
  std::array<u64, kMaxRegionBlocks> dominators_{};
};

}  // namespace dragoman
