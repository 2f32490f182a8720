// Collects the blocks of a region and annotates them: edges, shared probes, live flags.
#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "cpu/execute/forms.h"
#include "cpu/isa/rows.h"
#include "jit/classify.h"
#include "jit/translator.h"

namespace dragoman {
namespace {

/// Bytes a shared probe may cover. A wider span meets a page's end more often.
constexpr i64 kMaxSpan = 256;
/// Edges from the entry.
constexpr unsigned kMostDepth = 24;
constexpr std::size_t kMaxSlots = std::tuple_size_v<decltype(TranslatorFrame::deltas)>;

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
    if (head.crosses()) know_page((request.rip & ~kPageMask) + kPageSize, head.second_offset);
    (void)add(head, request.rip, {});
    // Depth first, so that a block that has one way in follows its parent.
    visit(0);
    mark_loops();
  }

 private:
  /// Return addresses of the calls that lead to a block of the region, the innermost last.
  using Returns = std::vector<u64>;
  static constexpr std::size_t kMostCalls = 6;

  int add(Block& block, u64 rip, const Returns& returns) {
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
    const u64 page = rip & ~kPageMask;
    const PlannedBlock& head = plan_.blocks[0];
    if (page == (head.rip & ~kPageMask))
      return (head.block->offset & ~kPageMask) | (rip & kPageMask);
    const GuestMemory& pool = cpu_.memory().memory();
    for (const GuardedPage& known : plan_.pages) {
      if (known.linear == page)
        return pool.offset_of(reinterpret_cast<const u8*>(rip + known.delta));
    }
    if (plan_.code_bits != 64 || plan_.pages.size() >= kMaxGuardedPages) return std::nullopt;
    const ShadowTable::Fetch* fetch = TranslatorAccess::fetch(cpu_, rip);
    if (fetch == nullptr) return std::nullopt;
    return pool.offset_of(reinterpret_cast<const u8*>(rip + fetch->delta));
  }

  /// The block of the region at `rip`, if it can be part of it.
  int member(u64 rip, const Returns& returns, unsigned depth) {
    if (!many_) return -1;
    // A loop's first round is a copy of its own: what it looked up need not be looked up again.
    unsigned instances = 0;
    int newest = -1;
    for (std::size_t i = 0; i < plan_.blocks.size(); ++i) {
      if (plan_.blocks[i].rip != rip || plan_.blocks[i].returns != returns) continue;
      ++instances;
      newest = static_cast<int>(i);
    }
    if (newest >= 0 &&
        (instances > 1 || !active_[static_cast<std::size_t>(newest)] || !fits(newest)))
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
    if (!knows(rip & ~kPageMask)) know_page(rip & ~kPageMask, *offset);
    const int index = add(*block, rip, returns);
    visit(index, depth + 1);
    return index;
  }

  bool knows(u64 page) const {
    return page == (plan_.blocks[0].rip & ~kPageMask) ||
           std::any_of(plan_.pages.begin(), plan_.pages.end(),
                       [page](const GuardedPage& known) { return known.linear == page; });
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
      Returns returns = block().returns;
      int target = -1;
      switch (how) {
        case Emission::kConditional:
        case Emission::kJump:
          if (!relative(p)) continue;
          target = member(branch_target(p), returns, depth);
          break;
        case Emission::kCall:
          if (!relative(p) || !options_.calls || returns.size() >= kMostCalls) continue;
          returns.push_back(p.next_rip);
          target = member(branch_target(p), returns, depth);
          break;
        case Emission::kReturn: {
          if (returns.empty()) continue;
          const u64 back = returns.back();
          returns.pop_back();
          target = member(back, returns, depth);
          break;
        }
        default:
          continue;
      }
      block().instructions[i].target = target;
    }
    if (!block().falls_through) return;
    if (ends_block(row(block().instructions.back().insn->row))) return;
    const Returns returns = block().returns;
    const int next = member(block().instructions.back().next_rip, returns, depth);
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
};

// --- Shared probes --------------------------------------------------------------------------

/// What is known of a register's value: an unknown number plus a constant.
struct Value {
  u32 symbol = 0;
  i64 offset = 0;
};

/// Base of an access: one or two unknown numbers and a segment.
using BaseKey = std::tuple<u32, u32, u8, u8>;

struct Values {
  std::array<Value, 17> registers;       // [kZeroRegister] is the constant 0
  std::map<BaseKey, int> reads, writes;  // newest group of each base
};

class Grouper {
 public:
  Grouper(const Cpu& cpu, RegionPlan& plan) : plan_(plan), wide_(plan.code_bits == 64) {
    key_ = TranslatorAccess::current_mode_key(cpu);
  }

  void run() {
    find_constants();
    find_edges();
    find_dominators();
    for (std::size_t i = 0; i < plan_.blocks.size(); ++i) {
      PlannedBlock& b = plan_.blocks[i];
      Values values = b.parent >= 0 ? at_edge_[{b.parent, b.parent_index}] : start_of_join(i);
      for (unsigned k = 0; k < b.instructions.size(); ++k) {
        PlannedInstruction& p = b.instructions[k];
        step(p, values);
        if (p.target >= 0) at_edge_[{static_cast<int>(i), k}] = values;
      }
      if (b.next >= 0)
        at_edge_[{static_cast<int>(i), static_cast<unsigned>(b.instructions.size() - 1)}] = values;
    }
    assign_slots();
  }

 private:
  /// Registers nothing in the region writes: their values are the same wherever control comes from.
  void find_constants() {
    u32 written = 0;
    for (const PlannedBlock& b : plan_.blocks) {
      for (const PlannedInstruction& p : b.instructions) written |= p.registers_written;
    }
    constants_ = ~written & 0xffff;
    symbols_ = 16;  // 1 to 16 are the registers as the region found them
  }

  struct Edge {
    std::size_t from;
    unsigned at;
  };
  void find_edges() {
    edges_to_.resize(plan_.blocks.size());
    for (std::size_t i = 0; i < plan_.blocks.size(); ++i) {
      const PlannedBlock& b = plan_.blocks[i];
      for (unsigned k = 0; k < b.instructions.size(); ++k) {
        const int target = b.instructions[k].target;
        if (target >= 0) edges_to_[static_cast<std::size_t>(target)].push_back({i, k});
      }
      if (b.next >= 0) {
        edges_to_[static_cast<std::size_t>(b.next)].push_back(
            {i, static_cast<unsigned>(b.instructions.size() - 1)});
      }
    }
  }

  /// dominators_[b]: blocks on every way from the entry to b.
  void find_dominators() {
    const std::size_t count = plan_.blocks.size();
    static_assert(kMaxRegionBlocks <= 64);
    dominators_.assign(count, ~u64{0});
    dominators_[0] = 1;
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t i = 1; i < count; ++i) {
        u64 set = ~u64{0};
        for (const Edge& e : edges_to_[i]) set &= dominators_[e.from];
        set |= u64{1} << i;
        changed |= set != dominators_[i];
        dominators_[i] = set;
      }
    }
  }

  /// Where several ways meet, only what all of them bring is known. A way round a loop brings what
  /// the loop was entered with: slots are never used again for another group.
  Values start_of_join(std::size_t index) {
    Values values;
    for (unsigned r = 0; r < 16; ++r)
      values.registers[r] = constants_ >> r & 1 ? Value{r + 1, 0} : fresh();
    if (index == 0) return values;
    bool first = true;
    for (const Edge& e : edges_to_[index]) {
      if (dominators_[e.from] >> index & 1) continue;  // round the loop
      if (e.from >= index) return without_groups(values);
      const Values& from = at_edge_.at({static_cast<int>(e.from), e.at});
      if (first) {
        values.reads = from.reads;
        values.writes = from.writes;
      } else {
        keep_common(values.reads, from.reads);
        keep_common(values.writes, from.writes);
      }
      first = false;
    }
    return values;
  }
  static Values without_groups(Values values) {
    values.reads.clear();
    values.writes.clear();
    return values;
  }
  static void keep_common(std::map<BaseKey, int>& kept, const std::map<BaseKey, int>& other) {
    std::erase_if(kept, [&](const auto& entry) {
      const auto found = other.find(entry.first);
      return found == other.end() || found->second != entry.second;
    });
  }

  Value fresh() { return {++symbols_, 0}; }

  /// Segments whose accesses need no look at a limit.
  bool plain(u8 segment) const {
    if (wide_) return true;
    return segment_is_flat(key_, segment);
  }

  void join(PlannedAccess& access, Values& values, const BaseKey& base, i64 offset) {
    // Differences of absolute addresses from here on would overflow: each has a probe of its own.
    constexpr i64 kFarthest = i64{1} << 48;
    if (offset < -kFarthest || offset > kFarthest) return;
    access.offset = offset;
    const auto fits = [&](int index) {
      const AccessGroup& g = plan_.groups[static_cast<std::size_t>(index)];
      if (access.aligned && g.align != 0 &&
          (offset - g.align_offset) % static_cast<i64>(std::min<u32>(g.align, access.bytes)) != 0)
        return false;
      return std::max(g.high, offset + access.bytes) - std::min(g.low, offset) <= kMaxSpan;
    };
    int found = -1;
    if (const auto w = values.writes.find(base); w != values.writes.end() && fits(w->second)) {
      found = w->second;
    } else if (const auto r = values.reads.find(base);
               !access.write && r != values.reads.end() && fits(r->second)) {
      found = r->second;
    }
    if (found < 0) {
      found = static_cast<int>(plan_.groups.size());
      plan_.groups.push_back({access.write, offset, offset + access.bytes, 0, 0, 0, -1});
      access.leader = true;
      (access.write ? values.writes : values.reads)[base] = found;
      if (access.write) values.reads[base] = found;
    }
    AccessGroup& g = plan_.groups[static_cast<std::size_t>(found)];
    g.low = std::min(g.low, offset);
    g.high = std::max(g.high, offset + access.bytes);
    ++g.members;
    if (access.aligned && access.bytes > g.align) {
      g.align = access.bytes;
      g.align_offset = offset;
    }
    access.group = static_cast<i16>(found);
  }

  void operand_access(PlannedInstruction& p, Values& values) {
    PlannedAccess& access = p.operand;
    const Instruction& insn = *p.insn;
    if (!access.present || insn.address_size * 8u != plan_.code_bits || !plain(insn.segment) ||
        insn.has(kInsnLock) || row(insn.row).operation == Operation::kXchg)
      return;
    const u8 segment = wide_ && insn.segment < kFs ? 0 : insn.segment;
    i64 offset = insn.displacement;
    BaseKey base{0, 0, 0, segment};
    if (has_absolute_offset(insn)) {
      offset = static_cast<i64>(insn.immediate);
    } else if (insn.base == kRip) {
      offset += static_cast<i64>(p.next_rip);
    } else {
      const Value b = insn.base == kZeroRegister ? Value{} : values.registers[insn.base];
      const Value x = insn.index == kZeroRegister ? Value{} : values.registers[insn.index];
      offset += b.offset + x.offset * (i64{1} << insn.scale);
      base = {b.symbol, x.symbol, x.symbol == 0 ? u8{0} : insn.scale, segment};
    }
    join(access, values, base, offset);
  }

  void stack_access(PlannedInstruction& p, Values& values, i64 at, Gpr base) {
    if (!p.stack.present || plan_.stack_mask != size_mask(plan_.code_bits / 8) || !plain(kSs))
      return;
    const Value sp = values.registers[base];
    join(p.stack, values, {sp.symbol, 0, 0, wide_ ? u8{0} : u8{kSs}}, sp.offset + at);
  }

  void step(PlannedInstruction& p, Values& values) {
    const Instruction& insn = *p.insn;
    auto& regs = values.registers;
    const bool full = insn.operand_size * 8u == plan_.code_bits;
    operand_access(p, values);
    const i64 size = insn.operand_size;
    switch (p.how) {
      case Emission::kPush:
      case Emission::kPushFlags:
      case Emission::kCall:
        stack_access(p, values, -size, kRsp);
        regs[kRsp].offset -= size;
        return;
      case Emission::kPop:
      case Emission::kReturn:
        stack_access(p, values, 0, kRsp);
        regs[kRsp].offset += size;
        if (p.how == Emission::kPop) regs[insn.reg] = fresh();
        return;
      case Emission::kLeave:
        stack_access(p, values, 0, kRbp);
        regs[kRsp] = regs[kRbp];
        regs[kRsp].offset += size;
        regs[kRbp] = fresh();
        return;
      case Emission::kLea:
        if (full && insn.base < 16 && insn.index == kZeroRegister &&
            insn.address_size == insn.operand_size) {
          Value v = regs[insn.base];
          v.offset += insn.displacement;
          regs[insn.reg] = v;
          return;
        }
        break;
      case Emission::kCopied:
        if (full && copied_value(p, values)) return;
        break;
      case Emission::kInterpreted:
        for (unsigned r = 0; r < 16; ++r) regs[r] = fresh();
        values = without_groups(values);
        return;
      case Emission::kLoadSegment:
      case Emission::kSwapGs:
        values = without_groups(values);
        return;
      default:
        break;
    }
    for (unsigned r = 0; r < 16; ++r) {
      if (p.registers_written >> r & 1) regs[r] = fresh();
    }
  }

  /// MOV between registers, ADD, SUB, INC, DEC by a constant keep a value known.
  bool copied_value(const PlannedInstruction& p, Values& values) {
    const Row& r = row(p.insn->row);
    const OperandUses uses = operand_uses(*p.insn);
    if (uses.memory || uses.count == 0 || uses.list[0].gpr < 0 ||
        uses.list[0].bytes * 8 != plan_.code_bits)
      return false;
    Value& target = values.registers[static_cast<std::size_t>(uses.list[0].gpr)];
    const i64 constant =
        static_cast<i64>(sign_extend(p.insn->immediate, 8 * std::min(uses.list[0].bytes, 8u)));
    const bool by_constant = uses.count > 1 && uses.list[1].immediate;
    switch (r.operation) {
      case Operation::kMov:
        if (uses.count < 2 || uses.list[1].gpr < 0) return false;
        target = values.registers[static_cast<std::size_t>(uses.list[1].gpr)];
        return true;
      case Operation::kAdd:
        if (by_constant) target.offset += constant;
        return by_constant;
      case Operation::kSub:
        if (by_constant) target.offset -= constant;
        return by_constant;
      case Operation::kInc:
        ++target.offset;
        return true;
      case Operation::kDec:
        --target.offset;
        return true;
      default:
        return false;
    }
  }

  void assign_slots() {
    int slot = 0;
    for (AccessGroup& g : plan_.groups) {
      if (g.members > 1 && slot < static_cast<int>(kMaxSlots)) g.slot = slot++;
    }
    for (PlannedBlock& b : plan_.blocks) {
      for (PlannedInstruction& p : b.instructions) {
        for (PlannedAccess* access : {&p.operand, &p.stack}) {
          if (access->group >= 0 && plan_.groups[static_cast<std::size_t>(access->group)].slot < 0)
            access->group = -1;
        }
      }
    }
  }

  RegionPlan& plan_;
  bool wide_;
  u32 key_ = 0;
  u32 symbols_ = 0;
  u32 constants_ = 0;
  std::vector<std::vector<Edge>> edges_to_;
  std::vector<u64> dominators_;
  std::map<std::pair<int, unsigned>, Values> at_edge_;
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
                       const TranslatorOptions& options, const FrequentBlock& frequent) {
  RegionPlan plan;
  plan.code_bits = cpu.decode_mode().code_bits;
  plan.stack_mask = cpu.stack_mask();
  plan.counted = options.superblocks && !request.hot && !request.narrow && !head.crosses();
  plan.blocks.reserve(kMaxRegionBlocks);
  Collector(cpu, plan, options, frequent).collect(head, request);
  if (options.shared_probes && !request.narrow) Grouper(cpu, plan).run();
  find_live_flags(plan, options.flag_liveness);
  for (const PlannedBlock& b : plan.blocks) {
    for (const PlannedInstruction& p : b.instructions) {
      if (p.how == Emission::kVector) note_vectors(*p.insn, plan);
    }
  }
  return plan;
}

}  // namespace dragoman
