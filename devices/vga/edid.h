// Extended display identification data of the monitor that every guest finds plugged in.
// VESA E-EDID Standard release A, revision 2 (EDID 1.4), section 3.
#pragma once

#include <array>

#include "base/types.h"

namespace dragoman {

/// The 128-byte base block, checksum included: a digital monitor that prefers 1024x768 at 60 Hz.
std::array<u8, 128> make_edid();

}  // namespace dragoman
