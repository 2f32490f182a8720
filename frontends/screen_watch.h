// Tells cheaply whether the picture of a VGA card may have changed.
#pragma once

#include "devices/vga/std_vga.h"
#include "memory/guest_memory.h"

namespace dragoman {

/// Watches the pages of video memory, the registers of the card and what blinks in text modes.
class ScreenWatch {
 public:
  /// Both outlive the watch. Starts dirty tracking of the card's video memory.
  ScreenWatch(const StdVga& card, GuestMemory& memory);

  /// Whether anything changed since the last call; true at the first. `now_ns` is virtual time.
  bool take_change(u64 now_ns);

 private:
  const StdVga& card_;
  GuestMemory& memory_;
  u64 first_page_;
  u64 pages_;
  u64 last_hash_ = 0;
  bool first_ = true;
};

}  // namespace dragoman
