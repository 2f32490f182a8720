// What happened when: counts in slices of time that cover the whole run, single events, phases.
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "cpu/events/fault_log.h"

namespace dragoman {

/// What is counted in every slice of time.
enum class TimelineCount : u8 {
  kTimeReal,       ///< microseconds in real or virtual-8086 mode
  kTimeProtected,  ///< in 16- and 32-bit protected mode and compatibility mode
  kTimeKernel,     ///< in 64-bit mode at CPL 0
  kTimeUser,       ///< at CPL 3
  kTimeHalted,     ///< behind HLT or MWAIT
  kExceptions,     ///< other than page faults
  kPageFaults,
  kInterrupts,
  kSoftwareInterrupts,
  kDeviceReads,
  kDeviceWrites,
  kPortReads,
  kPortWrites,
  kWalks,  ///< page walks that made an entry
  kFailedWalks,
  kFlushes,  ///< of shadow page tables
  kTranslated,
  kRetired,
  kCount
};
inline constexpr std::size_t kTimelineCounts = static_cast<std::size_t>(TimelineCount::kCount);
std::string_view timeline_count_name(TimelineCount count);

/// A moment of the guest.
struct TraceTime {
  u64 ns = 0;            ///< virtual time since the trace began
  u64 instructions = 0;  ///< executed since power-on
};

class Timeline {
 public:
  static constexpr std::size_t kMostSlots = 1024;
  using Counts = std::array<u32, kTimelineCounts>;

  struct Event {
    TraceTime time;
    FaultRecord record;
  };
  struct Phase {
    TraceTime time;
    std::string name;
  };

  /// `events` single events are kept: the first half and the newest half.
  explicit Timeline(u64 events) : half_(events / 2 + 1) {}

  void count(u64 ns, TimelineCount what) { ++slot(ns)[static_cast<std::size_t>(what)]; }
  /// Adds the time from `from` to `to`, in microseconds, to the slots it covers.
  void spend(u64 from_ns, u64 to_ns, TimelineCount what);
  void add_event(const TraceTime& time, const FaultRecord& record);
  void add_phase(const TraceTime& time, std::string name) { phases_.push_back({time, name}); }

  /// Length of a slot: doubles whenever the run outgrows the slots.
  u64 slot_ns() const { return slot_ns_; }
  const std::vector<Counts>& slots() const { return slots_; }
  const std::vector<Phase>& phases() const { return phases_; }
  /// In order of time.
  std::vector<Event> events() const;
  u64 events_seen() const { return seen_; }
  /// Deliveries by kind and vector.
  const std::map<std::pair<EventKind, u8>, u64>& vectors() const { return vectors_; }

 private:
  Counts& slot(u64 ns);

  u64 half_;
  u64 slot_ns_ = 1'000'000;
  std::vector<Counts> slots_;
  std::array<u64, kTimelineCounts> below_us_{};  ///< nanoseconds spent and not yet counted
  std::vector<Phase> phases_;
  std::vector<Event> first_, newest_;
  std::size_t newest_at_ = 0;
  u64 seen_ = 0;
  std::map<std::pair<EventKind, u8>, u64> vectors_;
};

}  // namespace dragoman
