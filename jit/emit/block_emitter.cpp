#include "jit/emit/block_emitter.h"

#include <string_view>

#include "cpu/execute/forms.h"
#include "cpu/isa/rows.h"
#include "jit/emit/instruction_ids.h"

namespace dragoman {

using asmjit::Imm;
using asmjit::Label;
namespace x86 = asmjit::x86;

namespace {

constexpr u32 kAllFlags = kArithmeticFlags;

/// Flags an instruction needs in the host's flags register: those it reads, and, when it writes
/// only some, the others, which it must hand on.
bool needs_old_flags(const Instruction& insn, const OperationInfo& info) {
  const Row& r = row(insn.row);
  switch (r.operation) {
    case Operation::kShl:
    case Operation::kShr:
    case Operation::kSar:
    case Operation::kShld:
    case Operation::kShrd: {
      // A constant count other than zero sets every flag (some to undefined values).
      const Operand& count =
          r.operands[1].addressing == Addressing::kG ? r.operands[2] : r.operands[1];
      if (count.addressing == Addressing::kOne) return false;
      if (count.addressing == Addressing::kI) {
        // The mask is that of the operand: REX.W does not widen a byte operand.
        return (insn.immediate & (operand_bytes(insn, r.operands[0]) == 8 ? 63 : 31)) == 0;
      }
      return true;
    }
    default:
      break;
  }
  const u32 covered = info.flags_written | info.flags_undefined;
  return (info.flags_read & kAllFlags) != 0 || (covered != 0 && (covered & kAllFlags) != kAllFlags);
}

}  // namespace

BlockEmitter::BlockEmitter(Cpu& cpu, const Block& block, u64 rip, TranslatedBlock& out)
    : cpu_(cpu), block_(block), rip_(rip), out_(out) {
  code_.init(asmjit::Environment::host());
  code_.attach(&a_);
}

// --- Operands
// -------------------------------------------------------------------------------------

x86::Mem BlockEmitter::state_mem(i32 offset, unsigned size) const {
  return x86::ptr(kState, offset, size);
}
x86::Mem BlockEmitter::register_slot(unsigned gpr, unsigned size) const {
  const auto* slot = reinterpret_cast<const u8*>(&cpu_.state.regs[gpr]);
  return state_mem(static_cast<i32>(slot - reinterpret_cast<const u8*>(&cpu_.state)), size);
}
x86::Mem BlockEmitter::frame_mem(const void* member, unsigned size) const {
  return state_mem(
      static_cast<i32>(static_cast<const u8*>(member) - reinterpret_cast<const u8*>(&cpu_.state)),
      size);
}
x86::Gp BlockEmitter::sized(const Gp& reg, unsigned bytes) {
  switch (bytes) {
    case 1:
      return reg.r8();
    case 2:
      return reg.r16();
    case 4:
      return reg.r32();
    default:
      return reg.r64();
  }
}
void BlockEmitter::load_guest(const Gp& into, unsigned gpr) {
  if (pinned(gpr)) {
    a_.mov(into, x86::gpq(gpr));
  } else {
    a_.mov(into, register_slot(gpr));
  }
}
void BlockEmitter::store_guest(unsigned gpr, const Gp& value) {
  if (pinned(gpr)) {
    a_.mov(x86::gpq(gpr), value);
  } else {
    a_.mov(register_slot(gpr), value);
  }
}

// --- Flags
// --------------------------------------------------------------------------------------------

void BlockEmitter::spill_flags() {
  if (!flags_in_host_ || flags_in_memory_) return;
  a_.mov(kScratch, x86::rax);
  a_.lahf();
  a_.seto(x86::al);
  a_.mov(frame_mem(&cpu_.frame.flags, 2), x86::ax);
  a_.mov(x86::rax, kScratch);
  flags_in_memory_ = true;
}

void BlockEmitter::reload_flags() {
  if (flags_in_host_) return;
  a_.mov(kScratch, x86::rax);
  a_.movzx(x86::eax, frame_mem(&cpu_.frame.flags, 2));
  a_.add(x86::al, 0x7f);  // OF
  a_.sahf();
  a_.mov(x86::rax, kScratch);
  flags_in_host_ = true;
}

// --- Sites
// --------------------------------------------------------------------------------------------

Site& BlockEmitter::site(const Instruction& insn) {
  Site& s = out_.sites.emplace_back();
  s.insn = &insn;
  s.first = block_.instructions;
  s.rip = next_rip(insn) - insn.length;
  s.remaining = remaining(insn);
  return s;
}

u64 BlockEmitter::next_rip(const Instruction& insn) const {
  (void)insn;
  return current_rip_;
}
u32 BlockEmitter::remaining(const Instruction& insn) const {
  return static_cast<u32>(block_.count - (&insn - block_.instructions));
}

// --- The block
// -----------------------------------------------------------------------------------------

bool BlockEmitter::emit(EmittedBlock& result) {
  retired_ = a_.newLabel();
  const Label resume = a_.newLabel();
  const Label over_budget = a_.newLabel();
  a_.cmp(state_mem(TranslatorAccess::attention(cpu_), 4), 0);
  a_.long_().jne(retired_);
  a_.bind(resume);
  a_.sub(frame_mem(&cpu_.frame.budget, 8), block_.count);
  a_.js(over_budget);
  out_of_line_.push_back([=, this] {
    a_.bind(over_budget);
    a_.add(frame_mem(&cpu_.frame.budget, 8), block_.count);
    a_.bind(retired_);
    ExitRecord& record = out_.exits.emplace_back();
    record.rip = rip_;
    a_.mov(kScratch, Imm(reinterpret_cast<u64>(&record)));
    a_.jmp(frame_mem(&cpu_.frame.exit_stub, 8));
  });

  current_rip_ = rip_;
  bool ended = false;
  for (unsigned i = 0; i < block_.count; ++i) {
    const Instruction& insn = block_.instructions[i];
    current_rip_ += insn.length;
    end_ = &ends_.emplace_back();
    end_->label = a_.newLabel();
    const Category category = operation_info(row(insn.row).operation).category;
    if (category == Category::kBranch && emit_branch(insn)) {
      ended = row(insn.row).operation != Operation::kJcc;
    } else if (!emit_instruction(insn)) {
      emit_interpreted(insn);
    }
    end_->flags_in_host = flags_in_host_;
    a_.bind(end_->label);
  }
  if (!ended) {
    spill_flags();
    const Category last =
        operation_info(row(block_.instructions[block_.count - 1].row).operation).category;
    // After a system instruction the mode may be another: the dispatcher compares it.
    if (last == Category::kSystem) {
      a_.mov(kPointer, Imm(current_rip_));
      leave_indirect();
    } else {
      leave(current_rip_, 0, true);
    }
  }
  for (std::size_t i = 0; i < out_of_line_.size(); ++i) out_of_line_[i]();

  if (failed_ || code_.flatten() != asmjit::kErrorOk ||
      code_.resolveUnresolvedLinks() != asmjit::kErrorOk) {
    return false;
  }
  result.code.resize(code_.codeSize());
  if (code_.copyFlattenedData(result.code.data(), result.code.size()) != asmjit::kErrorOk)
    return false;
  result.resume = code_.labelOffset(resume);
  result.retired = code_.labelOffset(retired_);
  for (const auto& [label, record] : jump_labels_) {
    result.jumps.emplace_back(code_.labelOffset(label), record);
  }
  return true;
}

void BlockEmitter::emit_interpreted(const Instruction& insn) {
  Site& s = site(insn);
  spill_flags();
  flags_in_host_ = false;
  a_.mov(kScratch, Imm(reinterpret_cast<u64>(&s)));
  a_.call(frame_mem(&cpu_.frame.interpret_stub, 8));
  const Label gone = a_.newLabel();
  a_.test(kScratch.r32(), kScratch.r32());
  a_.jz(gone);
  out_of_line_.push_back([=, this] {
    a_.bind(gone);
    leave_with_state();
  });
}

bool BlockEmitter::emit_instruction(const Instruction& insn) {
  const Row& r = row(insn.row);
  switch (r.operation) {
    case Operation::kLea:
      return emit_lea(insn);
    case Operation::kPush:
      return emit_push(insn);
    case Operation::kPop:
      return emit_pop(insn);
    case Operation::kNop:
    case Operation::kPause:
    case Operation::kEndbr64:
    case Operation::kPrefetcht0:
    case Operation::kPrefetcht1:
    case Operation::kPrefetcht2:
    case Operation::kPrefetchnta:
    case Operation::kPrefetchw:
    case Operation::kLfence:
    case Operation::kSfence:
    case Operation::kMfence:
      return true;
    default:
      return emit_generic(insn);
  }
}

bool BlockEmitter::emit_lea(const Instruction& insn) {
  if (insn.operand_size == 2) return false;
  load_address(insn);
  if (insn.operand_size == 4) a_.mov(kPointer.r32(), kPointer.r32());
  store_guest(insn.reg, kPointer);
  return true;
}

/// The same instruction with renamed registers and the memory operand at a host address.
bool BlockEmitter::emit_generic(const Instruction& insn) {
  const Row& r = row(insn.row);
  const OperationInfo& info = operation_info(r.operation);
  const asmjit::InstId id = host_instruction_id(insn);
  if (id == 0) return false;

  // Which guest registers are data operands, and which of them need a temporary.
  struct Use {
    unsigned bytes = 0;
    int gpr = -1;  // general register number, or -1
    bool high = false;
    bool memory = false;
    bool immediate = false;
    bool one = false;
  };
  std::array<Use, 4> uses;
  unsigned count = 0;
  bool memory = false, any_high = false;
  unsigned memory_bytes = 0;
  for (const Operand& operand : r.operands) {
    if (operand.addressing == Addressing::kNone) break;
    Use& use = uses[count++];
    use.bytes = operand_bytes(insn, operand);
    int number = -1;
    switch (operand.addressing) {
      case Addressing::kE:
      case Addressing::kM:
      case Addressing::kR:
        if (insn.memory()) {
          use.memory = memory = true;
          memory_bytes = use.bytes;
        } else {
          number = insn.rm;
        }
        break;
      case Addressing::kG:
      case Addressing::kZ:
        number = insn.reg;
        break;
      case Addressing::kB:
        number = insn.vvvv;
        break;
      case Addressing::kFixed:
        number = operand.number;
        break;
      case Addressing::kI:
        use.immediate = true;
        break;
      case Addressing::kOne:
        use.one = true;
        break;
      default:
        return false;
    }
    if (number >= kHighByte) {
      use.high = any_high = true;
      number -= kHighByte;
    }
    use.gpr = number;
  }
  if (any_high) {
    // AH..BH exclude a REX prefix, so every other register must do without one.
    if (memory) return false;
    for (unsigned i = 0; i < count; ++i) {
      const Use& u = uses[i];
      if (u.gpr < 0 || u.high) continue;
      if (u.bytes == 8 || u.gpr >= 8 || (u.bytes == 1 && u.gpr >= 4) ||
          !pinned(static_cast<unsigned>(u.gpr)))
        return false;
    }
  }
  // Temporaries for registers that live in CpuState.
  std::array<int, 2> temporary_of{-1, -1};
  const unsigned temporaries = memory ? 1 : 2;
  for (unsigned i = 0; i < count; ++i) {
    const int gpr = uses[i].gpr;
    if (gpr < 0 || pinned(static_cast<unsigned>(gpr))) continue;
    if (uses[i].high) return false;
    if (temporary_of[0] == gpr || temporary_of[1] == gpr) continue;
    if (temporary_of[0] < 0) {
      temporary_of[0] = gpr;
    } else if (temporaries > 1 && temporary_of[1] < 0) {
      temporary_of[1] = gpr;
    } else {
      return false;
    }
  }

  const bool writes_flags = ((info.flags_written | info.flags_undefined) & kAllFlags) != 0;
  const bool old_flags = needs_old_flags(insn, info);
  const bool destination = (r.attributes & kDestination) != 0;
  const bool second_written = (r.attributes & kSecondWritten) != 0;
  const bool locked = insn.has(kInsnLock);

  const auto op = [=, this] {
    if (old_flags) reload_flags();
    for (unsigned t = 0; t < 2; ++t) {
      if (temporary_of[t] >= 0)
        load_guest(t == 0 ? kScratch : kPointer, static_cast<unsigned>(temporary_of[t]));
    }
    asmjit::Operand_ operands[4];
    for (unsigned i = 0; i < count; ++i) {
      const Use& u = uses[i];
      if (u.memory) {
        operands[i] = x86::ptr(kPointer, 0, u.bytes);
      } else if (u.immediate) {
        const unsigned width = count > 0 && uses[0].bytes != 0 ? uses[0].bytes : u.bytes;
        operands[i] = Imm(static_cast<i64>(sign_extend(insn.immediate, 8 * width)));
      } else if (u.one) {
        operands[i] = Imm(1);
      } else if (u.high) {
        operands[i] = x86::gpb_hi(static_cast<unsigned>(u.gpr));
      } else {
        Gp reg = x86::gpq(static_cast<unsigned>(u.gpr));
        if (temporary_of[0] == u.gpr) reg = kScratch;
        if (temporary_of[1] == u.gpr) reg = kPointer;
        operands[i] = sized(reg, u.bytes);
      }
    }
    if (locked) a_.lock();
    if (a_.emitOpArray(id, operands, count) != asmjit::kErrorOk) failed_ = true;
    const auto store_back = [&](unsigned i) {
      const int gpr = uses[i].gpr;
      if (gpr < 0 || pinned(static_cast<unsigned>(gpr))) return;
      a_.mov(register_slot(static_cast<unsigned>(gpr)),
             temporary_of[0] == gpr ? kScratch : kPointer);
    };
    if (destination && count > 0) store_back(0);
    if (second_written && count > 1) store_back(1);
    if (writes_flags) flags_written();
  };

  if (memory) {
    const bool memory_first = uses[0].memory;
    const bool write =
        (memory_first && destination) || (count > 1 && uses[1].memory && second_written);
    with_memory(
        insn, memory_bytes, write, [this, &insn] { load_linear(insn); }, op);
  } else {
    op();
  }
  return true;
}

}  // namespace dragoman
