// Guest memory in generated code: effective addresses, the inline probe, push and pop.
#include "cpu/isa/rows.h"
#include "jit/emit/block_emitter.h"

namespace dragoman {

using asmjit::Imm;
using asmjit::Label;
namespace x86 = asmjit::x86;

/// kPointer = offset of the memory operand. Flags survive; kScratch is used when the index has no
/// host register.
void BlockEmitter::load_address(const Instruction& insn) {
  const bool wide = insn.address_size == 8;
  if (insn.base == kRip) {
    const u64 address =
        (next_rip(insn) + static_cast<u64>(i64{insn.displacement})) & insn.address_mask;
    a_.mov(kPointer, Imm(address));
    return;
  }
  Gp base;
  if (insn.base != kZeroRegister) {
    if (pinned(insn.base)) {
      base = x86::gpq(insn.base);
    } else {
      load_guest(kPointer, insn.base);
      base = kPointer;
    }
  }
  Gp index;
  if (insn.index != kZeroRegister) {
    if (pinned(insn.index)) {
      index = x86::gpq(insn.index);
    } else {
      load_guest(kScratch, insn.index);
      index = kScratch;
    }
  }
  Mem mem;
  if (base.isValid() && index.isValid()) {
    mem = x86::ptr(base, index, insn.scale, insn.displacement);
  } else if (base.isValid()) {
    mem = x86::ptr(base, insn.displacement);
  } else if (index.isValid()) {
    a_.mov(kPointer, Imm(i64{insn.displacement}));
    mem = x86::ptr(kPointer, index, insn.scale);
  } else {
    a_.mov(kPointer, Imm(static_cast<u64>(i64{insn.displacement}) & insn.address_mask));
    return;
  }
  a_.lea(wide ? kPointer : kPointer.r32(), mem);
}

/// kPointer = linear address of the memory operand.
void BlockEmitter::load_linear(const Instruction& insn) {
  load_address(insn);
  if (insn.segment == kFs || insn.segment == kGs) {
    a_.add(kPointer, state_mem(TranslatorAccess::active_base(cpu_, insn.segment), 8));
  }
}

void BlockEmitter::with_memory(const Instruction& insn, unsigned bytes, bool write,
                               const std::function<void()>& address,
                               const std::function<void()>& op) {
  Site& s = site(insn);
  s.access_bytes = static_cast<u8>(bytes);
  s.write = write;
  s.locked = insn.has(kInsnLock);
  const Label slow = a_.newLabel();
  const Label ready = a_.newLabel();

  // The access may fault, and the probe's compare destroys the host's flags.
  spill_flags();
  flags_in_host_ = false;
  address();
  a_.mov(frame_mem(&cpu_.frame.linear, 8), kPointer);
  if (s.locked && bytes > 1) {  // a host may stall or kill a program that locks across cache lines
    a_.test(kPointer.r8(), Imm(bytes - 1));
    a_.jnz(slow);
  }
  a_.mov(kScratch, kPointer);
  static_assert(sizeof(ShadowTable::Entry) == 32);
  a_.shr(kScratch, kPageShift - 5);
  a_.and_(kScratch.r32(), Imm((ShadowTable::kEntries - 1) << 5));
  a_.add(kScratch, state_mem(TranslatorAccess::shadow(cpu_), 8));
  a_.sub(kPointer, x86::ptr(kScratch, write ? 8 : 0, 8));
  a_.cmp(kPointer, static_cast<i32>(kPageSize - bytes));
  a_.ja(slow);
  a_.add(kPointer, x86::ptr(kScratch, 16, 8));
  a_.bind(ready);
  op();

  out_of_line_.push_back([=, this, end = end_, &s] {
    a_.bind(slow);
    a_.mov(kPointer, frame_mem(&cpu_.frame.linear, 8));
    a_.mov(kScratch, Imm(reinterpret_cast<u64>(&s)));
    a_.call(frame_mem(&cpu_.frame.memory_stub, 8));
    a_.test(kPointer, kPointer);
    a_.jnz(ready);
    // Not plain memory, or a fault: the interpreter executes the whole instruction.
    a_.mov(kScratch, Imm(reinterpret_cast<u64>(&s)));
    a_.call(frame_mem(&cpu_.frame.interpret_stub, 8));
    const Label gone = a_.newLabel();
    a_.test(kScratch.r32(), kScratch.r32());
    a_.jz(gone);
    if (end->flags_in_host) {
      flags_in_host_ = false;
      reload_flags();
    }
    a_.jmp(end->label);
    a_.bind(gone);
    leave_with_state();
  });
}

// --- Stack
// ---------------------------------------------------------------------------------------------

bool BlockEmitter::emit_push(const Instruction& insn) {
  if (insn.operand_size != 8) return false;
  const Addressing kind = row(insn.row).operands[0].addressing;
  if (kind != Addressing::kZ && kind != Addressing::kI) {
    if (insn.memory() || kind != Addressing::kE) return false;
  }
  const auto address = [this] {
    a_.mov(kPointer, register_slot(kRsp));
    a_.lea(kPointer, x86::ptr(kPointer, -8));
  };
  const unsigned gpr = kind == Addressing::kZ ? insn.reg : insn.rm;
  const auto op = [=, this] {
    if (kind == Addressing::kI) {
      a_.mov(kScratch, Imm(static_cast<i64>(insn.immediate)));
      a_.mov(x86::ptr(kPointer, 0, 8), kScratch);
    } else if (pinned(gpr)) {
      a_.mov(x86::ptr(kPointer, 0, 8), x86::gpq(gpr));
    } else {
      a_.mov(kScratch, register_slot(gpr));
      a_.mov(x86::ptr(kPointer, 0, 8), kScratch);
    }
  };
  with_memory(insn, 8, true, address, op);
  a_.sub(register_slot(kRsp), 8);
  return true;
}

bool BlockEmitter::emit_pop(const Instruction& insn) {
  if (insn.operand_size != 8) return false;
  const Addressing kind = row(insn.row).operands[0].addressing;
  if (kind != Addressing::kZ || insn.reg == kRsp) return false;
  const unsigned gpr = insn.reg;
  with_memory(
      insn, 8, false, [this] { a_.mov(kPointer, register_slot(kRsp)); },
      [=, this] {
        if (pinned(gpr)) {
          a_.mov(x86::gpq(gpr), x86::ptr(kPointer, 0, 8));
        } else {
          a_.mov(kScratch, x86::ptr(kPointer, 0, 8));
          a_.mov(register_slot(gpr), kScratch);
        }
      });
  a_.add(register_slot(kRsp), 8);
  return true;
}

}  // namespace dragoman
