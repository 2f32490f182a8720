// Far JMP, CALL and RET: direct, through call gates, through task gates and TSS descriptors
// (SDM vol. 2, JMP, CALL, RET operation; vol. 3, 5.8).
#include <array>

#include "base/bits.h"
#include "cpu/events/event_support.h"

namespace dragoman {
namespace {

enum class Transfer : u8 { kJump, kCall };

bool real_style(const Cpu& cpu) { return cpu.real_mode() || cpu.v86(); }

/// Pushes CS:RIP on the current stack and goes on at `code`:`offset` with an unchanged CPL.
bool enter_code(Cpu& cpu, Transfer transfer, u16 selector, Descriptor& descriptor, u64 offset,
                unsigned size) {
  const Segment code = make_segment(selector, descriptor);
  EventStack stack = EventStack::current(cpu, 0);
  if (transfer == Transfer::kCall && !stack.reserve(2, size)) return false;
  if (!check_target(cpu, code, offset)) return false;
  if (!mark_accessed(cpu, selector, descriptor)) return false;
  if (transfer == Transfer::kCall) {
    if (!stack.push(cpu.state.segments[kCs].selector, size) || !stack.push(cpu.state.rip(), size)) {
      return false;
    }
    stack.commit_pointer();
  }
  commit_code(cpu, make_segment(selector, descriptor), cpu.cpl(), offset);
  cpu.update_mode();
  return true;
}

bool direct_transfer(Cpu& cpu, Transfer transfer, u16 selector, Descriptor& descriptor, u64 offset,
                     unsigned size) {
  const Segment code = make_segment(selector, descriptor);
  const unsigned rpl = selector & 3;
  const bool allowed =
      code.conforming() ? code.dpl() <= cpu.cpl() : rpl <= cpu.cpl() && code.dpl() == cpu.cpl();
  if (!allowed || reserved_code_size(cpu, code.attributes)) {
    return cpu.raise(kVectorGp, selector_error(selector));
  }
  if (!code.present()) return cpu.raise(kVectorNp, selector_error(selector));
  return enter_code(cpu, transfer, selector, descriptor, offset & size_mask(size), size);
}

/// CALL through a gate to a more privileged, nonconforming segment.
bool call_inner(Cpu& cpu, u16 selector, Descriptor& descriptor, u64 offset, unsigned parameters,
                unsigned size) {
  CpuState& s = cpu.state;
  const Segment code = make_segment(selector, descriptor);
  const unsigned cpl = code.dpl();
  if (cpu.long_mode()) {
    u64 rsp;
    if (!read_stack_pointer_64(cpu, cpl, 0, rsp)) return false;
    EventStack stack(cpu, make_null_segment(cpu, s.segments[kSs], static_cast<u16>(cpl)), rsp,
                     ~u64{0}, stack_privilege(cpl), 0);
    if (!stack.reserve(4, 8) || !check_target(cpu, code, offset) ||
        !mark_accessed(cpu, selector, descriptor) || !stack.push(s.segments[kSs].selector, 8) ||
        !stack.push(s.regs[kRsp], 8) || !stack.push(s.segments[kCs].selector, 8) ||
        !stack.push(s.rip(), 8)) {
      return false;
    }
    stack.commit();
  } else {
    InnerStack inner;
    if (!read_inner_stack(cpu, cpl, 0, inner)) return false;
    EventStack stack(cpu, inner.ss, inner.pointer, stack_mask_for(inner.ss), stack_privilege(cpl),
                     selector_error(inner.selector));
    if (!stack.reserve(4 + parameters, size) || !check_target(cpu, code, offset)) return false;
    std::array<u64, 32> copied{};
    if (!read_frame(cpu, size, 0, parameters, copied.data())) return false;
    if (!mark_accessed(cpu, selector, descriptor)) return false;
    if (!stack.push(s.segments[kSs].selector, size) || !stack.push(s.regs[kRsp], size))
      return false;
    for (unsigned i = parameters; i-- > 0;) {
      if (!stack.push(copied[i], size)) return false;
    }
    if (!stack.push(s.segments[kCs].selector, size) || !stack.push(s.rip(), size)) return false;
    stack.commit();
  }
  commit_code(cpu, make_segment(selector, descriptor), cpl, offset);
  cpu.update_mode();
  return true;
}

bool through_call_gate(Cpu& cpu, Transfer transfer, u16 gate_selector, const Descriptor& gate) {
  const unsigned type = gate.attributes() & 0xf;
  const unsigned size = cpu.long_mode() ? 8 : type == kTypeCallGate ? 4 : 2;
  u64 offset = gate.low & 0xffff;
  if (type == kTypeCallGate) offset |= gate.high & 0xffff0000;
  if (size == 8) {
    Descriptor full = gate;
    if (!fetch_upper_half(cpu, gate_selector, 0, full)) return false;
    offset |= u64{full.upper_base} << 32;
  }
  const u16 selector = static_cast<u16>(gate.low >> 16);
  if (null_selector(selector)) return cpu.raise(kVectorGp, 0);
  Descriptor descriptor;
  if (!fetch_descriptor(cpu, selector, kVectorGp, 0, descriptor)) return false;
  const Segment code = make_segment(selector, descriptor);
  const bool allowed =
      code.code() && (code.conforming() || transfer == Transfer::kCall ? code.dpl() <= cpu.cpl()
                                                                       : code.dpl() == cpu.cpl());
  if (!allowed || (size == 8 && (code.attributes & 0x6000) != 0x2000)) {
    return cpu.raise(kVectorGp, selector_error(selector));
  }
  if (!code.present()) return cpu.raise(kVectorNp, selector_error(selector));
  if (transfer == Transfer::kCall && !code.conforming() && code.dpl() < cpu.cpl()) {
    return call_inner(cpu, selector, descriptor, offset, gate.high & 0x1f, size);
  }
  if (size != 8) return enter_code(cpu, transfer, selector, descriptor, offset, size);

  // Into 64-bit code at the same level: the return address goes on the stack as 64-bit code sees
  // it, also when the caller runs in compatibility mode.
  EventStack stack(cpu, cpu.state.segments[kSs], cpu.state.regs[kRsp], ~u64{0}, Privilege::kCurrent,
                   0);
  if (transfer == Transfer::kCall && !stack.reserve(2, 8)) return false;
  if (!check_target(cpu, code, offset) || !mark_accessed(cpu, selector, descriptor)) return false;
  if (transfer == Transfer::kCall) {
    if (!stack.push(cpu.state.segments[kCs].selector, 8) || !stack.push(cpu.state.rip(), 8)) {
      return false;
    }
    stack.commit_pointer();
  }
  commit_code(cpu, make_segment(selector, descriptor), cpu.cpl(), offset);
  cpu.update_mode();
  return true;
}

/// Gates and TSS descriptors.
bool system_transfer(Cpu& cpu, Transfer transfer, u16 selector, const Descriptor& descriptor) {
  const u32 error = selector_error(selector);
  const unsigned type = descriptor.attributes() & 0xf;
  const unsigned dpl = (descriptor.attributes() >> 5) & 3;
  const bool call_gate = type == kTypeCallGate || (type == kTypeCallGate16 && !cpu.long_mode());
  const bool task =
      !cpu.long_mode() && (type == kTypeTaskGate || type == kTypeTss16 || type == kTypeTss);
  if (!call_gate && !task) return cpu.raise(kVectorGp, error);
  if (dpl < cpu.cpl() || dpl < (selector & 3u)) return cpu.raise(kVectorGp, error);
  if (!(descriptor.attributes() & 0x80)) return cpu.raise(kVectorNp, error);
  if (call_gate) return through_call_gate(cpu, transfer, selector, descriptor);
  const u16 tss = type == kTypeTaskGate ? static_cast<u16>(descriptor.low >> 16) : selector;
  return task_switch(
      cpu, tss, transfer == Transfer::kCall ? TaskSwitchSource::kCall : TaskSwitchSource::kJump,
      false, 0);
}

bool far_transfer(Cpu& cpu, Transfer transfer, u16 selector, u64 offset, unsigned size) {
  if (null_selector(selector)) return cpu.raise(kVectorGp, 0);
  Descriptor descriptor;
  if (!fetch_descriptor(cpu, selector, kVectorGp, 0, descriptor)) return false;
  const u16 attributes = descriptor.attributes();
  if (!(attributes & 0x10)) return system_transfer(cpu, transfer, selector, descriptor);
  if (!(attributes & 0x08)) return cpu.raise(kVectorGp, selector_error(selector));
  return direct_transfer(cpu, transfer, selector, descriptor, offset, size);
}

}  // namespace

bool far_jump(Cpu& cpu, u16 selector, u64 offset, unsigned operand_size) {
  if (!real_style(cpu)) return far_transfer(cpu, Transfer::kJump, selector, offset, operand_size);
  offset &= size_mask(operand_size);
  if (offset > cpu.state.segments[kCs].limit) return cpu.raise(kVectorGp, 0);
  load_segment_real(cpu, kCs, selector);
  cpu.state.rip() = offset;
  cpu.update_mode();
  return true;
}

bool far_call(Cpu& cpu, u16 selector, u64 offset, unsigned operand_size) {
  if (!real_style(cpu)) return far_transfer(cpu, Transfer::kCall, selector, offset, operand_size);
  offset &= size_mask(operand_size);
  EventStack stack = EventStack::current(cpu, 0);
  if (!stack.reserve(2, operand_size)) return false;
  if (offset > cpu.state.segments[kCs].limit) return cpu.raise(kVectorGp, 0);
  if (!stack.push(cpu.state.segments[kCs].selector, operand_size) ||
      !stack.push(cpu.state.rip(), operand_size)) {
    return false;
  }
  stack.commit_pointer();
  load_segment_real(cpu, kCs, selector);
  cpu.state.rip() = offset;
  cpu.update_mode();
  return true;
}

bool far_return(Cpu& cpu, unsigned operand_size, u16 return_bytes) {
  CpuState& s = cpu.state;
  std::array<u64, 2> frame{};  // RIP, CS
  if (!read_frame(cpu, operand_size, 0, 2, frame.data())) return false;
  const u16 selector = static_cast<u16>(frame[1]);
  const u64 after = s.regs[kRsp] + 2 * operand_size + return_bytes;
  if (real_style(cpu)) {
    if (frame[0] > s.segments[kCs].limit) return cpu.raise(kVectorGp, 0);
    load_segment_real(cpu, kCs, selector);
    s.rip() = frame[0];
    cpu.set_stack_pointer(after);
    cpu.update_mode();
    return true;
  }

  Descriptor descriptor;
  if (!check_return_code(cpu, selector, descriptor)) return false;
  const Segment code = make_segment(selector, descriptor);
  const unsigned cpl = selector & 3;
  if (cpl == cpu.cpl()) {
    if (!check_target(cpu, code, frame[0]) || !mark_accessed(cpu, selector, descriptor))
      return false;
    cpu.set_stack_pointer(after);
    commit_code(cpu, make_segment(selector, descriptor), cpl, frame[0]);
    cpu.update_mode();
    return true;
  }

  // RSP and SS of the outer level lie behind the parameters.
  const u64 inner_pointer = s.regs[kRsp];
  std::array<u64, 2> outer{};
  cpu.set_stack_pointer(after);
  const bool readable = read_frame(cpu, operand_size, 0, 2, outer.data());
  s.regs[kRsp] = inner_pointer;
  if (!readable) return false;
  Segment stack;
  const bool to_code64 = cpu.long_mode() && code.long_mode();
  if (!check_return_stack(cpu, static_cast<u16>(outer[1]), cpl, to_code64, stack)) return false;
  if (!check_target(cpu, code, frame[0]) || !mark_accessed(cpu, selector, descriptor)) return false;
  commit_return(cpu, make_segment(selector, descriptor), frame[0], stack, outer[0] + return_bytes,
                cpl);
  return true;
}

}  // namespace dragoman
