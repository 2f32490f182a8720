// Delivery of exceptions and interrupts with escalation to #DF and shutdown (SDM vol. 3, 6.12 to
// 6.15).
#include <fmt/format.h>

#include "cpu/events/event_support.h"

namespace dragoman {
namespace {

/// SDM vol. 3, table 6-4.
enum class FaultClass : u8 { kBenign, kContributory, kPageFault, kDoubleFault };

FaultClass classify(u8 vector) {
  switch (vector) {
    case kVectorDe:
    case kVectorTs:
    case kVectorNp:
    case kVectorSs:
    case kVectorGp:
      return FaultClass::kContributory;
    case kVectorPf:
      return FaultClass::kPageFault;
    case kVectorDf:
      return FaultClass::kDoubleFault;
    default:
      return FaultClass::kBenign;
  }
}

/// SDM vol. 3, table 6-5: must a second fault be handled as #DF?
bool becomes_double_fault(FaultClass first, FaultClass second) {
  if (first == FaultClass::kContributory) return second == FaultClass::kContributory;
  if (first == FaultClass::kPageFault) return second != FaultClass::kBenign;
  return false;
}

/// RF in the saved flags: set for faults except instruction breakpoints, not for aborts (SDM
/// vol. 3, 17.3.1.1).
bool saves_resume_flag(const Fault& fault) {
  if (fault.vector == kVectorDb) return (fault.address & 0xf) == 0;
  return fault.vector != kVectorDf && fault.vector != kVectorMc;
}

/// What a debug exception does to DR6 and DR7. Bits 3:0 tell of this exception only, the others
/// stay until software clears them (SDM vol. 3, 18.2.3).
void note_debug_exception(CpuState& s, u64 dr6_bits) {
  s.dr[6] = (s.dr[6] & ~u64{15}) | dr6_bits;
  s.dr[7] &= ~u64{1u << 13};  // GD, so that the handler may use the registers
  s.msr.debugctl &= ~u64{kDebugCtlLbr | kDebugCtlBtf};  // SDM vol. 3, 18.4.3 and 18.4.4
}

/// Takes the pending fault out of the Cpu and does what the processor does when it detects one.
Event take_fault(Cpu& cpu) {
  const Fault fault = cpu.fault();
  cpu.clear_fault();
  if (fault.vector == kVectorPf) cpu.state.cr2 = fault.address;
  if (fault.vector == kVectorDb) note_debug_exception(cpu.state, fault.address);
  return {fault.vector, fault.has_error_code, fault.error_code, false, saves_resume_flag(fault)};
}

bool deliver_until_done(Cpu& cpu, Event event, EventKind kind) {
  FaultClass first = kind == EventKind::kException ? classify(event.vector) : FaultClass::kBenign;
  // Benign faults during delivery (#AC) are taken one after the other; a guest that makes each of
  // them fault again would never come back.
  constexpr unsigned kMaxChain = 8;
  for (unsigned attempts = 0; attempts < kMaxChain; ++attempts) {
    record_event(cpu, event, kind);
    bool committed = false;
    if (deliver_event(cpu, event, committed)) {
      cpu.state.interrupt_shadow = 0;
      return true;
    }
    const FaultClass second = classify(cpu.fault().vector);
    event = take_fault(cpu);
    kind = EventKind::kException;
    if (first == FaultClass::kDoubleFault) break;
    if (becomes_double_fault(first, second)) {
      event = {kVectorDf, true, 0, false, false};
      first = FaultClass::kDoubleFault;
    } else {
      first = second;
    }
    cpu.debug_notes(event.vector, event.error_code);
  }
  record_event(cpu, event, kind);
  enter_shutdown(cpu);
  return false;
}

const char* kind_name(EventKind kind) {
  switch (kind) {
    case EventKind::kException:
      return "exception";
    case EventKind::kExternal:
      return "interrupt";
    case EventKind::kNmi:
      return "nmi";
    case EventKind::kDebugTrap:
      return "debug trap";
    case EventKind::kSoftware:
      return "int";
  }
  return "";
}

std::string describe_event(const FaultRecord& r) {
  return fmt::format(
      "{} vector={:02x} error={} cpl={} cs:rip={:04x}:{:016x} ss:rsp={:04x}:{:016x} "
      "cr2={:016x} instructions={}",
      kind_name(r.kind), r.vector, r.has_error_code ? fmt::format("{:04x}", r.error_code) : "none",
      r.cpl, r.cs, r.rip, r.ss, r.rsp, r.cr2, r.instructions);
}

}  // namespace

void record_event(Cpu& cpu, const Event& event, EventKind kind) {
  const CpuState& s = cpu.state;
  const FaultRecord record{s.rip(),
                           s.regs[kRsp],
                           s.cr2,
                           s.instructions,
                           event.error_code,
                           s.segments[kCs].selector,
                           s.segments[kSs].selector,
                           event.vector,
                           s.cpl,
                           event.has_error_code,
                           kind};
  cpu.fault_log.add(record);
  if (cpu.observer != nullptr) cpu.observer->event_taken(record);
  if (cpu.log().enabled(LogCategory::kInterrupt)) {
    cpu.log().write(LogCategory::kInterrupt, "{}", describe_event(record));
  }
}

void enter_shutdown(Cpu& cpu) {
  cpu.log().write(LogCategory::kInterrupt, "shutdown: a fault while delivering #DF (triple fault)");
  cpu.state.activity = Activity::kShutdown;
  cpu.set_attention_check();
}

std::string Cpu::fault_history() const {
  std::string text;
  for (unsigned age = fault_log.size(); age-- > 0;) {
    text += describe_event(fault_log.newest(age));
    text += '\n';
  }
  return text;
}

bool deliver_fault(Cpu& cpu) {
  return deliver_until_done(cpu, take_fault(cpu), EventKind::kException);
}

bool deliver_interrupt(Cpu& cpu, u8 vector, bool nmi) {
  if (nmi) cpu.state.nmi_blocked = 1;
  if (cpu.state.activity == Activity::kHalted || cpu.state.activity == Activity::kMwait) {
    cpu.state.activity = Activity::kRunning;
  }
  return deliver_until_done(cpu, {vector}, nmi ? EventKind::kNmi : EventKind::kExternal);
}

bool deliver_debug_trap(Cpu& cpu, u32 dr6_bits) {
  note_debug_exception(cpu.state, dr6_bits);
  return deliver_until_done(cpu, {kVectorDb}, EventKind::kDebugTrap);
}

bool software_interrupt(Cpu& cpu, u8 vector, SoftwareInterrupt kind) {
  // INT1 (ICEBP) counts as a hardware event: no DPL check, EXT set (SDM vol. 2, INT n).
  const Event event{vector, false, 0, kind != SoftwareInterrupt::kInt1, false};
  // As a fault it goes to the debugger, and the instruction comes again.
  if (kind != SoftwareInterrupt::kIntN && cpu.debug_catches(vector)) {
    return cpu.restart_instruction(false);
  }
  record_event(cpu, event, EventKind::kSoftware);
  if (kind == SoftwareInterrupt::kIntN && cpu.v86()) {
    bool redirected = false;
    if (!redirect_to_vector_table(cpu, vector, redirected)) return false;
    if (redirected) return true;
  }
  bool committed = false;
  if (deliver_event(cpu, event, committed)) return true;
  if (!committed) return false;
  cpu.debug_notes(cpu.fault().vector, cpu.fault().error_code);
  (void)deliver_fault(cpu);  // the fault belongs to the new task; shutdown is in the state
  return true;
}

}  // namespace dragoman
