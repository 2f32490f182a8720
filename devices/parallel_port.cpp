// Parallel printer port in standard (SPP, output only) mode.
// IBM PC/AT Technical Reference, "Printer Adapter".
#include "devices/parallel_port.h"

#include <utility>

namespace dragoman {
namespace {

constexpr u8 kStatusNotBusy = 0x80;
constexpr u8 kStatusNotAcknowledge = 0x40;
constexpr u8 kStatusSelected = 0x10;
constexpr u8 kStatusNotError = 0x08;

constexpr u8 kControlStrobe = 0x01;
constexpr u8 kControlNotInit = 0x04;
constexpr u8 kControlInterruptEnable = 0x10;

// The printer is busy for 2 us and pulls nACK low for the second of them.
constexpr u64 kBusyNs = 2000;
constexpr u64 kAcknowledgeNs = 1000;

}  // namespace

ParallelPort::ParallelPort(std::string name, Scheduler& scheduler, IrqLine irq,
                           CharacterBackend* backend)
    : StatefulDevice(std::move(name)),
      scheduler_(scheduler),
      irq_(irq),
      backend_(backend),
      acknowledge_timer_(scheduler, std::string(this->name()) + ".acknowledge", [this] {
        state_.acknowledged_at = Scheduler::kNever;
        if (state_.control & kControlInterruptEnable) set_interrupt(true);
      }) {}

void ParallelPort::restored() {
  acknowledge_timer_.cancel();
  if (state_.acknowledged_at != Scheduler::kNever) {
    acknowledge_timer_.arm_at(state_.acknowledged_at);
  }
  irq_.set(state_.interrupt);
}

u32 ParallelPort::port_read(unsigned, u16 offset, unsigned) {
  switch (offset) {
    case 0:
      return state_.data;
    case 1:
      return read_status();
    case 2:
      return 0xc0u | state_.control;
    default:
      return 0xff;
  }
}

void ParallelPort::port_write(unsigned, u16 offset, unsigned, u32 value) {
  if (offset == 0) state_.data = static_cast<u8>(value);
  if (offset == 2) write_control(static_cast<u8>(value & 0x3f));
}

u8 ParallelPort::read_status() {
  // The request stays up until the handler looks at the port, so that an edge-triggered
  // controller sees it long enough.
  set_interrupt(false);
  u8 status = kStatusSelected | kStatusNotError;
  const u64 now = scheduler_.now();
  const u64 end = state_.acknowledged_at;
  const bool busy = end != Scheduler::kNever && now < end;
  if (!busy) status |= kStatusNotBusy;
  if (!(busy && now + kAcknowledgeNs >= end)) status |= kStatusNotAcknowledge;
  return status;
}

void ParallelPort::write_control(u8 value) {
  const bool strobed = (value & kControlStrobe) && !(state_.control & kControlStrobe);
  state_.control = value;
  if (!(value & kControlInterruptEnable)) set_interrupt(false);
  if (!strobed || !(value & kControlNotInit)) return;  // with nINIT low the printer is in reset
  set_interrupt(false);
  if (backend_ != nullptr) backend_->send({&state_.data, 1});
  state_.acknowledged_at = scheduler_.now() + kBusyNs;
  acknowledge_timer_.arm_at(state_.acknowledged_at);
}

void ParallelPort::set_interrupt(bool level) {
  if (state_.interrupt == level) return;
  state_.interrupt = level;
  irq_.set(level);
}

}  // namespace dragoman
