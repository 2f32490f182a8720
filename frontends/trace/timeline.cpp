#include "frontends/trace/timeline.h"

#include <algorithm>

namespace dragoman {

std::string_view timeline_count_name(TimelineCount count) {
  static constexpr std::array<std::string_view, kTimelineCounts> kNames = {
      "real mode",    "protected mode", "kernel",
      "user",         "halted",         "exceptions",
      "page faults",  "interrupts",     "software interrupts",
      "device reads", "device writes",  "port reads",
      "port writes",  "page walks",     "failed walks",
      "flushes",      "translations",   "retired"};
  return kNames[static_cast<std::size_t>(count)];
}

Timeline::Counts& Timeline::slot(u64 ns) {
  while (ns / slot_ns_ >= kMostSlots) {
    const std::size_t half = (slots_.size() + 1) / 2;
    for (std::size_t i = 0; i < half; ++i) {
      Counts sum = slots_[2 * i];
      if (2 * i + 1 < slots_.size()) {
        for (std::size_t k = 0; k < kTimelineCounts; ++k) sum[k] += slots_[2 * i + 1][k];
      }
      slots_[i] = sum;
    }
    slots_.resize(half);
    slot_ns_ *= 2;
  }
  const std::size_t at = ns / slot_ns_;
  if (at >= slots_.size()) slots_.resize(at + 1);
  return slots_[at];
}

void Timeline::spend(u64 from_ns, u64 to_ns, TimelineCount what) {
  if (to_ns <= from_ns) return;
  (void)slot(to_ns - 1);  // now all of it fits
  const std::size_t index = static_cast<std::size_t>(what);
  for (u64 at = from_ns; at < to_ns;) {
    const u64 end = std::min(to_ns, (at / slot_ns_ + 1) * slot_ns_);
    below_us_[index] += end - at;
    slots_[at / slot_ns_][index] += static_cast<u32>(below_us_[index] / 1000);
    below_us_[index] %= 1000;
    at = end;
  }
}

void Timeline::add_event(const TraceTime& time, const FaultRecord& record) {
  ++seen_;
  ++vectors_[{record.kind, record.vector}];
  if (first_.size() < half_) {
    first_.push_back({time, record});
  } else if (newest_.size() < half_) {
    newest_.push_back({time, record});
  } else {
    newest_[newest_at_] = {time, record};
    newest_at_ = (newest_at_ + 1) % newest_.size();
  }
}

std::vector<Timeline::Event> Timeline::events() const {
  std::vector<Event> all = first_;
  for (std::size_t i = 0; i < newest_.size(); ++i)
    all.push_back(newest_[(newest_at_ + i) % newest_.size()]);
  return all;
}

}  // namespace dragoman
