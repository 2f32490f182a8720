// Guest memory in generated code: effective addresses, probes of the shadow page table, accesses
// that share one.
#include "cpu/isa/rows.h"
#include "jit/emit/region_emitter.h"

namespace dragoman {

using asmjit::Imm;
using asmjit::Label;
namespace x86 = asmjit::x86;

namespace {
constexpr bool fits32(i64 value) { return value == static_cast<i32>(value); }
constexpr u64 kEntryIndexMask = (ShadowTable::kEntries - 1) << 5;
static_assert(sizeof(ShadowTable::Entry) == 32);
}  // namespace

x86::Mem RegionEmitter::HostOperand::mem(unsigned size) const {
  return index.isValid() ? x86::ptr(base, index, 0, displacement, size)
                         : x86::ptr(base, displacement, size);
}

/// kPointer = effective address (in the segment) plus a constant. Flags survive. kScratch is used
/// when a register of the address has no host register.
void RegionEmitter::load_effective(const Address& address, i64 plus) {
  const i64 displacement = address.displacement + plus;
  Gp base, index;
  if (address.base != kZeroRegister) {
    base = kPointer;
    if (pinned(address.base)) {
      base = guest(address.base);
    } else {
      a_.mov(kPointer, high_slot(address.base));
    }
  }
  if (address.index != kZeroRegister) {
    index = kScratch;
    if (pinned(address.index)) {
      index = guest(address.index);
    } else {
      a_.mov(kScratch, high_slot(address.index));
    }
  }
  const Gp into = address.size == 8 ? kPointer : kPointer.r32();
  if (!base.isValid() && !index.isValid()) {
    const u64 mask = size_mask(address.size);
    a_.mov(kPointer, Imm(static_cast<u64>(displacement) & mask));
    return;
  }
  if (!fits32(displacement)) {  // only a wide constant beside an index can get here
    failed_ = true;
    return;
  }
  const i32 d = static_cast<i32>(displacement);
  if (base.isValid() && index.isValid()) {
    a_.lea(into, x86::ptr(base, index, address.scale, d));
  } else if (base.isValid()) {
    if (d == 0 && address.size == 8) {
      if (base != kPointer) a_.mov(kPointer, base);
    } else {
      a_.lea(into, x86::ptr(base, d));
    }
  } else {
    a_.lea(into, x86::ptr(static_cast<u64>(i64{d}), index, address.scale));
  }
  if (address.size == 2) a_.movzx(kPointer.r32(), kPointer.r16());
}

/// No limit to check: accesses are only moved by the segment's base, if at all.
bool RegionEmitter::plain_segment(const Address& address) const {
  return plan_.code_bits == 64 ||
         segment_is_flat(TranslatorAccess::current_mode_key(cpu_), address.segment);
}

/// An access whose page was looked up by the leader of its group.
RegionEmitter::HostOperand RegionEmitter::group_member(const PlannedAccess& a,
                                                       const Address& address, bool need_scratch) {
  const AccessGroup& group = plan_.groups[static_cast<std::size_t>(a.group)];
  const Mem slot = frame_mem(&cpu_.frame.deltas[static_cast<std::size_t>(group.slot)], 8);
  HostOperand operand;
  const bool segmented = plan_.code_bits == 64 && address.segment >= kFs;
  if (address.base == kZeroRegister && address.index == kZeroRegister) {
    // The slot holds the host address of the group's first byte.
    a_.mov(kPointer, slot);
    operand.base = kPointer;
    operand.displacement = static_cast<i32>(a.offset - group.low);
    return operand;
  }
  const bool direct = address.index == kZeroRegister && address.size == 8 && !segmented &&
                      pinned(address.base) && fits32(address.displacement);
  if (direct) {
    a_.mov(kPointer, slot);
    operand.base = kPointer;
    operand.index = guest(address.base);
    operand.displacement = static_cast<i32>(address.displacement);
    return operand;
  }
  load_effective(address, 0);
  a_.mov(kScratch, slot);  // a segment's base is part of it
  operand.base = kPointer;
  if (need_scratch) {
    a_.lea(kPointer, x86::ptr(kPointer, kScratch));
  } else {
    operand.index = kScratch;
    operand.scratch_used = true;
  }
  return operand;
}

/// Looks up the page of an access, for its whole group if it leads one.
RegionEmitter::HostOperand RegionEmitter::probe(const PlannedInstruction& p, const PlannedAccess& a,
                                                const Address& address) {
  const AccessGroup* group =
      a.group >= 0 ? &plan_.groups[static_cast<std::size_t>(a.group)] : nullptr;
  const i64 below = group != nullptr ? group->low - a.offset : 0;
  const u32 span = group != nullptr ? static_cast<u32>(group->high - group->low) : a.bytes;
  const bool constant = address.base == kZeroRegister && address.index == kZeroRegister;
  const bool locked = p.insn->has(kInsnLock) || row(p.insn->row).operation == Operation::kXchg;
  const u64 align = address.align_mask | (locked && a.bytes > 1 ? a.bytes - 1u : 0);

  flags_about_to_be_lost();
  const FlagsState before = flags_;
  const Label slow = a_.newLabel();
  const Label ready = a_.newLabel();
  const Label cannot = a_.newLabel();  // be done in place; of a group: not together

  load_effective(address, below);
  if (!plain_segment(address)) {
    // Limits are those of the descriptor (SDM vol. 3, 5.3); what is not plain goes to C++.
    const SegmentOffsets s = TranslatorAccess::segment(cpu_, address.segment);
    a_.lea(kScratch, x86::ptr(kPointer, static_cast<i32>(a.bytes - 1)));
    a_.cmp(kScratch, cpu_mem(s.limit, 8));
    a_.ja(cannot);
    a_.cmp(cpu_mem(a.write ? s.write_fast : s.read_fast, 1), 0);
    a_.je(cannot);
    a_.add(kPointer, cpu_mem(s.base, 8));
    a_.mov(kPointer.r32(), kPointer.r32());
  } else if (plan_.code_bits == 64 && address.segment >= kFs) {
    a_.add(kPointer, cpu_mem(TranslatorAccess::active_base(cpu_, address.segment), 8));
  }
  if (group == nullptr ? align != 0 : group->align != 0) {
    // The leader looks after the alignment of its group; what is not aligned goes on alone.
    const i64 from_here = group == nullptr ? 0 : group->align_offset - group->low;
    const u64 mask = group == nullptr ? align : group->align - 1u;
    const Gp address_bits = from_here != 0 ? kScratch : kPointer;
    if (from_here != 0) a_.lea(kScratch, x86::ptr(kPointer, static_cast<i32>(from_here)));
    a_.test(address_bits.r8(), Imm(mask));
    a_.jnz(cannot);
  }
  turn_round(kScratch, kPointer, kPageShift - 5);
  a_.and_(kScratch.r32(), Imm(kEntryIndexMask));
  a_.add(kScratch, cpu_mem(TranslatorAccess::shadow(cpu_), 8));
  const i32 tag = a.write ? 8 : 0;
  a_.sub(kPointer, x86::ptr(kScratch, tag, 8));
  a_.cmp(kPointer, Imm(static_cast<i64>(kPageSize - span)));
  a_.ja(slow);

  HostOperand operand;
  operand.base = kPointer;
  const unsigned pending = pending_;
  if (group == nullptr) {
    a_.add(kPointer, x86::ptr(kScratch, 16, 8));
    a_.bind(ready);
  } else {
    const Mem slot = frame_mem(&cpu_.frame.deltas[static_cast<std::size_t>(group->slot)], 8);
    a_.add(kPointer, x86::ptr(kScratch, 16, 8));
    a_.bind(ready);
    if (constant) {
      a_.mov(slot, kPointer);
    } else {
      // From effective address to host address.
      a_.mov(kScratch, x86::ptr(kScratch, 24, 8));
      if (plan_.code_bits == 64 && address.segment >= kFs)
        a_.add(kScratch, cpu_mem(TranslatorAccess::active_base(cpu_, address.segment), 8));
      a_.mov(slot, kScratch);
    }
    operand.displacement = static_cast<i32>(-below);
  }

  if (group == nullptr) (void)end_of_instruction();
  out_of_line_.push_back([=, this, access = &a, planned = &p, end = &ends_.back()] {
    a_.bind(slow);
    if (group != nullptr) {
      // The right page, but not all of the group is on it.
      a_.cmp(kPointer, kPageMask);
      a_.jbe(cannot);
    }
    a_.add(kPointer, x86::ptr(kScratch, tag, 8));  // the linear address again
    pending_ = pending;
    load_site(*planned, access);
    a_.call(frame_mem(&cpu_.frame.memory_stub, 8));
    a_.test(kPointer, kPointer);
    a_.jnz(ready);
    flags_ = before;
    a_.bind(cannot);
    if (group != nullptr) {
      // The other members would find nothing in the slot: the same instructions without sharing.
      want_flags_in_memory();
      charge(pending_);
      leave(planned->rip(), ExitKind::kNarrow);
    } else {
      interpret_and_return(*planned, end->flags);
      a_.jmp(end->label);
    }
  });
  return operand;
}

RegionEmitter::HostOperand RegionEmitter::access(const PlannedInstruction& p,
                                                 const PlannedAccess& a, const Address& address,
                                                 bool need_scratch) {
  if (a.group >= 0 && !a.leader) return group_member(a, address, need_scratch);
  return probe(p, a, address);
}

RegionEmitter::Address RegionEmitter::operand_address(const PlannedInstruction& p) const {
  const Instruction& insn = *p.insn;
  Address address;
  address.size = insn.address_size;
  address.segment = insn.segment;
  address.displacement = insn.displacement;
  if (has_absolute_offset(insn)) {
    address.displacement = static_cast<i64>(insn.immediate);
    return address;
  }
  if (insn.base == kRip) {
    address.displacement += static_cast<i64>(p.next_rip);
  } else {
    address.base = insn.base;
  }
  address.index = insn.index;
  address.scale = insn.scale;
  return address;
}

/// The slot a stack instruction accesses.
RegionEmitter::Address RegionEmitter::stack_address(const PlannedInstruction& p) const {
  Address address;
  address.segment = kSs;
  address.base = p.how == Emission::kLeave ? kRbp : kRsp;
  address.size = plan_.stack_mask == 0xffff ? 2 : plan_.stack_mask == 0xffffffff ? 4 : 8;
  const bool push = p.stack.write;
  address.displacement = push ? -i64{p.insn->operand_size} : 0;
  return address;
}

RegionEmitter::HostOperand RegionEmitter::operand(const PlannedInstruction& p, bool need_scratch) {
  Address address = operand_address(p);
  if (p.operand.aligned) address.align_mask = p.operand.bytes - 1u;
  return access(p, p.operand, address, need_scratch);
}
RegionEmitter::HostOperand RegionEmitter::stack(const PlannedInstruction& p, bool need_scratch) {
  return access(p, p.stack, stack_address(p), need_scratch);
}

/// Adds to the guest's SP, ESP or RSP without touching flags. kScratch is used for a 16-bit stack.
void RegionEmitter::move_stack_pointer(i64 by) {
  const i32 d = static_cast<i32>(by);
  if (plan_.stack_mask == 0xffff) {
    a_.lea(kScratch.r32(), x86::ptr(kStackPointer, d));
    a_.mov(kStackPointer.r16(), kScratch.r16());
  } else if (plan_.stack_mask == 0xffffffff) {
    a_.lea(kStackPointer.r32(), x86::ptr(kStackPointer, d));
  } else {
    a_.lea(kStackPointer, x86::ptr(kStackPointer, d));
  }
}

}  // namespace dragoman
