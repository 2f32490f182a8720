// What the tests of the ISA chips share: a clock set by hand, ports, and wires that remember.
#pragma once

#include <algorithm>
#include <array>

#include "base/irq_line.h"
#include "base/log.h"
#include "base/scheduler.h"
#include "memory/port_map.h"

namespace dragoman {

class ManualClock : public VirtualClock {
 public:
  u64 now_ns() override { return now; }
  u64 now = 0;
};

/// Remembers the level of each pin and counts its changes.
class WireProbe : public IrqSink {
 public:
  void set_irq(unsigned pin, bool new_level) override {
    if (pin >= level.size() || level[pin] == new_level) return;
    level[pin] = new_level;
    ++(new_level ? rises : falls)[pin];
  }
  std::array<bool, 24> level{};
  std::array<int, 24> rises{};
  std::array<int, 24> falls{};
};

struct IsaTestBench {
  u8 in(u16 port) { return static_cast<u8>(ports.read(Port(port), 1)); }
  void out(u16 port, u8 value) { ports.write(Port(port), 1, value); }
  /// Lets virtual time pass, stopping at every deadline on the way.
  void run_until(u64 ns) {
    while (scheduler.next_deadline() <= ns) {
      clock.now = std::max(clock.now, scheduler.next_deadline());
      scheduler.run_due();
    }
    clock.now = std::max(clock.now, ns);
  }
  void run_for(u64 ns) { run_until(clock.now + ns); }
  /// Lets virtual time jump, as after a long pause of the host: deadlines are found late.
  void jump_for(u64 ns) {
    clock.now += ns;
    scheduler.run_due();
  }

  ManualClock clock;
  Scheduler scheduler{clock};
  Log log;
  PortMap ports{log};
  WireProbe wires;
};

}  // namespace dragoman
