#include "base/scheduler.h"

#include <algorithm>

namespace dragoman {

bool Scheduler::later(const Entry& a, const Entry& b) {
  return a.deadline != b.deadline ? a.deadline > b.deadline : a.order > b.order;
}

void Scheduler::arm(Timer& timer, u64 deadline) {
  if (timer.armed_) cancel(timer);
  const bool nearer = deadline < next_deadline();
  timer.armed_ = true;
  timer.deadline_ = deadline;
  timer.order_ = next_order_++;
  heap_.push_back({deadline, timer.order_, &timer});
  std::push_heap(heap_.begin(), heap_.end(), later);
  if (nearer && nearer_) nearer_(deadline);
}

void Scheduler::cancel(Timer& timer) {
  std::erase_if(heap_, [&](const Entry& entry) { return entry.timer == &timer; });
  std::make_heap(heap_.begin(), heap_.end(), later);
  timer.armed_ = false;
}

Scheduler::Saved Scheduler::save() const { return {heap_, next_order_}; }

void Scheduler::restore(const Saved& saved) {
  for (const Entry& entry : heap_) entry.timer->armed_ = false;
  heap_ = saved.armed;
  next_order_ = saved.next_order;
  for (const Entry& entry : heap_) {
    entry.timer->armed_ = true;
    entry.timer->deadline_ = entry.deadline;
    entry.timer->order_ = entry.order;
  }
  if (!heap_.empty() && nearer_) nearer_(next_deadline());
}

void Scheduler::run_due() {
  const u64 now = clock_.now_ns();
  if (heap_.empty() || heap_.front().deadline > now) return;
  std::vector<Entry> due;
  for (const Entry& entry : heap_) {
    if (entry.deadline <= now) due.push_back(entry);
  }
  std::sort(due.begin(), due.end(), [](const Entry& a, const Entry& b) { return later(b, a); });
  for (const Entry& entry : due) {
    Timer& timer = *entry.timer;
    // An action before may have cancelled or re-armed this timer; then it is not this call's.
    if (!timer.armed_ || timer.order_ != entry.order) continue;
    cancel(timer);
    timer.action_();
  }
}

}  // namespace dragoman
