// A pointer that goes where the host's pointer is, so that no window has to hold the mouse.
#pragma once

#include "base/types.h"

namespace dragoman {

class AbsolutePointer {
 public:
  static constexpr u32 kMost = 0x7fff;  ///< coordinates go from 0 to this

  virtual ~AbsolutePointer() = default;
  /// True while a driver listens; otherwise the pointer has to be another device.
  virtual bool ready() const = 0;
  /// The host's pointer is here now. What the driver has no room for comes later, as one movement.
  virtual void move_to(u32 x, u32 y) = 0;
  /// Bits as of Ps2Mouse::buttons(): left, right, middle, side, extra.
  virtual void buttons(u8 held) = 0;
  /// Positive is away from the user.
  virtual void wheel(int steps) = 0;
};

}  // namespace dragoman
