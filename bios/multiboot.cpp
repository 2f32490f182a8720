// Multiboot specification 0.6.96: header search, image loading, machine state and information.
#include "bios/multiboot.h"

#include <algorithm>

#include "bios/direct_boot.h"
#include "bios/elf_image.h"
#include "bios/ram_loader.h"

namespace dragoman {
namespace {

constexpr u32 kHeaderMagic = 0x1badb002;
constexpr u32 kLoaderMagic = 0x2badb002;
constexpr u64 kSearchBytes = 8192;
constexpr u64 kLow = 0x1000;
constexpr u64 kLowEnd = 0x9f000;

enum HeaderFlag : u32 {
  kAlignModules = 1 << 0,
  kWantMemory = 1 << 1,
  kWantVideo = 1 << 2,
  kHasAddresses = 1 << 16,
};
constexpr u32 kRequiredMask = 0xffff;  // unknown bits here must be refused

enum InfoFlag : u32 {
  kInfoMemory = 1 << 0,
  kInfoCommandLine = 1 << 2,
  kInfoModules = 1 << 3,
  kInfoMemoryMap = 1 << 6,
  kInfoLoaderName = 1 << 9,
};
constexpr std::size_t kInfoBytes = 116;

/// Loads by the addresses in the header ("a.out kludge"); returns the entry point.
Result<u64> load_by_addresses(RamLoader& loader, const DirectBoot& boot, u64 header) {
  const auto image = boot.kernel;
  const u64 header_address = peek(image, header + 12, 4);
  const u64 load = peek(image, header + 16, 4);
  const u64 load_end = peek(image, header + 20, 4);
  const u64 bss_end = peek(image, header + 24, 4);
  const u64 entry = peek(image, header + 28, 4);
  if (load > header_address || header_address - load > header) {
    return error("'{}' has impossible multiboot load addresses ({:#x} for a header at {:#x})",
                 boot.kernel_name, load, header_address);
  }
  const u64 start = header - (header_address - load);
  u64 size = image.size() - start;
  if (load_end != 0) {
    if (load_end < load || load_end - load > size) {
      return error(
          "'{}' is cut or damaged: its multiboot header loads up to {:#x}, the file "
          "reaches {:#x}",
          boot.kernel_name, load_end, load + size);
    }
    size = load_end - load;
  }
  u64 memory_size = size;
  if (bss_end != 0) {
    if (bss_end < load + size) {
      return error("'{}' is damaged: its multiboot bss ends before its data", boot.kernel_name);
    }
    memory_size = bss_end - load;
  }
  if (auto done = loader.put("kernel '" + boot.kernel_name + "'", load, image.subspan(start, size),
                             memory_size);
      !done) {
    return done.error();
  }
  if (entry - load >= memory_size) {
    return error("the multiboot entry point {:#x} of '{}' is outside what it loads", entry,
                 boot.kernel_name);
  }
  return entry;
}

Result<u64> load_image(RamLoader& loader, const DirectBoot& boot, u64 header, u32 flags) {
  if (flags & kHasAddresses) return load_by_addresses(loader, boot, header);
  const auto elf = parse_elf(boot.kernel, boot.kernel_name);
  if (!elf) return elf.error();
  if (auto done = load_elf_segments(loader, *elf, boot.kernel_name); !done) return done.error();
  return elf_physical_entry(*elf, boot.kernel_name);
}

Result<u64> put_text(RamLoader& loader, const std::string& what, const std::string& text) {
  Bytes bytes;
  append_string(bytes, text);
  return loader.put_low(what, bytes, 16, kLow, kLowEnd);
}

Result<void> add_modules(RamLoader& loader, const DirectBoot& boot, Bytes& info) {
  Bytes list;
  for (const BootModule& module : boot.modules) {
    const auto address =
        loader.put_low("boot module", *module.contents, kPageSize, kMiB, loader.top());
    if (!address) return address.error();
    const auto text = put_text(loader, "module command line", module.command_line);
    if (!text) return text.error();
    append32(list, *address);
    append32(list, *address + module.contents->size());
    append32(list, *text);
    append32(list, 0);
  }
  patch(info, 20, boot.modules.size(), 4);
  if (list.empty()) return {};
  const auto address = loader.put_low("module list", list, 16, kLow, kLowEnd);
  if (!address) return address.error();
  patch(info, 24, *address, 4);
  return {};
}

}  // namespace

std::optional<u64> find_multiboot_header(std::span<const u8> image) {
  const u64 end = std::min<u64>(image.size(), kSearchBytes);
  for (u64 offset = 0; offset + 12 <= end; offset += 4) {
    if (peek(image, offset, 4) != kHeaderMagic) continue;
    const u64 sum =
        peek(image, offset, 4) + peek(image, offset + 4, 4) + peek(image, offset + 8, 4);
    if (static_cast<u32>(sum) == 0) return offset;
  }
  return std::nullopt;
}

Result<BootState> boot_multiboot(GuestMemory& memory, const DirectBoot& boot) {
  const auto header = find_multiboot_header(boot.kernel);
  if (!header) {
    return error("'{}' has no multiboot header in its first 8 KiB", boot.kernel_name);
  }
  const u32 flags = static_cast<u32>(peek(boot.kernel, *header + 4, 4));
  const u32 known = kAlignModules | kWantMemory | kWantVideo;
  if ((flags & kRequiredMask & ~known) != 0) {
    return error("'{}' asks for multiboot features {:#x}, of which only bits 0 to 2 are known",
                 boot.kernel_name, flags & kRequiredMask);
  }
  RamLoader loader(memory, boot.tables.usable_top);
  const auto entry = load_image(loader, boot, *header, flags);
  if (!entry) return entry.error();

  Bytes info(kInfoBytes);
  patch(info, 0, kInfoMemory | kInfoCommandLine | kInfoModules | kInfoMemoryMap | kInfoLoaderName,
        4);
  const E820Map& map = boot.tables.memory_map;
  patch(info, 4, map.empty() ? 0 : map.front().bytes / kKiB, 4);
  const u64 top = boot.tables.usable_top;
  patch(info, 8, top > kMiB ? (top - kMiB) / kKiB : 0, 4);
  const std::string command_line =
      boot.command_line.empty() ? boot.kernel_name : boot.kernel_name + " " + boot.command_line;
  const auto text = put_text(loader, "kernel command line", command_line);
  if (!text) return text.error();
  patch(info, 16, *text, 4);
  if (auto done = add_modules(loader, boot, info); !done) return done.error();

  Bytes memory_map;
  for (const E820Entry& area : map) {
    append32(memory_map, 20);  // size of the rest of this entry
    append64(memory_map, area.first);
    append64(memory_map, area.bytes);
    append32(memory_map, static_cast<u32>(area.type));
  }
  const auto map_address = loader.put_low("memory map", memory_map, 16, kLow, kLowEnd);
  if (!map_address) return map_address.error();
  patch(info, 44, memory_map.size(), 4);
  patch(info, 48, *map_address, 4);
  const auto name = put_text(loader, "boot loader name", "Dragoman");
  if (!name) return name.error();
  patch(info, 64, *name, 4);
  const auto info_address = loader.put_low("multiboot information", info, 16, kLow, kLowEnd);
  if (!info_address) return info_address.error();

  BootState state;
  state.rax = kLoaderMagic;
  state.rbx = *info_address;
  if (auto done = enter_protected32(loader, state); !done) return done.error();
  state.entry = *entry;
  return state;
}

}  // namespace dragoman
