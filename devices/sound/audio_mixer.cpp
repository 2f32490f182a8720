#include "devices/sound/audio_mixer.h"

#include <algorithm>

namespace dragoman {
namespace {

constexpr u64 kBlocksPerSecond = 100;
constexpr u64 kIdleDivisor = 10;       // a stream without frames for 1/10 s has ended
constexpr u64 kLongestGapDivisor = 2;  // a jump of time by more than 1/2 s is cut to that
constexpr unsigned kCutoffSteps = 64;
constexpr unsigned kHighestCutoff = 59;       // of 64: the filter needs room below Nyquist
constexpr std::size_t kMostFrames = 1 << 17;  // queued at a source, some seconds

/// A step towards silence.
i32 faded(i32 value) { return value - value / 64 - (value > 0) + (value < 0); }

i16 saturate(i32 value) { return static_cast<i16>(std::clamp<i32>(value, -32768, 32767)); }

}  // namespace

AudioMixer::AudioMixer(Scheduler& scheduler, AudioBackend& backend)
    : scheduler_(scheduler),
      backend_(backend),
      rate_{std::clamp<u32>(backend.rate(), 8000, 192'000), 1},
      timer_(scheduler, "audio mixer", [this] { mix(); }) {}

u64 AudioMixer::wake() {
  const u64 target = rate_.frames_in(now());
  if (!running_) {
    running_ = true;
    position_ = target;
    timer_.arm_at(rate_.ns_of(position_ + rate_.numerator / kBlocksPerSecond));
  }
  sounded_at_ = position_;
  return target > position_ ? target - position_ : 0;
}

void AudioMixer::mix() {
  for (AudioStream* stream : streams_) {
    if (!stream->idle()) stream->produce_();
  }
  const u64 target = rate_.frames_in(now());
  const u64 longest = rate_.numerator / kLongestGapDivisor;
  if (target > position_ + longest) position_ = target - longest;
  const std::size_t count = target > position_ ? target - position_ : 0;
  block_.assign(count, AudioFrame{});
  bool sounding = false;
  for (AudioStream* stream : streams_) {
    if (stream->idle()) continue;
    stream->mix_into(block_);
    sounding = true;
  }
  samples_.clear();
  for (const AudioFrame& frame : block_) {
    samples_.push_back({saturate(frame.left), saturate(frame.right)});
  }
  if (count != 0) backend_.play(samples_);
  position_ += count;
  if (sounding) sounded_at_ = position_;
  running_ = position_ - sounded_at_ < rate_.numerator;
  if (running_) timer_.arm_at(rate_.ns_of(position_ + rate_.numerator / kBlocksPerSecond));
}

const AudioFilter& AudioMixer::filter_for(SampleRate source) {
  // Sources that are faster than the host lose what the host's rate cannot carry.
  const u64 part = u64{rate_.numerator} * source.denominator * kCutoffSteps / source.numerator;
  const unsigned cutoff = static_cast<unsigned>(
      std::clamp<u64>(part * kHighestCutoff / kCutoffSteps, 1, kHighestCutoff));
  auto& filter = filters_[cutoff];
  if (filter == nullptr) {
    filter = std::make_unique<AudioFilter>(static_cast<double>(cutoff) / kCutoffSteps);
  }
  return *filter;
}

AudioStream::AudioStream(AudioMixer* mixer, std::function<void()> produce)
    : mixer_(mixer), produce_(std::move(produce)) {
  if (mixer_ != nullptr) mixer_->attach(*this);
}

AudioStream::~AudioStream() {
  if (mixer_ != nullptr) mixer_->detach(*this);
}

void AudioStream::begin(SampleRate rate) {
  if (mixer_ == nullptr || rate.numerator == 0 || rate.denominator == 0) return;
  if (!idle() && rate == rate_) return;
  skip_ = mixer_->wake();
  rate_ = rate;
  filter_ = &mixer_->filter_for(rate);
  step_ = static_cast<u64>((u128{rate.numerator} << 32) /
                           (u128{mixer_->rate().numerator} * rate.denominator));
  fraction_ = 0;
  missing_ = 0;
  // One frame more than the filter is long: frame n is complete only when n + 1 begins.
  frames_.assign(AudioFilter::kTaps, AudioFrame{});
  at_ = 0;
}

void AudioStream::write(std::span<const AudioFrame> frames) {
  if (idle()) return;
  const std::size_t room = kMostFrames - std::min(kMostFrames, frames_.size());
  frames = frames.first(std::min(frames.size(), room));
  frames_.insert(frames_.end(), frames.begin(), frames.end());
}

AudioFrame AudioStream::next() {
  if (at_ + AudioFilter::kTaps > frames_.size()) {
    // Ran dry: fade from where it was, so that a short gap does not click.
    ++missing_;
    last_ = {faded(last_.left), faded(last_.right)};
    return last_;
  }
  missing_ = 0;
  // At the mixer's own rate nothing is between the samples.
  last_ = step_ == u64{1} << 32 ? frames_[at_ + AudioFilter::kTaps / 2 - 1]
                                : filter_->at(&frames_[at_], fraction_);
  const u64 position = u64{fraction_} + step_;
  fraction_ = static_cast<u32>(position);
  at_ += position >> 32;
  return last_;
}

void AudioStream::mix_into(std::span<AudioFrame> out) {
  const std::size_t begin = std::min<u64>(skip_, out.size());
  skip_ -= begin;
  for (AudioFrame& frame : out.subspan(begin)) {
    const AudioFrame value = next();
    frame.left += value.left;
    frame.right += value.right;
  }
  // Frames in front of the filter are done; a fast source may have stepped beyond the end.
  const std::size_t used = std::min(at_, frames_.size());
  frames_.erase(frames_.begin(), frames_.begin() + static_cast<std::ptrdiff_t>(used));
  at_ -= used;
  if (missing_ > mixer_->rate().numerator / kIdleDivisor) {
    filter_ = nullptr;
    last_ = {};
    frames_.clear();
  }
}

}  // namespace dragoman
