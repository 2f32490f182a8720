#include "devices/uart16550.h"

#include <gtest/gtest.h>

#include "devices/character/backends.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

class Clock : public VirtualClock {
 public:
  u64 now_ns() override { return now; }
  u64 now = 1000;
};

class Pin : public IrqSink {
 public:
  void set_irq(unsigned, bool new_level) override {
    if (new_level && !level) ++edges;
    level = new_level;
  }
  bool level = false;
  int edges = 0;
};

class Uart : public testing::Test {
 protected:
  u8 in(u16 offset) { return static_cast<u8>(uart.port_read(0, offset, 1)); }
  void out(u16 offset, u32 value) { uart.port_write(0, offset, 1, value); }
  void advance(u64 ns) {
    clock.now += ns;
    scheduler.run_due();
  }
  /// 115200 8N1, FIFOs with trigger 14, OUT2.
  void program(u8 enable) {
    out(3, 0x83);
    out(0, 1);
    out(1, 0);
    out(3, 0x03);
    out(2, 0xc7);
    out(4, 0x0b);
    out(1, enable);
  }

  Clock clock;
  Scheduler scheduler{clock};
  Pin pin;
  MemoryCharacter host;
  Uart16550 uart{"uart.0", scheduler, IrqLine(pin, 4), &host};
};

TEST_F(Uart, ListsItsWholeState) { check_state_list<Uart16550State>(); }

TEST_F(Uart, HasRegistersOfA16550A) {
  out(7, 0x5a);
  EXPECT_EQ(in(7), 0x5a);
  EXPECT_EQ(in(2), 0x01);  // no FIFO bits yet
  out(2, 0x01);
  EXPECT_EQ(in(2), 0xc1);
  out(1, 0xff);
  EXPECT_EQ(in(1), 0x0f);
  out(3, 0x80);
  out(0, 0x34);
  out(1, 0x12);
  EXPECT_EQ(in(0), 0x34);
  EXPECT_EQ(in(1), 0x12);
  out(3, 0x03);
  EXPECT_EQ(in(1), 0x0f);
  out(4, 0xff);
  EXPECT_EQ(in(4), 0x1f);
  EXPECT_EQ(in(5), 0x60);
  out(4, 0);
  EXPECT_EQ(in(6) & 0xf0, 0xb0);
}

TEST_F(Uart, SendsAtOnce) {
  program(0);
  for (const char c : std::string("hello")) {
    EXPECT_EQ(in(5) & 0x60, 0x60);
    out(0, static_cast<u8>(c));
  }
  EXPECT_EQ(host.output(), "hello");
}

TEST_F(Uart, SendsOnlyTheBitsOfTheWord) {
  program(0);
  out(3, 0x02);  // 7 bits
  out(0, 0xc1);
  EXPECT_EQ(host.output(), "A");
}

TEST_F(Uart, CarriesWholeBytesUntilTheLineIsProgrammed) {
  out(0, 'a');
  EXPECT_EQ(host.output(), "a");
}

TEST_F(Uart, TransmitInterruptComesLaterThanTheWrite) {
  program(0x02);
  EXPECT_TRUE(pin.level);  // the transmitter is empty already
  EXPECT_EQ(in(2), 0xc2);
  EXPECT_FALSE(pin.level);  // reading IIR took it back
  EXPECT_EQ(in(2), 0xc1);
  out(0, 'x');
  EXPECT_FALSE(pin.level);
  advance(100);
  EXPECT_FALSE(pin.level);
  advance(10'000);  // more than a bit time of 8.7 us
  EXPECT_TRUE(pin.level);
  out(0, 'y');  // writing takes it back as well
  EXPECT_FALSE(pin.level);
  out(1, 0);
  advance(1'000'000);
  EXPECT_FALSE(pin.level);
}

TEST_F(Uart, EnablingTheTransmitInterruptAgainRaisesItAgain) {
  program(0x02);
  EXPECT_EQ(in(2) & 15, 2);
  out(1, 0x02);  // no change
  EXPECT_EQ(in(2) & 15, 1);
  out(1, 0x00);
  out(1, 0x02);
  EXPECT_EQ(in(2) & 15, 2);
}

TEST_F(Uart, ReceivesAtTriggerLevelAndHoldsTheRest) {
  program(0x01);
  host.inject("0123456789abc");
  EXPECT_FALSE(pin.level);
  EXPECT_EQ(in(5) & 1, 1);
  host.inject("d");  // the 14th
  EXPECT_TRUE(pin.level);
  EXPECT_EQ(in(2), 0xc4);
  host.inject("efGHI");
  EXPECT_EQ(host.held(), 3u);  // 16 fit
  std::string got;
  while (in(5) & 1) got += static_cast<char>(in(0));
  EXPECT_EQ(got, "0123456789abcdefGHI");
  EXPECT_EQ(in(5) & 2, 0);  // no overrun
  EXPECT_FALSE(pin.level);
}

TEST_F(Uart, TimeoutInterruptAfterFourCharacters) {
  program(0x01);
  host.inject("ab");
  advance(300'000);
  EXPECT_FALSE(pin.level);
  advance(60'000);  // 4 characters of 10 bits take 347 us
  EXPECT_TRUE(pin.level);
  EXPECT_EQ(in(2), 0xcc);
  EXPECT_EQ(in(0), 'a');
  EXPECT_FALSE(pin.level);  // a read restarts it
  advance(400'000);
  EXPECT_EQ(in(2), 0xcc);
  EXPECT_EQ(in(0), 'b');
  advance(400'000);
  EXPECT_EQ(in(2), 0xc1);
}

TEST_F(Uart, WithoutFifoOneCharacterEachWithItsOwnEdge) {
  program(0x01);
  out(2, 0);
  host.inject("xyz");
  EXPECT_EQ(pin.edges, 1);
  EXPECT_EQ(in(2), 0x04);
  EXPECT_EQ(in(0), 'x');
  EXPECT_EQ(pin.edges, 2);  // the line fell and rose again
  EXPECT_EQ(in(0), 'y');
  EXPECT_EQ(in(0), 'z');
  EXPECT_EQ(pin.edges, 3);
  EXPECT_FALSE(pin.level);
}

TEST_F(Uart, LoopbackOfDataAndModemLines) {
  program(0x00);
  out(4, 0x1a);
  EXPECT_EQ(in(6) & 0xf0, 0x90);  // RTS and OUT2 as CTS and DCD: Linux's probe
  out(0, 'q');
  EXPECT_EQ(host.output(), "");
  EXPECT_EQ(in(5) & 1, 1);
  EXPECT_EQ(in(0), 'q');
  host.inject("held");
  EXPECT_EQ(in(5) & 1, 0);
  out(4, 0x0b);
  EXPECT_EQ(in(0), 'h');
}

TEST_F(Uart, ModemStatusDeltasAndTrailingEdgeOfRing) {
  program(0x08);
  out(4, 0x18);
  in(6);
  EXPECT_FALSE(pin.level);
  out(4, 0x1e);  // RTS and OUT1 rise
  EXPECT_EQ(in(2), 0xc0);
  EXPECT_EQ(in(6), 0xd1);  // DCD RI CTS, DCTS; TERI waits for the falling edge
  EXPECT_EQ(in(2), 0xc1);
  out(4, 0x1a);
  EXPECT_EQ(in(6), 0x94);
}

TEST_F(Uart, OverrunIsReportedOnceWithItsInterrupt) {
  program(0x04);
  out(4, 0x18);
  for (int i = 0; i < 17; ++i) out(0, static_cast<u8>(i));
  EXPECT_TRUE(pin.level);
  EXPECT_EQ(in(2), 0xc6);
  EXPECT_EQ(in(5), 0x63);
  EXPECT_EQ(in(5), 0x61);
  EXPECT_EQ(in(2), 0xc1);
  for (int i = 0; i < 16; ++i) EXPECT_EQ(in(0), i);  // the FIFO kept its contents
}

TEST_F(Uart, BreakShowsWhenItsCharacterIsAtTheTop) {
  program(0x00);
  host.inject("a");
  uart.receive_break();
  EXPECT_EQ(in(5), 0xe1);  // an error is somewhere in the FIFO
  EXPECT_EQ(in(0), 'a');
  EXPECT_EQ(in(5), 0xf1);
  EXPECT_EQ(in(5), 0x61);
  EXPECT_EQ(in(0), 0);
}

TEST_F(Uart, FifoControlClears) {
  program(0x01);
  host.inject("abc");
  out(2, 0x03);
  EXPECT_EQ(in(5) & 1, 0);
  advance(1'000'000);
  EXPECT_FALSE(pin.level);
}

TEST_F(Uart, Out2GatesTheInterrupt) {
  program(0x02);
  EXPECT_TRUE(pin.level);
  out(4, 0x03);
  EXPECT_FALSE(pin.level);
}

TEST_F(Uart, SavedTimersRunAgain) {
  program(0x03);
  in(2);
  host.inject("a");
  out(0, 'x');
  std::vector<u8> saved;
  uart.save(saved);
  uart.reset();
  EXPECT_FALSE(pin.level);
  std::span<const u8> input(saved);
  ASSERT_TRUE(uart.load(input).ok());
  advance(20'000);
  EXPECT_EQ(in(2), 0xc2);
  advance(400'000);
  EXPECT_EQ(in(2), 0xcc);
}

TEST_F(Uart, DamagedStateDoesNoHarm) {
  std::vector<u8> saved(sizeof(Uart16550State), 0xff);
  std::span<const u8> input(saved);
  ASSERT_TRUE(uart.load(input).ok());
  for (int i = 0; i < 40; ++i) {
    in(5);
    in(0);
    uart.receive_break();
  }
}

}  // namespace
}  // namespace dragoman
