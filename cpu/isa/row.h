// The instruction set as data: what one row says. Notation: SDM vol. 2, appendix A.
#pragma once

#include <array>
#include <string_view>

#include "base/types.h"

namespace dragoman {

/// Operations by the manual's mnemonic; one line each in operations.inc.
enum class Operation : u16 {
#define OPERATION(name, mnemonic, category, flags_read, flags_written, flags_undefined) k##name,
#include "cpu/isa/operations.inc"
#undef OPERATION
  kCount
};

/// Who executes an operation, and how control flow leaves it.
enum class Category : u8 {
  kInteger,    ///< C++ semantics in cpu/execute
  kBranch,     ///< near control flow: ends a block, no mode change
  kString,     ///< string instruction, repeatable
  kSystem,     ///< may change mode, address space or interrupt state: ends a block
  kX87,        ///< runs on the host x87
  kVector,     ///< MMX, SSE, AVX: runs as one-instruction host stub
  kVectorOwn,  ///< vector instruction with C++ semantics (gathers, masked stores, state saves)
};

/// Appendix A addressing letters.
enum class Addressing : u8 {
  kNone,
  kA,         ///< far pointer in the instruction
  kB,         ///< general register in VEX.vvvv
  kC,         ///< control register in ModRM.reg
  kD,         ///< debug register in ModRM.reg
  kE,         ///< general register or memory by ModRM
  kG,         ///< general register in ModRM.reg
  kH,         ///< vector register in VEX.vvvv
  kI,         ///< immediate
  kJ,         ///< branch displacement
  kL,         ///< vector register in immediate bits 7:4
  kM,         ///< memory only
  kN,         ///< MMX register in ModRM.rm
  kO,         ///< absolute offset in the instruction
  kP,         ///< MMX register in ModRM.reg
  kQ,         ///< MMX register or memory
  kR,         ///< general register only, in ModRM.rm
  kS,         ///< segment register in ModRM.reg
  kU,         ///< vector register in ModRM.rm
  kV,         ///< vector register in ModRM.reg
  kW,         ///< vector register or memory
  kX,         ///< DS:rSI
  kY,         ///< ES:rDI
  kZ,         ///< general register in opcode bits 2:0 (REX.B)
  kFixed,     ///< the general register `number` (AL, CL, rAX, DX ...)
  kFixedSeg,  ///< the segment register `number`
  kOne,       ///< the constant 1
  kSt,        ///< ST(0)
  kSti,       ///< ST(i), i in ModRM.rm
  kVsib,      ///< memory with a vector index (VM32x, VM64y ...)
  kXmm0,      ///< implicit XMM0
};

/// Appendix A operand types and their widths.
enum class Width : u8 {
  kNone,
  kB,
  kW,
  kD,
  kQ,   ///< 8, 16, 32, 64 bits
  kV,   ///< 16, 32, 64 by operand size
  kZ,   ///< 16 or 32 by operand size (64 -> 32)
  kY,   ///< 32 or 64 by operand size
  kP,   ///< far pointer 16:16, 16:32, 16:64
  kA,   ///< BOUND pair
  kS,   ///< pseudo-descriptor 2+4 or 2+8 bytes
  kDq,  ///< 128 bits
  kQq,  ///< 256 bits
  kX,   ///< 128 or 256 by VEX.L
  kT,   ///< 80-bit x87
  kSs,
  kSd,        ///< scalar single (4 bytes in memory), double (8)
  kHalfX,     ///< 64 or 128 by VEX.L
  kQuarterX,  ///< 32 or 64 by VEX.L
  kEighthX,   ///< 16 or 32 by VEX.L
  kEnv,       ///< FNSTENV image 14/28 bytes
  kFsave,     ///< FNSAVE image 94/108 bytes
  kFxsave,    ///< 512 bytes
  kXsave,     ///< XSAVE area
  kBs,        ///< byte immediate sign-extended to the operand size
  kMemory,    ///< address only (LEA, INVLPG, PREFETCH)
};

struct Operand {
  Addressing addressing = Addressing::kNone;
  Width width = Width::kNone;
  u8 number = 0;
  constexpr bool operator==(const Operand&) const = default;
};

enum class OpcodeMap : u8 { kOne, k0F, k0F38, k0F3A };

/// What the prefix column of a row demands.
enum class PrefixKey : u8 {
  kAny,    ///< 66, F2, F3 keep their ordinary meaning
  kNp,     ///< none of 66, F2, F3 (they make it another row or #UD)
  kNoRep,  ///< 66 is the operand size; F2 and F3 make it another row or #UD
  k66,
  kF3,
  kF2,
};

enum class ModKey : u8 { kAny, kMemory, kRegister };
enum class ModeKey : u8 { kAny, kNot64, kOnly64 };

/// Row attributes.
enum RowAttribute : u32 {
  kLockable = 1 << 0,      ///< LOCK allowed with a memory destination; elsewhere #UD
  kDefault64 = 1 << 1,     ///< operand size 64 by default in 64-bit mode, 16 with 66h
  kForce64 = 1 << 2,       ///< operand size always 64 in 64-bit mode (near branches)
  kByteOperands = 1 << 3,  ///< ModRM registers are byte registers
  kDestination = 1 << 4,   ///< first operand is written (and read unless kWriteOnly)
  kWriteOnly = 1 << 5,     ///< first operand is written without being read (MOV, SETcc)
  kRepeatable = 1 << 6,    ///< REP/REPNE repeat it
  kPrivileged = 1 << 7,    ///< CPL 0 only (#GP(0))
  kAligned = 1 << 8,       ///< vector memory operand must be aligned to its size (#GP(0))
  kNoReal = 1 << 9,        ///< #UD in real and virtual-8086 mode
  kVexW0 = 1 << 10,
  kVexW1 = 1 << 11,
  kVexL0 = 1 << 12,
  kVexL1 = 1 << 13,
  kVexNds = 1 << 14,      ///< uses VEX.vvvv; rows without it demand 1111b
  kUsesSib = 1 << 15,     ///< memory form needs VSIB
  kFpuControl = 1 << 16,  ///< x87 control: does not record FIP/FDP/FOP
  kFpuNoWait = 1 << 17,   ///< x87: does not check pending errors
  kSerializing = 1 << 18,
  kRexWSelects = 1 << 19,    ///< needs REX.W = 1
  kRexW0 = 1 << 20,          ///< needs REX.W = 0
  kSecondWritten = 1 << 21,  ///< second operand is written too (XCHG, XADD, MULX)
  kRexB0 = 1 << 22,          ///< needs REX.B = 0 (NOP and XCHG R8,rAX share 90h)
  kModIgnored = 1 << 23,     ///< always the register form, whatever ModRM.mod says (MOV CR/DR)
};

/// CPUID feature a row needs; names follow Linux and QEMU.
enum class Feature : u8 {
#define FEATURE(name, ...) k##name,
#include "cpu/isa/features.inc"
#undef FEATURE
  kCount
};

struct Row {
  Operation operation;
  OpcodeMap map;
  bool vex;
  u8 opcode;
  u8 opcode_mask;  ///< FFh, or F8h for rows with a register in the opcode
  PrefixKey prefix;
  i8 reg;  ///< ModRM.reg must be this, or -1
  ModKey mod;
  i8 rm;  ///< ModRM.rm must be this (register form), or -1
  ModeKey mode;
  Feature feature;
  u32 attributes;
  std::array<Operand, 4> operands;
  bool modrm;    ///< has a ModRM byte
  u8 condition;  ///< opcode bits 3:0 for Jcc, SETcc, CMOVcc rows; elsewhere 0
};

/// Facts of an operation, by Operation number.
struct OperationInfo {
  std::string_view mnemonic;
  Category category;
  u32 flags_read;
  u32 flags_written;
  u32 flags_undefined;
};

extern const std::array<OperationInfo, static_cast<std::size_t>(Operation::kCount)> kOperations;

}  // namespace dragoman
