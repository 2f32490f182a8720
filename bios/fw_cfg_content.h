// What SeaBIOS asks the fw_cfg device for, as plain keys and files.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bios/board_description.h"
#include "bios/bytes.h"

namespace dragoman {

struct FwCfgKey {
  u16 key = 0;
  Bytes bytes;
};
struct FwCfgFile {
  std::string name;
  Bytes bytes;
};
struct FwCfgContent {
  std::vector<FwCfgKey> keys;
  std::vector<FwCfgFile> files;
};

struct FirmwareOptions {
  /// Open Firmware device paths in the order in which to boot from them, for example
  /// "/pci@i0cf8/ide@1,1/drive@0/disk@0" or "/pci@i0cf8/isa@1/fdc@03f0/floppy@0".
  std::vector<std::string> boot_order;
  bool boot_menu = false;        ///< offer a menu ...
  u32 boot_menu_wait_ms = 2500;  ///< ... for so long
  /// What to do when nothing boots: restart after so many milliseconds, or wait for ever.
  std::optional<u32> boot_fail_wait_ms;
  bool graphics = true;
  /// Serial port for SeaBIOS's text console, 0 for none.
  u16 serial_console = 0;
  /// VGA BIOS to hand over as a file instead of through a PCI ROM BAR; empty for none.
  Bytes vga_rom;
};

/// Keys and files for `board`: processors, memory map, ACPI with its table-loader script, SMBIOS,
/// boot order and menu.
FwCfgContent firmware_content(const BoardDescription& board, const FirmwareOptions& options);

}  // namespace dragoman
