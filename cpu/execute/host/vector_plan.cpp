#include "cpu/execute/host/vector_plan.h"

#include <string_view>

#include "cpu/decode/instruction.h"
#include "cpu/isa/rows.h"

namespace dragoman {
namespace {

/// Instructions on packed or scalar floating-point data that only move it around.
constexpr std::string_view kNotArithmetic[] = {"mov",  "and",       "or",   "xor",    "unpck",
                                               "shuf", "blend",     "perm", "insert", "extract",
                                               "test", "broadcast", "p"};

/// By mnemonic: conversions, and what ends in PS, PD, SS or SD and is not a move of some kind.
bool uses_mxcsr(std::string_view mnemonic) {
  if (mnemonic.starts_with('v')) mnemonic.remove_prefix(1);
  if (mnemonic.starts_with("cvt")) return true;
  for (const std::string_view prefix : kNotArithmetic) {
    if (mnemonic.starts_with(prefix)) return false;
  }
  if (mnemonic.starts_with("fm") || mnemonic.starts_with("fnm")) return true;
  return mnemonic.ends_with("ps") || mnemonic.ends_with("pd") || mnemonic.ends_with("ss") ||
         mnemonic.ends_with("sd");
}

/// 16-byte memory operands of legacy SSE must be aligned except for these (SDM vol. 2, 2.4,
/// exception type 4 and its footnotes).
bool unaligned_allowed(Operation operation) {
  switch (operation) {
    case Operation::kMovups:
    case Operation::kMovupd:
    case Operation::kMovdqu:
    case Operation::kLddqu:
    case Operation::kPcmpestri:
    case Operation::kPcmpestrm:
    case Operation::kPcmpistri:
    case Operation::kPcmpistrm:
      return true;
    default:
      return false;
  }
}

}  // namespace

unsigned operand_bytes(Width width, const Instruction& insn, bool wide) {
  const unsigned vector = insn.has(kInsnVexL) ? 32 : 16;
  switch (width) {
    case Width::kB:
      return 1;
    case Width::kW:
      return 2;
    case Width::kD:
    case Width::kSs:
      return 4;
    case Width::kQ:
    case Width::kSd:
      return 8;
    case Width::kV:
      return insn.operand_size;
    case Width::kZ:
      return insn.operand_size == 2 ? 2 : 4;
    case Width::kY:
      return wide ? 8 : 4;
    case Width::kDq:
      return 16;
    case Width::kQq:
      return 32;
    case Width::kX:
      return vector;
    case Width::kHalfX:
      return vector / 2;
    case Width::kQuarterX:
      return vector / 4;
    case Width::kEighthX:
      return vector / 8;
    case Width::kT:
      return 10;
    default:
      return vector;
  }
}

VectorPlan vector_plan(const Instruction& insn, bool wide) {
  const Row& r = row(insn.row);
  const OperationInfo& info = kOperations[static_cast<std::size_t>(r.operation)];
  VectorPlan plan;
  for (unsigned i = 0; i < r.operands.size(); ++i) {
    const Operand& operand = r.operands[i];
    const bool written =
        (i == 0 && (r.attributes & kDestination)) || (i == 1 && (r.attributes & kSecondWritten));
    const auto memory = [&] {
      plan.memory = true;
      plan.store = written;
      plan.memory_bytes = static_cast<u8>(operand_bytes(operand.width, insn, wide));
    };
    switch (operand.addressing) {
      case Addressing::kV:
        plan.reg = true;
        plan.reg_written = written;
        break;
      case Addressing::kH:
        plan.vvvv = true;
        plan.vvvv_written = written;
        break;
      case Addressing::kW:
      case Addressing::kU:
        if (insn.memory()) {
          memory();
        } else {
          plan.rm = true;
          plan.rm_written = written;
        }
        break;
      case Addressing::kL:
        plan.fourth = plan.immediate = true;
        break;
      case Addressing::kXmm0:
        plan.xmm0 = true;
        break;
      case Addressing::kP:
        plan.mmx_reg = true;
        plan.mmx_reg_written = written;
        break;
      case Addressing::kN:
      case Addressing::kQ:
        if (insn.memory()) {
          memory();
        } else {
          plan.mmx_rm = true;
          plan.mmx_rm_written = written;
        }
        break;
      case Addressing::kG:
        plan.gpr = OperandField::kReg;
        plan.gpr_written = written;
        break;
      case Addressing::kE:
      case Addressing::kR:
        if (insn.memory()) {
          memory();
        } else {
          plan.gpr = OperandField::kRm;
          plan.gpr_written = written;
        }
        break;
      case Addressing::kM:
        memory();
        break;
      case Addressing::kI:
        plan.immediate = true;
        break;
      default:
        break;
    }
  }
  const std::string_view mnemonic = info.mnemonic;
  plan.compares_strings =
      mnemonic.find("pcmpestr") != mnemonic.npos || mnemonic.find("pcmpistr") != mnemonic.npos;
  if (plan.compares_strings) {
    plan.index_result = mnemonic.ends_with('i');
    plan.xmm0 = false;
    plan.xmm0_written = !plan.index_result;
    plan.reg_written = false;
  }
  plan.writes_flags = info.flags_written != 0;
  plan.floating_point = uses_mxcsr(mnemonic);
  plan.half_result = r.operation == Operation::kVcvtps2ph;
  plan.aligned = (r.attributes & kAligned) != 0 ||
                 (!r.vex && plan.memory_bytes == 16 && !unaligned_allowed(r.operation));
  return plan;
}

}  // namespace dragoman
