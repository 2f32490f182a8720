// From a decoded instruction to the way it is emitted, and what it reads and writes.
#include "jit/classify.h"

#include "cpu/execute/dispatch.h"
#include "cpu/execute/forms.h"
#include "cpu/execute/host/vector_plan.h"
#include "cpu/isa/rows.h"
#include "jit/emit/host_registers.h"

namespace dragoman {
namespace {

constexpr u32 kAllFlags = kArithmeticFlags;
constexpr u32 kEveryRegister = 0xffff;

const OperationInfo& info_of(const Instruction& insn) {
  return operation_info(row(insn.row).operation);
}

/// The host executes the row's instruction set extension.
bool host_has(Feature feature) {
  switch (feature) {
    case Feature::kBmi1:
      return __builtin_cpu_supports("bmi");
    case Feature::kBmi2:
      return __builtin_cpu_supports("bmi2");
    case Feature::kLzcnt:
      return __builtin_cpu_supports("lzcnt");
    case Feature::kPopcnt:
      return __builtin_cpu_supports("popcnt");
    case Feature::kAdx:
      return __builtin_cpu_supports("adx");
    case Feature::kMovbe:
      return __builtin_cpu_supports("movbe");
    case Feature::kSse42:
      return __builtin_cpu_supports("sse4.2");
    default:
      return true;
  }
}

/// Host registers that would be needed for guest registers without one of their own.
bool enough_scratch(const Instruction& insn, const OperandUses& uses) {
  std::array<int, 2> homeless{-1, -1};
  // MULX reads its memory before it writes, so that the address's register can be a result.
  const bool replaces = row(insn.row).operation == Operation::kMulx;
  const unsigned available = uses.memory && !replaces ? 1 : 2;
  for (unsigned i = 0; i < uses.count; ++i) {
    const int gpr = uses.list[i].gpr;
    if (gpr < 0 || pinned(static_cast<unsigned>(gpr))) continue;
    if (homeless[0] == gpr || homeless[1] == gpr) continue;
    if (homeless[0] < 0) {
      homeless[0] = gpr;
    } else if (available > 1 && homeless[1] < 0) {
      homeless[1] = gpr;
    } else {
      return false;
    }
  }
  return true;
}

/// AH..BH exclude a REX prefix, so every other register must do without one. With a memory operand
/// the register is turned round for the instruction, which needs RORX.
bool high_byte_fits(const OperandUses& uses) {
  if (!uses.any_high) return true;
  if (uses.memory) return __builtin_cpu_supports("bmi2");
  for (unsigned i = 0; i < uses.count; ++i) {
    const OperandUse& u = uses.list[i];
    if (u.gpr < 0 || u.high) continue;
    if (u.bytes == 8 || u.gpr >= 4) return false;
  }
  return true;
}

Emission classify_copied(const Instruction& insn, OperandUses& uses) {
  if (!has_host_instruction(insn) || !host_has(row(insn.row).feature))
    return Emission::kInterpreted;
  uses = operand_uses(insn);
  // CMPXCHG means AL as well, which may be part of the register that would be turned round.
  if (row(insn.row).operation == Operation::kCmpxchg && uses.any_high && uses.memory)
    return Emission::kInterpreted;
  if (!uses.supported || !enough_scratch(insn, uses) || !high_byte_fits(uses))
    return Emission::kInterpreted;
  return Emission::kCopied;
}

Emission classify_branch(const Cpu& cpu, const Instruction& insn, u64 next_rip) {
  const Row& r = row(insn.row);
  const bool relative = r.operands[0].addressing == Addressing::kJ;
  if (relative) {
    u64 target = next_rip + insn.immediate;
    if (insn.operand_size == 2) target = static_cast<u16>(target);
    if (insn.operand_size == 4) target = static_cast<u32>(target);
    if (cpu.code64() ? !cpu.canonical(target) : target > cpu.state.segments[kCs].limit)
      return Emission::kInterpreted;
  }
  // Outside 64-bit mode 16- and 32-bit targets mix freely, as compilers for BIOS code do.
  const unsigned code_bits = cpu.decode_mode().code_bits;
  const bool same_size = insn.operand_size * 8u == code_bits || code_bits != 64;
  switch (r.operation) {
    case Operation::kJcc:
      return Emission::kConditional;
    case Operation::kJmpNear:
      return same_size || relative ? Emission::kJump : Emission::kInterpreted;
    case Operation::kCallNear:
      return same_size ? Emission::kCall : Emission::kInterpreted;
    case Operation::kJcxz:
    case Operation::kLoop:
      return insn.address_size >= 4 ? Emission::kCountBranch : Emission::kInterpreted;
    case Operation::kRetNear:
      return same_size ? Emission::kReturn : Emission::kInterpreted;
    default:
      return Emission::kInterpreted;
  }
}

Emission classify_stack(const Instruction& insn) {
  const Addressing kind = row(insn.row).operands[0].addressing;
  switch (row(insn.row).operation) {
    case Operation::kPush:
      if (kind == Addressing::kZ || kind == Addressing::kI) return Emission::kPush;
      return kind == Addressing::kE ? Emission::kPush : Emission::kInterpreted;
    case Operation::kPop:
      return kind == Addressing::kZ && (insn.reg != kRsp || insn.operand_size == 8)
                 ? Emission::kPop
                 : Emission::kInterpreted;
    default:
      return Emission::kLeave;
  }
}

/// Not repeated, with addresses as long as the code's.
Emission classify_string(const Cpu& cpu, const Instruction& insn,
                         const TranslatorOptions& options) {
  if (!options.strings || !cpu.model().quirks.empty() || insn.has(kInsnRep) ||
      insn.has(kInsnRepne) || insn.address_size * 8u != cpu.decode_mode().code_bits)
    return Emission::kInterpreted;
  switch (row(insn.row).operation) {
    case Operation::kMovs:
    case Operation::kStos:
    case Operation::kLods:
      return Emission::kString;
    default:
      return Emission::kInterpreted;
  }
}

/// System instructions a kernel executes all the time.
Emission classify_system(const Cpu& cpu, const Instruction& insn) {
  if (!cpu.model().quirks.empty()) return Emission::kInterpreted;
  if (row(insn.row).operation == Operation::kMovToSeg) {
    const bool data = insn.reg == kEs || (insn.reg >= kDs && insn.reg <= kGs);
    return data && (cpu.real_mode() || cpu.v86()) ? Emission::kLoadSegment : Emission::kInterpreted;
  }
  if (cpu.cpl() != 0) return Emission::kInterpreted;
  switch (row(insn.row).operation) {
    case Operation::kCli:
    case Operation::kSti:
      return Emission::kInterruptFlag;
    case Operation::kPopf:
      return Emission::kPopFlags;
    case Operation::kSwapgs:
      return cpu.code64() ? Emission::kSwapGs : Emission::kInterpreted;
    default:
      return Emission::kInterpreted;
  }
}

Emission classify(const Cpu& cpu, const Instruction& insn, u64 next_rip,
                  const TranslatorOptions& options, OperandUses& uses) {
  const Row& r = row(insn.row);
  const OperationInfo& info = operation_info(r.operation);
  if (info.category == Category::kBranch) return classify_branch(cpu, insn, next_rip);
  const bool no_vector = r.operation == Operation::kFwait || r.operation == Operation::kEmms;
  if (info.category == Category::kX87 || no_vector) {
    return x87_usable(cpu, options) && x87_emitted(cpu, insn) ? Emission::kX87
                                                              : Emission::kInterpreted;
  }
  if (info.category == Category::kVector || info.category == Category::kVectorOwn) {
    return options.vectors && vector_emitted(cpu, insn, options) ? Emission::kVector
                                                                 : Emission::kInterpreted;
  }
  if (info.category == Category::kSystem) return classify_system(cpu, insn);
  if (info.category == Category::kString) return classify_string(cpu, insn, options);
  if (info.category != Category::kInteger) return Emission::kInterpreted;
  // Undefined opcodes, privilege, units switched off: the handler is another one then.
  if (!cpu.has(r.feature)) return Emission::kInterpreted;
  if ((r.attributes & kPrivileged) && cpu.cpl() != 0) return Emission::kInterpreted;
  if ((r.vex || (r.attributes & kNoReal)) && (!cpu.protected_mode() || cpu.v86()))
    return Emission::kInterpreted;
  if (!cpu.model().quirks.empty()) return Emission::kInterpreted;
  switch (r.operation) {
    case Operation::kLea:
      return insn.memory() ? Emission::kLea : Emission::kInterpreted;
    case Operation::kPush:
    case Operation::kPop:
    case Operation::kLeave:
      return classify_stack(insn);
    case Operation::kPushf:
      return cpu.v86() ? Emission::kInterpreted : Emission::kPushFlags;
    case Operation::kMovFromSeg:
      return insn.memory() || insn.reg > kGs ? Emission::kInterpreted : Emission::kReadSegment;
    case Operation::kCld:
    case Operation::kStd:
      return Emission::kDirection;
    case Operation::kDiv:
    case Operation::kIdiv:
      return operand_bytes(insn, r.operands[0]) >= 4 ? Emission::kDivide : Emission::kInterpreted;
    case Operation::kNop:
    case Operation::kPause:
    case Operation::kEndbr64:
    case Operation::kEndbr32:
    case Operation::kPrefetcht0:
    case Operation::kPrefetcht1:
    case Operation::kPrefetcht2:
    case Operation::kPrefetchnta:
    case Operation::kPrefetchw:
    case Operation::kLfence:
    case Operation::kSfence:
    case Operation::kMfence:
      return Emission::kNothing;
    default:
      return classify_copied(insn, uses);
  }
}

/// Flags of shifts by a constant: all are set anew unless the count is zero.
bool shift_needs_flags(const Instruction& insn) {
  const Row& r = row(insn.row);
  const Operand& count = r.operands[1].addressing == Addressing::kG ? r.operands[2] : r.operands[1];
  if (count.addressing == Addressing::kOne) return false;
  if (count.addressing == Addressing::kI) {
    const unsigned bytes = operand_bytes(insn, r.operands[0]);
    const unsigned by = static_cast<unsigned>(insn.immediate & (bytes == 8 ? 63 : 31));
    // Beyond the operand's size the processor may keep some flags.
    return by == 0 || by > 8 * bytes;
  }
  return true;
}

bool is_shift(Operation operation) {
  switch (operation) {
    case Operation::kShl:
    case Operation::kShr:
    case Operation::kSar:
    case Operation::kShld:
    case Operation::kShrd:
      return true;
    default:
      return false;
  }
}

/// The instruction sets every arithmetic flag without regard to what they were.
bool sets_all_flags(const Instruction& insn) {
  const OperationInfo& info = info_of(insn);
  const Operation operation = row(insn.row).operation;
  if (is_shift(operation)) return !shift_needs_flags(insn);
  switch (operation) {
    case Operation::kOr:
    case Operation::kAnd:
    case Operation::kXor:
    case Operation::kTest:
      return true;
    case Operation::kBsf:
    case Operation::kBsr:
      return !kHostScanKeepsFlags;
    case Operation::kMul:
    case Operation::kImul:
      return kHostFlagStyle == FlagStyle::kIntel;  // AMD's processors leave four of them alone
    default:
      return (info.flags_written & kAllFlags) == kAllFlags;
  }
}

u32 general_registers_written(const Instruction& insn, Emission how, const OperandUses& uses) {
  const Row& r = row(insn.row);
  u32 set = 0;
  switch (how) {
    case Emission::kNothing:
    case Emission::kConditional:
    case Emission::kJump:
    case Emission::kDirection:
    case Emission::kInterruptFlag:
    case Emission::kSwapGs:
      return 0;
    case Emission::kLoadSegment:
      return 0;
    case Emission::kReadSegment:
      return 1u << insn.rm;
    case Emission::kPushFlags:
    case Emission::kPopFlags:
    case Emission::kPush:
    case Emission::kCall:
    case Emission::kReturn:
      return 1u << kRsp;
    case Emission::kCountBranch:
      return r.operation == Operation::kLoop ? 1u << kRcx : 0;
    case Emission::kPop:
      return 1u << kRsp | 1u << insn.reg;
    case Emission::kLeave:
      return 1u << kRsp | 1u << kRbp;
    case Emission::kLea:
      return 1u << insn.reg;
    case Emission::kDivide:
      return 1u << kRax | 1u << kRdx;
    case Emission::kString:
      return (r.operation != Operation::kStos ? 1u << kRsi : 0) |
             (r.operation != Operation::kLods ? 1u << kRdi : 1u << kRax);
    case Emission::kCopied: {
      const auto add = [&](unsigned i) {
        if (i < uses.count && uses.list[i].gpr >= 0) set |= 1u << uses.list[i].gpr;
      };
      if (r.attributes & kDestination) add(0);
      if (r.attributes & kSecondWritten) add(1);
      switch (r.operation) {
        case Operation::kMul:
        case Operation::kCwd:
        case Operation::kCbw:
        case Operation::kCmpxchg8b:
        case Operation::kCmpxchg16b:
          set |= 1u << kRax | 1u << kRdx;
          break;
        case Operation::kImul:
          if (uses.count == 1) set |= 1u << kRax | 1u << kRdx;
          break;
        case Operation::kCmpxchg:
        case Operation::kLahf:
          set |= 1u << kRax;
          break;
        case Operation::kMulx:
          add(1);
          break;
        default:
          break;
      }
      return set;
    }
    case Emission::kVector:
      return vector_general_registers_written(insn);
    case Emission::kX87:
      return r.operation == Operation::kFnstsw && !insn.memory() ? 1u << kRax : 0;
    default:
      return kEveryRegister;
  }
}

}  // namespace

OperandUses operand_uses(const Instruction& insn) {
  OperandUses uses;
  const Row& r = row(insn.row);
  for (const Operand& operand : r.operands) {
    if (operand.addressing == Addressing::kNone) break;
    OperandUse& use = uses.list[uses.count++];
    use.bytes = static_cast<u8>(operand_bytes(insn, operand));
    int number = -1;
    switch (operand.addressing) {
      case Addressing::kE:
      case Addressing::kM:
      case Addressing::kR:
        if (insn.memory()) {
          use.memory = uses.memory = true;
          uses.memory_bytes = use.bytes;
        } else {
          number = insn.rm;
        }
        break;
      case Addressing::kO:
        use.memory = uses.memory = true;
        uses.memory_bytes = use.bytes;
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
        uses.supported = false;
        return uses;
    }
    if (number >= kHighByte) {
      use.high = uses.any_high = true;
      number -= kHighByte;
    }
    use.gpr = static_cast<i8>(number);
  }
  if (r.operation == Operation::kCmpxchg16b) uses.list[0].bytes = uses.memory_bytes = 16;
  if (r.operation == Operation::kCmpxchg8b) uses.list[0].bytes = uses.memory_bytes = 8;
  return uses;
}

bool has_absolute_offset(const Instruction& insn) {
  const Row& r = row(insn.row);
  return r.operands[0].addressing == Addressing::kO || r.operands[1].addressing == Addressing::kO;
}

PlannedInstruction plan_instruction(const Cpu& cpu, const Instruction& insn, u64 next_rip,
                                    const TranslatorOptions& options) {
  PlannedInstruction p;
  p.insn = &insn;
  p.next_rip = next_rip;
  p.how = classify(cpu, insn, next_rip, options, p.uses);
  const Row& r = row(insn.row);
  const OperationInfo& info = operation_info(r.operation);
  const u32 covered = (info.flags_written | info.flags_undefined) & kAllFlags;
  switch (p.how) {
    case Emission::kCopied: {
      const OperandUses& uses = p.uses;
      p.writes_flags = covered != 0;
      p.needs_flags =
          (info.flags_read & kAllFlags) != 0 || (p.writes_flags && !sets_all_flags(insn));
      if (is_shift(r.operation)) p.needs_flags = shift_needs_flags(insn);
      p.passes_flags = p.needs_flags && (info.flags_read & kAllFlags) == 0;
      if (uses.memory) {
        const bool destination = (r.attributes & kDestination) != 0;
        const bool second = (r.attributes & kSecondWritten) != 0;
        p.operand.present = true;
        p.operand.bytes = uses.memory_bytes;
        p.operand.aligned = r.operation == Operation::kCmpxchg16b;  // #GP otherwise
        p.operand.write = (uses.list[0].memory && destination) ||
                          (uses.count > 1 && uses.list[1].memory && second) ||
                          r.operation == Operation::kCmpxchg8b ||
                          r.operation == Operation::kCmpxchg16b;
      }
      break;
    }
    case Emission::kDivide:
      p.writes_flags = p.needs_flags = true;
      p.may_leave = true;
      if (insn.memory()) {
        p.operand.present = true;
        p.operand.bytes = static_cast<u8>(operand_bytes(insn, r.operands[0]));
      }
      break;
    case Emission::kVector:
      plan_vector(insn, p);
      break;
    case Emission::kX87:
      plan_x87(insn, p);
      break;
    case Emission::kConditional:
      p.needs_flags = true;
      break;
    case Emission::kInterruptFlag:
      p.may_leave = true;
      break;
    case Emission::kLoadSegment:
      p.may_leave = true;
      if (insn.memory()) {
        p.operand.present = true;
        p.operand.bytes = 2;
      }
      break;
    case Emission::kPushFlags:
      p.needs_flags = true;
      [[fallthrough]];
    case Emission::kPush:
    case Emission::kCall:
      p.stack.present = p.stack.write = true;
      p.stack.bytes = insn.operand_size;
      if (insn.memory()) {
        p.operand.present = true;
        p.operand.bytes = insn.operand_size;
      }
      break;
    case Emission::kPopFlags:
      p.writes_flags = true;
      p.may_leave = true;
      [[fallthrough]];
    case Emission::kPop:
    case Emission::kReturn:
    case Emission::kLeave:
      p.stack.present = true;
      p.stack.bytes = insn.operand_size;
      break;
    case Emission::kString: {
      // MOVS reads first, then writes.
      const bool movs = r.operation == Operation::kMovs;
      p.operand.present = true;
      p.operand.write = r.operation == Operation::kStos;
      p.operand.bytes = static_cast<u8>(operand_bytes(insn, r.operands[0]));
      p.stack.present = p.stack.write = movs;
      if (movs) p.stack.bytes = p.operand.bytes;
      break;
    }
    case Emission::kJump:
      if (insn.memory()) {
        p.operand.present = true;
        p.operand.bytes = insn.operand_size;
      }
      break;
    default:
      break;
  }
  const bool leaves = p.how == Emission::kInterpreted || p.how == Emission::kJump ||
                      p.how == Emission::kCall || p.how == Emission::kReturn ||
                      p.how == Emission::kCountBranch;
  p.may_leave = p.may_leave || leaves || p.operand.present || p.stack.present;
  p.registers_written = general_registers_written(insn, p.how, p.uses);
  return p;
}

u32 flags_before(const PlannedInstruction& p, u32 live_after) {
  u32 live = live_after;
  if (p.how == Emission::kInterpreted) return kAllFlags | kExactFlags;
  if (p.writes_flags && !p.needs_flags) live = 0;
  if (p.needs_flags && !(p.passes_flags && live_after == 0)) live |= kAllFlags;
  if (p.may_leave) live |= kExactFlags;
  return live;
}

}  // namespace dragoman
