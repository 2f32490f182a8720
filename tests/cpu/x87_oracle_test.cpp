// x87 instructions against the host processor, exceptions masked and unmasked.
#include <sys/mman.h>

#include "tests/cpu/host_oracle.h"
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

void compare(VectorMachine& machine, HostOracle& oracle, u8* host_page, const Case& c,
             OperandSource& source, u16 control) {
  auto host = std::make_unique<HostState>();
  CpuState& guest = machine.cpu.state;
  FpuState& fpu = guest.fpu;
  fpu = FpuState{};
  const unsigned top = source.number() & 7;
  fpu.control = host->area.control = control | 0x40;
  // Condition codes and flags of masked exceptions may be set already.
  fpu.status = host->area.status =
      static_cast<u16>(top << 11 | (source.number() & (0x4700 | (control & 0x3f))));
  fpu.tag = host->area.tag =
      source.number() % 2 ? u8{0xff} : static_cast<u8>(source.number() | source.number());
  for (unsigned i = 0; i < 8; ++i) fpu.st[(top + i) & 7] = host->area.st[i] = source.extended();
  source.fill({host_page, 64});
  if (source.number() % 3 == 0) {
    const auto value = source.extended();
    std::memcpy(host_page + 16, value.data(), 10);
  }
  std::memcpy(machine.ram(VectorMachine::kData), host_page, 64);
  host->rdi = reinterpret_cast<u64>(host_page) + 16;
  guest.regs[kRdi] = VectorMachine::kData + 16;
  host->rax = guest.regs[kRax] = source.number();
  host->flags = 2 | (source.number() & kArithmeticFlags);
  set_arithmetic_flags(guest.lazy, static_cast<u32>(host->flags));

  oracle.run(VectorMachine::bytes(c.hex), *host);
  ASSERT_EQ(machine.execute(c.hex), -1) << c.text;

  const unsigned new_top = (host->area.status >> 11) & 7;
  ASSERT_EQ(fpu.control, host->area.control) << c.text;
  ASSERT_EQ(fpu.status, host->area.status) << c.text << " control " << std::hex << control;
  ASSERT_EQ(fpu.tag, host->area.tag) << c.text;
  for (unsigned i = 0; i < 8; ++i) {
    ASSERT_EQ(fpu.st[(new_top + i) & 7], host->area.st[i]) << c.text << " st " << i;
  }
  ASSERT_EQ(guest.regs[kRax], host->rax) << c.text;
  ASSERT_EQ(arithmetic_flags(guest.lazy), host->flags & kArithmeticFlags) << c.text;
  ASSERT_EQ(std::memcmp(machine.ram(VectorMachine::kData), host_page, 64), 0) << c.text;
}

TEST(X87Oracle, AllControlWords) {
  VectorMachine machine;
  HostOracle oracle;
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
