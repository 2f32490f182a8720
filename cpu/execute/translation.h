// Where a translator plugs into the run loop. The interpreter finds and decodes blocks; blocks that
// run often are handed to a Translation, which may attach host code to them.
#pragma once

#include <array>
#include <string>

#include "cpu/execute/block_cache.h"
#include "cpu/execute/host/x87_image.h"
#include "memory/linear_window.h"

namespace dragoman {

class Cpu;
class ShadowTable;

/// Shared code that looks a page up for an access, by kind of access and how far it reaches.
struct ProbeStubs {
  enum Result : unsigned { kDelta, kAddress };
  static constexpr unsigned kSpans = 9;  ///< 1, 2, 4 ... 256 bytes
  static constexpr unsigned kCount = 4 * kSpans;
  static constexpr unsigned index(bool write, Result result, unsigned span) {
    unsigned log2 = 0;
    while (1u << log2 < span) ++log2;
    return (write ? 2 * kSpans : 0) + result * kSpans + log2;
  }
};

/// Registers and services generated code reaches beside CpuState. The host's stack pointer is its
/// address while generated code runs: below lies a stack for calls into C++, behind it CpuState.
/// What hot code uses lies first, where a byte suffices for its offset.
struct alignas(64) TranslatorFrame {
  i64 budget = 0;             ///< instructions left before the run loop is wanted
  std::array<u64, 3> high{};  ///< guest r13, r14, r15
  u64 flags = 0;     ///< guest arithmetic flags: AH as LAHF gives it in bits 15:8, OF in bit 0
  u64 jump_key = 0;  ///< of the fetch context, see JumpTable
  ShadowTable* shadow = nullptr;  ///< the view in use of the current address space
  u32 fetch_context = 0;          ///< identity, see Cpu::fetch_context()
  u8 vectors_live = 0;            ///< XMM/YMM and MXCSR of the guest are in the host's registers
  u8 x87_live = 0;                ///< x87 and MMX registers are
  u64 window_first = LinearWindow::kHighFirst;  ///< where its high part begins, and
  u64 between_windows = LinearWindow::kHighFirst - LinearWindow::kLowEnd;  ///< bytes below that
  std::array<u64, 24> deltas{};  ///< host minus guest address of pages that were looked up
  u64 target = 0;                ///< of an indirect branch, or a value to be pushed
  u64 delta = 0;                 ///< host minus linear address of an access, found in C++
  u64 block_invalidated = 0;     ///< bytes of the running region changed
  u32 host_mxcsr = 0x1f80;       ///< what C++ code runs with
  const void* site = nullptr;    ///< of the access that was looked up in C++ last
  const void* host_stack = nullptr;
  const void* exit_stub = nullptr;
  const void* miss_stub = nullptr;
  const void* dispatch_stub = nullptr;
  const void* memory_stub = nullptr;
  const void* interpret_stub = nullptr;
  const void* vectors_stub = nullptr;
  const void* guard_stub = nullptr;
  const void* window_stub = nullptr;
  const ShadowTable* window_table = nullptr;  ///< what the LinearWindow shows, while it is true
  const void* x87_stub = nullptr;
  std::array<const void*, ProbeStubs::kCount> probe_stubs{};
  // Of the last x87 instruction that host code executed since it took the registers over:
  u64 x87_ip = 0;
  u64 x87_dp = 0;
  u32 x87_opcode = 0;    ///< with kX87Noted, else there was none
  u32 x87_data = 0;      ///< where the last operand in memory was: likewise, with its segment
  X87Image x87_image{};  ///< while C++ runs, and on the way

  static constexpr u32 kX87Noted = 1u << 31;
  /// In x87_data: a selector, not a segment's number.
  static constexpr u32 kX87Selector = 1u << 30;
};

/// Where indirect branches go: from a key, made of a linear address and the fetch context, to host
/// code. Bits of the address choose a slot, which generated code looks at first; what was there
/// before moves to another slot of the same set. Targets that lie near each other share a cache
/// line of the host: few are closer than a granule.
struct JumpTable {
  static constexpr unsigned kSlotBits = 18, kGranuleShift = 2;
  static constexpr u64 kSlots = u64{1} << kSlotBits;
  static constexpr u64 kWays = 4;

  struct Slot {
    u64 key;
    const void* host;
  };
  static_assert(sizeof(Slot) == 16);
  alignas(64) std::array<Slot, kSlots> slots;

  /// Contexts with the same low 16 bits are told apart by clear(): see AddressSpaces.
  static constexpr u64 context_key(u32 context) { return u64{context} << 48; }
  static constexpr u64 slot(u64 key) { return key >> kGranuleShift & (kSlots - 1); }
  /// A key that is never looked for in this slot's set.
  static constexpr u64 empty_key(u64 slot) { return (slot ^ kWays) << kGranuleShift; }
  bool is_empty(u64 slot) const { return slots[slot].key == empty_key(slot); }

  void set(u64 key, const void* host) {
    const u64 first = slot(key);
    const u64 set = first & ~(kWays - 1);
    if (slots[first].key != key && !is_empty(first)) {
      // The old one goes where this key is now, else to an empty slot, else to the next one.
      u64 to = set | ((first + 1) & (kWays - 1));
      for (u64 i = set; i < set + kWays; ++i) {
        if (i != first && is_empty(i)) to = i;
      }
      for (u64 i = set; i < set + kWays; ++i) {
        if (i != first && slots[i].key == key) to = i;
      }
      slots[to] = slots[first];
    }
    slots[first] = {key, host};
  }
  void clear() {
    for (u64 i = 0; i < kSlots; ++i) slots[i] = {empty_key(i), nullptr};
  }
  /// Forgets targets inside [first, first + bytes) of branches to `rip`, whatever the context,
  /// which has no part in choosing the set.
  void drop(u64 rip, const void* first, u64 bytes) {
    const u64 set = slot(rip) & ~(kWays - 1);
    for (u64 i = set; i < set + kWays; ++i) {
      if (reinterpret_cast<u64>(slots[i].host) - reinterpret_cast<u64>(first) < bytes)
        slots[i] = {empty_key(i), nullptr};
    }
  }
};

/// Runs left before translated blocks become heads of superblocks, side by side so that counting
/// costs little. Shared by several when there are more blocks than counters.
using RunCounters = std::array<i32, 1u << 18>;

/// The mode key has this bit in code whose address space a LinearWindow shows.
inline constexpr u32 kModeKeyWindow = 1u << 15;
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
  /// 64-bit code of the current address space is about to run on, and TranslatorFrame says
  /// that the LinearWindow does not show it, or not as it is now. True when it does from here on.
  virtual bool show_in_window(Cpu&) { return false; }
  /// The block's bytes changed; it may be running.
  virtual void forget(Block& block) = 0;
  /// All blocks are about to go; none is running.
  virtual void forget_all() = 0;
  /// Instructions that host code executed so far.
  virtual u64 instructions_executed() const { return 0; }
  /// What was translated and how it ran, for -d jit-stats.
  virtual std::string describe_statistics() const { return {}; }
};

}  // namespace dragoman
