// Flags and results that the manuals leave undefined, by the vendor of the host processor.
//
// Translated code runs the guest's integer instructions on the host and leaves what the host
// leaves. The interpreter must do the same, or the two engines would differ, so operations with
// something undefined exist once for each vendor. Which one runs is decided when a block is
// decoded.
//
// Found by experiment, on Cascade Lake, Zen 3 and Zen 5; where nothing is said they are alike:
//
//                        Intel                            AMD
//   shifts, SHLD, SHRD   AF = 0, OF of the first step     AF = 1, OF of the last step
//   ROL, ROR, RCL, RCR   OF of the first step;            OF of the last step
//                        by an immediate: shift.cpp
//   16-bit SHLD, SHRD    destination follows the source   source follows itself, CF = 0
//   by more than 16
//   MUL, IMUL            SF, PF of the low half,          SF, ZF, AF, PF unchanged
//                        ZF = AF = 0
//   DIV, IDIV            all unchanged                    SF = ZF = PF = 0, AF = 1,
//                                                         CF, OF unchanged
//   TZCNT, LZCNT         OF = 0                           OF unchanged
//   ANDN, BZHI, BLSx     PF = 0                           PF of the result
//   BEXTR                PF = AF = 0                      PF of the result, AF = 1
//   BSF, BSR             PF of the bit number, the others 0; on Zen 3 all but ZF unchanged
#pragma once

#include <type_traits>

#include "cpu/isa/row.h"

namespace dragoman {

enum class FlagStyle : u8 { kIntel, kAmd };

/// What the processor this program runs on does.
inline const FlagStyle kHostFlagStyle =
    __builtin_cpu_is("amd") ? FlagStyle::kAmd : FlagStyle::kIntel;

/// BSF and BSR leave all flags but ZF alone: found out by asking, since it differs within a family.
inline const bool kHostScanKeepsFlags = [] {
  u64 source = 1, number = 0;
  bool carry = false;
  asm volatile("stc\n\tbsf %2, %1\n\tsetc %b0" : "=q"(carry), "+r"(number) : "r"(source) : "cc");
  return carry;
}();

/// Calls `choose` with the host's style as a compile-time constant.
template <class Choose>
auto with_host_flags(Choose&& choose) {
  if (kHostFlagStyle == FlagStyle::kAmd) {
    return choose(std::integral_constant<FlagStyle, FlagStyle::kAmd>{});
  }
  return choose(std::integral_constant<FlagStyle, FlagStyle::kIntel>{});
}

/// `Make` with its style given: a template of the operand's type alone.
template <template <class, FlagStyle> class Make, FlagStyle S>
struct Styled {
  template <class T>
  using Of = Make<T, S>;
};

}  // namespace dragoman
