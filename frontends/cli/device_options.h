// -device: the devices a user can add by name.
#pragma once

#include <functional>

#include "frontends/cli/options.h"
#include "machine/config.h"

namespace dragoman {

/// What -device may need beside its properties.
struct DeviceContext {
  const Options& options;
  MachineConfig& config;
  std::vector<std::string>& ahci_ids;  ///< of the AHCI adapters added so far
  std::function<Result<CharacterBackend*>(const std::string& spec)> open_character;
  std::function<Result<DriveConfig>(const DriveOption& drive)> open_drive;
  /// The -audiodev with this id, or the first; null when its sound goes nowhere.
  std::function<Result<AudioBackend*>(const std::optional<std::string>& id)> find_audio;
  std::function<Result<MidiOutput*>(const std::string& path)> record_midi;
};

/// Adds one device to the configuration; an Error names unknown devices and properties.
Result<void> add_device_option(DeviceOption& option, DeviceContext& context);

/// One line for each device, for "-device help".
std::string device_help();

}  // namespace dragoman
