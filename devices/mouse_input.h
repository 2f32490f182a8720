// Which of a PC's mice the host's mouse moves.
#pragma once

#include <functional>
#include <utility>

#include "devices/ps2_mouse.h"
#include "devices/serial_mouse.h"

namespace dragoman {

/// The serial mouse, if there is one and its driver has switched it on; else the PS/2 mouse.
class MouseInput {
 public:
  /// `serial` may be null.
  MouseInput(Ps2Mouse& ps2, SerialMouse* serial) : ps2_(ps2), serial_(serial) {}

  /// Relative movement: right and down positive, as hosts report it; the wheel towards the user
  /// positive.
  void move(int dx, int dy, int dz) {
    if (gate_ && !gate_(dx, dy, dz, -1)) return;
    serial() ? serial_->move(dx, dy, dz) : ps2_.move(dx, dy, dz);
  }
  /// Bits 0..4: left, right, middle, 4th, 5th.
  void buttons(u8 mask) {
    if (gate_ && !gate_(0, 0, 0, mask)) return;
    // What was pressed on one mouse is released on it although the other one moves now.
    if (serial_ != nullptr) serial_->buttons(serial() ? mask : 0);
    ps2_.buttons(serial() ? 0 : mask);
  }
  /// Asked before either reaches the guest, with `mask` -1 for movement; false keeps it away. For
  /// whoever records input.
  using Gate = std::function<bool(int dx, int dy, int dz, int mask)>;
  void set_gate(Gate gate) { gate_ = std::move(gate); }

 private:
  bool serial() const { return serial_ != nullptr && serial_->powered(); }

  Ps2Mouse& ps2_;
  SerialMouse* serial_;
  Gate gate_;
};

}  // namespace dragoman
