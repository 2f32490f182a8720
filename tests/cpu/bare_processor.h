// A processor with RAM from address 0 and nothing else, as it comes out of reset.
#pragma once

#include <memory>
#include <utility>

#include "base/scheduler.h"
#include "cpu/cpu.h"
#include "memory/guest_memory.h"
#include "memory/memory_map.h"
#include "memory/port_map.h"

namespace dragoman {

class StillClock final : public VirtualClock {
 public:
  u64 now_ns() override { return 0; }
};

struct BareProcessor {
  explicit BareProcessor(const CpuModel& model, u64 ram_bytes = 2 * kMiB)
      : memory(GuestMemory::create(ram_bytes).take()), map(*memory, log), ports(log) {
    map.add_memory("ram", PhysicalAddress(0), ram_bytes, memory->ram(), true, true,
                   MemoryMap::kPriorityRam);
    CpuWiring wiring;
    wiring.memory = &map;
    wiring.ports = &ports;
    wiring.clock = &clock;
    wiring.log = &log;
    cpu = std::make_unique<Cpu>(model, wiring);
  }

  StillClock clock;
  Log log;
  std::unique_ptr<GuestMemory> memory;
  MemoryMap map;
  PortMap ports;
  std::unique_ptr<Cpu> cpu;
};

}  // namespace dragoman
