// Loading segment registers, LDTR and TR (SDM vol. 3, 3.4, 5.5 to 5.8; vol. 2, MOV, LLDT, LTR).
#include "cpu/events/event_support.h"

namespace dragoman {
namespace {

bool load_stack_segment(Cpu& cpu, u16 selector) {
  Segment& ss = cpu.state.segments[kSs];
  if (null_selector(selector)) {
    if (!cpu.code64() || cpu.cpl() == 3 || (selector & 3u) != cpu.cpl()) {
      return cpu.raise(kVectorGp, 0);
    }
    ss = make_null_segment(cpu, ss, selector);
    return true;
  }
  Descriptor descriptor;
  if (!check_stack_segment(cpu, selector, cpu.cpl(), kVectorGp, 0, descriptor)) return false;
  if (!mark_accessed(cpu, selector, descriptor)) return false;
  ss = make_segment(selector, descriptor);
  return true;
}

bool load_data_segment(Cpu& cpu, unsigned number, u16 selector) {
  Segment& target = cpu.state.segments[number];
  if (null_selector(selector)) {
    target = make_null_segment(cpu, target, selector);
    return true;
  }
  Descriptor descriptor;
  if (!fetch_descriptor(cpu, selector, kVectorGp, 0, descriptor)) return false;
  const Segment segment = make_segment(selector, descriptor);
  const bool readable = !segment.system() && (!segment.code() || (segment.type() & 2));
  const unsigned rpl = selector & 3;
  const bool privileged =
      !segment.conforming() && (rpl > segment.dpl() || cpu.cpl() > segment.dpl());
  if (!readable || privileged) return cpu.raise(kVectorGp, selector_error(selector));
  if (!segment.present()) return cpu.raise(kVectorNp, selector_error(selector));
  if (!mark_accessed(cpu, selector, descriptor)) return false;
  target = make_segment(selector, descriptor);
  return true;
}

bool load_ldtr(Cpu& cpu, u16 selector) {
  Segment& ldtr = cpu.state.segments[kLdtr];
  if (null_selector(selector)) {
    ldtr = {0, 0, selector, 0};
    return true;
  }
  if (selector & 4) return cpu.raise(kVectorGp, selector_error(selector));
  Descriptor descriptor;
  if (!fetch_descriptor(cpu, selector, kVectorGp, 0, descriptor)) return false;
  if ((descriptor.attributes() & 0x1f) != kTypeLdt) {
    return cpu.raise(kVectorGp, selector_error(selector));
  }
  if (!(descriptor.attributes() & 0x80)) return cpu.raise(kVectorNp, selector_error(selector));
  if (cpu.code64() && !fetch_upper_half(cpu, selector, 0, descriptor)) return false;
  if (!cpu.canonical(descriptor.base()) && cpu.code64()) {
    return cpu.raise(kVectorGp, selector_error(selector));
  }
  ldtr = make_segment(selector, descriptor);
  return true;
}

bool load_task_register(Cpu& cpu, u16 selector) {
  if (null_selector(selector)) return cpu.raise(kVectorGp, 0);
  if (selector & 4) return cpu.raise(kVectorGp, selector_error(selector));
  Descriptor descriptor;
  if (!fetch_descriptor(cpu, selector, kVectorGp, 0, descriptor)) return false;
  const unsigned type = descriptor.attributes() & 0x1f;
  const bool available = type == kTypeTss || (type == kTypeTss16 && !cpu.long_mode());
  if (!available) return cpu.raise(kVectorGp, selector_error(selector));
  if (!(descriptor.attributes() & 0x80)) return cpu.raise(kVectorNp, selector_error(selector));
  if (cpu.code64()) {
    if (!fetch_upper_half(cpu, selector, 0, descriptor)) return false;
    if (!cpu.canonical(descriptor.base())) return cpu.raise(kVectorGp, selector_error(selector));
  }
  descriptor.high |= 0x200;  // busy
  if (!cpu.write_system(descriptor_address(cpu, selector) + 4, descriptor.high)) return false;
  cpu.state.segments[kTr] = make_segment(selector, descriptor);
  return true;
}

}  // namespace

void load_segment_real(Cpu& cpu, unsigned segment, u16 selector) {
  Segment& s = cpu.state.segments[segment];
  if (cpu.v86()) {
    s = make_v86_segment(selector);
  } else {
    // The limit, and with it a 4 GiB limit from protected mode, stays; so does the default size.
    s.selector = selector;
    s.base = u64{selector} << 4;
    s.attributes = static_cast<u16>((s.attributes & 0xf000) | (segment == kCs ? 0x9b : 0x93));
  }
}

bool load_segment(Cpu& cpu, unsigned segment, u16 selector) {
  bool ok;
  if (segment == kLdtr) {
    ok = load_ldtr(cpu, selector);
  } else if (segment == kTr) {
    ok = load_task_register(cpu, selector);
  } else if (cpu.real_mode() || cpu.v86()) {
    load_segment_real(cpu, segment, selector);
    ok = true;
  } else if (segment == kSs) {
    ok = load_stack_segment(cpu, selector);
  } else {
    ok = load_data_segment(cpu, segment, selector);
  }
  if (ok) cpu.update_mode();
  return ok;
}

}  // namespace dragoman
