// Near JMP, CALL, RET, Jcc, LOOP, JCXZ. A taken branch returns false: it leaves the block.
#include <utility>

#include "cpu/execute/dispatch.h"
#include "cpu/execute/forms.h"

namespace dragoman {
namespace {

/// Truncates a target to the operand size and checks it: CS limit, or canonical in 64-bit mode.
template <class T>
inline bool check_target(Cpu& cpu, u64& target) {
  target = static_cast<T>(target);
  if (cpu.code64()) {
    if (!cpu.canonical(target)) return cpu.raise(kVectorGp, 0);
  } else if (target > cpu.state.segments[kCs].limit) {
    return cpu.raise(kVectorGp, 0);
  }
  return true;
}

template <class T>
inline bool jump_to(Cpu& cpu, u64 target) {
  if (!check_target<T>(cpu, target)) return false;
  cpu.state.rip() = target;
  return false;
}

template <class T>
struct JumpRelative {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    return jump_to<T>(cpu, cpu.state.rip() + insn.immediate);
  }
};
template <class T>
struct JumpIndirect {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T target;
    if (!read_rm<T>(cpu, insn, target)) return false;
    return jump_to<T>(cpu, target);
  }
};

template <class T>
inline bool call_to(Cpu& cpu, u64 target) {
  if (!check_target<T>(cpu, target)) return false;
  if (!cpu.push<T>(static_cast<T>(cpu.state.rip()))) return false;
  cpu.state.rip() = target;
  return false;
}
template <class T>
struct CallRelative {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    return call_to<T>(cpu, cpu.state.rip() + insn.immediate);
  }
};
template <class T>
struct CallIndirect {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T target;
    if (!read_rm<T>(cpu, insn, target)) return false;
    return call_to<T>(cpu, target);
  }
};

template <class T>
struct ReturnNear {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    const u64 sp = cpu.state.regs[kRsp] & cpu.stack_mask();
    T value;
    if (!cpu.read<T>(kSs, sp, value)) return false;
    u64 target = value;
    if (!check_target<T>(cpu, target)) return false;
    cpu.set_stack_pointer(sp + sizeof(T) + static_cast<u16>(insn.immediate));
    cpu.state.rip() = target;
    return false;
  }
};

template <class T, unsigned Condition>
bool jump_if(Cpu& cpu, const Instruction& insn) {
  if (!condition_holds(cpu.state.lazy, Condition)) return true;
  return jump_to<T>(cpu, cpu.state.rip() + insn.immediate);
}
template <class T, std::size_t... Conditions>
Handler select_jump_if(unsigned condition, std::index_sequence<Conditions...>) {
  static constexpr Handler kHandlers[] = {jump_if<T, Conditions>...};
  return kHandlers[condition];
}
template <class T>
struct JumpIf {
  static Handler select(unsigned condition) {
    return select_jump_if<T>(condition, std::make_index_sequence<16>());
  }
};

/// The count register of LOOP and JCXZ by address size.
u64 counter(const Cpu& cpu, const Instruction& insn) {
  return cpu.state.regs[kRcx] & insn.address_mask();
}
void set_counter(Cpu& cpu, const Instruction& insn, u64 value) {
  if (insn.address_size == 2) {
    set_register<u16>(cpu, kRcx, static_cast<u16>(value));
  } else {
    cpu.state.regs[kRcx] = value & insn.address_mask();
  }
}

enum class LoopKind : u8 { kPlain, kEqual, kNotEqual };

template <LoopKind Kind>
struct LoopHandlers {
  template <class T>
  struct Make {
    static bool handler(Cpu& cpu, const Instruction& insn) {
      const u64 next = (counter(cpu, insn) - 1) & insn.address_mask();
      bool taken = next != 0;
      if (Kind == LoopKind::kEqual) taken = taken && flag_zf(cpu.state.lazy);
      if (Kind == LoopKind::kNotEqual) taken = taken && !flag_zf(cpu.state.lazy);
      u64 target = cpu.state.rip() + insn.immediate;
      if (taken && !check_target<T>(cpu, target)) return false;
      set_counter(cpu, insn, next);
      if (!taken) return true;
      cpu.state.rip() = target;
      return false;
    }
  };
};

template <class T>
struct JumpIfCounterZero {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    if (counter(cpu, insn) != 0) return true;
    return jump_to<T>(cpu, cpu.state.rip() + insn.immediate);
  }
};

}  // namespace

Handler select_JmpNear(const Instruction& insn) {
  if (row_of(insn).operands[0].addressing == Addressing::kJ) {
    return by_operand_size<JumpRelative>(insn);
  }
  return by_operand_size<JumpIndirect>(insn);
}
Handler select_CallNear(const Instruction& insn) {
  if (row_of(insn).operands[0].addressing == Addressing::kJ) {
    return by_operand_size<CallRelative>(insn);
  }
  return by_operand_size<CallIndirect>(insn);
}
Handler select_RetNear(const Instruction& insn) { return by_operand_size<ReturnNear>(insn); }
Handler select_Jcc(const Instruction& insn) {
  const unsigned condition = insn.opcode & 15;
  switch (insn.operand_size) {
    case 2:
      return JumpIf<u16>::select(condition);
    case 4:
      return JumpIf<u32>::select(condition);
    default:
      return JumpIf<u64>::select(condition);
  }
}
Handler select_Loop(const Instruction& insn) {
  return by_operand_size<LoopHandlers<LoopKind::kPlain>::Make>(insn);
}
Handler select_Loope(const Instruction& insn) {
  return by_operand_size<LoopHandlers<LoopKind::kEqual>::Make>(insn);
}
Handler select_Loopne(const Instruction& insn) {
  return by_operand_size<LoopHandlers<LoopKind::kNotEqual>::Make>(insn);
}
Handler select_Jcxz(const Instruction& insn) { return by_operand_size<JumpIfCounterZero>(insn); }

}  // namespace dragoman
