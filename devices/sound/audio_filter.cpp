#include "devices/sound/audio_filter.h"

#include <cmath>
#include <numbers>

namespace dragoman {
namespace {

double sinc(double x) {
  if (std::fabs(x) < 1e-9) return 1;
  return std::sin(std::numbers::pi * x) / (std::numbers::pi * x);
}

/// Blackman window over -1..1.
double window(double x) {
  if (std::fabs(x) >= 1) return 0;
  return 0.42 + 0.5 * std::cos(std::numbers::pi * x) + 0.08 * std::cos(2 * std::numbers::pi * x);
}

}  // namespace

AudioFilter::AudioFilter(double cutoff) : phases_(kPhases) {
  constexpr double kHalf = kTaps / 2;
  for (unsigned phase = 0; phase < kPhases; ++phase) {
    std::array<double, kTaps> taps{};
    double sum = 0;
    for (unsigned tap = 0; tap < kTaps; ++tap) {
      // The middle lies between the taps kTaps / 2 - 1 and kTaps / 2.
      const double x =
          static_cast<double>(tap) - (kHalf - 1) - static_cast<double>(phase) / kPhases;
      taps[tap] = sinc(x * cutoff) * window(x / kHalf);
      sum += taps[tap];
    }
    // Every phase passes a constant unchanged; the largest tap takes the rounding.
    i32 total = 0;
    for (unsigned tap = 0; tap < kTaps; ++tap) {
      phases_[phase][tap] = static_cast<i32>(std::lround(taps[tap] / sum * kUnity));
      total += phases_[phase][tap];
    }
    phases_[phase][phase < kPhases / 2 ? kTaps / 2 - 1 : kTaps / 2] += kUnity - total;
  }
}

AudioFrame AudioFilter::at(const AudioFrame* window, u32 fraction) const {
  const auto& taps = phases_[fraction >> (32 - kPhaseBits)];
  i64 left = 0;
  i64 right = 0;
  for (unsigned tap = 0; tap < kTaps; ++tap) {
    left += i64{window[tap].left} * taps[tap];
    right += i64{window[tap].right} * taps[tap];
  }
  return {static_cast<i32>((left + kUnity / 2) >> 15),
          static_cast<i32>((right + kUnity / 2) >> 15)};
}

}  // namespace dragoman
