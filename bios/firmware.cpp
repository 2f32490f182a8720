#include "bios/firmware.h"

#include <algorithm>
#include <bit>
#include <filesystem>

#include "bios/file.h"

namespace dragoman {
namespace {

constexpr u64 kMinRom = 64 * kKiB;
constexpr u64 kLowRom = 128 * kKiB;
constexpr u64 kMaxOptionRom = 255 * 512;

Result<RomImage> find(const std::string& name, const std::string& purpose,
                      const std::vector<std::string>& directories, u64 max_bytes) {
  std::vector<std::string> candidates{name};
  if (!name.empty() && name.front() != '/') {
    for (const std::string& directory : directories) candidates.push_back(directory + "/" + name);
  }
  for (const std::string& path : candidates) {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) continue;
    auto bytes = read_whole_file(path, purpose, max_bytes);
    if (!bytes) return bytes.error();
    return RomImage{path, bytes.take()};
  }
  std::string places = "here";
  for (const std::string& directory : directories) places += ", in " + directory;
  return error("the {} '{}' was not found {}; install the package seabios or give a full path",
               purpose, name, places);
}

}  // namespace

std::vector<std::string> firmware_directories() {
  return {"/usr/share/seabios", "/usr/share/qemu"};
}

Result<void> check_firmware(const std::string& path, std::span<const u8> bytes) {
  if (bytes.empty() || bytes.size() % kMinRom != 0 || bytes.size() > kMaxFirmwareBytes) {
    return error(
        "the firmware image '{}' has {} bytes; a multiple of 64 KiB up to 16 MiB is needed, so it "
        "is cut or no firmware",
        path, bytes.size());
  }
  // The processor starts 16 bytes below the end of the image.
  const auto vector = bytes.last(16);
  const auto blank = [](u8 b) { return b == 0x00 || b == 0xff; };
  if (std::all_of(vector.begin(), vector.begin() + 3, blank)) {
    return error(
        "the firmware image '{}' has no code at its reset vector (16 bytes before the end); it is "
        "damaged or no x86 firmware",
        path);
  }
  return {};
}

Result<RomImage> load_firmware(const std::string& name,
                               const std::vector<std::string>& directories) {
  auto image = find(name, "firmware image", directories, kMaxFirmwareBytes);
  if (!image) return image;
  if (auto good = check_firmware(image->path, image->bytes); !good) return good.error();
  return image;
}

Result<void> check_option_rom(const std::string& path, std::span<const u8> bytes) {
  if (bytes.size() < 3 || bytes[0] != 0x55 || bytes[1] != 0xaa) {
    return error("the option ROM '{}' does not begin with 55h AAh; it is no option ROM", path);
  }
  const u64 length = bytes[2] * u64{512};
  if (length == 0 || length > bytes.size()) {
    return error("the option ROM '{}' has {} bytes, but its header says {}; it is cut", path,
                 bytes.size(), length);
  }
  return {};
}

Result<RomImage> load_option_rom(const std::string& name,
                                 const std::vector<std::string>& directories) {
  auto image = find(name, "option ROM", directories, kMaxFirmwareBytes);
  if (!image) return image;
  if (auto good = check_option_rom(image->path, image->bytes); !good) return good.error();
  const u64 length = std::min(image->bytes[2] * u64{512}, kMaxOptionRom);
  image->bytes.resize(length);
  return image;
}

u32 option_rom_bar_size(std::span<const u8> rom) {
  return std::max<u32>(2048, std::bit_ceil(static_cast<u32>(rom.size())));
}

PlacedFirmware place_firmware(MemoryMap& map, const RomImage& image) {
  PlacedFirmware placed;
  placed.bytes = image.bytes.size();
  placed.host = map.memory().allocate(placed.bytes);
  std::copy(image.bytes.begin(), image.bytes.end(), placed.host);
  placed.high = map.add_memory("firmware", PhysicalAddress(4 * kGiB - placed.bytes), placed.bytes,
                               placed.host, true, false, MemoryMap::kPriorityRom);
  const u64 low = std::min(placed.bytes, kLowRom);
  placed.low =
      map.add_memory("firmware below 1 MiB", PhysicalAddress(kMiB - low), low,
                     placed.host + placed.bytes - low, true, false, MemoryMap::kPriorityRom);
  return placed;
}

}  // namespace dragoman
