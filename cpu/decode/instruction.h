// A decoded instruction: what the interpreter executes, the disassembler prints and the
// translator reads. There is no other intermediate representation.
#pragma once

#include "base/types.h"

namespace dragoman {

class Cpu;
struct Instruction;

/// Executes one instruction; RIP already points behind it. Returns true to go on with the next
/// instruction of the block, false to leave the block: either a fault is pending in the Cpu, or
/// control flow or a mode may have changed.
using Handler = bool (*)(Cpu& cpu, const Instruction& insn);

/// Register numbers as instructions encode them.
enum Gpr : u8 {
  kRax,
  kRcx,
  kRdx,
  kRbx,
  kRsp,
  kRbp,
  kRsi,
  kRdi,
  kR8,
  kR9,
  kR10,
  kR11,
  kR12,
  kR13,
  kR14,
  kR15,
  kZeroRegister,  ///< reads as zero: "no base", "no index"
  kRip,           ///< RIP-relative base; holds the address of the next instruction
};

/// Segment register numbers as instructions encode them, then the system segments.
enum SegmentRegister : u8 { kEs, kCs, kSs, kDs, kFs, kGs, kLdtr, kTr, kSegmentCount };

/// Byte operands: registers 0..15 are the low bytes, 16..19 are AH, CH, DH, BH.
inline constexpr u8 kHighByte = 16;

/// Prefix and form bits of a decoded instruction.
enum InstructionFlag : u16 {
  kInsnMemory = 1 << 0,  ///< the E/M/Q/W operand is in memory
  kInsnLock = 1 << 1,
  kInsnRep = 1 << 2,    ///< F3 as repeat prefix (not as mandatory prefix)
  kInsnRepne = 1 << 3,  ///< F2 as repeat prefix (not as mandatory prefix)
  kInsnRex = 1 << 4,    ///< a REX prefix is in effect
  kInsnRexW = 1 << 5,   ///< REX.W or VEX.W
  kInsnVex = 1 << 6,
  kInsnVexL = 1 << 7,  ///< 256-bit
  kInsnSegmentOverride = 1 << 8,
  kInsnOperandSizePrefix = 1 << 9,  ///< 66h present in any role
  kInsnModrm = 1 << 10,             ///< has a ModRM byte
};

struct Instruction {
  Handler handler = nullptr;
  u64 immediate = 0;  ///< sign-extended as the row says; branch displacement; moffs address
  i32 displacement = 0;
  union {
    u32 immediate2 = 0;  ///< selector of a far pointer, nesting level of ENTER
    /// Of a vector instruction: HostFpu's number for what runs it, found at its first use.
    mutable u32 vector_stub;
  };
  u16 row = 0;          ///< index into the row table (cpu/isa/rows.h)
  u16 flags = 0;        ///< InstructionFlag bits
  u8 length = 0;        ///< bytes, 1..15
  u8 operand_size = 0;  ///< effective operand size in bytes: 2, 4, 8 ("v"), defaults applied
  u8 address_size = 0;  ///< 2, 4, 8
  u8 segment = 0;       ///< segment of the memory operand, overrides and defaults applied
  u8 base = kZeroRegister;
  u8 index = kZeroRegister;  ///< for VSIB the vector register number 0..15
  u8 scale = 0;              ///< shift count of the index, 0..3
  u8 reg = 0;                ///< ModRM.reg with REX.R, or the opcode's register with REX.B; byte
                             ///< registers already in the kHighByte numbering
  u8 rm = 0;                 ///< ModRM.rm with REX.B when a register, byte numbering likewise
  u8 vvvv = 0;               ///< VEX.vvvv, or the register in immediate bits 7:4 is in immediate
  u8 opcode = 0;             ///< last opcode byte
  u8 modrm = 0;

  /// Effective address mask of the address size.
  u64 address_mask() const { return ~u64{0} >> (64 - 8 * address_size); }
  bool has(InstructionFlag flag) const { return (flags & flag) != 0; }
  bool memory() const { return has(kInsnMemory); }
};
static_assert(sizeof(Instruction) <= 40);

/// The mode bits that change what bytes mean.
struct DecodeMode {
  u8 code_bits = 16;  ///< 16, 32 or 64: CS.D and CS.L with EFER.LMA
  constexpr bool operator==(const DecodeMode&) const = default;
};

}  // namespace dragoman
