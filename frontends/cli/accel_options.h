// -accel: who runs guest code, and the options of the translator and of lockstep.
#pragma once

#include <string>

#include "frontends/cli/options.h"

namespace dragoman {

/// Reads the text of -accel, such as "jit,cache=32M" or "lockstep,step=1000", into `options`; an
/// Error names what is wrong and what comes nearest.
Result<void> parse_accel(const std::string& text, Options& options);

/// The accelerators and their options, for "-accel help".
std::string accel_help();

}  // namespace dragoman
