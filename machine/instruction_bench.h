// A processor with nothing but RAM around it, for running single instructions: set registers,
// memory and mode, execute, read everything back, on the interpreter or on the translator. Ports
// read all ones, no interrupt ever comes, time stands still, random numbers are the same in each
// run. README.md has an example, and how many instructions a second it does.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "base/scheduler.h"
#include "cpu/cpu.h"
#include "jit/translator.h"
#include "memory/guest_memory.h"
#include "memory/memory_map.h"
#include "memory/port_map.h"

namespace dragoman {

/// Modes in which InstructionBench::enter() puts the processor. CPL is 0 in the first four.
enum class BenchMode : u8 {
  kReal,         ///< segments at 0, limits FFFFh, vector table at 0
  kProtected16,  ///< flat 16-bit code and stack, no paging, empty descriptor tables
  kProtected32,  ///< flat 32-bit code and stack, no paging, empty descriptor tables
  kLong64,       ///< 64-bit mode, RAM mapped one to one by tables in the last 16 KiB of RAM
  /// CPL 3 under a 64-bit kernel that only catches events: flat 64-, 32- and 16-bit code with the
  /// selectors of Linux (33h, 23h, 2Bh; 16-bit: 07h and 0Fh of an LDT with limits FFFFh), alignment
  /// checks possible (CR0.AM), all extended state enabled. RAM is mapped one to one, but closed
  /// until allow() opens pages.
  kUser64,
  kUser32,
  kUser16,
};

/// Who executes. The translator takes a block at its first run.
enum class BenchEngine : u8 { kInterpreter, kTranslator };

/// What a page of the user modes may be used for.
enum class BenchAccess : u8 { kNone, kRead, kReadWrite, kReadExecute };

/// How execute() ended.
struct BenchOutcome {
  int vector = -1;       ///< of the exception or software interrupt it met, -1 for none
  u32 error_code = 0;    ///< 0 for vectors without one
  u64 address = 0;       ///< CR2 of a #PF
  bool finished = true;  ///< false: RIP was still at the instruction when the limit was reached
};

class InstructionBench {
 public:
  static constexpr u64 kDefaultRam = 16 * kMiB;

  /// `ram_bytes` from address 0, a multiple of the page size, 1 MiB to 1 GiB. Nothing lies above.
  static Result<std::unique_ptr<InstructionBench>> create(
      const CpuModel& model, u64 ram_bytes = kDefaultRam,
      BenchEngine engine = BenchEngine::kInterpreter);

  /// Translates from now on, with nothing translated yet; `observer` may be null.
  void translate(const TranslatorOptions& options, RegionObserver* observer = nullptr);

  /// Everything as after reset, RAM zero, then the given mode. CS:IP, the stack pointer and the
  /// general registers are zero.
  void enter(BenchMode mode);

  /// Registers, flags and hidden parts, to be read at any time. After writing through it call
  /// state_changed() once, before the next step.
  CpuState& state() { return cpu_.state; }
  void state_changed() { cpu_.state_replaced(); }
  /// The same, cheaper, when only general, vector and segment registers, RIP and CPL changed (the
  /// flags by set_flags()).
  void registers_changed();
  u32 flags() const { return cpu_.rflags(); }
  void set_flags(u32 value) { cpu_.set_rflags(value); }
  /// A segment register as real mode loads it: base 16 times the selector, limit FFFFh.
  void set_real_segment(unsigned segment, u16 selector);
  /// 8086 boards have 20 address lines: addresses from 100000h on are those from 0 on.
  void set_address_wrap(bool on) { cpu_.set_a20(!on); }

  /// Opens or closes whole pages for the user modes, from the linear address `address`, rounded
  /// down; the first `ram_size() - system_bytes()` bytes can be opened. Holds until enter().
  void allow(u64 address, u64 bytes, BenchAccess access);
  /// The end of RAM that the user modes keep for page tables, descriptor tables and handlers.
  u64 system_bytes() const { return system_pages() * kPageSize; }

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

  /// Puts `instruction` at CS:RIP, jumps to themselves behind it, and runs until RIP has left it or
  /// an event was taken; repeated instructions run to their end. In the user modes an event is
  /// taken back from its handler: RIP, RSP, RFLAGS, CS and SS are then as the handler would find
  /// them on its stack (RIP of a fault is that of the instruction). In the other modes the state
  /// is that after the delivery, or after the shutdown where no vector table is set up.
  /// At most `limit` instructions; bytes outside RAM are dropped.
  BenchOutcome execute(std::span<const u8> instruction, u64 limit = 100'000);
  /// Whether the translator took part in anything so far.
  u64 blocks_translated() const {
    return translator_ != nullptr ? translator_->blocks_translated() : 0;
  }

  /// One instruction, or the delivery of the fault it raised. On the translator more than one, if
  /// a block is that long: use execute() or run().
  RunExit step() { return cpu_.run(1); }
  /// Until HLT, shutdown or `limit` instructions.
  RunExit run(u64 limit) { return cpu_.run(limit); }

  Cpu& cpu() { return cpu_; }

 private:
  class StillClock final : public VirtualClock {
   public:
    u64 now_ns() override { return 0; }
  };
  InstructionBench(const CpuModel& model, std::unique_ptr<GuestMemory> memory, BenchEngine engine);
  CpuWiring wiring();
  void map_long_mode();
  void enter_user(BenchMode mode);
  void take_back_event();
  u64 system_pages() const;
  u64 system_base() const { return ram_size() - system_bytes(); }
  void put(u64 address, u64 value) {
    write(address, std::span<const u8>(reinterpret_cast<const u8*>(&value), sizeof(value)));
  }
  u64 get(u64 address);

  StillClock clock_;
  Log log_;
  std::unique_ptr<GuestMemory> memory_;
  MemoryMap map_;
  PortMap ports_;
  Cpu cpu_;
  std::unique_ptr<Translator> translator_;
  SplitMix64 random_;      ///< what RDRAND and RDSEED give
  std::vector<u64> used_;  ///< pages to be cleared by the next enter()
};

}  // namespace dragoman
