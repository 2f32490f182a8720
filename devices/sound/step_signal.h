// A signal that jumps between levels at any moment, as frames: the pin of a speaker, a converter
// that the processor writes to.
#pragma once

#include <vector>

#include "devices/sound/audio.h"

namespace dragoman {

/// Each frame is the mean of the level over its time, so that pulse width modulation far above the
/// sample rate sounds as it should. A high-pass of some 15 Hz takes the place of the capacitor in
/// the amplifier: a level that stays is silence.
class StepSignal {
 public:
  /// Frames from `now` on; the signal has been at `level` for long.
  void restart(u64 now, SampleRate rate, i32 level);
  /// The level was `level` from the last time until `now`; appends the frames that end by then.
  void advance(u64 now, i32 level, std::vector<AudioFrame>& frames);

 private:
  static constexpr unsigned kDecayShift = 9;

  SampleRate rate_;
  u64 origin_ = 0;       ///< virtual ns of frame 0
  u64 frame_ = 0;        ///< the frame under way
  u64 frame_start_ = 0;  ///< virtual ns
  u64 frame_end_ = 0;
  u64 time_ = 0;    ///< virtual ns reached
  i64 sum_ = 0;     ///< level times ns in the frame under way
  i64 before_ = 0;  ///< mean of the last frame, 16 fractional bits, as the next
  i64 output_ = 0;
};

}  // namespace dragoman
