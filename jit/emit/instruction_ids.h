// Which guest instructions are emitted verbatim, and as which host instruction.
#pragma once

#include <asmjit/asmjit.h>

#include "cpu/decode/instruction.h"

namespace dragoman {

/// The asmjit instruction for a row the emitter copies, or 0 for rows the interpreter executes.
asmjit::InstId host_instruction_id(const Instruction& insn);

}  // namespace dragoman
