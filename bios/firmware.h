// Finding firmware images on the host and placing them in the physical address space.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "bios/bytes.h"
#include "memory/memory_map.h"

namespace dragoman {

inline constexpr const char* kDefaultFirmware = "bios-256k.bin";
inline constexpr const char* kDefaultVgaRom = "vgabios-stdvga.bin";
inline constexpr u64 kMaxFirmwareBytes = 16 * kMiB;

/// Where images are looked for after the name as given: /usr/share/seabios, /usr/share/qemu.
std::vector<std::string> firmware_directories();

struct RomImage {
  std::string path;
  Bytes bytes;
};

/// System firmware: a multiple of 64 KiB, at most 16 MiB, with something at the reset vector.
Result<RomImage> load_firmware(
    const std::string& name, const std::vector<std::string>& directories = firmware_directories());

/// Checks what load_firmware() checks; `path` is for the message only.
Result<void> check_firmware(const std::string& path, std::span<const u8> bytes);

/// Option ROM: 55h AAh, its length in the third byte, cut to that length. A PCI ROM BAR shows it
/// padded to the power of two option_rom_bar_size().
Result<RomImage> load_option_rom(
    const std::string& name, const std::vector<std::string>& directories = firmware_directories());
Result<void> check_option_rom(const std::string& path, std::span<const u8> bytes);
u32 option_rom_bar_size(std::span<const u8> rom);

/// Memory map ranges of a placed firmware image.
struct PlacedFirmware {
  u8* host = nullptr;
  u64 bytes = 0;
  RangeId high = 0;  ///< the whole image, ending at 4 GiB
  RangeId low = 0;   ///< its last 128 KiB (or 64 KiB, if that is all) ending at 1 MiB
};

/// Copies the image into ROM pages of the pool and shows them, read-only.
PlacedFirmware place_firmware(MemoryMap& map, const RomImage& image);

}  // namespace dragoman
