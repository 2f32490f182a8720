// The host's sound card through SDL 2 (`-audiodev sdl`).
#pragma once

#include <SDL2/SDL.h>

#include <memory>

#include "base/result.h"
#include "devices/sound/audio.h"
#include "frontends/sdl/audio_queue.h"

namespace dragoman {

class SdlAudio final : public AudioBackend {
 public:
  /// An Error when SDL finds no sound card.
  static Result<std::unique_ptr<SdlAudio>> open(u32 rate);
  ~SdlAudio() override;
  SdlAudio(const SdlAudio&) = delete;
  SdlAudio& operator=(const SdlAudio&) = delete;

  u32 rate() const override { return rate_; }
  void play(std::span<const StereoSample> samples) override { queue_.push(samples); }

 private:
  explicit SdlAudio(u32 rate) : rate_(rate), queue_(rate) {}
  static void fill(void* self, Uint8* bytes, int length);

  u32 rate_;
  AudioQueue queue_;
  SDL_AudioDeviceID device_ = 0;
};

}  // namespace dragoman
