#include "devices/sound/pc_speaker.h"

namespace dragoman {
namespace {

constexpr i32 kLoud = 12'000;                // distance between the two levels
constexpr u64 kQuietTicks = 1'193'182 / 10;  // without a change for 1/10 s there is no sound
constexpr u64 kLongestTicks = 1'193'182 / 4;

}  // namespace

PcSpeaker::PcSpeaker(Scheduler& scheduler, AudioMixer& mixer, I8254& timer, Port61& port)
    : scheduler_(scheduler),
      timer_(timer),
      port_(port),
      rate_(mixer.rate()),
      stream_(&mixer, [this] { produce(); }) {
  timer_.set_counter2_listener([this] { changed(); });
  port_.set_listener([this] { changed(); });
  changed();
}

i32 PcSpeaker::level() const { return enabled_ && I8254::level(counter_, tick_) ? kLoud : 0; }

void PcSpeaker::changed() {
  const i32 before = level();
  produce();
  const bool was_enabled = enabled_;
  counter_ = timer_.counter(2);
  enabled_ = port_.speaker_data();
  const u64 now = scheduler_.now();
  tick_ = I8254::tick_at(now);
  if (!enabled_ && !was_enabled) return;
  moved_at_ = tick_;
  if (sounding_) return;
  sounding_ = true;
  signal_.restart(now, rate_, before);
  stream_.begin(rate_);
}

void PcSpeaker::produce() {
  if (!sounding_) return;
  const u64 now = scheduler_.now();
  const u64 end = I8254::tick_at(now);
  frames_.clear();
  if (end > tick_ + kLongestTicks) {  // virtual time jumped
    sounding_ = false;
    return;
  }
  for (;;) {
    const u64 next = I8254::next_change(counter_, tick_);
    if (next > end) break;
    const i32 before = level();
    signal_.advance(I8254::ns_of(next), before, frames_);
    I8254::settle(counter_, next);
    tick_ = next;
    if (level() != before) moved_at_ = tick_;
  }
  signal_.advance(now, level(), frames_);
  stream_.write(frames_);
  if (end > moved_at_ + kQuietTicks) sounding_ = false;
}

}  // namespace dragoman
