// Which guest register lives where in generated code.
//
// rax rcx rdx rbx rbp rsi rdi r8..r12 of the guest are the host's own; guest rsp and r13..r15 stay
// in CpuState. Host r15 points at CpuState, r13 and r14 are scratch, host rsp is the host's stack.
#pragma once

#include <asmjit/asmjit.h>

#include "cpu/decode/instruction.h"

namespace dragoman {

inline constexpr asmjit::x86::Gp kState = asmjit::x86::r15;
inline constexpr asmjit::x86::Gp kScratch = asmjit::x86::r13;
inline constexpr asmjit::x86::Gp kPointer = asmjit::x86::r14;

/// The guest register has a host register of its own (with the same number).
constexpr bool pinned(unsigned gpr) { return gpr != kRsp && gpr <= kR12; }

inline constexpr u8 kPinned[] = {kRax, kRcx, kRdx, kRbx, kRbp, kRsi,
                                 kRdi, kR8,  kR9,  kR10, kR11, kR12};

}  // namespace dragoman
