// System instructions that a kernel executes all the time.
#include "cpu/isa/rows.h"
#include "jit/emit/region_emitter.h"

namespace dragoman {

using asmjit::Imm;
using asmjit::Label;
namespace x86 = asmjit::x86;

/// CLI and STI in ring 0. STI holds interrupts off for one instruction (SDM vol. 2, STI), which
/// only shows when one is waiting: that is left to the handler. Without one, none can come before
/// the next instruction, since the two are never the end of a region.
void RegionEmitter::emit_interrupt_flag(const PlannedInstruction& p) {
  flags_about_to_be_lost();
  if (row(p.insn->row).operation == Operation::kCli) {
    a_.and_(state_mem(&cpu_.state.flags, 4), Imm(~i64{kFlagIf}));
    return;
  }
  const Label waiting = a_.newLabel();
  a_.cmp(cpu_mem(TranslatorAccess::interrupt_request(cpu_), 1), 0);
  a_.jne(waiting);
  a_.or_(state_mem(&cpu_.state.flags, 4), Imm(kFlagIf));
  (void)end_of_instruction();
  put_off([=, this, planned = &p, end = end_index(), before = flags_, pending = pending_] {
    a_.bind(waiting);
    flags_ = before;
    pending_ = pending;
    interpret_and_return(*planned, ends_[end].flags);
    a_.jmp(ends_[end].label);
  });
}

void RegionEmitter::emit_direction(const PlannedInstruction& p) {
  flags_about_to_be_lost();
  if (row(p.insn->row).operation == Operation::kCld) {
    a_.and_(state_mem(&cpu_.state.flags, 4), Imm(~i64{kFlagDf}));
  } else {
    a_.or_(state_mem(&cpu_.state.flags, 4), Imm(kFlagDf));
  }
}

void RegionEmitter::emit_push_flags(const PlannedInstruction& p) {
  const HostOperand to = stack(p, true);
  want_flags_in_memory();
  const Label clear = a_.newLabel();
  const auto* packed = reinterpret_cast<const u8*>(&cpu_.frame.flags);
  a_.movzx(kScratch.r32(), frame_mem(packed + 1, 1));
  a_.and_(kScratch.r32(), 0xd5);
  a_.or_(kScratch.r32(), state_mem(&cpu_.state.flags, 4));
  a_.and_(kScratch.r32(), Imm(~i64{kFlagVm | kFlagRf}));
  a_.cmp(frame_mem(packed, 1), 0);
  a_.je(clear);
  a_.or_(kScratch.r32(), Imm(kFlagOf));
  a_.bind(clear);
  const unsigned bytes = p.insn->operand_size;
  a_.mov(to.mem(bytes), sized(kScratch, bytes));
  flags_.in = FlagsIn::kMemory;
  move_stack_pointer(-i64{bytes});
}

/// POPF in ring 0. What it may change beside the arithmetic flags and DF is IF, and that only while
/// no interrupt waits: everything else is the handler's business.
void RegionEmitter::emit_pop_flags(const PlannedInstruction& p) {
  const unsigned bytes = p.insn->operand_size;
  const Label handler = a_.newLabel();
  const Label masked = a_.newLabel();
  const HostOperand from = stack(p, true);
  if (bytes == 2) {
    a_.movzx(kScratch.r32(), from.mem(2));
  } else {
    a_.mov(kScratch.r32(), from.mem(4));
  }
  flags_ = {};  // all are written, and nothing faults from here on
  const Mem system = state_mem(&cpu_.state.flags, 4);
  a_.mov(kPointer.r32(), kScratch.r32());
  a_.xor_(kPointer.r32(), system);
  u32 unusual = kFlagTf | kFlagNt | kFlagIopl;
  if (bytes != 2) unusual |= kFlagAc | kFlagId;
  a_.test(kPointer.r32(), unusual);
  a_.jnz(handler);
  a_.test(kScratch.r32(), kFlagIf);
  a_.jz(masked);
  a_.cmp(cpu_mem(TranslatorAccess::interrupt_request(cpu_), 1), 0);
  a_.jne(handler);
  a_.bind(masked);
  a_.and_(kPointer.r32(), kFlagIf | kFlagDf);
  a_.xor_(system, kPointer.r32());
  // As packed_flags() has them.
  a_.mov(kPointer.r32(), kScratch.r32());
  a_.shr(kPointer.r32(), 11);
  a_.and_(kPointer.r32(), 1);
  a_.shl(kScratch.r32(), 8);
  a_.and_(kScratch.r32(), 0xd500);
  a_.lea(kScratch.r32(), x86::ptr(kScratch, kPointer, 0, 0x200));
  a_.mov(frame_mem(&cpu_.frame.flags, 2), kScratch.r16());
  move_stack_pointer(bytes);
  put_off([=, this, planned = &p, pending = pending_] {
    a_.bind(handler);
    flags_ = {};
    pending_ = pending;
    interpret_and_return(*planned, flags_);
    a_.ud2();  // the row ends a block: its handler does not come back
  });
}

void RegionEmitter::emit_read_segment(const PlannedInstruction& p) {
  keep_recipe_alive(p);
  a_.movzx(kScratch.r32(), state_mem(&cpu_.state.segments[p.insn->reg].selector, 2));
  store_guest(p.insn->rm, kScratch, p.insn->operand_size);
}

/// Real and virtual-8086 mode: the base follows from the selector, the rest stays (SDM vol. 3,
/// 20.1.1). A limit or type left over from protected mode is the handler's business.
void RegionEmitter::emit_load_segment(const PlannedInstruction& p) {
  const Instruction& insn = *p.insn;
  const Segment& s = cpu_.state.segments[insn.reg];
  const Label unusual = a_.newLabel();
  if (insn.memory()) {
    const HostOperand from = operand(p, true);
    a_.movzx(kPointer.r32(), from.mem(2));
  } else {
    load_guest(kPointer, insn.rm);
    a_.movzx(kPointer.r32(), kPointer.r16());
  }
  want_flags_in_memory();
  flags_.in = FlagsIn::kMemory;
  a_.cmp(state_mem(&s.attributes, 1), Imm(cpu_.v86() ? 0xf3 : 0x93));
  a_.jne(unusual);
  a_.cmp(state_mem(&s.limit, 4), Imm(0xffff));
  a_.jne(unusual);
  a_.mov(state_mem(&s.selector, 2), kPointer.r16());
  a_.shl(kPointer.r32(), 4);
  a_.mov(state_mem(&s.base, 8), kPointer);
  a_.mov(cpu_mem(TranslatorAccess::active_base(cpu_, insn.reg), 8), kPointer);
  a_.mov(cpu_mem(TranslatorAccess::segment(cpu_, insn.reg).base, 8), kPointer);
  put_off([=, this, planned = &p, pending = pending_] {
    a_.bind(unusual);
    flags_ = {};
    pending_ = pending;
    interpret_and_return(*planned, flags_);
    a_.ud2();  // the row ends a block: its handler does not come back
  });
}

void RegionEmitter::emit_swap_gs() {
  const Mem active = cpu_mem(TranslatorAccess::active_base(cpu_, kGs), 8);
  const Mem other = state_mem(&cpu_.state.msr.kernel_gs_base, 8);
  a_.mov(kPointer, active);
  a_.mov(kScratch, other);
  a_.mov(other, kPointer);
  a_.mov(active, kScratch);
  a_.mov(state_mem(&cpu_.state.segments[kGs].base, 8), kScratch);
  a_.mov(cpu_mem(TranslatorAccess::segment(cpu_, kGs).base, 8), kScratch);
}

}  // namespace dragoman
