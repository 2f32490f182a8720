// One instruction with the state it starts from, and the state it leaves behind: what the host
// processor and Dragoman's engines are given, and what is compared.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "base/types.h"
#include "cpu/state.h"

namespace dragoman {

/// Code size of a case. All run with CPL 3 under a 64-bit kernel.
enum class CaseMode : u8 { k64, k32, k16 };
inline constexpr unsigned kCaseModes = 3;
constexpr unsigned case_bits(CaseMode mode) {
  return mode == CaseMode::k64 ? 64 : mode == CaseMode::k32 ? 32 : 16;
}

/// Where code, data and stack lie, in the host process as in the guest; the pages around are not
/// mapped. Low enough for the 2 MiB of a tests/asm file, so that a case can be saved as one.
struct CaseLayout {
  static constexpr u64 kCode = 0x12000;  ///< one page, not writable; no edge value leads here
  static constexpr u64 kData = 0x100000, kDataBytes = 0x2000;
  static constexpr u64 kStack = 0x110000, kStackBytes = 0x1000;
  static constexpr u64 kMemoryBytes = kDataBytes + kStackBytes;
  /// The instruction, and how far behind its end a taken branch leads.
  static constexpr u64 kInstruction = kCode + 0x100, kBranch = 0x20;
  static constexpr u64 kFsBase = kData + 0x200, kGsBase = kData + 0x400;

  /// Selectors of 64-bit Linux, and of the local descriptor table for 16-bit code.
  static constexpr u16 kKernelCode = 0x10, kCode64 = 0x33, kCode32 = 0x23, kFlatData = 0x2b;
  static constexpr u16 kCode16 = 0x07, kData16 = 0x0f, kStack16 = 0x17;
  /// Bases of the 16-bit segments (limit FFFFh): the data begin at offset 8000h.
  static constexpr u64 kCodeBase16 = kCode, kDataBase16 = kData - 0x8000,
                       kStackBase16 = kStack - 0x8000;

  static constexpr u64 data_base(CaseMode mode) { return mode == CaseMode::k16 ? kDataBase16 : 0; }
  static constexpr u64 stack_base(CaseMode mode) {
    return mode == CaseMode::k16 ? kStackBase16 : 0;
  }
  static constexpr u64 code_base(CaseMode mode) { return mode == CaseMode::k16 ? kCodeBase16 : 0; }
  /// RIP of the instruction.
  static constexpr u64 start(CaseMode mode) { return kInstruction - code_base(mode); }
};

/// Registers of a case. Vector and x87 registers are as in CpuState; FIP, FDP and FOP are not
/// compared (processors differ in when they record them).
struct CaseRegisters {
  std::array<u64, 16> regs{};
  u64 flags = kFlagFixed | kFlagIf;
  FpuState fpu;
  std::array<u16, 6> selectors{};  ///< by SegmentRegister; only after the instruction
};

struct CpuCase {
  CaseMode mode = CaseMode::k64;
  u16 row = 0;  ///< the row it was made from
  std::vector<u8> bytes;
  CaseRegisters before;
  /// Bytes of data and stack that are not zero, by linear address.
  struct Bytes {
    u64 address = 0;
    std::vector<u8> bytes;
  };
  std::vector<Bytes> memory;
  u64 touched = 0;  ///< address the memory operand was aimed at, 0 without one
  /// Not 0: the instruction begins so many bytes before the end of the code page, behind which none
  /// is mapped; else it lies at kInstruction.
  u8 cut = 0;
  bool odd = false;  ///< with prefixes, a length or an encoding that no assembler makes

  u64 linear_start() const {
    return cut == 0 ? CaseLayout::kInstruction : CaseLayout::kCode + kPageSize - cut;
  }
  /// RIP of the instruction.
  u64 start() const { return linear_start() - CaseLayout::code_base(mode); }

  /// Data, then stack, as the case begins.
  void fill(std::span<u8> out) const;
};

struct CpuOutcome {
  CaseRegisters after;
  u64 rip = 0;     ///< of the next instruction, or of the fault
  int fault = -1;  ///< vector, or -1
  u32 error = 0;
  u64 cr2 = 0;
  bool finished = true;                               ///< false: it never left the instruction
  std::array<u8, CaseLayout::kMemoryBytes> memory{};  ///< data, then stack
};

/// The linear address of `index` in CpuOutcome::memory.
constexpr u64 case_memory_address(u64 index) {
  return index < CaseLayout::kDataBytes ? CaseLayout::kData + index
                                        : CaseLayout::kStack + index - CaseLayout::kDataBytes;
}

}  // namespace dragoman
