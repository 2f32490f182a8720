// From a vector to its handler: real-mode vector table, gates of protected mode and IA-32e mode
// (SDM vol. 2, INT n operation; vol. 3, 6.12, 6.14).
#include "base/bits.h"
#include "cpu/events/event_support.h"

namespace dragoman {
namespace {

/// Flags that every delivery clears, and IF for interrupt gates.
void clear_flags(Cpu& cpu, u32 flags) {
  if (cpu.state.flags & flags & (kFlagTf | kFlagRf | kFlagVif)) cpu.set_attention_check();
  cpu.state.flags &= ~flags;
}

u64 table_address(const Cpu& cpu, u64 offset) {
  const u64 address = cpu.state.idtr.base + offset;
  return cpu.long_mode() ? address : static_cast<u32>(address);
}

/// 20.1.4: FLAGS, CS, IP on the stack, far pointer from the table.
bool deliver_real(Cpu& cpu, const Event& event) {
  CpuState& s = cpu.state;
  const u32 offset = event.vector * 4u;
  if (offset + 3 > s.idtr.limit) return cpu.raise(kVectorGp, event.vector * 8u + kErrorIdt);
  u32 target;
  if (!cpu.read_system(table_address(cpu, offset), target)) return false;
  EventStack stack = EventStack::current(cpu, 0);
  if (!stack.reserve(3, 2) || !stack.push(cpu.rflags() & 0xffff, 2) ||
      !stack.push(s.segments[kCs].selector, 2) || !stack.push(s.rip() & 0xffff, 2)) {
    return false;
  }
  stack.commit_pointer();
  clear_flags(cpu, kFlagIf | kFlagTf | kFlagAc | kFlagRf);
  load_segment_real(cpu, kCs, static_cast<u16>(target >> 16));
  s.rip() = target & 0xffff;
  cpu.update_mode();
  return true;
}

/// Flags as saved on the handler's stack.
u32 saved_flags(const Cpu& cpu, const Event& event) {
  return event.resume_flag ? cpu.rflags() | kFlagRf : cpu.rflags();
}

/// The handler's code segment. `cpl` becomes the privilege level of the handler.
bool fetch_handler_code(Cpu& cpu, u16 selector, u32 ext, Descriptor& out, unsigned& cpl) {
  if (null_selector(selector)) return cpu.raise(kVectorGp, ext);
  if (!fetch_descriptor(cpu, selector, kVectorGp, ext, out)) return false;
  const Segment code = make_segment(selector, out);
  if (!code.code() || code.dpl() > cpu.cpl()) {
    return cpu.raise(kVectorGp, selector_error(selector, ext));
  }
  if (cpu.long_mode() && (code.attributes & 0x6000) != 0x2000) {
    return cpu.raise(kVectorGp, selector_error(selector, ext));
  }
  if (!code.present()) return cpu.raise(kVectorNp, selector_error(selector, ext));
  cpl = code.conforming() ? cpu.cpl() : code.dpl();
  return true;
}

bool deliver_long(Cpu& cpu, const Event& event, u32 ext) {
  CpuState& s = cpu.state;
  const u32 idt_error = event.vector * 8u | kErrorIdt | ext;
  const u32 table_offset = event.vector * 16u;
  if (table_offset + 15 > s.idtr.limit) return cpu.raise(kVectorGp, idt_error);
  u64 low, high;
  if (!cpu.read_system(table_address(cpu, table_offset), low)) return false;
  if (!cpu.read_system(table_address(cpu, table_offset + 8), high)) return false;
  const unsigned type = bits(low, 44, 40);
  if (type != kTypeInterruptGate && type != kTypeTrapGate) return cpu.raise(kVectorGp, idt_error);
  if (event.software && bits(low, 46, 45) < cpu.cpl()) return cpu.raise(kVectorGp, idt_error);
  if (!(low & bit(47))) return cpu.raise(kVectorNp, idt_error);

  const u16 selector = static_cast<u16>(low >> 16);
  const unsigned ist = bits(low, 34, 32);
  const u64 target = (low & 0xffff) | (bits(low, 63, 48) << 16) | (high << 32);
  Descriptor descriptor;
  unsigned cpl;
  if (!fetch_handler_code(cpu, selector, ext, descriptor, cpl)) return false;

  u64 rsp = s.regs[kRsp];
  if (ist != 0) {
    if (!read_stack_pointer_64(cpu, ist_slot(ist), ext, rsp)) return false;
  } else if (cpl < s.cpl) {
    if (!read_stack_pointer_64(cpu, cpl, ext, rsp)) return false;
  }
  if (!cpu.canonical(target)) return cpu.raise(kVectorGp, ext);
  if (!mark_accessed(cpu, selector, descriptor)) return false;

  const Segment null_stack = make_null_segment(cpu, s.segments[kSs], static_cast<u16>(cpl));
  EventStack stack(cpu, cpl < s.cpl ? null_stack : s.segments[kSs], rsp & ~u64{15}, ~u64{0},
                   stack_privilege(cpl), ext);
  if (!stack.reserve(event.has_error_code ? 6 : 5, 8) || !stack.push(s.segments[kSs].selector, 8) ||
      !stack.push(s.regs[kRsp], 8) || !stack.push(saved_flags(cpu, event), 8) ||
      !stack.push(s.segments[kCs].selector, 8) || !stack.push(s.rip(), 8) ||
      (event.has_error_code && !stack.push(event.error_code, 8))) {
    return false;
  }
  stack.commit();
  commit_code(cpu, make_segment(selector, descriptor), cpl, target);
  clear_flags(
      cpu, kFlagTf | kFlagNt | kFlagRf | kFlagVm | (type == kTypeInterruptGate ? u32{kFlagIf} : 0));
  cpu.update_mode();
  return true;
}

bool deliver_protected(Cpu& cpu, const Event& event, u32 ext, bool& committed) {
  CpuState& s = cpu.state;
  const u32 idt_error = event.vector * 8u | kErrorIdt | ext;
  const u32 table_offset = event.vector * 8u;
  if (table_offset + 7 > s.idtr.limit) return cpu.raise(kVectorGp, idt_error);
  u64 gate;
  if (!cpu.read_system(table_address(cpu, table_offset), gate)) return false;
  const unsigned type = bits(gate, 44, 40);
  const bool known = type == kTypeTaskGate || type == kTypeInterruptGate16 ||
                     type == kTypeTrapGate16 || type == kTypeInterruptGate || type == kTypeTrapGate;
  if (!known) return cpu.raise(kVectorGp, idt_error);
  if (event.software && bits(gate, 46, 45) < cpu.cpl()) return cpu.raise(kVectorGp, idt_error);
  if (!(gate & bit(47))) return cpu.raise(kVectorNp, idt_error);

  const u16 selector = static_cast<u16>(gate >> 16);
  if (type == kTypeTaskGate) {
    return switch_task(cpu,
                       {selector, TaskSwitchSource::kInterrupt, event.has_error_code,
                        event.error_code, ext, event.resume_flag},
                       committed);
  }

  const unsigned size = (type & 8) ? 4 : 2;
  const u32 target = static_cast<u32>((gate & 0xffff) | (size == 4 ? bits(gate, 63, 48) << 16 : 0));
  Descriptor descriptor;
  unsigned cpl;
  if (!fetch_handler_code(cpu, selector, ext, descriptor, cpl)) return false;
  const bool from_v86 = cpu.v86();
  if (from_v86 && cpl != 0) return cpu.raise(kVectorGp, selector_error(selector, ext));
  const Segment code = make_segment(selector, descriptor);

  const auto push_return = [&](EventStack& stack) {
    return stack.push(saved_flags(cpu, event), size) &&
           stack.push(s.segments[kCs].selector, size) && stack.push(s.rip(), size) &&
           (!event.has_error_code || stack.push(event.error_code, size));
  };
  const u32 cleared =
      kFlagTf | kFlagNt | kFlagRf | kFlagVm |
      (type == kTypeInterruptGate || type == kTypeInterruptGate16 ? u32{kFlagIf} : 0);
  const unsigned frame = event.has_error_code ? 4 : 3;
  if (cpl < s.cpl) {
    InnerStack inner;
    if (!read_inner_stack(cpu, cpl, ext, inner)) return false;
    EventStack stack(cpu, inner.ss, inner.pointer, stack_mask_for(inner.ss), stack_privilege(cpl),
                     selector_error(inner.selector, ext));
    if (!stack.reserve(frame + (from_v86 ? 6 : 2), size) || !check_target(cpu, code, target, ext) ||
        !mark_accessed(cpu, selector, descriptor)) {
      return false;
    }
    if (from_v86) {
      for (const unsigned i : {kGs, kFs, kDs, kEs}) {
        if (!stack.push(s.segments[i].selector, size)) return false;
      }
    }
    if (!stack.push(s.segments[kSs].selector, size) || !stack.push(s.regs[kRsp], size) ||
        !push_return(stack)) {
      return false;
    }
    stack.commit();
    if (from_v86) {
      for (const unsigned i : {kGs, kFs, kDs, kEs}) {
        s.segments[i] = make_null_segment(cpu, s.segments[i], 0);
      }
    }
  } else {
    EventStack stack = EventStack::current(cpu, ext);
    if (!stack.reserve(frame, size) || !check_target(cpu, code, target, ext) ||
        !mark_accessed(cpu, selector, descriptor) || !push_return(stack)) {
      return false;
    }
    stack.commit_pointer();
  }
  commit_code(cpu, make_segment(selector, descriptor), cpl, target);
  clear_flags(cpu, cleared);
  cpu.update_mode();
  return true;
}

}  // namespace

bool deliver_event(Cpu& cpu, const Event& event, bool& committed) {
  const u32 ext = event.software ? 0 : u32{kErrorExt};
  if (cpu.real_mode()) return deliver_real(cpu, event);
  if (cpu.long_mode()) return deliver_long(cpu, event, ext);
  return deliver_protected(cpu, event, ext, committed);
}

bool redirect_to_vector_table(Cpu& cpu, u8 vector, bool& redirected) {
  CpuState& s = cpu.state;
  redirected = false;
  bool redirect = false;
  if (s.cr4 & kCr4Vme) {
    // The 32 bytes below the I/O permission bitmap; a clear bit means the program's own handler.
    const Segment& tss = s.segments[kTr];
    u16 io_base;
    if (!(tss.type() & 8) || tss.limit < 0x67) return cpu.raise(kVectorGp, 0);
    if (!cpu.read_system(tss.base + 0x66, io_base)) return false;
    const u64 offset = u64{io_base} - 32 + vector / 8;
    if (io_base < 32 || offset > tss.limit) return cpu.raise(kVectorGp, 0);
    u8 map;
    if (!cpu.read_system(tss.base + offset, map)) return false;
    redirect = !((map >> (vector & 7)) & 1);
  }
  if (!redirect) return cpu.iopl() == 3 || cpu.raise(kVectorGp, 0);

  u32 target;
  if (!cpu.read_system(u64{vector} * 4, target)) return false;
  const bool virtual_if = cpu.iopl() < 3;
  u32 flags = cpu.rflags();
  if (virtual_if) {
    flags |= kFlagIopl;
    flags = (flags & kFlagVif) ? flags | kFlagIf : flags & ~u32{kFlagIf};
  }
  EventStack stack = EventStack::current(cpu, 0);
  if (!stack.reserve(3, 2) || !stack.push(flags & 0xffff, 2) ||
      !stack.push(s.segments[kCs].selector, 2) || !stack.push(s.rip() & 0xffff, 2)) {
    return false;
  }
  stack.commit_pointer();
  clear_flags(cpu, kFlagTf | kFlagRf | (virtual_if ? u32{kFlagVif} : u32{kFlagIf}));
  load_segment_real(cpu, kCs, static_cast<u16>(target >> 16));
  s.rip() = target & 0xffff;
  redirected = true;
  cpu.update_mode();
  return true;
}

}  // namespace dragoman
