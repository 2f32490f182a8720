// System Management BIOS tables (DMTF DSP0134, version 2.8).
#pragma once

#include "bios/board_description.h"
#include "bios/bytes.h"

namespace dragoman {

struct SmbiosTables {
  Bytes anchor;      ///< 31-byte "_SM_" entry point; the table address is still 0
  Bytes structures;  ///< types 0, 1, 2, 3, 4, 16, 17, 19, 32, 127
};

SmbiosTables build_smbios_tables(const BoardDescription& board);

/// Writes the address of the structures into the anchor and sets both checksums.
void relocate_smbios_tables(SmbiosTables& tables, u32 structures_address);

}  // namespace dragoman
