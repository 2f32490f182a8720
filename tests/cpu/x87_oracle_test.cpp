// x87 instructions against the host processor, exceptions masked and unmasked.
#include <sys/mman.h>

#include "frontends/test/oracle/host_runner.h"
#include "tests/cpu/vector_machine.h"

namespace dragoman {
namespace {

struct Case {
  const char* text;
  const char* hex;
};
constexpr Case kCases[] = {
#define INSTRUCTION(text, hex) {text, hex},
#include "tests/cpu/x87_instructions.inc"
#undef INSTRUCTION
};

void compare(VectorMachine& machine, HostRunner& oracle, u8* host_page, const Case& c,
             OperandSource& source, u16 control) {
  CpuCase host;
  CpuState& guest = machine.cpu.state;
  FpuState& fpu = guest.fpu;
  fpu = FpuState{};
  const unsigned top = source.number() & 7;
  fpu.control = control | 0x40;
  // Condition codes and flags of masked exceptions may be set already.
  fpu.status = static_cast<u16>(top << 11 | (source.number() & (0x4700 | (control & 0x3f))));
  fpu.tag = source.number() % 2 ? u8{0xff} : static_cast<u8>(source.number() | source.number());
  for (auto& st : fpu.st) st = source.extended();
  source.fill({host_page, 64});
  if (source.number() % 3 == 0) {
    const auto value = source.extended();
    std::memcpy(host_page + 16, value.data(), 10);
  }
  std::memcpy(machine.ram(VectorMachine::kData), host_page, 64);
  host.before.fpu = fpu;
  host.before.regs[kRdi] = reinterpret_cast<u64>(host_page) + 16;
  guest.regs[kRdi] = VectorMachine::kData + 16;
  host.before.regs[kRax] = guest.regs[kRax] = source.number();
  host.before.flags = kFlagFixed | kFlagIf | (source.number() & kArithmeticFlags);
  set_arithmetic_flags(guest.lazy, static_cast<u32>(host.before.flags));

  host.bytes = VectorMachine::bytes(c.hex);
  CpuOutcome out;
  oracle.run_in_place(host, out);
  ASSERT_EQ(machine.execute(c.hex), -1) << c.text;
  ASSERT_EQ(out.fault, -1) << c.text;

  const FpuState& expected = out.after.fpu;
  ASSERT_EQ(fpu.control, expected.control) << c.text;
  ASSERT_EQ(fpu.status, expected.status) << c.text << " control " << std::hex << control;
  ASSERT_EQ(fpu.tag, expected.tag) << c.text;
  ASSERT_EQ(fpu.st, expected.st) << c.text;
  ASSERT_EQ(guest.regs[kRax], out.after.regs[kRax]) << c.text;
  ASSERT_EQ(arithmetic_flags(guest.lazy), out.after.flags & kArithmeticFlags) << c.text;
  ASSERT_EQ(std::memcmp(machine.ram(VectorMachine::kData), host_page, 64), 0) << c.text;
}

TEST(X87Oracle, AllControlWords) {
  VectorMachine machine;
  HostRunner oracle;
  if (!oracle.problem().empty()) GTEST_SKIP() << oracle.problem();
  u8* host_page = static_cast<u8*>(
      mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  OperandSource source(3);
  for (const Case& c : kCases) {
    for (unsigned i = 0; i < 150; ++i) {
      u16 control = static_cast<u16>(source.number() & 0xf3f);
      if (i % 3 == 0) control = 0x33f;
      ASSERT_NO_FATAL_FAILURE(compare(machine, oracle, host_page, c, source, control));
    }
  }
  munmap(host_page, kPageSize);
}

}  // namespace
}  // namespace dragoman
