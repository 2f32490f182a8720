// Xen PVH start (xen/include/public/arch-x86/hvm/start_info.h) and plain ELF kernels.
#include "bios/direct_boot.h"
#include "bios/elf_image.h"
#include "bios/ram_loader.h"

namespace dragoman {
namespace {

constexpr u32 kStartInfoMagic = 0x336ec578;
constexpr u64 kLow = 0x1000;
constexpr u64 kLowEnd = 0x9f000;

/// Puts the hvm_start_info structure and all it points to into RAM; returns its address.
Result<u64> put_start_info(RamLoader& loader, const DirectBoot& boot) {
  const auto put_text = [&](const std::string& what, const std::string& text) {
    Bytes bytes;
    append_string(bytes, text);
    return loader.put_low(what, bytes, 16, kLow, kLowEnd);
  };
  const auto command_line = put_text("kernel command line", boot.command_line);
  if (!command_line) return command_line.error();

  Bytes module_list;
  for (const BootModule& module : boot.modules) {
    const auto address =
        loader.put_high("boot module", *module.contents, kPageSize, kMiB, loader.top());
    if (!address) return address.error();
    const auto text = put_text("module command line", module.command_line);
    if (!text) return text.error();
    append64(module_list, *address);
    append64(module_list, module.contents->size());
    append64(module_list, *text);
    append64(module_list, 0);
  }
  u64 module_list_address = 0;
  if (!module_list.empty()) {
    const auto address = loader.put_low("module list", module_list, 16, kLow, kLowEnd);
    if (!address) return address.error();
    module_list_address = *address;
  }

  Bytes map;
  for (const E820Entry& entry : boot.tables.memory_map) {
    append64(map, entry.first);
    append64(map, entry.bytes);
    append32(map, static_cast<u32>(entry.type));
    append32(map, 0);
  }
  const auto map_address = loader.put_low("memory map", map, 16, kLow, kLowEnd);
  if (!map_address) return map_address.error();

  Bytes info;
  append32(info, kStartInfoMagic);
  append32(info, 1);  // version
  append32(info, 0);  // flags
  append32(info, boot.modules.size());
  append64(info, module_list_address);
  append64(info, *command_line);
  append64(info, boot.tables.rsdp);
  append64(info, *map_address);
  append32(info, boot.tables.memory_map.size());
  append32(info, 0);
  return loader.put_low("start information", info, 16, kLow, kLowEnd);
}

}  // namespace

Result<BootState> boot_elf(GuestMemory& memory, const DirectBoot& boot) {
  const auto elf = parse_elf(boot.kernel, boot.kernel_name);
  if (!elf) return elf.error();
  RamLoader loader(memory, boot.tables.usable_top);
  if (auto done = load_elf_segments(loader, *elf, boot.kernel_name); !done) return done.error();

  BootState state;
  const auto info = put_start_info(loader, boot);
  if (!info) return info.error();
  state.rbx = *info;
  if (elf->pvh_entry) {
    state.entry = *elf->pvh_entry;
    if (!loader.holds(state.entry)) {
      return error("the PVH entry point {:#x} of '{}' is outside everything it loads", state.entry,
                   boot.kernel_name);
    }
  } else {
    const auto entry = elf_physical_entry(*elf, boot.kernel_name);
    if (!entry) return entry.error();
    state.entry = *entry;
  }
  const bool long_mode = elf->is64 && !elf->pvh_entry;
  const auto entered = long_mode ? enter_long64(loader, state) : enter_protected32(loader, state);
  if (!entered) return entered.error();
  return state;
}

}  // namespace dragoman
