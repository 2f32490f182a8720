// Decoding for the CPU model at hand: the rows of cpu/isa describe today's opcode map, and the
// processors before the 486 differ from it (CpuModel::quirks).
#pragma once

#include "cpu/decode/decoder.h"
#include "cpu/model/cpu_model.h"

namespace dragoman {

/// decode() for processors with quirks. An instruction they execute in another way decodes as the
/// one that has the same operands, with `Instruction::opcode` and `modrm` as they are in memory:
/// select_early_handler() tells them apart by those.
DecodeResult decode_early(std::span<const u8> bytes, DecodeMode mode, Instruction& out,
                          const CpuModel& model);

inline DecodeResult decode_for(const CpuModel& model, std::span<const u8> bytes, DecodeMode mode,
                               Instruction& out) {
  if (__builtin_expect(!model.quirks.empty(), 0)) return decode_early(bytes, mode, out, model);
  return decode(bytes, mode, out, model.features);
}

}  // namespace dragoman
