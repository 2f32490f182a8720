// Sound between a device and the host: frames, rates, and the host's end.
#pragma once

#include <span>
#include <tuple>

#include "base/fields.h"
#include "base/types.h"

namespace dragoman {

/// One moment of sound inside the mixer; full scale is -32768..32767, sums may go beyond.
struct AudioFrame {
  i32 left = 0;
  i32 right = 0;
};

/// One moment of sound as the host takes it.
struct StereoSample {
  i16 left = 0;
  i16 right = 0;
  bool operator==(const StereoSample&) const = default;
};

/// Frames per second as a fraction: chips divide crystals.
struct SampleRate {
  u32 numerator = 48000;
  u32 denominator = 1;
  static constexpr auto fields() {
    return std::tuple{Field{"numerator", &SampleRate::numerator},
                      Field{"denominator", &SampleRate::denominator}};
  }
  bool operator==(const SampleRate&) const = default;

  /// Whole frames that fit into `ns`.
  u64 frames_in(u64 ns) const {
    return static_cast<u64>(u128{ns} * numerator / (u128{denominator} * 1'000'000'000));
  }
  /// First nanosecond at which frames_in() gives `frames`.
  u64 ns_of(u64 frames) const {
    const u128 scaled = u128{frames} * denominator * 1'000'000'000;
    return static_cast<u64>((scaled + numerator - 1) / numerator);
  }
};

/// Host side: a sound card, a file.
class AudioBackend {
 public:
  virtual ~AudioBackend() = default;
  /// Frames per second, 8000 to 192000; constant.
  virtual u32 rate() const = 0;
  /// The next samples, in real or in counted time. Never blocks, never fails towards the guest.
  virtual void play(std::span<const StereoSample> samples) = 0;
};

}  // namespace dragoman
