// How generated code leaves a block: exits, links, branches.
#include "cpu/isa/rows.h"
#include "jit/emit/block_emitter.h"

namespace dragoman {

using asmjit::Imm;
using asmjit::Label;
namespace x86 = asmjit::x86;

// --- Leaving
// -------------------------------------------------------------------------------------------

/// RIP and everything else is in CpuState already.
void BlockEmitter::leave_with_state() {
  ExitRecord& record = out_.exits.emplace_back();
  record.set_rip = false;
  a_.mov(kScratch, Imm(reinterpret_cast<u64>(&record)));
  a_.jmp(frame_mem(&cpu_.frame.exit_stub, 8));
}

void BlockEmitter::leave(u64 target_rip, u32 give_back, bool linkable) {
  if (give_back != 0) a_.add(frame_mem(&cpu_.frame.budget, 8), give_back);
  if (linkable && (target_rip >> kPageShift) == (rip_ >> kPageShift)) {
    ExitRecord& record = out_.exits.emplace_back();
    record.rip = target_rip;
    record.linkable = true;
    const Label jump = a_.newLabel();
    const Label next = a_.newLabel();
    a_.bind(jump);
    a_.long_().jmp(next);
    a_.bind(next);
    jump_labels_.emplace_back(jump, &record);
    a_.mov(kScratch, Imm(reinterpret_cast<u64>(&record)));
    a_.jmp(frame_mem(&cpu_.frame.exit_stub, 8));
    return;
  }
  a_.mov(kPointer, Imm(target_rip));
  leave_indirect();
}

/// Target in kPointer, canonical.
void BlockEmitter::leave_indirect() { a_.jmp(frame_mem(&cpu_.frame.dispatch_stub, 8)); }

/// #GP belongs to the branch itself when the target in kPointer is not canonical: the interpreter
/// then executes the instruction. Flags must be in memory.
void BlockEmitter::check_canonical(const Instruction& insn) {
  Site& s = site(insn);
  const Label bad = a_.newLabel();
  a_.mov(kScratch, kPointer);
  a_.sar(kScratch, 47);
  a_.add(kScratch, 1);
  a_.cmp(kScratch, 1);
  a_.ja(bad);
  out_of_line_.push_back([=, this, &s] {
    a_.bind(bad);
    a_.mov(kScratch, Imm(reinterpret_cast<u64>(&s)));
    a_.call(frame_mem(&cpu_.frame.interpret_stub, 8));
    leave_with_state();
  });
}

// --- Branches
// --------------------------------------------------------------------------------------------

bool BlockEmitter::emit_branch(const Instruction& insn) {
  const Row& r = row(insn.row);
  const bool relative = r.operands[0].addressing == Addressing::kJ;
  const u64 target = next_rip(insn) + insn.immediate;
  if (insn.operand_size != 8) return false;
  if (relative && !cpu_.canonical(target)) return false;
  switch (r.operation) {
    case Operation::kJcc: {
      const Label taken = a_.newLabel();
      spill_flags();
      reload_flags();
      a_.j(static_cast<x86::CondCode>(insn.opcode & 15), taken);
      const u32 give_back = remaining(insn) - 1;
      out_of_line_.push_back([=, this] {
        a_.bind(taken);
        leave(target, give_back, true);
      });
      return true;
    }
    case Operation::kJmpNear:
      spill_flags();
      flags_in_host_ = false;
      if (relative) {
        leave(target, 0, true);
        return true;
      }
      [[fallthrough]];
    case Operation::kCallNear: {
      spill_flags();
      flags_in_host_ = false;
      if (!relative) {
        if (insn.memory()) {
          with_memory(
              insn, 8, false, [this, &insn] { load_linear(insn); },
              [this] { a_.mov(kPointer, x86::ptr(kPointer, 0, 8)); });
        } else {
          load_guest(kPointer, insn.rm);
        }
        check_canonical(insn);
        if (r.operation == Operation::kJmpNear) {
          leave_indirect();
          return true;
        }
        a_.mov(frame_mem(&cpu_.frame.target, 8), kPointer);
      }
      const u64 return_address = next_rip(insn);
      with_memory(
          insn, 8, true,
          [this] {
            a_.mov(kPointer, register_slot(kRsp));
            a_.lea(kPointer, x86::ptr(kPointer, -8));
          },
          [=, this] {
            a_.mov(kScratch, Imm(return_address));
            a_.mov(x86::ptr(kPointer, 0, 8), kScratch);
          });
      a_.sub(register_slot(kRsp), 8);
      if (relative) {
        leave(target, 0, true);
      } else {
        a_.mov(kPointer, frame_mem(&cpu_.frame.target, 8));
        leave_indirect();
      }
      return true;
    }
    case Operation::kRetNear: {
      const i32 released = 8 + static_cast<u16>(insn.immediate);
      with_memory(
          insn, 8, false, [this] { a_.mov(kPointer, register_slot(kRsp)); },
          [this] { a_.mov(kPointer, x86::ptr(kPointer, 0, 8)); });
      check_canonical(insn);
      a_.add(register_slot(kRsp), released);
      leave_indirect();
      return true;
    }
    default:
      return false;
  }
}

}  // namespace dragoman
