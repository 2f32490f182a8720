// SSE and AVX instructions on the host's own registers: guest XMM/YMM n is host XMM/YMM n while a
// region that uses it runs. The bytes of the instruction are the guest's, with general registers
// renamed and the memory operand at a host address.
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

/// REX.W or VEX.W as it counts: outside 64-bit mode no general operand has 64 bits.
bool effective_wide(const Instruction& insn, bool code64) {
  if (!insn.has(kInsnRexW)) return false;
  if (code64) return true;
  const Row& r = row(insn.row);
  for (const Operand& operand : r.operands) {
    const Addressing a = operand.addressing;
    if (operand.width == Width::kY || a == Addressing::kG || a == Addressing::kE ||
        a == Addressing::kR)
      return false;
  }
  return !vector_plan(insn, true).compares_strings;
}

unsigned general_register(const Instruction& insn, OperandField field) {
  const unsigned number = field == OperandField::kReg ? insn.reg : insn.rm;
  return number < kHighByte ? number : number - kHighByte + 4;  // MOVD never means AH..BH
}

bool is_vzeroupper(const Instruction& insn) {
  return row(insn.row).operation == Operation::kVzeroupper;
}
/// STMXCSR and VSTMXCSR: MXCSR is in the host's wherever the vector registers are.
bool is_stmxcsr(const Instruction& insn) {
  const Operation operation = row(insn.row).operation;
  return operation == Operation::kStmxcsr || operation == Operation::kVstmxcsr;
}
bool has_own_handler(const Instruction& insn) {
  return operation_info(row(insn.row).operation).category == Category::kVectorOwn;
}

}  // namespace

bool vector_emitted(const Cpu& cpu, const Instruction& insn, const TranslatorOptions& options) {
  // Elsewhere than in 64-bit mode it leaves YMM8 to YMM15 alone.
  if (is_vzeroupper(insn)) return cpu.code64() && insn.handler == select_Vzeroupper(insn);
  if (is_stmxcsr(insn)) return insn.handler == select_Stmxcsr(insn);
  if (has_own_handler(insn) || insn.handler != select_vector(insn)) return false;
  return !vector_plan(insn, effective_wide(insn, cpu.code64())).mmx() || x87_usable(cpu, options);
}

u32 vector_general_registers_written(const Instruction& insn) {
  if (has_own_handler(insn)) return 0;
  const VectorPlan v = vector_plan(insn, insn.has(kInsnRexW));
  u32 set = 0;
  if (v.gpr_written) set |= 1u << general_register(insn, v.gpr);
  if (v.index_result) set |= 1u << kRcx;
  return set;
}

void plan_vector(const Instruction& insn, PlannedInstruction& p) {
  if (is_stmxcsr(insn)) {
    p.operand.present = p.operand.write = true;
    p.operand.bytes = 4;
  }
  if (has_own_handler(insn)) return;
  const VectorPlan v = vector_plan(insn, insn.has(kInsnRexW));
  p.writes_flags = v.writes_flags;
  if (v.memory) {
    p.operand.present = true;
    p.operand.write = v.store;
    p.operand.bytes = v.memory_bytes;
    p.operand.aligned = v.aligned && v.memory_bytes > 1;
  }
}

void note_vectors(const Instruction& insn, RegionPlan& region) {
  if (has_own_handler(insn)) {
    region.vectors = true;
    return;
  }
  const VectorPlan v = vector_plan(insn, insn.has(kInsnRexW));
  region.floating_point |= v.floating_point;
  region.x87 |= v.mmx();
  region.vectors |= !v.mmx() || v.floating_point || v.reg || v.rm || v.vvvv || v.xmm0;
}

/// The guest's registers stay in the host's until something goes to C++, so that a region only has
/// to see whether they are there.
void RegionEmitter::enter_vectors() {
  const Label absent = a_.newLabel();
  const Label there = a_.newLabel();
  const bool masked = plan_.floating_point;
  a_.cmp(frame_mem(&cpu_.frame.vectors_live, 1), masked ? kVectorsLive : kVectorsInMemory);
  if (masked) {
    a_.jne(absent);
  } else {
    a_.je(absent);
  }
  a_.bind(there);
  put_off([=, this] {
    a_.bind(absent);
    a_.call(frame_mem(&cpu_.frame.vectors_stub, 8));
    if (masked) {
      // Unmasked exceptions are the interpreter's business.
      a_.cmp(frame_mem(&cpu_.frame.vectors_live, 1), kVectorsLive);
      a_.jne(short_);
    }
    a_.jmp(there);
  });
}

void RegionEmitter::emit_vector(const PlannedInstruction& p) {
  const Instruction& insn = *p.insn;
  if (is_vzeroupper(insn)) {
    a_.vzeroupper();
    return;
  }
  if (is_stmxcsr(insn)) {
    const HostOperand to = access(p, p.operand, operand_address(p), false);
    keep_recipe_alive(p);
    a_.stmxcsr(to.mem(4));
    return;
  }
  const bool wide = effective_wide(insn, plan_.code_bits == 64);
  const VectorPlan v = vector_plan(insn, wide);
  HostOperand memory;
  if (v.memory) {
    Address address = operand_address(p);
    if (p.operand.aligned) address.align_mask = v.memory_bytes - 1u;
    memory = access(p, p.operand, address, v.gpr != OperandField::kNone);
  }
  keep_recipe_alive(p);
  int gpr = -1;
  unsigned host_gpr = 0;
  if (v.gpr != OperandField::kNone) {
    gpr = static_cast<int>(general_register(insn, v.gpr));
    if (pinned(static_cast<unsigned>(gpr))) {
      host_gpr = host_number(static_cast<unsigned>(gpr));
    } else {
      host_gpr = kScratch.id();
      a_.mov(kScratch, high_slot(static_cast<unsigned>(gpr)));
    }
  }
  const unsigned reg = row(insn.row).reg >= 0        ? static_cast<unsigned>(row(insn.row).reg)
                       : v.gpr == OperandField::kReg ? host_gpr
                                                     : insn.reg & (v.mmx_reg ? 7u : 15u);
  const unsigned rm = v.gpr == OperandField::kRm ? host_gpr : insn.rm & (v.mmx_rm ? 7u : 15u);
  encode_vector(insn, wide, reg, v.vvvv ? insn.vvvv & 15u : 0, rm, v.memory ? &memory : nullptr,
                v.immediate);
  if (v.gpr_written && !pinned(static_cast<unsigned>(gpr)))
    a_.mov(high_slot(static_cast<unsigned>(gpr)), kScratch);
  if (p.writes_flags) note_flags_written(p);
}

/// ModRM, SIB and displacement.
void RegionEmitter::put_operands(InstructionBytes& code, unsigned& size, unsigned reg, unsigned rm,
                                 const HostOperand* memory) {
  const auto put = [&](unsigned byte) { code[size++] = static_cast<u8>(byte); };
  if (memory == nullptr) {
    put(0xc0 | (reg & 7) << 3 | (rm & 7));
    return;
  }
  const bool based = memory->base.isValid(), indexed = memory->index.isValid();
  const unsigned base = based ? memory->base.id() & 7 : 5;  // without a base where MOD is 0
  const bool sib = !based || indexed || base == 4;
  put((based ? 0x80 : 0) | (reg & 7) << 3 | (sib ? 4 : base));
  if (sib) put(memory->scale << 6 | (indexed ? memory->index.id() & 7 : 4u) << 3 | base);
  const u32 d = static_cast<u32>(memory->displacement);
  for (unsigned i = 0; i < 4; ++i) put(d >> (8 * i) & 0xff);
}

/// The instruction's bytes (SDM vol. 2, 2.2 and 2.3) with other registers and another address.
void RegionEmitter::encode_vector(const Instruction& insn, bool wide, unsigned reg, unsigned vvvv,
                                  unsigned rm, const HostOperand* memory, bool immediate) {
  const Row& r = row(insn.row);
  InstructionBytes code;
  unsigned size = 0;
  const auto put = [&](unsigned byte) { code[size++] = static_cast<u8>(byte); };
  const unsigned map = r.map == OpcodeMap::k0F ? 1 : r.map == OpcodeMap::k0F38 ? 2 : 3;
  const unsigned pp = r.prefix == PrefixKey::k66   ? 1
                      : r.prefix == PrefixKey::kF3 ? 2
                      : r.prefix == PrefixKey::kF2 ? 3
                                                   : 0;
  unsigned base = rm, index = 0;
  if (memory != nullptr) {
    base = memory->base.isValid() ? memory->base.id() : 5;  // without a base where MOD is 0
    if (memory->index.isValid()) index = memory->index.id();
  }
  const unsigned rexr = reg >> 3 & 1, rexx = index >> 3 & 1, rexb = base >> 3 & 1;
  if (r.vex) {
    put(0xc4);
    put((rexr ^ 1) << 7 | (rexx ^ 1) << 6 | (rexb ^ 1) << 5 | map);
    put((wide ? 0x80u : 0u) | (~vvvv & 15) << 3 | (insn.has(kInsnVexL) ? 4u : 0u) | pp);
  } else {
    static constexpr u8 kPrefixes[] = {0, 0x66, 0xf3, 0xf2};
    if (pp != 0) put(kPrefixes[pp]);
    if (wide || rexr || rexx || rexb) put(0x40 | (wide ? 8u : 0u) | rexr << 2 | rexx << 1 | rexb);
    put(0x0f);
    if (map == 2) put(0x38);
    if (map == 3) put(0x3a);
  }
  put(r.opcode);
  put_operands(code, size, reg, rm, memory);
  // A register in the immediate has three bits outside 64-bit mode.
  const bool narrow_register = plan_.code_bits != 64 && vector_plan(insn, wide).fourth;
  if (immediate) put(static_cast<unsigned>(insn.immediate & (narrow_register ? 0x7f : 0xff)));
  a_.embed(code.data(), size);
}

}  // namespace dragoman
