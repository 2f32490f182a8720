// The ACPI tables of a board, relocatable: built once, then either linked by the firmware through
// the table-loader script or put at addresses of our choice.
#pragma once

#include <string_view>
#include <vector>

#include "base/types.h"
#include "bios/board_description.h"
#include "bios/bytes.h"

namespace dragoman {

/// Which of the two blobs an offset belongs to.
enum class AcpiBlob : u8 { kRsdp, kTables };

/// A field that holds an offset into the tables blob and must become an address.
struct AcpiPointer {
  AcpiBlob blob = AcpiBlob::kTables;
  u32 offset = 0;
  u8 size = 4;  ///< 4 or 8 bytes
};

/// A checksum byte to be set, after the pointers, so that `length` bytes from `start` sum to 0.
struct AcpiChecksum {
  AcpiBlob blob = AcpiBlob::kTables;
  u32 offset = 0;
  u32 start = 0;
  u32 length = 0;
};

struct AcpiTables {
  static constexpr u32 kAlignment = 64;  ///< of the tables blob (the FACS asks for it)
  static constexpr u32 kRsdpAlignment = 16;

  Bytes rsdp;    ///< to be placed in E0000h..FFFFFh
  Bytes tables;  ///< everything else
  std::vector<AcpiPointer> pointers;
  std::vector<AcpiChecksum> checksums;
};

/// FACS, DSDT, FADT, MADT, HPET and MCFG (if present), WAET, RSDT, XSDT and RSDP (ACPI 2.0 layout).
AcpiTables build_acpi_tables(const BoardDescription& board);

/// Resolves all pointers and checksums for a tables blob at the given address.
void relocate_acpi_tables(AcpiTables& tables, u64 tables_address);

/// The same work as a script for the firmware (fw_cfg file "etc/table-loader").
Bytes table_loader_script(const AcpiTables& tables, std::string_view rsdp_file,
                          std::string_view tables_file);

}  // namespace dragoman
