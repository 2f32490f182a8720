// Where a translator plugs into the run loop. The interpreter finds and decodes blocks; blocks that
// run often are handed to a Translation, which may attach host code to them.
#pragma once

#include <array>
#include <string>

#include "cpu/execute/block_cache.h"

namespace dragoman {

class Cpu;

/// Registers and services generated code reaches beside CpuState. The host's stack pointer is its
/// address while generated code runs: below lies a stack for calls into C++, behind it CpuState.
struct alignas(64) TranslatorFrame {
  i64 budget = 0;                ///< instructions left before the run loop is wanted
  std::array<u64, 3> high{};     ///< guest r13, r14, r15
  std::array<u64, 11> deltas{};  ///< host minus guest address of pages that were looked up
  u64 flags = 0;   ///< guest arithmetic flags: AH as LAHF gives it in bits 15:8, OF in bit 0
  u64 target = 0;  ///< of an indirect branch, or a value to be pushed
  const void* entry = nullptr;  ///< of the shadow page table, found in C++
  u64 block_invalidated = 0;    ///< bytes of the running region changed
  u32 dirty_uppers = 0xffff;    ///< YMM registers whose upper halves may not be zero
  u32 host_mxcsr = 0x1f80;      ///< what C++ code runs with
  u8 guest_mxcsr = 0;           ///< the host's MXCSR holds the guest's
  const void* host_stack = nullptr;
  const void* exit_stub = nullptr;
  const void* miss_stub = nullptr;
  const void* dispatch_stub = nullptr;
  const void* memory_stub = nullptr;
  const void* interpret_stub = nullptr;
  const void* jump_table = nullptr;
};

/// Where ES, SS and DS being flat begins in the mode key.
inline constexpr unsigned kModeKeyFlatShift = 16;

class Translation {
 public:
  virtual ~Translation() = default;
  /// Makes host code for a block the processor is about to run at `rip`. May decline.
  virtual void translate(Cpu& cpu, Block& block, u64 rip) = 0;
  /// Runs host code from `block` on until something needs the run loop: budget, attention, a fault
  /// (left pending), a block without code. Updates CpuState::instructions. False: there is no code
  /// for this block at this address, and nothing was executed.
  virtual bool run(Cpu& cpu, Block& block, u64 budget) = 0;
  /// The block's bytes changed; it may be running.
  virtual void forget(Block& block) = 0;
  /// All blocks are about to go; none is running.
  virtual void forget_all() = 0;
  /// What was translated and how it ran, for -d jit-stats.
  virtual std::string describe_statistics() const { return {}; }
};

}  // namespace dragoman
