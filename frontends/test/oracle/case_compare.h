// What counts as a difference between the host processor and an engine, and how it is told.
#pragma once

#include <string>

#include "cpu/decode/instruction.h"
#include "frontends/test/oracle/cpu_case.h"

namespace dragoman {

/// Parts of an outcome, as bits.
enum OutcomePart : u32 {
  kPartFault = 1 << 0,      ///< another exception, or only one side has one
  kPartErrorCode = 1 << 1,  ///< or CR2
  kPartRip = 1 << 2,
  kPartRegisters = 1 << 3,
  kPartFlags = 1 << 4,
  kPartSegments = 1 << 5,
  kPartX87 = 1 << 6,
  kPartMxcsr = 1 << 7,
  kPartVector = 1 << 8,
  kPartMemory = 1 << 9,
  kPartUnfinished = 1 << 10,  ///< never left the instruction
};
/// "registers, flags".
std::string outcome_parts(u32 parts);

struct OutcomeDifference {
  u32 parts = 0;                  ///< wrong
  u32 undefined_flags = 0;        ///< flags that differ where the manual leaves them undefined
  bool undefined_result = false;  ///< likewise the destination
  /// Both processors are right: why. Null when nothing differed in such a way.
  const char* explained = nullptr;
};

/// Compares all registers, flags, segments, x87 and vector state, memory and the fault.
/// `compare_undefined`: also what SDM vol. 2 leaves undefined for this instruction (by its row, the
/// shift count and the operand size).
OutcomeDifference compare_outcomes(const CpuCase& test, const CpuOutcome& host,
                                   const CpuOutcome& guest, bool compare_undefined);

/// The instruction in words with its bytes and mode.
std::string describe_instruction(const CpuCase& test);
/// Everything the case begins with that is not zero or a default, then what differs, side by side.
std::string describe_difference(const CpuCase& test, const CpuOutcome& host,
                                const CpuOutcome& guest, u32 parts);

/// Flags the instruction leaves undefined in this case.
u32 undefined_flags_of(const CpuCase& test, const Instruction& insn);

}  // namespace dragoman
