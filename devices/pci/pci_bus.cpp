#include "devices/pci/pci_bus.h"

#include <algorithm>

#include "base/assert.h"
#include "base/bits.h"

namespace dragoman {
namespace {
enum Bank : unsigned { kAddress, kData };
}  // namespace

PciBus::PciBus(std::string name, PortMap& ports, PirqWiring wiring)
    : StatefulDevice(std::move(name)), wiring_(wiring) {
  ports.add("pci configuration address", Port(0xcf8), 4, *this, kAddress, 4);
  ports.add("pci configuration data", Port(0xcfc), 4, *this, kData, 4);
}

void PciBus::attach(unsigned slot, unsigned function, PciFunction& device) {
  DRAGOMAN_ASSERT(slot < 32 && function < 8 && functions_[8 * slot + function] == nullptr);
  functions_[8 * slot + function] = &device;
  const unsigned pin = device.interrupt_pin();
  if (pin >= 1 && pin <= 4) {
    const unsigned pirq = pirq_of(slot, pin - 1);
    device.connect_intx(IrqLine(*this, 256 * pirq + 8 * slot + function));
  }
}

PciFunction* PciBus::function(unsigned slot, unsigned function) const {
  return slot < 32 && function < 8 ? functions_[8 * slot + function] : nullptr;
}

PciFunction* PciBus::addressed() const {
  if (!(state_.address & bit(31)) || bits(state_.address, 23, 16) != 0) return nullptr;
  return functions_[bits(state_.address, 15, 8)];
}

u32 PciBus::port_read(unsigned bank, u16 offset, unsigned size) {
  if (bank == kAddress) return size == 4 ? state_.address : ~u32{0};
  PciFunction* device = addressed();
  if (device == nullptr) return ~u32{0};  // master abort
  return device->config_read(static_cast<u8>((state_.address & 0xfc) + offset), size);
}

void PciBus::port_write(unsigned bank, u16 offset, unsigned size, u32 value) {
  if (bank == kAddress) {
    if (size == 4) state_.address = value & 0x80fffffc;
    return;
  }
  if (PciFunction* device = addressed()) {
    device->config_write(static_cast<u8>((state_.address & 0xfc) + offset), size, value);
  }
}

void PciBus::set_irq(unsigned pin, bool level) {
  const unsigned pirq = pin / 256;
  const unsigned slot = pin / 8 % 32;
  const u8 mask = static_cast<u8>(1u << (pin % 8));
  u8& functions = state_.asserted[32 * pirq + slot];
  functions = static_cast<u8>(level ? functions | mask : functions & ~mask);
  drive(pirq);
}

void PciBus::drive(unsigned pirq) const {
  if (pirqs_ == nullptr) return;
  const auto first = state_.asserted.begin() + 32 * pirq;
  pirqs_->set_irq(pirq, std::any_of(first, first + 32, [](u8 mask) { return mask != 0; }));
}

void PciBus::reset() {
  state_.address = 0;
  restored();
}

void PciBus::restored() {
  state_.address &= 0x80fffffc;
  for (unsigned pirq = 0; pirq < PciBusState::kPirqs; ++pirq) drive(pirq);
}

}  // namespace dragoman
