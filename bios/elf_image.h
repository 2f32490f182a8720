// ELF executables for x86 (System V ABI, ELF header and program headers), as far as loading
// a kernel needs them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "bios/bytes.h"
#include "bios/ram_loader.h"

namespace dragoman {

struct ElfSegment {
  std::span<const u8> bytes;
  u64 physical = 0;
  u64 linear = 0;
  u64 memory_size = 0;
};

struct ElfImage {
  bool is64 = false;
  u64 entry = 0;
  std::vector<ElfSegment> segments;  ///< PT_LOAD with a size
  std::optional<u32> pvh_entry;      ///< Xen note PHYS32_ENTRY
  // Section headers, for multiboot's symbol information.
  u32 section_count = 0;
  u32 section_entry_size = 0;
  u32 section_names_index = 0;
  std::span<const u8> section_headers;
};

bool is_elf(std::span<const u8> file);

/// Checks and takes apart an executable for the i386 or x86-64; `name` is for messages.
Result<ElfImage> parse_elf(std::span<const u8> file, const std::string& name);

/// Copies all segments to their physical addresses.
Result<void> load_elf_segments(RamLoader& loader, const ElfImage& elf, const std::string& name);

/// The physical address of the entry point: many kernels give the linear one.
Result<u64> elf_physical_entry(const ElfImage& elf, const std::string& name);

}  // namespace dragoman
