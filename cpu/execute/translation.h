// Where a translator plugs into the run loop. The interpreter finds and decodes blocks; blocks that
// run often are handed to a Translation, which may attach host code to them.
#pragma once

#include <string>

#include "cpu/execute/block_cache.h"

namespace dragoman {

class Cpu;

/// Registers and services generated code reaches beside CpuState. Lies right behind it in Cpu, so
/// that one base register serves both.
struct TranslatorFrame {
  i64 budget = 0;  ///< instructions left before the run loop is wanted
  u64 flags = 0;   ///< guest arithmetic flags: AH as LAHF gives it in bits 15:8, OF in bit 0
  u64 block_invalidated = 0;  ///< the running block's bytes changed
  u64 target = 0;             ///< of an indirect branch, while its stack access is under way
  u64 linear = 0;             ///< of the access under way
  const void* exit_stub = nullptr;
  const void* dispatch_stub = nullptr;
  const void* memory_stub = nullptr;
  const void* interpret_stub = nullptr;
  const void* jump_table = nullptr;
};

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
