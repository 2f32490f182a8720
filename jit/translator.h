// Turns hot regions of guest code into host code and keeps it: placing, linking, forgetting.
#pragma once

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "cpu/cpu.h"
#include "cpu/execute/host/executable_arena.h"
#include "cpu/execute/translation.h"
#include "jit/options.h"
#include "jit/plan.h"

namespace dragoman {

struct TranslatedRegion;
struct RegionCounters;
class RegionObserver;
struct EmittedRegion;

/// An instruction that may call into C++: what the callee needs to know. Lies behind the code.
struct Site {
  TranslatedRegion* region = nullptr;
  const Block* block = nullptr;
  const Instruction* insn = nullptr;
  u64 rip = 0;      ///< of the instruction
  u32 pending = 0;  ///< instructions executed before it and not yet charged
  u16 bytes = 0;    ///< of the memory access, or of all accesses that share it
  bool write = false;
};

enum class ExitKind : u8 {
  kRetired,    ///< at the region's start, or at a loop's
  kSamePage,   ///< a direct branch inside the page: the link stays true however it is mapped
  kOtherPage,  ///< another one: the link holds as long as the fetch context is the same
  kNarrow,     ///< the accesses of a group cannot share a probe this time
  kHot,        ///< at the region's start: it ran often enough for the second tier
  kState,      ///< RIP is in the state already
};

/// A place where host code leaves for the run loop. Lies behind the code.
struct ExitRecord {
  TranslatedRegion* region = nullptr;
  u64 rip = 0;               ///< guest address to go on at
  const u8* jump = nullptr;  ///< run address of a five-byte jump to patch, or null
  const u8* exit = nullptr;  ///< where that jump goes while it is not linked
  ExitKind kind = ExitKind::kRetired;
};

/// Runs of a translated block before it becomes the head of a superblock.
inline constexpr i32 kRunsToSuperblock = 1000;

struct TranslatedRegion {
  Block* head = nullptr;
  u64 rip = 0;
  u32 limit = 0;  ///< of CS outside 64-bit mode: the code was checked against it
  bool narrow = false;
  bool dead = false;  ///< its bytes changed
  u64 id = 0;         ///< counts translations
  i32 runs_left = kRunsToSuperblock;
  const u8* entry = nullptr;
  const u8* retired = nullptr;  ///< code that leaves at the region's own start
  u32 bytes = 0;
  u32 context = 0;  ///< of a block that crosses pages: where its second page was checked
  std::vector<Block*> members;
  std::vector<const ExitRecord*> incoming;   ///< links that lead here
  std::shared_ptr<RegionCounters> counters;  ///< null unless runs are counted
};

/// Indirect branch targets: linear address and fetch context to host code.
struct JumpTarget {
  u64 rip = ~u64{0};
  u64 context = 0;
  const u8* entry = nullptr;
  u64 unused = 0;
};
inline constexpr u64 kJumpTargets = u64{1} << 15;
/// Spreads the same address in different contexts over the table.
inline constexpr u32 kJumpContextFactor = 0x9e3779a0;
constexpr u64 jump_slot(u64 rip, u64 context) {
  return (static_cast<u32>(context >> 32) * kJumpContextFactor + rip * 8) >> 5 & (kJumpTargets - 1);
}

/// Where generated code finds a segment's limit and base, relative to the frame.
struct SegmentOffsets {
  i32 base = 0, limit = 0, read_fast = 0, write_fast = 0;
};

/// The segment is flat (base 0, limit 4 GiB, readable and writable) by the mode key.
constexpr bool segment_is_flat(u32 mode_key, unsigned segment) {
  return segment == kEs   ? mode_key >> kModeKeyFlatShift & 1
         : segment == kSs ? mode_key >> kModeKeyFlatShift & 2
         : segment == kDs ? mode_key >> kModeKeyFlatShift & 4
                          : false;
}

/// What the translator and generated code reach inside Cpu; offsets are relative to Cpu::frame.
struct TranslatorAccess {
  static i32 shadow(const Cpu& cpu) { return offset(cpu, &cpu.shadow_); }
  static i32 fetch_context(const Cpu& cpu) { return offset(cpu, &cpu.fetch_context_); }
  static i32 active_base(const Cpu& cpu, unsigned segment) {
    return offset(cpu, &cpu.active_base_[segment]);
  }
  static SegmentOffsets segment(const Cpu& cpu, unsigned segment) {
    const auto& s = cpu.segment_access_[segment];
    return {offset(cpu, &s.base), offset(cpu, &s.limit), offset(cpu, &s.read_fast),
            offset(cpu, &s.write_fast)};
  }
  static u32 current_mode_key(const Cpu& cpu) { return cpu.mode_key_; }
  static u64 current_fetch_context(const Cpu& cpu) { return cpu.fetch_context_; }
  static BlockCache& blocks(Cpu& cpu) { return *cpu.blocks_; }
  static const ShadowTable::Entry& shadow_entry(Cpu& cpu, u64 linear) {
    return cpu.shadow_->entry(linear >> kPageShift);
  }
  static void set_position(Cpu& cpu, const Instruction* insn, u64 rip) {
    cpu.block_first_ = insn;
    cpu.current_ = insn;
    cpu.instruction_rip_ = rip;
  }
  static void clear_position(Cpu& cpu) { cpu.block_first_ = nullptr; }
  static bool attention(const Cpu& cpu) { return cpu.attention(); }
  /// The handler left its instruction unfinished: it is executed again.
  static bool take_restart(Cpu& cpu, bool& counts) {
    counts = cpu.restart_counts_;
    return std::exchange(cpu.restarted_, false);
  }
  static void finish_block(Cpu& cpu, const Block& block, unsigned first) {
    cpu.run_block(block, block.count, first);
  }

 private:
  static i32 offset(const Cpu& cpu, const void* member) {
    return static_cast<i32>(static_cast<const u8*>(member) -
                            reinterpret_cast<const u8*>(&cpu.frame));
  }
};

/// Translator of one processor.
class Translator final : public Translation {
 public:
  explicit Translator(Cpu& cpu, const TranslatorOptions& options = {});
  ~Translator() override;

  void translate(Cpu& cpu, Block& block, u64 rip) override;
  bool run(Cpu& cpu, Block& block, u64 budget) override;
  void forget(Block& block) override;
  void forget_all() override;
  std::string describe_statistics() const override;

  /// Who is told what is made and forgotten, or null. Outlives its use here.
  void set_observer(RegionObserver* observer) { observer_ = observer; }

  /// Since the start, forgotten ones included.
  u64 blocks_translated() const { return translated_count_; }
  /// Jumps from region to region that were patched in since the start.
  u64 blocks_linked() const { return linked_count_; }
  /// Times everything was forgotten because the cache was full.
  u64 times_full() const { return times_full_; }
  /// Of the regions in the cache now.
  u64 code_bytes() const { return code_bytes_; }

 private:
  friend struct TranslatorCalls;
  /// What hangs on a Block: regions that begin with it, and those it is a part of.
  struct BlockTranslations {
    std::vector<TranslatedRegion*> heads;
    std::vector<TranslatedRegion*> member_of;
  };

  bool place_stubs();
  BlockTranslations& translations_of(Block& block);
  TranslatedRegion* find(const Block& block, u64 rip, bool narrow) const;
  TranslatedRegion* translate(Block& block, const RegionRequest& request);
  void link(const ExitRecord& exit, TranslatedRegion& target);
  void unlink(const ExitRecord& exit);
  void retire(TranslatedRegion& region);
  void empty(bool full);
  void promote(Block& block, TranslatedRegion& region);
  void write_perf_map(const TranslatedRegion& region, u64 bytes);

  void report(const TranslatedRegion& region, const RegionPlan& plan, const RegionRequest& request,
              const EmittedRegion& emitted) const;

  Cpu& cpu_;
  RegionObserver* observer_ = nullptr;
  TranslatorOptions options_;
  ExecutableArena arena_;
  std::deque<TranslatedRegion> regions_;
  std::deque<BlockTranslations> translations_;
  std::vector<Block*> owners_;  // blocks that carry a pointer into translations_
  std::vector<JumpTarget> jump_targets_;
  using Enter = const ExitRecord* (*)(TranslatorFrame* frame, const void* code);
  Enter enter_ = nullptr;
  u64 entry_instructions_ = 0;  // CpuState::instructions when host code was entered
  i64 entry_budget_ = 0;
  const TranslatedRegion* running_ = nullptr;  // that called into C++
  const Block* finish_ = nullptr;              // block whose rest the interpreter has to execute
  unsigned finish_from_ = 0;
  const ExitRecord* pending_exit_ = nullptr;  // left last; its target may have code by now
  u64 pending_context_ = 0;
  ExitRecord state_exit_;
  std::vector<u64> interpreted_;  // by operation, from host code
  u64 translated_count_ = 0;
  u64 translated_instructions_ = 0;
  u64 linked_count_ = 0;
  u64 narrow_count_ = 0;
  u64 superblock_count_ = 0;
  u64 entered_count_ = 0;
  std::array<u64, 6> exits_{};  // by ExitKind
  u64 slow_accesses_ = 0;
  u64 host_instructions_ = 0;  // guest instructions executed by host code
  u64 times_full_ = 0;
  u64 region_ids_ = 0;
  u64 code_bytes_ = 0;
};

}  // namespace dragoman
