#include "frontends/screen_watch.h"

#include <xxhash.h>

#include "base/fields.h"

namespace dragoman {
namespace {

/// Cursors change every eighth frame of a 60 Hz mode, blinking characters every sixteenth.
constexpr u64 kBlinkNs = 8 * u64{16'683'000};

}  // namespace

ScreenWatch::ScreenWatch(const StdVga& card, GuestMemory& memory)
    : card_(card),
      memory_(memory),
      first_page_(memory.offset_of(card.video_memory().data()) >> kPageShift),
      pages_(card.video_memory().size() >> kPageShift) {
  memory_.track(first_page_, pages_);
}

bool ScreenWatch::take_change(u64 now_ns) {
  bool changed = first_;
  first_ = false;
  for (u64 page = first_page_; page < first_page_ + pages_; ++page) {
    if (memory_.take_dirty(page)) changed = true;
  }
  // Registers that guests use all the time without changing the picture are left out.
  VgaState state = card_.state();
  state.latches = 0;
  state.crtc_index = state.graphics_index = state.sequencer_index = 0;
  state.attribute_index &= 0x20;
  state.attribute_data_next = false;
  state.dispi_index = 0;
  std::vector<u8> bytes;
  save_fields(state, bytes);
  const bool text = !state.dispi_enabled() && !(state.graphics[6] & 1);
  const u64 hash = XXH3_64bits_withSeed(bytes.data(), bytes.size(), text ? now_ns / kBlinkNs : 0);
  changed |= hash != last_hash_;
  last_hash_ = hash;
  return changed;
}

}  // namespace dragoman
