// Shifts, rotates, SHLD/SHRD and the BMI2 shifts. Counts are masked to 5 bits, 6 for 64-bit
// operands; a masked count of zero changes neither operand nor flags.
#include "cpu/execute/dispatch.h"
#include "cpu/execute/early_processors.h"
#include "cpu/execute/forms.h"

namespace dragoman {
namespace {

template <class T>
inline constexpr unsigned kWidth = 8 * sizeof(T);

inline bool top(u64 value, unsigned width) { return (value >> (width - 1)) & 1; }
/// OF of one step to the left.
inline bool top_bits_differ(u64 value, unsigned width) {
  return ((value ^ value << 1) >> (width - 1)) & 1;
}

// OF for counts other than 1 and AF after shifts are undefined: see undefined_flags.h. Both ways
// agree for a count of 1, where OF is defined.

/// OF of the first step, on Intel processors, or of the last, on AMD's.
template <FlagStyle S>
constexpr bool one_step(bool first, bool last) {
  return S == FlagStyle::kAmd ? last : first;
}

template <FlagStyle S, class T>
inline void set_flags_shift(LazyFlags& f, T result, bool cf, bool of) {
  set_flags_logic<T>(f, result);
  if constexpr (S == FlagStyle::kAmd) f.carries = 8;  // AF
  set_cf_of(f, cf, of);
}

template <class T, FlagStyle S>
struct ShlOp {
  static constexpr bool kImmediateKeepsOf = false;
  static T apply(LazyFlags& f, T a, unsigned count) {
    const unsigned w = kWidth<T>;
    const T r = count < w ? static_cast<T>(a << count) : T{0};
    const bool cf = count <= w && ((a >> (w - count)) & 1);
    set_flags_shift<S, T>(f, r, cf, one_step<S>(top_bits_differ(a, w), top(r, w) != cf));
    return r;
  }
};
template <class T, FlagStyle S>
struct ShrOp {
  static constexpr bool kImmediateKeepsOf = false;
  static T apply(LazyFlags& f, T a, unsigned count) {
    const unsigned w = kWidth<T>;
    const T r = count < w ? static_cast<T>(a >> count) : T{0};
    const bool cf = count <= w && ((a >> (count - 1)) & 1);
    set_flags_shift<S, T>(f, r, cf, one_step<S>(top(a, w), top_bits_differ(r, w)));
    return r;
  }
};
template <class T, FlagStyle S>
struct SarOp {
  static constexpr bool kImmediateKeepsOf = false;
  static T apply(LazyFlags& f, T a, unsigned count) {
    using Signed = std::make_signed_t<T>;
    const unsigned w = kWidth<T>;
    const unsigned steps = count < w ? count : w - 1;
    const T r = static_cast<T>(static_cast<Signed>(a) >> steps);
    const bool cf = (static_cast<Signed>(a) >> (count - 1 < w ? count - 1 : w - 1)) & 1;
    set_flags_shift<S, T>(f, r, cf, false);
    return r;
  }
};
// Rotates change only CF and OF. On Intel processors ROL and ROR of a register by an immediate
// other than 1 leave OF alone.
template <class T, FlagStyle S>
struct RolOp {
  static constexpr bool kImmediateKeepsOf = S == FlagStyle::kIntel;
  static T apply(LazyFlags& f, T a, unsigned count) {
    const unsigned w = kWidth<T>;
    const unsigned n = count % w;
    const T r = n == 0 ? a : static_cast<T>(a << n | a >> (w - n));
    const bool cf = r & 1;
    set_cf_of(f, cf, one_step<S>(top_bits_differ(a, w), top(r, w) != cf));
    return r;
  }
};
template <class T, FlagStyle S>
struct RorOp {
  static constexpr bool kImmediateKeepsOf = S == FlagStyle::kIntel;
  static T apply(LazyFlags& f, T a, unsigned count) {
    const unsigned w = kWidth<T>;
    const unsigned n = count % w;
    const T r = n == 0 ? a : static_cast<T>(a >> n | a << (w - n));
    const bool first = top(a, w) != ((a & 1) != 0);
    set_cf_of(f, top(r, w), one_step<S>(first, top_bits_differ(r, w)));
    return r;
  }
};
// A count that comes back to the start, such as 9 for a byte, does not change CF; Intel processors
// leave OF alone as well.
template <class T, FlagStyle S>
struct RclOp {
  static constexpr bool kImmediateKeepsOf = false;
  static T apply(LazyFlags& f, T a, unsigned count) {
    const unsigned w = kWidth<T>;
    const unsigned n = count % (w + 1);
    const bool carry = flag_cf(f);
    if (n == 0) {
      set_cf_of(f, carry, one_step<S>(flag_of(f), top(a, w) != carry));
      return a;
    }
    const u64 wide = a;
    u64 r = (n < w ? wide << n : 0) | u64{carry} << (n - 1);
    if (n > 1) r |= wide >> (w + 1 - n);
    const bool cf = (wide >> (w - n)) & 1;
    set_cf_of(f, cf, one_step<S>(top_bits_differ(a, w), top(r, w) != cf));
    return static_cast<T>(r);
  }
};
template <class T, FlagStyle S>
struct RcrOp {
  static constexpr bool kImmediateKeepsOf = false;
  static T apply(LazyFlags& f, T a, unsigned count) {
    const unsigned w = kWidth<T>;
    const unsigned n = count % (w + 1);
    const bool carry = flag_cf(f);
    if (n == 0) {
      set_cf_of(f, carry, one_step<S>(flag_of(f), top_bits_differ(a, w)));
      return a;
    }
    const u64 wide = a;
    u64 r = (n < w ? wide >> n : 0) | u64{carry} << (w - n);
    if (n > 1) r |= wide << (w + 1 - n);
    const bool cf = (wide >> (n - 1)) & 1;
    set_cf_of(f, cf, one_step<S>(top(a, w) != carry, top_bits_differ(r, w)));
    return static_cast<T>(r);
  }
};

template <class T>
inline unsigned masked(u64 count) {
  return static_cast<unsigned>(count & (sizeof(T) == 8 ? 63 : 31));
}

/// A count of zero still writes memory operands back unchanged in our model: the access is the
/// same as the processor's (a read with write intent), so faults agree.
template <class T, class Op>
struct ShiftImmediate {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    const unsigned count = masked<T>(insn.immediate);
    return modify_rm<T>(cpu, insn, [&](T a) {
      if (count == 0) return a;
      LazyFlags& flags = cpu.state.lazy;
      const bool of = flag_of(flags);
      const T r = Op::apply(flags, a, count);
      if constexpr (Op::kImmediateKeepsOf) {
        if (count != 1 && !insn.memory()) set_cf_of(flags, flag_cf(flags), of);
      }
      return r;
    });
  }
};
template <class T, class Op>
struct ShiftOne {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    return modify_rm<T>(cpu, insn, [&](T a) { return Op::apply(cpu.state.lazy, a, 1); });
  }
};
template <class T, class Op>
struct ShiftCl {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    const unsigned count = masked<T>(cpu.state.regs[kRcx]);
    return modify_rm<T>(cpu, insn,
                        [&](T a) { return count == 0 ? a : Op::apply(cpu.state.lazy, a, count); });
  }
};

template <template <class, FlagStyle> class Op>
Handler select_shift(const Instruction& insn) {
  const Row& r = row_of(insn);
  const unsigned bytes = operand_bytes(insn, r.operands[0]);
  switch (r.operands[1].addressing) {
    case Addressing::kI:
      return by_size<Op, ShiftImmediate>(insn, bytes);
    case Addressing::kOne:
      return by_size<Op, ShiftOne>(insn, bytes);
    default:
      return by_size<Op, ShiftCl>(insn, bytes);
  }
}

/// The 8086 shifts as often as CL says, bit by bit.
template <class T, class Op>
struct ShiftFullCount {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    return modify_rm<T>(cpu, insn, [&](T a) {
      for (unsigned left = get_register<u8>(cpu, kRcx); left != 0; --left) {
        a = Op::apply(cpu.state.lazy, a, 1);
      }
      return a;
    });
  }
};
template <template <class, FlagStyle> class Op>
Handler full_count(const Instruction& insn) {
  // Such a processor is never translated, so the host does not matter.
  return insn.opcode & 1 ? ShiftFullCount<u16, Op<u16, FlagStyle::kIntel>>::handler
                         : ShiftFullCount<u8, Op<u8, FlagStyle::kIntel>>::handler;
}

// SHLD, SHRD. For 16-bit operands with counts above 16 the manual leaves everything undefined.
// Bits of the destination are shifted in after those of the source on Intel processors, and the
// source once more on AMD's, which clear CF. Their SHLD leaves OF = CF from a count of 16 on.
template <class T, FlagStyle S>
struct ShldOp {
  static T apply(LazyFlags& f, T a, T b, unsigned count) {
    const unsigned w = kWidth<T>;
    constexpr bool kAgain = S == FlagStyle::kAmd;
    T r;
    bool cf;
    if (count <= w) {
      r = count == w ? b : static_cast<T>(a << count | b >> (w - count));
      cf = (a >> (w - count)) & 1;
    } else {  // 16-bit only
      const unsigned n = count - w;
      r = static_cast<T>(b << n | (kAgain ? b : a) >> (w - n));
      cf = !kAgain && ((b >> (w - n)) & 1);
    }
    const bool last_of = (count < w && top(r, w)) != cf;
    set_flags_shift<S, T>(f, r, cf, one_step<S>(top_bits_differ(a, w), last_of));
    return r;
  }
};
template <class T, FlagStyle S>
struct ShrdOp {
  static T apply(LazyFlags& f, T a, T b, unsigned count) {
    const unsigned w = kWidth<T>;
    constexpr bool kAgain = S == FlagStyle::kAmd;
    T r;
    bool cf;
    if (count <= w) {
      r = count == w ? b : static_cast<T>(a >> count | b << (w - count));
      cf = (a >> (count - 1)) & 1;
    } else {
      const unsigned n = count - w;
      r = static_cast<T>(b >> n | (kAgain ? b : a) << (w - n));
      cf = !kAgain && ((b >> (n - 1)) & 1);
    }
    const bool first_of = top(a, w) != ((b & 1) != 0);
    set_flags_shift<S, T>(f, r, cf, one_step<S>(first_of, top_bits_differ(r, w)));
    return r;
  }
};

template <class T, class Op>
struct DoubleShift {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    const bool immediate = row_of(insn).operands[2].addressing == Addressing::kI;
    const unsigned count = masked<T>(immediate ? insn.immediate : cpu.state.regs[kRcx]);
    const T source = get_register<T>(cpu, insn.reg);
    return modify_rm<T>(cpu, insn, [&](T a) {
      return count == 0 ? a : Op::apply(cpu.state.lazy, a, source, count);
    });
  }
};

template <class T, FlagStyle S>
using ShldHandler = DoubleShift<T, ShldOp<T, S>>;
template <class T, FlagStyle S>
using ShrdHandler = DoubleShift<T, ShrdOp<T, S>>;

// --- BMI2: no flags ------------------------------------------------------------------------------

template <class T>
struct RorxHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T a;
    if (!read_rm<T>(cpu, insn, a)) return false;
    set_register<T>(cpu, insn.reg, std::rotr(a, static_cast<int>(masked<T>(insn.immediate))));
    return true;
  }
};
template <class T>
struct SarxHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T a;
    if (!read_rm<T>(cpu, insn, a)) return false;
    using S = std::make_signed_t<T>;
    set_register<T>(cpu, insn.reg,
                    static_cast<T>(static_cast<S>(a) >> masked<T>(cpu.state.regs[insn.vvvv])));
    return true;
  }
};
template <class T>
struct ShlxHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T a;
    if (!read_rm<T>(cpu, insn, a)) return false;
    set_register<T>(cpu, insn.reg, static_cast<T>(a << masked<T>(cpu.state.regs[insn.vvvv])));
    return true;
  }
};
template <class T>
struct ShrxHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T a;
    if (!read_rm<T>(cpu, insn, a)) return false;
    set_register<T>(cpu, insn.reg, static_cast<T>(a >> masked<T>(cpu.state.regs[insn.vvvv])));
    return true;
  }
};

template <template <class> class Make>
Handler select_bmi(const Instruction& insn) {
  return insn.operand_size == 8 ? Make<u64>::handler : Make<u32>::handler;
}

}  // namespace

Handler select_full_count_shift(const Instruction& insn) {
  if ((insn.opcode & 0xfe) != 0xd2) return nullptr;
  switch ((insn.modrm >> 3) & 7) {
    case 0:
      return full_count<RolOp>(insn);
    case 1:
      return full_count<RorOp>(insn);
    case 2:
      return full_count<RclOp>(insn);
    case 3:
      return full_count<RcrOp>(insn);
    case 5:
      return full_count<ShrOp>(insn);
    case 7:
      return full_count<SarOp>(insn);
    default:
      return full_count<ShlOp>(insn);
  }
}
Handler select_Rol(const Instruction& insn) { return select_shift<RolOp>(insn); }
Handler select_Ror(const Instruction& insn) { return select_shift<RorOp>(insn); }
Handler select_Rcl(const Instruction& insn) { return select_shift<RclOp>(insn); }
Handler select_Rcr(const Instruction& insn) { return select_shift<RcrOp>(insn); }
Handler select_Shl(const Instruction& insn) { return select_shift<ShlOp>(insn); }
Handler select_Shr(const Instruction& insn) { return select_shift<ShrOp>(insn); }
Handler select_Sar(const Instruction& insn) { return select_shift<SarOp>(insn); }
Handler select_Shld(const Instruction& insn) { return by_operand<ShldHandler>(insn, 0); }
Handler select_Shrd(const Instruction& insn) { return by_operand<ShrdHandler>(insn, 0); }
Handler select_Rorx(const Instruction& insn) { return select_bmi<RorxHandler>(insn); }
Handler select_Sarx(const Instruction& insn) { return select_bmi<SarxHandler>(insn); }
Handler select_Shlx(const Instruction& insn) { return select_bmi<ShlxHandler>(insn); }
Handler select_Shrx(const Instruction& insn) { return select_bmi<ShrxHandler>(insn); }

}  // namespace dragoman
