#include "cpu/cpu.h"

#include <algorithm>
#include <utility>

#include "cpu/execute/block_cache.h"
#include "cpu/execute/host/host_fpu.h"

namespace dragoman {

Cpu::Cpu(const CpuModel& model, CpuWiring wiring)
    : model_(model),
      wiring_(std::move(wiring)),
      spaces_(std::make_unique<AddressSpaces>(wiring_.memory->memory())),
      blocks_(std::make_unique<BlockCache>(wiring_.memory->memory())),
      host_fpu_(std::make_unique<HostFpu>(*this)) {
  memory().memory().set_code_listener(this);
  memory().memory().add_write_cache(this);
  reset();
}

Cpu::~Cpu() {
  GuestMemory& pool = memory().memory();
  if (pool.code_listener() == this) pool.set_code_listener(nullptr);
  pool.remove_write_cache(this);
}

void Cpu::set_translation(Translation* translation, u32 runs_before_translation) {
  blocks_->clear();
  translation_ = translation;
  runs_before_translation_ = runs_before_translation;
  blocks_->set_translation(translation);
}

void Cpu::limit_blocks(unsigned instructions) {
  blocks_->clear();
  block_limit_ = instructions < 1 ? 1 : std::min(instructions, BlockCache::kMaxInstructions);
}

void Cpu::reset() {
  const u64 instructions = state.instructions;  // a count of work done, not a register
  const u8 a20_masked = state.a20_masked;       // the gate belongs to the board
  state = CpuState{};
  host_fpu_->ferr = false;
  state.instructions = instructions;
  state.a20_masked = a20_masked;
  attention_.fetch_and(kAttentionStop, std::memory_order_relaxed);
  state.segments[kCs] = {0xffff0000, 0xffff, 0xf000, 0x9b};
  state.segments[kLdtr].attributes = 0x82;
  state.segments[kTr].attributes = 0x8b;
  state.rip() = 0xfff0;
  // EDX after reset: the processor's signature, as CPUID.1:EAX gives it.
  state.regs[kRdx] = model_.signature();
  state.flags = model_.flags_fixed;
  state_replaced();
}

void Cpu::init() {
  const CpuState before = state;
  const u64 cache_bits = before.cr0 & (kCr0Cd | kCr0Nw);
  reset();
  state.cr0 = kCr0Et | cache_bits;
  state.fpu = before.fpu;
  state.msr = before.msr;
  state.tsc_offset = before.tsc_offset;
  state.xcr0 = before.xcr0;
  state.in_smm = before.in_smm;
  state_replaced();
}

void Cpu::state_replaced() {
  fault_pending_ = false;
  state.regs[kZeroRegister] = 0;
  update_watchpoints();
  spaces_->select(current_pcid());
  flush_tlb(true);
  update_mode();
  set_attention_check();
}

void Cpu::set_rflags(u32 value) {
  value &= protected_mode() ? model_.flags_implemented : model_.flags_real_mode;
  value |= model_.flags_fixed;
  set_arithmetic_flags(state.lazy, value);
  const u32 changed = state.flags ^ value;
  state.flags = value & ~kArithmeticFlags;
  if (changed & (kFlagVm | kFlagAc)) update_mode();
  const bool admits = (changed & value & kFlagIf) && interrupt_request_;
  if (admits || (changed & (kFlagTf | kFlagRf | kFlagVif | kFlagVip))) set_attention_check();
}

bool Cpu::in_window() {
  if (translation_ == nullptr || mode_.code_bits != 64) return false;
  if (state.cpl != 3 && (state.cpl != 0 || state.rip() >= LinearWindow::kLowEnd)) return false;
  return frame.window_table == frame.shadow || translation_->show_in_window(*this);
}

// A kernel may be about to change more, and does without until its mode is looked at again.
void Cpu::update_window() {
  if (!(mode_key_ & kModeKeyWindow) || frame.window_table == frame.shadow) return;
  if (state.cpl == 3 && in_window()) return;
  mode_key_ &= ~kModeKeyWindow;
  update_fetch_context();
}

void Cpu::update_mode() {
  const bool protect = protected_mode();
  const bool v86_mode = v86();
  const bool code_long = long_mode() && state.segments[kCs].long_mode();
  mode_.code_bits = code_long ? 64 : state.segments[kCs].big() ? 32 : 16;
  const bool big_stack = state.segments[kSs].big();
  stack_mask_ = code_long ? ~u64{0} : big_stack ? 0xffffffff : 0xffff;

  for (unsigned i = 0; i < kSegmentCount; ++i) {
    const Segment& s = state.segments[i];
    active_base_[i] = code_long && i < kFs ? 0 : s.base;
    SegmentAccess& a = segment_access_[i];
    a.base = s.base;
    a.limit = s.limit;
    if (protect && !v86_mode) {
      const bool plain = s.present() && !s.system() && !s.expand_down();
      a.read_fast = plain && (!s.code() || (s.type() & 2));
      a.write_fast = plain && s.writable_data();
    } else {
      a.read_fast = a.write_fast = !s.expand_down();
    }
  }

  alignment_checked_ = (state.cr0 & kCr0Am) && (state.flags & kFlagAc) && state.cpl == 3;
  const ShadowView view = alignment_checked_                                  ? kViewChecked
                          : state.cpl == 3                                    ? kViewUser
                          : (state.flags & kFlagAc) && (state.cr4 & kCr4Smap) ? kViewSupervisorAc
                                                                              : kViewSupervisor;
  frame.shadow = &spaces_->view(view);

  mode_key_ = (mode_.code_bits >> 5) | (big_stack ? 1u << 2 : 0) | (u32{state.cpl} << 3) |
              (v86_mode ? 1u << 5 : 0) | (protect ? 1u << 6 : 0) |
              static_cast<u32>(bits(state.cr0, 3, 1)) << 7 |  // MP, EM, TS
              ((state.cr4 & kCr4Osfxsr) ? 1u << 10 : 0) |
              ((state.cr4 & kCr4Osxsave) ? 1u << 11 : 0) | ((state.xcr0 & 4) ? 1u << 12 : 0) |
              (u32{static_cast<u32>(view)} << 13) | (in_window() ? kModeKeyWindow : 0) |
              flat_segments() << kModeKeyFlatShift;
  update_fetch_context();
}

/// ES, SS and DS that are flat, in bits 0 to 2; nothing in 64-bit mode, where they all are.
u32 Cpu::flat_segments() const {
  if (code64()) return 0;
  const auto flat = [&](unsigned segment) {
    const SegmentAccess& a = segment_access_[segment];
    return a.base == 0 && a.limit == 0xffffffff && a.read_fast && a.write_fast;
  };
  return (flat(kEs) ? 1u : 0) | (flat(kSs) ? 2u : 0) | (flat(kDs) ? 4u : 0);
}

void Cpu::update_fetch_context() {
  FetchMode mode{mode_key_, 0, 0};
  if (!code64()) {
    mode.base = static_cast<u32>(state.segments[kCs].base);
    mode.limit = state.segments[kCs].limit;
  }
  const u32 id = spaces_->fetch_context(mode, state.cpl == 3);
  frame.fetch_context = id;
  frame.jump_key = JumpTable::context_key(id);
  if (__builtin_expect(id >> AddressSpaces::kEpochShift != jump_epoch_, 0)) {
    jump_epoch_ = id >> AddressSpaces::kEpochShift;
    jump_table.clear();
  }
  if (__builtin_expect(spaces_->contexts_used_up(), 0)) set_attention_check();
}

// --- Pins ----------------------------------------------------------------------------------------

void Cpu::set_interrupt_request(bool level) {
  interrupt_request_ = level;
  if (level && (state.flags & kFlagIf)) set_attention_check();
}

void Cpu::raise_nmi() { attention_.fetch_or(kAttentionNmi, std::memory_order_relaxed); }
void Cpu::raise_smi() { attention_.fetch_or(kAttentionSmi, std::memory_order_relaxed); }
void Cpu::raise_init() { attention_.fetch_or(kAttentionInit, std::memory_order_relaxed); }

void Cpu::start_up(u8 vector) {
  sipi_vector_ = vector;
  attention_.fetch_or(kAttentionSipi, std::memory_order_relaxed);
}

void Cpu::set_a20(bool enabled) {
  const u8 masked = enabled ? 0 : 1;
  if (state.a20_masked == masked) return;
  state.a20_masked = masked;
  flush_tlb(true);
  set_attention_check();
}

Cpu::Pins Cpu::pins() const {
  constexpr u32 kKept = kAttentionNmi | kAttentionSmi | kAttentionInit | kAttentionSipi;
  return {attention_.load(std::memory_order_relaxed) & kKept, interrupt_request_, sipi_vector_,
          host_fpu_->ferr};
}

void Cpu::set_pins(const Pins& pins) {
  const u32 stop = attention_.load(std::memory_order_relaxed) & kAttentionStop;
  attention_.store(stop | kAttentionCheck | pins.requests, std::memory_order_relaxed);
  interrupt_request_ = pins.interrupt_request;
  sipi_vector_ = pins.start_up_vector;
  host_fpu_->ferr = pins.ferr;
}

// --- Time
// ------------------------------------------------------------------------------------------

u64 Cpu::tsc() {
  const u128 ticks = static_cast<u128>(wiring_.clock->now_ns()) * model_.tsc_hz / 1'000'000'000u;
  return static_cast<u64>(ticks) + static_cast<u64>(state.tsc_offset);
}

void Cpu::set_tsc(u64 value) {
  const u64 before = tsc();
  state.tsc_offset += static_cast<i64>(value - before);
}

u64 Cpu::retired() const {
  const u64 in_block = block_first_ != nullptr ? static_cast<u64>(current_ - block_first_) : 0;
  return state.instructions + in_block;
}

}  // namespace dragoman
