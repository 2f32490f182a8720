// The loudspeaker of a PC: OUT 2 of the timer, gated by bit 1 of port 61h.
// Datasheets: Intel 231164 (8254), Intel 290550 (PIIX3) section 2.5.1.
#pragma once

#include "base/scheduler.h"
#include "devices/i8254.h"
#include "devices/port61.h"
#include "devices/sound/audio_mixer.h"
#include "devices/sound/step_signal.h"

namespace dragoman {

/// Listens to the timer and the port; has no state a guest could see.
class PcSpeaker {
 public:
  /// The timer and the port outlive the speaker or are never written again.
  PcSpeaker(Scheduler& scheduler, AudioMixer& mixer, I8254& timer, Port61& port);

 private:
  /// The registers changed: what was before is rendered, what they say now is followed.
  void changed();
  void produce();
  i32 level() const;

  Scheduler& scheduler_;
  I8254& timer_;
  Port61& port_;
  SampleRate rate_;
  AudioStream stream_;
  StepSignal signal_;
  I8254::Counter counter_;  ///< counter 2 as it was at `tick_`
  bool enabled_ = false;    ///< speaker data, bit 1
  bool sounding_ = false;
  u64 tick_ = 0;
  u64 moved_at_ = 0;  ///< tick of the last change of the level
  std::vector<AudioFrame> frames_;
};

}  // namespace dragoman
