// Brings the sound of several sources to one rate, adds it up in virtual time and hands it to the
// host.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/scheduler.h"
#include "devices/sound/audio.h"
#include "devices/sound/audio_filter.h"

namespace dragoman {

class AudioStream;

/// One for each host back end. While a stream sounds, and for a second afterwards, the host gets
/// every frame of virtual time in blocks of 10 ms; then nothing until something sounds again. So a
/// recording keeps the rests in a tune and leaves out the hours between two.
class AudioMixer {
 public:
  AudioMixer(Scheduler& scheduler, AudioBackend& backend);
  AudioMixer(const AudioMixer&) = delete;
  AudioMixer& operator=(const AudioMixer&) = delete;

  SampleRate rate() const { return rate_; }
  u64 now() { return scheduler_.now(); }
  /// Hands over what is due now instead of at the next block.
  void flush() {
    if (running_) mix();
  }

 private:
  friend class AudioStream;
  void attach(AudioStream& stream) { streams_.push_back(&stream); }
  void detach(AudioStream& stream) { std::erase(streams_, &stream); }
  /// A stream begins now: frames until then belong to the silence before it.
  u64 wake();
  void mix();
  const AudioFilter& filter_for(SampleRate source);

  Scheduler& scheduler_;
  AudioBackend& backend_;
  SampleRate rate_;
  Timer timer_;
  std::vector<AudioStream*> streams_;
  std::map<unsigned, std::unique_ptr<AudioFilter>> filters_;  ///< by cutoff in 64ths
  std::vector<AudioFrame> block_;
  std::vector<StereoSample> samples_;
  bool running_ = false;
  u64 position_ = 0;    ///< frames of virtual time handed to the host
  u64 sounded_at_ = 0;  ///< position at which a stream was last heard
};

/// A device's way into a mixer. Host side only: nothing of it is guest-visible or saved.
class AudioStream {
 public:
  /// Without a mixer every call does nothing. `produce` writes what is due up to now; the mixer
  /// calls it before it mixes.
  AudioStream(AudioMixer* mixer, std::function<void()> produce);
  ~AudioStream();
  AudioStream(const AudioStream&) = delete;
  AudioStream& operator=(const AudioStream&) = delete;

  bool connected() const { return mixer_ != nullptr; }
  /// Frames written from now on are of now and have this rate. A stream that already plays at the
  /// rate goes on as it was, so that two transfers in a row join.
  void begin(SampleRate rate);
  /// Dropped while the stream is idle.
  void write(std::span<const AudioFrame> frames);
  /// Nothing was begun, or no frame came for a tenth of a second.
  bool idle() const { return filter_ == nullptr; }

 private:
  friend class AudioMixer;
  void mix_into(std::span<AudioFrame> out);
  AudioFrame next();

  AudioMixer* mixer_;
  std::function<void()> produce_;
  SampleRate rate_;
  const AudioFilter* filter_ = nullptr;
  std::vector<AudioFrame> frames_;
  std::size_t at_ = 0;  ///< first frame under the filter
  u64 skip_ = 0;        ///< frames of the mixer before this stream began
  u64 step_ = 0;        ///< source frames for each frame of the mixer, 32.32
  u32 fraction_ = 0;
  u64 missing_ = 0;  ///< frames of the mixer since the source ran dry
  AudioFrame last_;
};

}  // namespace dragoman
