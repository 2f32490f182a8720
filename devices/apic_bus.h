// The bus between local APICs, IOAPICs and message-signalled interrupts.
// SDM vol. 3, 11.5-11.6 and 11.11.
#pragma once

#include <vector>

#include "base/types.h"
#include "devices/pci/msi_sink.h"

namespace dragoman {

/// Delivery modes as ICR, LVT, redirection entries and MSI data encode them.
enum class ApicDelivery : u8 {
  kFixed = 0,
  kLowestPriority = 1,
  kSmi = 2,
  kReserved = 3,
  kNmi = 4,
  kInit = 5,
  kStartUp = 6,
  kExtInt = 7,
};

struct ApicMessage {
  static constexpr u32 kBroadcast = ~u32{0};
  u32 destination = 0;  ///< x2APIC form; senders with 8-bit fields pass FFh as kBroadcast
  bool logical = false;
  bool level_triggered = false;
  ApicDelivery delivery = ApicDelivery::kFixed;
  u8 vector = 0;
};

/// A local APIC as the bus sees it.
class ApicAgent {
 public:
  virtual ~ApicAgent() = default;
  /// `destination` names this agent (physical or logical, in its present mode).
  virtual bool addressed_by(const ApicMessage& message) const = 0;
  /// Takes the message; false when the agent does not accept it (disabled, illegal vector).
  virtual bool accept(const ApicMessage& message) = 0;
  /// Processor priority, for lowest-priority arbitration.
  virtual u8 arbitration_priority() const = 0;
};

/// Someone interested in EOI messages: an IOAPIC.
class EoiListener {
 public:
  virtual ~EoiListener() = default;
  virtual void end_of_interrupt(u8 vector) = 0;
};

/// Has no state of its own. Agents and listeners attach in board order and live as long as the bus.
class ApicBus : public MsiSink {
 public:
  void attach(ApicAgent& agent) { agents_.push_back(&agent); }
  void attach(EoiListener& listener) { listeners_.push_back(&listener); }

  /// Delivers to every addressed agent, or to the one of lowest priority. False when nobody took
  /// it.
  bool deliver(const ApicMessage& message);
  /// The shorthands "all including self" and "all excluding self".
  void deliver_to_all(const ApicMessage& message, const ApicAgent* except);
  /// End of a level-triggered interrupt.
  void broadcast_eoi(u8 vector);
  /// Message address and data formats of SDM vol. 3, 11.11.
  void deliver_msi(u64 address, u32 data) override;

 private:
  std::vector<ApicAgent*> agents_;
  std::vector<EoiListener*> listeners_;
};

}  // namespace dragoman
