// The memory map handed to an operating system (ACPI 6.5, section 15: INT 15h, EAX = E820h).
#pragma once

#include <vector>

#include "base/types.h"
#include "bios/board_description.h"
#include "bios/bytes.h"

namespace dragoman {

enum class E820Type : u32 { kRam = 1, kReserved = 2, kAcpi = 3, kNvs = 4 };

struct E820Entry {
  u64 first = 0;
  u64 bytes = 0;
  E820Type type = E820Type::kRam;
};

/// Sorted by address, without overlaps.
using E820Map = std::vector<E820Entry>;

/// The map for the firmware (fw_cfg file "etc/e820"): RAM as it is fitted, nothing carved out.
E820Map fitted_ram_map(const BoardDescription& board);

/// The map for an operating system started without firmware: conventional memory, the hole at
/// 640 KiB, RAM below 4 GiB with its last `reserved_top` bytes reserved for tables, RAM above.
E820Map direct_boot_map(const BoardDescription& board, u64 reserved_top);

/// 20 bytes per entry: address, length, type.
Bytes e820_bytes(const E820Map& map);

}  // namespace dragoman
