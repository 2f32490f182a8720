// Semantics of the 8086 that differ from today's, and coprocessor escapes without a coprocessor
// (8086 Family User's Manual; 80286 and 80386 Programmer's Reference Manuals, the chapters on
// differences from the processors before).
#include "cpu/execute/early_processors.h"

#include "cpu/events/events.h"
#include "cpu/execute/dispatch.h"
#include "cpu/execute/forms.h"

namespace dragoman {
namespace {

/// Divide errors of the 8086 are interrupts of type 0 after the instruction.
bool divide_trap(Cpu& cpu) {
  (void)software_interrupt(cpu, kVectorDe, SoftwareInterrupt::kIntN);
  return false;
}

bool push_stack_pointer(Cpu& cpu, const Instruction&) {
  return cpu.push<u16>(static_cast<u16>(get_register<u16>(cpu, kRsp) - 2));
}

/// The 80286 has moved SP when the destination of POP turns out to be beyond its segment.
bool pop_memory_286(Cpu& cpu, const Instruction& insn) {
  u16 value;
  return cpu.pop<u16>(value) && write_rm<u16>(cpu, insn, value);
}

/// The 80286 looks first whether all of PUSHA fits; later processors write what does.
bool pusha_286(Cpu& cpu, const Instruction& insn) {
  for (unsigned i = 1; i <= 8; ++i) {
    const u64 offset = (cpu.state.regs[kRsp] - 2 * i) & cpu.stack_mask();
    if (!cpu.probe_write(kSs, offset, 2)) return false;
  }
  return select_Pusha(insn)(cpu, insn);
}

bool pop_code_segment(Cpu& cpu, const Instruction&) {
  u16 selector;
  if (!cpu.pop<u16>(selector)) return false;
  load_segment_real(cpu, kCs, selector);
  cpu.update_mode();
  return false;
}

/// D0 to D3 /6 is no shift on the 8086 but "set minus one"; by CL only if CL is not zero.
template <class T>
bool set_minus_one(Cpu& cpu, const Instruction& insn) {
  if ((insn.opcode & 2) && get_register<u8>(cpu, kRcx) == 0) return true;
  return modify_rm<T>(cpu, insn, [&](T) {
    const T result = static_cast<T>(~T{0});
    set_flags_logic<T>(cpu.state.lazy, result);
    return result;
  });
}

/// AH or DX.
template <class T>
constexpr unsigned kRemainder = sizeof(T) == 1 ? unsigned{kHighByte} : unsigned{kRdx};

template <class T>
bool divide_8086(Cpu& cpu, const Instruction& insn) {
  constexpr unsigned kBits = 8 * sizeof(T);
  T divisor;
  if (!read_rm<T>(cpu, insn, divisor)) return false;
  const u32 dividend = sizeof(T) == 1
                           ? get_register<u16>(cpu, kRax)
                           : u32{get_register<u16>(cpu, kRdx)} << 16 | get_register<u16>(cpu, kRax);
  if (divisor == 0 || dividend >> kBits >= divisor) return divide_trap(cpu);
  const T quotient = static_cast<T>(dividend / divisor);
  const T remainder = static_cast<T>(dividend % divisor);
  set_register<T>(cpu, kRax, quotient);
  set_register<T>(cpu, kRemainder<T>, remainder);
  return true;
}

/// The 8086 divides absolute values: the most negative quotient is an overflow, and a repeat
/// prefix, kept where the sign of the quotient is, turns that sign around.
template <class T>
bool divide_signed_8086(Cpu& cpu, const Instruction& insn) {
  constexpr unsigned kBits = 8 * sizeof(T);
  T divisor;
  if (!read_rm<T>(cpu, insn, divisor)) return false;
  const bool negative_divisor = divisor >> (kBits - 1);
  const u32 raw = sizeof(T) == 1
                      ? get_register<u16>(cpu, kRax)
                      : u32{get_register<u16>(cpu, kRdx)} << 16 | get_register<u16>(cpu, kRax);
  const u32 wide_mask = sizeof(T) == 1 ? 0xffff : 0xffffffff;
  const bool negative = raw >> (2 * kBits - 1);
  const u32 dividend = negative ? (0 - raw) & wide_mask : raw;
  const T magnitude = negative_divisor ? static_cast<T>(0 - divisor) : divisor;
  if (magnitude == 0 || dividend >> kBits >= magnitude) return divide_trap(cpu);
  const T quotient = static_cast<T>(dividend / magnitude);
  const T remainder = static_cast<T>(dividend % magnitude);
  if (quotient >> (kBits - 1)) return divide_trap(cpu);
  const bool repeat = insn.has(kInsnRep) || insn.has(kInsnRepne);
  const bool minus = (negative != negative_divisor) != repeat;
  set_register<T>(cpu, kRax, minus ? static_cast<T>(0 - quotient) : quotient);
  set_register<T>(cpu, kRemainder<T>, negative ? static_cast<T>(0 - remainder) : remainder);
  return true;
}

bool aam_8086(Cpu& cpu, const Instruction& insn) {
  const u8 base = static_cast<u8>(insn.immediate);
  LazyFlags& flags = cpu.state.lazy;
  if (base == 0) {
    set_flags_logic<u8>(flags, 0);
    return divide_trap(cpu);
  }
  const u8 al = get_register<u8>(cpu, kRax);
  set_register<u16>(cpu, kRax, static_cast<u16>((al / base) << 8 | al % base));
  set_flags_logic<u8>(flags, static_cast<u8>(al % base));
  return true;
}

/// AAA and AAS: AL and AH are adjusted each for itself, without a carry between them.
template <int Sign>
bool ascii_adjust_8086(Cpu& cpu, const Instruction&) {
  u8 al = get_register<u8>(cpu, kRax), ah = get_register<u8>(cpu, kHighByte);
  const bool adjust = (al & 15) > 9 || flag_af(cpu.state.lazy);
  if (adjust) {
    al = static_cast<u8>(al + Sign * 6);
    ah = static_cast<u8>(ah + Sign);
  }
  al &= 15;
  set_register<u16>(cpu, kRax, static_cast<u16>(ah << 8 | al));
  set_flags_logic<u8>(cpu.state.lazy, al);
  cpu.state.lazy.carries = adjust ? 8 : 0;
  set_cf_of(cpu.state.lazy, adjust, false);
  return true;
}

/// DAA and DAS: with AF set the upper digit is adjusted from A0h on, not from 9Ah.
template <int Sign>
bool decimal_adjust_8086(Cpu& cpu, const Instruction&) {
  const u8 old = get_register<u8>(cpu, kRax);
  const bool old_af = flag_af(cpu.state.lazy);
  const bool low = (old & 15) > 9 || old_af;
  const bool high = old > (old_af ? 0x9f : 0x99) || flag_cf(cpu.state.lazy);
  const u8 al = static_cast<u8>(old + Sign * ((low ? 6 : 0) + (high ? 0x60 : 0)));
  set_register<u8>(cpu, kRax, al);
  set_flags_logic<u8>(cpu.state.lazy, al);
  cpu.state.lazy.carries = low ? 8 : 0;
  set_cf_of(cpu.state.lazy, high, false);
  return true;
}

/// An escape without a coprocessor: the processor reads the operand for nobody.
bool escape(Cpu& cpu, const Instruction& insn) {
  if (cpu.state.cr0 & (kCr0Em | kCr0Ts)) return cpu.raise(kVectorNm);
  u16 operand;
  return !insn.memory() || cpu.read<u16>(insn.segment, effective_address(cpu, insn), operand);
}
bool wait(Cpu& cpu, const Instruction&) {
  constexpr u64 kBoth = kCr0Mp | kCr0Ts;
  return (cpu.state.cr0 & kBoth) == kBoth ? cpu.raise(kVectorNm) : true;
}

Handler select_todays_shift(const Instruction& insn) {
  switch ((insn.modrm >> 3) & 7) {
    case 0:
      return select_Rol(insn);
    case 1:
      return select_Ror(insn);
    case 2:
      return select_Rcl(insn);
    case 3:
      return select_Rcr(insn);
    case 5:
      return select_Shr(insn);
    case 7:
      return select_Sar(insn);
    default:
      return select_Shl(insn);
  }
}

/// OF after more than one step, which the manual leaves undefined: the 80286 shows that of the last
/// step (captures of the chip), today's processors that of the first.
template <class T>
bool shift_of_last_step(Cpu& cpu, const Instruction& insn) {
  const unsigned count =
      (insn.opcode & 2 ? get_register<u8>(cpu, kRcx) : static_cast<u8>(insn.immediate)) & 31;
  T before = 0, after = 0;
  if (count == 0) return select_todays_shift(insn)(cpu, insn);
  if (!read_rm<T>(cpu, insn, before) || !select_todays_shift(insn)(cpu, insn) ||
      !read_rm<T>(cpu, insn, after)) {
    return false;
  }
  constexpr unsigned kTop = 8 * sizeof(T) - 1;
  const bool top = (after >> kTop) & 1, cf = flag_cf(cpu.state.lazy);
  bool of = top != cf;  // to the left
  switch ((insn.modrm >> 3) & 7) {
    case 1:
    case 3:
      of = top != ((after >> (kTop - 1)) & 1);
      break;
    case 5:
      of = count == 1 && ((before >> kTop) & 1);
      break;
    case 7:
      of = false;
      break;
    default:
      break;
  }
  set_cf_of(cpu.state.lazy, cf, of);
  return true;
}
Handler select_shift_of_last_step(const Instruction& insn) {
  if ((insn.opcode & 0xfe) != 0xc0 && (insn.opcode & 0xfe) != 0xd2) return nullptr;
  if (!(insn.opcode & 1)) return shift_of_last_step<u8>;
  return insn.operand_size == 2 ? shift_of_last_step<u16> : shift_of_last_step<u32>;
}

Handler select_8086_decimal(u8 opcode) {
  switch (opcode) {
    case 0x27:
      return decimal_adjust_8086<1>;
    case 0x2f:
      return decimal_adjust_8086<-1>;
    case 0x37:
      return ascii_adjust_8086<1>;
    case 0x3f:
      return ascii_adjust_8086<-1>;
    default:
      return nullptr;
  }
}

Handler select_8086_division(const Instruction& insn) {
  if (insn.opcode == 0xd4) return aam_8086;
  if ((insn.opcode & 0xfe) != 0xf6) return nullptr;
  const bool wide = insn.opcode & 1;
  switch (insn.reg & 7) {
    case 6:
      return wide ? divide_8086<u16> : divide_8086<u8>;
    case 7:
      return wide ? divide_signed_8086<u16> : divide_signed_8086<u8>;
    default:
      return nullptr;
  }
}

bool pushes_stack_pointer(const Instruction& insn) {
  if (insn.opcode == 0x54) return true;
  return insn.opcode == 0xff && !insn.memory() && insn.rm == kRsp && ((insn.modrm >> 3) & 7) >= 6;
}

}  // namespace

Handler select_early_handler(const Cpu& cpu, const Instruction& insn) {
  const QuirkSet& quirks = cpu.model().quirks;
  // Two-byte instructions keep their second byte as the opcode; none of theirs is meant below.
  const Row& r = row_of(insn);
  if (r.map != OpcodeMap::kOne) return nullptr;
  if (quirks.has(Quirk::kNoCoprocessor) && !cpu.has(Feature::kFpu)) {
    if ((insn.opcode & 0xf8) == 0xd8) return escape;
    if (insn.opcode == 0x9b) return wait;
  }
  if (quirks.has(Quirk::kOpcodes8086)) {
    if (insn.opcode == 0x0f) return pop_code_segment;
    if ((insn.opcode & 0xfc) == 0xd0 && ((insn.modrm >> 3) & 7) == 6) {
      return insn.opcode & 1 ? set_minus_one<u16> : set_minus_one<u8>;
    }
  }
  if (quirks.has(Quirk::kOpcodes286)) {
    if (insn.opcode == 0x60) return pusha_286;
    if (insn.opcode == 0x8f) return pop_memory_286;
  }
  if (quirks.has(Quirk::kPushSpAfter) && pushes_stack_pointer(insn)) return push_stack_pointer;
  if (quirks.has(Quirk::kFullShiftCounts)) {
    if (const Handler handler = select_full_count_shift(insn)) return handler;
  }
  if (quirks.has(Quirk::kOpcodes286) || quirks.has(Quirk::kOpcodes386)) {
    if (const Handler handler = select_shift_of_last_step(insn)) return handler;
  }
  if (quirks.has(Quirk::kDivideAsTrap)) {
    if (const Handler handler = select_8086_division(insn)) return handler;
  }
  if (quirks.has(Quirk::kDecimal8086)) return select_8086_decimal(insn.opcode);
  return nullptr;
}

}  // namespace dragoman
