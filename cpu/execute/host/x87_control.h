// x87 control instructions: those that manage the state rather than compute (SDM vol. 1, 8.1).
#pragma once

#include "cpu/cpu.h"

namespace dragoman {

bool x87_fnstcw(Cpu& cpu, const Instruction& insn);
bool x87_fldcw(Cpu& cpu, const Instruction& insn);
bool x87_fnstsw_memory(Cpu& cpu, const Instruction& insn);
bool x87_fnstsw_ax(Cpu& cpu, const Instruction& insn);
bool x87_fnclex(Cpu& cpu, const Instruction& insn);
bool x87_fninit(Cpu& cpu, const Instruction& insn);
bool x87_fnstenv(Cpu& cpu, const Instruction& insn);
bool x87_fldenv(Cpu& cpu, const Instruction& insn);
bool x87_fnsave(Cpu& cpu, const Instruction& insn);
bool x87_frstor(Cpu& cpu, const Instruction& insn);
/// FNENI, FNDISI, FNSETPM: 8087 and 80287 instructions without effect since.
bool x87_ignored(Cpu& cpu, const Instruction& insn);

}  // namespace dragoman
