// System control port B.
// Datasheet: Intel 290550 (PIIX3).
#include "devices/port61.h"

namespace dragoman {

namespace {

constexpr u8 kGate2 = 0x01;
constexpr u8 kSpeakerData = 0x02;
constexpr u8 kSerrDisable = 0x04;
constexpr u8 kIochkDisable = 0x08;
constexpr u8 kRefreshToggle = 0x10;
constexpr u8 kTimer2Out = 0x20;
constexpr u8 kIochkStatus = 0x40;
constexpr u8 kSerrStatus = 0x80;
constexpr u64 kRefreshNs = 15085;  // 18 clocks of the timer

}  // namespace

Port61::Port61(Scheduler& scheduler, PortMap& ports, I8254& timer, IrqLine nmi)
    : StatefulDevice("port61"), scheduler_(scheduler), timer_(timer), nmi_(nmi) {
  ports.add("port61", Port(0x61), 1, *this);
}

void Port61::restored() {
  state_.control &= 0x0f;
  timer_.set_gate(2, (state_.control & kGate2) != 0);
  update_nmi();
  if (changed_) changed_();
}

void Port61::update_nmi() { nmi_.set(!state_.nmi_masked && (state_.serr || state_.iochk)); }

void Port61::set_nmi_masked(bool masked) {
  state_.nmi_masked = masked;
  update_nmi();
}

void Port61::report_serr() {
  if ((state_.control & kSerrDisable) != 0) return;
  state_.serr = true;
  update_nmi();
}

void Port61::report_iochk() {
  if ((state_.control & kIochkDisable) != 0) return;
  state_.iochk = true;
  update_nmi();
}

bool Port61::speaker_data() const { return (state_.control & kSpeakerData) != 0; }

u32 Port61::port_read(unsigned, u16, unsigned) {
  u8 value = state_.control;
  if ((scheduler_.now() / kRefreshNs) % 2 != 0) value |= kRefreshToggle;
  if (timer_.output(2)) value |= kTimer2Out;
  if (state_.iochk) value |= kIochkStatus;
  if (state_.serr) value |= kSerrStatus;
  return value;
}

void Port61::port_write(unsigned, u16, unsigned, u32 value) {
  state_.control = value & 0x0f;
  // Setting a disable bit also clears the source's status.
  if ((value & kSerrDisable) != 0) state_.serr = false;
  if ((value & kIochkDisable) != 0) state_.iochk = false;
  timer_.set_gate(2, (value & kGate2) != 0);
  update_nmi();
  if (changed_) changed_();
}

}  // namespace dragoman
