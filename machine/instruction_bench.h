// A processor with nothing but RAM around it, for running single instructions: set registers,
// memory and mode, step, read everything back. Ports read all ones, no interrupt ever comes, time
// stands still. Thousands of instructions per second, each on a state of its own.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "base/scheduler.h"
#include "cpu/cpu.h"
#include "memory/guest_memory.h"
#include "memory/memory_map.h"
#include "memory/port_map.h"

namespace dragoman {

/// Modes in which InstructionBench::enter() puts the processor, all with CPL 0.
enum class BenchMode : u8 {
  kReal,         ///< segments at 0, limits FFFFh, vector table at 0
  kProtected16,  ///< flat 16-bit code and stack, no paging, empty descriptor tables
  kProtected32,  ///< flat 32-bit code and stack, no paging, empty descriptor tables
  kLong64,       ///< 64-bit mode, RAM mapped one to one by tables in the last 16 KiB of RAM
};

class InstructionBench {
 public:
  static constexpr u64 kDefaultRam = 16 * kMiB;

  /// `ram_bytes` from address 0, a multiple of the page size, at least 1 MiB. Nothing lies above.
  static Result<std::unique_ptr<InstructionBench>> create(const CpuModel& model,
                                                          u64 ram_bytes = kDefaultRam);

  /// Everything as after reset, RAM zero, then the given mode. CS:IP, the stack pointer and the
  /// general registers are zero.
  void enter(BenchMode mode);

  /// Registers, flags and hidden parts, to be read at any time. After writing through it call
  /// state_changed() once, before the next step.
  CpuState& state() { return cpu_.state; }
  void state_changed() { cpu_.state_replaced(); }
  u32 flags() const { return cpu_.rflags(); }
  void set_flags(u32 value) { cpu_.set_rflags(value); }
  /// A segment register as real mode loads it: base 16 times the selector, limit FFFFh.
  void set_real_segment(unsigned segment, u16 selector);
  /// 8086 boards have 20 address lines: addresses from 100000h on are those from 0 on.
  void set_address_wrap(bool on) { cpu_.set_a20(!on); }

  u64 ram_size() const { return memory_->ram_size(); }
  /// Physical memory. Bytes outside RAM are dropped, and read as all ones.
  void write(u64 address, std::span<const u8> bytes);
  void write(u64 address, u8 byte) { write(address, std::span<const u8>(&byte, 1)); }
  u8 read(u64 address);
  /// Numbers of the 4 KiB pages written since enter(), by write() or by the guest. A list that is
  /// asked for once per test: it starts over.
  std::vector<u64> take_written_pages();
  std::span<const u8> page(u64 number) const {
    return memory_->ram_span().subspan(number * kPageSize, kPageSize);
  }

  /// One instruction, or the delivery of the fault it raised.
  RunExit step() { return cpu_.run(1); }
  /// Until HLT, shutdown or `limit` instructions.
  RunExit run(u64 limit) { return cpu_.run(limit); }

  Cpu& cpu() { return cpu_; }

 private:
  class StillClock final : public VirtualClock {
   public:
    u64 now_ns() override { return 0; }
  };
  InstructionBench(const CpuModel& model, std::unique_ptr<GuestMemory> memory);
  CpuWiring wiring();
  void map_long_mode();

  StillClock clock_;
  Log log_;
  std::unique_ptr<GuestMemory> memory_;
  MemoryMap map_;
  PortMap ports_;
  Cpu cpu_;
  std::vector<u64> used_;  ///< pages to be cleared by the next enter()
};

}  // namespace dragoman
