#include "devices/ioapic.h"

#include "base/bits.h"

namespace dragoman {
namespace {
constexpr u32 kVersion = 0x20 | (IoapicState::kPins - 1) << 16;
constexpr u64 kSelect = 0x00;
constexpr u64 kWindow = 0x10;
constexpr u64 kEoi = 0x40;
constexpr u64 kRemoteIrr = u64{1} << 14;
constexpr u64 kLevel = u64{1} << 15;
constexpr u64 kMasked = u64{1} << 16;
constexpr u64 kReadOnly = kRemoteIrr | u64{1} << 12;  // remote IRR, delivery status
constexpr u64 kWritable = 0xff0000000001ffff & ~kReadOnly;

bool uses_remote_irr(u64 entry) { return (entry & kLevel) && bits(entry, 10, 8) <= 1; }
}  // namespace

Ioapic::Ioapic(std::string name, MemoryMap& memory, ApicBus& bus)
    : StatefulDevice(std::move(name)), bus_(bus) {
  memory.add_mmio("ioapic", PhysicalAddress(kBase), kPageSize, *this, 0);
  bus.attach(*this);
}

void Ioapic::set_irq(unsigned pin, bool level) {
  if (pin >= IoapicState::kPins) return;
  const u32 mask = u32{1} << pin;
  const bool rising = level && !(state_.levels & mask);
  state_.levels = level ? state_.levels | mask : state_.levels & ~mask;
  const u64 entry = state_.redirection[pin];
  // An edge on a masked input is not held (3.2.4, interrupt mask).
  if (rising && !(entry & kMasked) && !uses_remote_irr(entry)) state_.waiting |= mask;
  if (level) service(pin);
}

void Ioapic::service(unsigned pin) {
  const u32 mask = u32{1} << pin;
  u64& entry = state_.redirection[pin];
  if (entry & kMasked) return;
  const bool level_triggered = uses_remote_irr(entry);
  if (level_triggered ? !(state_.levels & mask) || (entry & kRemoteIrr)
                      : !(state_.waiting & mask)) {
    return;
  }
  ApicMessage message;
  const u32 destination = static_cast<u32>(entry >> 56);
  message.destination = destination == 0xff ? ApicMessage::kBroadcast : destination;
  message.logical = (entry & 0x800) != 0;
  message.level_triggered = level_triggered;
  message.delivery = static_cast<ApicDelivery>(bits(entry, 10, 8));
  message.vector = static_cast<u8>(entry);
  if (message.delivery == ApicDelivery::kReserved || message.delivery == ApicDelivery::kStartUp) {
    state_.waiting &= ~mask;
    return;
  }
  // An interrupt nobody accepts stays requested and is tried again.
  if (!bus_.deliver(message)) return;
  if (level_triggered) {
    entry |= kRemoteIrr;
  } else {
    state_.waiting &= ~mask;
  }
}

void Ioapic::end_of_interrupt(u8 vector) {
  for (unsigned pin = 0; pin < IoapicState::kPins; ++pin) {
    u64& entry = state_.redirection[pin];
    if (!(entry & kLevel) || !(entry & kRemoteIrr) || static_cast<u8>(entry) != vector) continue;
    entry &= ~kRemoteIrr;
    service(pin);
  }
}

u32 Ioapic::read_window() const {
  if (state_.select == 0 || state_.select == 2) return state_.id;  // ID, arbitration ID
  if (state_.select == 1) return kVersion;
  const unsigned index = state_.select - 0x10;
  if (state_.select < 0x10 || index >= 2 * IoapicState::kPins) return 0;
  const u64 entry = state_.redirection[index / 2];
  return static_cast<u32>(index % 2 != 0 ? entry >> 32 : entry);
}

void Ioapic::write_window(u32 value) {
  if (state_.select == 0) state_.id = value & 0x0f000000;
  const unsigned index = state_.select - 0x10;
  if (state_.select < 0x10 || index >= 2 * IoapicState::kPins) return;
  const unsigned pin = index / 2;
  u64& entry = state_.redirection[pin];
  const u64 half = index % 2 != 0 ? u64{0xffffffff} << 32 : u64{0xffffffff};
  const u64 written = index % 2 != 0 ? u64{value} << 32 : u64{value};
  const u64 mask = half & kWritable;
  entry = (entry & ~mask) | (written & mask);
  if (!(entry & kLevel)) entry &= ~kRemoteIrr;
  if ((entry & kMasked) || uses_remote_irr(entry)) state_.waiting &= ~(u32{1} << pin);
  service(pin);
}

u64 Ioapic::mmio_read(unsigned /*bank*/, u64 offset, unsigned size) {
  u64 value = 0;
  if ((offset & ~u64{3}) == kSelect) value = state_.select;
  if ((offset & ~u64{3}) == kWindow) value = read_window();
  return (value >> (8 * (offset & 3))) & size_mask(size);
}

void Ioapic::mmio_write(unsigned /*bank*/, u64 offset, unsigned size, u64 value) {
  if (offset == kSelect) state_.select = static_cast<u8>(value);
  if (offset == kWindow && size >= 4) write_window(static_cast<u32>(value));
  if (offset == kEoi) end_of_interrupt(static_cast<u8>(value));
}

void Ioapic::reset() {
  IoapicState fresh;
  fresh.levels = state_.levels;
  state_ = fresh;
  restored();
}

void Ioapic::restored() {
  state_.select &= 0xff;
  state_.levels &= 0xffffff;
  state_.waiting &= 0xffffff;
}

}  // namespace dragoman
