// What processors before the 486 do differently (CpuModel::quirks), chosen when a block is built.
#pragma once

#include "cpu/cpu.h"

namespace dragoman {

/// The handler that replaces today's for `insn` on the CPU model at hand, or null for none.
Handler select_early_handler(const Cpu& cpu, const Instruction& insn);

/// Shift or rotate by all eight bits of CL; null for other instructions. In shift.cpp.
Handler select_full_count_shift(const Instruction& insn);

}  // namespace dragoman
