// Hardware task switches (SDM vol. 3, 7.2, 7.3) and the I/O permission bitmap (vol. 1, 19.5).
#include <algorithm>
#include <array>
#include <cstring>

#include "base/bits.h"
#include "cpu/events/event_support.h"

namespace dragoman {
namespace {

/// Contents of a TSS that a task switch loads, widened from the 16-bit form.
struct TaskState {
  u32 cr3 = 0;
  u32 eip = 0;
  u32 eflags = 0;
  std::array<u32, 8> regs{};
  std::array<u16, 6> selectors{};  // ES, CS, SS, DS, FS, GS
  u16 ldt = 0;
  bool trap = false;
};

constexpr unsigned kTss16Bytes = 0x2c;
constexpr unsigned kTss32Bytes = 0x68;

template <class T>
T field(const std::array<u8, kTss32Bytes>& image, unsigned offset) {
  T value;
  std::memcpy(&value, &image[offset], sizeof(T));
  return value;
}

bool read_task(Cpu& cpu, u64 base, bool wide, TaskState& out) {
  std::array<u8, kTss32Bytes> image{};
  if (!cpu.read_linear_as(Privilege::kImplicit, base, image.data(),
                          wide ? kTss32Bytes : kTss16Bytes)) {
    return false;
  }
  if (wide) {
    out.cr3 = field<u32>(image, 0x1c);
    out.eip = field<u32>(image, 0x20);
    out.eflags = field<u32>(image, 0x24);
    for (unsigned i = 0; i < 8; ++i) out.regs[i] = field<u32>(image, 0x28 + 4 * i);
    for (unsigned i = 0; i < 6; ++i) out.selectors[i] = field<u16>(image, 0x48 + 4 * i);
    out.ldt = field<u16>(image, 0x60);
    out.trap = (field<u16>(image, 0x64) & 1) != 0;
  } else {
    out.eip = field<u16>(image, 0x0e);
    out.eflags = field<u16>(image, 0x10);
    // Nothing documents the upper halves; processors have all ones there (test386.asm, POST 22h).
    for (unsigned i = 0; i < 8; ++i) out.regs[i] = 0xffff0000 | field<u16>(image, 0x12 + 2 * i);
    for (unsigned i = 0; i < 4; ++i) out.selectors[i] = field<u16>(image, 0x22 + 2 * i);
    out.ldt = field<u16>(image, 0x2a);
  }
  return true;
}

/// Saves the dynamic fields into the current TSS: EIP to GS, or IP to DS.
bool save_task(Cpu& cpu, u32 eflags) {
  const CpuState& s = cpu.state;
  const Segment& tss = s.segments[kTr];
  const bool wide = (tss.type() & 8) != 0;
  const unsigned first = wide ? 0x20 : 0x0e;
  const unsigned bytes = wide ? 0x40 : 0x1c;
  if (tss.limit < first + bytes - 1) return cpu.raise(kVectorTs, selector_error(tss.selector));
  std::array<u8, 0x40> image{};
  unsigned at = 0;
  const auto put = [&](u64 value) {
    std::memcpy(&image[at], &value, wide ? 4 : 2);
    at += wide ? 4 : 2;
  };
  put(s.rip());
  put(eflags);
  for (unsigned i = 0; i < 8; ++i) put(s.regs[i]);
  for (unsigned i = 0; i < (wide ? 6u : 4u); ++i) put(s.segments[i].selector);
  return cpu.write_linear_as(Privilege::kImplicit, tss.base + first, image.data(), bytes);
}

bool find_tss(Cpu& cpu, const TaskSwitch& what, Descriptor& out) {
  const bool back = what.source == TaskSwitchSource::kIret;
  const u8 vector = back ? kVectorTs : kVectorGp;
  const u32 error = selector_error(what.selector, what.ext);
  if (what.selector & 4) return cpu.raise(vector, error);
  if (!fetch_descriptor(cpu, what.selector, vector, what.ext, out)) return false;
  const unsigned type = out.attributes() & 0x1f;
  const bool right = back ? type == kTypeTssBusy || type == kTypeTss16Busy
                          : type == kTypeTss || type == kTypeTss16;
  if (!right) return cpu.raise(vector, error);
  if (!(out.attributes() & 0x80)) return cpu.raise(kVectorNp, error);
  const u32 smallest = (type & 8) ? kTss32Bytes - 1 : kTss16Bytes - 1;
  if (out.limit() < smallest) return cpu.raise(kVectorTs, error);
  return true;
}

bool set_busy(Cpu& cpu, u16 selector, bool busy) {
  const u64 address = descriptor_address(cpu, selector) + 4;
  u32 high;
  if (!cpu.read_system(address, high)) return false;
  return cpu.write_system(address, busy ? high | 0x200u : high & ~0x200u);
}

// --- In the new task: table 7-1, checks 9 to 26
// ---------------------------------------------------

bool load_task_ldt(Cpu& cpu, u16 selector, u32 ext) {
  Segment& ldtr = cpu.state.segments[kLdtr];
  ldtr = {0, 0, selector, 0};
  if (null_selector(selector)) return true;
  const u32 error = selector_error(selector, ext);
  if (selector & 4) return cpu.raise(kVectorTs, error);
  Descriptor descriptor;
  if (!fetch_descriptor(cpu, selector, kVectorTs, ext, descriptor)) return false;
  if ((descriptor.attributes() & 0x9f) != (kTypeLdt | 0x80)) return cpu.raise(kVectorTs, error);
  ldtr = make_segment(selector, descriptor);
  return true;
}

bool load_task_code(Cpu& cpu, u16 selector, u32 ext) {
  const u32 error = selector_error(selector, ext);
  if (null_selector(selector)) return cpu.raise(kVectorTs, error);
  Descriptor descriptor;
  if (!fetch_descriptor(cpu, selector, kVectorTs, ext, descriptor)) return false;
  const Segment code = make_segment(selector, descriptor);
  const unsigned rpl = selector & 3;
  if (!code.code() || (code.conforming() ? code.dpl() > rpl : code.dpl() != rpl)) {
    return cpu.raise(kVectorTs, error);
  }
  if (!code.present()) return cpu.raise(kVectorNp, error);
  if (!mark_accessed(cpu, selector, descriptor)) return false;
  cpu.state.segments[kCs] = make_segment(selector, descriptor);
  return true;
}

bool load_task_stack(Cpu& cpu, u16 selector, u32 ext) {
  if (null_selector(selector)) return cpu.raise(kVectorTs, selector_error(selector, ext));
  Descriptor descriptor;
  if (!check_stack_segment(cpu, selector, cpu.cpl(), kVectorTs, ext, descriptor) ||
      !mark_accessed(cpu, selector, descriptor)) {
    return false;
  }
  cpu.state.segments[kSs] = make_segment(selector, descriptor);
  return true;
}

bool load_task_data(Cpu& cpu, unsigned number, u16 selector, u32 ext) {
  if (null_selector(selector)) return true;
  const u32 error = selector_error(selector, ext);
  Descriptor descriptor;
  if (!fetch_descriptor(cpu, selector, kVectorTs, ext, descriptor)) return false;
  const Segment segment = make_segment(selector, descriptor);
  const bool readable = !segment.system() && (!segment.code() || (segment.type() & 2));
  const unsigned rpl = selector & 3;
  if (!readable || (!segment.conforming() && (rpl > segment.dpl() || cpu.cpl() > segment.dpl()))) {
    return cpu.raise(kVectorTs, error);
  }
  if (!segment.present()) return cpu.raise(kVectorNp, error);
  if (!mark_accessed(cpu, selector, descriptor)) return false;
  cpu.state.segments[number] = make_segment(selector, descriptor);
  return true;
}

bool load_task_segments(Cpu& cpu, const TaskState& task, u32 ext) {
  if (!load_task_ldt(cpu, task.ldt, ext)) return false;
  if (cpu.v86()) {
    for (unsigned i = kEs; i <= kGs; ++i) {
      cpu.state.segments[i] = make_v86_segment(task.selectors[i]);
    }
    return true;
  }
  if (!load_task_code(cpu, task.selectors[kCs], ext)) return false;
  if (!load_task_stack(cpu, task.selectors[kSs], ext)) return false;
  for (const unsigned i : {kDs, kEs, kFs, kGs}) {
    if (!load_task_data(cpu, i, task.selectors[i], ext)) return false;
  }
  return true;
}

/// What happens after the point of no return: faults belong to the new task.
bool begin_task(Cpu& cpu, const TaskSwitch& what, const TaskState& task, bool wide) {
  const bool loaded = load_task_segments(cpu, task, what.ext);
  cpu.update_mode();
  if (task.trap) {
    cpu.note_debug_trap(1u << 15);  // BT
    cpu.set_attention_check();
  }
  if (!loaded) return false;
  if (what.has_error_code) {
    EventStack stack = EventStack::current(cpu, what.ext);
    if (!stack.push(what.error_code, wide ? 4 : 2)) return false;
    stack.commit_pointer();
  }
  return check_target(cpu, cpu.state.segments[kCs], task.eip, what.ext);
}

}  // namespace

bool switch_task(Cpu& cpu, const TaskSwitch& what, bool& committed) {
  CpuState& s = cpu.state;
  const bool nested =
      what.source == TaskSwitchSource::kCall || what.source == TaskSwitchSource::kInterrupt;
  const bool back = what.source == TaskSwitchSource::kIret;
  Descriptor descriptor;
  if (!find_tss(cpu, what, descriptor)) return false;
  const bool wide = (descriptor.attributes() & 8) != 0;
  const u64 base = descriptor.base();
  TaskState task;
  if (!read_task(cpu, base, wide, task)) return false;

  // The outgoing task, then the links between the two.
  const u16 old_selector = s.segments[kTr].selector;
  u32 old_flags = cpu.rflags();
  if (back) old_flags &= ~u32{kFlagNt};
  if (what.resume_flag) old_flags |= kFlagRf;
  if (!save_task(cpu, old_flags)) return false;
  if (nested && !cpu.write_system(base, old_selector)) return false;
  const bool load_cr3 = wide && (s.cr0 & kCr0Pg);
  if (load_cr3 && (s.cr4 & kCr4Pae) && !cpu.load_pdptes(task.cr3)) return false;
  if (!back && !set_busy(cpu, what.selector, true)) return false;
  if (!nested && !set_busy(cpu, old_selector, false)) return false;

  committed = true;
  descriptor.high |= 0x200;
  s.segments[kTr] = make_segment(what.selector, descriptor);
  s.cr0 |= kCr0Ts;
  if (load_cr3) {
    s.cr3 = task.cr3;
    cpu.address_space_changed(/*keep=*/false);
  }
  s.rip() = task.eip;
  for (unsigned i = 0; i < 8; ++i) s.regs[i] = task.regs[i];
  const u32 new_flags = nested ? task.eflags | kFlagNt : task.eflags;
  s.cpl = (new_flags & kFlagVm) ? 3 : task.selectors[kCs] & 3;
  for (unsigned i = kEs; i <= kGs; ++i) {
    s.segments[i] = make_null_segment(cpu, s.segments[i], task.selectors[i]);
  }
  cpu.set_rflags(new_flags);
  cpu.update_mode();
  constexpr u64 kLocalEnables = 0x155;  // L0 to L3, LE
  if (s.dr[7] & kLocalEnables) {
    s.dr[7] &= ~kLocalEnables;
    cpu.state_replaced();
  }
  return begin_task(cpu, what, task, wide);
}

bool task_switch(Cpu& cpu, u16 selector, TaskSwitchSource source, bool has_error_code,
                 u32 error_code) {
  bool committed = false;
  if (switch_task(cpu, {selector, source, has_error_code, error_code, 0, false}, committed)) {
    return true;
  }
  if (!committed) return false;
  // The instruction is done; the new task takes the fault. A shutdown is in the state.
  cpu.debug_notes(cpu.fault().vector, cpu.fault().error_code);
  (void)deliver_fault(cpu);
  return true;
}

bool check_io_permission(Cpu& cpu, u16 port, unsigned size) {
  if (cpu.real_mode() || (!cpu.v86() && cpu.cpl() <= cpu.iopl())) return true;
  const Segment& tss = cpu.state.segments[kTr];
  if (!(tss.type() & 8) || !tss.present() || tss.limit < 0x67) return cpu.raise(kVectorGp, 0);
  u16 map_base;
  if (!cpu.read_system(tss.base + 0x66, map_base)) return false;
  const u32 offset = map_base + port / 8u;
  if (offset + 1 > tss.limit) return cpu.raise(kVectorGp, 0);
  u16 map;  // two bytes always: an access may straddle them
  if (!cpu.read_system(tss.base + offset, map)) return false;
  const unsigned wanted = ((1u << size) - 1) << (port & 7);
  return (map & wanted) == 0 || cpu.raise(kVectorGp, 0);
}

}  // namespace dragoman
