#include "frontends/sdl/sdl_audio.h"

#include <signal.h>

namespace dragoman {
namespace {

constexpr Uint16 kBlockFrames = 512;

}  // namespace

Result<std::unique_ptr<SdlAudio>> SdlAudio::open(u32 rate) {
  SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");  // Ctrl-C belongs to the run loop
  SDL_SetHint(SDL_HINT_APP_NAME, "Dragoman");
  if (SDL_InitSubSystem(SDL_INIT_AUDIO) != 0) {
    return error("no sound with -audiodev sdl: {}; use -audiodev wav,path=FILE or none",
                 SDL_GetError());
  }
  std::unique_ptr<SdlAudio> audio(new SdlAudio(rate));
  SDL_AudioSpec wanted{};
  wanted.freq = static_cast<int>(rate);
  wanted.format = AUDIO_S16SYS;
  wanted.channels = 2;
  wanted.samples = kBlockFrames;
  wanted.callback = &SdlAudio::fill;
  wanted.userdata = audio.get();
  // The thread SDL starts must not take the signals the run loop waits for.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  audio->device_ = SDL_OpenAudioDevice(nullptr, 0, &wanted, nullptr, 0);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (audio->device_ == 0) {
    return error("no sound with -audiodev sdl: {}; use -audiodev wav,path=FILE or none",
                 SDL_GetError());
  }
  SDL_PauseAudioDevice(audio->device_, 0);
  return audio;
}

SdlAudio::~SdlAudio() {
  if (device_ != 0) SDL_CloseAudioDevice(device_);
  SDL_QuitSubSystem(SDL_INIT_AUDIO);
}

void SdlAudio::fill(void* self, Uint8* bytes, int length) {
  auto* const samples = reinterpret_cast<StereoSample*>(bytes);
  static_cast<SdlAudio*>(self)->queue_.pull(
      {samples, static_cast<std::size_t>(length) / sizeof(StereoSample)});
}

}  // namespace dragoman
