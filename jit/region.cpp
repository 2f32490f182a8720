// Collects the blocks of a region and annotates them: edges, live flags.
#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "cpu/execute/forms.h"
#include "cpu/isa/rows.h"
#include "jit/classify.h"
#include "jit/translator.h"

namespace dragoman {
namespace {

/// Edges from the entry.
constexpr unsigned kMostDepth = 24;

u64 branch_target(const PlannedInstruction& p) {
  const u64 target = p.next_rip + p.insn->immediate;
  return p.insn->operand_size == 2   ? static_cast<u16>(target)
         : p.insn->operand_size == 4 ? static_cast<u32>(target)
                                     : target;
}

bool relative(const PlannedInstruction& p) {
  return row(p.insn->row).operands[0].addressing == Addressing::kJ;
}

// --- Blocks and edges -----------------------------------------------------------------------

class Collector {
 public:
  Collector(Cpu& cpu, RegionPlan& plan, const TranslatorOptions& options,
            const FrequentBlock& frequent)
      : cpu_(cpu), plan_(plan), options_(options), frequent_(frequent) {}

  void collect(Block& head, const RegionRequest& request) {
    many_ = request.hot;
    plan_.entry_offset = head.offset;
    second_of_.fill(-1);
    if (head.crosses()) {
      const u64 linear = plan_.code_bits == 64
                             ? request.rip
                             : static_cast<u32>(cpu_.state.segments[kCs].base + request.rip);
      know_page((linear & ~kPageMask) + kPageSize, head.second_offset);
    }
    (void)add(head, request.rip, Returns(plan_.blocks.get_allocator()));
    // Depth first, so that a block that has one way in follows its parent.
    visit(0);
    mark_loops();
  }

 private:
  /// Return addresses of the calls that lead to a block of the region, the innermost last.
  using Returns = std::pmr::vector<u64>;
  static constexpr std::size_t kMostCalls = 6;

  int add(Block& block, u64 rip, const Returns& returns) {
    if (many_ && !std::exchange(block.tried_again, true)) block.outside = 0;
    PlannedBlock& b = plan_.blocks.emplace_back();
    b.block = &block;
    b.rip = rip;
    b.returns = returns;
    b.instructions.reserve(block.count);
    u64 at = rip;
    for (unsigned i = 0; i < block.count; ++i) {
      const Instruction& insn = block.instructions[i];
      at += insn.length;
      b.instructions.push_back(plan_instruction(cpu_, insn, at, options_));
    }
    plan_.instructions += block.count;
    // Nothing may come between STI and the next instruction (SDM vol. 2, STI).
    if (row(b.instructions.back().insn->row).operation == Operation::kSti)
      b.instructions.back().how = Emission::kInterpreted;
    const PlannedInstruction& last = b.instructions.back();
    b.falls_through = last.how != Emission::kJump && last.how != Emission::kCall &&
                      last.how != Emission::kReturn && last.how != Emission::kCountBranch;
    return static_cast<int>(plan_.blocks.size() - 1);
  }

  void know_page(u64 linear, u64 offset) {
    const u8* host = cpu_.memory().memory().base() + (offset & ~kPageMask);
    plan_.pages.push_back({linear, reinterpret_cast<u64>(host) - linear});
  }

  /// Offset in the pool of the code at `rip`, if the region may contain its page.
  std::optional<u64> code_offset(u64 rip) {
    if (const auto offset = plan_.on_entry_page(rip)) return offset;
    if (plan_.code_bits != 64) return std::nullopt;
    const GuestMemory& pool = cpu_.memory().memory();
    for (const GuardedPage& known : plan_.pages) {
      if (known.linear == (rip & ~kPageMask))
        return pool.offset_of(reinterpret_cast<const u8*>(rip + known.delta));
    }
    if (plan_.pages.size() >= kMaxGuardedPages) return std::nullopt;
    const ShadowTable::Fetch* fetch = TranslatorAccess::fetch(cpu_, rip);
    if (fetch == nullptr) return std::nullopt;
    return pool.offset_of(reinterpret_cast<const u8*>(rip + fetch->delta));
  }

  struct Way {
    int from;     ///< block
    unsigned at;  ///< instruction
  };
  /// The block of the region at `rip`, to which `way` leads, if it can be part of it.
  int member(u64 rip, const Returns& returns, unsigned depth, Way way) {
    if (!many_) return -1;
    // A loop's first round is a copy of its own: what it looked up need not be looked up again.
    unsigned instances = 0;
    int newest = -1;
    for (std::size_t i = 0; i < plan_.blocks.size(); ++i) {
      if (plan_.blocks[i].rip != rip || plan_.blocks[i].returns != returns || second_of_[i] >= 0)
        continue;
      ++instances;
      newest = static_cast<int>(i);
    }
    // A short loop of one block goes through it twice a round, which looks at the budget once.
    constexpr unsigned kShort = 8;
    if (second_of_[index_of(way.from)] == newest && newest >= 0) return newest;
    const bool twice = instances > 1 && newest == way.from && way.at < kShort && fits(newest) &&
                       depth <= kMostDepth;
    // Another loop that goes round through a loop of one block has a copy of that for itself.
    const bool inner = instances == 2 && newest != way.from && goes_to_itself_[index_of(newest)];
    if (newest >= 0 && !twice &&
        ((instances > 1 && !inner) || !active_[index_of(newest)] || !fits(newest)))
      return newest;
    if (plan_.blocks.size() >= kMaxRegionBlocks || depth > kMostDepth) return -1;
    const std::optional<u64> offset = code_offset(rip);
    if (!offset) return -1;
    const Block& head = *plan_.blocks[0].block;
    Block* block = TranslatorAccess::blocks(cpu_).find(*offset, head.key);
    if (block == nullptr || !frequent_(*block) ||
        plan_.instructions + block->count > kMaxRegionInstructions)
      return -1;
    if (plan_.code_bits != 64 && rip + block->bytes - 1 > cpu_.state.segments[kCs].limit) return -1;
    if (!knows(rip)) know_page(rip & ~kPageMask, *offset);
    const int index = add(*block, rip, returns);
    if (twice) {
      second_of_[index_of(index)] = newest;
      goes_to_itself_[index_of(newest)] = true;
    }
    visit(index, depth + 1);
    return index;
  }

  static std::size_t index_of(int block) { return static_cast<std::size_t>(block); }

  bool knows(u64 rip) const {
    return plan_.on_entry_page(rip) ||
           std::any_of(plan_.pages.begin(), plan_.pages.end(), [rip](const GuardedPage& known) {
             return known.linear == (rip & ~kPageMask);
           });
  }

  bool fits(int index) const {
    return plan_.blocks.size() < kMaxRegionBlocks &&
           plan_.instructions + plan_.blocks[static_cast<std::size_t>(index)].block->count <=
               kMaxRegionInstructions;
  }

  void visit(int index, unsigned depth = 0) {
    active_[static_cast<std::size_t>(index)] = true;
    visit_edges(index, depth);
    active_[static_cast<std::size_t>(index)] = false;
  }

  void visit_edges(int index, unsigned depth) {
    const auto block = [&]() -> PlannedBlock& {
      return plan_.blocks[static_cast<std::size_t>(index)];  // moves when blocks are added
    };
    if (!many_) return;
    const std::size_t count = block().instructions.size();
    for (std::size_t i = 0; i < count; ++i) {
      const Emission how = block().instructions[i].how;
      if (how != Emission::kConditional && how != Emission::kJump && how != Emission::kCall &&
          how != Emission::kReturn)
        continue;
      const PlannedInstruction p = block().instructions[i];
      const unsigned at = static_cast<unsigned>(i);
      Returns returns(block().returns, plan_.blocks.get_allocator());
      int target = -1;
      switch (how) {
        case Emission::kConditional:
        case Emission::kJump:
          if (!relative(p)) continue;
          target = member(branch_target(p), returns, depth, {index, at});
          break;
        case Emission::kCall:
          if (!relative(p) || !options_.calls || returns.size() >= kMostCalls) continue;
          returns.push_back(p.next_rip);
          target = member(branch_target(p), returns, depth, {index, at});
          break;
        case Emission::kReturn: {
          if (returns.empty()) continue;
          const u64 back = returns.back();
          returns.pop_back();
          target = member(back, returns, depth, {index, at});
          break;
        }
        default:
          continue;
      }
      block().instructions[i].target = target;
      if (target == index) goes_to_itself_[index_of(index)] = true;
    }
    if (!block().falls_through) return;
    const PlannedInstruction& last = block().instructions.back();
    if (ends_block(row(last.insn->row)) && last.how != Emission::kPopFlags) return;
    const Returns returns(block().returns, plan_.blocks.get_allocator());
    const int next = member(block().instructions.back().next_rip, returns, depth,
                            {index, static_cast<unsigned>(count - 1)});
    block().next = next;
  }

  /// An edge to a block that is not placed later closes a loop, or at least goes backwards.
  void mark_loops() {
    auto& blocks = plan_.blocks;
    const auto edge = [&](std::size_t from, unsigned at, int to, bool& back) {
      PlannedBlock& target = blocks[static_cast<std::size_t>(to)];
      back = static_cast<std::size_t>(to) <= from;
      ++target.entries;
      if (back) target.loop_head = true;
      target.parent = static_cast<int>(from);
      target.parent_index = at;
    };
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      for (unsigned k = 0; k < blocks[i].instructions.size(); ++k) {
        PlannedInstruction& p = blocks[i].instructions[k];
        if (p.target >= 0) edge(i, k, p.target, p.back_edge);
      }
      if (blocks[i].next >= 0) {
        edge(i, static_cast<unsigned>(blocks[i].instructions.size() - 1), blocks[i].next,
             blocks[i].next_back_edge);
      }
    }
    blocks[0].entries += 1;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      PlannedBlock& b = blocks[i];
      if (i == 0 || b.entries != 1 || b.loop_head) b.parent = -1;
    }
  }

  Cpu& cpu_;
  RegionPlan& plan_;
  const TranslatorOptions& options_;
  const FrequentBlock& frequent_;
  bool many_ = false;
  std::array<bool, kMaxRegionBlocks> active_{};  // blocks whose edges are being followed
  std::array<bool, kMaxRegionBlocks> goes_to_itself_{};
  std::array<int, kMaxRegionBlocks> second_of_;  // block that a loop goes through before, or -1
};

// --- Flags ----------------------------------------------------------------------------------

void find_live_flags(RegionPlan& plan, bool liveness) {
  constexpr u32 kAll = kArithmeticFlags | kExactFlags;
  if (!liveness) {
    for (PlannedBlock& b : plan.blocks) {
      b.live_in = kAll;
      for (PlannedInstruction& p : b.instructions) p.live_after = kAll;
    }
    return;
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t i = plan.blocks.size(); i-- > 0;) {
      PlannedBlock& b = plan.blocks[i];
      u32 live = b.next >= 0 ? plan.blocks[static_cast<std::size_t>(b.next)].live_in : kAll;
      if (b.next_back_edge) live |= kExactFlags;
      for (std::size_t k = b.instructions.size(); k-- > 0;) {
        PlannedInstruction& p = b.instructions[k];
        const bool call = p.how == Emission::kCall && p.target >= 0;
        if (p.how == Emission::kConditional || p.how == Emission::kJump || call) {
          // An exit wants all flags, a loop's look at the budget an exact copy.
          u32 taken = kAll;
          if (p.target >= 0) taken = plan.blocks[static_cast<std::size_t>(p.target)].live_in;
          if (p.back_edge) taken |= kExactFlags;
          live = p.how == Emission::kConditional ? live | taken : taken;
        }
        p.live_after = live;
        live = flags_before(p, live);
      }
      if (b.live_in != live) {
        b.live_in = live;
        changed = true;
      }
    }
  }
  for (PlannedBlock& b : plan.blocks) {
    for (PlannedInstruction& p : b.instructions) {
      if (p.passes_flags && p.live_after == 0) p.needs_flags = false;
    }
  }
}

}  // namespace

RegionPlan plan_region(Cpu& cpu, Block& head, const RegionRequest& request,
                       const TranslatorOptions& options, const LinearWindow* window,
                       const FrequentBlock& frequent, std::pmr::memory_resource& memory) {
  RegionPlan plan(&memory);
  plan.code_bits = cpu.decode_mode().code_bits;
  plan.stack_mask = cpu.stack_mask();
  plan.superblock = request.hot;
  plan.counted = options.superblocks && !request.hot && !request.narrow && !head.crosses();
  plan.window = window;
  plan.inline_probes = request.hot || !options.called_probes;
  plan.blocks.reserve(request.hot ? kMaxRegionBlocks : 1);
  Collector(cpu, plan, options, frequent).collect(head, request);
  if (options.shared_probes && !request.narrow) share_probes(cpu, plan);
  find_live_flags(plan, options.flag_liveness);
  for (const PlannedBlock& b : plan.blocks) {
    for (const PlannedInstruction& p : b.instructions) {
      if (p.how == Emission::kVector) note_vectors(*p.insn, plan);
      if (p.how == Emission::kX87) plan.x87 = true;
    }
  }
  return plan;
}

}  // namespace dragoman
