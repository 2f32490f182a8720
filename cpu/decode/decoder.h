// From instruction bytes to Instruction, by the rows of cpu/isa.
#pragma once

#include <span>

#include "cpu/decode/instruction.h"
#include "cpu/isa/feature_set.h"

namespace dragoman {

/// An instruction of more than 15 bytes raises #GP(0) (SDM vol. 3, 6.15).
inline constexpr unsigned kMaxInstructionLength = 15;

enum class DecodeResult : u8 {
  kOk,
  kNeedMoreBytes,  ///< fewer than 15 bytes were given and they end inside the instruction
  kTooLong,        ///< longer than 15 bytes: #GP(0)
  kInvalid,        ///< #UD; the output is row 0 with the length of what was looked at
};

/// Decodes the instruction at the start of `bytes` and fills every field of `out` but `handler`,
/// which becomes null. `features` decides between old and new meanings of one encoding (BSR and
/// LZCNT, BSF and TZCNT); an encoding whose features are all missing is invalid.
///
/// The decoder looks at bytes and code size only: VEX rows in real mode, privilege and the like are
/// checked at execution through row attributes. Near branches take 64-bit operands in 64-bit mode
/// whatever 66h says, as on Intel processors (AMD truncates to 16 bits).
DecodeResult decode(std::span<const u8> bytes, DecodeMode mode, Instruction& out,
                    const FeatureSet& features = FeatureSet::all());

}  // namespace dragoman
