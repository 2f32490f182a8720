// The interpreter's run loop: finding and building blocks, instruction boundaries, stepping.
#include <algorithm>
#include <cstring>

#include "cpu/cpu.h"
#include "cpu/decode/early_decoder.h"
#include "cpu/disassemble/disassembler.h"
#include "cpu/events/events.h"
#include "cpu/execute/block_cache.h"
#include "cpu/execute/dispatch.h"
#include "cpu/isa/rows.h"

namespace dragoman {
namespace {

/// Runs when decoding failed in a way that is a fault of the instruction itself.
bool invalid_instruction(Cpu& cpu, const Instruction&) {
  cpu.report_invalid_instruction();
  return cpu.raise(kVectorUd);
}
bool too_long_instruction(Cpu& cpu, const Instruction&) { return cpu.raise(kVectorGp, 0); }

}  // namespace

bool ends_block(const Row& row) {
  // Of the system instructions these change neither what the next bytes mean nor where they are.
  switch (row.operation) {
    case Operation::kCli:
    case Operation::kSti:
    case Operation::kSwapgs:
    case Operation::kRdtsc:
      return false;
    default:
      break;
  }
  const Category category = kOperations[static_cast<std::size_t>(row.operation)].category;
  if (category == Category::kSystem) return true;
  if (row.attributes & kSerializing) return true;
  return category == Category::kBranch && row.operation != Operation::kJcc;
}

bool Cpu::cancelled_instruction(Cpu& cpu, const Instruction&) {
  return cpu.restart_instruction(false);  // its bytes changed while the block was running
}

constexpr unsigned kLongestInstruction = 15;
/// A long block ends where it does not part a comparison from the branch that looks at it.
constexpr unsigned kWantedInstructions = BlockCache::kMaxInstructions - 4;

/// When a translation did not start for want of budget, none is tried for so few instructions.
constexpr u64 kLeastTranslated = 320;

RunExit Cpu::run(u64 budget, BudgetUse use) {
  const u64 began = state.instructions;
  const u64 limit = began + budget;
  bool translating = translation_ != nullptr;
  if (observer != nullptr) observer->slice_began();
  RunExit exit = RunExit::kBudget;
  for (;;) {
    if (state.instructions >= limit) return RunExit::kBudget;
    if (__builtin_expect(
            attention_.load(std::memory_order_relaxed) != 0 || state.activity != Activity::kRunning,
            0)) {
      if (handle_boundary(exit) == Boundary::kExit) return exit;
      // A delivery counts, may end in shutdown, and may write what a debugger watches.
      if (state.activity != Activity::kRunning || state.instructions >= limit) continue;
      if (debug_ != nullptr && debug_->hit.any()) continue;
    }
    if (__builtin_expect(stepping_, 0)) {
      if (debug_ != nullptr && !debug_before_step()) continue;
      step_instruction();
      if (debug_ != nullptr) debug_after_step();
      continue;
    }
    Block* block = find_block();
    if (block == nullptr) {
      deliver_pending_fault();
      continue;
    }
    const u64 remaining = limit - state.instructions;
    if (translating && block != &uncached_block_) {
      if (block->translated == nullptr && ++block->runs == runs_before_translation_) {
        translation_->translate(*this, *block, state.rip());
      }
      if (block->translated != nullptr) {
        if (translation_->run(*this, *block, remaining)) {
          if (fault_pending_) deliver_pending_fault();
          continue;
        }
        if (use == BudgetUse::kRoughly && state.instructions != began) return RunExit::kBudget;
        // Too little is left for most translations: the rest of the budget is interpreted.
        translating = remaining > kLeastTranslated;
      }
    }
    run_block(*block, remaining);
  }
}

Cpu::Boundary Cpu::handle_boundary(RunExit& exit) {
  attention_.fetch_and(~u32{kAttentionCheck}, std::memory_order_relaxed);
  if (memory().generation() != map_generation_) {
    map_generation_ = memory().generation();
    flush_tlb(true);
  }
  if (spaces_->contexts_used_up()) {
    blocks_->clear();
    std::fill(jump_cache_.begin(), jump_cache_.end(), JumpEntry{});
    spaces_->forget_contexts();
    update_fetch_context();
  }
  const u32 attention = attention_.load(std::memory_order_relaxed);
  if (attention & kAttentionStop) {
    attention_.fetch_and(~u32{kAttentionStop}, std::memory_order_relaxed);
    exit = RunExit::kStopRequest;
    set_attention_check();
    return Boundary::kExit;
  }
  if (state.activity == Activity::kShutdown) {
    exit = RunExit::kTripleFault;
    return Boundary::kExit;
  }
  stepping_ = needs_stepping();

  // Events between instructions, highest priority first (SDM vol. 3, table 6-2). MOV SS and
  // POP SS hold off all of them, STI only maskable interrupts.
  if (!(state.interrupt_shadow & kShadowMovSs) && !debug_holds_events()) {
    if ((attention & kAttentionInit) && !state.in_smm) {
      attention_.fetch_and(~u32{kAttentionInit}, std::memory_order_relaxed);
      init();
      return Boundary::kContinue;
    }
    if ((attention & kAttentionSmi) && !state.in_smm) {
      attention_.fetch_and(~u32{kAttentionSmi}, std::memory_order_relaxed);
      enter_smm(*this);
      state.activity = Activity::kRunning;
      return Boundary::kContinue;
    }
    if (state.pending_debug != 0) {
      state.activity = Activity::kRunning;
      return Boundary::kContinue;  // step_instruction() delivers it, ahead of NMI and INTR
    }
    if ((attention & kAttentionNmi) && !state.nmi_blocked) {
      attention_.fetch_and(~u32{kAttentionNmi}, std::memory_order_relaxed);
      state.activity = Activity::kRunning;
      ++state.instructions;
      if (!deliver_interrupt(*this, kVectorNmi, true)) state.activity = Activity::kShutdown;
      set_attention_check();
      return Boundary::kContinue;
    }
    if (interrupt_request_ && (state.flags & kFlagIf) && state.interrupt_shadow == 0 &&
        wiring_.interrupts != nullptr) {
      state.activity = Activity::kRunning;
      ++state.instructions;
      const u8 vector = wiring_.interrupts->acknowledge();
      if (!deliver_interrupt(*this, vector, false)) state.activity = Activity::kShutdown;
      set_attention_check();
      return Boundary::kContinue;
    }
    if (interrupt_request_ && state.activity == Activity::kMwait) {
      state.activity = Activity::kRunning;  // MWAIT with ECX[0] or any pending event
    }
  }
  if (state.activity == Activity::kHalted || state.activity == Activity::kMwait) {
    exit = RunExit::kHalted;
    return Boundary::kExit;
  }
  if (state.activity == Activity::kWaitForSipi) {
    if (attention & kAttentionSipi) {
      attention_.fetch_and(~u32{kAttentionSipi}, std::memory_order_relaxed);
      state.segments[kCs].selector = static_cast<u16>(sipi_vector_ << 8);
      state.segments[kCs].base = u64{sipi_vector_} << 12;
      state.rip() = 0;
      state.activity = Activity::kRunning;
      state_replaced();
      return Boundary::kContinue;
    }
    exit = RunExit::kWaitForSipi;
    return Boundary::kExit;
  }
  return Boundary::kContinue;
}

bool Cpu::needs_stepping() const {
  return state.interrupt_shadow != 0 || (state.flags & (kFlagTf | kFlagRf)) != 0 ||
         state.pending_debug != 0 || watching_code_ || watching_data_ ||
         wiring_.log->enabled(LogCategory::kExec) || wiring_.log->enabled(LogCategory::kCpu) ||
         debug_steps();
}

void Cpu::deliver_pending_fault() {
  state.rip() = instruction_rip_;
  if (debug_ != nullptr && debug_catches_fault()) return;
  ++state.instructions;  // deliveries count, so that a loop of faults uses up its budget
  if (!deliver_fault(*this)) state.activity = Activity::kShutdown;
  set_attention_check();
}

Block* Cpu::find_block() {
  const u64 rip = state.rip();
  instruction_rip_ = rip;
  u64 linear;
  if (code64()) {
    linear = rip;
  } else {
    linear = static_cast<u32>(state.segments[kCs].base + rip);
    if (rip > state.segments[kCs].limit) {
      if (rip >> 32 != 0) {  // EIP has 32 bits: straight code goes on at the start of the segment
        state.rip() = static_cast<u32>(rip);
        return find_block();
      }
      (void)raise(kVectorGp, 0);
      return nullptr;
    }
  }
  RecentBlock& recent = recent_[recent_next_];
  recent = {rip, linear, mode_key_, state.segments[kCs].selector};
  recent_next_ = (recent_next_ + 1) % recent_.size();

  JumpEntry& jump =
      jump_cache_[(linear ^ linear >> 16 ^ u64{fetch_context()} * 0x9e3779b1) & (kJumpEntries - 1)];
  if (jump.linear == linear && jump.fetch_context == fetch_context() &&
      jump.block_generation == blocks_->generation() && jump.block->key != Block::kDropped) {
    return jump.block;
  }

  const ShadowTable::Fetch* fetch = frame.shadow->fetch(linear >> kPageShift);
  if (fetch == nullptr) {
    if (code64() && !canonical(linear)) {
      (void)raise(kVectorGp, 0);
      return nullptr;
    }
    PageWalk walk;
    if (!translate(linear, AccessType::kExecute, Privilege::kCurrent, walk)) return nullptr;
    fill_shadow(*frame.shadow, linear, AccessType::kExecute, walk);
    fetch = frame.shadow->fetch(linear >> kPageShift);
    if (fetch == nullptr) return build_uncached(linear);
    if (debug_ != nullptr) {
      cut_blocks(linear, memory().memory().offset_of(reinterpret_cast<u8*>(linear + fetch->delta)));
    }
  }
  const u8* host = reinterpret_cast<const u8*>(linear + fetch->delta);
  const u64 offset = memory().memory().offset_of(host);
  Block* block = blocks_->find(offset, mode_key_);
  if (block == nullptr) {
    block = build_block(linear, host, offset);
    if (block == nullptr) block = find_crossing_block(linear, host, offset);
    if (block == nullptr) return fault_pending_ ? nullptr : build_uncached(linear);
  }
  if (!code64() && rip + block->bytes - 1 > state.segments[kCs].limit) {
    return build_uncached(linear);
  }
  spaces_->note_executed(*fetch, state.cpl == 3);
  jump = {linear, fetch_context(), blocks_->generation(), block};
  return block;
}

/// The block of an instruction that begins on one page and ends on the next. Null with a fault
/// pending when the second page cannot be fetched from, else when only build_uncached() can help.
Block* Cpu::find_crossing_block(u64 linear, const u8* host, u64 offset) {
  const u64 available = kPageSize - (linear & kPageMask);
  const u64 next = linear + available;
  if (code64() ? !canonical(next)
               : next >> 32 != 0 || state.rip() + available > state.segments[kCs].limit)
    return nullptr;
  const ShadowTable::Fetch* fetch = frame.shadow->fetch(next >> kPageShift);
  if (fetch == nullptr) {
    PageWalk walk;
    if (!translate(next, AccessType::kExecute, Privilege::kCurrent, walk)) return nullptr;
    fill_shadow(*frame.shadow, next, AccessType::kExecute, walk);
    fetch = frame.shadow->fetch(next >> kPageShift);
    if (fetch == nullptr) return nullptr;
    // find_block() does so only where it meets the page first.
    if (debug_ != nullptr) {
      cut_blocks(next, memory().memory().offset_of(reinterpret_cast<u8*>(next + fetch->delta)));
    }
  }
  spaces_->note_executed(*fetch, state.cpl == 3);
  const u8* second = reinterpret_cast<const u8*>(next + fetch->delta);
  const u64 second_offset = memory().memory().offset_of(second);
  if (Block* block = blocks_->find(offset, mode_key_, second_offset)) return block;

  std::array<u8, 15> code;
  const std::size_t first_bytes = static_cast<std::size_t>(available);
  if (first_bytes >= code.size()) return nullptr;
  std::memcpy(code.data(), host, first_bytes);
  std::memcpy(code.data() + first_bytes, second, code.size() - first_bytes);
  Instruction insn;
  if (decode_for(model_, code, mode_, insn) != DecodeResult::kOk || insn.length <= first_bytes)
    return nullptr;
  insn.handler = select_handler(*this, insn);
  if (log().enabled(LogCategory::kInAsm)) log_instruction(insn, state.rip(), DecodeResult::kOk);
  return blocks_->insert(offset, mode_key_, &insn, 1, insn.length, second_offset);
}

Block* Cpu::build_block(u64 linear, const u8* host, u64 offset) {
  if (blocks_->full()) blocks_->clear();
  const u64 available = kPageSize - (linear & kPageMask);
  std::array<Instruction, BlockCache::kMaxInstructions> buffer;
  unsigned count = 0;
  unsigned bytes = 0;
  unsigned decided_by = 0;  // bytes up to which the code was looked at
  while (count < block_limit_ && bytes < available) {
    Instruction& insn = buffer[count];
    if (debug_ != nullptr && debug_->cuts(offset + bytes)) {
      if (count != 0) break;
      make_debug_trap(insn);
      bytes = insn.length;
      ++count;
      break;
    }
    const DecodeResult result = decode_for(model_, {host + bytes, available - bytes}, mode_, insn);
    if (result == DecodeResult::kNeedMoreBytes) break;  // continues on the next page
    if (result == DecodeResult::kOk) {
      insn.handler = select_handler(*this, insn);
    } else {
      insn = Instruction{};
      insn.length = 1;
      insn.handler = result == DecodeResult::kTooLong ? too_long_instruction : invalid_instruction;
    }
    if (log().enabled(LogCategory::kInAsm)) log_instruction(insn, state.rip() + bytes, result);
    // What makes an instruction illegal may lie behind its first byte.
    if (result != DecodeResult::kOk)
      decided_by = static_cast<unsigned>(std::min<u64>(bytes + kLongestInstruction, available));
    bytes += insn.length;
    ++count;
    if (result != DecodeResult::kOk || ends_block(row(insn.row))) break;
    if (count >= kWantedInstructions && operation_info(row(insn.row).operation).flags_written == 0)
      break;
  }
  if (count == 0) return nullptr;
  return blocks_->insert(offset, mode_key_, buffer.data(), count, std::max(bytes, decided_by));
}

Block* Cpu::build_uncached(u64 linear) {
  // One instruction that crosses a page, lies in device memory, or is cut by the segment limit.
  std::array<u8, 15> code;
  const Segment& cs = state.segments[kCs];
  unsigned got = 0;
  DecodeResult result = DecodeResult::kNeedMoreBytes;
  Instruction& insn = uncached_instruction_;
  const bool trap = debug_ != nullptr && !stepping_ && debug_->breaks_at(linear);
  while (got < code.size()) {
    const u64 address = code64() ? linear + got : static_cast<u32>(linear + got);
    if (!code64() && state.rip() + got > cs.limit) {
      (void)raise(kVectorGp, 0);
      return nullptr;
    }
    PageWalk walk;
    if (code64() && !canonical(address)) {
      (void)raise(kVectorGp, 0);
      return nullptr;
    }
    if (!translate(address, AccessType::kExecute, Privilege::kCurrent, walk)) return nullptr;
    unsigned chunk =
        static_cast<unsigned>(std::min<u64>(code.size() - got, kPageSize - (address & kPageMask)));
    if (!code64()) {
      chunk = static_cast<unsigned>(std::min<u64>(chunk, cs.limit - (state.rip() + got) + 1));
    }
    for (unsigned i = 0; i < chunk; ++i) {
      code[got++] = static_cast<u8>(memory().read(PhysicalAddress(walk.physical + i), 1));
    }
    result = decode_for(model_, {code.data(), got}, mode_, insn);
    if (result != DecodeResult::kNeedMoreBytes) break;
  }
  if (result == DecodeResult::kOk) {
    insn.handler = select_handler(*this, insn);
  } else {
    insn = Instruction{};
    insn.length = 1;
    insn.handler = result == DecodeResult::kInvalid ? invalid_instruction : too_long_instruction;
  }
  if (trap) make_debug_trap(insn);
  uncached_block_.key = mode_key_;
  uncached_block_.count = 1;
  uncached_block_.bytes = insn.length;
  uncached_block_.instructions = &insn;
  return &uncached_block_;
}

void Cpu::run_block(const Block& block, u64 budget, unsigned first) {
  const Instruction* insn = block.instructions + first;
  const Instruction* const end = insn + std::min<u64>(block.count - first, budget);
  block_first_ = insn;
  do {
    const u64 rip = state.rip();
    current_ = insn;
    instruction_rip_ = rip;
    state.rip() = rip + insn->length;
    if (!insn->handler(*this, *insn)) {
      const bool retired = !fault_pending_ && !restarted_;
      state.instructions += static_cast<u64>(insn - block_first_) + (retired ? 1 : 0);
      block_first_ = nullptr;
      if (fault_pending_) {
        deliver_pending_fault();
      } else if (restarted_) {
        restarted_ = false;
        if (restart_counts_) ++state.instructions;
      }
      return;
    }
  } while (++insn != end);
  state.instructions += static_cast<u64>(end - block_first_);
  block_first_ = nullptr;
}

void Cpu::step_instruction() {
  const u32 flags_before = state.flags;
  const u8 shadow_before = state.interrupt_shadow;

  // Debug traps of the instruction before, unless MOV SS holds them off.
  if (state.pending_debug != 0 && !(shadow_before & kShadowMovSs)) {
    if (debug_catches(kVectorDb)) return;
    const u32 bits = state.pending_debug;
    state.pending_debug = 0;
    ++state.instructions;
    if (!deliver_debug_trap(*this, bits)) state.activity = Activity::kShutdown;
    set_attention_check();
    return;
  }
  if (watching_code_ && !(flags_before & kFlagRf)) {
    const u64 linear =
        code64() ? state.rip() : static_cast<u32>(state.segments[kCs].base + state.rip());
    const u32 hits = matching_breakpoints(linear, 1, 1u << 0);
    if (hits != 0 && !(shadow_before & kShadowMovSs)) {
      instruction_rip_ = state.rip();
      (void)raise_debug_fault(hits);
      deliver_pending_fault();
      return;
    }
  }

  const Block* block = find_block();
  if (block != nullptr && block->instructions[0].handler == &Cpu::debug_trap) {
    block = build_uncached(code_linear(state.rip()));
  }
  set_attention_check();
  if (block == nullptr) {
    deliver_pending_fault();
    return;
  }
  const Instruction insn = block->instructions[0];
  if (log().enabled(LogCategory::kCpu)) log().write_line(describe_registers());
  if (log().enabled(LogCategory::kExec)) log_instruction(insn, state.rip(), DecodeResult::kOk);
  state.interrupt_shadow = 0;
  state.flags &= ~u32{kFlagRf};
  current_ = block_first_ = &insn;
  instruction_rip_ = state.rip();
  state.rip() += insn.length;
  const bool went_on = insn.handler(*this, insn);
  block_first_ = nullptr;
  if (!went_on && fault_pending_) {
    state.flags |= flags_before & kFlagRf;
    deliver_pending_fault();
    return;
  }
  const bool restarted = restarted_;
  restarted_ = false;
  if (!restarted || restart_counts_) ++state.instructions;
  if (restarted) state.flags |= flags_before & kFlagRf;
  // Single step: TF as it was before the instruction. INT n and the like clear it as part of
  // their delivery and are not trapped (SDM vol. 3, 17.3.1.4); MOV SS holds the trap off.
  // SYSCALL and SYSRET trap by TF as they leave it, so that a debugger that steps over a system
  // call does not stop in the kernel when IA32_FMASK clears TF.
  const bool software_interrupt = insn.handler != nullptr && is_software_interrupt(insn);
  const Operation operation = row(insn.row).operation;
  const bool tests_after = operation == Operation::kSyscall || operation == Operation::kSysret;
  // With BTF, only branches that are taken are trapped (SDM vol. 3, 18.4.3).
  const bool steps_branches = state.msr.debugctl & kDebugCtlBtf;
  const bool branched =
      !restarted && (state.rip() != instruction_rip_ + insn.length ||
                     operation == Operation::kJmpNear || operation == Operation::kCallNear);
  if (((tests_after ? state.flags : flags_before) & kFlagTf) && !software_interrupt &&
      !(state.interrupt_shadow & kShadowMovSs) && (!steps_branches || branched)) {
    state.pending_debug |= 1u << 14;
  }
}

bool Cpu::is_software_interrupt(const Instruction& insn) {
  switch (row(insn.row).operation) {
    case Operation::kInt:
    case Operation::kInt1:
    case Operation::kInt3:
    case Operation::kInto:
      return true;
    default:
      return false;
  }
}

void Cpu::report_invalid_instruction() {
  const u64 rip = instruction_rip_;
  const u64 linear = code64() ? rip : static_cast<u32>(state.segments[kCs].base + rip);
  std::array<u8, 8> bytes{};
  unsigned got = 0;
  while (got < bytes.size() && peek(linear + got, &bytes[got], 1)) ++got;
  std::string text;
  for (unsigned i = 0; i < got; ++i) text += fmt::format(" {:02x}", bytes[i]);
  log().once("invalid instruction" + text.substr(0, 9),
             "instruction bytes{} at {:04x}:{:x} are invalid or not implemented: #UD", text,
             state.segments[kCs].selector, rip);
}

void Cpu::log_instruction(const Instruction& insn, u64 rip, DecodeResult result) {
  std::string text =
      result == DecodeResult::kOk ? disassemble(insn, rip, mode_) : std::string("(invalid)");
  log().write_line(fmt::format("{:04x}:{:016x} {}", state.segments[kCs].selector, rip, text));
}

}  // namespace dragoman
