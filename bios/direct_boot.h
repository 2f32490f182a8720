// Starting an operating system without firmware: tables in RAM, a kernel image, its command line
// and modules, and the processor state its boot protocol asks for.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bios/board_description.h"
#include "bios/boot_module.h"
#include "bios/boot_state.h"
#include "bios/bytes.h"
#include "bios/e820.h"
#include "memory/guest_memory.h"

namespace dragoman {

/// Tables as placed in guest RAM for a start without firmware.
struct PlacedTables {
  u64 rsdp = 0;  ///< address of the ACPI root pointer, in F0000h..FFFFFh
  E820Map memory_map;
  u64 usable_top = 0;  ///< RAM below 4 GiB that is free for images ends here
};

/// Puts ACPI, SMBIOS and MP tables into RAM: anchors at F0000h, tables in the last pages of the
/// RAM below 4 GiB. The board must make F0000h..FFFFFh show RAM (PAM0 = 30h).
Result<PlacedTables> place_tables(GuestMemory& memory, const BoardDescription& board);

/// "file args,file args": what -initrd means for multiboot and PVH kernels. A comma inside is
/// written twice.
struct ModuleName {
  std::string path;
  std::string command_line;
};
std::vector<ModuleName> parse_module_list(std::string_view text);

struct DirectBoot {
  std::span<const u8> kernel;
  std::string kernel_name;  ///< for messages and as the first word of a multiboot command line
  std::string command_line;
  std::span<const BootModule> modules;
  PlacedTables tables;
  bool vga_text = true;  ///< an 80 x 25 text screen is at B8000h
};

/// Linux kernel by the Linux/x86 boot protocol (2.02 or later, bzImage).
Result<BootState> boot_linux(GuestMemory& memory, const DirectBoot& boot);
/// Multiboot specification 0.6.96.
Result<BootState> boot_multiboot(GuestMemory& memory, const DirectBoot& boot);
/// ELF with the Xen note PHYS32_ENTRY (PVH), else at its entry point: 32-bit protected mode for
/// ELF32, 64-bit mode for ELF64.
Result<BootState> boot_elf(GuestMemory& memory, const DirectBoot& boot);

/// Recognizes the kernel's format and calls the matching loader.
Result<BootState> boot_kernel(GuestMemory& memory, const DirectBoot& boot);

}  // namespace dragoman
