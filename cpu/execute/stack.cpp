// PUSH, POP, PUSHA, POPA, ENTER, LEAVE.
#include "cpu/execute/dispatch.h"
#include "cpu/execute/forms.h"

namespace dragoman {
namespace {

template <class T>
struct PushRegister {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    return cpu.push<T>(get_register<T>(cpu, insn.reg));
  }
};
template <class T>
struct PushImmediate {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    return cpu.push<T>(static_cast<T>(insn.immediate));
  }
};
template <class T>
struct PushRm {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T value;
    return read_rm<T>(cpu, insn, value) && cpu.push<T>(value);
  }
};

template <class T>
struct PopRegister {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T value;
    if (!cpu.pop<T>(value)) return false;
    set_register<T>(cpu, insn.reg, value);  // POP rSP: the popped value wins
    return true;
  }
};
template <class T>
struct PopRm {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    const u64 stack_pointer = cpu.state.regs[kRsp];
    T value;
    if (!cpu.pop<T>(value)) return false;
    // A destination addressed by rSP uses the incremented value (SDM vol. 2, POP).
    if (write_rm<T>(cpu, insn, value)) return true;
    cpu.state.regs[kRsp] = stack_pointer;
    return false;
  }
};

template <class T>
bool pusha(Cpu& cpu, const Instruction&) {
  const u64 sp = cpu.state.regs[kRsp];
  for (unsigned i = 0; i < 8; ++i) {  // AX CX DX BX SP BP SI DI, highest address first
    const u64 offset = (sp - (i + 1) * sizeof(T)) & cpu.stack_mask();
    if (!cpu.write<T>(kSs, offset, get_register<T>(cpu, i))) return false;
  }
  cpu.set_stack_pointer(sp - 8 * sizeof(T));
  return true;
}
template <class T>
bool popa(Cpu& cpu, const Instruction&) {
  const u64 sp = cpu.state.regs[kRsp];
  std::array<T, 8> values;
  for (unsigned i = 0; i < 8; ++i) {
    if (!cpu.read<T>(kSs, (sp + i * sizeof(T)) & cpu.stack_mask(), values[i])) return false;
  }
  for (unsigned i = 0; i < 8; ++i) {
    if (7 - i != kRsp) set_register<T>(cpu, 7 - i, values[i]);
  }
  cpu.set_stack_pointer(sp + 8 * sizeof(T));
  return true;
}

/// ENTER imm16,imm8 (SDM vol. 2). The size is in `immediate`, the level in `immediate2`.
template <class T>
struct EnterHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    const u64 mask = cpu.stack_mask();
    const unsigned level = insn.immediate2 & 31;
    const u64 sp = cpu.state.regs[kRsp];
    const u64 frame = sp - sizeof(T);
    if (!cpu.write<T>(kSs, frame & mask, get_register<T>(cpu, kRbp))) return false;
    u64 position = frame;
    for (unsigned i = 1; i < level; ++i) {
      T value;
      if (!cpu.read<T>(kSs, (cpu.state.regs[kRbp] - i * sizeof(T)) & mask, value)) return false;
      position -= sizeof(T);
      if (!cpu.write<T>(kSs, position & mask, value)) return false;
    }
    if (level > 0) {
      // The frame pointer as the new frame will hold it.
      position -= sizeof(T);
      const T pointer = static_cast<T>(
          mask == 0xffff ? (cpu.state.regs[kRsp] & ~u64{0xffff}) | (frame & 0xffff) : frame & mask);
      if (!cpu.write<T>(kSs, position & mask, pointer)) return false;
    }
    const u64 new_sp = position - static_cast<u16>(insn.immediate);
    // The new top of stack must be writable (SDM vol. 2, ENTER).
    if (!cpu.probe_write(kSs, new_sp & mask, 1)) return false;
    if (mask == 0xffff) {
      set_register<u16>(cpu, kRbp, static_cast<u16>(frame));
    } else {
      set_register<T>(cpu, kRbp, static_cast<T>(frame));
    }
    cpu.set_stack_pointer(new_sp);
    return true;
  }
};

template <class T>
struct LeaveHandler {
  static bool handler(Cpu& cpu, const Instruction&) {
    const u64 frame = cpu.state.regs[kRbp] & cpu.stack_mask();
    T value;
    if (!cpu.read<T>(kSs, frame, value)) return false;
    cpu.set_stack_pointer(frame + sizeof(T));
    set_register<T>(cpu, kRbp, value);
    return true;
  }
};

}  // namespace

Handler select_Push(const Instruction& insn) {
  switch (row_of(insn).operands[0].addressing) {
    case Addressing::kZ:
      return by_operand_size<PushRegister>(insn);
    case Addressing::kI:
      return by_operand_size<PushImmediate>(insn);
    default:
      return by_operand_size<PushRm>(insn);
  }
}
Handler select_Pop(const Instruction& insn) {
  if (row_of(insn).operands[0].addressing == Addressing::kZ) {
    return by_operand_size<PopRegister>(insn);
  }
  return by_operand_size<PopRm>(insn);
}
Handler select_Pusha(const Instruction& insn) {
  return insn.operand_size == 2 ? pusha<u16> : pusha<u32>;
}
Handler select_Popa(const Instruction& insn) {
  return insn.operand_size == 2 ? popa<u16> : popa<u32>;
}
Handler select_Enter(const Instruction& insn) { return by_operand_size<EnterHandler>(insn); }
Handler select_Leave(const Instruction& insn) { return by_operand_size<LeaveHandler>(insn); }

}  // namespace dragoman
