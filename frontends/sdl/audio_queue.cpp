#include "frontends/sdl/audio_queue.h"

#include <algorithm>
#include <bit>

namespace dragoman {
namespace {

constexpr double kMostCorrection = 0.01;
constexpr double kRise = 1.0 / 64;       // of each sample after a gap
constexpr double kSmoothing = 1.0 / 32;  // of each pull

/// A step towards silence.
i16 faded(i16 value) { return static_cast<i16>(value - value / 32 - (value > 0) + (value < 0)); }

i16 between(i16 a, i16 b, double fraction, double gain) {
  return static_cast<i16>((a + static_cast<double>(b - a) * fraction) * gain);
}

}  // namespace

AudioQueue::AudioQueue(u32 rate)
    : ring_(std::bit_ceil(std::size_t{rate} * kMostMs / 1000 * 2)),
      target_(u64{rate} * kTargetMs / 1000),
      most_(u64{rate} * kMostMs / 1000),
      mean_(static_cast<double>(target_)) {}

void AudioQueue::push(std::span<const StereoSample> samples) {
  const u64 written = written_.load(std::memory_order_relaxed);
  const u64 room = ring_.size() - (written - read_.load(std::memory_order_acquire));
  const std::size_t count = std::min<u64>(samples.size(), room);
  for (std::size_t i = 0; i < count; ++i) ring_[(written + i) & (ring_.size() - 1)] = samples[i];
  written_.store(written + count, std::memory_order_release);
}

void AudioQueue::next(StereoSample& out, u64 written) {
  u64 read = read_.load(std::memory_order_relaxed);
  if (gathering_ || written - read < 2) {
    gathering_ = true;
    gain_ = 0;
    last_ = {faded(last_.left), faded(last_.right)};
    out = last_;
    return;
  }
  const StereoSample a = at(read);
  const StereoSample b = at(read + 1);
  gain_ = std::min(1.0, gain_ + kRise);
  out = {between(a.left, b.left, fraction_, gain_), between(a.right, b.right, fraction_, gain_)};
  last_ = out;
  fraction_ += step_;
  const u64 whole = std::min<u64>(static_cast<u64>(fraction_), written - read - 1);
  fraction_ = std::clamp(fraction_ - static_cast<double>(whole), 0.0, 1.0);
  read_.store(read + whole, std::memory_order_release);
}

void AudioQueue::pull(std::span<StereoSample> out) {
  const u64 written = written_.load(std::memory_order_acquire);
  const u64 read = read_.load(std::memory_order_relaxed);
  u64 queued = written - read;
  if (queued > most_) {
    read_.store(written - target_, std::memory_order_release);
    queued = target_;
    mean_ = static_cast<double>(target_);
  }
  if (gathering_ && queued >= target_) {
    gathering_ = false;
    mean_ = static_cast<double>(queued);
  }
  mean_ += (static_cast<double>(queued) - mean_) * kSmoothing;
  const double deviation = mean_ / static_cast<double>(target_) - 1;
  step_ = 1 + std::clamp(deviation * kMostCorrection, -kMostCorrection, kMostCorrection);
  for (StereoSample& sample : out) next(sample, written);
}

}  // namespace dragoman
