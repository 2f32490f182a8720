// The screen a kernel finds when it is started without firmware: as a BIOS would have left it.
#pragma once

#include <memory>

#include "bios/firmware.h"
#include "devices/vga/vga_state.h"

namespace dragoman {

/// Lets firmware bring up a card in a machine of its own, for some milliseconds, and takes the text
/// screen over, cleared, with the font that the video BIOS loaded. Null when none comes up.
std::shared_ptr<const VgaScreen> firmware_screen(const RomImage& firmware, const RomImage& vga_rom);

}  // namespace dragoman
