#include "frontends/cli/audio_outputs.h"

#include "frontends/sdl/sdl_audio.h"

namespace dragoman {

Result<void> AudioOutputs::open(const std::vector<AudioOption>& options) {
  for (const AudioOption& option : options) {
    std::unique_ptr<AudioBackend> output;
    if (option.driver == "wav") {
      auto file = WavFile::create(option.path, option.rate);
      if (!file) return file.error();
      recordings_.push_back(file->get());
      output = file.take();
    } else if (option.driver == "sdl") {
      auto card = SdlAudio::open(option.rate);
      if (card) {
        output = card.take();
      } else {
        fmt::print(stderr, "dragoman: {}\n", card.error().message);
      }
    }
    ids_.push_back(option.id);
    outputs_.push_back(std::move(output));
  }
  return {};
}

Result<AudioBackend*> AudioOutputs::find(const std::optional<std::string>& id) const {
  for (std::size_t i = 0; i < ids_.size(); ++i) {
    if (!id || ids_[i] == *id) return outputs_[i].get();
  }
  if (!id) return static_cast<AudioBackend*>(nullptr);
  return error("'audiodev={}': there is no -audiodev with id={}", *id, *id);
}

Result<MidiOutput*> AudioOutputs::record_midi(const std::string& path) {
  auto file = MidiFile::create(path);
  if (!file) return file.error();
  midi_.push_back(file.take());
  return static_cast<MidiOutput*>(midi_.back().get());
}

void AudioOutputs::report() const {
  for (const WavFile* recording : recordings_) {
    if (!recording->problem().empty()) fmt::print(stderr, "dragoman: {}\n", recording->problem());
  }
  for (const auto& recording : midi_) {
    if (!recording->problem().empty()) fmt::print(stderr, "dragoman: {}\n", recording->problem());
  }
}

}  // namespace dragoman
