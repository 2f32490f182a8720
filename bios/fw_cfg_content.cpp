#include "bios/fw_cfg_content.h"

#include <algorithm>

#include "bios/acpi.h"
#include "bios/e820.h"
#include "bios/smbios.h"

namespace dragoman {
namespace {

constexpr u16 kKeyUuid = 0x02;
constexpr u16 kKeyRamSize = 0x03;
constexpr u16 kKeyNoGraphic = 0x04;
constexpr u16 kKeyCpuCount = 0x05;
constexpr u16 kKeyBootMenu = 0x0e;
constexpr u16 kKeyMaxCpus = 0x0f;
constexpr u16 kKeyIrq0Override = 0x8002;  // the PIT is on I/O APIC input 2

constexpr const char* kRsdpFile = "etc/acpi/rsdp";
constexpr const char* kTablesFile = "etc/acpi/tables";

Bytes number(u64 value, unsigned size) {
  Bytes out;
  append(out, value, size);
  return out;
}

}  // namespace

FwCfgContent firmware_content(const BoardDescription& board, const FirmwareOptions& options) {
  FwCfgContent out;
  const u64 cpus = board.apic_ids.size();
  u64 highest_apic_id = 0;
  for (u8 id : board.apic_ids) highest_apic_id = std::max<u64>(highest_apic_id, id);
  out.keys = {
      {kKeyUuid, Bytes(board.uuid.begin(), board.uuid.end())},
      {kKeyRamSize, number(board.ram_below_4g + board.ram_above_4g, 8)},
      {kKeyNoGraphic, number(options.graphics ? 0 : 1, 2)},
      {kKeyCpuCount, number(cpus, 2)},
      {kKeyBootMenu, number(options.boot_menu ? 1 : 0, 2)},
      // SeaBIOS takes this as one more than the highest local APIC id.
      {kKeyMaxCpus, number(highest_apic_id + 1, 2)},
      {kKeyIrq0Override, number(board.io_apic ? 1 : 0, 4)},
  };

  const AcpiTables acpi = build_acpi_tables(board);
  out.files.push_back({kRsdpFile, acpi.rsdp});
  out.files.push_back({kTablesFile, acpi.tables});
  out.files.push_back({"etc/table-loader", table_loader_script(acpi, kRsdpFile, kTablesFile)});
  SmbiosTables smbios = build_smbios_tables(board);
  out.files.push_back({"etc/smbios/smbios-anchor", std::move(smbios.anchor)});
  out.files.push_back({"etc/smbios/smbios-tables", std::move(smbios.structures)});
  out.files.push_back({"etc/e820", e820_bytes(fitted_ram_map(board))});
  // One byte per sleep state, bit 7 for "offered", low bits for the sleep type: S0 and S5 only.
  out.files.push_back({"etc/system-states", {0x80 | 5, 0, 0, 0, 0, 0x80}});

  if (!options.boot_order.empty()) {
    Bytes order;
    for (std::size_t n = 0; n < options.boot_order.size(); ++n) {
      const std::string& path = options.boot_order[n];
      append_text(order, path, path.size());
      append8(order, n + 1 < options.boot_order.size() ? '\n' : '\0');
    }
    out.files.push_back({"bootorder", order});
  }
  if (options.boot_menu) {
    out.files.push_back({"etc/show-boot-menu", number(1, 2)});
    out.files.push_back({"etc/boot-menu-wait", number(options.boot_menu_wait_ms, 4)});
  } else {
    out.files.push_back({"etc/show-boot-menu", number(0, 2)});
  }
  const u32 forever = 0xffffffff;
  out.files.push_back(
      {"etc/boot-fail-wait", number(options.boot_fail_wait_ms.value_or(forever), 4)});
  if (options.serial_console != 0) {
    out.files.push_back({"etc/sercon-port", number(options.serial_console, 2)});
  }
  if (!options.vga_rom.empty()) {
    out.files.push_back({"vgaroms/vgabios-stdvga.bin", options.vga_rom});
  }
  return out;
}

}  // namespace dragoman
