// Breakpoints, watchpoints, steps and caught exceptions of a debugger of the host.
#include "cpu/execute/debug_points.h"

#include "cpu/cpu.h"
#include "cpu/decode/early_decoder.h"
#include "cpu/execute/block_cache.h"

namespace dragoman {

u64 Cpu::code_linear(u64 rip) const {
  return code64() ? rip : static_cast<u32>(state.segments[kCs].base + rip);
}

void Cpu::set_debug_points(DebugPoints* points) {
  if (points == debug_) return;
  if (debug_ != nullptr) {
    for (const u64 offset : debug_->cut_offsets)
      blocks_->invalidate(offset, 1, &cancelled_instruction);
    debug_->cut_offsets.clear();
  }
  debug_ = points;
  debug_points_changed();
}

void Cpu::debug_points_changed() {
  // Pages with breakpoints are looked at again when they are next fetched from (cut_blocks), pages
  // with watchpoints stay out of the shadow page table.
  flush_tlb(true);
  std::fill(jump_cache_.begin(), jump_cache_.end(), JumpEntry{});
  set_attention_check();
  if (debug_ == nullptr) return;
  for (const u64 offset : debug_->cut_offsets)
    blocks_->invalidate(offset, 1, &cancelled_instruction);
  debug_->cut_offsets.clear();
}

/// The page of `linear` is at `offset` from now on: blocks that run over its breakpoints go.
void Cpu::cut_blocks(u64 linear, u64 offset) {
  for (const u64 point : debug_->breakpoints) {
    if (point >> kPageShift != linear >> kPageShift) continue;
    const u64 at = (offset & ~kPageMask) | (point & kPageMask);
    if (!debug_->cuts(at)) debug_->cut_offsets.push_back(at);
    blocks_->invalidate(at, 1, &cancelled_instruction, &Cpu::debug_trap);
  }
}

void Cpu::make_debug_trap(Instruction& insn) const {
  // HLT is an instruction every engine leaves to its handler, and the last one of a block.
  static constexpr std::array<u8, 1> kHlt = {0xf4};
  (void)decode_for(model_, kHlt, mode_, insn);
  insn.handler = &Cpu::debug_trap;
}

bool Cpu::debug_trap(Cpu& cpu, const Instruction&) {
  DebugPoints* const points = cpu.debug_;
  if (points != nullptr) {
    const u64 linear = cpu.code_linear(cpu.instruction_rip_);
    if (points->breaks_at(linear)) {
      points->hit = {DebugPoints::Cause::kBreakpoint, linear, false, {}, 0, 0};
      cpu.request_stop();
    } else {
      points->skip = true;  // the same bytes at another linear address
    }
  }
  cpu.set_attention_check();
  return cpu.restart_instruction(false);
}

/// False: a breakpoint, the instruction is not to be executed.
bool Cpu::debug_before_step() {
  if (debug_->skip || state.pending_debug != 0) return true;
  const u64 linear = code_linear(state.rip());
  if (!debug_->breaks_at(linear)) return true;
  debug_->hit = {DebugPoints::Cause::kBreakpoint, linear, false, {}, 0, 0};
  request_stop();
  set_attention_check();
  return false;
}

void Cpu::debug_after_step() {
  debug_->skip = false;
  if (debug_->step) {
    debug_->step = false;
    if (!debug_->hit.any()) {
      debug_->hit = {DebugPoints::Cause::kStep, code_linear(state.rip()), false, {}, 0, 0};
    }
    request_stop();
  }
  set_attention_check();
}

bool Cpu::debug_catches(u8 vector, u32 error_code) {
  if (debug_ == nullptr || debug_->caught_vectors == 0 || vector >= 32) return false;
  if (debug_->pass_exception) {
    debug_->pass_exception = false;
    return false;
  }
  if (!((debug_->caught_vectors >> vector) & 1)) return false;
  debug_->hit = {
      DebugPoints::Cause::kException, code_linear(state.rip()), false, {}, vector, error_code};
  request_stop();
  set_attention_check();
  return true;
}

bool Cpu::debug_catches_fault() {
  if (!debug_catches(fault_.vector, fault_.error_code)) return false;
  fault_pending_ = false;  // the instruction comes again when the debugger lets it
  return true;
}

void Cpu::debug_notes(u8 vector, u32 error_code) {
  if (debug_ == nullptr || debug_->hit.any()) return;
  if (vector >= 32 || !((debug_->caught_vectors >> vector) & 1)) return;
  debug_->hit = {DebugPoints::Cause::kException,
                 code_linear(state.rip()),
                 false,
                 {},
                 vector,
                 error_code,
                 true};
  request_stop();
  set_attention_check();
}

void Cpu::debug_check_access(u64 linear, unsigned size, AccessType type) {
  if (debug_->hit.any()) return;
  const bool write = type == AccessType::kWrite;
  for (const DebugPoints::Watch& w : debug_->watches) {
    if (!(write ? w.on_write : w.on_read)) continue;
    if (linear >= w.address + w.bytes || w.address >= linear + size) continue;
    debug_->hit = {DebugPoints::Cause::kWatch, std::max(linear, w.address), write, w, 0, 0};
    // The block ends behind this instruction.
    const u64 code = code64() ? instruction_rip_ : code_linear(instruction_rip_);
    if (const ShadowTable::Fetch* fetch = frame.shadow->fetch(code >> kPageShift)) {
      const u8* host = reinterpret_cast<const u8*>(code + fetch->delta);
      blocks_->invalidate(memory().memory().offset_of(host), 1, &cancelled_instruction);
    }
    request_stop();
    set_attention_check();
    return;
  }
}

}  // namespace dragoman
