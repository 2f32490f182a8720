// One logical processor: architectural state, the caches derived from it, guest memory access and
// the run loop. Instruction semantics are in execute/, exceptions, interrupts and far transfers
// in events/, page walks in address/.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/cpu_pins.h"
#include "base/huge_pages.h"
#include "base/log.h"
#include "base/scheduler.h"
#include "cpu/address/address_spaces.h"
#include "cpu/decode/decoder.h"
#include "cpu/decode/instruction.h"
#include "cpu/events/fault_log.h"
#include "cpu/execute/block_cache.h"
#include "cpu/execute/debug_points.h"
#include "cpu/execute/flags.h"
#include "cpu/execute/translation.h"
#include "cpu/model/cpu_model.h"
#include "cpu/observer.h"
#include "cpu/state.h"
#include "memory/guest_memory.h"
#include "memory/memory_map.h"
#include "memory/port_map.h"
#include "memory/shadow_table.h"

namespace dragoman {

class HostFpu;

/// What the processor is wired to.
struct CpuWiring {
  MemoryMap* memory = nullptr;
  PortMap* ports = nullptr;
  VirtualClock* clock = nullptr;
  Log* log = nullptr;
  LocalInterrupts* interrupts = nullptr;            ///< may be null in instruction tests
  std::function<void(bool)> smm_changed;            ///< SMRAM decoding follows SMM
  std::function<void(std::span<u8>)> random_bytes;  ///< RDRAND and RDSEED
};

/// A fault or trap on its way to the IDT.
struct Fault {
  u8 vector = 0;
  bool has_error_code = false;
  u32 error_code = 0;
  u64 address = 0;  ///< CR2 for #PF, DR6 bits for #DB
};

/// What becomes of a budget's last instructions.
enum class BudgetUse : u8 { kExact, kRoughly };

enum class RunExit : u8 {
  kBudget,       ///< the instruction budget is used up
  kHalted,       ///< HLT or MWAIT, waiting for an interrupt
  kStopRequest,  ///< Cpu::request_stop()
  kTripleFault,  ///< shutdown; the board resets
  kWaitForSipi,
};

enum class AccessType : u8 { kRead, kWrite, kExecute };

/// Who asks for a linear access, for the page-level protection checks (SDM vol. 3, 4.6).
enum class Privilege : u8 {
  kCurrent,   ///< by CPL
  kImplicit,  ///< implicit supervisor access: descriptor tables, TSS (SMAP applies whatever
              ///< EFLAGS.AC)
  kUser,
  kSupervisor,
};

class Cpu final : public CpuPins, public CodeWriteListener, public WriteCacheListener {
  /// Generated code calls into C++ on this stack, which ends where `frame` begins.
  static constexpr std::size_t kTranslatorStack = 256 * kKiB;
  alignas(64) std::array<u8, kTranslatorStack> translator_stack_;

 public:
  /// Its tables are reached at random.
  static void* operator new(std::size_t bytes) { return allocate_huge(bytes); }
  static void operator delete(void* cpu, std::size_t bytes) { release_huge(cpu, bytes); }

  Cpu(const CpuModel& model, CpuWiring wiring);
  ~Cpu() override;
  Cpu(const Cpu&) = delete;
  Cpu& operator=(const Cpu&) = delete;

  TranslatorFrame frame;  ///< the stack of generated code lies before it
  CpuState state;
  JumpTable jump_table;      ///< undefined until a translator uses it
  RunCounters run_counters;  ///< likewise

  /// Installs a translator, or none. It outlives its use here. A block that was run this often is
  /// translated.
  void set_translation(Translation* translation, u32 runs_before_translation = 12);
  /// Forgets all blocks and makes them of at most so many instructions from now on, so that a
  /// wrong translation can be narrowed down.
  void limit_blocks(unsigned instructions);
  FaultLog fault_log;  ///< the newest events, for reports
  /// Who is told of events, page walks and devices, or null. Outlives its use here.
  CpuObserver* observer = nullptr;

  /// What a debugger of the host wants to stop at, or null. Outlives its use here; after every
  /// change of its lists debug_points_changed() is to be called, between two runs.
  void set_debug_points(DebugPoints* points);
  void debug_points_changed();
  /// A repeated instruction should pause after each iteration, for a debugger's step or watchpoint.
  bool debug_pauses() const { return debug_ != nullptr && (debug_->step || debug_->hit.any()); }

  /// Does a debugger want to stop before exception `vector` is delivered? Then that is noted, and
  /// the exception has to come again. For events that are no faults; deliver_pending_fault() asks
  /// itself.
  [[nodiscard]] bool debug_catches(u8 vector, u32 error_code = 0);
  /// Exception `vector` comes while another event is delivered: too late to hold it back.
  void debug_notes(u8 vector, u32 error_code);

  const CpuModel& model() const { return model_; }
  bool has(Feature feature) const { return model_.features.has(feature); }
  Log& log() { return *wiring_.log; }
  MemoryMap& memory() { return *wiring_.memory; }
  PortMap& ports() { return *wiring_.ports; }
  LocalInterrupts* interrupts() const { return wiring_.interrupts; }
  const CpuWiring& wiring() const { return wiring_; }

  /// RESET#. The bootstrap processor starts at FFFF:FFF0h (base FFFF0000h).
  void reset();
  /// INIT#: like reset() but keeps x87/SSE state, MSRs, TSC, CR0.CD/NW (SDM vol. 3, table 10-1).
  void init();
  /// To be called after `state` was replaced from outside (snapshot, direct boot, tests).
  void state_replaced();
  /// Appends the state as a snapshot keeps it.
  void save(std::vector<u8>& out) const;
  /// Replaces it by a saved one, from the front of `in`; damaged values are brought into range.
  Result<void> load(std::span<const u8>& in);

  /// What the pins have asked for and was not yet looked at. Goes with the state when a machine
  /// returns to an earlier moment; restore it last, because devices drive pins when theirs is.
  struct Pins {
    u32 requests = 0;
    bool interrupt_request = false;
    u8 start_up_vector = 0;
    bool ferr = false;
    bool operator==(const Pins&) const = default;
  };
  Pins pins() const;
  void set_pins(const Pins& pins);

  /// Executes at most `budget` instructions; events that are due at the last boundary wait for the
  /// next call. kRoughly: some fewer (never none) where translations are too long for what is left,
  /// which would be interpreted else.
  RunExit run(u64 budget, BudgetUse use = BudgetUse::kExact);

  // --- CpuPins -------------------------------------------------------------------------------
  void set_interrupt_request(bool level) override;
  void raise_nmi() override;
  void raise_smi() override;
  void raise_init() override;
  void start_up(u8 vector) override;
  void set_a20(bool enabled) override;
  /// Makes run() return kStopRequest soon; callable from any thread and from signal handlers.
  void request_stop() { attention_.fetch_or(kAttentionStop, std::memory_order_relaxed); }

  // --- Faults ----------------------------------------------------------------------------------
  /// Makes a fault pending and returns false, so that handlers can `return cpu.raise(...)`.
  [[nodiscard]] bool raise(u8 vector) {
    fault_ = {vector, false, 0, 0};
    fault_pending_ = true;
    return false;
  }
  [[nodiscard]] bool raise(u8 vector, u32 error_code) {
    fault_ = {vector, true, error_code, 0};
    fault_pending_ = true;
    return false;
  }
  [[nodiscard]] bool raise_page_fault(u64 linear, u32 error_code) {
    fault_ = {kVectorPf, true, error_code, linear};
    fault_pending_ = true;
    return false;
  }
  /// #DB as a fault (instruction breakpoint, general detect) with the given DR6 bits.
  [[nodiscard]] bool raise_debug_fault(u64 dr6_bits) {
    fault_ = {kVectorDb, false, 0, dr6_bits};
    fault_pending_ = true;
    return false;
  }
  bool fault_pending() const { return fault_pending_; }
  const Fault& fault() const { return fault_; }
  void clear_fault() { fault_pending_ = false; }

  // --- Modes -----------------------------------------------------------------------------------
  bool protected_mode() const { return state.cr0 & kCr0Pe; }
  bool v86() const { return state.flags & kFlagVm; }
  bool real_mode() const { return !protected_mode(); }
  bool long_mode() const { return state.efer & kEferLma; }
  /// 64-bit mode: long mode with CS.L = 1.
  bool code64() const { return mode_.code_bits == 64; }
  DecodeMode decode_mode() const { return mode_; }
  unsigned cpl() const { return state.cpl; }
  unsigned iopl() const { return (state.flags >> 12) & 3; }
  /// Recomputes everything derived from CR0, CR4, EFER, CS, SS, CPL, RFLAGS.VM/AC and XCR0.
  /// Every writer of one of these calls it.
  void update_mode();
  /// Has code that runs on without entering or leaving a kernel considered for a LinearWindow.
  void look_for_window() {
    if (!(mode_key_ & kModeKeyWindow) && in_window()) update_mode();
  }
  /// RFLAGS with arithmetic flags materialised.
  u32 rflags() const { return state.flags | arithmetic_flags(state.lazy); }
  /// Replaces all of RFLAGS (reserved bits forced) and updates what depends on it.
  void set_rflags(u32 value);
  /// Stack pointer mask by mode and SS.B: 16, 32 or 64 bits.
  u64 stack_mask() const { return stack_mask_; }

  // --- Guest memory ------------------------------------------------------------------------------
  // All of these return false with a fault pending. T is u8..u64; wider goes by bytes.

  template <class T>
  [[nodiscard]] bool read(unsigned segment, u64 offset, T& value) {
    u64 linear;
    if (!segment_linear(segment, offset, sizeof(T), AccessType::kRead, linear)) return false;
    return read_linear(linear, value, segment);
  }
  template <class T>
  [[nodiscard]] bool write(unsigned segment, u64 offset, T value) {
    u64 linear;
    if (!segment_linear(segment, offset, sizeof(T), AccessType::kWrite, linear)) return false;
    return write_linear(linear, value, segment);
  }

  /// Read-modify-write: translates once with write intent. After begin_modify, end_modify cannot
  /// fault. Used by every instruction that reads and writes its memory destination.
  template <class T>
  struct Modify {
    u8* host = nullptr;  ///< null: through write_physical pieces
    u64 linear = 0;
    T value{};
  };
  template <class T>
  [[nodiscard]] bool begin_modify(unsigned segment, u64 offset, Modify<T>& m) {
    u64 linear;
    if (!segment_linear(segment, offset, sizeof(T), AccessType::kWrite, linear)) return false;
    const ShadowTable::Entry& e = frame.shadow->entry(linear >> kPageShift);
    m.linear = linear;
    if (e.writable(linear, sizeof(T))) {
      m.host = reinterpret_cast<u8*>(linear + e.delta);
      __builtin_memcpy(&m.value, m.host, sizeof(T));
      return true;
    }
    m.host = nullptr;
    return access_slow(linear, &m.value, sizeof(T), AccessType::kRead, Privilege::kCurrent, segment,
                       /*write_intent=*/true);
  }
  template <class T>
  void end_modify(const Modify<T>& m, T value) {
    if (m.host != nullptr) {
      __builtin_memcpy(m.host, &value, sizeof(T));
    } else {
      (void)access_slow(m.linear, &value, sizeof(T), AccessType::kWrite, Privilege::kCurrent, kDs,
                        true);
    }
  }

  /// Any number of bytes (vector operands, x87 images), at most a page. Nothing is transferred
  /// unless the whole range is accessible.
  [[nodiscard]] bool read_block(unsigned segment, u64 offset, void* out, unsigned size);
  [[nodiscard]] bool write_block(unsigned segment, u64 offset, const void* in, unsigned size);
  /// Checks that a write of `size` bytes would not fault (segment, paging, alignment unchecked).
  [[nodiscard]] bool probe_write(unsigned segment, u64 offset, unsigned size) {
    return probe(segment, offset, size, AccessType::kWrite);
  }
  [[nodiscard]] bool probe_read(unsigned segment, u64 offset, unsigned size) {
    return probe(segment, offset, size, AccessType::kRead);
  }

  /// Linear accesses by a given privilege without segmentation: descriptor tables, TSS, stacks of
  /// another privilege level.
  [[nodiscard]] bool read_linear_as(Privilege privilege, u64 linear, void* out, unsigned size);
  [[nodiscard]] bool write_linear_as(Privilege privilege, u64 linear, const void* in,
                                     unsigned size);
  template <class T>
  [[nodiscard]] bool read_system(u64 linear, T& out) {
    return read_linear_as(Privilege::kImplicit, linear, &out, sizeof(T));
  }
  template <class T>
  [[nodiscard]] bool write_system(u64 linear, T value) {
    return write_linear_as(Privilege::kImplicit, linear, &value, sizeof(T));
  }
  /// Debugger and report access: no faults, no A/D updates. False when unmapped.
  [[nodiscard]] bool peek(u64 linear, void* out, unsigned size);
  /// Physical address of `linear` without side effects, or all ones when not mapped.
  u64 peek_translate(u64 linear);

  /// Segmentation: checks and address of an access of `size` bytes at `offset`. On failure #GP(0)
  /// or #SS(0) is pending (SDM vol. 3, 5.3, 5.5; canonical checks of 64-bit mode included).
  [[nodiscard]] bool segment_linear(unsigned segment, u64 offset, unsigned size, AccessType type,
                                    u64& linear) {
    if (code64()) {
      linear = active_base_[segment] + offset;  // canonical check: no shadow entry, so slow path
      return true;
    }
    const SegmentAccess& access = segment_access_[segment];
    const u64 last = offset + size - 1;
    const bool allowed = type == AccessType::kWrite ? access.write_fast : access.read_fast;
    if (__builtin_expect(!allowed || last > access.limit, 0)) {
      if (!segment_check_slow(segment, offset, size, type)) return false;
    }
    linear = static_cast<u32>(access.base + offset);
    return true;
  }

  template <class T>
  [[nodiscard]] bool read_linear(u64 linear, T& value, unsigned segment = kDs) {
    const ShadowTable::Entry& e = frame.shadow->entry(linear >> kPageShift);
    if (__builtin_expect(e.readable(linear, sizeof(T)), 1)) {
      __builtin_memcpy(&value, reinterpret_cast<const u8*>(linear + e.delta), sizeof(T));
      return true;
    }
    return access_slow(linear, &value, sizeof(T), AccessType::kRead, Privilege::kCurrent, segment,
                       false);
  }
  template <class T>
  [[nodiscard]] bool write_linear(u64 linear, T value, unsigned segment = kDs) {
    const ShadowTable::Entry& e = frame.shadow->entry(linear >> kPageShift);
    if (__builtin_expect(e.writable(linear, sizeof(T)), 1)) {
      __builtin_memcpy(reinterpret_cast<u8*>(linear + e.delta), &value, sizeof(T));
      return true;
    }
    return access_slow(linear, &value, sizeof(T), AccessType::kWrite, Privilege::kCurrent, segment,
                       false);
  }

  /// Direct host pointer for `size` bytes at `linear` (current privilege), or null when the range
  /// crosses a page, is not plain memory, would fault or is watched. Never faults. For string
  /// instructions and host stubs.
  u8* direct(u64 linear, unsigned size, AccessType type);

  // --- Stack -----------------------------------------------------------------------------------
  template <class T>
  [[nodiscard]] bool push(T value) {
    const u64 sp = state.regs[kRsp];
    const u64 next = (sp - sizeof(T)) & stack_mask_;
    if (!write<T>(kSs, next, value)) return false;
    set_stack_pointer(next);
    return true;
  }
  template <class T>
  [[nodiscard]] bool pop(T& value) {
    const u64 sp = state.regs[kRsp] & stack_mask_;
    if (!read<T>(kSs, sp, value)) return false;
    set_stack_pointer(sp + sizeof(T));
    return true;
  }
  /// Writes SP, ESP or RSP by the stack size: a 16-bit stack keeps the upper bits, a 32-bit one
  /// clears bits 63:32.
  void set_stack_pointer(u64 value) {
    if (stack_mask_ == 0xffff) {
      state.regs[kRsp] = (state.regs[kRsp] & ~u64{0xffff}) | (value & 0xffff);
    } else {
      state.regs[kRsp] = value & stack_mask_;
    }
  }

  // --- Address translation
  // ------------------------------------------------------------------------
  /// Drops the translations of the current PCID except those of global pages; `global_too`: all of
  /// all PCIDs.
  void flush_tlb(bool global_too);
  /// Of one page, as INVLPG does: for the current PCID, and global pages.
  void flush_tlb_page(u64 linear);
  /// The PCID in use: 0 unless CR4.PCIDE is set (SDM vol. 3, 4.10.1).
  u16 current_pcid() const {
    return state.cr4 & kCr4Pcide ? static_cast<u16>(state.cr3 & 0xfff) : u16{0};
  }
  /// After CR3 was written, by MOV (bit 63 of its source: `keep`) or by a task switch.
  void address_space_changed(bool keep);
  /// INVPCID types 0, 1 and 3. They leave global pages alone.
  void flush_tlb_page_of(u16 pcid, u64 linear);
  void flush_tlb_of(u16 pcid);
  void flush_tlb_of_all();
  /// Names what instruction fetches see: an identity of the address space as the processor caches
  /// it, the mode, and outside 64-bit mode the base and limit of CS. Never 0. While it stays the
  /// same, and whenever it comes back, a linear address that find_block() found code at under it
  /// leads to the same physical page with the same rights.
  u32 fetch_context() const { return frame.fetch_context; }
  /// Reloads the four PAE PDPTEs from CR3; false with #GP(0) for reserved bits.
  [[nodiscard]] bool load_pdptes(u64 cr3);
  /// Base added to offsets in `segment`: zero for ES, CS, SS, DS in 64-bit mode.
  u64 active_base(unsigned segment) const { return active_base_[segment]; }
  bool canonical(u64 linear) const { return sign_extend(linear, 48) == linear; }
  u64 a20_mask() const { return state.a20_masked ? ~(u64{1} << 20) : ~u64{0}; }

  struct PageWalk {
    u64 physical = 0;
    u64 page_bytes = kPageSize;
    bool user = false, writable = false, executable = true, global = false, dirty = false;
    u8 protection_key = 0;
  };
  /// Walks the page tables for an access, sets A/D bits, and checks permissions. On failure a #PF
  /// is pending. `privilege` must not be kCurrent for implicit accesses.
  [[nodiscard]] bool translate(u64 linear, AccessType type, Privilege privilege, PageWalk& walk,
                               bool write_intent = false) {
    if (walk_tables(linear, type, privilege, walk, write_intent)) return true;
    after_page_fault(linear);
    return false;
  }

  // --- Time ------------------------------------------------------------------------------------
  /// Guest TSC now.
  u64 tsc();
  void set_tsc(u64 value);
  /// Instructions retired, exact also inside a block.
  u64 retired() const;

  // --- For handlers --------------------------------------------------------------------------
  /// Address of the instruction being executed (RIP itself already points behind it).
  u64 instruction_rip() const { return instruction_rip_; }
  /// Leaves the current instruction unfinished at its own address, so that it is executed again
  /// after events were looked at (REP). `counts`: this part counts as an instruction executed.
  /// Returns false for the handler to return.
  [[nodiscard]] bool restart_instruction(bool counts) {
    state.rip() = instruction_rip_;
    restarted_ = true;
    restart_counts_ = counts;
    return false;
  }
  /// True when a repeated instruction should stop between iterations to let events in.
  bool attention() const { return attention_.load(std::memory_order_relaxed) != 0; }
  /// After a write to DR7 or DR0..DR3.
  void update_watchpoints();
  /// IN, OUT, INS, OUTS are about to access a port: with CR4.DE notes a debug trap when a
  /// breakpoint covers it.
  void before_port_access(u16 port, unsigned size, bool write);
  /// Data breakpoints hit by the current instruction collect here (DR6 bits).
  void note_debug_trap(u32 dr6_bits) { state.pending_debug |= dr6_bits; }
  /// Interrupt and step conditions may have changed: look at them before the next instruction.
  void set_attention_check() { attention_.fetch_or(kAttentionCheck, std::memory_order_relaxed); }
  /// After a write to a device, which may have moved a range of memory: cached translations are
  /// dropped before the next instruction.
  void after_device_write() {
    if (memory().generation() != map_generation_) set_attention_check();
  }
  HostFpu& host_fpu() { return *host_fpu_; }

  /// Report of a triple fault or of `info registers`: registers, segments, page walk of RIP and the
  /// last instructions.
  std::string describe();
  /// General registers, RIP, flags and mode in five lines.
  std::string describe_registers() const;
  /// Chain of faults that led to shutdown, for the triple-fault report.
  std::string fault_history() const;

  /// Says once, with address and bytes, that an instruction could not be decoded.
  void report_invalid_instruction();

  // --- CodeWriteListener, WriteCacheListener ---------------------------------------------------
  void code_written(u64 offset, u64 length) override;
  void drop_write_pointers(u64 first_page, u64 page_count) override;

 private:
  friend class CpuTester;
  friend struct TranslatorAccess;  // jit/: addresses of what generated code reads

  enum Attention : u32 {
    kAttentionNmi = 1 << 1,
    kAttentionSmi = 1 << 2,
    kAttentionInit = 1 << 3,
    kAttentionSipi = 1 << 4,
    kAttentionStop = 1 << 5,
    kAttentionCheck = 1 << 6,
  };
  struct SegmentAccess {
    u64 base = 0;
    u64 limit = 0;           ///< highest valid offset for the fast check
    bool read_fast = false;  ///< expand-up, readable, usable
    bool write_fast = false;
  };

  /// `quiet`: fails where A or D bits would have to be set, instead of setting them.
  [[nodiscard]] bool walk_tables(u64 linear, AccessType type, Privilege privilege, PageWalk& walk,
                                 bool write_intent, bool quiet = false);
  void after_page_fault(u64 linear);
  void note_flush(ShadowFlush what, u64 linear = 0);
  /// Code that may run now reaches memory through a LinearWindow: that of user programs, and of
  /// kernels at low addresses, such as what unpacks Linux.
  bool in_window();
  /// Translations were dropped: the window must be true again before such code goes on.
  void update_window();
  [[nodiscard]] bool access_slow(u64 linear, void* data, unsigned size, AccessType type,
                                 Privilege privilege, unsigned segment, bool write_intent);
  void access_page(u64 linear, void* data, unsigned size, AccessType type, const PageWalk& walk);
  [[nodiscard]] bool probe(unsigned segment, u64 offset, unsigned size, AccessType type);
  [[nodiscard]] bool probe_linear(u64 linear, unsigned size, AccessType type, unsigned segment);
  [[nodiscard]] bool segment_check_slow(unsigned segment, u64 offset, unsigned size,
                                        AccessType type);
  u32 flat_segments() const;
  ShadowTable* view_for(Privilege privilege);
  void fill_shadow(ShadowTable& table, u64 linear, AccessType type, const PageWalk& walk);
  void enter_in_shadow(ShadowTable& table, u64 linear, AccessType type, const PageWalk& walk);
  /// How accesses to a page may go to the host's memory: not at all (null), only reads, or all.
  struct InPlace {
    u8* host = nullptr;  ///< of the page
    bool writable = false;
    /// A debugger wants to see some of the writes, or of the reads too.
    bool watched = false, reads_watched = false;
  };
  /// `written`: a write was allowed, which is about to be done.
  InPlace in_place(u64 page, const PageWalk& walk, bool written);
  /// The same by a walk that leaves no trace; false where an access would fault or set bits.
  [[nodiscard]] bool in_place_quietly(u64 linear, PageWalk& walk, InPlace& found);
  void note_walk(ShadowTable& table, u64 linear, AccessType type, const PageWalk& walk);
  void update_fetch_context();
  void check_data_breakpoints(u64 linear, unsigned size, AccessType type);
  bool page_watched(u64 linear_page) const;
  /// DR6 bits B0..B3 of the breakpoints that match, 0 unless one of them is enabled. `kinds` is a
  /// set of DR7 R/W values.
  u32 matching_breakpoints(u64 address, unsigned size, unsigned kinds) const;
  static bool cancelled_instruction(Cpu& cpu, const Instruction& insn);
  // cpu/execute/debug_points.cpp
  bool debug_steps() const {
    return debug_ != nullptr && debug_->steps() && state.activity == Activity::kRunning;
  }
  bool debug_holds_events() const { return debug_steps() && debug_->events_wait; }
  static bool debug_trap(Cpu& cpu, const Instruction& insn);
  u64 code_linear(u64 rip) const;
  void cut_blocks(u64 linear, u64 offset);
  void make_debug_trap(Instruction& insn) const;
  bool debug_before_step();
  void debug_after_step();
  bool debug_catches_fault();
  void debug_check_access(u64 linear, unsigned size, AccessType type);
  /// The access is allowed in place: its page is watched, its bytes are not.
  bool beside_watches(const ShadowTable::Entry& e, u64 linear, unsigned size, bool write) const;

  enum class Boundary : u8 { kContinue, kExit };
  Boundary handle_boundary(RunExit& exit);
  Block* find_block();
  Block* build_block(u64 linear, const u8* host, u64 offset);
  Block* find_crossing_block(u64 linear, const u8* host, u64 offset);
  Block* build_uncached(u64 linear);
  void run_block(const Block& block, u64 budget, unsigned first = 0);
  void log_instruction(const Instruction& insn, u64 rip, DecodeResult result);
  static bool is_software_interrupt(const Instruction& insn);
  void step_instruction();
  bool needs_stepping() const;
  void deliver_pending_fault();

  CpuModel model_;
  CpuWiring wiring_;

  // Derived from state by update_mode().
  DecodeMode mode_;
  u32 mode_key_ = 0;
  u64 stack_mask_ = 0xffff;
  std::array<u64, kSegmentCount> active_base_{};
  std::array<SegmentAccess, kSegmentCount> segment_access_{};

  std::unique_ptr<AddressSpaces> spaces_;
  u32 jump_epoch_ = 0;  ///< of the identities jump_table knows
  u64 map_generation_ = 0;
  bool watching_data_ = false;
  bool watching_code_ = false;
  bool alignment_checked_ = false;  ///< CR0.AM, EFLAGS.AC and CPL 3

  Fault fault_;
  bool fault_pending_ = false;
  /// Level of the interrupt request pin. Not part of attention_, because it may stay up for long
  /// while RFLAGS.IF is clear: raising it, and setting IF, ask for a look instead.
  bool interrupt_request_ = false;
  bool restarted_ = false;
  bool restart_counts_ = false;
  std::atomic<u32> attention_{0};
  u8 sipi_vector_ = 0;

  u64 instruction_rip_ = 0;
  const Instruction* current_ = nullptr;
  const Instruction* block_first_ = nullptr;
  bool stepping_ = false;  ///< needs_stepping() as of the last boundary

  /// Where execution went last, for reports.
  struct RecentBlock {
    u64 rip = 0;
    u64 linear = 0;
    u32 key = ~u32{0};
    u16 selector = 0;
  };
  std::string describe_page_walk(u64 linear);
  std::string describe_block(const RecentBlock& block);
  std::array<RecentBlock, 16> recent_{};
  std::size_t recent_next_ = 0;

  /// From linear address and fetch context straight to a block.
  struct JumpEntry {
    u64 linear = ~u64{0};
    u32 fetch_context = 0;
    u64 block_generation = 0;
    Block* block = nullptr;
  };
  static constexpr u64 kJumpEntries = 1 << 16;
  using JumpCache = std::vector<JumpEntry, HugeAllocator<JumpEntry>>;
  JumpCache jump_cache_ = JumpCache(kJumpEntries);
  Instruction uncached_instruction_;
  Block uncached_block_;
  std::unique_ptr<BlockCache> blocks_;
  Translation* translation_ = nullptr;
  u32 runs_before_translation_ = 0;
  unsigned block_limit_ = BlockCache::kMaxInstructions;
  DebugPoints* debug_ = nullptr;
  std::unique_ptr<HostFpu> host_fpu_;
};

}  // namespace dragoman
