// MMX to AVX2 instructions against the host processor: the same bytes with the same state.
#include <sys/mman.h>

#include "cpu/isa/rows.h"
#include "frontends/test/oracle/host_runner.h"
#include "tests/cpu/row_bytes.h"
#include "tests/cpu/vector_machine.h"

namespace dragoman {
namespace {

struct Case {
  const char* text;
  const char* hex;
};
constexpr Case kCases[] = {
#define INSTRUCTION(text, hex) {text, hex},
#include "tests/cpu/vector_instructions.inc"
#undef INSTRUCTION
};

void random_state(OperandSource& source, u32 mxcsr, CpuCase& host, CpuState& guest) {
  FpuState& fpu = guest.fpu;
  fpu = FpuState{};
  fpu.control = 0x37f;
  fpu.mxcsr = mxcsr;
  for (auto& ymm : fpu.ymm) source.fill(ymm);
  // x87 registers hold MMX values; TOP is not 0 so that MMX instructions have to clear it.
  fpu.status = static_cast<u16>((source.number() & 7) << 11);
  fpu.tag = static_cast<u8>(source.number());
  for (auto& st : fpu.st) st = source.extended();
  guest.regs[kRax] = source.number() % 24;
  guest.regs[kRcx] = source.number();
  guest.regs[kRdx] = source.number() % 3 ? source.number() % 24 : source.number();
  set_arithmetic_flags(guest.lazy, 0);
  host.before = {};
  host.before.fpu = fpu;
  for (const unsigned r : {kRax, kRcx, kRdx}) host.before.regs[r] = guest.regs[r];
}

class VectorOracle : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!oracle_.problem().empty()) GTEST_SKIP() << oracle_.problem();
    host_page_ = static_cast<u8*>(
        mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  }
  void TearDown() override {
    if (host_page_ != nullptr) munmap(host_page_, kPageSize);
  }

  /// True when both sides agree.
  void compare(const Case& c, OperandSource& source, u32 mxcsr) {
    CpuCase host;
    CpuState& guest = machine_.cpu.state;
    random_state(source, mxcsr, host, guest);
    constexpr u64 kOffset = 64;
    source.fill({host_page_, 256});
    std::memcpy(machine_.ram(VectorMachine::kData), host_page_, 256);
    host.before.regs[kRdi] = reinterpret_cast<u64>(host_page_) + kOffset;
    guest.regs[kRdi] = VectorMachine::kData + kOffset;
    const FpuState before = guest.fpu;

    host.bytes = VectorMachine::bytes(c.hex);
    oracle_.run_in_place(host, out_);
    const int fault = machine_.execute(c.hex);

    const FpuState& fpu = guest.fpu;
    const FpuState& expected = out_.after.fpu;
    if (out_.fault == kVectorUd && fault == kVectorUd) return;  // the host has no such instruction
    if (out_.fault == kVectorXm) {
      ASSERT_EQ(fault, kVectorXm) << c.text << " mxcsr " << std::hex << mxcsr;
      // With unmasked overflow or underflow PE tells whether the result with an unbounded exponent
      // is inexact, which a masked run does not: PE may be set in addition.
      const bool scaled = (~mxcsr & 0xc00) != 0;
      const u32 compared = scaled ? ~u32{0x20} : ~u32{0};
      ASSERT_EQ(fpu.mxcsr & compared, expected.mxcsr & compared)
          << c.text << " " << std::hex << mxcsr;
      ASSERT_EQ(fpu.ymm, before.ymm) << c.text;
      return;
    }
    ASSERT_EQ(fault, -1) << c.text << " mxcsr " << std::hex << mxcsr;
    ASSERT_EQ(out_.fault, -1) << c.text;
    ASSERT_EQ(fpu.mxcsr, expected.mxcsr) << c.text << " " << std::hex << mxcsr;
    ASSERT_EQ(fpu.ymm, expected.ymm) << c.text;
    ASSERT_EQ(fpu.status, expected.status) << c.text;
    ASSERT_EQ(fpu.tag, expected.tag) << c.text;
    ASSERT_EQ(fpu.st, expected.st) << c.text;
    for (const unsigned r : {kRax, kRcx, kRdx}) {
      ASSERT_EQ(guest.regs[r], out_.after.regs[r]) << c.text << " register " << r;
    }
    ASSERT_EQ(arithmetic_flags(guest.lazy), out_.after.flags & kArithmeticFlags) << c.text;
    ASSERT_EQ(std::memcmp(machine_.ram(VectorMachine::kData), host_page_, 256), 0) << c.text;
  }

  VectorMachine machine_;
  HostRunner oracle_;
  CpuOutcome out_;
  u8* host_page_ = nullptr;
};

TEST_F(VectorOracle, ExceptionsMasked) {
  OperandSource source(1);
  for (const Case& c : kCases) {
    for (unsigned i = 0; i < 24; ++i) {
      // Rounding, FTZ and DAZ vary; sticky flags stay.
      const u32 mxcsr = 0x1f80 | (source.number() & (i < 12 ? 0x0 : 0xe07f));
      ASSERT_NO_FATAL_FAILURE(compare(c, source, mxcsr));
    }
  }
}

TEST_F(VectorOracle, ExceptionsUnmasked) {
  OperandSource source(2);
  for (const Case& c : kCases) {
    const std::string_view text = c.text;
    // Intermediate steps of DPPS and DPPD signal separately; see vector.cpp.
    if (text.find("dpp") != text.npos) continue;
    for (unsigned i = 0; i < 32; ++i) {
      // No flag may be set that is unmasked: it would not trap, but neither tell anything.
      const u32 masks = static_cast<u32>(source.number()) & 0x1f80;
      const u32 flags = static_cast<u32>(source.number()) & (masks >> 7);
      const u32 mxcsr = masks | flags | (source.number() & 0xe040);
      ASSERT_NO_FATAL_FAILURE(compare(c, source, mxcsr));
    }
  }
}

/// The bytes of a row with operands 1, 2, 3 (ModRM.reg, r/m, VEX.vvvv) or memory at [rdi].
std::string encode_row(const Row& r, bool memory, bool l) {
  std::vector<u8> bytes;
  append_opcode(bytes, r, l);
  const unsigned reg = r.reg >= 0 ? static_cast<unsigned>(r.reg) : 1;
  bytes.push_back(static_cast<u8>(memory ? reg << 3 | 7 : 0xc0 | reg << 3 | 2));
  for (const Operand& operand : r.operands) {
    if (operand.addressing == Addressing::kI || operand.addressing == Addressing::kL) {
      bytes.push_back(0x5a);
      break;
    }
  }
  std::string hex;
  for (const u8 byte : bytes) hex += fmt::format("{:02x}", byte);
  return hex;
}

TEST_F(VectorOracle, EveryRow) {
  OperandSource source(5);
  unsigned forms = 0;
  for (const Row& r : rows()) {
    const OperationInfo& info = operation_info(r.operation);
    if (info.category != Category::kVector || r.mode == ModeKey::kNot64) continue;
    if (!machine_.cpu.has(r.feature)) continue;
    for (const bool memory : {false, true}) {
      if (memory ? r.mod == ModKey::kRegister : r.mod == ModKey::kMemory) continue;
      for (const bool l : {false, true}) {
        if (l ? (!r.vex || (r.attributes & kVexL0)) : (r.attributes & kVexL1) != 0) continue;
        const std::string hex = encode_row(r, memory, l);
        const std::string text = fmt::format("{} ({})", info.mnemonic, hex);
        const Case c{text.c_str(), hex.c_str()};
        ++forms;
        for (unsigned i = 0; i < 6; ++i) {
          ASSERT_NO_FATAL_FAILURE(compare(c, source, i < 4 ? 0x1f80 : 0xff80));
        }
      }
    }
  }
  EXPECT_GT(forms, 900u);
}

TEST_F(VectorOracle, MemoryOperandSizes) {
  // Operands that end at the page end must fault exactly when they are longer than what is left.
  u8* pages = static_cast<u8*>(
      mmap(nullptr, 2 * kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  mprotect(pages + kPageSize, kPageSize, PROT_NONE);
  OperandSource source(4);
  CpuState& guest = machine_.cpu.state;
  for (const Case& c : kCases) {
    if (std::string_view(c.text).find("[rdi]") == std::string_view::npos) continue;
    for (const u64 left : {1, 2, 4, 8, 16, 32}) {
      CpuCase host;
      random_state(source, 0x1f80, host, guest);
      host.before.regs[kRdi] = reinterpret_cast<u64>(pages) + kPageSize - left;
      guest.regs[kRdi] = VectorMachine::kAbsent - left;
      host.bytes = VectorMachine::bytes(c.hex);
      oracle_.run_in_place(host, out_);
      const int fault = machine_.execute(c.hex);
      ASSERT_EQ(fault != -1, out_.fault != -1) << c.text << " with " << left << " bytes";
    }
  }
  munmap(pages, 2 * kPageSize);
}

}  // namespace
}  // namespace dragoman
