// x87 instructions that compute or move data: run on the host x87.
#include "cpu/execute/host/x87.h"

#include <cstring>

#include "cpu/execute/dispatch.h"
#include "cpu/execute/host/x87_control.h"
#include "cpu/execute/operands.h"
#include "cpu/isa/rows.h"

namespace dragoman {
namespace {

/// Exceptions that keep a store from happening and the stack from being popped when unmasked; only
/// precision is signalled after the store (SDM vol. 1, 8.5).
constexpr unsigned kNoStore = 0x001f;

void record_instruction(Cpu& cpu, const Instruction& insn) {
  FpuState& fpu = cpu.state.fpu;
  fpu.fip = cpu.instruction_rip();
  fpu.fcs = cpu.state.segments[kCs].selector;
  fpu.opcode = static_cast<u16>((insn.opcode & 7) << 8 | insn.modrm);
}

bool run(Cpu& cpu, const Instruction& insn, u8* memory) {
  u64 flags = arithmetic_flags(cpu.state.lazy) | kFlagFixed;
  if (!cpu.host_fpu().run_x87(cpu.state.fpu, insn, memory, flags)) return cpu.raise(kVectorUd);
  set_arithmetic_flags(cpu.state.lazy, static_cast<u32>(flags) & kArithmeticFlags);
  return true;
}

bool x87_registers(Cpu& cpu, const Instruction& insn) {
  if (!check_x87_error(cpu)) return false;
  if (!cpu.host_fpu().run_x87(cpu.state.fpu, insn, nullptr, cpu.host_fpu().context.flags)) {
    return cpu.raise(kVectorUd);
  }
  record_instruction(cpu, insn);
  return true;
}

/// FCMOVcc, FCOMI and the like.
bool x87_registers_flags(Cpu& cpu, const Instruction& insn) {
  if (!check_x87_error(cpu) || !run(cpu, insn, nullptr)) return false;
  record_instruction(cpu, insn);
  return true;
}

unsigned memory_operand_bytes(const Instruction& insn) {
  for (const Operand& operand : row(insn.row).operands) {
    if (operand.addressing == Addressing::kM || operand.addressing == Addressing::kE) {
      return operand_bytes(operand.width, insn, false);
    }
  }
  return 0;
}

template <bool kStore>
bool x87_memory(Cpu& cpu, const Instruction& insn) {
  if (!check_x87_error(cpu)) return false;
  FpuState& fpu = cpu.state.fpu;
  const unsigned bytes = memory_operand_bytes(insn);
  const u64 offset = effective_address(cpu, insn);
  std::array<u8, 16> bounce{};
  u64 linear = 0;
  constexpr AccessType kType = kStore ? AccessType::kWrite : AccessType::kRead;
  // A store looks at memory last: an unmasked exception keeps it, and its faults, from happening.
  const bool addressed = cpu.segment_linear(insn.segment, offset, bytes, kType, linear);
  if (!addressed && !kStore) return false;
  u8* memory = addressed ? cpu.direct(linear, bytes, kType) : nullptr;
  const bool bounced = memory == nullptr;
  if (bounced) {
    memory = bounce.data();
    if (!kStore && !cpu.read_block(insn.segment, offset, memory, bytes)) return false;
  }
  const FpuState before = kStore && bounced ? fpu : FpuState{};
  if (!cpu.host_fpu().run_x87(fpu, insn, memory, cpu.host_fpu().context.flags)) {
    return cpu.raise(kVectorUd);
  }
  if (kStore && bounced) {
    if ((fpu.status & ~fpu.control & kNoStore) != 0) {
      cpu.clear_fault();
    } else if (!addressed || !cpu.write_block(insn.segment, offset, memory, bytes)) {
      fpu = before;
      return false;
    }
  }
  record_instruction(cpu, insn);
  fpu.fdp = offset;
  fpu.fds = cpu.state.segments[insn.segment].selector;
  return true;
}

}  // namespace

Handler select_x87(const Instruction& insn) {
  switch (row(insn.row).operation) {
    case Operation::kFnstcw:
      return x87_fnstcw;
    case Operation::kFldcw:
      return x87_fldcw;
    case Operation::kFnstsw:
      return insn.memory() ? x87_fnstsw_memory : x87_fnstsw_ax;
    case Operation::kFnclex:
      return x87_fnclex;
    case Operation::kFninit:
      return x87_fninit;
    case Operation::kFnstenv:
      return x87_fnstenv;
    case Operation::kFldenv:
      return x87_fldenv;
    case Operation::kFnsave:
      return x87_fnsave;
    case Operation::kFrstor:
      return x87_frstor;
    case Operation::kFneni:
    case Operation::kFndisi:
    case Operation::kFnsetpm:
      return x87_ignored;
    case Operation::kFst:
    case Operation::kFstp:
    case Operation::kFist:
    case Operation::kFistp:
    case Operation::kFisttp:
    case Operation::kFbstp:
      return insn.memory() ? x87_memory<true> : x87_registers;
    default:
      break;
  }
  if (insn.memory()) return x87_memory<false>;
  const bool flags = insn.opcode == 0xda || insn.opcode == 0xdb || insn.opcode == 0xdf;
  return flags ? x87_registers_flags : x87_registers;
}

}  // namespace dragoman
