// Bit test and scan, BMI1/2 bit manipulation, CRC32, BSWAP, MOVBE, RDRAND, RDSEED.
#include "cpu/execute/dispatch.h"
#include "cpu/execute/forms.h"

namespace dragoman {
namespace {

enum class BitOp : u8 { kTest, kSet, kReset, kComplement };

template <class T>
T changed_bit(BitOp op, T value, T mask) {
  switch (op) {
    case BitOp::kSet:
      return value | mask;
    case BitOp::kReset:
      return static_cast<T>(value & ~mask);
    case BitOp::kComplement:
      return value ^ mask;
    default:
      return value;
  }
}

/// BT, BTS, BTR, BTC. With a register bit offset and a memory operand, the offset reaches beyond
/// the operand (SDM vol. 2, BT). Only CF is defined; the other flags are left unchanged.
template <class T, BitOp Op>
bool bit_test(Cpu& cpu, const Instruction& insn) {
  const bool immediate = row_of(insn).operands[1].addressing == Addressing::kI;
  const T index = immediate ? static_cast<T>(insn.immediate) : get_register<T>(cpu, insn.reg);
  const T mask = static_cast<T>(T{1} << (index & (8 * sizeof(T) - 1)));
  const auto finish = [&](T value) { set_cf(cpu.state.lazy, (value & mask) != 0); };
  if (!insn.memory()) {
    const T value = get_register<T>(cpu, insn.rm);
    if constexpr (Op != BitOp::kTest) {
      set_register<T>(cpu, insn.rm, changed_bit<T>(Op, value, mask));
    }
    finish(value);
    return true;
  }
  u64 offset = effective_address(cpu, insn);
  if (!immediate) {
    const i64 element = static_cast<std::make_signed_t<T>>(index) >> (sizeof(T) == 8   ? 6
                                                                      : sizeof(T) == 4 ? 5
                                                                                       : 4);
    offset = (offset + static_cast<u64>(element) * sizeof(T)) & insn.address_mask();
  }
  if constexpr (Op == BitOp::kTest) {
    T value;
    if (!cpu.read<T>(insn.segment, offset, value)) return false;
    finish(value);
  } else {
    Cpu::Modify<T> m;
    if (!cpu.begin_modify<T>(insn.segment, offset, m)) return false;
    cpu.end_modify<T>(m, changed_bit<T>(Op, m.value, mask));
    finish(m.value);
  }
  return true;
}

template <BitOp Op>
Handler select_bit_test(const Instruction& insn) {
  switch (insn.operand_size) {
    case 2:
      return bit_test<u16, Op>;
    case 4:
      return bit_test<u32, Op>;
    default:
      return bit_test<u64, Op>;
  }
}

/// ZF tells whether the source of BSF or BSR was zero. The other flags are undefined by the manual;
/// processors leave them alone, or take PF from the bit number (from zero without one) and clear
/// the rest.
void set_flags_scan(LazyFlags& f, bool found, unsigned number) {
  if (kHostScanKeepsFlags) {
    set_arithmetic_flags(f, (arithmetic_flags(f) & ~u32{kFlagZf}) | (found ? 0 : u32{kFlagZf}));
    return;
  }
  f.result = found ? 0x100 | number : 0;
  f.carries = 0;
  f.flip = 0;
}

/// BMI1 and BMI2: ZF and SF from the result, CF as given, OF = 0. PF and AF are undefined.
template <FlagStyle S, class T>
void set_flags_bmi(LazyFlags& f, T result, bool cf) {
  if constexpr (S == FlagStyle::kAmd) {
    set_flags_logic<T>(f, result);
  } else {
    f.result = u64{result != 0} << 8;
    f.flip = (sign_extended(result) & bit(63)) | 1;  // odd parity
    f.carries = 0;
  }
  set_cf_of(f, cf, false);
}
/// BEXTR: SF is undefined as well, and clear.
template <FlagStyle S, class T>
void set_flags_extract(LazyFlags& f, T result) {
  constexpr bool kAmd = S == FlagStyle::kAmd;
  f.result = result != 0 ? 0x100 | (kAmd ? static_cast<u8>(result) : 1) : 0;
  f.flip = !kAmd && result == 0 ? 1 : 0;
  f.carries = kAmd ? 8 : 0;
}
/// TZCNT and LZCNT: ZF from the count, CF = "the source was zero", the others are undefined.
template <FlagStyle S, class T>
void set_flags_count(LazyFlags& f, T count, bool none) {
  const bool of = S == FlagStyle::kAmd && flag_of(f);
  set_arithmetic_flags(f, count == 0 ? u32{kFlagZf} : 0);
  set_cf_of(f, none, of);
}

// BSF and BSR with a zero source leave the destination unchanged (AMD documents it, Intel's
// processors do it), the upper half of a 32-bit one included.
template <class T>
struct BsfHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T a;
    if (!read_rm<T>(cpu, insn, a)) return false;
    const unsigned number = static_cast<unsigned>(std::countr_zero(a));
    set_flags_scan(cpu.state.lazy, a != 0, number);
    if (a != 0) set_register<T>(cpu, insn.reg, static_cast<T>(number));
    return true;
  }
};
template <class T>
struct BsrHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T a;
    if (!read_rm<T>(cpu, insn, a)) return false;
    const unsigned number = 8 * sizeof(T) - 1 - static_cast<unsigned>(std::countl_zero(a));
    set_flags_scan(cpu.state.lazy, a != 0, number);
    if (a != 0) set_register<T>(cpu, insn.reg, static_cast<T>(number));
    return true;
  }
};
template <class T, FlagStyle S>
struct TzcntHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T a;
    if (!read_rm<T>(cpu, insn, a)) return false;
    const T count = static_cast<T>(std::countr_zero(a));
    set_register<T>(cpu, insn.reg, count);
    set_flags_count<S, T>(cpu.state.lazy, count, a == 0);
    return true;
  }
};
template <class T, FlagStyle S>
struct LzcntHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T a;
    if (!read_rm<T>(cpu, insn, a)) return false;
    const T count = static_cast<T>(std::countl_zero(a));
    set_register<T>(cpu, insn.reg, count);
    set_flags_count<S, T>(cpu.state.lazy, count, a == 0);
    return true;
  }
};
template <class T>
struct PopcntHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T a;
    if (!read_rm<T>(cpu, insn, a)) return false;
    set_register<T>(cpu, insn.reg, static_cast<T>(std::popcount(a)));
    set_arithmetic_flags(cpu.state.lazy, a == 0 ? u32{kFlagZf} : 0);
    return true;
  }
};

// --- BMI1, BMI2 ----------------------------------------------------------------------------------

template <class T, FlagStyle S>
struct AndnHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T a;
    if (!read_rm<T>(cpu, insn, a)) return false;
    const T r = static_cast<T>(~get_register<T>(cpu, insn.vvvv) & a);
    set_register<T>(cpu, insn.reg, r);
    set_flags_bmi<S, T>(cpu.state.lazy, r, false);
    return true;
  }
};
template <class T, FlagStyle S>
struct BextrHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T a;
    if (!read_rm<T>(cpu, insn, a)) return false;
    const u64 control = cpu.state.regs[insn.vvvv];
    const unsigned start = control & 0xff;
    const unsigned length = (control >> 8) & 0xff;
    T r = start < 8 * sizeof(T) ? static_cast<T>(a >> start) : T{0};
    if (length < 8 * sizeof(T)) r &= static_cast<T>((T{1} << length) - 1);
    set_register<T>(cpu, insn.reg, r);
    set_flags_extract<S, T>(cpu.state.lazy, r);
    return true;
  }
};
template <class T, FlagStyle S>
struct BlsiHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T a;
    if (!read_rm<T>(cpu, insn, a)) return false;
    const T r = static_cast<T>(a & (0 - a));
    set_register<T>(cpu, insn.vvvv, r);
    set_flags_bmi<S, T>(cpu.state.lazy, r, a != 0);
    return true;
  }
};
template <class T, FlagStyle S>
struct BlsmskHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T a;
    if (!read_rm<T>(cpu, insn, a)) return false;
    const T r = static_cast<T>(a ^ (a - 1));
    set_register<T>(cpu, insn.vvvv, r);
    set_flags_bmi<S, T>(cpu.state.lazy, r, a == 0);
    return true;
  }
};
template <class T, FlagStyle S>
struct BlsrHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T a;
    if (!read_rm<T>(cpu, insn, a)) return false;
    const T r = static_cast<T>(a & (a - 1));
    set_register<T>(cpu, insn.vvvv, r);
    set_flags_bmi<S, T>(cpu.state.lazy, r, a == 0);
    return true;
  }
};
template <class T, FlagStyle S>
struct BzhiHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T a;
    if (!read_rm<T>(cpu, insn, a)) return false;
    const unsigned n = cpu.state.regs[insn.vvvv] & 0xff;
    const bool beyond = n >= 8 * sizeof(T);
    const T r = beyond ? a : static_cast<T>(a & ((T{1} << n) - 1));
    set_register<T>(cpu, insn.reg, r);
    set_flags_bmi<S, T>(cpu.state.lazy, r, beyond);
    return true;
  }
};
template <class T>
struct PdepHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T mask;
    if (!read_rm<T>(cpu, insn, mask)) return false;
    T source = get_register<T>(cpu, insn.vvvv);
    T r = 0;
    for (; mask != 0; mask &= static_cast<T>(mask - 1), source >>= 1) {
      if (source & 1) r |= static_cast<T>(mask & (0 - mask));
    }
    set_register<T>(cpu, insn.reg, r);
    return true;
  }
};
template <class T>
struct PextHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T mask;
    if (!read_rm<T>(cpu, insn, mask)) return false;
    const T source = get_register<T>(cpu, insn.vvvv);
    T r = 0;
    for (unsigned i = 0; mask != 0; mask &= static_cast<T>(mask - 1), ++i) {
      if (source & mask & (0 - mask)) r |= static_cast<T>(T{1} << i);
    }
    set_register<T>(cpu, insn.reg, r);
    return true;
  }
};

template <template <class> class Make>
Handler select_bmi(const Instruction& insn) {
  return insn.operand_size == 8 ? Make<u64>::handler : Make<u32>::handler;
}
template <template <class, FlagStyle> class Make>
Handler select_bmi(const Instruction& insn) {
  return with_host_flags(
      [&](auto style) { return select_bmi<Styled<Make, style>::template Of>(insn); });
}

// --- CRC32, byte order, random numbers
// -------------------------------------------------------------

/// CRC-32C (polynomial 11EDC6F41h), bit-reflected, without final inversion.
template <class T>
struct Crc32Handler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T a;
    if (!read_rm<T>(cpu, insn, a)) return false;
    u32 crc = static_cast<u32>(cpu.state.regs[insn.reg]);
    for (unsigned i = 0; i < sizeof(T); ++i) {
      crc ^= static_cast<u8>(a >> (8 * i));
      for (unsigned k = 0; k < 8; ++k) crc = crc >> 1 ^ (0x82f63b78 & (0 - (crc & 1)));
    }
    cpu.state.regs[insn.reg] = crc;
    return true;
  }
};

template <class T>
T byte_swapped(T value) {
  if constexpr (sizeof(T) == 2) return __builtin_bswap16(value);
  if constexpr (sizeof(T) == 4) return __builtin_bswap32(value);
  if constexpr (sizeof(T) == 8) return __builtin_bswap64(value);
}

/// BSWAP of a 16-bit register is undefined by the manual; it gives zero, as processors do.
template <class T>
struct BswapHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    const T value = get_register<T>(cpu, insn.reg);
    set_register<T>(cpu, insn.reg, sizeof(T) == 2 ? T{0} : byte_swapped<T>(value));
    return true;
  }
};
template <class T>
struct MovbeHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    const u64 offset = effective_address(cpu, insn);
    if (row_of(insn).operands[0].addressing != Addressing::kG) {
      return cpu.write<T>(insn.segment, offset, byte_swapped<T>(get_register<T>(cpu, insn.reg)));
    }
    T value;
    if (!cpu.read<T>(insn.segment, offset, value)) return false;
    set_register<T>(cpu, insn.reg, byte_swapped<T>(value));
    return true;
  }
};
template <class T>
struct RandomHandler {
  static bool handler(Cpu& cpu, const Instruction& insn) {
    T value = 0;
    if (cpu.wiring().random_bytes) {
      cpu.wiring().random_bytes({reinterpret_cast<u8*>(&value), sizeof(T)});
    }
    set_register<T>(cpu, insn.rm, value);
    // CF = 1: a number was available. OF, SF, ZF, AF, PF are cleared.
    set_arithmetic_flags(cpu.state.lazy, kFlagCf);
    return true;
  }
};

}  // namespace

Handler select_Bt(const Instruction& insn) { return select_bit_test<BitOp::kTest>(insn); }
Handler select_Bts(const Instruction& insn) { return select_bit_test<BitOp::kSet>(insn); }
Handler select_Btr(const Instruction& insn) { return select_bit_test<BitOp::kReset>(insn); }
Handler select_Btc(const Instruction& insn) { return select_bit_test<BitOp::kComplement>(insn); }
Handler select_Bsf(const Instruction& insn) { return by_operand<BsfHandler>(insn, 0); }
Handler select_Bsr(const Instruction& insn) { return by_operand<BsrHandler>(insn, 0); }
Handler select_Tzcnt(const Instruction& insn) { return by_operand<TzcntHandler>(insn, 0); }
Handler select_Lzcnt(const Instruction& insn) { return by_operand<LzcntHandler>(insn, 0); }
Handler select_Popcnt(const Instruction& insn) { return by_operand<PopcntHandler>(insn, 0); }
Handler select_Andn(const Instruction& insn) { return select_bmi<AndnHandler>(insn); }
Handler select_Bextr(const Instruction& insn) { return select_bmi<BextrHandler>(insn); }
Handler select_Blsi(const Instruction& insn) { return select_bmi<BlsiHandler>(insn); }
Handler select_Blsmsk(const Instruction& insn) { return select_bmi<BlsmskHandler>(insn); }
Handler select_Blsr(const Instruction& insn) { return select_bmi<BlsrHandler>(insn); }
Handler select_Bzhi(const Instruction& insn) { return select_bmi<BzhiHandler>(insn); }
Handler select_Pdep(const Instruction& insn) { return select_bmi<PdepHandler>(insn); }
Handler select_Pext(const Instruction& insn) { return select_bmi<PextHandler>(insn); }
Handler select_Crc32(const Instruction& insn) { return by_operand_or_byte<Crc32Handler>(insn, 1); }
Handler select_Bswap(const Instruction& insn) { return by_operand_size<BswapHandler>(insn); }
Handler select_Movbe(const Instruction& insn) { return by_operand_size<MovbeHandler>(insn); }
Handler select_Rdrand(const Instruction& insn) { return by_operand_size<RandomHandler>(insn); }
Handler select_Rdseed(const Instruction& insn) { return by_operand_size<RandomHandler>(insn); }

}  // namespace dragoman
