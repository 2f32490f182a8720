#include "devices/apic_bus.h"

#include "base/bits.h"

namespace dragoman {

bool ApicBus::deliver(const ApicMessage& message) {
  if (message.delivery == ApicDelivery::kLowestPriority) {
    ApicAgent* chosen = nullptr;
    for (ApicAgent* agent : agents_) {
      if (!agent->addressed_by(message)) continue;
      if (chosen == nullptr || agent->arbitration_priority() < chosen->arbitration_priority()) {
        chosen = agent;
      }
    }
    return chosen != nullptr && chosen->accept(message);
  }
  bool accepted = false;
  for (ApicAgent* agent : agents_) {
    if (agent->addressed_by(message)) accepted |= agent->accept(message);
  }
  return accepted;
}

void ApicBus::deliver_to_all(const ApicMessage& message, const ApicAgent* except) {
  for (ApicAgent* agent : agents_) {
    if (agent != except) agent->accept(message);
  }
}

void ApicBus::broadcast_eoi(u8 vector) {
  for (EoiListener* listener : listeners_) listener->end_of_interrupt(vector);
}

void ApicBus::deliver_msi(u64 address, u32 data) {
  ApicMessage message;
  const u32 destination = static_cast<u32>(bits(address, 19, 12));
  message.destination = destination == 0xff ? ApicMessage::kBroadcast : destination;
  // Destination mode counts only together with the redirection hint, but hardware and software
  // agree that without the hint the mode bit is still honoured.
  message.logical = (address & 4) != 0;
  message.vector = static_cast<u8>(data);
  message.delivery = static_cast<ApicDelivery>(bits(data, 10, 8));
  message.level_triggered = (data & 0x8000) != 0;
  if (message.level_triggered && !(data & 0x4000)) return;  // deassert message
  if (message.delivery == ApicDelivery::kReserved || message.delivery == ApicDelivery::kStartUp) {
    return;
  }
  deliver(message);
}

}  // namespace dragoman
