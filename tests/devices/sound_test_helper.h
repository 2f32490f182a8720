// What the tests of sound share: a host back end that keeps what it is given, and a look at the
// frequencies in it.
#pragma once

#include <cmath>
#include <numbers>
#include <vector>

#include "devices/sound/audio.h"

namespace dragoman {

class SoundRecorder final : public AudioBackend {
 public:
  explicit SoundRecorder(u32 frames_per_second = 48000) : rate_(frames_per_second) {}
  u32 rate() const override { return rate_; }
  void play(std::span<const StereoSample> block) override {
    samples.insert(samples.end(), block.begin(), block.end());
  }
  std::vector<StereoSample> samples;

 private:
  u32 rate_;
};

using Samples = std::span<const StereoSample>;

/// Amplitude of the sine of `hertz` in the left (or right) channel: Goertzel's algorithm with a
/// Hann window.
inline double amplitude_at(Samples samples, double hertz, double rate = 48000, bool right = false) {
  double re = 0, im = 0, weight = 0;
  const double n = static_cast<double>(samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const double t = static_cast<double>(i);
    const double hann = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * (t + 0.5) / n);
    const double value = right ? samples[i].right : samples[i].left;
    re += hann * value * std::cos(2 * std::numbers::pi * hertz * t / rate);
    im += hann * value * std::sin(2 * std::numbers::pi * hertz * t / rate);
    weight += hann;
  }
  return weight == 0 ? 0 : 2 * std::sqrt(re * re + im * im) / weight;
}

inline double rms(Samples samples, bool right = false) {
  double sum = 0;
  for (const StereoSample& s : samples) {
    const double value = right ? s.right : s.left;
    sum += value * value;
  }
  return samples.empty() ? 0 : std::sqrt(sum / static_cast<double>(samples.size()));
}

/// Frequency by rising zero crossings of the left channel.
inline double crossings_hertz(Samples samples, double rate = 48000) {
  std::size_t first = 0, last = 0, count = 0;
  for (std::size_t i = 1; i < samples.size(); ++i) {
    if (samples[i - 1].left < 0 && samples[i].left >= 0) {
      if (count++ == 0) first = i;
      last = i;
    }
  }
  return count < 2 ? 0 : static_cast<double>(count - 1) * rate / static_cast<double>(last - first);
}

}  // namespace dragoman
