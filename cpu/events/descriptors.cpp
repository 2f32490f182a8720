// Descriptor tables, stacks of other privilege levels and the checks that transfers share
// (SDM vol. 3, chapters 3 and 5).
#include "base/bits.h"
#include "cpu/events/event_support.h"

namespace dragoman {

u64 Descriptor::base() const {
  return (low >> 16) | (u64{high & 0xff} << 16) | (high & 0xff000000) | (u64{upper_base} << 32);
}

u32 Descriptor::limit() const {
  const u32 raw = (low & 0xffff) | (high & 0xf0000);
  return (high & 0x800000) ? (raw << 12) | 0xfff : raw;
}

Segment make_segment(u16 selector, const Descriptor& descriptor) {
  return {descriptor.base(), descriptor.limit(), selector, descriptor.attributes()};
}

Segment make_v86_segment(u16 selector) { return {u64{selector} << 4, 0xffff, selector, 0xf3}; }

Segment make_null_segment(const Cpu& cpu, const Segment& before, u16 selector) {
  Segment segment = before;
  segment.selector = selector;
  segment.attributes &= 0xf000;
  // AMD processors without NullSelectorClearsBase keep the base (APM vol. 2, 4.5.3).
  if (!(amd(cpu) && cpu.long_mode())) segment.base = 0;
  return segment;
}

u64 descriptor_address(const Cpu& cpu, u16 selector) {
  const u64 table = (selector & 4) ? cpu.state.segments[kLdtr].base : cpu.state.gdtr.base;
  const u64 address = table + (selector & 0xfff8);
  return cpu.long_mode() ? address : static_cast<u32>(address);
}

bool read_descriptor(Cpu& cpu, u16 selector, Descriptor& out, bool& outside) {
  u64 limit = cpu.state.gdtr.limit;
  outside = false;
  if (selector & 4) {
    const Segment& ldt = cpu.state.segments[kLdtr];
    if (!ldt.present() || null_selector(ldt.selector)) {
      outside = true;
      return false;
    }
    limit = ldt.limit;
  }
  if ((selector | 7u) > limit) {
    outside = true;
    return false;
  }
  u64 value;
  if (!cpu.read_system(descriptor_address(cpu, selector), value)) return false;
  out.low = static_cast<u32>(value);
  out.high = static_cast<u32>(value >> 32);
  out.upper_base = 0;
  return true;
}

bool fetch_descriptor(Cpu& cpu, u16 selector, u8 vector, u32 ext, Descriptor& out) {
  bool outside;
  if (read_descriptor(cpu, selector, out, outside)) return true;
  return outside ? cpu.raise(vector, selector_error(selector, ext)) : false;
}

bool fetch_upper_half(Cpu& cpu, u16 selector, u32 ext, Descriptor& out) {
  const u64 limit = (selector & 4) ? u64{cpu.state.segments[kLdtr].limit} : cpu.state.gdtr.limit;
  if ((selector & 0xfff8u) + 15u > limit)
    return cpu.raise(kVectorGp, selector_error(selector, ext));
  u64 value;
  if (!cpu.read_system(descriptor_address(cpu, selector) + 8, value)) return false;
  if ((value >> 32) & 0x1f00) return cpu.raise(kVectorGp, selector_error(selector, ext));
  out.upper_base = static_cast<u32>(value);
  return true;
}

bool mark_accessed(Cpu& cpu, u16 selector, Descriptor& descriptor) {
  if (descriptor.high & 0x100) return true;
  descriptor.high |= 0x100;
  return cpu.write_system(descriptor_address(cpu, selector) + 4, descriptor.high);
}

bool within_limit(const Segment& segment, u64 offset, unsigned size) {
  const u64 last = offset + size - 1;
  if (segment.expand_down()) {
    return offset > segment.limit && last <= (segment.big() ? 0xffffffff : 0xffff);
  }
  return last <= segment.limit && last >= offset;
}

bool check_stack_segment(Cpu& cpu, u16 selector, unsigned cpl, u8 vector, u32 ext,
                         Descriptor& out) {
  if (!fetch_descriptor(cpu, selector, vector, ext, out)) return false;
  const Segment segment = make_segment(selector, out);
  if ((selector & 3u) != cpl || !segment.writable_data() || segment.dpl() != cpl) {
    return cpu.raise(vector, selector_error(selector, ext));
  }
  if (!segment.present()) return cpu.raise(kVectorSs, selector_error(selector, ext));
  return true;
}

bool check_target(Cpu& cpu, const Segment& code, u64 offset, u32 ext) {
  const bool inside =
      cpu.long_mode() && code.long_mode() ? cpu.canonical(offset) : offset <= code.limit;
  return inside || cpu.raise(kVectorGp, ext);
}

// --- EventStack --------------------------------------------------------------------------------

bool EventStack::fits(u64 offset, unsigned size) const {
  if (mask_ == ~u64{0}) return cpu_.canonical(offset) && cpu_.canonical(offset + size - 1);
  if (cpu_.protected_mode() && !cpu_.v86() && privilege_ == Privilege::kCurrent && !ss_.present()) {
    return false;  // null stack segment
  }
  return within_limit(ss_, offset, size);
}

bool EventStack::reserve(unsigned count, unsigned size) {
  for (unsigned i = 1; i <= count; ++i) {
    if (!fits((pointer_ - u64{i} * size) & mask_, size)) return cpu_.raise(kVectorSs, error_);
  }
  return true;
}

bool EventStack::push(u64 value, unsigned size) {
  const u64 next = (pointer_ - size) & mask_;
  if (!fits(next, size)) return cpu_.raise(kVectorSs, error_);
  const u64 linear = mask_ == ~u64{0} ? next : static_cast<u32>(ss_.base + next);
  if (!cpu_.write_linear_as(privilege_, linear, &value, size)) return false;
  // A 16-bit stack keeps the upper bits of the pointer.
  pointer_ = mask_ == 0xffff ? (pointer_ & ~u64{0xffff}) | next : next;
  return true;
}

void EventStack::commit() {
  cpu_.state.segments[kSs] = ss_;
  commit_pointer();
}

void EventStack::commit_pointer() {
  u64& rsp = cpu_.state.regs[kRsp];
  rsp = mask_ == 0xffff ? (rsp & ~u64{0xffff}) | (pointer_ & 0xffff) : pointer_ & mask_;
}

bool read_inner_stack(Cpu& cpu, unsigned dpl, u32 ext, InnerStack& out) {
  const Segment& tss = cpu.state.segments[kTr];
  const u32 tss_error = selector_error(tss.selector, ext);
  if (tss.type() & 8) {
    const u32 offset = dpl * 8 + 4;
    if (offset + 5 > tss.limit) return cpu.raise(kVectorTs, tss_error);
    u32 esp;
    u16 ss;
    if (!cpu.read_system(tss.base + offset, esp)) return false;
    if (!cpu.read_system(tss.base + offset + 4, ss)) return false;
    out.pointer = esp;
    out.selector = ss;
  } else {
    const u32 offset = dpl * 4 + 2;
    if (offset + 3 > tss.limit) return cpu.raise(kVectorTs, tss_error);
    u32 value;
    if (!cpu.read_system(tss.base + offset, value)) return false;
    out.pointer = value & 0xffff;
    out.selector = static_cast<u16>(value >> 16);
  }
  if (null_selector(out.selector)) return cpu.raise(kVectorTs, selector_error(out.selector, ext));
  Descriptor descriptor;
  if (!check_stack_segment(cpu, out.selector, dpl, kVectorTs, ext, descriptor)) return false;
  if (!mark_accessed(cpu, out.selector, descriptor)) return false;
  out.ss = make_segment(out.selector, descriptor);
  return true;
}

bool read_stack_pointer_64(Cpu& cpu, unsigned slot, u32 ext, u64& out) {
  const Segment& tss = cpu.state.segments[kTr];
  const u32 offset = slot * 8 + 4;
  if (offset + 7 > tss.limit) return cpu.raise(kVectorTs, selector_error(tss.selector, ext));
  if (!cpu.read_system(tss.base + offset, out)) return false;
  return cpu.canonical(out) || cpu.raise(kVectorSs, ext);
}

// --- Returns -----------------------------------------------------------------------------------

void commit_code(Cpu& cpu, const Segment& code, unsigned cpl, u64 rip) {
  cpu.state.segments[kCs] = code;
  cpu.state.segments[kCs].selector = with_rpl(code.selector, cpl);
  cpu.state.cpl = static_cast<u8>(cpl);
  cpu.state.rip() = rip;
}

void drop_inner_segments(Cpu& cpu) {
  for (const unsigned i : {kEs, kDs, kFs, kGs}) {
    Segment& segment = cpu.state.segments[i];
    // Null selectors lose their RPL, too (SDM vol. 2, IRET, return to an outer privilege level).
    if (null_selector(segment.selector)) segment.selector = 0;
    if (segment.present() && segment.dpl() < cpu.cpl() && !segment.conforming()) {
      // Unlike a load of a null selector this leaves the base, which 64-bit code goes on using.
      const u64 base = segment.base;
      segment = make_null_segment(cpu, segment, 0);
      segment.base = base;
    }
  }
}

bool read_frame(Cpu& cpu, unsigned size, unsigned first, unsigned count, u64* out) {
  const u64 mask = cpu.stack_mask();
  for (unsigned i = 0; i < count; ++i) {
    const u64 offset = (cpu.state.regs[kRsp] + u64{first + i} * size) & mask;
    bool ok;
    if (size == 2) {
      u16 value = 0;
      ok = cpu.read<u16>(kSs, offset, value);
      out[i] = value;
    } else if (size == 4) {
      u32 value = 0;
      ok = cpu.read<u32>(kSs, offset, value);
      out[i] = value;
    } else {
      ok = cpu.read<u64>(kSs, offset, out[i]);
    }
    if (!ok) return false;
  }
  return true;
}

bool check_return_code(Cpu& cpu, u16 selector, Descriptor& out) {
  if (null_selector(selector)) return cpu.raise(kVectorGp, 0);
  if (!fetch_descriptor(cpu, selector, kVectorGp, 0, out)) return false;
  const Segment code = make_segment(selector, out);
  const unsigned rpl = selector & 3;
  const bool privilege_ok = code.conforming() ? code.dpl() <= rpl : code.dpl() == rpl;
  if (!code.code() || rpl < cpu.cpl() || !privilege_ok ||
      reserved_code_size(cpu, code.attributes)) {
    return cpu.raise(kVectorGp, selector_error(selector));
  }
  return code.present() || cpu.raise(kVectorNp, selector_error(selector));
}

bool check_return_stack(Cpu& cpu, u16 selector, unsigned cpl, bool to_code64, Segment& out) {
  if (null_selector(selector)) {
    if (!to_code64 || cpl == 3 || (selector & 3u) != cpl) return cpu.raise(kVectorGp, 0);
    out = make_null_segment(cpu, cpu.state.segments[kSs], selector);
    return true;
  }
  Descriptor descriptor;
  if (!check_stack_segment(cpu, selector, cpl, kVectorGp, 0, descriptor)) return false;
  if (!mark_accessed(cpu, selector, descriptor)) return false;
  out = make_segment(selector, descriptor);
  return true;
}

void commit_return(Cpu& cpu, const Segment& code, u64 rip, const Segment& stack, u64 rsp,
                   unsigned cpl) {
  const bool outer = cpl > cpu.cpl();
  commit_code(cpu, code, cpl, rip);
  cpu.state.segments[kSs] = stack;
  u64& old = cpu.state.regs[kRsp];
  if (cpu.long_mode() && code.long_mode()) {
    old = rsp;
  } else if (stack.big()) {
    old = static_cast<u32>(rsp);
  } else {
    // A return to a 16-bit stack leaves the upper half of ESP as the inner level had it.
    old = (old & ~u64{0xffff}) | (rsp & 0xffff);
  }
  if (outer) drop_inner_segments(cpu);
  cpu.update_mode();
}

}  // namespace dragoman
