#include "frontends/test/oracle/case_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "cpu/decode/decoder.h"
#include "frontends/test/oracle/case_compare.h"

namespace dragoman {
namespace {

using L = CaseLayout;

constexpr const char* kNames[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                  "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
constexpr u64 kTextStart = 0x8000;  // where tests/asm loads code

void st_lines(std::string& out, const char* verb, const FpuState& fpu, const FpuState& other) {
  for (unsigned i = 0; i < 8; ++i) {
    if (fpu.st[i] == other.st[i]) continue;
    u64 mantissa;
    u16 exponent;
    std::memcpy(&mantissa, fpu.st[i].data(), 8);
    std::memcpy(&exponent, fpu.st[i].data() + 8, 2);
    out += fmt::format("        {}_x87 {}, 0x{:x}, 0x{:x}\n", verb, i, mantissa, exponent);
  }
}

void ymm_lines(std::string& out, const char* verb, const FpuState& fpu, const FpuState& other) {
  for (unsigned i = 0; i < 16; ++i) {
    if (fpu.ymm[i] == other.ymm[i]) continue;
    std::array<u64, 4> q;
    std::memcpy(q.data(), fpu.ymm[i].data(), 32);
    out += fmt::format("        {}_ymm {}, 0x{:x}, 0x{:x}, 0x{:x}, 0x{:x}\n", verb, i, q[0], q[1],
                       q[2], q[3]);
  }
}

void control_lines(std::string& out, const char* verb, const FpuState& fpu, const FpuState& other) {
  const auto line = [&](const char* name, u32 value, u32 before) {
    if (value != before) out += fmt::format("        {} {}, 0x{:x}\n", verb, name, value);
  };
  line("fcw", fpu.control, other.control);
  line("fsw", fpu.status, other.status);
  line("ftw", fpu.tag, other.tag);
  line("mxcsr", fpu.mxcsr, other.mxcsr);
}

}  // namespace

std::string case_source(const CpuCase& test, const CpuOutcome& host, const std::string& comment) {
  if (test.mode == CaseMode::k16) return {};
  const bool long_code = test.mode == CaseMode::k64;
  std::string out;
  std::string_view rest = comment;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    out += fmt::format("; {}\n", rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  out += fmt::format("%define MODE {}\n%include \"case.inc\"\n\n", long_code ? "u64" : "c32");
  // The instruction lies where the host had it.
  out += fmt::format("        section .text\n        times 0x{:x} hlt\n\n",
                     test.linear_start() - kTextStart);
  std::string name = describe_instruction(test);
  std::replace(name.begin(), name.end(), '"', '\'');
  out += fmt::format("case \"{}\"\n", name);
  FpuState defaults;
  defaults.control = 0x37f;
  const CaseRegisters& before = test.before;
  const unsigned count = long_code ? 16 : 8;
  for (unsigned i = 0; i < count; ++i) {
    if (before.regs[i] != 0) {
      out += fmt::format("        given {}, 0x{:x}\n", kNames[i], before.regs[i]);
    }
  }
  out += fmt::format("        given rflags, 0x{:x}\n", before.flags);
  out += "        vectors\n        given fs, 0\n";
  if (long_code) {
    out += "        given gs, 0\n";
    out += fmt::format("        given fsbase, 0x{:x}\n        given gsbase, 0x{:x}\n", L::kFsBase,
                       L::kGsBase);
  }
  control_lines(out, "given", before.fpu, defaults);
  st_lines(out, "given", before.fpu, defaults);
  ymm_lines(out, "given", before.fpu, defaults);
  // Pages around code, data and stack are absent, code is read-only.
  const auto page = [&](u64 address, u64 entry) {
    out += fmt::format("        poke 8, kPageTable64 + 8 * 0x{:x}, 0x{:x}\n", address >> kPageShift,
                       entry);
  };
  if (host.fault == kVectorPf) {
    for (const u64 absent : {L::kData - kPageSize, L::kData + L::kDataBytes, L::kStack - kPageSize,
                             L::kStack + L::kStackBytes}) {
      page(absent, 0);
    }
    if (host.cr2 >> kPageShift < 512) {
      const u64 at = host.cr2 & ~u64{kPageMask};
      const bool known = at == L::kCode || (test.cut != 0 && at == L::kCode + kPageSize) ||
                         (at >= L::kData && at < L::kData + L::kDataBytes) || at == L::kStack;
      if (!known) page(at, 0);
    }
    page(L::kCode, L::kCode | 5);
  }
  if (test.cut != 0) page(L::kCode + kPageSize, 0);
  std::vector<u8> start(L::kMemoryBytes);
  test.fill(start);
  const auto qword = [](const u8* bytes) {
    u64 v;
    std::memcpy(&v, bytes, 8);
    return v;
  };
  for (u64 i = 0; i < L::kMemoryBytes; i += 8) {
    if (const u64 v = qword(&start[i]); v != 0) {
      out += fmt::format("        poke 8, 0x{:x}, 0x{:x}\n", case_memory_address(i), v);
    }
  }
  // Expectations: what the host left behind.
  const CaseRegisters& after = host.after;
  if (host.fault >= 0) {
    // The error code's P bit depends on what else the host has mapped.
    out += host.fault == kVectorPf ? fmt::format("        faults {}\n", host.fault)
                                   : fmt::format("        faults {}, {}\n", host.fault, host.error);
    out += fmt::format("        faults_at 0x{:x}\n", host.rip);
    if (host.fault == kVectorPf) out += fmt::format("        fault_address 0x{:x}\n", host.cr2);
    out += "        any cpl\n        any cs\n        any ss\n";
  } else {
    u32 undefined = 0;
    for (unsigned i = 0; i < count; ++i) {
      if (after.regs[i] != before.regs[i]) {
        out += fmt::format("        expect {}, 0x{:x}\n", kNames[i], after.regs[i]);
      }
    }
    Instruction insn;
    if (decode(test.bytes, {static_cast<u8>(case_bits(test.mode))}, insn) == DecodeResult::kOk) {
      undefined = undefined_flags_of(test, insn);
    }
    out += fmt::format("        expect rflags, 0x{:x}, 0x{:x}\n", after.flags,
                       (kArithmeticFlags | kFlagDf | kFlagAc) & ~undefined);
  }
  control_lines(out, "expect", after.fpu, before.fpu);
  st_lines(out, "expect", after.fpu, before.fpu);
  ymm_lines(out, "expect", after.fpu, before.fpu);
  for (u64 i = 0; i < L::kMemoryBytes; i += 8) {
    if (qword(&start[i]) != qword(&host.memory[i])) {
      out += fmt::format("        expect_memory 8, 0x{:x}, 0x{:x}\n", case_memory_address(i),
                         qword(&host.memory[i]));
    }
  }
  out += "begin\n        db ";
  for (std::size_t i = 0; i < test.bytes.size(); ++i) {
    out += fmt::format("{}0x{:02x}", i == 0 ? "" : ", ", test.bytes[i]);
  }
  const u64 next = test.linear_start() + test.bytes.size();
  if (host.fault < 0 && host.rip != next) {
    out += fmt::format("\n        times 0x{:x} hlt ; the branch goes over these", host.rip - next);
  }
  out += "\ndone\n\nend_of_cases\n";
  return out;
}

}  // namespace dragoman
