// Turns hot blocks of 64-bit guest code into host code and keeps it: placing, linking, forgetting.
#pragma once

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "cpu/cpu.h"
#include "cpu/execute/host/executable_arena.h"
#include "cpu/execute/translation.h"

namespace dragoman {

/// One instruction of a translated block that may call into C++: what the helpers need to know.
struct Site {
  const Instruction* insn = nullptr;
  const Instruction* first = nullptr;  ///< of the block: says which one it is
  u64 rip = 0;                         ///< of the instruction
  u32 remaining = 0;                   ///< instructions of the block from this one on
  u8 access_bytes = 0;                 ///< of the memory operand
  bool write = false;                  ///< the access writes (or reads and writes)
  bool locked = false;                 ///< LOCK: in place only when aligned
};

/// A place where host code leaves for the run loop.
struct ExitRecord {
  u64 rip = 0;               ///< guest address to go on at
  const u8* jump = nullptr;  ///< run address of a rel32 jump to patch, or null
  bool linkable = false;     ///< the target lies in the same page, so that the link stays true
  bool set_rip = true;       ///< false: RIP is already in the state
};

struct TranslatedBlock {
  TranslatedBlock* older = nullptr;  ///< of the same bytes at another linear address
  u64 rip = 0;
  const u8* entry = nullptr;    ///< checks attention and budget; target of links
  const u8* resume = nullptr;   ///< entry for the run loop, without the attention check
  const u8* retired = nullptr;  ///< code that leaves at the block's own start
  std::deque<Site> sites;
  std::deque<ExitRecord> exits;
};

/// What generated code finds where, relative to CpuState.
struct TranslatorAccess {
  static i32 attention(const Cpu& cpu) { return offset(cpu, &cpu.attention_); }
  static i32 shadow(const Cpu& cpu) { return offset(cpu, &cpu.shadow_); }
  static i32 fetch_generation(const Cpu& cpu) { return offset(cpu, &cpu.fetch_generation_); }
  static i32 mode_key(const Cpu& cpu) { return offset(cpu, &cpu.mode_key_); }
  static i32 active_base(const Cpu& cpu, unsigned segment) {
    return offset(cpu, &cpu.active_base_[segment]);
  }
  static u32 current_mode_key(const Cpu& cpu) { return cpu.mode_key_; }
  static u64 current_fetch_generation(const Cpu& cpu) { return cpu.fetch_generation_; }
  static void set_position(Cpu& cpu, const Instruction* first, const Instruction* current,
                           u64 rip) {
    cpu.block_first_ = first;
    cpu.current_ = current;
    cpu.instruction_rip_ = rip;
  }
  static void clear_position(Cpu& cpu) { cpu.block_first_ = nullptr; }
  /// The handler left its instruction unfinished, in a way that does not count.
  static bool take_restart(Cpu& cpu) {
    return std::exchange(cpu.restarted_, false) && !cpu.restart_counts_;
  }

 private:
  static i32 offset(const Cpu& cpu, const void* member) {
    return static_cast<i32>(static_cast<const u8*>(member) -
                            reinterpret_cast<const u8*>(&cpu.state));
  }
};

/// Translator of one processor.
class Translator final : public Translation {
 public:
  explicit Translator(Cpu& cpu, u64 cache_bytes = 64 * kMiB);
  ~Translator() override;

  void translate(Cpu& cpu, Block& block, u64 rip) override;
  bool run(Cpu& cpu, Block& block, u64 budget) override;
  void forget(Block& block) override;
  void forget_all() override;

  /// Since the start, forgotten ones included.
  u64 blocks_translated() const { return translated_count_; }
  /// Jumps from block to block that were patched in since the start.
  u64 blocks_linked() const { return linked_count_; }
  /// Times everything was forgotten because the cache was full.
  u64 times_full() const { return times_full_; }
  /// Of the blocks in the cache now.
  u64 code_bytes() const { return code_bytes_; }

 private:
  friend struct TranslatorCalls;
  /// Indirect branch targets: linear address and mode to host code.
  struct JumpTarget {
    u64 rip = ~u64{0};
    u64 fetch_generation = 0;
    const u8* entry = nullptr;
    u64 key = 0;
  };
  static constexpr u64 kJumpTargets = u64{1} << 12;

  bool place_stubs();

  Cpu& cpu_;
  ExecutableArena arena_;
  std::deque<TranslatedBlock> blocks_;
  std::vector<Block*> owners_;  // blocks that carry a pointer into blocks_
  std::vector<JumpTarget> jump_targets_;
  using Enter = const ExitRecord* (*)(CpuState* state, const void* code);
  Enter enter_ = nullptr;
  u64 entry_instructions_ = 0;  // CpuState::instructions when host code was entered
  i64 entry_budget_ = 0;
  const Instruction* running_ = nullptr;      // first instruction of the block that called into C++
  const ExitRecord* pending_link_ = nullptr;  // left last; its target may have code by now
  u64 pending_page_ = 0;
  u64 pending_key_ = 0;
  ExitRecord dispatch_exit_;
  u64 translated_count_ = 0;
  u64 linked_count_ = 0;
  u64 times_full_ = 0;
  u64 code_bytes_ = 0;
};

}  // namespace dragoman
