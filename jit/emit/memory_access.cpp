// Guest memory in generated code: effective addresses, probes of the shadow page table, accesses
// that share one.
#include <array>

#include "cpu/isa/rows.h"
#include "jit/emit/region_emitter.h"

namespace dragoman {

using asmjit::Imm;
using asmjit::Label;
namespace x86 = asmjit::x86;

namespace {
constexpr bool fits32(i64 value) { return value == static_cast<i32>(value); }
constexpr u64 kEntryIndexMask = (ShadowTable::kEntries - 1) << 5;
static_assert(sizeof(ShadowTable::Entry) == 32);
}  // namespace

x86::Mem RegionEmitter::HostOperand::mem(unsigned size) const {
  if (!base.isValid()) return x86::ptr_abs(static_cast<u64>(i64{displacement}), size);
  return index.isValid() ? x86::ptr(base, index, scale, displacement, size)
                         : x86::ptr(base, displacement, size);
}

/// kPointer = effective address (in the segment) plus a constant. Flags survive. kScratch is used
/// when a register of the address has no host register.
void RegionEmitter::load_effective(const Address& address, i64 plus) {
  const i64 displacement = address.displacement + plus;
  Gp base, index;
  if (address.base != kZeroRegister) {
    base = kPointer;
    if (pinned(address.base)) {
      base = guest(address.base);
    } else {
      a_.mov(kPointer, high_slot(address.base));
    }
  }
  if (address.index != kZeroRegister) {
    index = kScratch;
    if (pinned(address.index)) {
      index = guest(address.index);
    } else {
      a_.mov(kScratch, high_slot(address.index));
    }
  }
  const Gp into = address.size == 8 ? kPointer : kPointer.r32();
  if (!base.isValid() && !index.isValid()) {
    const u64 mask = size_mask(address.size);
    a_.mov(kPointer, Imm(static_cast<u64>(displacement) & mask));
    return;
  }
  if (!fits32(displacement)) {  // only a wide constant beside an index can get here
    failed_ = true;
    return;
  }
  const i32 d = static_cast<i32>(displacement);
  if (base.isValid() && index.isValid()) {
    a_.lea(into, x86::ptr(base, index, address.scale, d));
  } else if (base.isValid()) {
    if (d == 0 && address.size == 8) {
      if (base != kPointer) a_.mov(kPointer, base);
    } else {
      a_.lea(into, x86::ptr(base, d));
    }
  } else {
    a_.lea(into, x86::ptr(static_cast<u64>(i64{d}), index, address.scale));
  }
  if (address.size == 2) a_.movzx(kPointer.r32(), kPointer.r16());
}

/// No limit to check: accesses are only moved by the segment's base, if at all.
bool RegionEmitter::plain_segment(const Address& address) const {
  return plan_.code_bits == 64 ||
         segment_is_flat(TranslatorAccess::current_mode_key(cpu_), address.segment);
}

RegionEmitter::AddressForm RegionEmitter::form_of(const Address& address) const {
  const bool moved = plan_.code_bits == 64 && address.segment >= kFs;
  if (moved || !plain_segment(address)) return AddressForm::kGeneral;
  if (address.base == kZeroRegister && address.index == kZeroRegister)
    return AddressForm::kConstant;
  const bool base = address.index == kZeroRegister && address.size == 8 && pinned(address.base) &&
                    fits32(address.displacement);
  return base ? AddressForm::kBase : AddressForm::kGeneral;
}

u64 RegionEmitter::constant_address(const Address& address) const {
  return static_cast<u64>(address.displacement) & size_mask(address.size);
}

/// An access whose page was looked up by the leader of its group.
RegionEmitter::HostOperand RegionEmitter::group_member(const PlannedAccess& a,
                                                       const Address& address, bool need_scratch) {
  const AccessGroup& group = plan_.groups[static_cast<std::size_t>(a.group)];
  const Mem slot = frame_mem(&cpu_.frame.deltas[static_cast<std::size_t>(group.slot)], 8);
  const AddressForm form = form_of(address);
  HostOperand operand;
  operand.base = kPointer;
  if (address.base == kZeroRegister && address.index == kZeroRegister) {
    // The slot holds the host address of the page, or of the group's first byte.
    a_.mov(kPointer, slot);
    operand.displacement = form == AddressForm::kConstant
                               ? static_cast<i32>(constant_address(address) & kPageMask)
                               : static_cast<i32>(a.offset - group.low);
    return operand;
  }
  if (form == AddressForm::kBase) {
    a_.mov(kPointer, slot);
    operand.index = guest(address.base);
    operand.displacement = static_cast<i32>(address.displacement);
    return operand;
  }
  load_effective(address, 0);
  a_.mov(kScratch, slot);  // a segment's base is part of it
  if (need_scratch) {
    a_.lea(kPointer, x86::ptr(kPointer, kScratch));
  } else {
    operand.index = kScratch;
    operand.scratch_used = true;
  }
  return operand;
}

/// Of FS or GS in 64-bit code.
x86::Mem RegionEmitter::segment_base(unsigned segment) const {
  return cpu_mem(TranslatorAccess::active_base(cpu_, segment), 8);
}

/// From the effective address in kPointer to the linear one.
void RegionEmitter::check_segment(const PlannedAccess& a, const Address& address,
                                  const Label& cannot) {
  if (!plain_segment(address)) {
    // Limits are those of the descriptor (SDM vol. 3, 5.3); what is not plain goes to C++.
    const SegmentOffsets s = TranslatorAccess::segment(cpu_, address.segment);
    a_.lea(kScratch, x86::ptr(kPointer, static_cast<i32>(a.bytes - 1)));
    a_.cmp(kScratch, cpu_mem(s.limit, 8));
    a_.ja(cannot);
    a_.cmp(cpu_mem(a.write ? s.write_fast : s.read_fast, 1), 0);
    a_.je(cannot);
    a_.add(kPointer, cpu_mem(s.base, 8));
    a_.mov(kPointer.r32(), kPointer.r32());
  } else if (plan_.code_bits == 64 && address.segment >= kFs) {
    a_.add(kPointer, segment_base(address.segment));
  }
}

/// Looks up the page of an access, for its whole group if it leads one.
RegionEmitter::HostOperand RegionEmitter::probe(const PlannedInstruction& p, const PlannedAccess& a,
                                                const Address& address) {
  const AccessGroup* group =
      a.group >= 0 ? &plan_.groups[static_cast<std::size_t>(a.group)] : nullptr;
  const i64 below = group != nullptr ? group->low - a.offset : 0;
  const u32 span = group != nullptr ? static_cast<u32>(group->high - group->low) : a.bytes;
  const bool locked = p.insn->has(kInsnLock) || row(p.insn->row).operation == Operation::kXchg;
  // The leader looks after the alignment of its group; what is not aligned goes on alone.
  const u64 align = group != nullptr
                        ? (group->align != 0 ? group->align - 1u : 0)
                        : address.align_mask | (locked && a.bytes > 1 ? a.bytes - 1u : 0);
  if (!plan_.inline_probes && align == 0 && plain_segment(address))
    return probe_by_call(p, a, address);
  const i64 aligned_at = group != nullptr && align != 0 ? group->align_offset - group->low : 0;

  SlowAccess s{};
  s.planned = &p;
  s.access = &a;
  s.group = group;
  s.form = form_of(address);
  s.tag = a.write || (group != nullptr && group->write) ? 8 : 0;
  s.checks = !plain_segment(address) || align != 0;
  s.slow = a_.newLabel();
  s.ready = a_.newLabel();
  if (s.form == AddressForm::kConstant) {
    s.constant = (constant_address(address) + static_cast<u64>(below)) & size_mask(address.size);
    const bool bad = (s.constant & kPageMask) + span > kPageSize ||
                     ((s.constant + static_cast<u64>(aligned_at)) & align) != 0;
    // Nothing but the rare part is ever reached then.
    if (bad)
      s.form = AddressForm::kGeneral;
    else
      s.checks = false;
  }
  if (s.checks || group != nullptr) s.cannot = a_.newLabel();

  flags_about_to_be_lost();
  s.before = flags_;
  s.pending = pending_;
  s.end = end_index();
  if (group == nullptr && s.checks) (void)end_of_instruction();

  const Mem slot = group != nullptr
                       ? frame_mem(&cpu_.frame.deltas[static_cast<std::size_t>(group->slot)], 8)
                       : Mem();
  HostOperand operand;
  operand.base = kPointer;
  if (s.form == AddressForm::kConstant) {
    // The entry is known, only what it says is not.
    const i32 entry = static_cast<i32>(s.constant >> (kPageShift - 5) & kEntryIndexMask);
    const i64 page = static_cast<i64>(s.constant & ~kPageMask);
    a_.mov(kScratch, frame_mem(&cpu_.frame.shadow, 8));
    if (fits32(page)) {
      a_.cmp(x86::ptr(kScratch, entry + s.tag, 8), Imm(page));
    } else {
      a_.mov(kPointer, Imm(page));
      a_.cmp(kPointer, x86::ptr(kScratch, entry + s.tag, 8));
    }
    a_.jne(s.slow);
    a_.mov(kPointer, x86::ptr(kScratch, entry + 16, 8));
    a_.bind(s.ready);
    if (group != nullptr) a_.mov(slot, kPointer);
    operand.displacement = static_cast<i32>(constant_address(address) & kPageMask);
    put_off([=, this] { emit_slow_access(s); });
    return operand;
  }

  load_effective(address, below);
  check_segment(a, address, s.cannot);
  if (align != 0) {
    const Gp address_bits = aligned_at != 0 ? kScratch : kPointer;
    if (aligned_at != 0) a_.lea(kScratch, x86::ptr(kPointer, static_cast<i32>(aligned_at)));
    a_.test(address_bits.r8(), Imm(align));
    a_.jnz(s.cannot);
  }
  emit_find_entry(a_, cpu_);
  a_.sub(kPointer, x86::ptr(kScratch, s.tag, 8));
  a_.cmp(kPointer, Imm(static_cast<i64>(kPageSize - span)));
  a_.ja(s.slow);
  if (s.form == AddressForm::kBase) {
    // The compare is not waited for: the address is made of the entry alone.
    a_.mov(kPointer, x86::ptr(kScratch, 24, 8));
    a_.bind(s.ready);
    if (group != nullptr) a_.mov(slot, kPointer);
    operand.index = guest(address.base);
    operand.displacement = static_cast<i32>(address.displacement);
  } else {
    a_.add(kPointer, x86::ptr(kScratch, 16, 8));
    if (group != nullptr && address.base == kZeroRegister && address.index == kZeroRegister) {
      a_.bind(s.ready);
      a_.mov(slot, kPointer);
    } else if (group != nullptr) {
      a_.mov(kScratch, x86::ptr(kScratch, 24, 8));
      a_.bind(s.ready);
      keep_delta(*group, address);
    } else {
      a_.bind(s.ready);
    }
    operand.displacement = static_cast<i32>(-below);
  }
  put_off([=, this] { emit_slow_access(s); });
  return operand;
}

/// For the other members: kScratch, from linear to host address, as from effective to host address.
void RegionEmitter::keep_delta(const AccessGroup& group, const Address& address) {
  if (plan_.code_bits == 64 && address.segment >= kFs)
    a_.add(kScratch, segment_base(address.segment));
  a_.mov(frame_mem(&cpu_.frame.deltas[static_cast<std::size_t>(group.slot)], 8), kScratch);
}

/// A call whose distance is filled in when the region has its place.
Site& RegionEmitter::call_stub(const void* stub, const PlannedInstruction& p,
                               const PlannedAccess& a) {
  static constexpr std::array<u8, 5> kCall = {0xe8};
  a_.embed(kCall.data(), kCall.size());
  stub_calls_.push_back({a_.offset(), stub, static_cast<u32>(records_.sites.size())});
  return new_site(p, &a);
}

/// The same by shared code, which finds its Site by the address it returns to.
RegionEmitter::HostOperand RegionEmitter::probe_by_call(const PlannedInstruction& p,
                                                        const PlannedAccess& a,
                                                        const Address& address) {
  const AccessGroup* group =
      a.group >= 0 ? &plan_.groups[static_cast<std::size_t>(a.group)] : nullptr;
  const i64 below = group != nullptr ? group->low - a.offset : 0;
  const u32 span = group != nullptr ? static_cast<u32>(group->high - group->low) : a.bytes;
  const AddressForm form = form_of(address);
  flags_about_to_be_lost();
  load_effective(address, below);
  check_segment(a, address, {});
  const ProbeStubs::Result result =
      form == AddressForm::kBase ? ProbeStubs::kDelta : ProbeStubs::kAddress;
  const bool write = a.write || (group != nullptr && group->write);
  Site& site = call_stub(cpu_.frame.probe_stubs[ProbeStubs::index(write, result, span)], p, a);
  if (flags_.in == FlagsIn::kRecipe) site.recipe = flags_.recipe;

  HostOperand operand;
  operand.base = kPointer;
  if (form == AddressForm::kBase) {
    operand.index = guest(address.base);
    operand.displacement = static_cast<i32>(address.displacement);
  } else {
    operand.displacement = static_cast<i32>(-below);
  }
  if (group == nullptr) {
    site.by_handler = true;
    resumes_behind_.emplace_back(&site, end_index());
    return operand;
  }
  const Mem slot = frame_mem(&cpu_.frame.deltas[static_cast<std::size_t>(group->slot)], 8);
  if (form == AddressForm::kBase) {
    a_.mov(slot, kPointer);
  } else if (form == AddressForm::kConstant) {
    const u64 first =
        (constant_address(address) + static_cast<u64>(below)) & size_mask(address.size);
    a_.lea(kPointer, x86::ptr(kPointer, -static_cast<i32>(first & kPageMask)));
    a_.mov(slot, kPointer);
    operand.displacement = static_cast<i32>(constant_address(address) & kPageMask);
  } else if (address.base == kZeroRegister && address.index == kZeroRegister) {
    a_.mov(slot, kPointer);
  } else {
    keep_delta(*group, address);
  }
  put_off([=, this, planned = &p, site = &site, pending = pending_] {
    pending_ = pending;
    leave_narrow(*site, *planned);
  });
  return operand;
}

/// The host's page tables do the look-up. Only the first access off a base looks whether the window
/// serves its address; where that, or the host's access itself, goes wrong, C++ is asked about the
/// Site, and the access is done again from its beginning or by the instruction's handler.
RegionEmitter::HostOperand RegionEmitter::through_window(const PlannedInstruction& p,
                                                         const PlannedAccess& a,
                                                         const Address& address,
                                                         bool need_scratch) {
  const bool moved = address.segment == kFs || address.segment == kGs;
  const bool registers = address.base != kZeroRegister || address.index != kZeroRegister;
  const bool constant = !registers && !moved;
  // Some processors' SHA instructions take any address (seen: AMD family 25).
  const bool check_alignment = a.aligned && row(p.insn->row).feature == Feature::kShaNi;
  // Flags that nothing can make again stay where they are, as in chains of ADCX and ADOX.
  const bool quiet = a.leader && a.window == WindowPart::kHigh && !constant && !moved &&
                     !a.check_index && !check_alignment && flags_.in == FlagsIn::kHost &&
                     flags_.recipe.kind == Recipe::kNone && can_look_quietly();
  if ((a.leader && !quiet) || a.check_index || check_alignment) flags_about_to_be_lost();
  const std::size_t begin = a_.offset();
  const u32 index = static_cast<u32>(records_.sites.size());
  Site& site = new_site(p, &a);
  site.bytes = a.bytes;
  site.window = &a == &p.operand            ? WindowAccess::kOperand
                : p.how == Emission::kLeave ? WindowAccess::kLeave
                : a.write                   ? WindowAccess::kPush
                                            : WindowAccess::kPop;
  site.aligned = a.aligned;
  site.part = a.window;
  site.again = static_cast<u32>(begin);
  site.flags_in_host = flags_.in == FlagsIn::kHost || flags_.in == FlagsIn::kBoth;
  if (flags_.in == FlagsIn::kRecipe) site.recipe = flags_.recipe;
  site.by_handler = true;
  const auto relied_on = [this](bool leads, i16 group) {
    return leads && group >= 0 && plan_.groups[static_cast<std::size_t>(group)].members > 1;
  };
  if (relied_on(a.leader, a.group) || relied_on(a.check_index, a.index_group)) {
    // Others rely on the look this one takes: they are not reached when the handler did without.
    put_off([=, this, site = &site, next = p.next_rip, pending = pending_ + 1] {
      const Label here = a_.newLabel();
      a_.bind(here);
      resumes_.emplace_back(site, here);
      flags_ = {};
      leave_direct(next, pending);
    });
  } else {
    resumes_behind_.emplace_back(&site, end_index());
  }
  windows_.push_back({static_cast<u32>(begin), index});

  HostOperand operand;
  if (constant) {
    const u64 at = constant_address(address);
    if (check_alignment && (at & (a.bytes - 1u)) != 0) {
      a_.mov(kScratch, Imm(reinterpret_cast<u64>(&site)));
      a_.jmp(frame_mem(&cpu_.frame.window_stub, 8));
    }
    if (fits32(static_cast<i64>(at))) {
      operand.displacement = static_cast<i32>(at);
    } else {
      a_.mov(kPointer, Imm(at));
      operand.base = kPointer;
    }
    return operand;
  }
  const Label outside = a_.newLabel();
  /// Jumps there unless the part serves the address in `checked`; `free` may be changed.
  const auto look = [&](const Gp& checked, const Gp& free) {
    if (!a.leader || quiet) return;
    if (a.window == WindowPart::kLow) {
      a_.cmp(checked, Imm(LinearWindow::kLowEnd));
      a_.jae(outside);
    } else if (a.window == WindowPart::kHigh) {
      a_.cmp(checked, frame_mem(&cpu_.frame.window_first, 8));
      a_.jl(outside);
    } else {
      a_.lea(free, x86::ptr(checked, -static_cast<i32>(LinearWindow::kLowEnd)));
      a_.cmp(free, frame_mem(&cpu_.frame.between_windows, 8));
      a_.jb(outside);
    }
  };
  const auto host_register = [&](unsigned gpr, const Gp& otherwise) {
    if (pinned(gpr)) return guest(gpr);
    a_.mov(otherwise, high_slot(gpr));
    return otherwise;
  };
  const bool no_index = address.index == kZeroRegister;
  const bool by_register = !moved && fits32(address.displacement) &&
                           address.base != kZeroRegister && (no_index || a.split || !a.leader);
  if (quiet) {
    Gp checked = kPointer;
    if (by_register) {
      checked = host_register(a.swapped ? address.index : address.base, kPointer);
    } else {
      load_effective(address, 0);
    }
    look_quietly(checked);
  }
  if (by_register) {
    operand.displacement = static_cast<i32>(address.displacement);
    if (a.swapped) {
      operand.index = host_register(address.index, kScratch);
      look(operand.index, kPointer);
      operand.base = host_register(address.base, kPointer);
    } else {
      operand.base = host_register(address.base, kPointer);
      look(operand.base, operand.base == kPointer ? kScratch : kPointer);
      if (!no_index) operand.index = host_register(address.index, kScratch);
    }
    operand.scratch_used = operand.index == kScratch;
    operand.scale = no_index ? u8{0} : address.scale;
    if (a.check_index) {
      a_.cmp(a.swapped ? operand.base : operand.index, Imm(0x7fffffff));
      a_.ja(outside);
    }
  } else {
    operand.base = kPointer;
    if (moved && !registers && fits32(address.displacement)) {
      a_.mov(kPointer, segment_base(address.segment));
      operand.displacement = static_cast<i32>(address.displacement);
    } else {
      load_effective(address, 0);
      if (moved) {
        a_.mov(kScratch, segment_base(address.segment));
        a_.lea(kPointer, x86::ptr(kPointer, kScratch));
      }
    }
    look(kPointer, kScratch);
  }
  if (need_scratch && operand.scratch_used) {
    a_.lea(kPointer, operand.mem(8));
    operand = operand.in(kPointer);
  }
  if (check_alignment) {
    a_.lea(kPointer, operand.mem(8));
    operand = operand.in(kPointer);
    a_.test(kPointer.r8(), Imm(a.bytes - 1));
    a_.jnz(outside);
  }
  if ((!a.leader || quiet) && !a.check_index && !check_alignment) return operand;
  put_off([=, this, site = &site] {
    a_.bind(outside);
    a_.mov(kScratch, Imm(reinterpret_cast<u64>(site)));
    a_.jmp(frame_mem(&cpu_.frame.window_stub, 8));
  });
  return operand;
}

bool RegionEmitter::can_look_quietly() const {
  static const bool has_shrx = __builtin_cpu_supports("bmi2");
  return has_shrx && cache_.address_guard().bytes() != nullptr;
}

/// The host faults unless the address in `checked`, which may be kPointer, is at least where the
/// window's high part begins. Its flags stay; kPointer and kScratch are lost.
void RegionEmitter::look_quietly(const Gp& checked) {
  a_.mov(kScratch.r32(), Imm(AddressGuard::kShift));
  a_.shrx(kScratch, checked, kScratch);
  a_.mov(kPointer, Imm(reinterpret_cast<u64>(cache_.address_guard().bytes())));
  a_.movzx(kPointer.r32(), x86::ptr(kPointer, kScratch, 0, 0, 1));
}

void RegionEmitter::emit_slow_access(const SlowAccess& s) {
  a_.bind(s.slow);
  if (s.form == AddressForm::kConstant) {
    a_.mov(kPointer, Imm(s.constant));
  } else {
    if (s.group != nullptr) {
      // The right page, but not all of the group is on it.
      a_.cmp(kPointer, kPageMask);
      a_.jbe(s.cannot);
    }
    a_.add(kPointer, x86::ptr(kScratch, s.tag, 8));  // the linear address again
  }
  pending_ = s.pending;
  Site& site = load_site(*s.planned, s.access);
  if (s.before.in == FlagsIn::kRecipe) site.recipe = s.before.recipe;
  a_.call(frame_mem(&cpu_.frame.memory_stub, 8));
  if (s.form == AddressForm::kBase) {
    a_.mov(kPointer, kScratch);
  } else if (s.form == AddressForm::kConstant && (s.constant & kPageMask) != 0) {
    a_.lea(kPointer, x86::ptr(kPointer, -static_cast<i32>(s.constant & kPageMask)));
  }
  a_.jmp(s.ready);

  flags_ = s.before;
  if (s.group != nullptr) {
    a_.bind(s.cannot);
    want_flags_in_memory();
    leave_narrow(site, *s.planned);
    return;
  }
  site.by_handler = true;
  resumes_behind_.emplace_back(&site, s.end);
  if (!s.checks) return;
  a_.bind(s.cannot);
  interpret_and_return(*s.planned, ends_[s.end].flags);
  a_.jmp(ends_[s.end].label);
}

/// The accesses of a group cannot share a look-up: the same instructions without sharing. Flags are
/// in memory.
void RegionEmitter::leave_narrow(Site& site, const PlannedInstruction& p) {
  const Label here = a_.newLabel();
  a_.bind(here);
  resumes_.emplace_back(&site, here);
  settle(pending_);
  leave(p.rip(), ExitKind::kNarrow);
}

RegionEmitter::HostOperand RegionEmitter::access(const PlannedInstruction& p,
                                                 const PlannedAccess& a, const Address& address,
                                                 bool need_scratch) {
  if (a.window != WindowPart::kNone) return through_window(p, a, address, need_scratch);
  if (a.group >= 0 && !a.leader) return group_member(a, address, need_scratch);
  return probe(p, a, address);
}

RegionEmitter::Address RegionEmitter::operand_address(const PlannedInstruction& p) const {
  const Instruction& insn = *p.insn;
  Address address;
  address.size = insn.address_size;
  address.segment = insn.segment;
  if (p.how == Emission::kString) {
    address.base = p.operand.write ? kRdi : kRsi;
    if (p.operand.write) address.segment = kEs;  // not to be overridden
    return address;
  }
  address.displacement = insn.displacement;
  if (has_absolute_offset(insn)) {
    address.displacement = static_cast<i64>(insn.immediate);
    return address;
  }
  if (insn.base == kRip) {
    address.displacement += static_cast<i64>(p.next_rip);
  } else {
    address.base = insn.base;
  }
  address.index = insn.index;
  address.scale = insn.scale;
  return address;
}

/// The slot a stack instruction accesses, or where MOVS writes.
RegionEmitter::Address RegionEmitter::stack_address(const PlannedInstruction& p) const {
  Address address;
  if (p.how == Emission::kString) {
    address.segment = kEs;
    address.base = kRdi;
    address.size = p.insn->address_size;
    return address;
  }
  address.segment = kSs;
  address.base = p.how == Emission::kLeave ? kRbp : kRsp;
  address.size = plan_.stack_mask == 0xffff ? 2 : plan_.stack_mask == 0xffffffff ? 4 : 8;
  const bool push = p.stack.write;
  address.displacement = push ? -i64{p.insn->operand_size} : 0;
  return address;
}

RegionEmitter::HostOperand RegionEmitter::operand(const PlannedInstruction& p, bool need_scratch) {
  Address address = operand_address(p);
  if (p.operand.aligned) address.align_mask = p.operand.bytes - 1u;
  return access(p, p.operand, address, need_scratch);
}
RegionEmitter::HostOperand RegionEmitter::stack(const PlannedInstruction& p, bool need_scratch) {
  return access(p, p.stack, stack_address(p), need_scratch);
}

/// Adds to the guest's SP, ESP or RSP without touching flags. kScratch is used for a 16-bit stack.
void RegionEmitter::move_stack_pointer(i64 by) {
  const i32 d = static_cast<i32>(by);
  if (plan_.stack_mask == 0xffff) {
    a_.lea(kScratch.r32(), x86::ptr(kStackPointer, d));
    a_.mov(kStackPointer.r16(), kScratch.r16());
  } else if (plan_.stack_mask == 0xffffffff) {
    a_.lea(kStackPointer.r32(), x86::ptr(kStackPointer, d));
  } else {
    a_.lea(kStackPointer, x86::ptr(kStackPointer, d));
  }
}

}  // namespace dragoman
