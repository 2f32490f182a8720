// How generated code goes from block to block and leaves a region.
#include "cpu/isa/rows.h"
#include "jit/emit/region_emitter.h"

namespace dragoman {

using asmjit::Imm;
using asmjit::Label;
namespace x86 = asmjit::x86;

// --- Sites ----------------------------------------------------------------------------------

/// What C++ has to know about an instruction.
Site& RegionEmitter::new_site(const PlannedInstruction& p, const PlannedAccess* a) {
  Site& s = records_.sites.emplace_back();
  s.block = plan_.blocks[static_cast<std::size_t>(map_.current().block)].block;
  s.region = region_;
  s.index = static_cast<u8>(p.insn - s.block->instructions);
  s.rip = p.rip();
  s.uncharged = static_cast<i16>(static_cast<int>(pending_) - static_cast<int>(plan_.instructions));
  s.units = static_cast<u8>((plan_.vectors ? Site::kVectors : 0) | (plan_.x87 ? Site::kX87 : 0));
  if (a != nullptr) {
    s.write = a->write;
    s.bytes = a->bytes;
    if (a->group >= 0 && a->leader) {
      const AccessGroup& group = plan_.groups[static_cast<std::size_t>(a->group)];
      s.bytes = static_cast<u16>(group.high - group.low);
      s.writes_later = group.write && !a->write;
    }
  }
  return s;
}

/// kScratch = what C++ has to know about the instruction it is called for.
Site& RegionEmitter::load_site(const PlannedInstruction& p, const PlannedAccess* a) {
  Site& s = new_site(p, a);
  a_.mov(kScratch, Imm(reinterpret_cast<u64>(&s)));
  return s;
}

/// Has the handler execute the instruction; comes back here when the next one may follow.
void RegionEmitter::interpret_and_return(const PlannedInstruction& p, const FlagsState& after) {
  want_flags_in_memory();
  load_site(p, nullptr);
  a_.call(frame_mem(&cpu_.frame.interpret_stub, 8));
  // The stub itself goes on elsewhere unless the block goes on.
  if (plan_.vectors) a_.call(frame_mem(&cpu_.frame.vectors_stub, 8));
  if (plan_.x87) a_.call(frame_mem(&cpu_.frame.x87_stub, 8));
  if (after.in == FlagsIn::kHost || after.in == FlagsIn::kBoth) load_flags();
}

/// A region of several pages runs only where they are what they were when it was made.
void RegionEmitter::enter_guard() {
  const Label check = a_.newLabel();
  a_.mov(kScratch, Imm(reinterpret_cast<u64>(&region_->context)));
  a_.mov(kPointer.r32(), frame_mem(&cpu_.frame.fetch_context, 4));
  a_.cmp(kPointer.r32(), x86::ptr(kScratch, 0, 4));
  a_.jne(check);
  put_off([=, this] {
    a_.bind(check);
    a_.mov(kScratch, Imm(reinterpret_cast<u64>(region_)));
    a_.call(frame_mem(&cpu_.frame.guard_stub, 8));
    a_.jmp(kPointer);
  });
}

// --- Leaving --------------------------------------------------------------------------------

/// Counts instructions as executed; the region goes on. The host's flags are lost.
void RegionEmitter::charge(unsigned count) {
  if (count != 0) a_.sub(frame_mem(&cpu_.frame.budget, 8), count);
}

/// The region is left: `count` more instructions were executed, and of what it set aside for its
/// longest way the rest is given back. The host's flags are lost.
void RegionEmitter::settle(unsigned count) {
  if (count != plan_.instructions)
    a_.add(frame_mem(&cpu_.frame.budget, 8), plan_.instructions - count);
}

/// Adds 1 to a counter where the host's flags are free.
void RegionEmitter::count(u64& counter) {
  a_.mov(kScratch, Imm(reinterpret_cast<u64>(&counter)));
  a_.add(x86::ptr(kScratch, 0, 8), 1);
}
/// The same for runs of a block, whose flags may be live.
void RegionEmitter::count_block() {
  std::deque<u64>& blocks = region_->counters->blocks;
  a_.mov(kPointer, Imm(reinterpret_cast<u64>(&blocks.emplace_back(0))));
  a_.mov(kScratch, x86::ptr(kPointer, 0, 8));
  a_.lea(kScratch, x86::ptr(kScratch, 1));
  a_.mov(x86::ptr(kPointer, 0, 8), kScratch);
}

/// The host's flags are lost, and kScratch.
void RegionEmitter::count_exit(u64 rip, ExitKind kind) {
  if (region_->counters == nullptr) return;
  const CodeRange& at = map_.current();
  auto& exits = region_->counters->exits;
  count(exits.emplace_back(RegionCounters::Exit{rip, kind, at.block, at.instruction}).count);
}

/// The same of a branch to the address in kPointer; now and then notes where it goes. Guest flags
/// are in memory.
void RegionEmitter::count_indirect() {
  if (region_->counters == nullptr) return;
  count_exit(0, ExitKind::kState);
  RegionCounters::Exit& exit = region_->counters->exits.back();
  const Label sample = a_.newLabel();
  const Label on = a_.newLabel();
  // kScratch still holds the address of the count.
  const auto distance =
      reinterpret_cast<const u8*>(&exit.until_sample) - reinterpret_cast<const u8*>(&exit.count);
  a_.sub(x86::ptr(kScratch, static_cast<i32>(distance), 4), 1);
  a_.long_().js(sample);
  a_.bind(on);
  put_off([=, this, &exit] {
    a_.bind(sample);
    a_.mov(frame_mem(&cpu_.frame.target, 8), kPointer);
    a_.mov(kScratch, Imm(reinterpret_cast<u64>(&exit)));
    a_.mov(kPointer, Imm(reinterpret_cast<u64>(region_->counters->sample_stub)));
    a_.call(kPointer);
    a_.jmp(on);
  });
}

/// To the run loop, with RIP = `rip`, or on to code there once the exit is linked.
void RegionEmitter::leave(u64 rip, ExitKind kind) {
  const bool at_start = kind == ExitKind::kRetired && rip == region_->rip;
  if (at_start || kind == ExitKind::kHot) {
    if (kind == ExitKind::kHot) count_exit(rip, kind);
    const u64 left =
        reinterpret_cast<u64>(region_) + (at_start ? LeftBy::kAtStart : LeftBy::kForSecondTier);
    plain_exits_.push_back({left, rip, kind});
    a_.mov(kScratch, Imm(left));
    a_.jmp(frame_mem(&cpu_.frame.exit_stub, 8));
    return;
  }
  ExitRecord& record = records_.exits.emplace_back();
  const std::size_t index = exits_.size();
  PendingExit& e = exits_.emplace_back(PendingExit{&record, {}, {}, {}});
  record.region = region_;
  record.rip = rip;
  record.kind = kind;
  if (kind == ExitKind::kKnownPage) record.page = static_cast<u32>(*page_of(rip) >> kPageShift);
  if (kind == ExitKind::kRetired) {
    a_.mov(kScratch, Imm(reinterpret_cast<u64>(&record)));
    a_.jmp(frame_mem(&cpu_.frame.exit_stub, 8));
    return;
  }
  count_exit(rip, kind);
  e.jump = a_.newLabel();
  e.exit = a_.newLabel();
  if (kind == ExitKind::kOtherPage) {
    // A link is right only while fetches go where they went when it was made.
    e.other = a_.newLabel();
    a_.cmp(frame_mem(&cpu_.frame.fetch_context, 4), Imm(static_cast<i32>(kNoContext)));
    a_.long_().jne(e.other);
  }
  a_.bind(e.jump);
  a_.long_().jmp(e.exit);  // to be patched
  if (a_.currentSection() == rare_) {
    finish_exit(index);
  } else {
    put_off([=, this] { finish_exit(index); });
  }
}

/// What is behind an exit that is not linked.
void RegionEmitter::finish_exit(std::size_t index) {
  const PendingExit& e = exits_[index];
  if (e.other.isValid()) {
    a_.bind(e.other);
    a_.long_().jmp(e.exit);  // to be patched
    a_.mov(kPointer, Imm(e.record->rip));
    a_.jmp(frame_mem(&cpu_.frame.dispatch_stub, 8));
  }
  a_.bind(e.exit);
  a_.mov(kScratch, Imm(reinterpret_cast<u64>(e.record)));
  a_.jmp(frame_mem(&cpu_.frame.exit_stub, 8));
}

/// Offset in the pool of the page `rip` is on, when the region knows it.
std::optional<u64> RegionEmitter::page_of(u64 rip) const {
  if (const auto offset = plan_.on_entry_page(rip)) return *offset & ~kPageMask;
  if (plan_.code_bits != 64) return std::nullopt;
  const u64 page = rip & ~kPageMask;
  for (const GuardedPage& g : plan_.pages) {
    if (g.linear == page)
      return cpu_.memory().memory().offset_of(reinterpret_cast<const u8*>(page + g.delta));
  }
  return std::nullopt;
}

/// Leaves for a known address: linked to the code there once there is some.
void RegionEmitter::leave_direct(u64 rip, unsigned pending) {
  want_flags_in_memory();
  settle(pending);
  if (options_.links) {
    leave(rip, page_of(rip) ? ExitKind::kKnownPage : ExitKind::kOtherPage);
  } else {
    count_exit(rip, page_of(rip) ? ExitKind::kKnownPage : ExitKind::kOtherPage);
    a_.mov(kPointer, Imm(rip));
    a_.jmp(frame_mem(&cpu_.frame.dispatch_stub, 8));
  }
}

/// Target in kPointer, checked: the table's keys tell apart only addresses that are canonical.
void RegionEmitter::leave_indirect() {
  count_indirect();
  if (!options_.returns) {
    a_.jmp(frame_mem(&cpu_.frame.dispatch_stub, 8));
    return;
  }
  // The look-up of the dispatch stub, here so that every branch is predicted for itself.
  const Label miss = a_.newLabel();
  emit_jump_look_up(a_, cpu_, miss);
  put_off([=, this] {
    a_.bind(miss);
    a_.jmp(frame_mem(&cpu_.frame.miss_stub, 8));
  });
}

u64 RegionEmitter::branch_target(const PlannedInstruction& p) const {
  return (p.next_rip + p.insn->immediate) & size_mask(p.insn->operand_size);
}

/// On to another block of the region. `pending` instructions are not charged yet.
void RegionEmitter::go_to_block(int target, bool back_edge, unsigned pending) {
  const PlannedBlock& to = plan_.blocks[static_cast<std::size_t>(target)];
  const bool follows = static_cast<unsigned>(target) == block_index_ + 1;
  if (to.parent >= 0) {
    starts_[static_cast<std::size_t>(target)] = {flags_, pending};
    if (!follows) a_.jmp(block_labels_[static_cast<std::size_t>(target)]);
    return;
  }
  if (to.live_in != 0 && !(back_edge && note_recipe(to))) want_flags_in_memory();
  flags_about_to_be_lost();
  charge(pending);
  if (back_edge) {
    const Label over = a_.newLabel();
    if (follows) {
      a_.jl(over);
    } else {
      a_.jge(block_labels_[static_cast<std::size_t>(target)]);
      a_.jmp(over);
    }
    const FlagsState at = flags_;
    put_off([=, this] {
      a_.bind(over);
      flags_ = at;
      want_flags_in_memory();
      settle(0);
      leave(plan_.blocks[static_cast<std::size_t>(target)].rip, ExitKind::kRetired);
    });
  }
  if (!follows && !back_edge) a_.jmp(block_labels_[static_cast<std::size_t>(target)]);
}

// --- Branches -------------------------------------------------------------------------------

void RegionEmitter::emit_conditional(const PlannedInstruction& p) {
  want_flags_in_host();
  const auto condition = static_cast<x86::CondCode>(p.insn->opcode & 15);
  const unsigned pending = pending_ + 1;
  const FlagsState at = flags_;
  if (p.target >= 0 && p.back_edge) {
    const Label next = a_.newLabel();
    a_.j(x86::negateCond(condition), next);
    go_to_block(p.target, true, pending);
    a_.bind(next);
    flags_ = at;
    return;
  }
  if (p.target >= 0 && plan_.blocks[static_cast<std::size_t>(p.target)].parent >= 0) {
    starts_[static_cast<std::size_t>(p.target)] = {at, pending};
    a_.j(condition, block_labels_[static_cast<std::size_t>(p.target)]);
    return;
  }
  const Label taken = a_.newLabel();
  a_.j(condition, taken);
  put_off_exit([=, this, planned = &p] {
    a_.bind(taken);
    flags_ = at;
    if (planned->target >= 0) {
      go_to_block(planned->target, false, pending);
    } else {
      leave_direct(branch_target(*planned), pending);
    }
  });
}

/// JCXZ and LOOP leave the flags alone, and so does the host's JCXZ.
void RegionEmitter::emit_count_branch(const PlannedInstruction& p) {
  const bool loop = row(p.insn->row).operation == Operation::kLoop;
  const bool wide = p.insn->address_size == 8;
  want_flags_in_memory();
  if (loop) {
    a_.lea(guest(kRcx, wide ? 8 : 4), x86::ptr(x86::rcx, -1));
  }
  const Label zero = a_.newLabel();
  const Label not_zero = a_.newLabel();
  // A short branch by nature.
  if (wide) {
    a_.short_().jecxz(x86::rcx, zero);
  } else {
    a_.short_().jecxz(x86::ecx, zero);
  }
  a_.long_().jmp(not_zero);
  a_.bind(zero);
  const u64 target = branch_target(p);
  flags_ = {};
  leave_direct(loop ? p.next_rip : target, pending_ + 1);
  a_.bind(not_zero);
  flags_ = {};
  leave_direct(loop ? target : p.next_rip, pending_ + 1);
}

/// #GP belongs to the branch itself when its target, in kPointer, lies outside the segment or is
/// not canonical: the handler then executes the instruction.
void RegionEmitter::check_target(const PlannedInstruction& p) {
  const Label bad = a_.newLabel();
  if (plan_.code_bits == 64) {
    a_.mov(kScratch, kPointer);
    a_.sar(kScratch, 47);
    a_.add(kScratch, 1);
    a_.cmp(kScratch, 1);
    a_.ja(bad);
  } else {
    a_.cmp(kPointer, cpu_mem(TranslatorAccess::segment(cpu_, kCs).limit, 8));
    a_.ja(bad);
  }
  put_off([=, this, planned = &p, pending = pending_] {
    a_.bind(bad);
    flags_ = {};
    pending_ = pending;
    interpret_and_return(*planned, flags_);
    a_.ud2();  // a branch never goes on behind itself
  });
}

void RegionEmitter::emit_jump(const PlannedInstruction& p) {
  const Instruction& insn = *p.insn;
  if (row(insn.row).operands[0].addressing == Addressing::kJ) {
    if (p.target >= 0) return go_to_block(p.target, p.back_edge, pending_ + 1);
    return leave_direct(branch_target(p), pending_ + 1);
  }
  const unsigned bytes = insn.operand_size;
  if (insn.memory()) {
    const HostOperand from = operand(p, true);
    want_flags_in_memory();
    load_target(bytes, from);
  } else {
    want_flags_in_memory();
    load_guest(kPointer, insn.rm);
    if (bytes == 4) a_.mov(kPointer.r32(), kPointer.r32());
    if (bytes == 2) a_.movzx(kPointer.r32(), kPointer.r16());
  }
  check_target(p);
  settle(pending_ + 1);
  leave_indirect();
}

/// kPointer = the branch target of 2, 4 or 8 bytes in memory.
void RegionEmitter::load_target(unsigned bytes, const HostOperand& from) {
  if (bytes == 2) {
    a_.movzx(kPointer.r32(), from.mem(2));
  } else {
    a_.mov(sized(kPointer, bytes), from.mem(bytes));
  }
}

void RegionEmitter::emit_call(const PlannedInstruction& p) {
  const Instruction& insn = *p.insn;
  const unsigned bytes = insn.operand_size;
  const bool direct = row(insn.row).operands[0].addressing == Addressing::kJ;
  if (!direct) {
    if (insn.memory()) {
      const HostOperand from = operand(p, true);
      want_flags_in_memory();
      load_target(bytes, from);
    } else {
      want_flags_in_memory();
      load_guest(kPointer, insn.rm);
      if (bytes == 4) a_.mov(kPointer.r32(), kPointer.r32());
      if (bytes == 2) a_.movzx(kPointer.r32(), kPointer.r16());
    }
    flags_ = {};
    check_target(p);
    a_.mov(frame_mem(&cpu_.frame.target, 8), kPointer);
  }
  const HostOperand to = stack(p, true);
  const i64 back = static_cast<i64>(p.next_rip);
  if (bytes == 8 ? back == static_cast<i32>(back) : true) {
    a_.mov(to.mem(bytes), Imm(static_cast<i64>(sign_extend(p.next_rip, 8 * bytes))));
  } else {
    a_.mov(kScratch, Imm(p.next_rip));
    a_.mov(to.mem(8), kScratch);
  }
  if (p.target < 0 && bytes == 8) {
    a_.prefetcht0(frame_mem(&cpu_.jump_table.slots[JumpTable::slot(p.next_rip)], 8));
  }
  keep_recipe_alive(p);
  move_stack_pointer(-i64{bytes});
  if (direct) {
    if (p.target >= 0) return go_to_block(p.target, p.back_edge, pending_ + 1);
    leave_direct(branch_target(p), pending_ + 1);
    return;
  }
  want_flags_in_memory();
  settle(pending_ + 1);
  a_.mov(kPointer, frame_mem(&cpu_.frame.target, 8));
  leave_indirect();
}

/// RET of a call inside the region: most likely goes back behind it.
void RegionEmitter::emit_expected_return(const PlannedInstruction& p) {
  const Instruction& insn = *p.insn;
  const unsigned bytes = insn.operand_size;
  const u64 expected = plan_.blocks[static_cast<std::size_t>(p.target)].rip;
  const i64 released = i64{bytes} + static_cast<u16>(insn.immediate);
  const HostOperand from = stack(p, true);
  const Label other = a_.newLabel();
  flags_about_to_be_lost();
  const FlagsState at = flags_;
  load_target(bytes, from);
  if (expected == static_cast<u64>(i64{static_cast<i32>(expected)})) {
    a_.cmp(kPointer, Imm(static_cast<i64>(expected)));
  } else {
    a_.mov(kScratch, Imm(expected));
    a_.cmp(kPointer, kScratch);
  }
  a_.jne(other);
  move_stack_pointer(released);
  put_off([=, this, planned = &p, pending = pending_] {
    a_.bind(other);
    flags_ = at;
    pending_ = pending;
    if (flags_.in == FlagsIn::kRecipe) {
      // Saving them takes kScratch and, for a moment, RAX; the target stays in kPointer.
      want_flags_in_memory();
    }
    finish_return(*planned, released);
  });
  go_to_block(p.target, p.back_edge, pending_ + 1);
}

void RegionEmitter::emit_return(const PlannedInstruction& p) {
  if (p.target >= 0) return emit_expected_return(p);
  const Instruction& insn = *p.insn;
  const unsigned bytes = insn.operand_size;
  const HostOperand from = stack(p, true);
  want_flags_in_memory();
  load_target(bytes, from);
  finish_return(p, i64{bytes} + static_cast<u16>(insn.immediate));
}

/// To the target in kPointer; flags are in memory.
void RegionEmitter::finish_return(const PlannedInstruction& p, i64 released) {
  flags_ = {};
  check_target(p);
  move_stack_pointer(released);
  settle(pending_ + 1);
  leave_indirect();
}

}  // namespace dragoman
