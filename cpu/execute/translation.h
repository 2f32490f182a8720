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
  std::array<u64, 24> deltas{};  ///< host minus guest address of pages that were looked up
  u64 flags = 0;     ///< guest arithmetic flags: AH as LAHF gives it in bits 15:8, OF in bit 0
  u64 target = 0;    ///< of an indirect branch, or a value to be pushed
  u64 jump_key = 0;  ///< of the fetch context, see JumpTable
  const void* entry = nullptr;  ///< of the shadow page table, found in C++
  u64 block_invalidated = 0;    ///< bytes of the running region changed
  u64 scratch = 0;
  u32 host_mxcsr = 0x1f80;  ///< what C++ code runs with
  u8 vectors_live = 0;      ///< XMM/YMM and MXCSR of the guest are in the host's registers
  u8 x87_live = 0;          ///< and the x87 state in the host's
  const void* host_stack = nullptr;
  const void* exit_stub = nullptr;
  const void* miss_stub = nullptr;
  const void* dispatch_stub = nullptr;
  const void* memory_stub = nullptr;
  const void* interpret_stub = nullptr;
  const void* vectors_stub = nullptr;
  const void* guard_stub = nullptr;
};

/// Where indirect branches go: from a key, made of a linear address and the fetch context, to host
/// code. A slot whose key belongs to another slot is empty.
struct JumpTable {
  static constexpr u64 kSlots = u64{1} << 18;
  static constexpr u64 kFactor = 0x9e3779b97f4a7c15;
  static constexpr unsigned kShift = 46;

  std::array<u64, kSlots> keys;
  std::array<const void*, kSlots> hosts;

  /// Contexts with the same low 16 bits are told apart by clear(): see AddressSpaces.
  static constexpr u64 context_key(u32 context) { return u64{context} << 48; }
  static constexpr u64 slot(u64 key) { return key * kFactor >> kShift; }
  void set(u64 key, const void* host) {
    keys[slot(key)] = key;
    hosts[slot(key)] = host;
  }
  void clear() {
    // Key 0 has slot 0, 1 another one.
    keys.fill(0);
    keys[0] = 1;
  }
  /// Forgets targets inside [first, first + bytes).
  void drop(const void* first, u64 bytes) {
    for (u64 i = 0; i < kSlots; ++i) {
      if (reinterpret_cast<u64>(hosts[i]) - reinterpret_cast<u64>(first) < bytes)
        keys[i] = i == 0 ? 1 : 0;
    }
  }
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
