// Accesses off one base value share a look-up of their page: which ones can.
#include <algorithm>
#include <tuple>

#include "cpu/execute/forms.h"
#include "cpu/isa/rows.h"
#include "jit/plan.h"
#include "jit/region_flow.h"
#include "jit/translator.h"

namespace dragoman {
namespace {

/// Bytes a shared probe may cover. A wider span meets a page's end more often.
constexpr i64 kMaxSpan = 256;
constexpr std::size_t kMaxSlots = std::tuple_size_v<decltype(TranslatorFrame::deltas)>;

/// What is known of a register's value: an unknown number plus a constant.
struct Value {
  u32 symbol = 0;
  bool bounded = false;  ///< the number is less than 2^32, or at least -2^31 as a signed one
  i64 offset = 0;
  bool operator==(const Value&) const = default;
};

/// Base of an access: one or two unknown numbers and a segment.
struct BaseKey {
  u32 base, index;
  u8 scale, segment;
  bool operator==(const BaseKey&) const = default;
};

/// The newest groups of bases, for reads and for writes.
class KnownGroups {
 public:
  KnownGroups() = default;
  KnownGroups(const KnownGroups& other) { *this = other; }
  KnownGroups& operator=(const KnownGroups& other) {
    count_ = other.count_;
    std::copy_n(other.list_.begin(), count_, list_.begin());
    return *this;
  }
  /// Index of the group, or -1.
  int find(const BaseKey& base, bool write) const {
    for (unsigned i = 0; i < count_; ++i) {
      if (list_[i].write == write && list_[i].base == base) return list_[i].group;
    }
    return -1;
  }
  void set(const BaseKey& base, bool write, int group) {
    for (unsigned i = 0; i < count_; ++i) {
      if (list_[i].write == write && list_[i].base == base) {
        list_[i].group = static_cast<i16>(group);
        return;
      }
    }
    if (count_ == list_.size()) {  // the one met first is the least likely to be met again
      std::move(list_.begin() + 1, list_.end(), list_.begin());
      --count_;
    }
    list_[count_++] = {base, write, static_cast<i16>(group)};
  }
  void keep_common(const KnownGroups& other) {
    unsigned kept = 0;
    for (unsigned i = 0; i < count_; ++i) {
      if (other.find(list_[i].base, list_[i].write) == list_[i].group) list_[kept++] = list_[i];
    }
    count_ = kept;
  }
  void clear() { count_ = 0; }

 private:
  struct Known {
    BaseKey base;
    bool write;
    i16 group;
  };
  std::array<Known, 40> list_;
  unsigned count_ = 0;
};

struct Values {
  std::array<Value, 17> registers;  // [kZeroRegister] is the constant 0
  KnownGroups groups;
};

class Grouper {
 public:
  Grouper(const Cpu& cpu, RegionPlan& plan)
      : plan_(plan), wide_(plan.code_bits == 64), registers_(cpu.state.regs), flow_(plan) {
    key_ = TranslatorAccess::current_mode_key(cpu);
    kernel_ = cpu.cpl() == 0;
    for (const unsigned segment : {kFs, kGs}) segment_bases_[segment] = cpu.active_base(segment);
  }

  void run() {
    find_constants();
    for (const std::size_t i : flow_.order()) {
      PlannedBlock& b = plan_.blocks[i];
      Values values = b.parent >= 0 ? at_edge(static_cast<std::size_t>(b.parent), b.parent_index)
                                    : start_of_join(i);
      for (unsigned k = 0; k < b.instructions.size(); ++k) {
        PlannedInstruction& p = b.instructions[k];
        block_ = i;
        instruction_ = k;
        step(p, values);
        if (p.target >= 0) at_edge_.push_back({{i, k}, values});
      }
      if (b.next >= 0)
        at_edge_.push_back({{i, static_cast<unsigned>(b.instructions.size() - 1)}, values});
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

  using Edge = RegionFlow::Edge;

  /// Where several ways meet, only what all of them bring is known. A way round a loop brings what
  /// the loop was entered with: slots are never used again for another group.
  Values start_of_join(std::size_t index) {
    Values values;
    const bool entered_once = index == 0 && !plan_.blocks[0].loop_head;
    for (unsigned r = 0; r < 16; ++r)
      values.registers[r] = entered_once || (constants_ >> r & 1) ? entry_value(r) : fresh();
    if (index == 0) return values;
    const Values* first = nullptr;
    bool forgets = false;
    u32 same = 0xffff;  // registers that all ways bring with the same value
    for (const Edge& e : flow_.edges_to(index)) {
      if (flow_.dominates(index, e.from)) {
        const RegionFlow::Effects round = flow_.effects_of_loop(index, e);
        same &= ~round.written;
        forgets |= round.forgets_pages;
        continue;
      }
      if (!flow_.comes_before(e.from, index)) {
        values.groups.clear();
        return values;
      }
      const Values& from = at_edge(e.from, e.at);
      if (first == nullptr) {
        first = &from;
        values.groups = from.groups;
        continue;
      }
      values.groups.keep_common(from.groups);
      for (unsigned r = 0; r < 16; ++r) {
        if (from.registers[r] != first->registers[r]) same &= ~(1u << r);
      }
    }
    if (forgets) values.groups.clear();
    for (unsigned r = 0; r < 16 && first != nullptr; ++r) {
      if (same >> r & 1) values.registers[r] = first->registers[r];
    }
    return values;
  }
  /// What is known where an edge leaves its block; the newest when two leave there.
  const Values& at_edge(std::size_t from, unsigned at) const {
    std::size_t i = at_edge_.size() - 1;
    while (at_edge_[i].first.from != from || at_edge_[i].first.at != at) --i;
    return at_edge_[i].second;
  }

  Value fresh(bool bounded = false) { return {++symbols_, bounded, 0}; }
  /// As the region found a register.
  static Value entry_value(unsigned gpr) { return {gpr + 1, false, 0}; }

  /// Segments whose accesses need no look at a limit.
  bool plain(u8 segment) const {
    if (wide_) return true;
    return segment_is_flat(key_, segment);
  }

  /// True when the access goes through the window; `from_base` is its offset from what a leader
  /// looks at, the register or else the whole address.
  bool join_window(PlannedInstruction& p, PlannedAccess& access, Values& values,
                   const BaseKey& base, i64 offset, i64 from_base, bool may_lead = true) {
    if (plan_.window == nullptr || (base.segment != 0 && base.segment < kFs) || !may_use_window(p))
      return false;
    if (base.base == 0 && base.index == 0 && base.segment == 0) {
      const WindowPart part = plan_.window->part(static_cast<u64>(offset));
      if (part == plan_.window->part(static_cast<u64>(offset) + access.bytes - 1))
        access.window = part;
      return access.window != WindowPart::kNone;
    }
    constexpr i64 kReach = static_cast<i64>(LinearWindow::kReach) - 4096;
    int found = values.groups.find(base, false);
    if (found >= 0) {
      const AccessGroup& known = plan_.groups[static_cast<std::size_t>(found)];
      const i64 distance = offset - known.checked;
      if (known.window == WindowPart::kNone || distance < -kReach || distance > kReach) found = -1;
    }
    if (found < 0) {
      const WindowPart part = likely_part(p, values, base, offset);
      if (part == WindowPart::kNone) return false;
      access.leader = true;
      if (!may_lead) {
        access.window = part;
        return true;
      }
      found = static_cast<int>(plan_.groups.size());
      AccessGroup& made = plan_.groups.emplace_back();
      made.window = part;
      made.block = static_cast<int>(block_);
      made.leader = instruction_;
      made.checked = offset - from_base;
      values.groups.set(base, false, found);
    }
    AccessGroup& g = plan_.groups[static_cast<std::size_t>(found)];
    ++g.members;
    access.group = static_cast<i16>(found);
    access.offset = offset;
    access.window = g.window;
    return true;
  }
  /// A register and an index with a bounded value: only the register says which part serves it. Of
  /// an index that may be anything, one access looks whether it is small.
  bool join_split(PlannedInstruction& p, Values& values, u8 segment) {
    const Instruction& insn = *p.insn;
    if (insn.base >= 16 || insn.index >= 16 || plan_.window == nullptr || segment != 0)
      return false;
    if (plan_.blocks[block_].block->paired >> instruction_index(p) & 1) return false;
    PlannedAccess& access = p.operand;
    Value pointer = values.registers[insn.base], index = values.registers[insn.index];
    if (insn.scale == 0 && likelier_index(pointer, index)) {
      std::swap(pointer, index);
      access.swapped = true;
    }
    if (!join_window(p, access, values, {pointer.symbol, 0, 0, 0},
                     pointer.offset + insn.displacement, insn.displacement))
      return false;
    access.split = true;
    constexpr i64 kFarthest = i64{1} << 31;
    if (index.bounded && index.offset >= -kFarthest && index.offset <= kFarthest) return true;
    constexpr u8 kIndexKey = 0xff;  // no segment
    const BaseKey key{index.symbol, 0, 0, kIndexKey};
    int found = values.groups.find(key, false);
    if (found >= 0 && plan_.groups[static_cast<std::size_t>(found)].checked != index.offset)
      found = -1;
    if (found < 0) {
      found = static_cast<int>(plan_.groups.size());
      AccessGroup& made = plan_.groups.emplace_back();
      made.window = access.window;
      made.block = static_cast<int>(block_);
      made.leader = instruction_;
      made.checked = index.offset;
      access.check_index = true;
      values.groups.set(key, false, found);
    }
    ++plan_.groups[static_cast<std::size_t>(found)].members;
    access.index_group = static_cast<i16>(found);
    return true;
  }
  /// Of base and index without a scale, the base is rather an index.
  bool likelier_index(const Value& base, const Value& index) const {
    if (base.bounded != index.bounded) return base.bounded;
    if (base.symbol > 16 || index.symbol > 16) return false;
    const auto served = [this](const Value& v) {
      return plan_.window->part(registers_[v.symbol - 1] + static_cast<u64>(v.offset)) !=
             WindowPart::kNone;
    };
    return !served(base) && served(index);
  }
  unsigned instruction_index(const PlannedInstruction& p) const {
    return static_cast<unsigned>(p.insn - plan_.blocks[block_].block->instructions);
  }
  /// Where the address of a leader will be: where it was not found missing before. Of registers
  /// that the region does not change before, those of now are as good as any, and the stack stays
  /// where it is; a table at a fixed place is in the program. Kernels at low addresses have nothing
  /// at high ones, programs there have data in both.
  WindowPart likely_part(const PlannedInstruction& p, const Values& values, const BaseKey& base,
                         i64 offset) const {
    const Block& block = *plan_.blocks[block_].block;
    const unsigned index = instruction_index(p);
    if (block.outside >> index & 1) return WindowPart::kNone;
    if (block.mixed >> index & 1) return WindowPart::kEither;
    if (base.base <= 16 && base.index <= 16) {
      const auto now = [this](u32 symbol) { return symbol == 0 ? 0 : registers_[symbol - 1]; };
      const u64 address = segment_bases_[base.segment] + now(base.base) +
                          (now(base.index) << base.scale) + static_cast<u64>(offset);
      const WindowPart part = plan_.window->part(address);
      if (part != WindowPart::kNone) return part;
    }
    if (base.index == 0 && base.base == values.registers[kRsp].symbol) {
      const WindowPart part = plan_.window->part(registers_[kRsp]);
      if (part != WindowPart::kNone) return part;
    }
    const u64 table = static_cast<u64>(p.insn->displacement);
    const bool in_program = p.operand.present && p.insn->base == kZeroRegister &&
                            table >= 64 * kKiB && plan_.window->part(table) == WindowPart::kLow;
    if (in_program) return WindowPart::kLow;
    if (plan_.window->part(plan_.blocks[block_].rip) != WindowPart::kLow) return WindowPart::kHigh;
    return kernel_ || !plan_.window->has_either() ? WindowPart::kLow : WindowPart::kEither;
  }
  /// Its access is one host instruction, before which nothing of the guest has changed.
  static bool may_use_window(const PlannedInstruction& p) {
    switch (p.how) {
      case Emission::kCopied:
        return !p.uses.any_high;
      case Emission::kPush:
      case Emission::kPop:
      case Emission::kPopFlags:
      case Emission::kLeave:
      case Emission::kDivide:
      case Emission::kVector:
      case Emission::kJump:
      case Emission::kCall:
      case Emission::kReturn:
        return true;
      case Emission::kX87:
        // Ten bytes may be written as eight and two, of which the second faults.
        return p.operand.bytes <= 8 || !p.operand.write;
      default:
        return false;
    }
  }

  void join(PlannedAccess& access, Values& values, const BaseKey& base, i64 offset,
            bool may_lead = true) {
    // Differences of absolute addresses from here on would overflow: each has a probe of its own.
    constexpr i64 kFarthest = i64{1} << 48;
    if (offset < -kFarthest || offset > kFarthest) return;
    access.offset = offset;
    const auto fits = [&](int index) {
      const AccessGroup& g = plan_.groups[static_cast<std::size_t>(index)];
      if (g.window != WindowPart::kNone) return false;
      if (access.aligned && g.align != 0 &&
          (offset - g.align_offset) % static_cast<i64>(std::min<u32>(g.align, access.bytes)) != 0)
        return false;
      const i64 low = std::min(g.low, offset), high = std::max(g.high, offset + access.bytes);
      const bool absolute = base.base == 0 && base.index == 0;
      if (absolute && (low ^ (high - 1)) >> kPageShift != 0) return false;  // never on one page
      return high - low <= kMaxSpan;
    };
    int found = -1;
    if (const int w = values.groups.find(base, true); w >= 0 && fits(w)) {
      found = w;
    } else if (const int r = values.groups.find(base, false); !access.write && r >= 0 && fits(r)) {
      found = r;
    } else if (access.write && r >= 0 && fits(r) && may_write_later(r)) {
      // What is read here and written later in the same block is looked up once, for writing.
      plan_.groups[static_cast<std::size_t>(r)].write = true;
      values.groups.set(base, true, r);
      found = r;
    }
    if (found < 0 && !may_lead) return;
    if (found < 0) {
      found = static_cast<int>(plan_.groups.size());
      AccessGroup& made = plan_.groups.emplace_back();
      made.write = access.write;
      made.block = static_cast<int>(block_);
      made.leader = instruction_;
      made.low = offset;
      made.high = offset + access.bytes;
      access.leader = true;
      values.groups.set(base, access.write, found);
      if (access.write) values.groups.set(base, false, found);
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

  /// The leader of a group that reads is in this block, and nothing speaks against it.
  bool may_write_later(int group) const {
    const AccessGroup& g = plan_.groups[static_cast<std::size_t>(group)];
    return g.block == static_cast<int>(block_) &&
           !(plan_.blocks[block_].block->reads_only >> g.leader & 1);
  }

  void operand_access(PlannedInstruction& p, Values& values) {
    PlannedAccess& access = p.operand;
    const Instruction& insn = *p.insn;
    if (!access.present || p.how == Emission::kString ||
        insn.address_size * 8u != plan_.code_bits || !plain(insn.segment) || insn.has(kInsnLock) ||
        row(insn.row).operation == Operation::kXchg)
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
    const bool by_register = insn.base < 16 && insn.index == kZeroRegister && segment == 0;
    if (join_split(p, values, segment)) return;
    // Off a segment's base alone, that is what a leader looks at.
    const bool by_segment =
        segment != 0 && base.base == 0 && base.index == 0 && offset == static_cast<i32>(offset);
    if (!join_window(p, access, values, base, offset,
                     by_register  ? insn.displacement
                     : by_segment ? offset
                                  : 0))
      join(access, values, base, offset);
  }

  void stack_access(PlannedInstruction& p, Values& values, i64 at, Gpr base) {
    if (!p.stack.present || plan_.stack_mask != size_mask(plan_.code_bits / 8) || !plain(kSs))
      return;
    const Value sp = values.registers[base];
    const BaseKey key{sp.symbol, 0, 0, wide_ ? u8{0} : u8{kSs}};
    // Where the handler executes the instruction because of its other operand, nothing is looked up
    // that others could rely on.
    const bool may_lead = !p.operand.present;
    if (!join_window(p, p.stack, values, key, sp.offset + at, at, may_lead))
      join(p.stack, values, key, sp.offset + at, may_lead);
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
      case Emission::kPopFlags:
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
        values.groups.clear();
        return;
      case Emission::kLoadSegment:
      case Emission::kSwapGs:
        values.groups.clear();
        return;
      default:
        break;
    }
    for (unsigned r = 0; r < 16; ++r) {
      if (p.registers_written >> r & 1) regs[r] = fresh(leaves_bounded(p, r));
    }
  }
  /// What the instruction writes to a register has 32 bits, zero- or sign-extended to 64, whatever
  /// its operands are: some others leave all 64 as they were (BSF of 0, CMPXCHG, shifts by 0).
  static bool leaves_bounded(const PlannedInstruction& p, unsigned gpr) {
    if (p.how == Emission::kLea) return p.insn->operand_size == 4;
    if (p.how != Emission::kCopied || p.uses.count == 0 ||
        p.uses.list[0].gpr != static_cast<i8>(gpr))
      return false;
    const u8 bytes = p.uses.list[0].bytes;
    switch (row(p.insn->row).operation) {
      case Operation::kMovzx:
      case Operation::kMovsx:
      case Operation::kMovsxd:
        return bytes >= 4;
      case Operation::kMov:
      case Operation::kAdd:
      case Operation::kSub:
      case Operation::kAdc:
      case Operation::kSbb:
      case Operation::kAnd:
      case Operation::kOr:
      case Operation::kXor:
      case Operation::kNot:
      case Operation::kNeg:
      case Operation::kInc:
      case Operation::kDec:
      case Operation::kImul:
        return bytes == 4;
      default:
        return false;
    }
  }

  /// MOV between registers, ADD, SUB, INC, DEC by a constant keep a value known.
  bool copied_value(const PlannedInstruction& p, Values& values) {
    const Row& r = row(p.insn->row);
    const OperandUses& uses = p.uses;
    if (uses.memory || uses.count == 0 || uses.list[0].gpr < 0 ||
        uses.list[0].bytes * 8 != plan_.code_bits)
      return false;
    Value& target = values.registers[static_cast<std::size_t>(uses.list[0].gpr)];
    const i64 constant =
        static_cast<i64>(sign_extend(p.insn->immediate, 8u * std::min<u8>(uses.list[0].bytes, 8)));
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
      if (g.window == WindowPart::kNone && g.members > 1 && slot < static_cast<int>(kMaxSlots))
        g.slot = slot++;
    }
    for (PlannedBlock& b : plan_.blocks) {
      for (PlannedInstruction& p : b.instructions) {
        for (PlannedAccess* access : {&p.operand, &p.stack}) {
          if (access->group >= 0 && access->window == WindowPart::kNone &&
              plan_.groups[static_cast<std::size_t>(access->group)].slot < 0)
            access->group = -1;
        }
      }
    }
  }

  RegionPlan& plan_;
  bool wide_;
  u32 key_ = 0;
  bool kernel_ = false;
  const decltype(CpuState::regs)& registers_;  ///< as they are now
  std::array<u64, kGs + 1> segment_bases_{};   ///< in 64-bit code, as they are now
  std::size_t block_ = 0;                      ///< what is looked at
  unsigned instruction_ = 0;
  u32 symbols_ = 0;
  u32 constants_ = 0;
  RegionFlow flow_;
  std::vector<std::pair<Edge, Values>> at_edge_;
};

}  // namespace

void share_probes(const Cpu& cpu, RegionPlan& plan) { Grouper(cpu, plan).run(); }

}  // namespace dragoman
