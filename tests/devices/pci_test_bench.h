// Memory, ports and virtual time for tests of PCI functions and interrupt logic.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "base/cpu_pins.h"
#include "base/irq_line.h"
#include "base/log.h"
#include "base/scheduler.h"
#include "devices/pci/pci_bus.h"
#include "devices/pci/pci_function.h"
#include "memory/memory_map.h"
#include "memory/port_map.h"

namespace dragoman {

class PciTestClock : public VirtualClock {
 public:
  u64 now_ns() override { return now += step; }
  u64 now = 0;
  u64 step = 0;  ///< time that passes with every look at the clock
};

struct PciTestBench {
  explicit PciTestBench(u64 ram_bytes = 4 * kMiB) : pool(GuestMemory::create(ram_bytes).take()) {}

  /// Lets virtual time pass, running timers at their deadlines.
  void run_until(u64 ns) {
    while (scheduler.next_deadline() <= ns) {
      clock.now = std::max(clock.now, scheduler.next_deadline());
      scheduler.run_due();
    }
    clock.now = ns;
  }
  u32 config_read(unsigned slot, unsigned function, unsigned reg, unsigned size) {
    ports.write(Port(0xcf8), 4, 0x80000000 | slot << 11 | function << 8 | (reg & 0xfc));
    return ports.read(Port(static_cast<u16>(0xcfc + (reg & 3))), size);
  }
  void config_write(unsigned slot, unsigned function, unsigned reg, unsigned size, u32 value) {
    ports.write(Port(0xcf8), 4, 0x80000000 | slot << 11 | function << 8 | (reg & 0xfc));
    ports.write(Port(static_cast<u16>(0xcfc + (reg & 3))), size, value);
  }

  Log log;
  std::unique_ptr<GuestMemory> pool;
  MemoryMap memory{*pool, log};
  PortMap ports{log};
  PciSpaces spaces{memory, ports};
  PciTestClock clock;
  Scheduler scheduler{clock};
};

/// Remembers levels and counts rising edges of 64 pins.
class IrqRecorder : public IrqSink {
 public:
  void set_irq(unsigned pin, bool level) override {
    ASSERT_LT(pin, levels.size());
    if (level && !levels[pin]) ++rises[pin];
    levels[pin] = level;
  }
  std::array<bool, 64> levels{};
  std::array<unsigned, 64> rises{};
};

class PinRecorder : public CpuPins {
 public:
  void set_interrupt_request(bool level) override { request = level; }
  void raise_nmi() override { ++nmis; }
  void raise_smi() override { ++smis; }
  void raise_init() override { ++inits; }
  void start_up(u8 vector) override { start_ups.push_back(vector); }
  void set_a20(bool) override {}
  bool request = false;
  unsigned nmis = 0, smis = 0, inits = 0;
  std::vector<u8> start_ups;
};

}  // namespace dragoman
