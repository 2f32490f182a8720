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
  out_of_line_.push_back(
      [=, this, planned = &p, end = &ends_.back(), before = flags_, pending = pending_] {
        a_.bind(waiting);
        flags_ = before;
        pending_ = pending;
        interpret_and_return(*planned, end->flags);
        a_.jmp(end->label);
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
  a_.mov(to.mem(8), kScratch);
  flags_.in = FlagsIn::kMemory;
  move_stack_pointer(-8);
}

void RegionEmitter::emit_read_segment(const PlannedInstruction& p) {
  keep_recipe_alive(p);
  a_.movzx(kScratch.r32(), state_mem(&cpu_.state.segments[p.insn->reg].selector, 2));
  store_guest(p.insn->rm, kScratch, p.insn->operand_size);
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
