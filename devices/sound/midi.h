// What MIDI ports of sound cards play to.
#pragma once

#include "base/types.h"

namespace dragoman {

class MidiOutput {
 public:
  virtual ~MidiOutput() = default;
  /// A byte went out on the wire at virtual time `now_ns`. Never blocks, never fails towards the
  /// guest.
  virtual void send(u8 byte, u64 now_ns) = 0;
};

}  // namespace dragoman
