// MOVS, STOS and LODS without a repeat prefix, as compilers use them for small code: going up, with
// the address size of the code. Repeated ones are their handlers'.
#include "cpu/execute/forms.h"
#include "cpu/isa/rows.h"
#include "jit/emit/region_emitter.h"

namespace dragoman {

using asmjit::Imm;
using asmjit::Label;
namespace x86 = asmjit::x86;

/// RSI or RDI goes on by an element; flags stay. kScratch is used at 16 bits.
void RegionEmitter::move_pointer(Gpr gpr, unsigned address_size, unsigned bytes) {
  const i32 by = static_cast<i32>(bytes);
  if (address_size == 2) {
    a_.lea(kScratch.r32(), x86::ptr(guest(gpr), by));
    a_.mov(guest(gpr, 2), kScratch.r16());
  } else {
    a_.lea(guest(gpr, address_size), x86::ptr(guest(gpr), by));
  }
}

void RegionEmitter::emit_string(const PlannedInstruction& p) {
  const Instruction& insn = *p.insn;
  const Operation operation = row(insn.row).operation;
  const unsigned bytes = p.operand.bytes;
  const Label down = a_.newLabel();
  const std::size_t end = end_index();
  (void)end_of_instruction();
  flags_about_to_be_lost();
  a_.test(state_mem(&cpu_.state.flags, 4), Imm(kFlagDf));
  a_.long_().jnz(down);
  put_off([=, this, planned = &p, before = flags_, pending = pending_] {
    a_.bind(down);
    flags_ = before;
    pending_ = pending;
    interpret_and_return(*planned, ends_[end].flags);
    a_.jmp(ends_[end].label);
  });

  const HostOperand at = operand(p, true);
  if (operation == Operation::kStos) {
    a_.mov(at.mem(bytes), guest(kRax, bytes));
  } else if (operation == Operation::kMovs) {
    // Looking up the other page takes both registers.
    a_.mov(sized(kScratch, bytes), at.mem(bytes));
    a_.mov(frame_mem(&cpu_.frame.target, 8), kScratch);
    const HostOperand to = stack(p, true);
    a_.mov(kScratch, frame_mem(&cpu_.frame.target, 8));
    a_.mov(to.mem(bytes), sized(kScratch, bytes));
  }
  keep_recipe_alive(p);
  if (operation == Operation::kLods) a_.mov(guest(kRax, bytes), at.mem(bytes));
  if (operation != Operation::kStos) move_pointer(kRsi, insn.address_size, bytes);
  if (operation != Operation::kLods) move_pointer(kRdi, insn.address_size, bytes);
}

}  // namespace dragoman
