// What a vector row means for its host stub: which operands are vector registers, general
// registers or memory, what is written, whether MXCSR or RFLAGS take part.
#pragma once

#include "base/types.h"
#include "cpu/isa/row.h"

namespace dragoman {

/// Where an operand's number comes from.
enum class OperandField : u8 { kNone, kReg, kRm };

/// Registers of the instruction as encoded in the stub.
struct VectorPlan {
  bool reg = false, vvvv = false, rm = false;  ///< XMM/YMM operands in ModRM.reg, VEX.vvvv, r/m
  bool fourth = false;                         ///< register in immediate bits 7:4
  bool xmm0 = false;                           ///< XMM0 is an implicit source
  bool reg_written = false, vvvv_written = false, rm_written = false, xmm0_written = false;
  bool mmx_reg = false, mmx_rm = false;  ///< MMX operands in ModRM.reg, r/m
  bool mmx_reg_written = false, mmx_rm_written = false;
  OperandField gpr = OperandField::kNone;  ///< the general register operand
  bool gpr_written = false;
  bool compares_strings = false;  ///< PCMPxSTRx: implicit EAX, EDX, ECX
  bool index_result = false;      ///< PCMPxSTRI: result in ECX
  bool writes_flags = false;
  bool floating_point = false;  ///< may use rounding, DAZ, FTZ or set MXCSR flags
  bool half_result = false;     ///< VCVTPS2PH: knows no flush-to-zero
  bool memory = false, store = false, aligned = false;
  u8 memory_bytes = 0;
  bool immediate = false;

  bool mmx() const { return mmx_reg || mmx_rm; }
  /// Vector registers and memory only: nothing for the caller to do before or after.
  bool simple() const {
    return !mmx() && gpr == OperandField::kNone && !compares_strings && !writes_flags && !fourth &&
           !xmm0;
  }
};

struct Instruction;

/// The plan of an instruction of category kVector. `wide`: W is set and means something.
VectorPlan vector_plan(const Instruction& insn, bool wide);

/// Bytes of a memory operand of the given width.
unsigned operand_bytes(Width width, const Instruction& insn, bool wide);

}  // namespace dragoman
