// `monitor catch`: exceptions that are no faults, and those that come up in the delivery of others.
#include <gtest/gtest.h>

#include "frontends/gdb/gdb_server.h"
#include "tests/frontends/debug_machine.h"

namespace dragoman {
namespace {

// In real mode at F000:F000, five times: INT3, INTO with OF set, INT1, a NOP with TF set, and INT 3
// in its long form. All of them count at 900h and clear TF.
// clang-format off
const std::vector<u8> kTraps = {
    0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x70, 0xc7, 0x06, 0x04, 0x00, 0x49, 0xf0, 0xc7,
    0x06, 0x06, 0x00, 0x00, 0xf0, 0xc7, 0x06, 0x0c, 0x00, 0x49, 0xf0, 0xc7, 0x06, 0x0e, 0x00, 0x00,
    0xf0, 0xc7, 0x06, 0x10, 0x00, 0x49, 0xf0, 0xc7, 0x06, 0x12, 0x00, 0x00, 0xf0, 0xb9, 0x05, 0x00,
    0xcc, 0xb0, 0x7f, 0x04, 0x01, 0xce, 0xf1, 0x9c, 0x5b, 0x80, 0xcf, 0x01, 0x53, 0x9d, 0x90, 0xcd,
    0x03, 0xe2, 0xed, 0xfa, 0xf4, 0x90, 0x90, 0x90, 0x90, 0xff, 0x06, 0x00, 0x09, 0x55, 0x89, 0xe5,
    0x80, 0x66, 0x07, 0xfe, 0x5d, 0xcf,
};
// clang-format on
constexpr u64 kInt3 = 0xff030, kInto = 0xff035, kInt1 = 0xff036, kBehindNop = 0xff03f,
              kHandler = 0xff049;

class GdbCatch : public testing::TestWithParam<bool> {
 protected:
  explicit GdbCatch(const std::vector<u8>& code = kTraps, bool history = false)
      : pc_(code, GetParam(), history), debugger_(pc_.debugger()) {}

  /// The vector that was caught, or -1.
  int resume() {
    debugger_.resume();
    EXPECT_TRUE(pc_.run_until_held());
    return vector();
  }
  int step() {
    debugger_.step();
    EXPECT_TRUE(pc_.run_until_held());
    return vector();
  }
  int back(bool step) {
    EXPECT_TRUE(debugger_.reverse(step));
    EXPECT_TRUE(pc_.run_until_held());
    return vector();
  }
  int vector() {
    const Debugger::Stop& stop = debugger_.stop();
    return stop.cause == DebugPoints::Cause::kException ? stop.vector : -1;
  }
  u16 handled() {
    u16 count = 0;
    debugger_.read_physical(0x900, {reinterpret_cast<u8*>(&count), 2});
    return count;
  }
  u64 pc() { return debugger_.pc(); }

  DebugMachine pc_;
  Debugger& debugger_;
};

TEST_P(GdbCatch, StopsBeforeTraps) {
  debugger_.catch_vectors(~u32{0});
  for (u16 round = 0; round < 5; ++round) {
    const u16 before = round * 5;
    EXPECT_EQ(resume(), kVectorBp);
    EXPECT_EQ(pc(), kInt3);
    EXPECT_EQ(debugger_.stop().address, kInt3);
    EXPECT_EQ(handled(), before);
    EXPECT_EQ(debugger_.cpu().state.regs[kRsp], 0x7000u);
    EXPECT_EQ(resume(), kVectorOf);
    EXPECT_EQ(pc(), kInto);
    EXPECT_EQ(handled(), before + 1);
    EXPECT_EQ(resume(), kVectorDb);
    EXPECT_EQ(pc(), kInt1);
    EXPECT_EQ(handled(), before + 2);
    EXPECT_EQ(resume(), kVectorDb);  // by TF: the instruction is done
    EXPECT_EQ(pc(), kBehindNop);
    EXPECT_EQ(handled(), before + 3);
    EXPECT_EQ(debugger_.cpu().state.regs[kRsp], 0x7000u);
  }
}

TEST_P(GdbCatch, OneVectorAndBreakpointsBesideIt) {
  debugger_.catch_vectors(1u << kVectorBp);
  EXPECT_EQ(resume(), kVectorBp);
  EXPECT_EQ(resume(), kVectorBp);  // INT n is no exception
  EXPECT_EQ(handled(), 5u);
  debugger_.add_breakpoint(kInt3);
  EXPECT_EQ(resume(), -1);  // first the breakpoint, and then what the instruction does
  EXPECT_EQ(pc(), kInt3);
  EXPECT_EQ(resume(), kVectorBp);
  EXPECT_EQ(pc(), kInt3);
  EXPECT_EQ(handled(), 10u);
  debugger_.add_breakpoint(kHandler);
  EXPECT_EQ(resume(), -1);
  EXPECT_EQ(pc(), kHandler);
}

TEST_P(GdbCatch, StepsIntoTheHandler) {
  debugger_.catch_vectors(1u << kVectorBp | 1u << kVectorDb);
  EXPECT_EQ(resume(), kVectorBp);
  EXPECT_EQ(step(), -1);
  EXPECT_EQ(pc(), kHandler);
  EXPECT_EQ(resume(), kVectorDb);
  EXPECT_EQ(pc(), kInt1);
  EXPECT_EQ(resume(), kVectorDb);
  EXPECT_EQ(pc(), kBehindNop);
  EXPECT_EQ(step(), -1);
  EXPECT_EQ(pc(), kHandler);
  debugger_.catch_vectors(0);
  debugger_.add_breakpoint(kInt3);
  EXPECT_EQ(resume(), -1);
  debugger_.catch_vectors(1u << kVectorBp);
  EXPECT_EQ(step(), kVectorBp);
  EXPECT_EQ(pc(), kInt3);
  EXPECT_EQ(handled(), 5u);
}

TEST_P(GdbCatch, TheGdbClientHearsOfIt) {
  std::string out;
  GdbServer server(
      debugger_, [&](std::string_view text) { out += text; },
      [](const std::string&) { return std::string(); });
  server.connected();
  (void)pc_.machine().take_stop_reason();
  debugger_.catch_vectors(1u << kVectorBp);
  const std::string_view go = "$c#63";
  server.receive({reinterpret_cast<const u8*>(go.data()), go.size()});
  EXPECT_TRUE(pc_.run_until_held());
  EXPECT_NE(out.find("$T05"), std::string::npos) << out;
}

class GdbCatchBack : public GdbCatch {
 protected:
  GdbCatchBack() : GdbCatch(kTraps, true) {}
};

TEST_P(GdbCatchBack, GoesBackToTraps) {
  debugger_.add_breakpoint(0xff044);  // HLT
  EXPECT_EQ(resume(), -1);
  EXPECT_EQ(handled(), 25u);
  debugger_.catch_vectors(1u << kVectorBp | 1u << kVectorDb);
  for (u16 round = 5; round-- > 3;) {
    EXPECT_EQ(back(false), kVectorDb);
    EXPECT_EQ(pc(), kBehindNop);
    EXPECT_EQ(handled(), round * 5 + 3);
    EXPECT_EQ(back(false), kVectorDb);
    EXPECT_EQ(pc(), kInt1);
    EXPECT_EQ(handled(), round * 5 + 2);
    EXPECT_EQ(back(false), kVectorBp);
    EXPECT_EQ(pc(), kInt3);
    EXPECT_EQ(handled(), round * 5);
  }
  EXPECT_EQ(resume(), kVectorDb);
  EXPECT_EQ(pc(), kInt1);
  debugger_.catch_vectors(0);
  EXPECT_EQ(resume(), -1);
  EXPECT_EQ(handled(), 25u);
}

/// UD2 in 64-bit mode without a usable interrupt table.
class GdbCatchLate : public GdbCatch {
 protected:
  GdbCatchLate() : GdbCatch(kModesProgram) {}
};

TEST_P(GdbCatchLate, ExceptionsOfADelivery) {
  for (const u8 vector : {kVectorGp, kVectorDf}) {
    debugger_.catch_vectors(1u << vector);
    EXPECT_EQ(resume(), vector);
    EXPECT_TRUE(debugger_.stop().delivered);
    EXPECT_EQ(pc(), kUd2);
    debugger_.catch_vectors(1u << kVectorUd);
    // No stop that was too late lets the next exception pass.
    EXPECT_EQ(resume(), kVectorUd);
    EXPECT_EQ(pc(), kUd2);
    EXPECT_FALSE(debugger_.stop().delivered);
  }
}

const auto kName = [](const testing::TestParamInfo<bool>& p) {
  return p.param ? "Translator" : "Interpreter";
};
// In protected mode a jump to a task whose DS is beyond the GDT: #TS, which belongs to the new task
// and is counted by its handler at 900h. INT 0 leads to the same task through a task gate.
// clang-format off
const std::vector<u8> kNewTask = {
    0x31, 0xc0, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x70, 0xbe, 0x98, 0xf0, 0xbf, 0x00, 0x05, 0xb9,
    0x28, 0x00, 0xfc, 0xf3, 0x2e, 0xa4, 0x2e, 0x0f, 0x01, 0x16, 0xc0, 0xf0, 0x2e, 0x0f, 0x01, 0x1e,
    0xc6, 0xf0, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, 0x66, 0xea, 0x32, 0xf0, 0x0f, 0x00,
    0x08, 0x00, 0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x90, 0x00,
    0x00, 0x66, 0xb8, 0x18, 0x00, 0x0f, 0x00, 0xd8, 0xc7, 0x05, 0x20, 0x20, 0x00, 0x00, 0x8b, 0xf0,
    0x0f, 0x00, 0xc7, 0x05, 0x24, 0x20, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0xc7, 0x05, 0x38, 0x20,
    0x00, 0x00, 0x00, 0x80, 0x00, 0x00, 0xc7, 0x05, 0x4c, 0x20, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00,
    0xc7, 0x05, 0x50, 0x20, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0xc7, 0x05, 0x54, 0x20, 0x00, 0x00,
    0xf8, 0x00, 0x00, 0x00, 0xea, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00, 0xf4, 0x36, 0xff, 0x05, 0x00,
    0x09, 0x00, 0x00, 0xf4, 0x90, 0x90, 0x90, 0x90, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0xcf, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x92, 0xcf, 0x00,
    0x67, 0x00, 0x00, 0x10, 0x00, 0x89, 0x00, 0x00, 0x67, 0x00, 0x00, 0x20, 0x00, 0x89, 0x00, 0x00,
    0x27, 0x00, 0x00, 0x05, 0x00, 0x00, 0x57, 0x00, 0xcc, 0xf0, 0x0f, 0x00, 0x00, 0x00, 0x20, 0x00,
    0x00, 0x85, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x8c, 0xf0, 0x08, 0x00,
    0x00, 0x8e, 0x0f, 0x00,
};
// clang-format on
constexpr std::size_t kSwitch = 0x84;  ///< the jump, in the program
constexpr u64 kNewTaskHandler = 0xff08c;

std::vector<u8> through_gate() {
  std::vector<u8> program = kNewTask;
  program[kSwitch] = 0xcd;
  program[kSwitch + 1] = 0;
  return program;
}

class GdbCatchNewTask : public GdbCatch {
 protected:
  explicit GdbCatchNewTask(const std::vector<u8>& code = kNewTask) : GdbCatch(code) {}
  void expect_stop_behind() {
    debugger_.catch_vectors(1u << kVectorTs);
    EXPECT_EQ(resume(), kVectorTs);
    EXPECT_EQ(debugger_.stop().error_code, 0xf8u);
    EXPECT_EQ(pc(), kNewTaskHandler);  // it is delivered already
    EXPECT_EQ(handled(), 0u);
    debugger_.add_breakpoint(kNewTaskHandler + 7);
    EXPECT_EQ(resume(), -1);
    EXPECT_EQ(handled(), 1u);
  }
};

TEST_P(GdbCatchNewTask, FaultOfTheNewTask) { expect_stop_behind(); }

class GdbCatchTaskGate : public GdbCatchNewTask {
 protected:
  GdbCatchTaskGate() : GdbCatchNewTask(through_gate()) {}
};

TEST_P(GdbCatchTaskGate, FaultOfTheNewTask) { expect_stop_behind(); }

INSTANTIATE_TEST_SUITE_P(Engines, GdbCatch, testing::Bool(), kName);
INSTANTIATE_TEST_SUITE_P(Engines, GdbCatchNewTask, testing::Bool(), kName);
INSTANTIATE_TEST_SUITE_P(Engines, GdbCatchTaskGate, testing::Bool(), kName);
INSTANTIATE_TEST_SUITE_P(Engines, GdbCatchBack, testing::Bool(), kName);
INSTANTIATE_TEST_SUITE_P(Engines, GdbCatchLate, testing::Bool(), kName);

}  // namespace
}  // namespace dragoman
