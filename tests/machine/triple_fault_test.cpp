// What the log says of a guest that dies, once and again.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>

#include "machine/clock.h"
#include "machine/machine.h"

namespace dragoman {
namespace {

/// A firmware that counts its starts in CMOS byte 72h. The first `faults` end in a triple fault,
/// the next leaves through isa-debug-exit with status 85.
RomImage faulting_firmware(u8 faults) {
  const std::vector<u8> code = {
      0xb0, 0x72, 0xe6, 0x70, 0xe4, 0x71,          // al := CMOS byte
      0xfe, 0xc0, 0xe6, 0x71, 0x3c, faults,        // one more; compare
      0x76, 0x07,                                  // jbe to lidt
      0xba, 0x01, 0x05, 0xb0, 0x2a, 0xee,   0xf4,  // out 501h, 42; hlt
      0x2e, 0x0f, 0x01, 0x1e, 0x00, 0x00,   0xcc,  // lidt cs:[0]: limit 0; int3
  };
  RomImage rom{"test", Bytes(64 * kKiB)};
  std::copy(code.begin(), code.end(), rom.bytes.begin() + 0xf000);
  rom.bytes[0xfff0] = 0xe9;  // jmp F000h
  rom.bytes[0xfff1] = 0x0d;
  rom.bytes[0xfff2] = 0xf0;
  return rom;
}

class TripleFault : public testing::Test {
 protected:
  TripleFault() {
    config_.firmware = faulting_firmware(3);
    config_.has_vga = false;
    config_.icount_shift = 0;
    config_.debug_exit = DebugExitConfig{};
    EXPECT_TRUE(log_->open(path_));
  }
  ~TripleFault() override { std::filesystem::remove(path_); }

  StopReason run() {
    auto machine = Machine::create(config_, *log_);
    if (!machine) {
      ADD_FAILURE() << machine.error().message;
      return {};
    }
    machine.value()->set_host_deadline(host_time_ns() + 10'000'000'000);
    return machine.value()->run();
  }
  /// How often the log says `text`; the last thing a test asks, as it closes the log.
  unsigned logged(const std::string& text) {
    log_.reset();
    std::ifstream file(path_);
    const std::string all{std::istreambuf_iterator<char>(file), {}};
    unsigned count = 0;
    for (auto at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++count;
    return count;
  }

  std::string path_ = testing::TempDir() + "triple_fault_" +
                      testing::UnitTest::GetInstance()->current_test_info()->name() + ".log";
  MachineConfig config_;
  std::optional<Log> log_{std::in_place};
};

TEST_F(TripleFault, IsReportedInFullOnceHoweverOftenTheGuestReboots) {
  const StopReason reason = run();
  EXPECT_EQ(reason.cause, StopCause::kDebugExit);
  EXPECT_EQ(reason.status, 85);
  EXPECT_EQ(logged("faults, the last one at the end"), 1u);
  EXPECT_EQ(logged("triple fault again"), 1u);
}

TEST_F(TripleFault, EndsTheRunWithoutReboot) {
  config_.reboot = false;
  EXPECT_EQ(run().cause, StopCause::kTripleFault);
  EXPECT_EQ(logged("faults, the last one at the end"), 1u);
}

}  // namespace
}  // namespace dragoman
