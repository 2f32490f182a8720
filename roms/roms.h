// Our own guest programs (roms/*.asm), assembled at build time and carried in the executable.
#pragma once

#include <span>

#include "base/types.h"

namespace dragoman {

/// Hard disk image that shows what the machine is made of; booted when there is no other medium.
std::span<const u8> welcome_image();

/// Hard disk image that measures single operations, prints a table on COM1 and leaves through
/// isa-debug-exit (port 501h) or power-off.
std::span<const u8> microbench_image();

}  // namespace dragoman
