// Which guest register lives where in generated code.
//
// rax rcx rdx rbx rbp rsi rdi r8..r12 of the guest are the host's own; guest rsp is host r13; guest
// r13..r15 stay in TranslatorFrame::high. Host rsp points at the frame, below it is the stack for
// calls into C++; host r14 and r15 are scratch.
#pragma once

#include "cpu/decode/instruction.h"

namespace dragoman {

/// The guest register has a host register of its own.
constexpr bool pinned(unsigned gpr) { return gpr <= kR12; }

/// Host register number of a pinned guest register.
constexpr unsigned host_number(unsigned gpr) { return gpr == kRsp ? 13 : gpr; }

}  // namespace dragoman
