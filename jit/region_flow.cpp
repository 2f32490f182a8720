#include "jit/region_flow.h"

#include <algorithm>

namespace dragoman {

RegionFlow::RegionFlow(const RegionPlan& plan)
    : plan_(plan), count_(plan.blocks.size()), edges_to_(count_) {
  dominators_[0] = 1;
  if (count_ == 1 && !plan.blocks[0].loop_head) return;
  find_edges();
  find_order();
  find_dominators();
}

void RegionFlow::find_edges() {
  const auto add = [this](int to, std::size_t from, std::size_t at) {
    if (to >= 0)
      edges_to_[static_cast<std::size_t>(to)].push_back({from, static_cast<unsigned>(at)});
  };
  for (std::size_t i = 0; i < count_; ++i) {
    const PlannedBlock& b = plan_.blocks[i];
    for (std::size_t k = 0; k < b.instructions.size(); ++k) add(b.instructions[k].target, i, k);
    add(b.next, i, b.instructions.size() - 1);
  }
}

/// Depth first, a block when all behind it are done, and that from the back.
void RegionFlow::find_order() {
  std::array<u64, kMaxRegionBlocks> next{};
  for (std::size_t to = 0; to < count_; ++to) {
    for (const Edge& e : edges_to_[to]) next[e.from] |= u64{1} << to;
  }
  u64 seen = 0;
  std::size_t place = count_;
  const auto visit = [&](const auto& self, std::size_t block) -> void {
    seen |= u64{1} << block;
    for (std::size_t to = 0; to < count_; ++to) {
      if ((next[block] & ~seen) >> to & 1) self(self, to);
    }
    order_[--place] = static_cast<u8>(block);
    position_[block] = static_cast<u8>(place);
  };
  visit(visit, 0);
}

void RegionFlow::find_dominators() {
  std::fill_n(dominators_.begin() + 1, count_ - 1, ~u64{0});
  for (bool changed = true; changed;) {
    changed = false;
    for (const std::size_t i : order().subspan(1)) {
      u64 set = ~u64{0};
      for (const Edge& e : edges_to_[i]) set &= dominators_[e.from];
      set |= u64{1} << i;
      changed |= set != dominators_[i];
      dominators_[i] = set;
    }
  }
}

namespace {
bool forgets_pages(const PlannedInstruction& p) {
  return p.how == Emission::kInterpreted || p.how == Emission::kLoadSegment ||
         p.how == Emission::kSwapGs;
}
}  // namespace

RegionFlow::Effects RegionFlow::effects_of_loop(std::size_t head, const Edge& back) const {
  std::vector<unsigned> executed(count_);  // instructions on such a way
  std::vector<Edge> open = {back};
  while (!open.empty()) {
    const Edge e = open.back();
    open.pop_back();
    const bool met = executed[e.from] != 0;
    executed[e.from] = std::max(executed[e.from], e.at + 1);
    if (e.from != head && !met)
      open.insert(open.end(), edges_to_[e.from].begin(), edges_to_[e.from].end());
  }
  Effects effects;
  for (std::size_t i = 0; i < count_; ++i) {
    for (unsigned k = 0; k < executed[i]; ++k) {
      const PlannedInstruction& p = plan_.blocks[i].instructions[k];
      effects.written |= p.registers_written;
      effects.forgets_pages |= forgets_pages(p);
    }
  }
  return effects;
}

}  // namespace dragoman
