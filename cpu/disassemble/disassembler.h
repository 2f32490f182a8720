// Prints decoded instructions in Intel syntax, straight from the rows, so that decoder and
// printer cannot disagree.
#pragma once

#include <string>

#include "cpu/decode/instruction.h"

namespace dragoman {

/// Text of `insn` located at `address` (used for branch targets and RIP-relative addresses), such
/// as `lock add dword ptr fs:[rax+rcx*4-0x10], 0x12`. Branch targets and RIP-relative operands are
/// printed as absolute addresses.
std::string disassemble(const Instruction& insn, u64 address, DecodeMode mode);

}  // namespace dragoman
