// Exceptions, interrupts, far control transfers, task switches and SMM (SDM vol. 3, chapters 5 to
// 8, 20, 34; vol. 2 for the instructions).
//
// Functions that return bool return false with a fault pending in the Cpu, before any visible
// change of state unless the manual says otherwise.
#pragma once

#include "base/types.h"
#include "cpu/cpu.h"

namespace dragoman {

/// IA32_DEBUGCTL (SDM vol. 3, 18.4.1).
enum DebugCtlBit : u64 {
  kDebugCtlLbr = 1 << 0,  ///< kept; there are no registers to record branches in
  kDebugCtlBtf = 1 << 1,  ///< TF traps taken branches only
};

/// Takes the pending fault of `cpu` through the IDT, with escalation to #DF and shutdown
/// (SDM vol. 3, 6.15 "Interrupt 8"). RIP must point at the faulting instruction for faults. Sets
/// CR2 for #PF, DR6 for #DB, RF in the saved flags for faults. Never leaves a fault pending.
/// Returns false when the processor went into shutdown (triple fault).
bool deliver_fault(Cpu& cpu);

/// External interrupt or NMI with its vector, between instructions. Returns false on shutdown.
bool deliver_interrupt(Cpu& cpu, u8 vector, bool nmi);

/// A #DB trap with DR6 bits (single step, data breakpoint, task switch), between instructions.
bool deliver_debug_trap(Cpu& cpu, u32 dr6_bits);

/// INT n, INT3, INTO, INT1: the whole instruction. RIP points behind it.
enum class SoftwareInterrupt : u8 { kIntN, kInt3, kInto, kInt1 };
[[nodiscard]] bool software_interrupt(Cpu& cpu, u8 vector, SoftwareInterrupt kind);

/// MOV/POP/LES... to a data or stack segment register, LLDT, LTR in any mode.
[[nodiscard]] bool load_segment(Cpu& cpu, unsigned segment, u16 selector);
/// Real-mode and virtual-8086 style load: base = selector * 16.
void load_segment_real(Cpu& cpu, unsigned segment, u16 selector);

/// Far JMP, CALL, RET, IRET with the given operand size in bytes; return_bytes is RET imm16.
[[nodiscard]] bool far_jump(Cpu& cpu, u16 selector, u64 offset, unsigned operand_size);
[[nodiscard]] bool far_call(Cpu& cpu, u16 selector, u64 offset, unsigned operand_size);
[[nodiscard]] bool far_return(Cpu& cpu, unsigned operand_size, u16 return_bytes);
[[nodiscard]] bool interrupt_return(Cpu& cpu, unsigned operand_size);

/// Hardware task switch (SDM vol. 3, 7.3).
enum class TaskSwitchSource : u8 { kJump, kCall, kInterrupt, kIret };
[[nodiscard]] bool task_switch(Cpu& cpu, u16 selector, TaskSwitchSource source, bool has_error_code,
                               u32 error_code);

/// I/O permission: CPL <= IOPL, else the TSS bitmap (SDM vol. 1, 19.5). #GP(0) when denied.
[[nodiscard]] bool check_io_permission(Cpu& cpu, u16 port, unsigned size);

/// SMI# entry and RSM (SDM vol. 3, 34; the 64-bit save map when the model has long mode, else the
/// 32-bit map).
void enter_smm(Cpu& cpu);
[[nodiscard]] bool resume_from_smm(Cpu& cpu);

/// A descriptor as in the GDT or LDT.
struct Descriptor {
  u32 low = 0, high = 0;
  u32 upper_base = 0;  ///< bits 63:32 of the base of 16-byte system descriptors
  u64 base() const;
  u32 limit() const;  ///< granularity applied
  u16 attributes() const { return static_cast<u16>((high >> 8) & 0xf0ff); }
};
/// Reads the descriptor of `selector`. False without a fault when beyond the table's limit
/// (`outside` true) or with a pending fault of the memory access.
[[nodiscard]] bool read_descriptor(Cpu& cpu, u16 selector, Descriptor& out, bool& outside);

}  // namespace dragoman
