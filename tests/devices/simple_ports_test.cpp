// Parallel port, debug console, debug exit.
#include <gtest/gtest.h>

#include "devices/character/backends.h"
#include "devices/debug_console.h"
#include "devices/isa_debug_exit.h"
#include "devices/parallel_port.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

class Clock : public VirtualClock {
 public:
  u64 now_ns() override { return now; }
  u64 now = 0;
};

class Pin : public IrqSink {
 public:
  void set_irq(unsigned, bool new_level) override { level = new_level; }
  bool level = false;
};

class Printer : public testing::Test {
 protected:
  u32 status() { return port.port_read(0, 1, 1); }
  void print(u8 c, u8 control) {
    port.port_write(0, 0, 1, c);
    port.port_write(0, 2, 1, control | 1u);
    port.port_write(0, 2, 1, control);
  }
  void advance(u64 ns) {
    clock.now += ns;
    scheduler.run_due();
  }
  Clock clock;
  Scheduler scheduler{clock};
  Pin pin;
  MemoryCharacter host;
  ParallelPort port{"lpt.0", scheduler, IrqLine(pin, 7), &host};
};

TEST_F(Printer, ListsItsWholeState) { check_state_list<ParallelPortState>(); }

TEST_F(Printer, PrintsOnStrobeAndHandshakes) {
  EXPECT_EQ(status(), 0xd8u);
  print('A', 0x0c);
  EXPECT_EQ(host.output(), "A");
  EXPECT_EQ(status(), 0x58u);  // busy
  advance(1500);
  EXPECT_EQ(status(), 0x18u);  // and acknowledging
  advance(1000);
  EXPECT_EQ(status(), 0xd8u);
  EXPECT_FALSE(pin.level);
  EXPECT_EQ(port.port_read(0, 0, 1), u32{'A'});
  EXPECT_EQ(port.port_read(0, 2, 1), 0xccu);
}

TEST_F(Printer, InterruptsWhenEnabledAndIgnoresStrobesInReset) {
  print('A', 0x1c);
  EXPECT_FALSE(pin.level);
  advance(2500);
  EXPECT_TRUE(pin.level);
  status();
  EXPECT_FALSE(pin.level);
  print('B', 0x08);
  EXPECT_EQ(host.output(), "A");
}

TEST(DebugConsole, PrintsAndAnswers) {
  MemoryCharacter host;
  DebugConsole console("debugcon", &host);
  console.port_write(0, 0, 1, 'h');
  console.port_write(0, 0, 1, 'i');
  EXPECT_EQ(host.output(), "hi");
  EXPECT_EQ(console.port_read(0, 0, 1), 0xe9u);
}

TEST(IsaDebugExit, ExitsWithAnOddStatus) {
  int status = -1;
  IsaDebugExit device([&](int s) { status = s; });
  device.port_write(0, 0, 4, 0x10);
  EXPECT_EQ(status, 0x21);
  device.port_write(0, 0, 1, 0);
  EXPECT_EQ(status, 1);
}

}  // namespace
}  // namespace dragoman
