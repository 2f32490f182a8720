// MOV and its relatives, LEA, XCHG, CMOVcc, SETcc, sign extension, XLAT, NOP and cache hints.
#include "cpu/execute/dispatch.h"
#include "cpu/execute/forms.h"

namespace dragoman {
namespace {

template <class T>
struct Nothing {};

template <class T, class, Form F>
struct MovHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    if constexpr (memory_destination(F)) {
      T value;
      if (!form_source<T, F>(cpu, insn, value)) return false;
      return cpu.write<T>(insn.segment, effective_address(cpu, insn), value);
    } else {
      T value;
      if (!form_source<T, F>(cpu, insn, value)) return false;
      set_register<T>(cpu, form_destination<F>(insn), value);
      return true;
    }
  }
};
/// MOV Z,I: register in the opcode.
template <class T>
struct MovOpcodeRegister {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    set_register<T>(cpu, insn.reg, static_cast<T>(insn.immediate));
    return true;
  }
};
/// MOV accumulator,moffs and back; the offset is in `immediate`.
template <class T>
struct MovFromOffset {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T value;
    if (!cpu.read<T>(insn.segment, insn.immediate, value)) return false;
    set_register<T>(cpu, kRax, value);
    return true;
  }
};
template <class T>
struct MovToOffset {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    return cpu.write<T>(insn.segment, insn.immediate, get_register<T>(cpu, kRax));
  }
};

template <class From, class To>
bool movzx(Cpu& cpu, const Instruction& insn) {
  From value;
  if (!read_rm<From>(cpu, insn, value)) return false;
  set_register<To>(cpu, insn.reg, static_cast<To>(value));
  return true;
}
template <class From, class To>
bool movsx(Cpu& cpu, const Instruction& insn) {
  From value;
  if (!read_rm<From>(cpu, insn, value)) return false;
  set_register<To>(cpu, insn.reg, static_cast<To>(sign_extended<From>(value)));
  return true;
}

template <class T>
struct LeaHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    set_register<T>(cpu, insn.reg, static_cast<T>(effective_address(cpu, insn)));
    return true;
  }
};

template <class T>
struct XchgHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    if (insn.memory()) {
      return modify_rm<T>(cpu, insn, [&](T old) {
        const T value = get_register<T>(cpu, insn.reg);
        set_register<T>(cpu, insn.reg, old);
        return value;
      });
    }
    const T a = get_register<T>(cpu, insn.rm);
    const T b = get_register<T>(cpu, insn.reg);
    set_register<T>(cpu, insn.rm, b);
    set_register<T>(cpu, insn.reg, a);
    return true;
  }
};
/// XCHG with the accumulator, register in the opcode.
template <class T>
struct XchgAccumulator {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    const T a = get_register<T>(cpu, kRax);
    const T b = get_register<T>(cpu, insn.reg);
    set_register<T>(cpu, kRax, b);
    set_register<T>(cpu, insn.reg, a);
    return true;
  }
};

template <class T>
struct CmovHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T value;
    if (!read_rm<T>(cpu, insn, value)) return false;  // reads, and faults, whatever the condition
    if (condition_holds(cpu.state.lazy, insn.opcode & 15)) {
      set_register<T>(cpu, insn.reg, value);
    } else if constexpr (sizeof(T) == 4) {
      set_register<T>(cpu, insn.reg, get_register<T>(cpu, insn.reg));  // clears bits 63:32
    }
    return true;
  }
};

bool setcc(Cpu& cpu, const Instruction& insn) {
  return write_rm<u8>(cpu, insn, condition_holds(cpu.state.lazy, insn.opcode & 15) ? 1 : 0);
}

/// CBW, CWDE, CDQE.
template <class T>
struct CbwHandler {
  static bool handler(Cpu& cpu, const Instruction&) {
    const u64 value = cpu.state.regs[kRax];
    set_register<T>(cpu, kRax, static_cast<T>(sign_extend(value, 4 * sizeof(T))));
    return true;
  }
};
/// CWD, CDQ, CQO.
template <class T>
struct CwdHandler {
  static bool handler(Cpu& cpu, const Instruction&) {
    const bool negative = get_register<T>(cpu, kRax) >> (8 * sizeof(T) - 1);
    set_register<T>(cpu, kRdx, negative ? static_cast<T>(~T{0}) : T{0});
    return true;
  }
};

bool xlat(Cpu& cpu, const Instruction& insn) {
  const u64 offset = (cpu.state.regs[kRbx] + get_register<u8>(cpu, kRax)) & insn.address_mask();
  u8 value;
  if (!cpu.read<u8>(insn.segment, offset, value)) return false;
  set_register<u8>(cpu, kRax, value);
  return true;
}

bool nop(Cpu&, const Instruction&) { return true; }

/// CLFLUSH, CLFLUSHOPT, CLWB: nothing to write back, but the address is checked like a byte load,
/// except that the segment may be execute-only (SDM vol. 2, CLFLUSH). Nothing is read: a device's
/// register may lie there.
bool cache_line(Cpu& cpu, const Instruction& insn) {
  const u64 offset = effective_address(cpu, insn);
  const Segment& s = cpu.state.segments[insn.segment];
  const bool execute_only = s.code() && !(s.type() & 2);
  if (!execute_only || cpu.code64()) return cpu.probe_read(insn.segment, offset, 1);
  u64 linear;
  Cpu::PageWalk walk;
  return cpu.segment_linear(insn.segment, offset, 1, AccessType::kExecute, linear) &&
         cpu.translate(linear, AccessType::kRead, Privilege::kCurrent, walk);
}

}  // namespace

Handler select_Mov(const Instruction& insn) {
  const Row& r = row_of(insn);
  if (r.operands[0].addressing == Addressing::kZ)
    return by_operand_or_byte<MovOpcodeRegister>(insn, 0);
  if (r.operands[0].addressing == Addressing::kO) return by_operand_or_byte<MovToOffset>(insn, 0);
  if (r.operands[1].addressing == Addressing::kO) return by_operand_or_byte<MovFromOffset>(insn, 0);
  return by_size_and_form<Nothing, MovHandler>(insn);
}
Handler select_Movnti(const Instruction& insn) {
  return by_size_and_form<Nothing, MovHandler>(insn);
}
Handler select_Movzx(const Instruction& insn) {
  if (operand_bytes(insn, row_of(insn).operands[1]) == 1) {
    return insn.operand_size == 2   ? movzx<u8, u16>
           : insn.operand_size == 4 ? movzx<u8, u32>
                                    : movzx<u8, u64>;
  }
  return insn.operand_size == 2   ? movzx<u16, u16>
         : insn.operand_size == 4 ? movzx<u16, u32>
                                  : movzx<u16, u64>;
}
Handler select_Movsx(const Instruction& insn) {
  if (operand_bytes(insn, row_of(insn).operands[1]) == 1) {
    return insn.operand_size == 2   ? movsx<u8, u16>
           : insn.operand_size == 4 ? movsx<u8, u32>
                                    : movsx<u8, u64>;
  }
  return insn.operand_size == 2   ? movsx<u16, u16>
         : insn.operand_size == 4 ? movsx<u16, u32>
                                  : movsx<u16, u64>;
}
Handler select_Movsxd(const Instruction& insn) {
  return insn.operand_size == 2   ? movsx<u16, u16>
         : insn.operand_size == 4 ? movsx<u32, u32>
                                  : movsx<u32, u64>;
}
Handler select_Lea(const Instruction& insn) { return by_operand_size<LeaHandler>(insn); }
Handler select_Xchg(const Instruction& insn) {
  for (const Operand& operand : row_of(insn).operands) {
    if (operand.addressing == Addressing::kZ) return by_operand_size<XchgAccumulator>(insn);
  }
  return by_operand_or_byte<XchgHandler>(insn, 0);
}
Handler select_Cmovcc(const Instruction& insn) { return by_operand_size<CmovHandler>(insn); }
Handler select_Setcc(const Instruction&) { return setcc; }
Handler select_Cbw(const Instruction& insn) { return by_operand_size<CbwHandler>(insn); }
Handler select_Cwd(const Instruction& insn) { return by_operand_size<CwdHandler>(insn); }
Handler select_Xlat(const Instruction&) { return xlat; }
Handler select_Nop(const Instruction&) { return nop; }
Handler select_Pause(const Instruction&) { return nop; }
Handler select_Endbr32(const Instruction&) { return nop; }
Handler select_Endbr64(const Instruction&) { return nop; }
Handler select_Prefetcht0(const Instruction&) { return nop; }
Handler select_Prefetcht1(const Instruction&) { return nop; }
Handler select_Prefetcht2(const Instruction&) { return nop; }
Handler select_Prefetchnta(const Instruction&) { return nop; }
Handler select_Prefetchw(const Instruction&) { return nop; }
Handler select_Prefetch(const Instruction&) { return nop; }
Handler select_Lfence(const Instruction&) { return nop; }
Handler select_Mfence(const Instruction&) { return nop; }
Handler select_Sfence(const Instruction&) { return nop; }
Handler select_Clflush(const Instruction&) { return cache_line; }
Handler select_Clflushopt(const Instruction&) { return cache_line; }
Handler select_Clwb(const Instruction&) { return cache_line; }

}  // namespace dragoman
