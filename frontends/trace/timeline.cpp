#include "frontends/trace/timeline.h"

namespace dragoman {

std::string_view timeline_count_name(TimelineCount count) {
  static constexpr std::array<std::string_view, kTimelineCounts> kNames = {
      "real mode",    "protected mode", "kernel",     "user",
      "exceptions",   "page faults",    "interrupts", "software interrupts",
      "device reads", "device writes",  "port reads", "port writes",
      "page walks",   "failed walks",   "flushes",    "translations",
      "retired"};
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
