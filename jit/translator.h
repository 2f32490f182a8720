// Turns hot regions of guest code into host code and keeps it: placing, linking, forgetting.
#pragma once

#include <array>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <memory_resource>
#include <optional>
#include <utility>
#include <vector>

#include "cpu/cpu.h"
#include "cpu/execute/translation.h"
#include "jit/code_cache.h"
#include "jit/emit/emit.h"
#include "jit/host_fault.h"
#include "jit/options.h"
#include "jit/plan.h"
#include "jit/region_observer.h"

namespace dragoman {

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
  static i32 active_base(const Cpu& cpu, unsigned segment) {
    return offset(cpu, &cpu.active_base_[segment]);
  }
  static i32 interrupt_request(const Cpu& cpu) { return offset(cpu, &cpu.interrupt_request_); }
  static SegmentOffsets segment(const Cpu& cpu, unsigned segment) {
    const auto& s = cpu.segment_access_[segment];
    return {offset(cpu, &s.base), offset(cpu, &s.limit), offset(cpu, &s.read_fast),
            offset(cpu, &s.write_fast)};
  }
  static u32 current_mode_key(const Cpu& cpu) { return cpu.mode_key_; }
  static BlockCache& blocks(Cpu& cpu) { return *cpu.blocks_; }
  /// Where a fetch from a page goes that was executed before, if that is known.
  static const ShadowTable::Fetch* fetch(const Cpu& cpu, u64 linear) {
    return cpu.frame.shadow->fetch(linear >> kPageShift);
  }
  /// The same, found out by a walk of the page tables if that shows nowhere; null where a fetch
  /// would fault or leave a trace. 64-bit code only.
  static const ShadowTable::Fetch* fetch_quietly(Cpu& cpu, u64 linear);
  /// A page as the LinearWindow should show it, by a walk that leaves no trace.
  static std::optional<LinearWindow::Page> window_page(Cpu& cpu, u64 linear_page, u64& page_bytes);
  /// The guest's page tables refuse an access for which A and D bits were set if it is allowed.
  static bool faults(Cpu& cpu, u64 linear, AccessType type);
  /// Translations may be kept in the table, and shown in a window.
  static bool filled(const Cpu& cpu, const ShadowTable& table) {
    return !cpu.spaces_->never_filled(table);
  }
  static void note_executed(Cpu& cpu, const ShadowTable::Fetch& fetch) {
    cpu.spaces_->note_executed(fetch, cpu.state.cpl == 3);
  }
  /// Host address for a write into a page with code that touches none of it, or null. Never faults.
  static u8* beside_code(Cpu& cpu, u64 linear, unsigned size);
  /// Makes the shadow page table admit writes to bytes it admits reads of, where a write would set
  /// no A or D bits. kLater: one would.
  enum class WriteRights { kReady, kLater, kRefused };
  static WriteRights prepare_write(Cpu& cpu, u64 linear, unsigned size);
  static u32 contexts_made(const Cpu& cpu) { return cpu.spaces_->contexts_made(); }
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
class Translator final : public Translation, private HostFaultHandler {
 public:
  explicit Translator(Cpu& cpu, const TranslatorOptions& options = {});
  ~Translator() override;

  void translate(Cpu& cpu, Block& block, u64 rip) override;
  bool run(Cpu& cpu, Block& block, u64 budget) override;
  bool show_in_window(Cpu& cpu) override;
  void forget(Block& block) override;
  void forget_all() override;
  u64 instructions_executed() const override { return host_instructions_; }
  std::string describe_statistics() const override;

  /// Who is told what is made and forgotten, or null. Outlives its use here.
  void set_observer(RegionObserver* observer) { observer_ = observer; }

  /// Since the start, forgotten ones included.
  u64 blocks_translated() const { return translated_count_; }
  /// Jumps from region to region that were patched in since the start.
  u64 blocks_linked() const { return linked_count_; }
  /// Times a part of the cache was emptied because it was full.
  u64 times_full() const { return times_full_; }
  /// What shows user memory to user code, or null while no program has run long enough.
  const LinearWindow* window() const { return window_.get(); }
  /// Accesses that did not go through it, though they were meant to.
  u64 window_refusals() const { return window_refusals_; }
  /// Of the regions in the cache now.
  u64 code_bytes() const { return cache_.bytes_used(); }

 private:
  friend struct TranslatorCalls;
  /// What hangs on a Block: regions that begin with it, and those it is a part of.
  struct BlockTranslations {
    /// The newest head that is not narrow, with what find() compares; null if that is gone.
    TranslatedRegion* newest = nullptr;
    u64 newest_rip = 0;
    u32 newest_limit = 0;
    u32 owner = 0;                                 ///< index in owners_
    TranslatedRegion* heads = nullptr;             ///< that begin with the block, superblocks apart
    std::vector<TranslatedRegion*> superblocks{};  ///< it is in, but does not begin
  };

  bool place_stubs();
  BlockTranslations& translations_of(Block& block);
  void disown(Block& block);
  bool runs_often(const Block& block) const;
  i32& runs_left(const TranslatedRegion& region) { return cpu_.run_counters[region.counter]; }
  TranslatedRegion* find(const Block& block, u64 rip, bool narrow) const;
  TranslatedRegion* translate(Block& block, const RegionRequest& request);
  void make_room(const RegionPlan& plan);
  void empty_chunk(unsigned index);
  void link(ExitRecord& exit, TranslatedRegion& target);
  void write_context(const ExitRecord& exit, u32 context);
  void unlink(ExitRecord& exit);
  void retire(TranslatedRegion& region, RetireCause cause = RetireCause::kBytesChanged);
  void note_refused(const Site& site);
  void take_out_superblock(TranslatedRegion& better);
  void note_running(TranslatedRegion& region);
  void count_runs(TranslatedRegion& region);
  void count_no_more(TranslatedRegion& region);
  void begin_profile(TranslatedRegion& middle);
  void end_profile(std::size_t index);
  void leave_profile(TranslatedRegion& region);
  void promote(Block& block, TranslatedRegion& region);
  const u8* guard(TranslatedRegion& region);
  void take_flags();
  void take_x87();
  bool may_take_window(const ShadowTable& table);
  bool seldom_faults();
  const u8* window_access(Site& site);
  struct PageShown {
    bool shown = false;   ///< something was
    bool faults = false;  ///< the guest's access will
  };
  bool show_page(const Site& site, u64 linear, PageShown& done);
  void note_outside_window(Site& site);
  bool host_fault(HostFault& fault) override;
  void report(const TranslatedRegion& region, const RegionPlan& plan, const RegionRequest& request,
              const EmittedCode& emitted) const;
  void write_perf_map(const TranslatedRegion& region);

  Cpu& cpu_;
  TranslatorOptions options_;
  CodeCache cache_;
  EmitterStoragePointer storage_;
  static constexpr std::size_t kPlanBytes = std::size_t{256} << 10;  ///< more than most plans have
  std::unique_ptr<std::byte[]> plan_room_{new std::byte[kPlanBytes]};
  std::pmr::monotonic_buffer_resource plan_memory_{plan_room_.get(), kPlanBytes};
  RegionObserver* observer_ = nullptr;
  u64 region_ids_ = 0;
  u32 next_counter_ = 0;               ///< given out last; 0 stands for none
  const void* sample_stub_ = nullptr;  ///< of regions that count, see emit_sample_stub
  u32 samples_ = 0;                    ///< of what was running
  /// Regions that count their runs for some time, to become superblocks.
  struct Profile {
    std::vector<TranslatedRegion*> regions;
    u32 begun = 0;  ///< in samples
  };
  static constexpr std::size_t kMostProfiles = 8;
  static constexpr u32 kMostProfileSamples = 512;
  std::vector<Profile> profiles_;
  std::vector<std::pair<Block*, std::unique_ptr<BlockTranslations>>> owners_;
  using Enter = u64 (*)(TranslatorFrame* frame, const void* code);  // as LeftBy takes it
  Enter enter_ = nullptr;
  u64 entry_instructions_ = 0;  // CpuState::instructions when host code was entered
  i64 entry_budget_ = 0;
  const TranslatedRegion* running_ = nullptr;  // that called into C++
  const Block* finish_ = nullptr;              // block whose rest the interpreter has to execute
  unsigned finish_from_ = 0;
  ExitRecord* pending_exit_ = nullptr;  // left last; its target may have code by now
  u32 pending_context_ = 0;
  ExitRecord state_exit_, no_target_exit_;
  std::unique_ptr<LinearWindow> window_;
  bool window_tried_ = false;
  u64 window_taken_ = 0;  ///< CpuState::instructions when it got its owner
  /// Whose user code would like to have it, and since when.
  const ShadowTable* window_candidate_ = nullptr;
  u64 candidate_since_ = 0;
  u64 window_faults_ = 0, window_refusals_ = 0;
  u64 last_guest_fault_ = 0;  ///< of an access through the window, in instructions
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> perf_map_{nullptr, &std::fclose};
  std::vector<u64> interpreted_;  // by operation, from host code
  u64 translated_count_ = 0;
  u64 translated_instructions_ = 0;
  u64 linked_count_ = 0;
  u64 narrow_count_ = 0;
  u64 superblock_count_ = 0;
  u64 entered_count_ = 0;
  std::array<u64, static_cast<std::size_t>(ExitKind::kCount)> exits_{};  // by ExitKind
  u64 slow_accesses_ = 0;
  u64 host_instructions_ = 0;  // guest instructions executed by host code
  u64 guard_count_ = 0;
  u64 guard_failures_ = 0;
  u64 times_full_ = 0;
};

}  // namespace dragoman
