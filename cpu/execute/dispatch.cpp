#include "cpu/execute/dispatch.h"

#include "cpu/execute/early_processors.h"
#include "cpu/isa/rows.h"

namespace dragoman {
namespace {

using Selector = Handler (*)(const Instruction&);

// One selector per operation; vector and x87 operations share theirs.
#define SELECTOR_kInteger(name) &select_##name
#define SELECTOR_kBranch(name) &select_##name
#define SELECTOR_kString(name) &select_##name
#define SELECTOR_kSystem(name) &select_##name
#define SELECTOR_kVectorOwn(name) &select_##name
#define SELECTOR_kVector(name) &select_vector
#define SELECTOR_kX87(name) &select_x87
constexpr Selector kSelectors[] = {
#define OPERATION(name, mnemonic, category, flags_read, flags_written, flags_undefined) \
  SELECTOR_##category(name),
#include "cpu/isa/operations.inc"
#undef OPERATION
};

bool undefined_opcode(Cpu& cpu, const Instruction&) { return cpu.raise(kVectorUd); }
bool privileged(Cpu& cpu, const Instruction&) { return cpu.raise(kVectorGp, 0); }
bool device_not_available(Cpu& cpu, const Instruction&) { return cpu.raise(kVectorNm); }

enum class Unit : u8 { kNone, kX87, kMmx, kSse, kAvx };

bool uses_mmx(const Row& row) {
  for (const Operand& operand : row.operands) {
    switch (operand.addressing) {
      case Addressing::kP:
      case Addressing::kQ:
      case Addressing::kN:
        return true;
      default:
        break;
    }
  }
  return row.operation == Operation::kEmms;
}

bool uses_xmm(const Row& row) {
  for (const Operand& operand : row.operands) {
    switch (operand.addressing) {
      case Addressing::kV:
      case Addressing::kW:
      case Addressing::kU:
      case Addressing::kH:
      case Addressing::kXmm0:
        return true;
      default:
        break;
    }
  }
  return false;
}

/// Handler for a unit that is switched off in the control registers, or null (SDM vol. 3,
/// 2.5, 13.1; vol. 2, 2.4 for the exception classes).
Handler unit_unavailable(const Cpu& cpu, const Row& row, const OperationInfo& info) {
  const u64 cr0 = cpu.state.cr0;
  const u64 cr4 = cpu.state.cr4;
  if (info.category == Category::kX87) {
    return (cr0 & (kCr0Em | kCr0Ts)) ? device_not_available : nullptr;
  }
  if (info.category != Category::kVector && info.category != Category::kVectorOwn) return nullptr;
  switch (row.operation) {
    case Operation::kFwait:
      return (cr0 & (kCr0Mp | kCr0Ts)) == (kCr0Mp | kCr0Ts) ? device_not_available : nullptr;
    case Operation::kFxsave:
    case Operation::kFxrstor:
      return (cr0 & (kCr0Em | kCr0Ts)) ? device_not_available : nullptr;
    case Operation::kXsave:
    case Operation::kXsaveopt:
    case Operation::kXsavec:
    case Operation::kXsaves:
    case Operation::kXrstor:
    case Operation::kXrstors:
      if (!(cr4 & kCr4Osxsave)) return undefined_opcode;
      return (cr0 & kCr0Ts) ? device_not_available : nullptr;
    default:
      break;
  }
  if (row.vex) {
    if (!cpu.protected_mode() || cpu.v86()) return undefined_opcode;
    if (!(cr4 & kCr4Osxsave) || (cpu.state.xcr0 & 6) != 6) return undefined_opcode;
    return (cr0 & kCr0Ts) ? device_not_available : nullptr;
  }
  if (cr0 & kCr0Em) return undefined_opcode;
  const bool mmx_only = uses_mmx(row) && !uses_xmm(row);
  if (!mmx_only && !(cr4 & kCr4Osfxsr)) return undefined_opcode;
  return (cr0 & kCr0Ts) ? device_not_available : nullptr;
}

}  // namespace

Handler select_handler(const Cpu& cpu, const Instruction& insn) {
  const Row& r = row(insn.row);
  const OperationInfo& info = kOperations[static_cast<std::size_t>(r.operation)];
  if (!cpu.has(r.feature)) return undefined_opcode;
  if ((r.attributes & kNoReal) && (!cpu.protected_mode() || cpu.v86())) return undefined_opcode;
  // BMI and the like: VEX-coded general-purpose instructions need no OSXSAVE but no real mode.
  if (r.vex && (!cpu.protected_mode() || cpu.v86())) return undefined_opcode;
  if (const Handler unavailable = unit_unavailable(cpu, r, info)) return unavailable;
  if ((r.attributes & kPrivileged) && cpu.cpl() != 0) return privileged;
  if (!cpu.model().quirks.empty()) {
    if (const Handler early = select_early_handler(cpu, insn)) return early;
  }
  return kSelectors[static_cast<std::size_t>(r.operation)](insn);
}

}  // namespace dragoman
