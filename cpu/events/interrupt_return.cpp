// IRET in every mode (SDM vol. 2, IRET operation; vol. 3, 20.2, 20.3, 7.4).
#include <array>

#include "base/bits.h"
#include "cpu/events/event_support.h"

namespace dragoman {
namespace {

constexpr u32 kAlways = kArithmeticFlags | kFlagTf | kFlagDf | kFlagNt;
constexpr u32 kWide = kFlagRf | kFlagAc | kFlagId;

void replace_flags(Cpu& cpu, u32 image, u32 mask) {
  cpu.set_rflags((cpu.rflags() & ~mask) | (image & mask));
}

/// Real mode, and virtual-8086 mode that needs no help from a monitor.
bool return_real(Cpu& cpu, unsigned size) {
  CpuState& s = cpu.state;
  const bool virtual_if = cpu.v86() && cpu.iopl() < 3;
  if (virtual_if && !(size == 2 && (s.cr4 & kCr4Vme))) return cpu.raise(kVectorGp, 0);
  std::array<u64, 3> frame{};
  if (!read_frame(cpu, size, 0, 3, frame.data())) return false;
  if (frame[0] > s.segments[kCs].limit) return cpu.raise(kVectorGp, 0);
  u32 image = static_cast<u32>(frame[2]);
  u32 mask = kAlways | kFlagIf | kFlagIopl | (size == 4 ? kWide : 0);
  if (cpu.v86()) mask &= ~u32{kFlagIopl};
  if (virtual_if) {
    // 20.3.3: the image's IF goes to VIF.
    if ((image & kFlagTf) || ((s.flags & kFlagVip) && (image & kFlagIf))) {
      return cpu.raise(kVectorGp, 0);
    }
    mask = (mask & ~u32{kFlagIf}) | kFlagVif;
    image = (image & kFlagIf) ? image | kFlagVif : image & ~u32{kFlagVif};
  }
  cpu.set_stack_pointer(s.regs[kRsp] + 3 * size);
  load_segment_real(cpu, kCs, static_cast<u16>(frame[1]));
  s.rip() = frame[0];
  replace_flags(cpu, image, mask);
  cpu.update_mode();
  return true;
}

bool return_to_v86(Cpu& cpu, const std::array<u64, 3>& head) {
  CpuState& s = cpu.state;
  std::array<u64, 6> rest{};  // ESP, SS, ES, DS, FS, GS
  if (!read_frame(cpu, 4, 3, 6, rest.data())) return false;
  if (head[0] > 0xffff) return cpu.raise(kVectorGp, 0);
  s.cpl = 3;
  s.rip() = head[0];
  s.regs[kRsp] = rest[0];
  s.segments[kCs] = make_v86_segment(static_cast<u16>(head[1]));
  s.segments[kSs] = make_v86_segment(static_cast<u16>(rest[1]));
  s.segments[kEs] = make_v86_segment(static_cast<u16>(rest[2]));
  s.segments[kDs] = make_v86_segment(static_cast<u16>(rest[3]));
  s.segments[kFs] = make_v86_segment(static_cast<u16>(rest[4]));
  s.segments[kGs] = make_v86_segment(static_cast<u16>(rest[5]));
  cpu.set_rflags(static_cast<u32>(head[2]));
  cpu.update_mode();
  return true;
}

bool return_protected(Cpu& cpu, unsigned size) {
  CpuState& s = cpu.state;
  std::array<u64, 3> frame{};  // RIP, CS, RFLAGS
  if (!read_frame(cpu, size, 0, 3, frame.data())) return false;
  const u32 image = static_cast<u32>(frame[2]);
  if (size == 4 && (image & kFlagVm) && cpu.cpl() == 0 && !cpu.long_mode()) {
    return return_to_v86(cpu, frame);
  }

  const u16 selector = static_cast<u16>(frame[1]);
  Descriptor descriptor;
  if (!check_return_code(cpu, selector, descriptor)) return false;
  const Segment code = make_segment(selector, descriptor);
  const unsigned cpl = selector & 3;
  u32 mask = kAlways;
  if (size >= 4) mask |= kWide;
  if (cpu.cpl() <= cpu.iopl()) mask |= kFlagIf;
  if (cpu.cpl() == 0) mask |= kFlagIopl | (size >= 4 ? kFlagVif | kFlagVip : 0);

  if (cpl == cpu.cpl() && !cpu.code64()) {
    if (!check_target(cpu, code, frame[0]) || !mark_accessed(cpu, selector, descriptor))
      return false;
    cpu.set_stack_pointer(s.regs[kRsp] + 3 * size);
    commit_code(cpu, make_segment(selector, descriptor), cpl, frame[0]);
    cpu.update_mode();
  } else {
    std::array<u64, 2> outer{};  // RSP, SS
    if (!read_frame(cpu, size, 3, 2, outer.data())) return false;
    Segment stack;
    const bool to_code64 = cpu.long_mode() && code.long_mode();
    if (!check_return_stack(cpu, static_cast<u16>(outer[1]), cpl, to_code64, stack)) return false;
    if (!check_target(cpu, code, frame[0]) || !mark_accessed(cpu, selector, descriptor))
      return false;
    commit_return(cpu, make_segment(selector, descriptor), frame[0], stack, outer[0], cpl);
  }
  replace_flags(cpu, image, mask);
  return true;
}

bool return_from_task(Cpu& cpu) {
  const Segment& tss = cpu.state.segments[kTr];
  u16 link;
  if (!cpu.read_system(tss.base, link)) return false;
  return task_switch(cpu, link, TaskSwitchSource::kIret, false, 0);
}

}  // namespace

bool interrupt_return(Cpu& cpu, unsigned operand_size) {
  // NMIs are unmasked even when IRET faults (SDM vol. 3, 6.7.1).
  if (cpu.state.nmi_blocked) {
    cpu.state.nmi_blocked = 0;
    cpu.set_attention_check();
  }
  if (cpu.real_mode() || cpu.v86()) return return_real(cpu, operand_size);
  if (cpu.state.flags & kFlagNt) {
    return cpu.long_mode() ? cpu.raise(kVectorGp, 0) : return_from_task(cpu);
  }
  return return_protected(cpu, operand_size);
}

}  // namespace dragoman
