// What one instruction needs of the translator.
#pragma once

#include "jit/plan.h"

namespace dragoman {

PlannedInstruction plan_instruction(const Cpu& cpu, const Instruction& insn, u64 next_rip,
                                    const TranslatorOptions& options);

/// Flags wanted before an instruction, given those wanted after it.
u32 flags_before(const PlannedInstruction& planned, u32 live_after);

// --- Rows of category kVector (vectors.cpp)
/// The emitter can run this instruction on host registers.
bool vector_emitted(const Cpu& cpu, const Instruction& insn, const TranslatorOptions& options);
void plan_vector(const Instruction& insn, PlannedInstruction& planned);
u32 vector_general_registers_written(const Instruction& insn);
/// What a vector instruction asks of its region.
void note_vectors(const Instruction& insn, RegionPlan& region);

// --- x87 (x87.cpp)
/// x87 and MMX instructions can run on the host's registers: no exception is unmasked or pending.
bool x87_usable(const Cpu& cpu, const TranslatorOptions& options);
bool x87_emitted(const Cpu& cpu, const Instruction& insn);
void plan_x87(const Instruction& insn, PlannedInstruction& planned);

}  // namespace dragoman
