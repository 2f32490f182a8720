// The serial mouse as a driver finds it behind a 16550A.
#include "devices/serial_mouse.h"

#include <gtest/gtest.h>

#include "devices/mouse_input.h"
#include "devices/uart16550.h"
#include "tests/devices/isa_test_bench.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

constexpr u64 kMs = 1'000'000;
constexpr u16 kPort = 0x2f8;
constexpr u8 kDtr = 1, kRts = 2, kOut2 = 8, kLoopback = 0x10;

struct SerialMouseTest : ::testing::Test, IsaTestBench {
  SerialMouse mouse{"serial-mouse", scheduler};
  Uart16550 uart{"uart.1", scheduler, IrqLine(wires, 3), &mouse};
  Ps2Mouse ps2{scheduler, log};
  MouseInput input{ps2, &mouse};

  SerialMouseTest() {
    ports.add("uart.1", Port(kPort), Uart16550::kPortCount, uart);
    out(kPort + 3, 0x80);  // 1200 7N1, no FIFO
    out(kPort, 96);
    out(kPort + 1, 0);
    out(kPort + 3, 0x02);
  }
  void modem(u8 lines) { out(kPort + 4, lines); }
  /// What a driver that polls reads in the time.
  std::vector<u8> bytes_in(u64 ns) {
    std::vector<u8> bytes;
    for (u64 end = clock.now + ns; clock.now < end;) {
      run_for(kMs);
      if ((in(kPort + 5) & 1) != 0) bytes.push_back(in(kPort));
    }
    return bytes;
  }
  void switch_on() {
    modem(kDtr | kRts | kOut2);
    ASSERT_EQ(bytes_in(200 * kMs), (std::vector<u8>{'M', 'Z'}));
  }
};

TEST_F(SerialMouseTest, ListsItsWholeState) { check_state_list<SerialMouseState>(); }

TEST_F(SerialMouseTest, IdentifiesItselfWheneverItIsSwitchedOn) {
  EXPECT_TRUE(bytes_in(200 * kMs).empty());
  modem(kDtr);
  EXPECT_TRUE(bytes_in(200 * kMs).empty()) << "RTS is missing";
  switch_on();
  modem(kDtr);  // as a driver that looks for a mouse does
  EXPECT_TRUE(bytes_in(200 * kMs).empty());
  switch_on();
  modem(kRts);
  switch_on();
  modem(kDtr | kRts | kOut2);
  EXPECT_TRUE(bytes_in(200 * kMs).empty()) << "it was on already";
  modem(kDtr | kRts | kLoopback);  // which takes the lines away
  switch_on();
  uart.reset();
  EXPECT_FALSE(mouse.powered());
}

TEST_F(SerialMouseTest, AnswersWithinTheTimeThatDriversWait) {
  modem(kDtr | kRts);
  EXPECT_EQ(bytes_in(100 * kMs), (std::vector<u8>{'M', 'Z'}));
}

TEST_F(SerialMouseTest, ReportsMovement) {
  switch_on();
  input.move(1, 2, 0);
  EXPECT_EQ(bytes_in(100 * kMs), (std::vector<u8>{0x40, 0x01, 0x02, 0x00}));
  input.move(-1, -2, 0);
  // Both signs: X7 X6 in bits 1 and 0, Y7 Y6 in bits 3 and 2.
  EXPECT_EQ(bytes_in(100 * kMs), (std::vector<u8>{0x4f, 0x3f, 0x3e, 0x00}));
  input.move(100, -100, 0);  // 64h, 9Ch
  EXPECT_EQ(bytes_in(100 * kMs), (std::vector<u8>{0x49, 0x24, 0x1c, 0x00}));
}

TEST_F(SerialMouseTest, ReportsButtonsAndWheel) {
  switch_on();
  input.buttons(1);
  EXPECT_EQ(bytes_in(100 * kMs), (std::vector<u8>{0x60, 0x00, 0x00, 0x00}));
  input.buttons(2);
  EXPECT_EQ(bytes_in(100 * kMs), (std::vector<u8>{0x50, 0x00, 0x00, 0x00}));
  input.buttons(4);
  EXPECT_EQ(bytes_in(100 * kMs), (std::vector<u8>{0x40, 0x00, 0x00, 0x10}));
  input.move(0, 0, 1);
  EXPECT_EQ(bytes_in(100 * kMs), (std::vector<u8>{0x40, 0x00, 0x00, 0x11}));
  input.buttons(0);
  input.move(0, 0, -1);
  EXPECT_EQ(bytes_in(100 * kMs), (std::vector<u8>{0x40, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x0f}));
}

TEST_F(SerialMouseTest, SplitsWhatAPacketCannotHold) {
  switch_on();
  input.move(300, -300, 0);
  int x = 0, y = 0;
  const std::vector<u8> bytes = bytes_in(200 * kMs);
  ASSERT_EQ(bytes.size(), 12u);
  for (std::size_t i = 0; i < bytes.size(); i += 4) {
    EXPECT_EQ(bytes[i] & 0xf0, 0x40);
    x += static_cast<i8>((bytes[i] & 3) << 6 | bytes[i + 1]);
    y += static_cast<i8>((bytes[i] & 12) << 4 | bytes[i + 2]);
  }
  EXPECT_EQ(x, 300);
  EXPECT_EQ(y, -300);
}

TEST_F(SerialMouseTest, TakesTheTimeOf1200BitsASecond) {
  switch_on();
  for (int i = 0; i < 100; ++i) input.move(1, 0, 0);
  EXPECT_EQ(bytes_in(31 * kMs).size(), 4u);  // 9 bits are 7.5 ms
  EXPECT_EQ(bytes_in(31 * kMs).size(), 4u) << "all that came meanwhile is one packet";
  EXPECT_TRUE(bytes_in(100 * kMs).empty());
}

TEST_F(SerialMouseTest, InterruptsForEachByte) {
  switch_on();
  out(kPort + 1, 1);
  const int before = wires.rises[3];
  input.move(3, 0, 0);
  EXPECT_EQ(bytes_in(100 * kMs).size(), 4u);
  EXPECT_EQ(wires.rises[3], before + 4);
}

TEST_F(SerialMouseTest, WhatNobodyReadsIsOverrun) {
  switch_on();
  input.move(1, 1, 0);
  run_for(100 * kMs);
  EXPECT_EQ(in(kPort + 5) & 3, 3) << "data ready and overrun";
  EXPECT_EQ(in(kPort), 0x00) << "the last byte";
}

TEST_F(SerialMouseTest, MovesThePs2MouseWhileItIsOff) {
  ps2.write_byte(0xf4);  // reporting on
  while (ps2.has_byte()) (void)ps2.take_byte();
  input.move(1, 0, 0);
  EXPECT_TRUE(ps2.has_byte());
  while (ps2.has_byte()) (void)ps2.take_byte();
  switch_on();
  EXPECT_TRUE(bytes_in(100 * kMs).empty()) << "what was before is not its own";
  input.move(1, 0, 0);
  run_for(100 * kMs);
  EXPECT_FALSE(ps2.has_byte());
}

TEST_F(SerialMouseTest, ADamagedStateIsNotBelieved) {
  switch_on();
  SerialMouseState broken;
  fill_with_distinct_bytes(broken);
  broken.queued = 200;
  broken.dx = INT32_MIN;
  std::vector<u8> saved;
  save_fields(broken, saved);
  std::span<const u8> input_bytes(saved);
  ASSERT_TRUE(mouse.load(input_bytes).ok());
  mouse.move(-5, 0, 0);
  run_for(1000 * kMs);
}

}  // namespace
}  // namespace dragoman
