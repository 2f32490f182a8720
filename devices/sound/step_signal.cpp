#include "devices/sound/step_signal.h"

namespace dragoman {

void StepSignal::restart(u64 now, SampleRate rate, i32 level) {
  rate_ = rate;
  origin_ = now;
  frame_ = 0;
  frame_start_ = now;
  frame_end_ = origin_ + rate_.ns_of(1);
  time_ = now;
  sum_ = 0;
  before_ = i64{level} * 65536;
  output_ = 0;
}

void StepSignal::advance(u64 now, i32 level, std::vector<AudioFrame>& frames) {
  while (frame_end_ <= now) {
    sum_ += i64{level} * static_cast<i64>(frame_end_ - time_);
    const i64 mean = sum_ * 65536 / static_cast<i64>(frame_end_ - frame_start_);
    output_ += mean - before_ - (output_ >> kDecayShift);
    before_ = mean;
    const i32 value = static_cast<i32>(output_ / 65536);
    frames.push_back({value, value});
    sum_ = 0;
    time_ = frame_start_ = frame_end_;
    frame_end_ = origin_ + rate_.ns_of(++frame_ + 1);
  }
  if (now > time_) {
    sum_ += i64{level} * static_cast<i64>(now - time_);
    time_ = now;
  }
}

}  // namespace dragoman
