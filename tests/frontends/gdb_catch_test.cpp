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
INSTANTIATE_TEST_SUITE_P(Engines, GdbCatch, testing::Bool(), kName);
INSTANTIATE_TEST_SUITE_P(Engines, GdbCatchBack, testing::Bool(), kName);
INSTANTIATE_TEST_SUITE_P(Engines, GdbCatchLate, testing::Bool(), kName);

}  // namespace
}  // namespace dragoman
