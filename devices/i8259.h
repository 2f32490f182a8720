// Intel 8259A programmable interrupt controllers, master and slave, as in the PIIX3.
// Datasheets: Intel 231468 (8259A), Intel 290550 (82371SB PIIX3) section 5.8 and 2.5.2 (ELCR).
#pragma once

#include <array>

#include "base/irq_line.h"
#include "base/log.h"
#include "devices/device.h"
#include "memory/port_map.h"

namespace dragoman {

struct I8259State {
  struct Chip {
    u8 lines = 0;        // levels of the inputs
    u8 irr = 0;          // interrupt request register
    u8 isr = 0;          // in-service register
    u8 imr = 0;          // interrupt mask register (OCW1)
    u8 elcr = 0;         // 1 = level-triggered input
    u8 vector_base = 0;  // ICW2, bits 7:3
    u8 icw3 = 0;         // stored; the cascade is hard-wired to input 2
    u8 lowest = 7;       // input with the lowest priority
    u8 init_step = 0;    // 0 = ready, else the number of the ICW expected next
    bool needs_icw4 = false;
    bool single = false;          // ICW1.SNGL
    bool auto_eoi = false;        // ICW4.AEOI
    bool special_nested = false;  // ICW4.SFNM
    bool rotate_on_auto_eoi = false;
    bool special_mask = false;
    bool read_isr = false;  // OCW3: which register offset 0 reads
    bool poll = false;      // OCW3: the next read is an acknowledge
    static constexpr auto fields() {
      return std::tuple{Field{"lines", &Chip::lines},
                        Field{"irr", &Chip::irr},
                        Field{"isr", &Chip::isr},
                        Field{"imr", &Chip::imr},
                        Field{"elcr", &Chip::elcr},
                        Field{"vector_base", &Chip::vector_base},
                        Field{"icw3", &Chip::icw3},
                        Field{"lowest", &Chip::lowest},
                        Field{"init_step", &Chip::init_step},
                        Field{"needs_icw4", &Chip::needs_icw4},
                        Field{"single", &Chip::single},
                        Field{"auto_eoi", &Chip::auto_eoi},
                        Field{"special_nested", &Chip::special_nested},
                        Field{"rotate_on_auto_eoi", &Chip::rotate_on_auto_eoi},
                        Field{"special_mask", &Chip::special_mask},
                        Field{"read_isr", &Chip::read_isr},
                        Field{"poll", &Chip::poll}};
    }
  };
  std::array<Chip, 2> chip{};
  static constexpr auto fields() { return std::tuple{Field{"chip", &I8259State::chip}}; }
};

/// Both controllers with their cascade. Inputs 0..15 are IRQ0..IRQ15; input 2 is the cascade and
/// ignores its wire. As on the chip, an edge-triggered request lasts only while its line stays
/// high: a device holds its line until it is served (a mere pulse gives no interrupt).
class I8259Pair : public StatefulDevice<I8259State>, public IrqSink, public PortHandler {
 public:
  /// Claims ports 20h-21h, A0h-A1h and 4D0h-4D1h. `intr` is the INT output of the master.
  I8259Pair(Log& log, PortMap& ports, IrqLine intr);

  void set_irq(unsigned pin, bool level) override;
  /// Level of the INT output.
  bool pending() const { return intr_level_; }
  /// INTA cycles: puts the most important request into service and returns its vector; the
  /// vector of input 7 (of the chip asked) when the request went away.
  u8 acknowledge();
  /// Whether ELCR makes IRQ `pin` level-triggered.
  bool level_triggered(unsigned pin) const {
    return pin < 16 && ((state_.chip[pin >> 3].elcr >> (pin & 7)) & 1) != 0;
  }

  void reset() override;
  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;

 private:
  using Chip = I8259State::Chip;
  static constexpr unsigned kMaster = 0;
  static constexpr unsigned kSlave = 1;
  static constexpr unsigned kCascade = 2;
  static constexpr int kNone = -1;

  void restored() override;
  static void set_line(Chip& chip, unsigned input, bool level);
  /// The input to be served next, or kNone.
  int next_request(unsigned which) const;
  static int highest(const Chip& chip, u8 set);
  void into_service(Chip& chip, unsigned input);
  void write_command(Chip& chip, u8 value);
  void write_data(Chip& chip, u8 value);
  static void start_initialisation(Chip& chip, u8 icw1);
  static void write_ocw2(Chip& chip, u8 value);
  u8 take_poll(unsigned which);
  /// Follows a change through the cascade to INT.
  void update();

  Log& log_;
  IrqLine intr_;
  bool intr_level_ = false;
};

}  // namespace dragoman
