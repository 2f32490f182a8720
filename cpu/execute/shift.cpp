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

// OF for counts other than 1 is undefined by the manual; on Intel processors it is what the first
// step gives. ROL and ROR of a register by an immediate other than 1 leave it alone. AF is
// undefined after shifts; it is cleared.

template <class T>
struct ShlOp {
  static constexpr bool kImmediateKeepsOf = false;
  static T apply(LazyFlags& f, T a, unsigned count) {
    const unsigned w = kWidth<T>;
    const T r = count < w ? static_cast<T>(a << count) : T{0};
    const bool cf = count <= w && ((a >> (w - count)) & 1);
    set_flags_logic<T>(f, r);
    set_cf_of(f, cf, top_bits_differ(a, w));
    return r;
  }
};
template <class T>
struct ShrOp {
  static constexpr bool kImmediateKeepsOf = false;
  static T apply(LazyFlags& f, T a, unsigned count) {
    const unsigned w = kWidth<T>;
    const T r = count < w ? static_cast<T>(a >> count) : T{0};
    const bool cf = count <= w && ((a >> (count - 1)) & 1);
    set_flags_logic<T>(f, r);
    set_cf_of(f, cf, top(a, w));
    return r;
  }
};
template <class T>
struct SarOp {
  static constexpr bool kImmediateKeepsOf = false;
  static T apply(LazyFlags& f, T a, unsigned count) {
    using S = std::make_signed_t<T>;
    const unsigned w = kWidth<T>;
    const unsigned steps = count < w ? count : w - 1;
    const T r = static_cast<T>(static_cast<S>(a) >> steps);
    const bool cf = (static_cast<S>(a) >> (count - 1 < w ? count - 1 : w - 1)) & 1;
    set_flags_logic<T>(f, r);
    set_cf_of(f, cf, false);
    return r;
  }
};
// Rotates change only CF and OF.
template <class T>
struct RolOp {
  static constexpr bool kImmediateKeepsOf = true;
  static T apply(LazyFlags& f, T a, unsigned count) {
    const unsigned w = kWidth<T>;
    const unsigned n = count % w;
    const T r = n == 0 ? a : static_cast<T>(a << n | a >> (w - n));
    set_cf_of(f, r & 1, top_bits_differ(a, w));
    return r;
  }
};
template <class T>
struct RorOp {
  static constexpr bool kImmediateKeepsOf = true;
  static T apply(LazyFlags& f, T a, unsigned count) {
    const unsigned w = kWidth<T>;
    const unsigned n = count % w;
    const T r = n == 0 ? a : static_cast<T>(a >> n | a << (w - n));
    set_cf_of(f, top(r, w), top(a, w) != ((a & 1) != 0));
    return r;
  }
};
// A count that comes back to the start, such as 9 for a byte, changes neither CF nor OF.
template <class T>
struct RclOp {
  static constexpr bool kImmediateKeepsOf = false;
  static T apply(LazyFlags& f, T a, unsigned count) {
    const unsigned w = kWidth<T>;
    const unsigned n = count % (w + 1);
    if (n == 0) return a;
    const u64 carry = flag_cf(f);
    const u64 wide = a;
    u64 r = (n < w ? wide << n : 0) | carry << (n - 1);
    if (n > 1) r |= wide >> (w + 1 - n);
    const bool cf = (wide >> (w - n)) & 1;
    set_cf_of(f, cf, top_bits_differ(a, w));
    return static_cast<T>(r);
  }
};
template <class T>
struct RcrOp {
  static constexpr bool kImmediateKeepsOf = false;
  static T apply(LazyFlags& f, T a, unsigned count) {
    const unsigned w = kWidth<T>;
    const unsigned n = count % (w + 1);
    if (n == 0) return a;
    const bool carry = flag_cf(f);
    const u64 wide = a;
    u64 r = (n < w ? wide >> n : 0) | u64{carry} << (w - n);
    if (n > 1) r |= wide << (w + 1 - n);
    set_cf_of(f, (wide >> (n - 1)) & 1, top(a, w) != carry);
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

template <template <class> class Op>
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
template <template <class> class Op>
Handler full_count(const Instruction& insn) {
  return insn.opcode & 1 ? ShiftFullCount<u16, Op<u16>>::handler
                         : ShiftFullCount<u8, Op<u8>>::handler;
}

// SHLD, SHRD. For 16-bit operands with counts above 16 the manual leaves everything undefined;
// here bits of the destination are shifted in after those of the source, as Intel processors do.
template <class T>
struct ShldOp {
  static T apply(LazyFlags& f, T a, T b, unsigned count) {
    const unsigned w = kWidth<T>;
    T r;
    bool cf;
    if (count <= w) {
      r = count == w ? b : static_cast<T>(a << count | b >> (w - count));
      cf = (a >> (w - count)) & 1;
    } else {  // 16-bit only
      const unsigned n = count - w;
      r = static_cast<T>(b << n | a >> (w - n));
      cf = (b >> (w - n)) & 1;
    }
    set_flags_logic<T>(f, r);
    set_cf_of(f, cf, top_bits_differ(a, w));
    return r;
  }
};
template <class T>
struct ShrdOp {
  static T apply(LazyFlags& f, T a, T b, unsigned count) {
    const unsigned w = kWidth<T>;
    T r;
    bool cf;
    if (count <= w) {
      r = count == w ? b : static_cast<T>(a >> count | b << (w - count));
      cf = (a >> (count - 1)) & 1;
    } else {
      const unsigned n = count - w;
      r = static_cast<T>(b >> n | a << (w - n));
      cf = (b >> (n - 1)) & 1;
    }
    set_flags_logic<T>(f, r);
    set_cf_of(f, cf, top(a, w) != ((b & 1) != 0));
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

template <template <class> class Op>
Handler select_double_shift(const Instruction& insn) {
  switch (insn.operand_size) {
    case 2:
      return DoubleShift<u16, Op<u16>>::handler;
    case 4:
      return DoubleShift<u32, Op<u32>>::handler;
    default:
      return DoubleShift<u64, Op<u64>>::handler;
  }
}

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
Handler select_Shld(const Instruction& insn) { return select_double_shift<ShldOp>(insn); }
Handler select_Shrd(const Instruction& insn) { return select_double_shift<ShrdOp>(insn); }
Handler select_Rorx(const Instruction& insn) { return select_bmi<RorxHandler>(insn); }
Handler select_Sarx(const Instruction& insn) { return select_bmi<SarxHandler>(insn); }
Handler select_Shlx(const Instruction& insn) { return select_bmi<ShlxHandler>(insn); }
Handler select_Shrx(const Instruction& insn) { return select_bmi<ShrxHandler>(insn); }

}  // namespace dragoman
