#include "base/scheduler.h"

#include <algorithm>

namespace dragoman {

bool Scheduler::later(const Entry& a, const Entry& b) {
  return a.deadline != b.deadline ? a.deadline > b.deadline : a.order > b.order;
}

void Scheduler::arm(Timer& timer, u64 deadline) {
  if (timer.armed_) cancel(timer);
  timer.armed_ = true;
  timer.deadline_ = deadline;
  heap_.push_back({deadline, next_order_++, &timer});
  std::push_heap(heap_.begin(), heap_.end(), later);
}

void Scheduler::cancel(Timer& timer) {
  std::erase_if(heap_, [&](const Entry& entry) { return entry.timer == &timer; });
  std::make_heap(heap_.begin(), heap_.end(), later);
  timer.armed_ = false;
}

void Scheduler::run_due() {
  const u64 now = clock_.now_ns();
  const u64 last_order = next_order_;  // what is armed from here on waits for the next call
  while (!heap_.empty() && heap_.front().deadline <= now && heap_.front().order < last_order) {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    Timer& timer = *heap_.back().timer;
    heap_.pop_back();
    timer.armed_ = false;
    timer.action_();
  }
}

}  // namespace dragoman
