// What a debugger outside the guest wants a processor to stop at. Nothing here is visible to the
// guest; its own debug registers are in CpuState.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "base/types.h"

namespace dragoman {

/// The lists belong to the debugger, the rest is how it and the processor talk. Execution
/// breakpoints cut decoded blocks: no block contains one except a block of its own, which stops.
/// All other code runs as ever, on either engine.
struct DebugPoints {
  struct Watch {
    u64 address = 0;  ///< linear
    u64 bytes = 1;
    bool on_read = false;
    bool on_write = true;
    bool operator==(const Watch&) const = default;
  };
  /// kBegin is no stop of a processor: the beginning of the recorded history (machine/history.h).
  enum class Cause : u8 { kNone, kBreakpoint, kWatch, kStep, kException, kBegin };
  struct Hit {
    Cause cause = Cause::kNone;
    u64 address = 0;     ///< linear: of the instruction, or of the watch that was hit
    bool write = false;  ///< of kWatch: the access wrote
    Watch watch;         ///< of kWatch
    u8 vector = 0;       ///< of kException
    u32 error_code = 0;
    /// Of kException: it came up while another event was delivered, and is delivered already.
    bool delivered = false;
    bool any() const { return cause != Cause::kNone; }
    /// The exception comes again and has to be let through.
    bool holds_exception() const { return cause == Cause::kException && !delivered; }
  };

  std::vector<u64> breakpoints;  ///< linear addresses
  std::vector<Watch> watches;
  u32 caught_vectors = 0;  ///< bit V: stop before exception V is delivered; INT n is none

  bool step = false;  ///< stop after one instruction, or one iteration of a repeated one
  bool skip = false;  ///< execute the next instruction whatever breakpoint is on it
  /// Interrupts wait meanwhile, so that a step does not end in an interrupt handler. False to go
  /// exactly the way the machine would have gone without a debugger.
  bool events_wait = true;
  bool pass_exception = false;  ///< deliver the next exception even if it is caught
  Hit hit;                      ///< why the processor stopped; the debugger clears it
  /// Pool offsets of breakpoints whose page was executed.
  std::vector<u64> cut_offsets;

  /// The lists alone, to put them aside for a while.
  struct Lists {
    std::vector<u64> breakpoints;
    std::vector<Watch> watches;
    u32 caught_vectors = 0;
    bool empty() const { return breakpoints.empty() && watches.empty() && caught_vectors == 0; }
  };
  Lists take_lists() {
    return {std::exchange(breakpoints, {}), std::exchange(watches, {}),
            std::exchange(caught_vectors, 0)};
  }
  void give_lists(Lists lists) {
    breakpoints = std::move(lists.breakpoints);
    watches = std::move(lists.watches);
    caught_vectors = lists.caught_vectors;
  }

  bool breaks_at(u64 linear) const {
    return std::find(breakpoints.begin(), breakpoints.end(), linear) != breakpoints.end();
  }
  /// `page` is a page number, of linear addresses.
  bool breaks_in_page(u64 page) const {
    return std::any_of(breakpoints.begin(), breakpoints.end(),
                       [page](u64 linear) { return linear >> kPageShift == page; });
  }
  bool cuts(u64 offset) const {
    return std::find(cut_offsets.begin(), cut_offsets.end(), offset) != cut_offsets.end();
  }
  bool watches_page(u64 page) const {
    return std::any_of(watches.begin(), watches.end(), [page](const Watch& w) {
      return w.address >> kPageShift <= page && page <= (w.address + w.bytes - 1) >> kPageShift;
    });
  }
  bool steps() const { return step || skip; }
  /// Some watchpoint is about one of these bytes.
  bool watches_bytes(u64 linear, u64 size) const {
    return std::any_of(watches.begin(), watches.end(), [&](const Watch& w) {
      return linear < w.address + w.bytes && w.address < linear + size;
    });
  }

 private:
  static constexpr unsigned kPageShift = 12;
};

}  // namespace dragoman
