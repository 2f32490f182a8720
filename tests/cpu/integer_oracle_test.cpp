// Integer, string and near branch instructions against the host processor: for every row that is
// valid in user mode, encodings made from its columns run on both sides with the same registers,
// flags and memory.
//
// DRAGOMAN_ORACLE_SECONDS runs longer, DRAGOMAN_ORACLE_SEED starts elsewhere, and
// DRAGOMAN_ORACLE_REPORT=1 lists where flags and results differ that the manual leaves undefined.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <random>
#include <vector>

#include "cpu/decode/decoder.h"
#include "cpu/disassemble/disassembler.h"
#include "cpu/isa/rows.h"
#include "tests/cpu/host_runner.h"
#include "tests/cpu/instruction_maker.h"
#include "tests/cpu/runner_guest.h"

namespace dragoman {
namespace {

/// Flags this instruction leaves undefined (SDM vol. 2), from its row and, for shifts, its count.
u32 undefined_flags(const Instruction& insn, const InstructionCase& c) {
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
          r.operands[2].addressing == Addressing::kI ? insn.immediate : c.state.regs[kRcx]);
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
        count = static_cast<unsigned>(c.state.regs[kRcx]);
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

/// ARPL may look before it writes, POPA may load registers before a later pop faults: processors
/// differ in what a fault of these leaves behind, and the instruction starts again anyway.
bool vague_fault(const Row& r) {
  return r.operation == Operation::kArpl || r.operation == Operation::kPopa;
}

/// Destinations the manual leaves undefined.
bool undefined_result(const Instruction& insn, const InstructionCase& c) {
  const Row& r = row(insn.row);
  if (r.operation == Operation::kBswap) return insn.operand_size == 2;
  if (r.operation == Operation::kShld || r.operation == Operation::kShrd) {
    const u64 count =
        r.operands[2].addressing == Addressing::kI ? insn.immediate : c.state.regs[kRcx];
    return insn.operand_size == 2 && (count & 31) > 16;
  }
  return false;
}

class IntegerOracle : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!host_.ready()) GTEST_SKIP() << "addresses from 60000000h on are taken in this process";
    std::mt19937_64 random(7);
    for (u64 i = 0; i < RunnerLayout::kDataBytes; i += 8) {
      const u64 v = random();
      std::memcpy(HostRunner::at(RunnerLayout::kData + i), &v, 8);
    }
    std::memset(HostRunner::at(RunnerLayout::kStack), 0x5a, RunnerLayout::kStackBytes);
  }

  static std::string text(const InstructionCase& c, const Instruction& insn) {
    std::string hex;
    for (const u8 b : c.bytes) hex += fmt::format("{:02x}", b);
    return fmt::format("{} ({}, {} bits)",
                       disassemble(insn, RunnerLayout::kInstruction, {u8(c.code32 ? 32 : 64)}), hex,
                       c.code32 ? 32 : 64);
  }
  static std::string registers(const RunnerState& s) {
    std::string out;
    static constexpr const char* kNames[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                             "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                             "r12", "r13", "r14", "r15"};
    for (unsigned i = 0; i < 16; ++i) out += fmt::format(" {}={:x}", kNames[i], s.regs[i]);
    return out + fmt::format(" rip={:x} flags={:x} fault={} error={:x} cr2={:x}", s.rip, s.flags,
                             s.fault, s.error, s.cr2);
  }

  /// Runs both sides and explains a difference; empty when they agree.
  std::string compare(const InstructionCase& c, bool& intended) {
    std::memcpy(guest_.data(), HostRunner::at(RunnerLayout::kData), RunnerLayout::kDataBytes);
    std::memcpy(guest_.stack(), HostRunner::at(RunnerLayout::kStack), RunnerLayout::kStackBytes);
    RunnerState host = c.state;
    RunnerState guest = c.state;
    Instruction insn;
    const DecodeResult decoded =
        decode(c.bytes, {u8(c.code32 ? 32 : 64)}, insn, guest_.cpu().model().features);
    intended = decoded == DecodeResult::kOk && insn.length == c.bytes.size();
    if (decoded == DecodeResult::kNeedMoreBytes) return {};  // a generator that stops short
    host_.run(c.bytes, c.code32, host);
    guest_.run(c.bytes, c.code32, guest);

    // Which of #PF and #AC comes first is the processor's choice (SDM vol. 3, table 6-2, class 10).
    if (host.fault == kVectorAc && guest.fault == kVectorPf) return {};
    const u64 mask = c.code32 ? 0xffffffff : ~u64{0};
    std::string wrong;
    if (host.fault != guest.fault) wrong += " fault";
    if (host.fault >= 0 && host.fault == guest.fault) {
      // Present or not differs where the kernel of either side has mappings of its own.
      if (host.fault == kVectorPf && ((host.error ^ guest.error) & 6) != 0 &&
          !vague_fault(row(insn.row))) {
        wrong += " error code";
      }
      if (host.fault != kVectorPf && host.error != guest.error) wrong += " error code";
      if (host.fault == kVectorPf && host.cr2 != guest.cr2) wrong += " cr2";
    }
    if (host.rip != guest.rip) wrong += " rip";
    bool registers_differ = false;
    for (unsigned i = 0; i < (c.code32 ? 8u : 16u); ++i) {
      registers_differ = registers_differ || ((host.regs[i] ^ guest.regs[i]) & mask) != 0;
    }
    const bool memory_differs = std::memcmp(guest_.data(), HostRunner::at(RunnerLayout::kData),
                                            RunnerLayout::kDataBytes) != 0 ||
                                std::memcmp(guest_.stack(), HostRunner::at(RunnerLayout::kStack),
                                            RunnerLayout::kStackBytes) != 0;
    const bool vague =
        intended && (undefined_result(insn, c) || (host.fault >= 0 && vague_fault(row(insn.row))));
    if (registers_differ && !vague) wrong += " registers";
    if (memory_differs && !vague) wrong += " memory";
    const u32 compared = kArithmeticFlags | kFlagDf | kFlagAc;
    const u32 undefined = intended && host.fault < 0 ? undefined_flags(insn, c) : 0;
    const u64 difference = (host.flags ^ guest.flags) & compared;
    if (difference & ~u64{undefined}) wrong += " flags";
    if ((difference & undefined) || (vague && (registers_differ || memory_differs))) {
      Undefined& u = undefined_[std::string(operation_info(row(insn.row).operation).mnemonic)];
      ++u.times;
      u.flags |= difference & undefined;
      u.result = u.result || (vague && (registers_differ || memory_differs));
    }
    if (wrong.empty()) return {};
    return fmt::format("{}:{} differ\nbefore{}\nhost  {}\nguest {}\n", text(c, insn), wrong,
                       registers(c.state), registers(host), registers(guest));
  }

  static std::string flag_names(u64 flags) {
    std::string out;
    if (flags & kFlagCf) out += " cf";
    if (flags & kFlagPf) out += " pf";
    if (flags & kFlagAf) out += " af";
    if (flags & kFlagZf) out += " zf";
    if (flags & kFlagSf) out += " sf";
    if (flags & kFlagOf) out += " of";
    return out;
  }

  void run_rows(bool code32) {
    const char* seconds_text = std::getenv("DRAGOMAN_ORACLE_SECONDS");
    const char* seed_text = std::getenv("DRAGOMAN_ORACLE_SEED");
    const double seconds = seconds_text != nullptr ? std::atof(seconds_text) : 0;
    Maker maker(seed_text != nullptr ? std::strtoull(seed_text, nullptr, 0) : 1);
    const auto start = std::chrono::steady_clock::now();
    unsigned rows_tried = 0;
    u64 cases = 0;
    std::map<std::string, unsigned> failures;
    for (unsigned round = 0;; ++round) {
      for (const Row& r : rows()) {
        const Category category = operation_info(r.operation).category;
        if (category != Category::kInteger && category != Category::kString &&
            category != Category::kBranch) {
          continue;
        }
        if (r.mode == (code32 ? ModeKey::kOnly64 : ModeKey::kNot64) || left_out(r)) continue;
        if (!guest_.cpu().has(r.feature)) continue;
        unsigned as_intended = 0;
        const unsigned wanted = round == 0 ? 60 : 200;
        for (unsigned i = 0; i < wanted; ++i) {
          const InstructionCase c = maker.make(r, code32);
          bool intended = false;
          const std::string problem = compare(c, intended);
          as_intended += intended ? 1 : 0;
          ++cases;
          if (!problem.empty()) {
            const std::string name(operation_info(r.operation).mnemonic);
            if (++failures[name] <= 3) ADD_FAILURE() << problem;
          }
        }
        if (round == 0) {
          ++rows_tried;
          EXPECT_GT(as_intended, wanted / 2)
              << operation_info(r.operation).mnemonic << fmt::format(" opcode {:02x}", r.opcode);
        }
      }
      const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
      if (spent.count() >= seconds || failures.size() > 20) break;
    }
    EXPECT_GT(rows_tried, 300u);
    for (const auto& [name, count] : failures) {
      if (count > 3) ADD_FAILURE() << name << ": " << count << " differences";
    }
    if (std::getenv("DRAGOMAN_ORACLE_REPORT") != nullptr) {
      fmt::print("{} rows, {} cases\n", rows_tried, cases);
      for (const auto& [name, u] : undefined_) {
        fmt::print("undefined and different: {}{}{} ({} times)\n", name, u.result ? " result" : "",
                   flag_names(u.flags), u.times);
      }
    }
  }

  HostRunner host_;
  RunnerGuest guest_;
  /// What differed where the manual allows it.
  struct Undefined {
    u64 times = 0;
    u64 flags = 0;
    bool result = false;
  };
  std::map<std::string, Undefined> undefined_;
};

TEST_F(IntegerOracle, EveryRow64) { run_rows(false); }

TEST_F(IntegerOracle, EveryRow32) { run_rows(true); }

}  // namespace
}  // namespace dragoman
