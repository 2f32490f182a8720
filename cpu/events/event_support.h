// Shared by the files of this folder: descriptors, code and stack segment checks, stacks of other
// privilege levels, the core of event delivery and of the task switch.
#pragma once

#include "cpu/cpu.h"
#include "cpu/events/events.h"

namespace dragoman {

/// Error code bits besides the selector (SDM vol. 3, 6.13).
enum ErrorCodeBit : u32 { kErrorExt = 1, kErrorIdt = 2 };

/// System descriptor types (SDM vol. 3, table 3-2).
enum SystemType : unsigned {
  kTypeTss16 = 1,
  kTypeLdt = 2,
  kTypeTss16Busy = 3,
  kTypeCallGate16 = 4,
  kTypeTaskGate = 5,
  kTypeInterruptGate16 = 6,
  kTypeTrapGate16 = 7,
  kTypeTss = 9,
  kTypeTssBusy = 11,
  kTypeCallGate = 12,
  kTypeInterruptGate = 14,
  kTypeTrapGate = 15,
};

inline bool null_selector(u16 selector) { return (selector & 0xfffc) == 0; }
inline u32 selector_error(u16 selector, u32 ext = 0) { return (selector & 0xfffcu) | ext; }
inline u16 with_rpl(u16 selector, unsigned rpl) {
  return static_cast<u16>((selector & 0xfffc) | rpl);
}
inline bool amd(const Cpu& cpu) {
  return !cpu.model().vendor.empty() && cpu.model().vendor[0] == 'A' &&
         cpu.model().vendor == "AuthenticAMD";
}

/// Base for a register from a descriptor. System descriptors of 16 bytes give all 64 bits.
Segment make_segment(u16 selector, const Descriptor& descriptor);
/// A segment of virtual-8086 mode.
Segment make_v86_segment(u16 selector);
/// A segment register after a null selector was loaded: unusable, limit and granularity bits stay.
Segment make_null_segment(const Cpu& cpu, const Segment& before, u16 selector);

/// Linear address of the descriptor; only after read_descriptor succeeded.
u64 descriptor_address(const Cpu& cpu, u16 selector);
/// Like read_descriptor, with a fault `vector`(selector | ext) when outside the table.
[[nodiscard]] bool fetch_descriptor(Cpu& cpu, u16 selector, u8 vector, u32 ext, Descriptor& out);
/// Reads the upper half of a 16-byte descriptor and checks that its type field is zero.
[[nodiscard]] bool fetch_upper_half(Cpu& cpu, u16 selector, u32 ext, Descriptor& out);
/// Sets the accessed bit in memory and in `descriptor` unless it is set.
[[nodiscard]] bool mark_accessed(Cpu& cpu, u16 selector, Descriptor& descriptor);

/// True when `size` bytes at `offset` are inside the limit (expand-down included).
bool within_limit(const Segment& segment, u64 offset, unsigned size);

/// Checks for a stack segment with privilege `cpl`: #TS or #GP (`vector`) with the selector, #SS
/// when not present. The selector must not be null.
[[nodiscard]] bool check_stack_segment(Cpu& cpu, u16 selector, unsigned cpl, u8 vector, u32 ext,
                                       Descriptor& out);

/// L and D both set is reserved in IA-32e mode.
inline bool reserved_code_size(const Cpu& cpu, u16 attributes) {
  return cpu.long_mode() && (attributes & 0x6000) == 0x6000;
}
/// The offset of a control transfer into `code`: #GP(ext) outside the limit or non-canonical.
[[nodiscard]] bool check_target(Cpu& cpu, const Segment& code, u64 offset, u32 ext = 0);

/// A stack that is pushed to before it becomes the current one.
class EventStack {
 public:
  EventStack(Cpu& cpu, const Segment& ss, u64 pointer, u64 mask, Privilege privilege, u32 error)
      : cpu_(cpu), ss_(ss), pointer_(pointer), mask_(mask), privilege_(privilege), error_(error) {}
  /// The stack in use. `error` is the error code of #SS.
  static EventStack current(Cpu& cpu, u32 error) {
    return {
        cpu,  cpu.state.segments[kSs], cpu.state.regs[kRsp], cpu.stack_mask(), Privilege::kCurrent,
        error};
  }

  /// #SS unless `count` pushes of `size` bytes fit.
  [[nodiscard]] bool reserve(unsigned count, unsigned size);
  [[nodiscard]] bool push(u64 value, unsigned size);
  /// Loads SS (not for the current stack) and the stack pointer.
  void commit();
  void commit_pointer();

 private:
  [[nodiscard]] bool fits(u64 offset, unsigned size) const;

  Cpu& cpu_;
  Segment ss_;
  u64 pointer_;
  u64 mask_;
  Privilege privilege_;
  u32 error_;
};

/// Stack of an inner privilege level from the TSS, for a legacy (not IA-32e) transfer.
struct InnerStack {
  Segment ss;
  u64 pointer = 0;
  u16 selector = 0;
};
[[nodiscard]] bool read_inner_stack(Cpu& cpu, unsigned dpl, u32 ext, InnerStack& out);
/// RSP0..2 (`slot` 0..2) or IST1..7 (`slot` 4..10) of the 64-bit TSS.
[[nodiscard]] bool read_stack_pointer_64(Cpu& cpu, unsigned slot, u32 ext, u64& out);
/// Slot of read_stack_pointer_64 for an IST number 1..7.
inline unsigned ist_slot(unsigned ist) { return ist + 3; }

inline u64 stack_mask_for(const Segment& ss) { return ss.big() ? 0xffffffff : 0xffff; }
inline Privilege stack_privilege(unsigned cpl) {
  return cpl == 3 ? Privilege::kUser : Privilege::kSupervisor;
}

/// Loads CS with the given privilege level. The caller calls update_mode() when all is loaded.
void commit_code(Cpu& cpu, const Segment& code, unsigned cpl, u64 rip);
/// After a return to an outer level: ES, DS, FS, GS that the level may not use become null.
void drop_inner_segments(Cpu& cpu);
/// Reads `count` values of `size` bytes from the top of the current stack.
[[nodiscard]] bool read_frame(Cpu& cpu, unsigned size, unsigned first, unsigned count, u64* out);

/// Checks of a far return's or IRET's new CS (SDM vol. 2, RET and IRET).
[[nodiscard]] bool check_return_code(Cpu& cpu, u16 selector, Descriptor& out);
/// Checks of the new SS of a return to `cpl`; `out` becomes the segment (perhaps null).
[[nodiscard]] bool check_return_stack(Cpu& cpu, u16 selector, unsigned cpl, bool to_code64,
                                      Segment& out);
/// Loads CS:RIP and SS:RSP after a return to an outer level (or any IRET of 64-bit mode).
void commit_return(Cpu& cpu, const Segment& code, u64 rip, const Segment& stack, u64 rsp,
                   unsigned cpl);

/// One event on its way through the IDT.
struct Event {
  u8 vector = 0;
  bool has_error_code = false;
  u32 error_code = 0;
  bool software = false;     ///< INT n, INT3, INTO: the gate's DPL counts, EXT is 0
  bool resume_flag = false;  ///< RF is set in the saved flags
};
/// One attempt; false with a fault pending. `committed` tells that a task switch had begun the new
/// task before the fault.
[[nodiscard]] bool deliver_event(Cpu& cpu, const Event& event, bool& committed);
/// INT n of virtual-8086 mode with VME redirected through the 8086 vector table.
[[nodiscard]] bool redirect_to_vector_table(Cpu& cpu, u8 vector, bool& redirected);

/// Task switch after the gate or TSS privilege checks. `committed` tells that the new task has
/// begun: a fault then belongs to it, and the old instruction is done.
struct TaskSwitch {
  u16 selector = 0;
  TaskSwitchSource source = TaskSwitchSource::kJump;
  bool has_error_code = false;
  u32 error_code = 0;
  u32 ext = 0;
  bool resume_flag = false;
};
[[nodiscard]] bool switch_task(Cpu& cpu, const TaskSwitch& what, bool& committed);

/// Records and logs an event.
void record_event(Cpu& cpu, const Event& event, EventKind kind);
void enter_shutdown(Cpu& cpu);

}  // namespace dragoman
