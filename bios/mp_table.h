// The configuration table of the Intel MultiProcessor Specification 1.4, for operating systems
// that do not read ACPI.
#pragma once

#include "bios/board_description.h"
#include "bios/bytes.h"

namespace dragoman {

/// Floating pointer structure (16 bytes) with the configuration table right behind it, to be put
/// at `address`, a multiple of 16 in F0000h..FFFFFh.
Bytes build_mp_table(const BoardDescription& board, u32 address);

}  // namespace dragoman
