// Operand access for instruction handlers: registers by number, memory by the decoded address.
#pragma once

#include <cstring>
#include <type_traits>

#include "cpu/cpu.h"

namespace dragoman {

/// Register operand of type T by its decoded number (bytes in the kHighByte numbering).
template <class T>
inline T get_register(const Cpu& cpu, unsigned number) {
  if constexpr (sizeof(T) == 1) {
    // 0..15: low bytes; 16..19: bits 15:8 of RAX, RCX, RDX, RBX.
    return reinterpret_cast<const u8*>(cpu.state.regs.data())[(number & 15) * 8 + (number >> 4)];
  } else {
    return static_cast<T>(cpu.state.regs[number]);
  }
}

/// Writes a register operand; 32-bit writes clear bits 63:32, narrower ones keep the rest.
template <class T>
inline void set_register(Cpu& cpu, unsigned number, T value) {
  if constexpr (sizeof(T) == 1) {
    reinterpret_cast<u8*>(cpu.state.regs.data())[(number & 15) * 8 + (number >> 4)] = value;
  } else if constexpr (sizeof(T) == 2) {
    std::memcpy(&cpu.state.regs[number], &value, 2);
  } else {
    cpu.state.regs[number] = value;
  }
}

/// Offset of the memory operand within its segment (E, M, Q, W operands).
inline u64 effective_address(const Cpu& cpu, const Instruction& insn) {
  return (cpu.state.regs[insn.base] + (cpu.state.regs[insn.index] << insn.scale) +
          static_cast<u64>(static_cast<i64>(insn.displacement))) &
         insn.address_mask();
}

/// Reads the E operand, register or memory.
template <class T>
[[nodiscard]] inline bool read_rm(Cpu& cpu, const Instruction& insn, T& value) {
  if (insn.memory()) return cpu.read<T>(insn.segment, effective_address(cpu, insn), value);
  value = get_register<T>(cpu, insn.rm);
  return true;
}

/// Writes the E operand without reading it.
template <class T>
[[nodiscard]] inline bool write_rm(Cpu& cpu, const Instruction& insn, T value) {
  if (insn.memory()) return cpu.write<T>(insn.segment, effective_address(cpu, insn), value);
  set_register<T>(cpu, insn.rm, value);
  return true;
}

/// Reads, changes and writes back the E operand: `change(T old) -> T`. Flags and registers may be
/// changed inside `change`: it is called only when nothing can fault any more.
template <class T, class Change>
[[nodiscard]] inline bool modify_rm(Cpu& cpu, const Instruction& insn, Change&& change) {
  if (insn.memory()) {
    Cpu::Modify<T> m;
    if (!cpu.begin_modify<T>(insn.segment, effective_address(cpu, insn), m)) return false;
    cpu.end_modify<T>(m, change(m.value));
    return true;
  }
  set_register<T>(cpu, insn.rm, change(get_register<T>(cpu, insn.rm)));
  return true;
}

/// Picks the instance of a handler template by operand size in bytes: 2, 4 or 8.
template <template <class> class Make>
inline Handler by_operand_size(const Instruction& insn) {
  switch (insn.operand_size) {
    case 2:
      return Make<u16>::handler;
    case 4:
      return Make<u32>::handler;
    default:
      return Make<u64>::handler;
  }
}

}  // namespace dragoman
