// Keeps what the translator made and what the processor met, within bounds. Prints nothing: texts
// are made once, at the end (trace_document).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/scheduler.h"
#include "cpu/observer.h"
#include "frontends/trace/host_sampler.h"
#include "frontends/trace/timeline.h"
#include "frontends/trace/trace_options.h"
#include "jit/region_observer.h"

namespace dragoman {

/// A translation with everything it was made of.
struct RecordedRegion {
  u64 id = 0;
  RegionRequest request;
  u32 runs = 0;
  RegionPlan plan;                                     ///< its instructions are those below
  std::vector<std::vector<Instruction>> instructions;  ///< by block
  std::vector<std::vector<u8>> bytes;                  ///< guest code, by block
  std::vector<u8> code;
  std::vector<CodeRange> ranges;
  std::vector<ExitNote> exits;
  HostPlace place;
  u32 entry = 0;
  std::shared_ptr<RegionCounters> counters;
  u64 physical = 0;  ///< all ones when it could not be told
  u64 cr3 = 0;
  u32 mode_key = 0;
  u8 cpl = 0;
  unsigned generation = 1;  ///< times this address was translated this way, so far
  TraceTime made;
  std::optional<TraceTime> retired_at;
  std::optional<RetireCause> retired;  ///< none with retired_at: the cache was emptied
  u64 samples = 0;
  struct Link {
    u64 to = 0;
    u64 rip = 0;
  };
  std::vector<Link> links;

  /// Guest instructions it executed, from its counters. Not exact where a branch inside the region
  /// meets others.
  u64 executed() const;
  u64 guest_bytes() const;
};

/// Counts by page, device or port, for the busiest ones. New keys are dropped when it is full.
template <class Key>
class BoundedCounts {
 public:
  static constexpr std::size_t kMost = 1 << 16;
  u64* at(const Key& key) {
    if (const auto found = counts_.find(key); found != counts_.end()) return &found->second;
    if (counts_.size() >= kMost) return nullptr;
    return &counts_[key];
  }
  void add(const Key& key) {
    if (u64* count = at(key)) ++*count;
  }
  std::vector<std::pair<Key, u64>> most(std::size_t number) const;
  std::size_t size() const { return counts_.size(); }

 private:
  std::unordered_map<Key, u64> counts_;
};

class TraceRecorder final : public RegionObserver, public CpuObserver {
 public:
  explicit TraceRecorder(const TraceOptions& options)
      : options_(options), timeline_(options.events) {}

  /// The processor to watch; before it runs, on the thread that will run it.
  void attach(Cpu& cpu);
  /// The run is over; nothing is called afterwards. Leaves the translations the options ask for.
  void finish();

  struct Totals {
    u64 blocks = 0, superblocks = 0, narrow = 0;
    u64 links = 0, bytes_changed = 0, superseded = 0, full = 0, emptied = 0;
    u64 guest_instructions = 0, guest_bytes = 0, host_bytes = 0;
    u64 filtered = 0;   ///< translations the options leave out
    u64 forgotten = 0;  ///< cold ones dropped, or later than the first `limit`
    u64 samples = 0, samples_in_code = 0;
    u64 executed = 0;  ///< instructions of the run
    u64 ns = 0;
    std::array<u64, kShadowFlushes> flushes{};
    u64 fills_read = 0, fills_write = 0, fills_fetch = 0, outside = 0, failed_walks = 0;
    u64 fills_small = 0, fills_large = 0, fills_giant = 0, fills_global = 0, fills_user = 0;
    u64 device_reads = 0, device_writes = 0, port_reads = 0, port_writes = 0;
  };
  const TraceOptions& options() const { return options_; }
  const Totals& totals() const { return totals_; }
  const Timeline& timeline() const { return timeline_; }
  /// In order of translation, or hottest first.
  const std::vector<std::unique_ptr<RecordedRegion>>& regions() const { return regions_; }
  const BoundedCounts<u64>& pages() const { return pages_; }      ///< walks by linear page
  const BoundedCounts<u64>& devices() const { return devices_; }  ///< by physical address
  const BoundedCounts<u64>& ports() const { return ports_; }
  const BoundedCounts<u64>& spaces() const { return spaces_; }  ///< selections by CR3

  // --- RegionObserver
  void translated(const RegionRecord& record) override;
  void linked(u64 from, u64 to, u64 rip) override;
  void retired(u64 id, RetireCause cause) override;
  void cache_emptied() override;
  // --- CpuObserver
  void slice_began() override;
  void event_taken(const FaultRecord& record) override;
  void page_walked(const ShadowFill& fill) override;
  void page_walk_failed(u64 linear, u32 error_code) override;
  void shadow_flushed(ShadowFlush what, u64 linear) override;
  void device_accessed(u64 physical, unsigned size, bool write) override;
  void port_accessed(u16 port, unsigned size, bool write) override;

 private:
  struct Key {
    u64 rip, physical;
    u32 mode_key;
    bool narrow, hot;
    bool operator<(const Key& other) const {
      return std::tie(rip, physical, mode_key, narrow, hot) <
             std::tie(other.rip, other.physical, other.mode_key, other.narrow, other.hot);
    }
  };
  TraceTime now() const;
  void count(TimelineCount what) { timeline_.count(now().ns, what); }
  void spend_until_now(bool halted);
  void take_samples();
  void drop_cold(std::size_t keep);
  RecordedRegion* find(u64 id);

  const TraceOptions& options_;
  Cpu* cpu_ = nullptr;
  u64 start_ns_ = 0;
  HostSampler sampler_;
  Timeline timeline_;
  Totals totals_;
  std::vector<std::unique_ptr<RecordedRegion>> regions_;
  std::unordered_map<u64, RecordedRegion*> by_id_;
  /// All code in the arena, recorded or not: end of code by its begin.
  struct Placed {
    u64 end = 0;
    u64 id = 0;
  };
  std::map<u64, Placed> placed_;
  std::map<Key, unsigned> generations_;
  BoundedCounts<u64> pages_, devices_, ports_, spaces_;
  unsigned level_ = 0;                             ///< highest phase seen
  TimelineCount mode_ = TimelineCount::kTimeReal;  ///< of the slice that runs
  u64 spent_ns_ = 0;                               ///< time counted up to here
};

}  // namespace dragoman
