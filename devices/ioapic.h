// Intel 82093AA I/O APIC (datasheet, order number 290566), with the EOI register of version 20h.
#pragma once

#include <array>
#include <tuple>

#include "base/irq_line.h"
#include "devices/apic_bus.h"
#include "devices/device.h"
#include "memory/memory_map.h"

namespace dragoman {

struct IoapicState {
  static constexpr unsigned kPins = 24;
  std::array<u64, kPins> redirection = all_masked();
  u32 levels = 0;   ///< asserted inputs
  u32 id = 0;       ///< register 0, ID in bits 27:24
  u32 waiting = 0;  ///< unmasked edges nobody accepted yet
  u32 select = 0;

  static constexpr std::array<u64, kPins> all_masked() {
    std::array<u64, kPins> entries{};
    for (u64& entry : entries) entry = 0x10000;
    return entries;
  }
  static constexpr auto fields() {
    return std::tuple{Field{"redirection", &IoapicState::redirection},
                      Field{"levels", &IoapicState::levels}, Field{"id", &IoapicState::id},
                      Field{"waiting", &IoapicState::waiting},
                      Field{"select", &IoapicState::select}};
  }
};

/// 24 inputs at FEC00000h. The inputs are logical: set_irq(pin, true) means "asserted", whatever
/// the electrical polarity of the wire; the polarity bit is stored and read back only.
class Ioapic : public StatefulDevice<IoapicState>,
               public IrqSink,
               public EoiListener,
               private MmioHandler {
 public:
  static constexpr u64 kBase = 0xfec00000;

  /// Maps itself and attaches to `bus`. Pin 0 is wired to INTR of the 8259 pair (virtual wire).
  Ioapic(std::string name, MemoryMap& memory, ApicBus& bus);

  void set_irq(unsigned pin, bool level) override;
  void end_of_interrupt(u8 vector) override;
  /// Keeps the levels of the inputs: they belong to whoever drives them.
  void reset() override;

 protected:
  void restored() override;

 private:
  u64 mmio_read(unsigned bank, u64 offset, unsigned size) override;
  void mmio_write(unsigned bank, u64 offset, unsigned size, u64 value) override;
  u32 read_window() const;
  void write_window(u32 value);
  /// Sends the interrupt of a pin if one is due.
  void service(unsigned pin);

  ApicBus& bus_;
};

}  // namespace dragoman
