// From operand forms and sizes to handler templates: the glue between rows and operations.
#pragma once

#include "cpu/execute/operands.h"
#include "cpu/execute/undefined_flags.h"
#include "cpu/isa/rows.h"

namespace dragoman {

/// Operand forms that deserve code of their own.
enum class Form : u8 {
  kRmReg,   ///< register rm <- register reg
  kMemReg,  ///< memory <- register reg
  kRegRm,   ///< register reg <- register rm
  kRegMem,  ///< register reg <- memory
  kRmImm,   ///< register rm <- immediate
  kMemImm,  ///< memory <- immediate
  kAccImm,  ///< accumulator <- immediate
};

inline const Row& row_of(const Instruction& insn) { return row(insn.row); }

/// Size in bytes of a general-purpose operand of `insn`.
inline unsigned operand_bytes(const Instruction& insn, const Operand& operand) {
  switch (operand.width) {
    case Width::kB:
      return 1;
    case Width::kW:
      return 2;
    case Width::kD:
      return 4;
    case Width::kQ:
      return 8;
    case Width::kZ:
      return insn.operand_size == 2 ? 2 : 4;
    case Width::kY:
      return insn.operand_size == 8 ? 8 : 4;
    default:
      return insn.operand_size;
  }
}

/// Form of a two-operand instruction whose operands are E,G  G,E  E,I or accumulator,I.
inline Form binary_form(const Instruction& insn) {
  const Row& r = row_of(insn);
  const Addressing first = r.operands[0].addressing;
  const Addressing second = r.operands[1].addressing;
  if (first == Addressing::kG) return insn.memory() ? Form::kRegMem : Form::kRegRm;
  if (first == Addressing::kFixed) return Form::kAccImm;
  if (second == Addressing::kG) return insn.memory() ? Form::kMemReg : Form::kRmReg;
  return insn.memory() ? Form::kMemImm : Form::kRmImm;
}

/// Picks Make<Op<T>, F>::handler for a two-operand instruction.
template <template <class> class Op, template <class, class, Form> class Make, class T>
inline Handler by_form(Form form) {
  switch (form) {
    case Form::kRmReg:
      return Make<T, Op<T>, Form::kRmReg>::handler;
    case Form::kMemReg:
      return Make<T, Op<T>, Form::kMemReg>::handler;
    case Form::kRegRm:
      return Make<T, Op<T>, Form::kRegRm>::handler;
    case Form::kRegMem:
      return Make<T, Op<T>, Form::kRegMem>::handler;
    case Form::kRmImm:
      return Make<T, Op<T>, Form::kRmImm>::handler;
    case Form::kMemImm:
      return Make<T, Op<T>, Form::kMemImm>::handler;
    default:
      return Make<T, Op<T>, Form::kAccImm>::handler;
  }
}
template <template <class> class Op, template <class, class, Form> class Make>
inline Handler by_size_and_form(const Instruction& insn) {
  const Form form = binary_form(insn);
  switch (operand_bytes(insn, row_of(insn).operands[0])) {
    case 1:
      return by_form<Op, Make, u8>(form);
    case 2:
      return by_form<Op, Make, u16>(form);
    case 4:
      return by_form<Op, Make, u32>(form);
    default:
      return by_form<Op, Make, u64>(form);
  }
}

/// The source operand of a two-operand form.
template <class T, Form F>
[[nodiscard]] inline bool form_source(Cpu& cpu, const Instruction& insn, T& value) {
  if constexpr (F == Form::kRmReg || F == Form::kMemReg) {
    value = get_register<T>(cpu, insn.reg);
  } else if constexpr (F == Form::kRegRm) {
    value = get_register<T>(cpu, insn.rm);
  } else if constexpr (F == Form::kRegMem) {
    return cpu.read<T>(insn.segment, effective_address(cpu, insn), value);
  } else {
    value = static_cast<T>(insn.immediate);
  }
  return true;
}

/// Register number of the destination of a two-operand form without memory destination.
template <Form F>
inline unsigned form_destination(const Instruction& insn) {
  if constexpr (F == Form::kRegRm || F == Form::kRegMem) return insn.reg;
  if constexpr (F == Form::kAccImm) return kRax;
  return insn.rm;
}

inline constexpr bool memory_destination(Form f) {
  return f == Form::kMemReg || f == Form::kMemImm;
}

/// Picks Make<Op<T>, memory?> for a one-operand E instruction.
template <template <class> class Op, template <class, class> class Make>
inline Handler by_size(const Instruction& insn, unsigned bytes) {
  (void)insn;
  switch (bytes) {
    case 1:
      return Make<u8, Op<u8>>::handler;
    case 2:
      return Make<u16, Op<u16>>::handler;
    case 4:
      return Make<u32, Op<u32>>::handler;
    default:
      return Make<u64, Op<u64>>::handler;
  }
}

/// The same for an operation with undefined flags or results, Op<T, host's style>.
template <template <class, FlagStyle> class Op, template <class, class> class Make>
inline Handler by_size(const Instruction& insn, unsigned bytes) {
  return with_host_flags(
      [&](auto style) { return by_size<Styled<Op, style>::template Of, Make>(insn, bytes); });
}

/// Picks Make<T>::handler by the size of operand `n`; sizes 2, 4, 8.
template <template <class> class Make>
inline Handler by_operand(const Instruction& insn, unsigned n) {
  switch (operand_bytes(insn, row_of(insn).operands[n])) {
    case 2:
      return Make<u16>::handler;
    case 4:
      return Make<u32>::handler;
    default:
      return Make<u64>::handler;
  }
}
/// Likewise for sizes 1, 2, 4, 8.
template <template <class> class Make>
inline Handler by_operand_or_byte(const Instruction& insn, unsigned n) {
  if (operand_bytes(insn, row_of(insn).operands[n]) == 1) return Make<u8>::handler;
  return by_operand<Make>(insn, n);
}

/// The same for operations with undefined flags, Make<T, host's style>.
template <template <class, FlagStyle> class Make>
inline Handler by_operand(const Instruction& insn, unsigned n) {
  return with_host_flags(
      [&](auto style) { return by_operand<Styled<Make, style>::template Of>(insn, n); });
}
template <template <class, FlagStyle> class Make>
inline Handler by_operand_or_byte(const Instruction& insn, unsigned n) {
  return with_host_flags(
      [&](auto style) { return by_operand_or_byte<Styled<Make, style>::template Of>(insn, n); });
}

/// The second operand of an instruction whose second operand is G, E or I (generic, slower).
template <class T>
[[nodiscard]] inline bool read_operand(Cpu& cpu, const Instruction& insn, unsigned n, T& value) {
  const Operand& operand = row_of(insn).operands[n];
  switch (operand.addressing) {
    case Addressing::kG:
      value = get_register<T>(cpu, insn.reg);
      return true;
    case Addressing::kZ:
      value = get_register<T>(cpu, insn.reg);
      return true;
    case Addressing::kB:
      value = get_register<T>(cpu, insn.vvvv);
      return true;
    case Addressing::kE:
    case Addressing::kM:
    case Addressing::kR:
      return read_rm<T>(cpu, insn, value);
    case Addressing::kFixed:
      value = get_register<T>(cpu, operand.number);
      return true;
    case Addressing::kOne:
      value = 1;
      return true;
    default:
      value = static_cast<T>(insn.immediate);
      return true;
  }
}

}  // namespace dragoman
