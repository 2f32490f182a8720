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
