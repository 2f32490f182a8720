// The sound outputs of -audiodev, opened.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "devices/sound/midi_file.h"
#include "devices/sound/wav_file.h"
#include "frontends/cli/options.h"

namespace dragoman {

class AudioOutputs {
 public:
  /// An Error when a recording cannot be written. A host without a sound card runs the guest all
  /// the same: that is said on stderr.
  Result<void> open(const std::vector<AudioOption>& options);
  /// The output with this id, or the first; null when its sound goes nowhere.
  Result<AudioBackend*> find(const std::optional<std::string>& id) const;
  /// A recording of MIDI, kept here.
  Result<MidiOutput*> record_midi(const std::string& path);
  /// Says on stderr which recordings are incomplete.
  void report() const;

 private:
  std::vector<std::string> ids_;
  std::vector<std::unique_ptr<AudioBackend>> outputs_;  ///< null: nowhere
  std::vector<const WavFile*> recordings_;
  std::vector<std::unique_ptr<MidiFile>> midi_;
};

}  // namespace dragoman
