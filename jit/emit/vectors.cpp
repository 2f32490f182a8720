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

/// An operand in the frame, seen from a subroutine.
x86::Mem below(const x86::Mem& mem) { return mem.cloneAdjusted(8); }

bool is_vzeroupper(const Instruction& insn) {
  return row(insn.row).operation == Operation::kVzeroupper;
}

}  // namespace

bool vector_emitted(const Cpu& cpu, const Instruction& insn) {
  // Elsewhere than in 64-bit mode it leaves YMM8 to YMM15 alone.
  if (is_vzeroupper(insn)) return cpu.code64() && insn.handler == select_Vzeroupper(insn);
  if (insn.handler != select_vector(insn)) return false;
  return !vector_plan(insn, effective_wide(insn, cpu.code64())).mmx();
}

u32 vector_general_registers_written(const Instruction& insn) {
  if (is_vzeroupper(insn)) return 0;
  const VectorPlan v = vector_plan(insn, insn.has(kInsnRexW));
  u32 set = 0;
  if (v.gpr_written) set |= 1u << general_register(insn, v.gpr);
  if (v.index_result) set |= 1u << kRcx;
  return set;
}

void plan_vector(const Instruction& insn, PlannedInstruction& p) {
  if (is_vzeroupper(insn)) {
    p.may_leave = true;
    return;
  }
  const VectorPlan v = vector_plan(insn, insn.has(kInsnRexW));
  p.writes_flags = v.writes_flags;
  if (v.memory) {
    p.operand.present = true;
    p.operand.write = v.store;
    p.operand.bytes = v.memory_bytes;
    p.operand.aligned = v.aligned && v.memory_bytes > 1;
  }
}

void note_vector_registers(const Instruction& insn, RegionPlan& region) {
  region.vex |= row(insn.row).vex;
  if (is_vzeroupper(insn)) {
    region.zeroes_uppers = true;
    return;
  }
  const VectorPlan v = vector_plan(insn, insn.has(kInsnRexW));
  u32 used = 0, written = 0;
  const auto add = [&](bool is, unsigned number, bool is_written) {
    if (!is) return;
    used |= 1u << (number & 15);
    if (is_written) written |= 1u << (number & 15);
  };
  add(v.reg, insn.reg, v.reg_written);
  add(v.rm, insn.rm, v.rm_written);
  add(v.vvvv, insn.vvvv, v.vvvv_written);
  const unsigned fourth = static_cast<unsigned>(insn.immediate >> 4);
  add(v.fourth, region.code_bits == 64 ? fourth : fourth & 7, false);
  add(v.xmm0 || v.xmm0_written, 0, v.xmm0_written);
  region.vectors_used |= used;
  region.vectors_written |= written;
  if (insn.has(kInsnVexL)) region.vectors_wide |= written;
  region.floating_point |= v.floating_point;
}

// Both are subroutines of the region: their return address lies below the frame.
void RegionEmitter::load_vectors() {
  if (plan_.floating_point) {
    // What the host holds may be newer than what is in memory.
    const Label there = a_.newLabel();
    a_.cmp(below(frame_mem(&cpu_.frame.guest_mxcsr, 1)), 0);
    a_.jne(there);
    a_.ldmxcsr(below(state_mem(&cpu_.state.fpu.mxcsr, 4)));
    a_.mov(below(frame_mem(&cpu_.frame.guest_mxcsr, 1)), 1);
    a_.bind(there);
  }
  for (unsigned i = 0; i < 16; ++i) {
    if (!(plan_.vectors_used >> i & 1)) continue;
    const void* slot = cpu_.state.fpu.ymm[i].data();
    if (plan_.vex) {
      a_.vmovups(x86::ymm(i), below(state_mem(slot, 32)));
    } else {
      a_.movups(x86::xmm(i), below(state_mem(slot, 16)));
    }
  }
}

void RegionEmitter::store_vectors() {
  const u32 written = plan_.zeroes_uppers ? plan_.vectors_used : plan_.vectors_written;
  for (unsigned i = 0; i < 16; ++i) {
    if (!(written >> i & 1)) continue;
    const void* slot = cpu_.state.fpu.ymm[i].data();
    if (plan_.vex) {
      a_.vmovups(below(state_mem(slot, 32)), x86::ymm(i));
    } else {
      a_.movups(below(state_mem(slot, 16)), x86::xmm(i));
    }
  }
}

/// Before leaving for good: values to memory, and nothing left in the upper halves that would slow
/// down legacy SSE code.
void RegionEmitter::put_vectors_away() {
  if (!uses_vectors()) return;
  a_.call(store_vectors_);
  if (plan_.vex) a_.vzeroupper();
}

/// Registers the region does not use have their upper halves in memory only.
void RegionEmitter::emit_vzeroupper(const PlannedInstruction&) {
  const Label others = a_.newLabel();
  const Label done = a_.newLabel();
  flags_about_to_be_lost();
  const u32 not_here = ~plan_.vectors_used & 0xffff;
  if (not_here != 0) {
    a_.test(frame_mem(&cpu_.frame.dirty_uppers, 4), Imm(not_here));
    a_.jnz(others);
    out_of_line_.push_back([=, this] {
      a_.bind(others);
      if (uses_vectors()) a_.call(store_vectors_);
      a_.vpxor(x86::xmm0, x86::xmm0, x86::xmm0);
      for (unsigned i = 0; i < 16; ++i) {
        if (not_here >> i & 1)
          a_.vmovups(state_mem(cpu_.state.fpu.ymm[i].data() + 16, 16), x86::xmm0);
      }
      if (uses_vectors()) a_.call(load_vectors_);
      a_.jmp(done);
    });
  }
  a_.bind(done);
  a_.vzeroupper();
  a_.mov(frame_mem(&cpu_.frame.dirty_uppers, 4), Imm(plan_.vectors_wide));
}

void RegionEmitter::emit_vector(const PlannedInstruction& p) {
  const Instruction& insn = *p.insn;
  if (is_vzeroupper(insn)) return emit_vzeroupper(p);
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
                                                     : insn.reg & 15u;
  const unsigned rm = v.gpr == OperandField::kRm ? host_gpr : insn.rm & 15u;
  encode_vector(insn, wide, reg, v.vvvv ? insn.vvvv & 15u : 0, rm, v.memory ? &memory : nullptr,
                v.immediate);
  if (v.gpr_written && !pinned(static_cast<unsigned>(gpr)))
    a_.mov(high_slot(static_cast<unsigned>(gpr)), kScratch);
  if (p.writes_flags) note_flags_written(p);
}

/// The instruction's bytes (SDM vol. 2, 2.2 and 2.3) with other registers and another address.
void RegionEmitter::encode_vector(const Instruction& insn, bool wide, unsigned reg, unsigned vvvv,
                                  unsigned rm, const HostOperand* memory, bool immediate) {
  const Row& r = row(insn.row);
  std::array<u8, 16> code;
  unsigned size = 0;
  const auto put = [&](unsigned byte) { code[size++] = static_cast<u8>(byte); };
  const unsigned map = r.map == OpcodeMap::k0F ? 1 : r.map == OpcodeMap::k0F38 ? 2 : 3;
  const unsigned pp = r.prefix == PrefixKey::k66   ? 1
                      : r.prefix == PrefixKey::kF3 ? 2
                      : r.prefix == PrefixKey::kF2 ? 3
                                                   : 0;
  unsigned base = rm, index = 0;
  if (memory != nullptr) {
    base = memory->base.id();
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
  if (memory == nullptr) {
    put(0xc0 | (reg & 7) << 3 | (base & 7));
  } else {
    const bool sib = memory->index.isValid() || (base & 7) == 4;
    put(0x80 | (reg & 7) << 3 | (sib ? 4 : base & 7));
    if (sib) put((memory->index.isValid() ? index & 7 : 4u) << 3 | (base & 7));
    const u32 d = static_cast<u32>(memory->displacement);
    for (unsigned i = 0; i < 4; ++i) put(d >> (8 * i) & 0xff);
  }
  // A register in the immediate has three bits outside 64-bit mode.
  const bool narrow_register = plan_.code_bits != 64 && vector_plan(insn, wide).fourth;
  if (immediate) put(static_cast<unsigned>(insn.immediate & (narrow_register ? 0x7f : 0xff)));
  a_.embed(code.data(), size);
}

}  // namespace dragoman
