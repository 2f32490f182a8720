// A wire between a device and an interrupt controller (or any other input pin).
#pragma once

#include "base/types.h"

namespace dragoman {

/// Something with numbered input pins.
class IrqSink {
 public:
  virtual ~IrqSink() = default;
  /// Input `pin` now has the given level. Called on every change; repeating a level is harmless.
  virtual void set_irq(unsigned pin, bool level) = 0;
};

/// One wire. Unconnected by default, then changes are ignored.
class IrqLine {
 public:
  IrqLine() = default;
  IrqLine(IrqSink& sink, unsigned pin) : sink_(&sink), pin_(pin) {}

  void set(bool level) const {
    if (sink_ != nullptr) sink_->set_irq(pin_, level);
  }
  void raise() const { set(true); }
  void lower() const { set(false); }
  /// A rising and a falling edge.
  void pulse() const {
    set(true);
    set(false);
  }

 private:
  IrqSink* sink_ = nullptr;
  unsigned pin_ = 0;
};

}  // namespace dragoman
