// Handlers of far JMP, CALL, RET, INT n, IRET, RSM and of undefined opcodes.
#include "base/bits.h"
#include "cpu/events/event_support.h"
#include "cpu/execute/dispatch.h"
#include "cpu/execute/operands.h"

namespace dragoman {
namespace {

/// The far pointer of the instruction or of its memory operand.
bool far_operand(Cpu& cpu, const Instruction& insn, u16& selector, u64& offset) {
  if (!insn.memory()) {
    selector = static_cast<u16>(insn.immediate2);
    offset = insn.immediate & size_mask(insn.operand_size);
    return true;
  }
  const u64 address = effective_address(cpu, insn);
  bool ok;
  if (insn.operand_size == 2) {
    u16 value = 0;
    ok = cpu.read<u16>(insn.segment, address, value);
    offset = value;
  } else if (insn.operand_size == 4) {
    u32 value = 0;
    ok = cpu.read<u32>(insn.segment, address, value);
    offset = value;
  } else {
    ok = cpu.read<u64>(insn.segment, address, offset);
  }
  // The second part's offset wraps at the address size as any effective address does.
  const u64 second = (address + insn.operand_size) & insn.address_mask();
  return ok && cpu.read<u16>(insn.segment, second, selector);
}

// Control flow changed or a fault is pending: the block is left either way.
bool leave_block(bool) { return false; }

bool jump_far(Cpu& cpu, const Instruction& insn) {
  u16 selector;
  u64 offset;
  return far_operand(cpu, insn, selector, offset) &&
         leave_block(far_jump(cpu, selector, offset, insn.operand_size));
}

bool call_far(Cpu& cpu, const Instruction& insn) {
  u16 selector;
  u64 offset;
  return far_operand(cpu, insn, selector, offset) &&
         leave_block(far_call(cpu, selector, offset, insn.operand_size));
}

bool return_far(Cpu& cpu, const Instruction& insn) {
  return leave_block(far_return(cpu, insn.operand_size, static_cast<u16>(insn.immediate)));
}

bool return_interrupt(Cpu& cpu, const Instruction& insn) {
  return leave_block(interrupt_return(cpu, insn.operand_size));
}

bool interrupt_n(Cpu& cpu, const Instruction& insn) {
  return leave_block(
      software_interrupt(cpu, static_cast<u8>(insn.immediate), SoftwareInterrupt::kIntN));
}
bool interrupt_3(Cpu& cpu, const Instruction&) {
  return leave_block(software_interrupt(cpu, kVectorBp, SoftwareInterrupt::kInt3));
}
bool interrupt_1(Cpu& cpu, const Instruction&) {
  // A debug trap that MOV SS has held off is reported by the #DB of INT1, not by one of its own.
  cpu.state.dr[6] |= cpu.state.pending_debug;
  cpu.state.pending_debug = 0;
  return leave_block(software_interrupt(cpu, kVectorDb, SoftwareInterrupt::kInt1));
}
bool interrupt_overflow(Cpu& cpu, const Instruction&) {
  if (!flag_of(cpu.state.lazy)) return true;
  return leave_block(software_interrupt(cpu, kVectorOf, SoftwareInterrupt::kInto));
}

bool resume(Cpu& cpu, const Instruction&) { return leave_block(resume_from_smm(cpu)); }
bool undefined(Cpu& cpu, const Instruction&) { return cpu.raise(kVectorUd); }

}  // namespace

Handler select_JmpFar(const Instruction&) { return jump_far; }
Handler select_CallFar(const Instruction&) { return call_far; }
Handler select_RetFar(const Instruction&) { return return_far; }
Handler select_Iret(const Instruction&) { return return_interrupt; }
Handler select_Int(const Instruction&) { return interrupt_n; }
Handler select_Int3(const Instruction&) { return interrupt_3; }
Handler select_Int1(const Instruction&) { return interrupt_1; }
Handler select_Into(const Instruction&) { return interrupt_overflow; }
Handler select_Rsm(const Instruction&) { return resume; }
Handler select_Ud(const Instruction&) { return undefined; }
Handler select_Invalid(const Instruction&) { return undefined; }

}  // namespace dragoman
