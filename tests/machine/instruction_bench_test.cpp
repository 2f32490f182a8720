// Single instructions on the bench: states in, states out.
#include "machine/instruction_bench.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <ctime>

namespace dragoman {
namespace {

std::unique_ptr<InstructionBench> bench(u64 ram = InstructionBench::kDefaultRam) {
  return std::move(InstructionBench::create(parse_cpu_model("max").value(), ram).value());
}
void code(InstructionBench& b, u64 address, std::initializer_list<u8> bytes) {
  b.write(address, std::span<const u8>(bytes.begin(), bytes.size()));
}

TEST(InstructionBench, StepsOneInstructionOfEachMode) {
  const auto b = bench();
  struct Case {
    BenchMode mode;
    u64 rax, expected;  // after ADD rAX,1 with the operand size of the mode
    u64 length;
  };
  for (const Case& c :
       {Case{BenchMode::kReal, 0xffffffff, 0xffff0000, 3},
        Case{BenchMode::kProtected16, 0xffffffff, 0xffff0000, 3},
        Case{BenchMode::kProtected32, ~u64{0}, 0, 3}, Case{BenchMode::kLong64, ~u64{0}, 0, 3}}) {
    b->enter(c.mode);
    code(*b, 0x1000, {0x83, 0xc0, 0x01});
    b->state().rip() = 0x1000;
    b->state().regs[kRax] = c.rax;
    b->state_changed();
    EXPECT_EQ(b->step(), RunExit::kBudget);
    EXPECT_EQ(b->state().regs[kRax], c.expected) << static_cast<int>(c.mode);
    EXPECT_EQ(b->state().rip(), 0x1000 + c.length);
    EXPECT_TRUE(b->flags() & kFlagZf);
  }
}

TEST(InstructionBench, DeliversAFaultAsOneStep) {
  const auto b = bench();
  code(*b, 0x1000, {0xf7, 0xf1});  // DIV CX with CX = 0
  code(*b, 0, {0x34, 0x12, 0x00, 0x20});
  b->set_real_segment(kSs, 0x3000);
  b->state().regs[kRsp] = 0x100;
  b->state().rip() = 0x1000;
  b->state_changed();
  b->step();
  EXPECT_EQ(b->state().segments[kCs].selector, 0x2000);
  EXPECT_EQ(b->state().rip(), 0x1234u);
  EXPECT_EQ(b->state().regs[kRsp], 0xfau);
  EXPECT_EQ(b->read(0x300fb) << 8 | b->read(0x300fa), 0x1000);
}

TEST(InstructionBench, RandomNumbersAreTheSameInEachRun) {
  const auto b = bench();
  std::array<u64, 2> first{}, again{};
  for (auto* numbers : {&first, &again}) {
    b->enter(BenchMode::kUser64);
    b->allow(0x1000, kPageSize, BenchAccess::kReadExecute);
    for (u64& number : *numbers) {
      b->state().rip() = 0x1000;
      b->state_changed();
      b->execute(std::array<u8, 4>{0x48, 0x0f, 0xc7, 0xf0});  // RDRAND RAX
      EXPECT_TRUE(b->flags() & kFlagCf);
      number = b->state().regs[kRax];
    }
  }
  EXPECT_NE(first[0], 0u);
  EXPECT_NE(first[0], first[1]);
  EXPECT_EQ(first, again);
}

TEST(InstructionBench, PortsReadAllOnesAndHltEndsARun) {
  const auto b = bench();
  code(*b, 0x1000, {0xe5, 0x60, 0xf4, 0x40});  // IN AX,60h; HLT; INC AX
  b->state().rip() = 0x1000;
  b->state_changed();
  EXPECT_EQ(b->run(10), RunExit::kHalted);
  EXPECT_EQ(b->state().regs[kRax], 0xffffu);
  EXPECT_EQ(b->state().rip(), 0x1003u);
}

TEST(InstructionBench, TellsWhichPagesWereWrittenAndClearsThem) {
  const auto b = bench();
  code(*b, 0x1000, {0xa2, 0x00, 0x50});  // MOV [5000h],AL
  b->state().rip() = 0x1000;
  b->state().regs[kRax] = 0x5a;
  b->state_changed();
  EXPECT_EQ(b->take_written_pages(), (std::vector<u64>{1}));
  b->step();
  EXPECT_EQ(b->take_written_pages(), (std::vector<u64>{5}));
  EXPECT_EQ(b->page(5)[0], 0x5a);
  b->enter(BenchMode::kReal);
  EXPECT_EQ(b->read(0x5000), 0);
  EXPECT_EQ(b->read(0x1000), 0);
  EXPECT_TRUE(b->take_written_pages().empty());
}

TEST(InstructionBench, ForgetsTheCodeOfTheTestBefore) {
  const auto b = bench();
  for (unsigned i = 0; i < 2000; ++i) {
    b->enter(BenchMode::kReal);
    code(*b, 0x1000, {0xb0, static_cast<u8>(i)});  // MOV AL,i
    b->state().rip() = 0x1000;
    b->state_changed();
    b->step();
    ASSERT_EQ(b->state().regs[kRax], i & 0xff);
  }
}

TEST(InstructionBench, WrapsAddressesLikeABoardOfThe8086) {
  const auto b = bench();
  b->set_real_segment(kDs, 0xffff);
  code(*b, 0x1000, {0xc6, 0x06, 0x10, 0x00, 0x77});  // MOV BYTE [10h],77h
  for (const bool wrap : {true, false}) {
    b->set_address_wrap(wrap);
    b->state().rip() = 0x1000;
    b->state_changed();
    b->step();
    EXPECT_EQ(b->read(wrap ? 0 : 0x100000), 0x77);
  }
}

TEST(InstructionBench, RefusesSizesItCannotServe) {
  const CpuModel model = parse_cpu_model("max").value();
  EXPECT_FALSE(InstructionBench::create(model, 4096));
  EXPECT_FALSE(InstructionBench::create(model, 2 * kMiB + 1));
  const auto small = bench(kMiB);
  small->write(kMiB, 1);
  EXPECT_EQ(small->read(kMiB), 0xff);
}

constexpr BenchEngine kBothEngines[] = {BenchEngine::kInterpreter, BenchEngine::kTranslator};

std::unique_ptr<InstructionBench> user_bench(BenchEngine engine, BenchMode mode) {
  auto b = InstructionBench::create(parse_cpu_model("max").value(), 4 * kMiB, engine).take();
  b->enter(mode);
  b->allow(0x1000, kPageSize, BenchAccess::kReadExecute);
  b->allow(0x5000, kPageSize, BenchAccess::kReadWrite);
  b->state().rip() = 0x1000;
  b->state().regs[kRsp] = 0x5800;
  return b;
}

TEST(InstructionBench, ExecutesUserCodeOnBothEngines) {
  for (const BenchEngine engine : kBothEngines) {
    for (const BenchMode mode : {BenchMode::kUser64, BenchMode::kUser32, BenchMode::kUser16}) {
      const auto b = user_bench(engine, mode);
      b->state().regs[kRax] = 5;
      b->registers_changed();
      const std::array<u8, 3> add = {0x83, 0xc0, 0x02};  // ADD rAX,2
      const BenchOutcome outcome = b->execute(add);
      EXPECT_EQ(outcome.vector, -1);
      EXPECT_TRUE(outcome.finished);
      EXPECT_EQ(b->state().regs[kRax], 7u);
      EXPECT_EQ(b->state().rip(), 0x1003u);
      EXPECT_EQ(b->state().cpl, 3);
      if (engine == BenchEngine::kInterpreter) {
        EXPECT_EQ(b->blocks_translated(), 0u);
      } else if (mode == BenchMode::kUser64) {
        EXPECT_GT(b->blocks_translated(), 0u);
      }
    }
  }
}

TEST(InstructionBench, TakesEventsBackFromTheirHandlers) {
  for (const BenchEngine engine : kBothEngines) {
    const auto b = user_bench(engine, BenchMode::kUser64);
    b->state().regs[kRbx] = 0x6ffe;
    b->state().regs[kRcx] = 0x1234;
    b->set_flags(kFlagFixed | kFlagCf);
    b->registers_changed();
    const std::array<u8, 2> store = {0x89, 0x0b};  // MOV [RBX],ECX
    BenchOutcome outcome = b->execute(store);
    EXPECT_EQ(outcome.vector, kVectorPf);
    EXPECT_EQ(outcome.error_code, 6u);  // write, user, not present
    EXPECT_EQ(outcome.address, 0x6ffeu);
    EXPECT_EQ(b->state().rip(), 0x1000u);
    EXPECT_EQ(b->state().regs[kRsp], 0x5800u);
    EXPECT_EQ(b->state().cpl, 3);
    EXPECT_TRUE(b->flags() & kFlagCf);

    b->allow(0x6000, 2 * kPageSize, BenchAccess::kReadWrite);  // goes on where it stopped
    outcome = b->execute(store);
    EXPECT_EQ(outcome.vector, -1);
    EXPECT_EQ(b->read(0x6fff) << 8 | b->read(0x6ffe), 0x1234);

    b->state().rip() = 0x1000;
    b->registers_changed();
    const std::array<u8, 1> breakpoint = {0xcc};
    outcome = b->execute(breakpoint);
    EXPECT_EQ(outcome.vector, kVectorBp);
    EXPECT_EQ(b->state().rip(), 0x1001u);
  }
}

TEST(InstructionBench, PagesAreClosedUntilAllowed) {
  const auto b = user_bench(BenchEngine::kInterpreter, BenchMode::kUser32);
  const std::array<u8, 2> store = {0x89, 0x0b};
  const struct {
    BenchAccess access;
    u32 error;
  } cases[] = {{BenchAccess::kNone, 6}, {BenchAccess::kRead, 7}, {BenchAccess::kReadExecute, 7}};
  for (const auto& c : cases) {
    b->allow(0x7000, kPageSize, c.access);
    b->state().rip() = 0x1000;
    b->state().regs[kRbx] = 0x7000;
    b->registers_changed();
    const BenchOutcome outcome = b->execute(store);
    EXPECT_EQ(outcome.vector, kVectorPf);
    EXPECT_EQ(outcome.error_code, c.error);
  }
  // The bench's own tables cannot be opened.
  b->allow(b->ram_size() - b->system_bytes(), b->system_bytes(), BenchAccess::kReadWrite);
  b->state().rip() = 0x1000;
  b->state().regs[kRbx] = b->ram_size() - kPageSize;
  b->registers_changed();
  EXPECT_EQ(b->execute(store).vector, kVectorPf);
}

TEST(InstructionBench, RunsRepeatedInstructionsToTheirEndAndStopsRunaways) {
  for (const BenchEngine engine : kBothEngines) {
    const auto b = user_bench(engine, BenchMode::kUser64);
    b->state().regs[kRcx] = 100;
    b->state().regs[kRdi] = 0x5100;
    b->state().regs[kRax] = 0x77;
    b->registers_changed();
    const std::array<u8, 2> fill = {0xf3, 0xaa};  // REP STOSB
    EXPECT_TRUE(b->execute(fill).finished);
    EXPECT_EQ(b->state().regs[kRcx], 0u);
    EXPECT_EQ(b->read(0x5163), 0x77);
    EXPECT_EQ(b->read(0x5164), 0);

    b->state().rip() = 0x1000;
    b->registers_changed();
    const std::array<u8, 2> forever = {0xeb, 0xfe};
    EXPECT_FALSE(b->execute(forever, 1000).finished);
  }
}

// Not a test: how many instructions a second suites may expect, each with registers of its own.
//   build/test_machine --gtest_also_run_disabled_tests --gtest_filter='*InstructionsPerSecond'
TEST(InstructionBench, DISABLED_InstructionsPerSecond) {
  constexpr u64 kCount = 200'000;
  for (const BenchEngine engine : kBothEngines) {
    for (const bool changing : {false, true}) {
      const auto b = user_bench(engine, BenchMode::kUser64);
      const std::clock_t start = std::clock();  // processor time: others may use the host, too
      u64 sum = 0;
      for (u64 i = 0; i < kCount; ++i) {
        b->state().rip() = 0x1000;
        b->state().regs[kRax] = i;
        b->state().regs[kRbx] = 0x5100;
        b->set_flags(kFlagFixed);
        b->registers_changed();
        const u8 immediate = static_cast<u8>(changing ? i : 1);
        const std::array<u8, 4> add = {0x48, 0x83, 0x03, immediate};  // ADD QWORD [RBX], imm8
        ASSERT_TRUE(b->execute(add).finished);
        sum += b->flags();
      }
      const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
      fmt::print("{}, {}: {:.0f} instructions per second (checksum {})\n",
                 engine == BenchEngine::kInterpreter ? "interpreter" : "translator",
                 changing ? "other bytes each time" : "the same bytes", kCount / seconds, sum);
    }
  }
}

}  // namespace
}  // namespace dragoman
