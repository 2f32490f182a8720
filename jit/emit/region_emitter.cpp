#include "jit/emit/region_emitter.h"

#include <cstring>

#include "cpu/execute/forms.h"
#include "cpu/isa/rows.h"
#include "jit/emit/instruction_ids.h"

namespace dragoman {

using asmjit::Imm;
using asmjit::Label;
namespace x86 = asmjit::x86;

void EmitterStorageDeleter::operator()(EmitterStorage* storage) const { delete storage; }
EmitterStoragePointer make_emitter_storage() { return EmitterStoragePointer(new EmitterStorage); }

namespace {
/// Code goes into memory of ours, which is not allocated and grown for every region.
void use_buffer(asmjit::Section& section, u8* memory) {
  asmjit::CodeBuffer& buffer = section.buffer();
  buffer._data = memory;
  buffer._capacity = EmitterStorage::kBytes;
  buffer._flags = asmjit::CodeBufferFlags::kIsExternal | asmjit::CodeBufferFlags::kIsFixed;
}
}  // namespace

RegionEmitter::RegionEmitter(Cpu& cpu, const RegionPlan& plan, const TranslatorOptions& options,
                             TranslatedRegion& region, CodeCache& cache, EmitterStorage& storage)
    : cpu_(cpu),
      plan_(plan),
      options_(options),
      region_(&region),
      cache_(cache),
      storage_(storage),
      records_(*cache.current().records),
      code_(storage.code),
      a_(storage.assembler),
      starts_(plan.blocks.size(), &storage.notes),
      block_labels_(storage.block_labels),
      map_(storage.map),
      exits_apart_(storage.exits_apart),
      out_of_line_(storage.out_of_line),
      ends_(&storage.notes),
      exits_(&storage.notes),
      plain_exits_(&storage.notes),
      resumes_(&storage.notes),
      resumes_behind_(&storage.notes),
      stub_calls_(&storage.notes),
      windows_(&storage.notes) {
  block_labels_.clear();
  map_.clear();
  exits_apart_.clear();
  out_of_line_.clear();
  ends_.reserve(plan.instructions);
  code_.reset();
  code_.init(asmjit::Environment::host());
  use_buffer(*code_.textSection(), storage.main.get());
  (void)code_.newSection(&rare_, ".rare", SIZE_MAX, asmjit::SectionFlags::kExecutable, 1);
  use_buffer(*rare_, storage.rare.get());
  code_.attach(&a_);
}

// --- Operands -------------------------------------------------------------------------------

x86::Mem RegionEmitter::frame_mem(const void* member, unsigned size) const {
  const auto* frame = reinterpret_cast<const u8*>(&cpu_.frame);
  return x86::ptr(kFrame, static_cast<i32>(static_cast<const u8*>(member) - frame), size);
}
x86::Mem RegionEmitter::cpu_mem(i32 offset_from_frame, unsigned size) const {
  return x86::ptr(kFrame, offset_from_frame, size);
}
x86::Mem RegionEmitter::high_slot(unsigned gpr, unsigned size) const {
  return frame_mem(&cpu_.frame.high[gpr - kR13], size);
}
x86::Gp RegionEmitter::sized(const Gp& reg, unsigned bytes) {
  switch (bytes) {
    case 1:
      return reg.r8();
    case 2:
      return reg.r16();
    case 4:
      return reg.r32();
    default:
      return reg.r64();
  }
}
/// Host register of a pinned guest register.
x86::Gp RegionEmitter::guest(unsigned gpr, unsigned bytes) {
  return sized(x86::gpq(host_number(gpr)), bytes);
}
void RegionEmitter::load_guest(const Gp& into, unsigned gpr) {
  if (pinned(gpr)) {
    a_.mov(into, guest(gpr));
  } else {
    a_.mov(into, high_slot(gpr));
  }
}
/// Writes a general register as the architecture does: 32 bits clear the upper half.
void RegionEmitter::store_guest(unsigned gpr, const Gp& value, unsigned bytes) {
  if (pinned(gpr)) {
    a_.mov(guest(gpr, bytes), sized(value, bytes));
  } else if (bytes == 4) {
    a_.mov(value.r32(), value.r32());
    a_.mov(high_slot(gpr), value.r64());
  } else {
    a_.mov(high_slot(gpr, bytes), sized(value, bytes));
  }
}
/// to = from rotated right; flags survive where the host has RORX, which callers that need that
/// have asked for.
void RegionEmitter::turn_round(const Gp& to, const Gp& from, unsigned by, unsigned bytes) {
  static const bool has_rorx = __builtin_cpu_supports("bmi2");
  if (has_rorx) {
    a_.rorx(sized(to, bytes), sized(from, bytes), by);
    return;
  }
  if (to != from) a_.mov(to, from);
  a_.ror(to, by);
}

bool emit_region(Cpu& cpu, const RegionPlan& plan, const TranslatorOptions& options,
                 TranslatedRegion& region, CodeCache& cache, EmitterStorage& storage,
                 EmittedCode* report) {
  storage.notes.release();
  return RegionEmitter(cpu, plan, options, region, cache, storage).emit(report);
}

// --- The region -----------------------------------------------------------------------------

bool RegionEmitter::emit(EmittedCode* report) {
  retired_ = a_.newLabel();
  short_ = a_.newLabel();
  body_ = a_.newLabel();
  const Label entry = a_.newLabel();
  for (std::size_t i = 0; i < plan_.blocks.size(); ++i) block_labels_.push_back(a_.newLabel());

  a_.bind(entry);
  map_.start(a_.offset(), CodePart::kEntry);
  if (!plan_.pages.empty()) enter_guard();
  a_.bind(body_);
  // The budget pays for the longest way through; what was not executed is given back in the end.
  // At least five bytes, the first of a counted region: room for a jump elsewhere.
  charge(plan_.instructions);
  const Label charged = a_.newLabel();
  const Label counting = a_.newLabel();
  const Label uncounted = a_.newLabel();
  a_.bind(charged);
  a_.long_().jl(short_);
  if (plan_.counted) {
    put_off([=, this] {
      const Label hot = a_.newLabel();
      a_.bind(counting);
      a_.sub(frame_mem(&cpu_.run_counters[region_->counter], 4), 1);
      a_.js(hot);
      a_.bind(uncounted);
      charge(plan_.instructions);
      a_.jmp(charged);
      a_.bind(hot);
      leave(plan_.blocks[0].rip, ExitKind::kHot);
    });
  }
  if (region_->counters != nullptr) count(region_->counters->entries);
  if (plan_.vectors) enter_vectors();
  if (plan_.x87) enter_x87();
  for (unsigned i = 0; i < plan_.blocks.size(); ++i) emit_block(i);
  exits_apart_.emit([this] { return a_.offset(); });
  map_.put_behind(a_.offset());
  a_.section(rare_);
  out_of_line_.emit([this] { return a_.offset(); });
  a_.bind(short_);
  map_.start(a_.offset(), CodePart::kLeave);
  settle(0);
  a_.bind(retired_);
  leave(plan_.blocks[0].rip, ExitKind::kRetired);
  if (failed_) return false;

  asmjit::Section* const main = code_.textSection();
  const CodeCache::Place place = cache_.place(main->bufferSize(), rare_->bufferSize());
  if (place.main == nullptr) return false;
  main->setOffset(0);
  rare_->setOffset(static_cast<u64>(place.rare - place.main));
  if (code_.resolveUnresolvedLinks() != asmjit::kErrorOk) return false;
  for (const StubCall& call : stub_calls_) {
    const i64 distance = static_cast<const u8*>(call.stub) - (place.main + call.end);
    const i32 encoded = static_cast<i32>(distance);
    std::memcpy(storage_.main.get() + call.end - 4, &encoded, 4);
    cache_.add_call(place.main + call.end, call.site);
  }
  for (const auto& window : windows_) cache_.add_window(place.main + window.begin, window.site);
  cache_.write(place, {main->data(), main->bufferSize()}, {rare_->data(), rare_->bufferSize()});
  const auto address = [&](const Label& label) {
    return place.main + code_.labelOffsetFromBase(label);
  };
  region_->entry = address(entry);
  const auto from_entry = [&](const Label& label) {
    return static_cast<i32>(address(label) - region_->entry);
  };
  region_->retired = from_entry(retired_);
  region_->body = from_entry(body_);
  if (plan_.counted) {
    region_->counting = from_entry(counting);
    region_->uncounted = from_entry(uncounted);
  }
  region_->bytes = static_cast<u32>(main->bufferSize() + rare_->bufferSize());
  if (report != nullptr) {
    report->place = {reinterpret_cast<u64>(place.main), reinterpret_cast<u64>(place.rare),
                     static_cast<u32>(main->bufferSize()), static_cast<u32>(rare_->bufferSize())};
    report->code.assign(main->data(), main->data() + main->bufferSize());
    report->code.insert(report->code.end(), rare_->data(), rare_->data() + rare_->bufferSize());
    report->ranges = map_.ranges();
    report->exits.assign(plain_exits_.begin(), plain_exits_.end());
    for (const PendingExit& e : exits_)
      report->exits.push_back({reinterpret_cast<u64>(e.record), e.record->rip, e.record->kind});
  }
  for (const PendingExit& e : exits_) {
    if (!e.jump.isValid()) continue;
    const u8* const jump = e.record->jump = address(e.jump);
    if (e.other.isValid()) e.record->other_from_jump = static_cast<i32>(address(e.other) - jump);
    e.record->exit_from_jump = static_cast<i32>(address(e.exit) - jump);
  }
  for (const auto& [site, label] : resumes_) site->resume = address(label);
  for (const auto& [site, index] : resumes_behind_) {
    const FlagsIn in = ends_[index].flags.in;
    site->resume = place.main + ends_[index].offset;
    site->load_flags = in == FlagsIn::kHost || in == FlagsIn::kBoth;
  }
  return true;
}

void RegionEmitter::emit_block(unsigned index) {
  const PlannedBlock& b = plan_.blocks[index];
  block_index_ = index;
  a_.bind(block_labels_[index]);
  flags_ = {};
  pending_ = 0;
  if (b.parent >= 0) {
    flags_ = starts_[index].flags;
    pending_ = starts_[index].pending;
  }
  map_.start(a_.offset(), CodePart::kEntry, static_cast<int>(index));
  if (region_->counters != nullptr) count_block();
  for (unsigned k = 0; k < b.instructions.size(); ++k) {
    const PlannedInstruction& p = b.instructions[k];
    instruction_index_ = k;
    map_.start(a_.offset(), CodePart::kInstruction, static_cast<int>(index), static_cast<int>(k));
    InstructionEnd& end = ends_.emplace_back();
    emit_instruction(p);
    end.flags = flags_;
    end.offset = a_.offset();
    if (end.label.isValid()) a_.bind(end.label);
    ++pending_;
  }
  if (!b.falls_through) return;
  map_.start(a_.offset(), CodePart::kEnd, static_cast<int>(index));
  const PlannedInstruction& last = b.instructions.back();
  if (b.next >= 0) {
    go_to_block(b.next, b.next_back_edge, pending_);
  } else if (last.how == Emission::kInterpreted && ends_block(row(last.insn->row))) {
    // The call of the handler does not come back.
  } else {
    leave_direct(last.next_rip, pending_);
  }
}

/// Where rare code of the instruction that is being emitted comes back.
Label RegionEmitter::end_of_instruction() {
  InstructionEnd& end = ends_.back();
  if (!end.label.isValid()) end.label = a_.newLabel();
  return end.label;
}

void RegionEmitter::emit_instruction(const PlannedInstruction& p) {
  switch (p.how) {
    case Emission::kNothing:
      return;
    case Emission::kCopied:
      return emit_copied(p);
    case Emission::kLea:
      return emit_lea(p);
    case Emission::kPush:
      return emit_push(p);
    case Emission::kPop:
      return emit_pop(p);
    case Emission::kLeave:
      return emit_leave(p);
    case Emission::kString:
      return emit_string(p);
    case Emission::kDivide:
      return emit_divide(p);
    case Emission::kDirection:
      return emit_direction(p);
    case Emission::kInterruptFlag:
      return emit_interrupt_flag(p);
    case Emission::kPushFlags:
      return emit_push_flags(p);
    case Emission::kPopFlags:
      return emit_pop_flags(p);
    case Emission::kReadSegment:
      return emit_read_segment(p);
    case Emission::kLoadSegment:
      return emit_load_segment(p);
    case Emission::kSwapGs:
      return emit_swap_gs();
    case Emission::kVector:
      return emit_vector(p);
    case Emission::kX87:
      return emit_x87(p);
    case Emission::kConditional:
      return emit_conditional(p);
    case Emission::kCountBranch:
      return emit_count_branch(p);
    case Emission::kJump:
      return emit_jump(p);
    case Emission::kCall:
      return emit_call(p);
    case Emission::kReturn:
      return emit_return(p);
    case Emission::kInterpreted:
      return emit_interpreted(p);
  }
}

// --- Instructions ---------------------------------------------------------------------------

void RegionEmitter::emit_interpreted(const PlannedInstruction& p) {
  interpret_and_return(p, {});
  flags_ = {};
}

void RegionEmitter::emit_lea(const PlannedInstruction& p) {
  const Instruction& insn = *p.insn;
  keep_recipe_alive(p);
  const Address address = operand_address(p);
  // Straight into the target where nothing has to be cut off.
  const bool plain = address.size == 8 && insn.operand_size >= 4 && pinned(insn.reg) &&
                     (address.base == kZeroRegister || pinned(address.base)) &&
                     (address.index == kZeroRegister || pinned(address.index)) &&
                     (address.base != kZeroRegister || address.index != kZeroRegister) &&
                     address.displacement == static_cast<i32>(address.displacement);
  if (plain) {
    const i32 d = static_cast<i32>(address.displacement);
    const Gp target = guest(insn.reg, insn.operand_size);
    if (address.index == kZeroRegister) {
      a_.lea(target, x86::ptr(guest(address.base), d));
    } else if (address.base == kZeroRegister) {
      a_.lea(target, x86::ptr(static_cast<u64>(i64{d}), guest(address.index), address.scale));
    } else {
      a_.lea(target, x86::ptr(guest(address.base), guest(address.index), address.scale, d));
    }
    return;
  }
  load_effective(address, 0);
  store_guest(insn.reg, kPointer, insn.operand_size);
}

void RegionEmitter::emit_push(const PlannedInstruction& p) {
  const Instruction& insn = *p.insn;
  const unsigned bytes = insn.operand_size;
  const Addressing kind = row(insn.row).operands[0].addressing;
  if (insn.memory()) {
    const HostOperand from = operand(p, true);
    a_.mov(sized(kScratch, bytes), from.mem(bytes));
    a_.mov(frame_mem(&cpu_.frame.target, 8), kScratch);
  }
  const HostOperand to = stack(p, true);
  const unsigned gpr = kind == Addressing::kZ ? insn.reg : insn.rm;
  if (kind == Addressing::kI) {
    const i64 value = static_cast<i64>(sign_extend(insn.immediate, 8 * bytes));
    if (value == static_cast<i32>(value)) {
      a_.mov(to.mem(bytes), Imm(value));
    } else {
      a_.mov(kScratch, Imm(value));
      a_.mov(to.mem(bytes), sized(kScratch, bytes));
    }
  } else if (insn.memory()) {
    a_.mov(kScratch, frame_mem(&cpu_.frame.target, 8));
    a_.mov(to.mem(bytes), sized(kScratch, bytes));
  } else if (pinned(gpr)) {
    a_.mov(to.mem(bytes), guest(gpr, bytes));
  } else {
    a_.mov(kScratch, high_slot(gpr));
    a_.mov(to.mem(bytes), sized(kScratch, bytes));
  }
  keep_recipe_alive(p);
  move_stack_pointer(-i64{bytes});
}

void RegionEmitter::emit_pop(const PlannedInstruction& p) {
  const Instruction& insn = *p.insn;
  const unsigned bytes = insn.operand_size;
  const HostOperand from = stack(p, true);
  keep_recipe_alive(p);
  if (insn.reg == kRsp) {  // the value read, not one moved on from it (SDM vol. 2, POP)
    a_.mov(kStackPointer, from.mem(8));
    return;
  }
  if (pinned(insn.reg)) {
    a_.mov(guest(insn.reg, bytes), from.mem(bytes));
  } else {
    a_.mov(sized(kScratch, bytes), from.mem(bytes));
    store_guest(insn.reg, kScratch, bytes);
  }
  move_stack_pointer(bytes);
}

void RegionEmitter::emit_leave(const PlannedInstruction& p) {
  const unsigned bytes = p.insn->operand_size;
  const HostOperand from = stack(p, true);
  keep_recipe_alive(p);
  a_.mov(sized(kScratch, bytes), from.mem(bytes));
  if (plan_.stack_mask == 0xffff) {
    a_.mov(kStackPointer.r16(), x86::bp);
  } else if (plan_.stack_mask == 0xffffffff) {
    a_.mov(kStackPointer.r32(), x86::ebp);
  } else {
    a_.mov(kStackPointer, x86::rbp);
  }
  a_.mov(sized(x86::rbp, bytes), sized(kScratch, bytes));
  move_stack_pointer(bytes);
}

/// The quotient must fit and the divisor must not be zero, or the handler raises #DE. For IDIV only
/// the common case is done here: the dividend is a sign-extended number.
void RegionEmitter::emit_divide(const PlannedInstruction& p) {
  const Instruction& insn = *p.insn;
  const Row& r = row(insn.row);
  const unsigned bytes = operand_bytes(insn, r.operands[0]);
  const bool is_signed = r.operation == Operation::kIdiv;
  if (insn.memory()) {
    const HostOperand from = operand(p, true);
    a_.mov(sized(kPointer, bytes), from.mem(bytes));
  } else {
    load_guest(kPointer, insn.rm);
  }
  want_flags_in_memory();  // uses kScratch
  const FlagsState before = {FlagsIn::kMemory, {}};
  const Gp divisor = sized(kPointer, bytes);
  const Label handler = a_.newLabel();
  if (is_signed) {
    a_.mov(sized(kScratch, bytes), sized(x86::rax, bytes));
    a_.sar(sized(kScratch, bytes), 8 * bytes - 1);
    a_.cmp(sized(kScratch, bytes), sized(x86::rdx, bytes));
    a_.jne(handler);
    a_.lea(kScratch, x86::ptr(kPointer, 1));
    a_.cmp(sized(kScratch, bytes), 1);  // 0 and -1
    a_.jbe(handler);
  } else {
    a_.cmp(sized(x86::rdx, bytes), divisor);
    a_.jae(handler);
  }
  (void)end_of_instruction();
  put_off([=, this, planned = &p, end = end_index(), pending = pending_] {
    a_.bind(handler);
    flags_ = before;
    pending_ = pending;
    interpret_and_return(*planned, ends_[end].flags);
    a_.jmp(ends_[end].label);
  });
  flags_ = before;
  want_flags_in_host();  // what the processor leaves of them is undefined, but starts from these
  if (is_signed) {
    a_.idiv(divisor);
  } else {
    a_.div(divisor);
  }
  note_flags_written(p);
}

namespace {
/// The memory form does something else: bit strings reach beyond the operand, XCHG locks, and
/// processors leave OF of a rotate differently.
bool memory_form_differs(Operation operation) {
  switch (operation) {
    case Operation::kBt:
    case Operation::kBts:
    case Operation::kBtr:
    case Operation::kBtc:
    case Operation::kXchg:
    case Operation::kRol:
    case Operation::kRor:
    case Operation::kRcl:
    case Operation::kRcr:
      return true;
    default:
      return false;
  }
}
/// The old value of the destination is not read.
bool replaces_destination(Operation operation) {
  switch (operation) {
    case Operation::kMov:
    case Operation::kMovzx:
    case Operation::kMovsx:
    case Operation::kMovsxd:
      return true;
    default:
      return false;
  }
}
}  // namespace

/// The same instruction with renamed registers and the memory operand at a host address.
void RegionEmitter::emit_copied(const PlannedInstruction& p) {
  const Instruction& insn = *p.insn;
  const Row& r = row(insn.row);
  const asmjit::InstId id = host_instruction_id(insn);
  const OperandUses& uses = p.uses;
  const bool destination = (r.attributes & kDestination) != 0;
  const bool second_written = (r.attributes & kSecondWritten) != 0;

  int homeless = -1, second_homeless = -1;
  unsigned homeless_uses = 0;
  for (unsigned i = 0; i < uses.count; ++i) {
    const int gpr = uses.list[i].gpr;
    if (gpr < 0 || pinned(static_cast<unsigned>(gpr))) continue;
    ++homeless_uses;
    if (homeless < 0 || homeless == gpr) {
      homeless = gpr;
    } else {
      second_homeless = gpr;
    }
  }
  HostOperand memory;
  if (uses.memory) memory = operand(p, homeless >= 0);
  if (p.needs_flags) {
    if (uses.memory && flags_.in == FlagsIn::kMemory) {
      // load_flags() uses kScratch.
      if (memory.scratch_used) {
        a_.lea(kPointer, memory.mem(8));
        memory = memory.in(kPointer);
      }
    }
    want_flags_in_host();
  }
  keep_recipe_alive(p);

  // A lone register without a host register can stay in memory as the instruction's operand.
  const i64 constant = static_cast<i64>(insn.immediate);
  const bool wide_constant = uses.list[1].immediate && constant != static_cast<i32>(constant);
  const bool in_place = !uses.memory && !wide_constant && homeless >= 0 && homeless_uses == 1 &&
                        uses.count >= 2 && uses.list[1].gpr != uses.list[0].gpr &&
                        !memory_form_differs(r.operation);
  const auto operand_of = [&](unsigned i, bool use_slots) -> asmjit::Operand {
    const OperandUse& u = uses.list[i];
    if (u.memory) return memory.mem(u.bytes);
    if (u.immediate) {
      const unsigned width = uses.list[0].bytes != 0 ? uses.list[0].bytes : u.bytes;
      return Imm(static_cast<i64>(sign_extend(insn.immediate, 8 * width)));
    }
    if (u.one) return Imm(1);
    const unsigned gpr = static_cast<unsigned>(u.gpr);
    if (u.high) return x86::gpb_hi(gpr);
    if (pinned(gpr)) return guest(gpr, u.bytes);
    if (use_slots) return high_slot(gpr, u.bytes);
    return sized(u.gpr == homeless ? kScratch : kPointer, u.bytes);
  };
  const auto emit = [&](bool use_slots) {
    asmjit::Operand_ operands[4];
    for (unsigned i = 0; i < uses.count; ++i) operands[i] = operand_of(i, use_slots);
    if (insn.has(kInsnLock)) a_.lock();
    return a_.emitOpArray(id, operands, uses.count) == asmjit::kErrorOk;
  };

  if (uses.any_high && uses.memory) {
    // The address may contain the register itself.
    if (memory.index.isValid()) {
      a_.lea(kPointer, memory.mem(8));
      memory = memory.in(kPointer);
    }
    // AH..BH cannot be named beside kPointer: turn the register so that they are its low byte.
    for (unsigned i = 0; i < uses.count; ++i) {
      const OperandUse& u = uses.list[i];
      if (!u.high) continue;
      const Gp reg = guest(static_cast<unsigned>(u.gpr));
      turn_round(reg, reg, 8);
      asmjit::Operand_ operands[4];
      for (unsigned k = 0; k < uses.count; ++k) {
        operands[k] = k == i ? asmjit::Operand(reg.r8()) : operand_of(k, false);
      }
      if (insn.has(kInsnLock)) a_.lock();
      if (a_.emitOpArray(id, operands, uses.count) != asmjit::kErrorOk) failed_ = true;
      turn_round(reg, reg, 56);
      break;
    }
  } else {
    const bool writes_slot = (destination && uses.list[0].gpr == homeless) ||
                             (second_written && uses.count > 1 && uses.list[1].gpr == homeless);
    bool done = false;
    if (in_place && !(writes_slot && uses.list[0].bytes == 4)) done = emit(true);
    if (!done) {
      // What is only written, and as a whole, need not be loaded before.
      const bool mulx = r.operation == Operation::kMulx && uses.memory;
      const bool replaced = mulx || (replaces_destination(r.operation) && homeless_uses == 1 &&
                                     uses.list[0].gpr == homeless && uses.list[0].bytes >= 4);
      if (homeless >= 0 && !replaced) a_.mov(kScratch, high_slot(static_cast<unsigned>(homeless)));
      if (second_homeless >= 0 && !mulx)
        a_.mov(kPointer, high_slot(static_cast<unsigned>(second_homeless)));
      if (!emit(false)) failed_ = true;
      const auto store_back = [&](unsigned i) {
        const int gpr = uses.list[i].gpr;
        if (gpr < 0 || pinned(static_cast<unsigned>(gpr))) return;
        a_.mov(high_slot(static_cast<unsigned>(gpr)), gpr == homeless ? kScratch : kPointer);
      };
      if (destination && uses.count > 0) store_back(0);
      if (second_written && uses.count > 1) store_back(1);
    }
  }
  if (p.writes_flags) note_flags_written(p);
}

}  // namespace dragoman
