// -audiodev, -audio, -soundhw: where sound goes, and shorthands for sound cards.
#pragma once

#include <string>

#include "frontends/cli/options.h"

namespace dragoman {

/// Reads the text of -audiodev, such as "wav,id=a0,path=x.wav".
Result<AudioOption> parse_audiodev(std::string_view text);

/// -audio DRIVER[,property...],model=CARD: an -audiodev and the device that uses it.
Result<void> parse_audio(std::string_view text, Options& options);

/// -soundhw CARD[,CARD...] or all.
Result<void> parse_soundhw(std::string_view text, Options& options);

/// What -audiodev knows, for "-audiodev help".
std::string audiodev_help();

}  // namespace dragoman
