// Instructions of category kVector: MMX, SSE, AVX, AES, SHA, FMA, F16C through host stubs.
#include <cstring>

#include "cpu/execute/dispatch.h"
#include "cpu/execute/host/host_fpu.h"
#include "cpu/execute/host/x87.h"
#include "cpu/execute/operands.h"
#include "cpu/isa/rows.h"

namespace dragoman {
namespace {

/// MXCSR bits (SDM vol. 1, 10.2.3).
constexpr u32 kMxcsrFlags = 0x003f;
constexpr u32 kMxcsrPreComputation = 0x0007;  // IE, DE, ZE
constexpr u32 kMxcsrUnderflow = 0x0010;
constexpr u32 kMxcsrMasks = 0x1f80;
constexpr u32 kMxcsrFlushToZero = 0x8000;

u8* vector_register(Cpu& cpu, unsigned number) { return cpu.state.fpu.ymm[number & 15].data(); }
u8* mmx_register(Cpu& cpu, unsigned number) { return cpu.state.fpu.st[number & 7].data(); }

bool all_masked(const Cpu& cpu) { return (cpu.state.fpu.mxcsr & kMxcsrMasks) == kMxcsrMasks; }

/// Number of the general register operand; MOVD and the like never mean AH..BH.
unsigned gpr_number(const Instruction& insn, OperandField field) {
  const unsigned number = field == OperandField::kReg ? insn.reg : insn.rm;
  return number < kHighByte ? number : number - kHighByte + 4;
}

struct MemoryOperand {
  u64 offset = 0;
  u8* host = nullptr;    ///< where the stub reads or writes
  bool bounced = false;  ///< `host` is the bounce buffer
};

/// Finds the memory operand; loads that have no host address are read into `bounce`. Stores are
/// checked, so that only a later write_block of the bounce buffer remains.
bool locate_memory(Cpu& cpu, const Instruction& insn, const VectorPlan& plan, u8* bounce,
                   bool always_bounce, MemoryOperand& operand) {
  const AccessType type = plan.store ? AccessType::kWrite : AccessType::kRead;
  operand.offset = effective_address(cpu, insn);
  u64 linear;
  if (!cpu.segment_linear(insn.segment, operand.offset, plan.memory_bytes, type, linear)) {
    return false;
  }
  if (plan.aligned && (linear & (plan.memory_bytes - 1u)) != 0) return cpu.raise(kVectorGp, 0);
  operand.host = always_bounce ? nullptr : cpu.direct(linear, plan.memory_bytes, type);
  if (operand.host != nullptr) return true;
  operand.host = bounce;
  operand.bounced = true;
  if (plan.store) return cpu.probe_write(insn.segment, operand.offset, plan.memory_bytes);
  return cpu.read_block(insn.segment, operand.offset, bounce, plan.memory_bytes);
}

/// True when one of the half-precision numbers is denormal.
bool any_denormal_half(const u8* halves, unsigned bytes) {
  for (unsigned i = 0; i < bytes; i += 2) {
    u16 value;
    std::memcpy(&value, halves + i, 2);
    if ((value & 0x7c00) == 0 && (value & 0x03ff) != 0) return true;
  }
  return false;
}

bool raise_simd_exception(Cpu& cpu) {
  return cpu.raise((cpu.state.cr4 & kCr4Osxmmexcpt) ? kVectorXm : kVectorUd);
}

/// Any instruction: MMX, general registers, flags, unmasked exceptions.
bool run_general(Cpu& cpu, const Instruction& insn) {
  HostFpu& host = cpu.host_fpu();
  const VectorStub* stub = host.vector_stub(insn);
  if (stub == nullptr) return cpu.raise(kVectorUd);
  const VectorPlan& plan = stub->plan;
  FpuState& fpu = cpu.state.fpu;
  if (plan.mmx() && !check_x87_error(cpu)) return false;

  const bool trapping = plan.floating_point && !all_masked(cpu);
  alignas(32) std::array<u8, 32> bounce{};
  MemoryOperand memory;
  if (plan.memory && !locate_memory(cpu, insn, plan, bounce.data(), trapping, memory)) return false;

  u8* reg = plan.mmx_reg ? mmx_register(cpu, insn.reg) : vector_register(cpu, insn.reg);
  u8* rm = plan.memory   ? memory.host
           : plan.mmx_rm ? mmx_register(cpu, insn.rm)
                         : vector_register(cpu, insn.rm);
  u8* vvvv = vector_register(cpu, insn.vvvv);
  VectorContext& context = host.context;
  if (plan.gpr != OperandField::kNone) {
    context.gpr = cpu.state.regs[gpr_number(insn, plan.gpr)];
  } else if (plan.compares_strings) {
    context.gpr = cpu.state.regs[kRax];
    context.rdx = cpu.state.regs[kRdx];
  }
  if (plan.fourth) {
    const unsigned number = static_cast<unsigned>(insn.immediate >> 4) & (cpu.code64() ? 15 : 7);
    context.fourth = vector_register(cpu, number);
  }
  context.xmm0 = vector_register(cpu, 0);

  if (!trapping) {
    context.mxcsr_in = fpu.mxcsr;
    stub->code(reg, rm, vvvv, &context);
  } else {
    // Run masked with clear flags on copies, then decide as the processor does (SDM vol. 1, 11.5):
    // unmasked pre-computation exceptions hide the others, the destination keeps its value. Two
    // things cannot be seen this way, both only in the sticky flags of an instruction that does
    // trap: with overflow or underflow unmasked, PE stays clear where the result would be exact
    // with an unbounded exponent (here it is set); DPPS and DPPD signal step by step.
    const u32 unmasked = ~(fpu.mxcsr >> 7) & kMxcsrFlags;
    alignas(32) std::array<std::array<u8, 32>, 2> copies{};
    const unsigned bytes = plan.mmx_reg ? 16 : 32, rm_bytes = plan.mmx_rm ? 16 : 32;
    u8* copy_reg = copies[0].data();
    u8* copy_rm = plan.memory ? rm : copies[1].data();
    const auto run = [&](u32 mxcsr) {
      std::memcpy(copy_reg, reg, bytes);
      if (!plan.memory) std::memcpy(copy_rm, rm, rm_bytes);
      const u64 gpr = context.gpr;
      context.mxcsr_in = mxcsr;
      stub->code(copy_reg, copy_rm, vvvv, &context);
      const u64 result = context.gpr;
      context.gpr = gpr;
      return result;
    };
    u32 mxcsr = (fpu.mxcsr | kMxcsrMasks) & ~kMxcsrFlags;
    if (unmasked & kMxcsrUnderflow) {
      // Tiny results count even when exact; only flush-to-zero makes those visible.
      (void)run(mxcsr | kMxcsrFlushToZero);
      const u32 tiny = context.mxcsr_out & kMxcsrUnderflow;
      mxcsr &= ~kMxcsrFlushToZero;
      const u64 gpr = run(mxcsr);
      context.gpr = gpr;
      context.mxcsr_out |= tiny;
      if (plan.half_result && any_denormal_half(copy_rm, plan.memory ? plan.memory_bytes : 16)) {
        context.mxcsr_out |= kMxcsrUnderflow;
      }
    } else {
      const u64 gpr = run(mxcsr);
      context.gpr = gpr;
    }
    const u32 flags = context.mxcsr_out & kMxcsrFlags;
    if (flags & unmasked & kMxcsrPreComputation) {
      fpu.mxcsr |= flags & kMxcsrPreComputation;
      return raise_simd_exception(cpu);
    }
    if (flags & unmasked) {
      fpu.mxcsr |= flags;
      return raise_simd_exception(cpu);
    }
    if (memory.bounced && plan.store &&
        !cpu.write_block(insn.segment, memory.offset, bounce.data(), plan.memory_bytes)) {
      return false;
    }
    fpu.mxcsr |= flags;
    if (plan.reg_written || plan.mmx_reg_written) std::memcpy(reg, copy_reg, bytes);
    if (plan.rm_written || plan.mmx_rm_written) std::memcpy(rm, copy_rm, rm_bytes);
  }
  if (!trapping && memory.bounced && plan.store &&
      !cpu.write_block(insn.segment, memory.offset, bounce.data(), plan.memory_bytes)) {
    return false;
  }
  if (!trapping && plan.floating_point) fpu.mxcsr = context.mxcsr_out;

  if (plan.gpr_written) {
    cpu.state.regs[gpr_number(insn, plan.gpr)] = context.gpr;
  } else if (plan.index_result) {
    cpu.state.regs[kRcx] = context.gpr;
  }
  if (plan.writes_flags) {
    set_arithmetic_flags(cpu.state.lazy, static_cast<u32>(context.flags) & kArithmeticFlags);
  }
  if (plan.mmx()) {
    enter_mmx(fpu);
    if (plan.mmx_reg_written) mark_mmx_written(fpu, insn.reg & 7);
    if (plan.mmx_rm_written) mark_mmx_written(fpu, insn.rm & 7);
  }
  return true;
}

/// Vector registers only.
template <bool kFloatingPoint>
bool run_registers(Cpu& cpu, const Instruction& insn) {
  if (kFloatingPoint && !all_masked(cpu)) return run_general(cpu, insn);
  HostFpu& host = cpu.host_fpu();
  const VectorStub* stub = host.vector_stub(insn);
  if (stub == nullptr) return cpu.raise(kVectorUd);
  FpuState& fpu = cpu.state.fpu;
  if (kFloatingPoint) host.context.mxcsr_in = fpu.mxcsr;
  stub->code(vector_register(cpu, insn.reg), vector_register(cpu, insn.rm),
             vector_register(cpu, insn.vvvv), &host.context);
  if (kFloatingPoint) fpu.mxcsr = host.context.mxcsr_out;
  return true;
}

/// Vector registers and a memory operand that has a host address.
template <bool kFloatingPoint>
bool run_memory(Cpu& cpu, const Instruction& insn) {
  if (kFloatingPoint && !all_masked(cpu)) return run_general(cpu, insn);
  HostFpu& host = cpu.host_fpu();
  const VectorStub* stub = host.vector_stub(insn);
  if (stub == nullptr) return cpu.raise(kVectorUd);
  const VectorPlan& plan = stub->plan;
  const AccessType type = plan.store ? AccessType::kWrite : AccessType::kRead;
  u64 linear;
  if (!cpu.segment_linear(insn.segment, effective_address(cpu, insn), plan.memory_bytes, type,
                          linear)) {
    return false;
  }
  if (plan.aligned && (linear & (plan.memory_bytes - 1u)) != 0) return cpu.raise(kVectorGp, 0);
  u8* memory = cpu.direct(linear, plan.memory_bytes, type);
  if (memory == nullptr) return run_general(cpu, insn);
  FpuState& fpu = cpu.state.fpu;
  if (kFloatingPoint) host.context.mxcsr_in = fpu.mxcsr;
  stub->code(vector_register(cpu, insn.reg), memory, vector_register(cpu, insn.vvvv),
             &host.context);
  if (kFloatingPoint) fpu.mxcsr = host.context.mxcsr_out;
  return true;
}

/// VCVTPH2PS and VCVTPS2PH with a memory operand.
bool run_half_precision(Cpu& cpu, const Instruction& insn) {
  const WithoutAlignmentCheck unchecked(cpu);
  return run_general(cpu, insn);
}

}  // namespace

Handler select_vector(const Instruction& insn) {
  const VectorPlan plan = vector_plan(insn, insn.has(kInsnRexW));
  const Operation operation = row(insn.row).operation;
  if (plan.memory && (operation == Operation::kVcvtph2ps || operation == Operation::kVcvtps2ph)) {
    return run_half_precision;
  }
  if (!plan.simple()) return run_general;
  if (plan.memory) return plan.floating_point ? run_memory<true> : run_memory<false>;
  return plan.floating_point ? run_registers<true> : run_registers<false>;
}

}  // namespace dragoman
