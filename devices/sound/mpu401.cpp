#include "devices/sound/mpu401.h"

#include <utility>

namespace dragoman {
namespace {

constexpr u16 kData = 0;
constexpr u8 kNothingToRead = 0x80;  // DSR, active low; bit 6 (DRR) low: bytes are taken
constexpr u8 kUnusedStatus = 0x3f;
constexpr u8 kEnterUart = 0x3f;
constexpr u8 kReset = 0xff;
constexpr u8 kAcknowledge = 0xfe;

}  // namespace

Mpu401::Mpu401(std::string name, Scheduler& scheduler, Log& log, IrqLine irq, MidiOutput* output)
    : StatefulDevice(std::move(name)),
      scheduler_(scheduler),
      log_(log),
      irq_(irq),
      output_(output) {}

void Mpu401::set_waiting(bool waiting) {
  state_.waiting = waiting;
  irq_.set(waiting);
}

void Mpu401::command(u8 value) {
  if (value != kReset && value != kEnterUart) {
    log_.once("mpu401 command", "{}: command {:02x}h of the intelligent mode is not there", name(),
              value);
    return;
  }
  // In UART mode the only command is a reset, and it is not acknowledged.
  const bool was_uart = state_.uart;
  if (was_uart && value != kReset) return;
  state_.uart = value == kEnterUart;
  set_waiting(false);
  if (was_uart) return;
  state_.answer = kAcknowledge;
  set_waiting(true);
}

u32 Mpu401::port_read(unsigned, u16 offset, unsigned) {
  if (offset != kData) return kUnusedStatus | (state_.waiting ? 0 : kNothingToRead);
  set_waiting(false);
  return state_.answer;
}

void Mpu401::port_write(unsigned, u16 offset, unsigned, u32 value) {
  if (offset != kData) return command(static_cast<u8>(value));
  if (state_.uart && output_ != nullptr) output_->send(static_cast<u8>(value), scheduler_.now());
}

}  // namespace dragoman
