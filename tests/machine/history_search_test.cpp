// The last hit of what is hit very often: it is found without looking at every one before.
#include <gtest/gtest.h>

#include <algorithm>

#include "machine/history.h"
#include "machine/machine.h"

namespace dragoman {
namespace {

// In real mode at F000:F000: 20000 times INC [800h], as often INC [900h], three times INC [A00h],
// and 20000 rounds without an access.
// clang-format off
const std::vector<u8> kLoops = {
    0x31, 0xc0, 0x8e, 0xd8, 0xb9, 0x20, 0x4e, 0xff, 0x06, 0x00, 0x08, 0xe2, 0xfa, 0xb9, 0x20, 0x4e,
    0xff, 0x06, 0x00, 0x09, 0xe2, 0xfa, 0xb9, 0x03, 0x00, 0xff, 0x06, 0x00, 0x0a, 0xe2, 0xfa, 0xb9,
    0x20, 0x4e, 0x90, 0xe2, 0xfd, 0xeb, 0xfe,
};
// clang-format on
constexpr u64 kEarly = 0xff007, kLate = 0xff010, kFew = 0xff019, kStop = 0xff025;

class HistorySearch : public testing::TestWithParam<bool> {
 protected:
  HistorySearch() {
    MachineConfig config;
    RomImage rom{"test", Bytes(64 * kKiB)};
    std::copy(kLoops.begin(), kLoops.end(), rom.bytes.begin() + 0xf000);
    const u8 jump[] = {0xea, 0x00, 0xf0, 0x00, 0xf0};  // jmp F000:F000
    std::copy(std::begin(jump), std::end(jump), rom.bytes.begin() + 0xfff0);
    config.firmware = std::move(rom);
    config.has_vga = false;
    config.jit = GetParam();
    config.translator.runs_before_translation = 2;
    config.icount_shift = 3;
    config.ram_bytes = 4 * kMiB;
    config.cpu = parse_cpu_model("max").take();
    config.history = HistoryConfig{64 * kMiB, 100'000'000};  // one moment, at the beginning
    machine_ = Machine::create(config, log_).take();
    debugger().add_listener([this](MachineEvent event) {
      if (event == MachineEvent::kStop) machine_->stop({StopCause::kRequested, 0, "held"});
    });
    debugger().pause();
    (void)machine_->take_stop_reason();
    debugger().add_breakpoint(kStop);
    debugger().resume();
    until_held();
    EXPECT_EQ(debugger().pc(), kStop);
    debugger().remove_breakpoint(kStop);
  }
  Debugger& debugger() { return machine_->debugger(); }
  void until_held() {
    machine_->set_host_deadline(host_time_ns() + 60'000'000'000);
    ASSERT_EQ(machine_->run().cause, StopCause::kRequested);
  }
  DebugPoints::Cause back() {
    EXPECT_TRUE(debugger().reverse(false));
    until_held();
    return debugger().stop().cause;
  }
  u16 word(u64 address) {
    u16 value = 0;
    debugger().read_physical(address, {reinterpret_cast<u8*>(&value), 2});
    return value;
  }
  /// The last accesses of a variable, one after the other: each stands before its instruction.
  void expect_accesses(u64 address, u64 instruction, u16 last) {
    const DebugPoints::Watch watch{address, 2, false, true};
    debugger().add_watch(watch);
    for (u16 left = last; left-- > last - 3;) {
      EXPECT_EQ(back(), DebugPoints::Cause::kWatch);
      EXPECT_EQ(debugger().pc(), instruction);
      EXPECT_EQ(word(address), left);
      EXPECT_EQ(debugger().cpu().state.regs[kRcx] & 0xffff, u64{last} - left);
    }
    debugger().remove_watch(watch);
  }

  Log log_;
  std::unique_ptr<Machine> machine_;
};

TEST_P(HistorySearch, FindsTheLastAccess) {
  expect_accesses(0xa00, kFew, 3);
  expect_accesses(0x900, kLate, 20'000);
  expect_accesses(0x800, kEarly, 20'000);
}

TEST_P(HistorySearch, FindsItBehindAQuietTime) {
  const u64 end = machine_->instructions();
  expect_accesses(0x800, kEarly, 20'000);
  EXPECT_LT(machine_->instructions(), end / 3 + 100);
}

TEST_P(HistorySearch, FindsTheLastBreakpoint) {
  debugger().add_breakpoint(kEarly);
  for (u64 left = 1; left <= 3; ++left) {
    EXPECT_EQ(back(), DebugPoints::Cause::kBreakpoint);
    EXPECT_EQ(debugger().pc(), kEarly);
    EXPECT_EQ(debugger().cpu().state.regs[kRcx] & 0xffff, left);
  }
  debugger().add_breakpoint(kFew);
  debugger().resume();
  until_held();
  EXPECT_EQ(debugger().cpu().state.regs[kRcx] & 0xffff, 2u);  // forwards again
  debugger().remove_breakpoint(kEarly);
  debugger().resume();
  until_held();
  EXPECT_EQ(debugger().pc(), kFew);
  EXPECT_EQ(word(0xa00), 0u);
}

INSTANTIATE_TEST_SUITE_P(Engines, HistorySearch, testing::Bool(), [](const auto& engine) {
  return engine.param ? "Translator" : "Interpreter";
});

}  // namespace
}  // namespace dragoman
