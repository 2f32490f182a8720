// The definition block of a board: its devices in ACPI's words.
#pragma once

#include "bios/board_description.h"
#include "bios/bytes.h"

namespace dragoman {

/// The AML of the DSDT, without the table header.
Bytes dsdt_aml(const BoardDescription& board);

}  // namespace dragoman
