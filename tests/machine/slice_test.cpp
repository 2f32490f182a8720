// A timer that the guest arms in the middle of a slice comes when it is due, not at the slice's
// end.
#include <gtest/gtest.h>

#include <algorithm>

#include "machine/machine.h"

namespace dragoman {
namespace {

constexpr unsigned kShift = 3;  // 8 ns an instruction
constexpr u8 kPitTicks = 0x40;
// Mode 0 counts down from the clock pulse after the count was written (82C54, mode 0).
constexpr u64 kEarliestNs = 64 * 1000 / 1.193182, kLatestNs = 66 * 1000 / 1.193182;

// In real mode at F000:F000: the PIC, the PIT's counter 0 as a single shot, then a loop that counts
// at DS:0800h until IRQ 0 leaves the machine.
// clang-format off
const std::vector<u8> kProgram = {
    0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x70,        // cli; ds = ss = 0; sp
    0x66, 0xb9, 0x1b, 0x00, 0x00, 0x00, 0x66, 0xb8, 0x00, 0x01, 0xe0, 0xfe,  // no local APIC:
    0x66, 0x31, 0xd2, 0x0f, 0x30,                                            // its pin is INTR
    0xc7, 0x06, 0x20, 0x00, 0x56, 0xf0, 0xc7, 0x06, 0x22, 0x00, 0x00, 0xf0,  // vector 8
    0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x08, 0xe6, 0x21,                    // ICW1, ICW2
    0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x01, 0xe6, 0x21,                    // ICW3, ICW4
    0xb0, 0xfe, 0xe6, 0x21,                                            // only IRQ 0
    0xb9, 0x64, 0x00, 0xe2, 0xfe,                                      // some instructions
    0xb0, 0x30, 0xe6, 0x43, 0xb0, kPitTicks, 0xe6, 0x40, 0xb0, 0x00,   // mode 0
    0xe6, 0x40, 0xfb,                                                  // armed; sti
    0x66, 0xff, 0x06, 0x00, 0x08, 0xeb, 0xf9,                          // inc dword [800h]; jmp
    0x90, 0x90,
    0xba, 0x01, 0x05, 0xb0, 0x00, 0xee, 0xf4,                          // F056: leave by port 501h
};
// clang-format on

class SliceTest : public testing::TestWithParam<bool> {};

TEST_P(SliceTest, TimerArmedInsideIsNotLate) {
  Log log;
  MachineConfig config;
  RomImage rom{"test", Bytes(64 * kKiB)};
  std::copy(kProgram.begin(), kProgram.end(), rom.bytes.begin() + 0xf000);
  const u8 jump[] = {0xea, 0x00, 0xf0, 0x00, 0xf0};
  std::copy(std::begin(jump), std::end(jump), rom.bytes.begin() + 0xfff0);
  config.firmware = std::move(rom);
  config.has_vga = false;
  config.jit = GetParam();
  config.translator.runs_before_translation = 2;
  config.icount_shift = kShift;
  config.ram_bytes = 16 * kMiB;
  config.debug_exit = DebugExitConfig{};
  config.cpu = parse_cpu_model("max").take();
  for (const bool in_pieces : {false, true}) {
    auto machine = Machine::create(config, log).take();
    machine->set_host_deadline(host_time_ns() + 10'000'000'000);
    StopReason reason;
    if (in_pieces) {
      for (u64 limit = 10; machine->run_to(limit) != Machine::Pause::kStopped; limit += 10) {
        ASSERT_LT(limit, 200'000u);
      }
      reason = machine->take_stop_reason();
    } else {
      reason = machine->run();
    }
    ASSERT_EQ(reason.cause, StopCause::kDebugExit);
    u32 counted = 0;
    std::copy_n(machine->board().memory().ram() + 0x800, 4, reinterpret_cast<u8*>(&counted));
    // Two instructions a turn; interrupts are seen behind a block, so a few more are possible.
    EXPECT_GE(counted * 2, (kEarliestNs >> kShift) - 4);
    EXPECT_LE(counted * 2, (kLatestNs >> kShift) + 16);
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, SliceTest, testing::Bool());

}  // namespace
}  // namespace dragoman
