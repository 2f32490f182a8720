// System control port A (92h): fast A20 and fast reset; and the OR gate in front of A20M#.
// Datasheet: Intel 290562 (82371AB PIIX4) section 4.2.6 (port 92).
#pragma once

#include <array>
#include <functional>

#include "base/irq_line.h"
#include "devices/device.h"
#include "memory/port_map.h"

namespace dragoman {

/// Address line 20 passes when any of its sources says so. Pins: 0 = keyboard controller,
/// 1 = port 92h. Holds no state of its own: the sources drive it again when they are restored.
class A20Gate : public IrqSink {
 public:
  static constexpr unsigned kKeyboardController = 0;
  static constexpr unsigned kPort92 = 1;

  explicit A20Gate(std::function<void(bool)> output) : output_(std::move(output)) {}
  void set_irq(unsigned pin, bool level) override {
    if (pin >= source_.size()) return;
    source_[pin] = level;
    output_(source_[0] || source_[1]);
  }

 private:
  std::array<bool, 2> source_{};
  std::function<void(bool)> output_;
};

struct Port92State {
  u8 control = 0;  // bit 0 fast reset, bit 1 A20
  static constexpr auto fields() { return std::tuple{Field{"control", &Port92State::control}}; }
};

class Port92 : public StatefulDevice<Port92State>, public PortHandler {
 public:
  /// Claims port 92h. `init` is pulsed for a processor reset; the board must put it off until
  /// the port access has ended.
  Port92(PortMap& ports, IrqLine a20, IrqLine init)
      : StatefulDevice("port92"), a20_(a20), init_(init) {
    ports.add("port92", Port(0x92), 1, *this);
  }

  u32 port_read(unsigned, u16, unsigned) override { return state_.control; }
  void port_write(unsigned, u16, unsigned, u32 value) override {
    const bool reset_edge = (value & 1) != 0 && (state_.control & 1) == 0;
    state_.control = value & 3;
    a20_.set((value & 2) != 0);
    if (reset_edge) init_.pulse();
  }

 private:
  void restored() override { a20_.set((state_.control & 2) != 0); }

  IrqLine a20_;
  IrqLine init_;
};

}  // namespace dragoman
