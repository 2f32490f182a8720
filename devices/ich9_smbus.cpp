#include "devices/ich9_smbus.h"

namespace dragoman {
namespace {

constexpr u8 kHostConfiguration = 0x40;  // HOSTC
constexpr u8 kHostEnable = 1;

// Registers (19.2).
constexpr unsigned kStatus = 0x00, kControl = 0x02, kCommand = 0x03, kAddress = 0x04, kData0 = 0x05,
                   kData1 = 0x06, kAuxiliaryStatus = 0x0c, kSmlinkPins = 0x0e, kSmbusPins = 0x0f,
                   kSlaveStatus = 0x10;
constexpr u8 kDone = 0x02, kDeviceError = 0x04, kFailed = 0x10, kInUse = 0x40;
constexpr u8 kClearable = 0x9e | 0x20;
constexpr u8 kInterruptEnable = 0x01, kKill = 0x02, kStart = 0x40;
constexpr u8 kPinsHigh = 0x07;  // clock and data are pulled up, the clock is not held

}  // namespace

Ich9Smbus::Ich9Smbus(std::string name, const PciSpaces& spaces)
    : StatefulPciFunction(std::move(name), spaces,
                          {.vendor = 0x8086,
                           .device = 0x2930,
                           .class_code = 0x0c0500,  // serial bus, SMBus
                           .revision = 2,
                           .interrupt_pin = 2}) {
  define_register(PciRegister::kCommand, 2, 0, 0x0401);  // I/O, INTx disable
  define_register(PciRegister::kStatus, 2, 0x0280, 0);
  define_register(kHostConfiguration, 1, 0, 0x07);
  add_io_bar(4, 32, *this, 0, 4);
}

void Ich9Smbus::restored() { update_interrupt(); }

void Ich9Smbus::update_interrupt() {
  const auto& r = state_.registers;
  set_intx((r[kControl] & kInterruptEnable) != 0 &&
           (r[kStatus] & (kDone | kDeviceError | kFailed)) != 0);
}

u32 Ich9Smbus::port_read(unsigned, u16 offset, unsigned size) {
  const bool enabled = (peek_config(kHostConfiguration, 1) & kHostEnable) != 0;
  u32 value = 0;
  for (unsigned i = 0; i < size; ++i) {
    const unsigned at = (offset + i) & 31;
    u8 byte = enabled ? state_.registers[at] : 0xff;
    if (enabled && at == kStatus) {
      byte = static_cast<u8>(byte | (state_.in_use ? kInUse : 0));
      state_.in_use = true;  // whoever reads 0 has it until it writes 1 (19.2.1)
    }
    if (enabled && (at == kSmlinkPins || at == kSmbusPins)) byte = kPinsHigh;
    value |= u32{byte} << (8 * i);
  }
  return value;
}

void Ich9Smbus::port_write(unsigned, u16 offset, unsigned size, u32 value) {
  if ((peek_config(kHostConfiguration, 1) & kHostEnable) == 0) return;
  for (unsigned i = 0; i < size; ++i) {
    const unsigned at = (offset + i) & 31;
    const u8 byte = static_cast<u8>(value >> (8 * i));
    u8& now = state_.registers[at];
    switch (at) {
      case kStatus:
        now = static_cast<u8>(now & ~(byte & kClearable));
        if ((byte & kInUse) != 0) state_.in_use = false;
        break;
      case kAuxiliaryStatus:
      case kSlaveStatus:
        now = static_cast<u8>(now & ~byte);
        break;
      case kControl:
        now = static_cast<u8>(byte & ~kStart);
        if ((byte & kKill) != 0) {
          state_.registers[kStatus] |= kFailed;
        } else if ((byte & kStart) != 0) {
          transfer();
        }
        break;
      case kSmlinkPins:
      case kSmbusPins:
        break;
      default:
        now = byte;
    }
  }
  update_interrupt();
}

void Ich9Smbus::transfer() {
  auto& r = state_.registers;
  const auto protocol = static_cast<SmbusProtocol>(r[kControl] >> 2 & 7);
  const bool done =
      smbus_transaction(device_, protocol, r[kAddress], r[kCommand], r[kData0], r[kData1]);
  r[kStatus] |= done ? kDone : kDeviceError;
}

}  // namespace dragoman
