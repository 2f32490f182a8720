// Random loops on both engines: registers, memory and instruction counts must agree throughout.
#include <gtest/gtest.h>

#include "tests/jit/random_program.h"

namespace dragoman {
namespace {

std::string hex(const std::vector<u8>& bytes) {
  std::string text;
  for (const u8 byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

/// One random loop, run in pieces of up to `longest_piece` instructions.
void random_loop(LockstepPair& pair, ProgramMaker& make, unsigned length, unsigned rounds,
                 u64 longest_piece) {
  const std::vector<u8> code = make.make(length);
  pair.code(BenchLayout::kCode, code);
  pair.put(BenchLayout::kCounter, rounds);
  for (u64 at = 0; at < BenchLayout::kDataBytes; at += 8) {
    pair.put(BenchLayout::kData + at, make.value());
  }
  for (unsigned reg = 0; reg < 16; ++reg) pair.set(reg, make.value());
  const u32 flags = kFlagFixed | (static_cast<u32>(make.number()) & kArithmeticFlags);
  pair.both([&](BenchMachine& m) {
    m.cpu->set_rflags(flags);
    m.cpu->state.segments[kFs].base = ProgramMaker::kFsBase;
    m.cpu->state.segments[kGs].base = ProgramMaker::kGsBase;
    m.cpu->state_replaced();
  });
  pair.start(BenchLayout::kCode);
  const u64 events = pair.translated.cpu->fault_log.size();
  for (unsigned pieces = 0; !pair.halted() || pieces == 0; ++pieces) {
    ASSERT_EQ(pair.translated.cpu->fault_log.size(), events)
        << "vector " << unsigned{pair.fault().vector} << " at " << pair.fault().rip << ": "
        << hex(code);
    ASSERT_LT(pieces, 20000u) << hex(code);
    const std::string difference = pair.run(1 + make.below(longest_piece), ~kArithmeticFlags);
    ASSERT_EQ(difference, "") << hex(code);
  }
  ASSERT_EQ(pair.difference(), "") << hex(code);
}

TEST(RandomPrograms, AgreeWithTheInterpreter) {
  LockstepPair pair;
  ProgramMaker make(1);
  for (unsigned i = 0; i < 150; ++i) {
    SCOPED_TRACE(i);
    random_loop(pair, make, 1 + static_cast<unsigned>(make.below(25)), 30, 2000);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(pair.blocks(), 150u);
}

TEST(RandomPrograms, AgreeFromTheFirstRunOn) {
  LockstepPair pair(16 * kMiB, 1);
  ProgramMaker make(2);
  for (unsigned i = 0; i < 600; ++i) {
    SCOPED_TRACE(i);
    random_loop(pair, make, 1 + static_cast<unsigned>(make.below(12)), 4, 500);
    if (HasFatalFailure()) return;
  }
}

// A cache that holds a few blocks only is emptied again and again.
TEST(RandomPrograms, AgreeWithASmallCache) {
  LockstepPair pair(8 * kKiB, 2);
  ProgramMaker make(3);
  for (unsigned i = 0; i < 60; ++i) {
    SCOPED_TRACE(i);
    random_loop(pair, make, 20, 12, 100);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(pair.translated.translator->times_full(), 5u);
  EXPECT_LE(pair.translated.translator->code_bytes(), 8 * kKiB);
}

}  // namespace
}  // namespace dragoman
