#include "jit/translator.h"

#include <cstring>

#include "jit/emit/block_emitter.h"
#include "jit/emit/stubs.h"

namespace dragoman {
namespace {

/// Guest flags as LAHF and SETO give them, and back.
u64 packed_flags(const LazyFlags& lazy) {
  const u32 flags = arithmetic_flags(lazy);
  return u64{(flags & 0xd5) | kFlagFixed} << 8 | ((flags & kFlagOf) ? 1 : 0);
}
void unpack_flags(LazyFlags& lazy, u64 packed) {
  set_arithmetic_flags(lazy,
                       static_cast<u32>(packed >> 8 & 0xd5) | ((packed & 1) ? u32{kFlagOf} : 0));
}

u64 jump_slot(u64 rip) { return rip ^ rip >> 12; }

/// A five-byte jump at `from` to `to`, both run addresses.
std::array<u8, 5> jump_code(const u8* from, const u8* to) {
  std::array<u8, 5> code{0xe9};
  const i32 displacement = static_cast<i32>(to - (from + 5));
  std::memcpy(&code[1], &displacement, 4);
  return code;
}

}  // namespace

/// What generated code calls. `remaining` instructions of the block, the current one included, have
/// been charged but not executed.
struct TranslatorCalls {
  static void enter_cpp(Translator& t, const Site& site) {
    Cpu& cpu = t.cpu_;
    const i64 executed = t.entry_budget_ - cpu.frame.budget - site.remaining;
    cpu.state.instructions = t.entry_instructions_ + static_cast<u64>(executed);
    TranslatorAccess::set_position(cpu, site.insn, site.insn, site.rip);
    cpu.state.rip() = site.rip + site.insn->length;
  }

  /// Host address for the access, or null when it cannot be done in place.
  static u8* memory(Translator* t, const Site* site, u64 linear) {
    if (site->locked && (linear & (site->access_bytes - 1)) != 0) return nullptr;
    return t->cpu_.direct(linear, site->access_bytes,
                          site->write ? AccessType::kWrite : AccessType::kRead);
  }

  /// Executes one instruction by its handler: 1 to go on in the block, 0 to leave.
  static u64 interpret(Translator* t, const Site* site) {
    Cpu& cpu = t->cpu_;
    enter_cpp(*t, *site);
    unpack_flags(cpu.state.lazy, cpu.frame.flags);
    cpu.frame.block_invalidated = 0;
    t->running_ = site->first;
    const bool went_on = site->insn->handler(cpu, *site->insn);
    t->running_ = nullptr;
    TranslatorAccess::clear_position(cpu);
    cpu.frame.flags = packed_flags(cpu.state.lazy);
    if (went_on && !cpu.frame.block_invalidated) return 1;
    if (cpu.fault_pending()) {
      cpu.frame.budget += site->remaining;
    } else {
      cpu.frame.budget += site->remaining - (TranslatorAccess::take_restart(cpu) ? 0 : 1);
    }
    return 0;
  }
};

Translator::Translator(Cpu& cpu, u64 cache_bytes)
    : cpu_(cpu), arena_(cache_bytes), jump_targets_(kJumpTargets) {
  cpu_.frame.jump_table = jump_targets_.data();
  if (place_stubs()) cpu_.set_translation(this);
}

Translator::~Translator() { cpu_.set_translation(nullptr); }

bool Translator::place_stubs() {
  StubTargets targets;
  targets.translator = this;
  targets.memory = reinterpret_cast<const void*>(&TranslatorCalls::memory);
  targets.interpret = reinterpret_cast<const void*>(&TranslatorCalls::interpret);
  dispatch_exit_.set_rip = false;
  targets.dispatch_exit = &dispatch_exit_;
  targets.jump_targets = kJumpTargets;
  static_assert(sizeof(JumpTarget) == 32);
  const auto place = [&](const std::vector<u8>& code) { return arena_.add(code); };
  TranslatorFrame& f = cpu_.frame;
  const void* enter = place(emit_enter_stub(cpu_));
  f.exit_stub = place(emit_exit_stub(cpu_));
  f.dispatch_stub = place(emit_dispatch_stub(cpu_, targets));
  f.memory_stub = place(emit_call_stub(cpu_, targets, targets.memory, StubResult::kInPointer));
  f.interpret_stub =
      place(emit_call_stub(cpu_, targets, targets.interpret, StubResult::kInScratch));
  enter_ = reinterpret_cast<Enter>(reinterpret_cast<u64>(enter));
  return enter != nullptr && f.interpret_stub != nullptr;
}

void Translator::translate(Cpu& cpu, Block& block, u64 rip) {
  if (cpu.decode_mode().code_bits != 64) return;
  TranslatedBlock& out = blocks_.emplace_back();
  out.rip = rip;
  EmittedBlock emitted;
  BlockEmitter emitter(cpu, block, rip, out);
  if (!emitter.emit(emitted)) {
    blocks_.pop_back();
    return;
  }
  const u8* code = static_cast<const u8*>(arena_.add(emitted.code));
  if (code == nullptr) {  // full: start anew, this block comes again when it ran often enough
    forget_all();
    block.runs = 0;
    ++times_full_;
    return;
  }
  out.entry = code;
  out.resume = code + emitted.resume;
  out.retired = code + emitted.retired;
  for (const auto& [offset, record] : emitted.jumps) record->jump = code + offset;
  out.older = static_cast<TranslatedBlock*>(block.translated);
  if (out.older == nullptr) owners_.push_back(&block);
  block.translated = &out;
  ++translated_count_;
  code_bytes_ += emitted.code.size();
}

bool Translator::run(Cpu& cpu, Block& block, u64 budget) {
  const u64 rip = cpu.state.rip();
  // Host code has addresses built in: the same bytes at another address are another translation.
  const auto* found = static_cast<const TranslatedBlock*>(block.translated);
  while (found != nullptr && found->rip != rip) found = found->older;
  if (found == nullptr) {
    translate(cpu, block, rip);
    return false;
  }
  const TranslatedBlock& translated = *found;
  const u64 key = TranslatorAccess::current_mode_key(cpu);
  const u64 page = block.offset >> kPageShift;
  if (pending_link_ != nullptr && pending_link_->rip == rip && pending_page_ == page &&
      pending_key_ == key) {
    arena_.patch(pending_link_->jump, jump_code(pending_link_->jump, translated.entry));
    ++linked_count_;
  }
  pending_link_ = nullptr;
  jump_targets_[jump_slot(rip) & (kJumpTargets - 1)] = {
      rip, TranslatorAccess::current_fetch_generation(cpu), translated.entry, key};

  TranslatorFrame& f = cpu.frame;
  entry_instructions_ = cpu.state.instructions;
  entry_budget_ = static_cast<i64>(budget);
  f.budget = entry_budget_;
  f.flags = packed_flags(cpu.state.lazy);
  const ExitRecord* exit = enter_(&cpu.state, translated.resume);
  unpack_flags(cpu.state.lazy, f.flags);
  cpu.state.instructions = entry_instructions_ + static_cast<u64>(entry_budget_ - f.budget);
  if (exit->set_rip) cpu.state.rip() = exit->rip;
  if (exit->linkable) {
    pending_link_ = exit;
    // The mode of the block that was left last, which need not be that of the one entered first.
    pending_key_ = TranslatorAccess::current_mode_key(cpu);
    // Links stay inside a page, so the exit's own block lies in the page it names.
    pending_page_ = ~u64{0};
    if (const auto offset = cpu.code_offset(exit->rip)) pending_page_ = *offset >> kPageShift;
  }
  return true;
}

void Translator::forget(Block& block) {
  for (auto* t = static_cast<TranslatedBlock*>(block.translated); t != nullptr; t = t->older) {
    arena_.patch(t->entry, jump_code(t->entry, t->retired));
  }
  block.translated = nullptr;
  // The interpreter goes on in its block when the bytes of another one change; so must host code,
  // or events would be seen at another instruction.
  if (block.instructions == running_) cpu_.frame.block_invalidated = 1;
}

void Translator::forget_all() {
  for (Block* block : owners_) {
    block->translated = nullptr;
    block->runs = 0;
  }
  owners_.clear();
  blocks_.clear();
  pending_link_ = nullptr;
  std::fill(jump_targets_.begin(), jump_targets_.end(), JumpTarget{});
  arena_.clear();
  code_bytes_ = 0;
  (void)place_stubs();  // they lie in the arena too; there was room for them before
}

}  // namespace dragoman
