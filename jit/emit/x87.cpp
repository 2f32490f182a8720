// x87 instructions on the host's own registers, which hold the guest's stack, control, status and
// tags from the first region that uses them until something goes to C++. All exceptions are masked
// then (FLDCW that unmasks one is the handler's, and what follows is interpreted), so that none can
// ever be pending. Memory operands are at host addresses, nothing else is renamed.
#include "cpu/execute/host/x87.h"
#include "cpu/execute/dispatch.h"
#include "cpu/execute/forms.h"
#include "cpu/execute/host/vector_plan.h"
#include "cpu/isa/rows.h"
#include "jit/classify.h"
#include "jit/emit/region_emitter.h"

namespace dragoman {

using asmjit::Imm;
using asmjit::Label;
namespace x86 = asmjit::x86;

namespace {
/// FLDCW of such a value unmasks nothing and has no reserved bit set otherwise than they read.
constexpr u32 kControlChecked = 0xe0ff, kControlAllMasked = 0x007f;

/// Changes what FIP, FDP and FOP say of the last instruction (SDM vol. 1, 8.1.8).
bool is_noted(const Instruction& insn) {
  const Row& r = row(insn.row);
  return operation_info(r.operation).category == Category::kX87 && !(r.attributes & kFpuControl);
}
}  // namespace

bool x87_usable(const Cpu& cpu, const TranslatorOptions& options) {
  return options.x87 && cpu.model().quirks.empty() &&
         (cpu.frame.x87_live != 0 || x87_masked(cpu.state.fpu));
}

bool x87_emitted(const Cpu&, const Instruction& insn) {
  switch (row(insn.row).operation) {
    case Operation::kFwait:
      return insn.handler == select_Fwait(insn);
    case Operation::kEmms:
      return insn.handler == select_Emms(insn);
    case Operation::kFninit:
    case Operation::kFnstenv:
    case Operation::kFldenv:
    case Operation::kFnsave:
    case Operation::kFrstor:
      return false;
    default:
      return insn.handler == select_x87(insn);
  }
}

void plan_x87(const Instruction& insn, PlannedInstruction& p) {
  const Row& r = row(insn.row);
  const OperationInfo& info = operation_info(r.operation);
  p.writes_flags = info.flags_written != 0;
  p.needs_flags = p.writes_flags || info.flags_read != 0;
  p.may_leave = r.operation == Operation::kFldcw;
  if (!insn.memory()) return;
  p.operand.present = true;
  p.operand.write = (r.attributes & kDestination) != 0;
  p.operand.bytes = static_cast<u8>(operand_bytes(r.operands[0].width, insn, false));
}

void RegionEmitter::enter_x87() {
  const Label absent = a_.newLabel();
  const Label there = a_.newLabel();
  a_.cmp(frame_mem(&cpu_.frame.x87_live, 1), 0);
  a_.je(absent);
  a_.bind(there);
  put_off([=, this] {
    a_.bind(absent);
    a_.call(frame_mem(&cpu_.frame.x87_stub, 8));
    a_.cmp(frame_mem(&cpu_.frame.x87_live, 1), 0);
    a_.jne(there);
    a_.jmp(short_);  // unmasked exceptions are the interpreter's business
  });
}

void RegionEmitter::emit_x87(const PlannedInstruction& p) {
  const Instruction& insn = *p.insn;
  switch (row(insn.row).operation) {
    case Operation::kFwait:
    case Operation::kFneni:
    case Operation::kFndisi:
    case Operation::kFnsetpm:
      return;
    case Operation::kEmms:
      a_.emms();
      return;
    case Operation::kFldcw:
      return emit_load_control(p);
    default:
      break;
  }
  if (insn.memory()) {
    const HostOperand at = operand(p, false);
    keep_recipe_alive(p);
    embed_x87(insn, &at);
  } else {
    if (p.needs_flags) want_flags_in_host();
    keep_recipe_alive(p);
    embed_x87(insn, nullptr);
    if (p.writes_flags) note_flags_written(p);
  }
  if (is_noted(insn) && !noted_by_next()) note_x87(p);
}

void RegionEmitter::emit_load_control(const PlannedInstruction& p) {
  const HostOperand from = operand(p, true);
  a_.movzx(kPointer.r32(), from.mem(2));
  want_flags_in_memory();  // uses kScratch
  flags_.in = FlagsIn::kMemory;
  const Label handler = a_.newLabel();
  a_.mov(frame_mem(&cpu_.frame.target, 8), kPointer);
  a_.and_(kPointer.r32(), kControlChecked);
  a_.cmp(kPointer.r32(), kControlAllMasked);
  a_.jne(handler);
  a_.fldcw(frame_mem(&cpu_.frame.target, 2));
  (void)end_of_instruction();
  put_off([=, this, planned = &p, end = end_index(), before = flags_, pending = pending_] {
    a_.bind(handler);
    flags_ = before;
    pending_ = pending;
    interpret_and_return(*planned, ends_[end].flags);
    a_.jmp(ends_[end].label);
  });
}

/// The instruction's bytes, with another address.
void RegionEmitter::embed_x87(const Instruction& insn, const HostOperand* memory) {
  InstructionBytes code;
  unsigned size = 0;
  if (memory != nullptr) {
    const auto high = [](const Gp& r) { return r.isValid() ? r.id() >> 3 & 1 : 0u; };
    const unsigned rex = high(memory->index) << 1 | high(memory->base);
    if (rex != 0) code[size++] = static_cast<u8>(0x40 | rex);
  }
  code[size++] = insn.opcode;
  put_operands(code, size, insn.modrm >> 3 & 7, insn.modrm & 7, memory);
  a_.embed(code.data(), size);
}

/// Another instruction follows that overwrites what is noted of this one before anyone can see it.
bool RegionEmitter::noted_by_next() const {
  const auto& instructions = plan_.blocks[block_index_].instructions;
  if (instructions[instruction_index_].insn->memory()) return false;  // has noted its operand
  for (std::size_t k = instruction_index_ + 1; k < instructions.size(); ++k) {
    if (instructions[k].may_leave || instructions[k].how == Emission::kConditional) return false;
    if (is_noted(*instructions[k].insn)) return true;
  }
  return false;
}

/// FIP, FDP, FOP and their selectors, for whoever asks. Flags stay.
void RegionEmitter::note_x87(const PlannedInstruction& p) {
  const Instruction& insn = *p.insn;
  const u64 rip = p.rip();
  if (rip == static_cast<u64>(i64{static_cast<i32>(rip)})) {
    a_.mov(frame_mem(&cpu_.frame.x87_ip, 8), Imm(static_cast<i64>(rip)));
  } else {
    a_.mov(kScratch, Imm(rip));
    a_.mov(frame_mem(&cpu_.frame.x87_ip, 8), kScratch);
  }
  const u32 opcode = (insn.opcode & 7u) << 8 | insn.modrm;
  a_.mov(frame_mem(&cpu_.frame.x87_opcode, 4), Imm(TranslatorFrame::kX87Noted | opcode));
  if (!insn.memory()) return;
  load_effective(operand_address(p), 0);
  a_.mov(frame_mem(&cpu_.frame.x87_dp, 8), kPointer);
  if (cpu_.real_mode() || cpu_.v86()) {  // where host code loads segment registers
    a_.movzx(kScratch.r32(), state_mem(&cpu_.state.segments[insn.segment].selector, 2));
    a_.mov(frame_mem(&cpu_.frame.x87_data, 2), kScratch.r16());
    a_.mov(frame_mem(reinterpret_cast<const u8*>(&cpu_.frame.x87_data) + 2, 2),
           Imm((TranslatorFrame::kX87Noted | TranslatorFrame::kX87Selector) >> 16));
  } else {
    a_.mov(frame_mem(&cpu_.frame.x87_data, 4), Imm(TranslatorFrame::kX87Noted | insn.segment));
  }
}

}  // namespace dragoman
