#include "frontends/test/oracle/case_compare.h"

#include <fmt/format.h>

#include <algorithm>

#include "cpu/decode/decoder.h"
#include "cpu/disassemble/disassembler.h"
#include "cpu/execute/undefined_flags.h"
#include "cpu/isa/rows.h"

namespace dragoman {
namespace {

using L = CaseLayout;

constexpr const char* kRegisterNames[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
constexpr const char* kSegmentNames[] = {"es", "cs", "ss", "ds", "fs", "gs"};
/// RF is in the image of a fault by the processor's choice; TF and IF are not the instruction's.
constexpr u64 kComparedFlags =
    kArithmeticFlags | kFlagDf | kFlagAc | kFlagNt | kFlagIopl | kFlagId | kFlagVif | kFlagVip;
constexpr u32 kMxcsrPrecision = 0x20;
constexpr u16 kX87TopBits = 7 << 11;

/// ARPL may look before it writes, PUSHA and POPA may store or load the first registers before a
/// later one faults, MOVBE with 66h and REX.W may store the part before a page that is missing:
/// processors differ in what a fault of these leaves behind, and the instruction starts again
/// anyway.
bool vague_fault(Operation operation) {
  return operation == Operation::kArpl || operation == Operation::kPusha ||
         operation == Operation::kPopa || operation == Operation::kMovbe;
}

/// 80-bit stores go in two parts, of which the first may be there when the second faults.
bool wide_x87_store(const Row& r) {
  return r.operands[0].addressing == Addressing::kM && r.operands[0].width == Width::kT &&
         (r.attributes & kDestination) != 0;
}

/// Destinations the manual leaves undefined.
bool undefined_result(const Instruction& insn, const CpuCase& c) {
  const Row& r = row(insn.row);
  if (r.operation == Operation::kBswap) return insn.operand_size == 2;
  if (r.operation == Operation::kShld || r.operation == Operation::kShrd) {
    const u64 count =
        r.operands[2].addressing == Addressing::kI ? insn.immediate : c.before.regs[kRcx];
    return insn.operand_size == 2 && (count & 31) > 16;
  }
  return false;
}

/// The processor may have left x87 mode before the memory operand faults.
bool uses_mmx(const Row& r) {
  return std::any_of(r.operands.begin(), r.operands.end(), [](const Operand& o) {
    return o.addressing == Addressing::kP || o.addressing == Addressing::kQ ||
           o.addressing == Addressing::kN;
  });
}

/// Operands of several parts: the order in which a processor touches them is its own, and with it
/// which of several faults it reports.
bool many_parts(const Row& r) {
  switch (r.operation) {
    case Operation::kFnsave:
    case Operation::kFrstor:
    case Operation::kFnstenv:
    case Operation::kFldenv:
    case Operation::kFxsave:
    case Operation::kFxrstor:
    case Operation::kIret:
    case Operation::kRetFar:
    case Operation::kCallFar:
    case Operation::kVmaskmovps:
    case Operation::kVmaskmovpd:
    case Operation::kVpmaskmovd:
    case Operation::kVpmaskmovq:
      return true;
    default:
      return false;
  }
}

constexpr u16 kX87ErrorSummary = 1 << 7;  // ES: an unmasked exception waits

/// The descriptors of 64-bit Linux are there, as the guest has them: not when its kernel runs under
/// another one that brings its own.
bool usual_descriptors() {
  u8 there;
  asm("lar %w1, %%eax\n\tsetz %0" : "=q"(there) : "r"(CaseLayout::kCode32) : "eax", "cc");
  return there != 0;
}

/// Encodings that the SDM reserves and AMD's processors execute, or whose length they see otherwise
/// (found on a family 19h).
const char* explain_odd_encoding(const CpuCase& test, const Row& r, const CpuOutcome& host,
                                 const CpuOutcome& guest) {
  const bool refused_here = guest.fault == kVectorUd && host.fault != kVectorUd;
  switch (r.operation) {
    case Operation::kLoope:
    case Operation::kLoopne:
      if (std::any_of(test.bytes.begin(), test.bytes.end(),
                      [](u8 b) { return (b & 0xfe) == 0xf2; }))
        return "AMD's processors: F2h or F3h before LOOPE and LOOPNE decides about the condition";
      break;
    case Operation::kVerw:
      if (refused_here) return "AMD's processors take LOCK before VERW";
      break;
    case Operation::kMovFromCr:
    case Operation::kMovToCr:
      if (refused_here) return "AMD's processors: LOCK before MOV CR0 means CR8";
      break;
    case Operation::kVpermq:
    case Operation::kVpermpd:
      if (refused_here) return "AMD's processors do not look at VEX.W of VPERMQ and VPERMPD";
      break;
    case Operation::kMovntps:
    case Operation::kMovntpd:
      if (refused_here) return "AMD's processors: MOVNTSS and MOVNTSD (SSE4A)";
      break;
    case Operation::kUd:
      if (r.opcode != 0x0b) return "AMD's processors: UD0 and UD1 have no ModRM byte";
      break;
    default:
      break;
  }
  return nullptr;
}

/// Where AMD's processors, or a host with descriptors of its own, differ by definition from the
/// Intel processor that the guest sees (APM vol. 1 and 3). Null where they do not.
const char* explain_host(const CpuCase& test, const Row& r, const CpuOutcome& host,
                         const CpuOutcome& guest) {
  static const bool usual = usual_descriptors();
  switch (r.operation) {
    case Operation::kLar:
    case Operation::kLsl:
    case Operation::kVerr:
    case Operation::kVerw:
      if (!usual) return "descriptors of the host's kernel";
      break;
    case Operation::kInt:
      // Some vectors are calls into the hypervisor that runs such a kernel.
      if (!usual && host.fault < 0 && guest.fault == kVectorGp)
        return "INT n that something below the host's kernel answers";
      [[fallthrough]];
    case Operation::kRetFar:
    case Operation::kIret:
      if (!usual && host.fault >= 0) return "descriptors of the host's kernel";
      break;
    default:
      break;
  }
  if (kHostFlagStyle != FlagStyle::kAmd) return nullptr;
  if (test.odd) {
    if (const char* reason = explain_odd_encoding(test, r, host, guest)) return reason;
  }
  if (host.fault == kVectorAc && guest.fault != kVectorAc)
    return "#AC of vector operands, from AMD's processors";
  switch (r.operation) {
    case Operation::kCallFar:
    case Operation::kJmpFar:
    case Operation::kLss:
    case Operation::kLfs:
    case Operation::kLgs:
      return "AMD's processors have no far pointers of 80 bits";
    default:
      break;
  }
  const std::string_view name = operation_info(r.operation).mnemonic;
  const auto vex = std::find(test.bytes.begin(), test.bytes.end(), 0xc4);
  const bool vex_w = test.bytes.end() - vex > 2 && (vex[2] & 0x80);
  if ((name.starts_with("vpextr") || name.starts_with("vpinsr")) && test.mode != CaseMode::k64 &&
      vex_w && host.fault == kVectorUd)
    return "AMD's processors: VEX.W is not ignored outside 64-bit mode";
  if (name == "int1" && host.fault == guest.fault && host.rip + test.bytes.size() == guest.rip)
    return "AMD's hypervisors: the trap of INT1 is reported as a fault";
  if (name == "sysexit" && host.fault == kVectorGp && guest.fault == kVectorUd)
    return "AMD's processors have no SYSEXIT in long mode; a hypervisor may put it in";
  const u64 popped = host.cr2 - test.before.regs[kRsp] - L::stack_base(test.mode);
  if (r.operation == Operation::kPopSeg && host.fault == kVectorPf && popped >= 2 && popped < 8)
    return "AMD's processors: a selector is popped with all of its slot";
  // The outer stack pointer lies behind what is popped and released.
  const bool returns = r.operation == Operation::kRetFar || r.operation == Operation::kIret;
  if (returns && host.fault == kVectorPf && guest.fault == kVectorGp && popped >= 4)
    return "AMD's processors: far returns read the outer stack pointer before they look at CS";
  const bool short_address =
      std::find(test.bytes.begin(), test.bytes.end(), 0x67) != test.bytes.end();
  if (operation_info(r.operation).category == Category::kString &&
      (host.fault >= 0 || short_address))
    return "AMD's processors: flags of a comparison that faults, upper halves after 67h";
  if (r.operation == Operation::kBound && host.fault == kVectorPf && guest.fault == kVectorBr)
    return "AMD's processors: BOUND reads both bounds before it compares";
  if (name.starts_with("sha") && guest.fault == kVectorGp && host.fault != kVectorGp)
    return "AMD's processors: no alignment for the SHA instructions";
  const bool address_fault =
      host.fault == kVectorPf || host.fault == kVectorGp || host.fault == kVectorSs;
  if (operation_info(r.operation).category == Category::kX87 && address_fault && guest.fault < 0 &&
      guest.after.fpu.status & kX87ErrorSummary)
    return "AMD's processors: the address of an x87 store before its unmasked exception";
  if (name.find("gather") != std::string_view::npos && host.fault >= 0)
    return "elements gathered before a fault";
  return nullptr;
}

/// Why both may be right with these faults; null when they may not.
const char* explain_faults(const Row& r, const CpuOutcome& host, const CpuOutcome& guest) {
  // SDM vol. 3, table 6-2, class 10: the order is the processor's choice.
  const auto either = [&](int a, int b) {
    return (host.fault == a && guest.fault == b) || (host.fault == b && guest.fault == a);
  };
  if (either(kVectorAc, kVectorPf)) return "#AC or #PF first";
  // Whether an access may wrap in a segment of 4 GiB is, too (SDM vol. 3, 5.3).
  if (host.fault == kVectorPf && host.cr2 > 0xfffffff0 && host.cr2 <= 0xffffffff &&
      (guest.fault == kVectorGp || guest.fault == kVectorSs)) {
    return "an access that wraps in a segment of 4 GiB";
  }
  if (r.operation == Operation::kMovbe && host.fault < 0 && guest.fault == kVectorAc) {
    return "MOVBE: no #AC from Intel processors, in spite of the manual";
  }
  if (r.operation == Operation::kVcvtps2ph && host.fault == kVectorXm && guest.fault >= 0) {
    return "VCVTPS2PH: #XM or the fault of its store first";
  }
  const bool far_return = r.operation == Operation::kRetFar || r.operation == Operation::kIret;
  if (far_return && guest.fault == kVectorPf && host.fault != kVectorPf &&
      (guest.cr2 & kPageMask) == 0) {
    return "far returns read a selector's own two bytes only";
  }
  if (host.fault != kVectorPf && guest.fault == kVectorPf && guest.cr2 >> 20 == 0x601) {
    return "an address at which the host's side has pages of its own";
  }
  const bool fx = r.operation == Operation::kFxsave || r.operation == Operation::kFxrstor;
  if (fx && either(kVectorAc, kVectorGp)) return "FXSAVE and FXRSTOR: #AC or #GP";
  if (fx && either(kVectorSs, kVectorGp)) return "FXSAVE and FXRSTOR: alignment or address first";
  if (fx && host.fault == kVectorPf && guest.fault == kVectorPf && host.cr2 != guest.cr2) {
    return "FXSAVE and FXRSTOR: which part faults first";
  }
  const bool masked = r.operation == Operation::kMaskmovq ||
                      r.operation == Operation::kMaskmovdqu ||
                      r.operation == Operation::kVmaskmovdqu;
  // SDM vol. 2, MASKMOVDQU: exceptions of masked bytes are implementation dependent.
  if (masked && host.fault >= 0) {
    return "MASKMOVQ and MASKMOVDQU: faults of bytes whose mask is clear";
  }
  if (many_parts(r) && host.fault == kVectorPf && guest.fault == kVectorPf &&
      host.cr2 != guest.cr2 && host.cr2 - guest.cr2 + kPageSize < 2 * kPageSize) {
    return "which part of an operand faults first";
  }
  return nullptr;
}

/// AMD's processors have MM, bit 17, in the MXCSR_MASK that FXSAVE stores (APM vol. 1, 4.2.2);
/// the guest has not.
bool only_misaligned_mode_differs(const CpuOutcome& host, const CpuOutcome& guest) {
  constexpr u8 kThirdByteMm = 1 << 1;
  unsigned differences = 0;
  for (u64 i = 0; i < L::kMemoryBytes; ++i) {
    if (host.memory[i] == guest.memory[i]) continue;
    if ((host.memory[i] ^ guest.memory[i]) != kThirdByteMm || ++differences > 1) return false;
  }
  return differences == 1;
}

bool decode_case(const CpuCase& test, Instruction& insn) {
  const FeatureSet features = FeatureSet::all();
  const DecodeMode mode{static_cast<u8>(case_bits(test.mode))};
  return decode(test.bytes, mode, insn, features) == DecodeResult::kOk &&
         insn.length == test.bytes.size();
}

bool same_x87(const FpuState& a, const FpuState& b) {
  return a.control == b.control && a.status == b.status && a.tag == b.tag && a.st == b.st;
}

std::string hex(std::span<const u8> bytes) {
  std::string out;
  for (const u8 b : bytes) out += fmt::format("{:02x}", b);
  return out;
}

}  // namespace

std::string outcome_parts(u32 parts) {
  static constexpr const char* kNames[] = {
      "fault", "error code or CR2", "rip",    "registers",   "flags", "segments", "x87",
      "mxcsr", "vectors",           "memory", "does not end"};
  std::string out;
  for (unsigned i = 0; i < std::size(kNames); ++i) {
    if ((parts >> i) & 1) out += fmt::format("{}{}", out.empty() ? "" : ", ", kNames[i]);
  }
  return out;
}

u32 undefined_flags_of(const CpuCase& test, const Instruction& insn) {
  const Row& r = row(insn.row);
  u32 mask = operation_info(r.operation).flags_undefined;
  unsigned count = 1;
  bool shift = false;
  bool doubled = false;
  bool narrow_carry = false;  // CF undefined when the count reaches the width
  switch (r.operation) {
    case Operation::kShld:
    case Operation::kShrd:
      doubled = shift = true;
      count = static_cast<unsigned>(
          r.operands[2].addressing == Addressing::kI ? insn.immediate : test.before.regs[kRcx]);
      break;
    case Operation::kShl:
    case Operation::kShr:
    case Operation::kSar:
      narrow_carry = r.operation != Operation::kSar;
      [[fallthrough]];
    case Operation::kRol:
    case Operation::kRor:
    case Operation::kRcl:
    case Operation::kRcr:
      shift = true;
      if (r.operands[1].addressing == Addressing::kI) count = static_cast<unsigned>(insn.immediate);
      if (r.operands[1].addressing == Addressing::kFixed) {
        count = static_cast<unsigned>(test.before.regs[kRcx]);
      }
      break;
    default:
      break;
  }
  if (!shift) return mask;
  const unsigned bytes = (r.attributes & kByteOperands) ? 1 : insn.operand_size;
  count &= bytes == 8 ? 63 : 31;
  if (count == 0) return 0;
  if (count > 1) mask |= kFlagOf;
  if (narrow_carry && count > 8 * bytes) mask |= kFlagCf;
  if (doubled && count > 8 * bytes) mask |= kArithmeticFlags;
  return mask;
}

OutcomeDifference compare_outcomes(const CpuCase& test, const CpuOutcome& host,
                                   const CpuOutcome& guest, bool compare_undefined) {
  OutcomeDifference d;
  d.explained = explain_faults(row(test.row), host, guest);
  if (d.explained != nullptr) return d;
  d.explained = explain_host(test, row(test.row), host, guest);
  if (d.explained != nullptr) return d;
  Instruction insn;
  const bool intended = decode_case(test, insn);
  const Operation operation = row(test.row).operation;
  const bool faulted = host.fault >= 0;
  if (!guest.finished) d.parts |= kPartUnfinished;
  if (host.fault != guest.fault) d.parts |= kPartFault;
  const bool vague = (vague_fault(operation) || wide_x87_store(row(test.row))) && faulted;
  if (faulted && host.fault == guest.fault) {
    u32 codes = host.error ^ guest.error;
    if (host.fault == kVectorPf) {
      // Linux reports its own half of the address space as present.
      if (host.cr2 >> 47 != 0) codes &= ~1u;
      if (vague) codes = 0;
      if (host.cr2 != guest.cr2) d.parts |= kPartErrorCode;
    }
    if (codes != 0) d.parts |= kPartErrorCode;
  }
  const u64 mask = test.mode == CaseMode::k64 ? ~u64{0} : 0xffffffff;
  if ((host.rip ^ guest.rip) & mask) d.parts |= kPartRip;
  bool registers = false;
  for (unsigned i = 0; i < (test.mode == CaseMode::k64 ? 16u : 8u); ++i) {
    registers = registers || ((host.after.regs[i] ^ guest.after.regs[i]) & mask) != 0;
  }
  bool memory = host.memory != guest.memory;
  if (memory && operation == Operation::kFxsave && only_misaligned_mode_differs(host, guest)) {
    d.explained = "FXSAVE: MXCSR_MASK of AMD's processors has MM";
    memory = false;
  }
  if (intended && !faulted && undefined_result(insn, test)) {
    d.undefined_result = registers || memory;
    if (!compare_undefined) registers = false;
  }
  if (vague && (registers || memory)) d.explained = "what a fault of this leaves behind";
  if (registers && !vague) d.parts |= kPartRegisters;
  if (memory && !vague && (compare_undefined || !d.undefined_result)) d.parts |= kPartMemory;

  const u64 flags = (host.after.flags ^ guest.after.flags) & kComparedFlags;
  const u32 undefined = intended && !faulted ? undefined_flags_of(test, insn) : 0;
  d.undefined_flags = static_cast<u32>(flags) & undefined;
  if (compare_undefined ? flags != 0 : (flags & ~u64{undefined}) != 0) d.parts |= kPartFlags;
  if (host.after.selectors != guest.after.selectors) d.parts |= kPartSegments;
  if (!same_x87(host.after.fpu, guest.after.fpu)) {
    FpuState ours = guest.after.fpu;
    ours.status &= static_cast<u16>(~kX87TopBits);
    if (host.after.fpu.tag == 0xff) ours.tag = 0xff;
    if (faulted && uses_mmx(row(test.row)) && same_x87(host.after.fpu, ours)) {
      d.explained = "TOP and tags after a fault of an MMX instruction";
    } else {
      d.parts |= kPartX87;
    }
  }
  if (host.after.fpu.ymm != guest.after.fpu.ymm) d.parts |= kPartVector;
  u32 mxcsr = host.after.fpu.mxcsr ^ guest.after.fpu.mxcsr;
  if (mxcsr != 0 && host.fault == kVectorXm) {
    // With unmasked overflow or underflow PE tells whether the result with an unbounded exponent
    // is inexact, which a masked run does not: PE may be set in addition. Intermediate steps of
    // DPPS and DPPD signal separately. See cpu/execute/host/vector.cpp.
    const bool scaled = (~test.before.fpu.mxcsr & 0xc00) != 0;
    const bool steps = operation == Operation::kDpps || operation == Operation::kDppd ||
                       operation == Operation::kVdpps || operation == Operation::kVdppd;
    if (steps || (scaled && mxcsr == kMxcsrPrecision)) {
      d.explained = "sticky flags of a trapping SIMD instruction";
      mxcsr = 0;
    }
  }
  if (mxcsr != 0 && faulted && operation == Operation::kVcvtps2ph) {
    d.explained = "VCVTPS2PH: sticky flags before the store faults";
    mxcsr = 0;
  }
  if (mxcsr != 0) d.parts |= kPartMxcsr;
  return d;
}

std::string describe_instruction(const CpuCase& test) {
  Instruction insn;
  const unsigned bits = case_bits(test.mode);
  std::string text = "(illegal)";
  if (decode(test.bytes, {static_cast<u8>(bits)}, insn) == DecodeResult::kOk) {
    text = disassemble(insn, test.start(), {static_cast<u8>(bits)});
  }
  const std::string cut =
      test.cut == 0 ? "" : fmt::format(", {} of {} bytes mapped", test.cut, test.bytes.size());
  return fmt::format("{} ({}, {}-bit code{})", text, hex(test.bytes), bits, cut);
}

std::string describe_difference(const CpuCase& test, const CpuOutcome& host,
                                const CpuOutcome& guest, u32 parts) {
  std::string out = "  before:";
  const unsigned count = test.mode == CaseMode::k64 ? 16 : 8;
  for (unsigned i = 0; i < count; ++i) {
    if (test.before.regs[i] != 0) {
      out += fmt::format(" {}={:x}", kRegisterNames[i], test.before.regs[i]);
    }
  }
  out += fmt::format(" flags={:x} rip={:x}\n", test.before.flags, test.start());
  const FpuState& fpu = test.before.fpu;
  if (parts & (kPartX87 | kPartVector | kPartMxcsr | kPartFault)) {
    out += fmt::format("  x87: control={:x} status={:x} tag={:x}; mxcsr={:x}\n", fpu.control,
                       fpu.status, fpu.tag, fpu.mxcsr);
    for (unsigned i = 0; i < 8; ++i) {
      if (fpu.st[i] != decltype(fpu.st)::value_type{}) {
        out += fmt::format("  physical x87 register {}={}\n", i, hex({fpu.st[i].data(), 10}));
      }
    }
    for (unsigned i = 0; i < count; ++i) {
      if (fpu.ymm[i] != decltype(fpu.ymm)::value_type{}) {
        out += fmt::format("  ymm{}={}\n", i, hex(fpu.ymm[i]));
      }
    }
  }
  for (const CpuCase::Bytes& piece : test.memory) {
    out += fmt::format("  [{:x}]={}\n", piece.address, hex(piece.bytes));
  }
  const auto side = [&](const char* name, auto&& value) {
    out += fmt::format("  {:<14} host {:<34} here {}\n", name, value(host), value(guest));
  };
  if (parts & (kPartFault | kPartErrorCode)) {
    side("fault", [](const CpuOutcome& o) {
      return o.fault < 0 ? std::string("none")
                         : fmt::format("{}, error {:x}, cr2 {:x}", o.fault, o.error, o.cr2);
    });
  }
  if (parts & kPartRip) side("rip", [](const CpuOutcome& o) { return fmt::format("{:x}", o.rip); });
  if (parts & kPartFlags) {
    side("flags", [](const CpuOutcome& o) { return fmt::format("{:x}", o.after.flags); });
  }
  for (unsigned i = 0; (parts & kPartRegisters) && i < count; ++i) {
    if (host.after.regs[i] == guest.after.regs[i]) continue;
    side(kRegisterNames[i],
         [&](const CpuOutcome& o) { return fmt::format("{:x}", o.after.regs[i]); });
  }
  for (unsigned i = 0; (parts & kPartSegments) && i < 6; ++i) {
    if (host.after.selectors[i] == guest.after.selectors[i]) continue;
    side(kSegmentNames[i],
         [&](const CpuOutcome& o) { return fmt::format("{:x}", o.after.selectors[i]); });
  }
  if (parts & (kPartX87 | kPartMxcsr)) {
    side("x87, mxcsr", [](const CpuOutcome& o) {
      return fmt::format("control={:x} status={:x} tag={:x} {:x}", o.after.fpu.control,
                         o.after.fpu.status, o.after.fpu.tag, o.after.fpu.mxcsr);
    });
  }
  for (unsigned i = 0; (parts & kPartX87) && i < 8; ++i) {
    if (host.after.fpu.st[i] == guest.after.fpu.st[i]) continue;
    side(fmt::format("x87 register {}", i).c_str(), [&](const CpuOutcome& o) {
      return hex({o.after.fpu.st[i].data(), 10});
    });
  }
  for (unsigned i = 0; (parts & kPartVector) && i < 16; ++i) {
    if (host.after.fpu.ymm[i] == guest.after.fpu.ymm[i]) continue;
    side(fmt::format("ymm{}", i).c_str(),
         [&](const CpuOutcome& o) { return hex(o.after.fpu.ymm[i]); });
  }
  unsigned listed = 0;
  for (u64 i = 0; (parts & kPartMemory) && i < L::kMemoryBytes && listed < 8; ++i) {
    if (host.memory[i] == guest.memory[i]) continue;
    ++listed;
    side(fmt::format("[{:x}]", case_memory_address(i)).c_str(),
         [&](const CpuOutcome& o) { return fmt::format("{:02x}", o.memory[i]); });
  }
  return out;
}

}  // namespace dragoman
