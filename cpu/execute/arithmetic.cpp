// ADD ... CMP, TEST, INC, DEC, NEG, NOT, MUL, DIV, XADD, CMPXCHG, ADCX, ADOX.
#include "cpu/execute/dispatch.h"
#include "cpu/execute/forms.h"

namespace dragoman {
namespace {

// --- Two-operand operations
// -----------------------------------------------------------------------

template <class T>
struct AddOp {
  static constexpr bool kWrites = true;
  static T apply(LazyFlags& f, T a, T b) {
    const T r = static_cast<T>(a + b);
    set_flags_add<T>(f, a, b, r);
    return r;
  }
};
template <class T>
struct AdcOp {
  static constexpr bool kWrites = true;
  static T apply(LazyFlags& f, T a, T b) {
    const T r = static_cast<T>(a + b + (flag_cf(f) ? 1 : 0));
    set_flags_add<T>(f, a, b, r);
    return r;
  }
};
template <class T>
struct SubOp {
  static constexpr bool kWrites = true;
  static T apply(LazyFlags& f, T a, T b) {
    const T r = static_cast<T>(a - b);
    set_flags_sub<T>(f, a, b, r);
    return r;
  }
};
template <class T>
struct SbbOp {
  static constexpr bool kWrites = true;
  static T apply(LazyFlags& f, T a, T b) {
    const T r = static_cast<T>(a - b - (flag_cf(f) ? 1 : 0));
    set_flags_sub<T>(f, a, b, r);
    return r;
  }
};
template <class T>
struct CmpOp : SubOp<T> {
  static constexpr bool kWrites = false;
};
template <class T>
struct AndOp {
  static constexpr bool kWrites = true;
  static T apply(LazyFlags& f, T a, T b) {
    const T r = a & b;
    set_flags_logic<T>(f, r);
    return r;
  }
};
template <class T>
struct TestOp : AndOp<T> {
  static constexpr bool kWrites = false;
};
template <class T>
struct OrOp {
  static constexpr bool kWrites = true;
  static T apply(LazyFlags& f, T a, T b) {
    const T r = a | b;
    set_flags_logic<T>(f, r);
    return r;
  }
};
template <class T>
struct XorOp {
  static constexpr bool kWrites = true;
  static T apply(LazyFlags& f, T a, T b) {
    const T r = a ^ b;
    set_flags_logic<T>(f, r);
    return r;
  }
};

template <class T, class Op, Form F>
struct Binary {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T b;
    if (!form_source<T, F>(cpu, insn, b)) return false;
    LazyFlags& flags = cpu.state.lazy;
    if constexpr (!memory_destination(F)) {
      const unsigned destination = form_destination<F>(insn);
      const T r = Op::apply(flags, get_register<T>(cpu, destination), b);
      if constexpr (Op::kWrites) set_register<T>(cpu, destination, r);
    } else if constexpr (Op::kWrites) {
      Cpu::Modify<T> m;
      if (!cpu.begin_modify<T>(insn.segment, effective_address(cpu, insn), m)) return false;
      cpu.end_modify<T>(m, Op::apply(flags, m.value, b));
    } else {
      T a;
      if (!cpu.read<T>(insn.segment, effective_address(cpu, insn), a)) return false;
      Op::apply(flags, a, b);
    }
    return true;
  }
};

// --- One-operand operations
// -----------------------------------------------------------------------

template <class T>
struct IncOp {
  static T apply(LazyFlags& f, T a) {
    const bool cf = flag_cf(f);
    const T r = static_cast<T>(a + 1);
    set_flags_add<T>(f, a, 1, r);
    set_cf(f, cf);
    return r;
  }
};
template <class T>
struct DecOp {
  static T apply(LazyFlags& f, T a) {
    const bool cf = flag_cf(f);
    const T r = static_cast<T>(a - 1);
    set_flags_sub<T>(f, a, 1, r);
    set_cf(f, cf);
    return r;
  }
};
template <class T>
struct NegOp {
  static T apply(LazyFlags& f, T a) {
    const T r = static_cast<T>(0 - a);
    set_flags_sub<T>(f, 0, a, r);
    return r;
  }
};
template <class T>
struct NotOp {
  static T apply(LazyFlags&, T a) { return static_cast<T>(~a); }
};

template <class T, class Op>
struct Unary {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    return modify_rm<T>(cpu, insn, [&](T a) { return Op::apply(cpu.state.lazy, a); });
  }
};
/// INC and DEC with the register in the opcode.
template <class T, class Op>
struct UnaryOpcodeRegister {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    set_register<T>(cpu, insn.reg, Op::apply(cpu.state.lazy, get_register<T>(cpu, insn.reg)));
    return true;
  }
};

template <template <class> class Op>
Handler select_unary(const Instruction& insn) {
  const Operand& operand = row_of(insn).operands[0];
  const unsigned bytes = operand_bytes(insn, operand);
  if (operand.addressing == Addressing::kZ) return by_size<Op, UnaryOpcodeRegister>(insn, bytes);
  return by_size<Op, Unary>(insn, bytes);
}

// --- Multiplication and division
// ------------------------------------------------------------------

template <class T>
struct Wide;
template <>
struct Wide<u8> {
  using Unsigned = u16;
  using Signed = i16;
  using Narrow = i8;
};
template <>
struct Wide<u16> {
  using Unsigned = u32;
  using Signed = i32;
  using Narrow = i16;
};
template <>
struct Wide<u32> {
  using Unsigned = u64;
  using Signed = i64;
  using Narrow = i32;
};
template <>
struct Wide<u64> {
  using Unsigned = u128;
  using Signed = i128;
  using Narrow = i64;
};

/// rDX:rAX or AX as one wide value.
template <class T>
typename Wide<T>::Unsigned get_wide(const Cpu& cpu) {
  if constexpr (sizeof(T) == 1) {
    return get_register<u16>(cpu, kRax);
  } else {
    using W = typename Wide<T>::Unsigned;
    return static_cast<W>(static_cast<W>(get_register<T>(cpu, kRdx)) << (8 * sizeof(T)) |
                          get_register<T>(cpu, kRax));
  }
}
template <class T>
void set_wide(Cpu& cpu, T low, T high) {
  if constexpr (sizeof(T) == 1) {
    set_register<u16>(cpu, kRax, static_cast<u16>(low | high << 8));
  } else {
    set_register<T>(cpu, kRax, low);
    set_register<T>(cpu, kRdx, high);
  }
}

/// Flags after a multiplication: CF = OF = "the upper half matters", the others are undefined.
template <FlagStyle S, class T>
void set_flags_multiply(LazyFlags& f, T low, bool overflow) {
  if constexpr (S == FlagStyle::kIntel) {
    f.result = sign_extended(low) | 0x100;  // never zero; bit 63 and the low byte are kept
    f.carries = 0;
    f.flip = 0;
  }
  set_cf_of(f, overflow, overflow);
}

template <class T, FlagStyle S>
struct MulHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T source;
    if (!read_rm<T>(cpu, insn, source)) return false;
    using W = typename Wide<T>::Unsigned;
    const W product = static_cast<W>(static_cast<W>(get_register<T>(cpu, kRax)) * source);
    const T low = static_cast<T>(product);
    const T high = static_cast<T>(product >> (8 * sizeof(T)));
    set_wide<T>(cpu, low, high);
    set_flags_multiply<S, T>(cpu.state.lazy, low, high != 0);
    return true;
  }
};

template <class T, FlagStyle S>
struct ImulWideHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T source;
    if (!read_rm<T>(cpu, insn, source)) return false;
    using W = typename Wide<T>::Signed;
    using N = typename Wide<T>::Narrow;
    const W product = static_cast<W>(static_cast<W>(static_cast<N>(get_register<T>(cpu, kRax))) *
                                     static_cast<N>(source));
    const T low = static_cast<T>(product);
    set_wide<T>(cpu, low, static_cast<T>(product >> (8 * sizeof(T))));
    set_flags_multiply<S, T>(cpu.state.lazy, low, product != static_cast<N>(low));
    return true;
  }
};

/// IMUL G,E and IMUL G,E,I.
template <class T, FlagStyle S>
struct ImulHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T a;
    if (!read_rm<T>(cpu, insn, a)) return false;
    const bool immediate = row_of(insn).operands[2].addressing == Addressing::kI;
    const T b = immediate ? static_cast<T>(insn.immediate) : get_register<T>(cpu, insn.reg);
    using W = typename Wide<T>::Signed;
    using N = typename Wide<T>::Narrow;
    const W product = static_cast<W>(static_cast<W>(static_cast<N>(a)) * static_cast<N>(b));
    const T low = static_cast<T>(product);
    set_register<T>(cpu, insn.reg, low);
    set_flags_multiply<S, T>(cpu.state.lazy, low, product != static_cast<N>(low));
    return true;
  }
};

/// DIV and IDIV leave all arithmetic flags undefined.
template <FlagStyle S>
void set_flags_divide(LazyFlags& f) {
  if constexpr (S == FlagStyle::kAmd) {
    set_arithmetic_flags(f, (flag_cf(f) ? kFlagCf : 0u) | kFlagAf | (flag_of(f) ? kFlagOf : 0u));
  }
}

template <class T, FlagStyle S>
struct DivHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T divisor;
    if (!read_rm<T>(cpu, insn, divisor)) return false;
    if (divisor == 0) return cpu.raise(kVectorDe);
    const auto dividend = get_wide<T>(cpu);
    if (static_cast<T>(dividend >> (8 * sizeof(T))) >= divisor) return cpu.raise(kVectorDe);
    T quotient, remainder;
    if constexpr (sizeof(T) == 8) {
      // The quotient fits, so the host instruction cannot fault; __int128 division is a call.
      asm("divq %4"
          : "=a"(quotient), "=d"(remainder)
          : "a"(static_cast<u64>(dividend)), "d"(static_cast<u64>(dividend >> 64)), "r"(divisor)
          : "cc");
    } else {
      quotient = static_cast<T>(dividend / divisor);
      remainder = static_cast<T>(dividend % divisor);
    }
    set_wide<T>(cpu, quotient, remainder);
    set_flags_divide<S>(cpu.state.lazy);
    return true;
  }
};

template <class T, FlagStyle S>
struct IdivHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T divisor_bits;
    if (!read_rm<T>(cpu, insn, divisor_bits)) return false;
    using W = typename Wide<T>::Signed;
    using N = typename Wide<T>::Narrow;
    const W divisor = static_cast<N>(divisor_bits);
    if (divisor == 0) return cpu.raise(kVectorDe);
    const W dividend = static_cast<W>(get_wide<T>(cpu));
    // The most negative dividend over -1 overflows even the wide type.
    const W most_negative =
        static_cast<W>(static_cast<typename Wide<T>::Unsigned>(1) << (16 * sizeof(T) - 1));
    if (divisor == -1 && dividend == most_negative) return cpu.raise(kVectorDe);
    const W quotient = static_cast<W>(dividend / divisor);
    if (quotient != static_cast<N>(quotient)) return cpu.raise(kVectorDe);
    set_wide<T>(cpu, static_cast<T>(quotient), static_cast<T>(dividend % divisor));
    set_flags_divide<S>(cpu.state.lazy);
    return true;
  }
};

// --- Exchanges
// -------------------------------------------------------------------------------------

template <class T>
struct XaddHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    const T source = get_register<T>(cpu, insn.reg);
    if (!insn.memory()) {
      const T old = get_register<T>(cpu, insn.rm);
      const T sum = AddOp<T>::apply(cpu.state.lazy, old, source);
      set_register<T>(cpu, insn.reg, old);
      set_register<T>(cpu, insn.rm, sum);  // the destination wins when both are the same
      return true;
    }
    return modify_rm<T>(cpu, insn, [&](T old) {
      set_register<T>(cpu, insn.reg, old);
      return AddOp<T>::apply(cpu.state.lazy, old, source);
    });
  }
};

template <class T>
struct CmpxchgHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    const T source = get_register<T>(cpu, insn.reg);
    const T accumulator = get_register<T>(cpu, kRax);
    const auto exchange = [&](T old) {
      set_flags_sub<T>(cpu.state.lazy, accumulator, old, static_cast<T>(accumulator - old));
      if (old == accumulator) return source;
      set_register<T>(cpu, kRax, old);
      return old;  // memory is written back even when the comparison fails
    };
    if (insn.memory()) return modify_rm<T>(cpu, insn, exchange);
    const T old = get_register<T>(cpu, insn.rm);
    const T result = exchange(old);
    // A 32-bit destination register that keeps its value keeps its upper half as well.
    if (old == accumulator) set_register<T>(cpu, insn.rm, result);
    return true;
  }
};

bool cmpxchg8b(Cpu& cpu, const Instruction& insn) {
  return modify_rm<u64>(cpu, insn, [&](u64 old) {
    const u64 expected = get_register<u32>(cpu, kRax) | u64{get_register<u32>(cpu, kRdx)} << 32;
    u32 flags = arithmetic_flags(cpu.state.lazy) & ~kFlagZf;
    u64 result = old;
    if (old == expected) {
      flags |= kFlagZf;
      result = get_register<u32>(cpu, kRbx) | u64{get_register<u32>(cpu, kRcx)} << 32;
    } else {
      set_register<u32>(cpu, kRax, static_cast<u32>(old));
      set_register<u32>(cpu, kRdx, static_cast<u32>(old >> 32));
    }
    set_arithmetic_flags(cpu.state.lazy, flags);
    return result;
  });
}

bool cmpxchg16b(Cpu& cpu, const Instruction& insn) {
  const u64 offset = effective_address(cpu, insn);
  u64 linear;
  if (!cpu.segment_linear(insn.segment, offset, 16, AccessType::kWrite, linear)) return false;
  if (linear & 15) return cpu.raise(kVectorGp, 0);
  if (!cpu.probe_write(insn.segment, offset, 16)) return false;
  std::array<u64, 2> old;
  if (!cpu.read_block(insn.segment, offset, old.data(), 16)) return false;
  u32 flags = arithmetic_flags(cpu.state.lazy) & ~kFlagZf;
  std::array<u64, 2> result = old;
  const bool equal = old[0] == cpu.state.regs[kRax] && old[1] == cpu.state.regs[kRdx];
  if (equal) {
    flags |= kFlagZf;
    result = {cpu.state.regs[kRbx], cpu.state.regs[kRcx]};
  }
  if (!cpu.write_block(insn.segment, offset, result.data(), 16)) return false;
  if (!equal) {
    cpu.state.regs[kRax] = old[0];
    cpu.state.regs[kRdx] = old[1];
  }
  set_arithmetic_flags(cpu.state.lazy, flags);
  return true;
}

// --- ADCX, ADOX, MULX
// ----------------------------------------------------------------------------------

template <class T>
struct AdcxHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T source;
    if (!read_rm<T>(cpu, insn, source)) return false;
    LazyFlags& f = cpu.state.lazy;
    T sum;
    bool carry = __builtin_add_overflow(get_register<T>(cpu, insn.reg), source, &sum);
    carry |= __builtin_add_overflow(sum, static_cast<T>(flag_cf(f)), &sum);
    set_register<T>(cpu, insn.reg, sum);
    set_cf(f, carry);
    return true;
  }
};
template <class T>
struct AdoxHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T source;
    if (!read_rm<T>(cpu, insn, source)) return false;
    LazyFlags& f = cpu.state.lazy;
    T sum;
    bool carry = __builtin_add_overflow(get_register<T>(cpu, insn.reg), source, &sum);
    carry |= __builtin_add_overflow(sum, static_cast<T>(flag_of(f)), &sum);
    set_register<T>(cpu, insn.reg, sum);
    set_cf_of(f, flag_cf(f), carry);
    return true;
  }
};
/// MULX reg, vvvv, E: reg = high half, vvvv = low half of rDX * E; no flags. When both
/// destinations are the same register it holds the high half.
template <class T>
struct MulxHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T source;
    if (!read_rm<T>(cpu, insn, source)) return false;
    using W = typename Wide<T>::Unsigned;
    const W product = static_cast<W>(get_register<T>(cpu, kRdx)) * source;
    set_register<T>(cpu, insn.vvvv, static_cast<T>(product));
    set_register<T>(cpu, insn.reg, static_cast<T>(product >> (8 * sizeof(T))));
    return true;
  }
};

}  // namespace

Handler select_Add(const Instruction& insn) { return by_size_and_form<AddOp, Binary>(insn); }
Handler select_Or(const Instruction& insn) { return by_size_and_form<OrOp, Binary>(insn); }
Handler select_Adc(const Instruction& insn) { return by_size_and_form<AdcOp, Binary>(insn); }
Handler select_Sbb(const Instruction& insn) { return by_size_and_form<SbbOp, Binary>(insn); }
Handler select_And(const Instruction& insn) { return by_size_and_form<AndOp, Binary>(insn); }
Handler select_Sub(const Instruction& insn) { return by_size_and_form<SubOp, Binary>(insn); }
Handler select_Xor(const Instruction& insn) { return by_size_and_form<XorOp, Binary>(insn); }
Handler select_Cmp(const Instruction& insn) { return by_size_and_form<CmpOp, Binary>(insn); }
Handler select_Test(const Instruction& insn) { return by_size_and_form<TestOp, Binary>(insn); }
Handler select_Inc(const Instruction& insn) { return select_unary<IncOp>(insn); }
Handler select_Dec(const Instruction& insn) { return select_unary<DecOp>(insn); }
Handler select_Neg(const Instruction& insn) { return select_unary<NegOp>(insn); }
Handler select_Not(const Instruction& insn) { return select_unary<NotOp>(insn); }
Handler select_Mul(const Instruction& insn) { return by_operand_or_byte<MulHandler>(insn, 0); }
Handler select_Div(const Instruction& insn) { return by_operand_or_byte<DivHandler>(insn, 0); }
Handler select_Idiv(const Instruction& insn) { return by_operand_or_byte<IdivHandler>(insn, 0); }
Handler select_Imul(const Instruction& insn) {
  if (row_of(insn).operands[0].addressing == Addressing::kG) {
    return by_operand<ImulHandler>(insn, 0);
  }
  return by_operand_or_byte<ImulWideHandler>(insn, 0);
}
Handler select_Xadd(const Instruction& insn) { return by_operand_or_byte<XaddHandler>(insn, 0); }
Handler select_Cmpxchg(const Instruction& insn) {
  return by_operand_or_byte<CmpxchgHandler>(insn, 0);
}
Handler select_Cmpxchg8b(const Instruction&) { return cmpxchg8b; }
Handler select_Cmpxchg16b(const Instruction&) { return cmpxchg16b; }
Handler select_Adcx(const Instruction& insn) { return by_operand<AdcxHandler>(insn, 0); }
Handler select_Adox(const Instruction& insn) { return by_operand<AdoxHandler>(insn, 0); }
Handler select_Mulx(const Instruction& insn) {
  return insn.operand_size == 8 ? MulxHandler<u64>::handler : MulxHandler<u32>::handler;
}

}  // namespace dragoman
