#include <algorithm>

#include "base/bits.h"
#include "bios/acpi.h"
#include "bios/direct_boot.h"
#include "bios/mp_table.h"
#include "bios/smbios.h"

namespace dragoman {
namespace {

constexpr u64 kSmbiosAnchor = 0xf0000;
constexpr u64 kRsdp = 0xf0040;
constexpr u64 kMpTable = 0xf0100;
constexpr u64 kMinRam = 2 * kMiB;

void copy_in(GuestMemory& memory, u64 address, std::span<const u8> bytes) {
  std::copy(bytes.begin(), bytes.end(), memory.ram() + address);
  memory.note_write(address, bytes.size());
}

}  // namespace

Result<PlacedTables> place_tables(GuestMemory& memory, const BoardDescription& board) {
  AcpiTables acpi = build_acpi_tables(board);
  SmbiosTables smbios = build_smbios_tables(board);
  const u64 smbios_offset = align_up(acpi.tables.size(), 64);
  const u64 reserved = align_up(smbios_offset + smbios.structures.size(), kPageSize);
  if (board.ram_below_4g < kMinRam || board.ram_below_4g > memory.ram_size()) {
    return error("{} KiB of RAM are too little to start without firmware; use -m 2 or more",
                 board.ram_below_4g / kKiB);
  }
  const u64 base = board.ram_below_4g - reserved;
  relocate_acpi_tables(acpi, base);
  relocate_smbios_tables(smbios, static_cast<u32>(base + smbios_offset));
  copy_in(memory, base, acpi.tables);
  copy_in(memory, base + smbios_offset, smbios.structures);
  copy_in(memory, kRsdp, acpi.rsdp);
  copy_in(memory, kSmbiosAnchor, smbios.anchor);
  copy_in(memory, kMpTable, build_mp_table(board, static_cast<u32>(kMpTable)));
  return PlacedTables{kRsdp, direct_boot_map(board, reserved), base};
}

}  // namespace dragoman
