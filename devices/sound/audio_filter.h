// Low-pass interpolation between samples: the reconstruction filter behind every converter.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "devices/sound/audio.h"

namespace dragoman {

/// A windowed sinc in kPhases positions between two samples (Smith, "Digital Audio Resampling").
class AudioFilter {
 public:
  static constexpr unsigned kTaps = 32;
  static constexpr unsigned kPhaseBits = 9;
  static constexpr unsigned kPhases = 1u << kPhaseBits;

  /// `cutoff` as a part of the source's Nyquist frequency, above 0 to 1.
  explicit AudioFilter(double cutoff);

  /// Value at `fraction` / 2^32 after the middle of the kTaps frames at `window`.
  AudioFrame at(const AudioFrame* window, u32 fraction) const;

 private:
  static constexpr int kUnity = 1 << 15;
  std::vector<std::array<i32, kTaps>> phases_;
};

}  // namespace dragoman
