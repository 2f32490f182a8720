// Firmware and option ROM images: search, checks, placement.
#include "bios/firmware.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace dragoman {
namespace {

class FirmwareTest : public ::testing::Test {
 protected:
  FirmwareTest() {
    directory =
        std::filesystem::temp_directory_path() / ("dragoman_firmware_" + std::to_string(getpid()));
    std::filesystem::create_directories(directory);
  }
  ~FirmwareTest() override { std::filesystem::remove_all(directory); }
  std::string write(const std::string& name, const Bytes& bytes) {
    const std::string path = directory / name;
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    return path;
  }
  static Bytes rom(u64 size) {
    Bytes bytes(size);
    for (u64 n = 0; n < size; n += 4096) bytes[n] = static_cast<u8>(n >> 12);
    bytes[size - 16] = 0xea;
    return bytes;
  }
  std::filesystem::path directory;
};

TEST_F(FirmwareTest, SearchesTheDirectories) {
  write("x.bin", rom(64 * kKiB));
  const auto found = load_firmware("x.bin", {"/nonexistent", directory.string()});
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->path, (directory / "x.bin").string());
  EXPECT_TRUE(load_firmware((directory / "x.bin").string(), {}).ok());
}

TEST_F(FirmwareTest, BadImagesGiveSentences) {
  const auto message = [&](const std::string& path) {
    const auto result = load_firmware(path, {});
    return result.ok() ? std::string() : result.error().message;
  };
  EXPECT_NE(message("no-such-bios.bin").find("was not found"), std::string::npos);
  EXPECT_NE(message(write("empty", {})).find("is empty"), std::string::npos);
  EXPECT_NE(message(write("odd", Bytes(64 * kKiB - 1, 1))).find("multiple of 64 KiB"),
            std::string::npos);
  EXPECT_NE(message(write("blank", Bytes(64 * kKiB))).find("reset vector"), std::string::npos);
  EXPECT_NE(message(write("huge", Bytes(17 * kMiB, 1))).find("larger than"), std::string::npos);
  EXPECT_NE(message(directory.string()).find("not a readable file"), std::string::npos);
}

TEST_F(FirmwareTest, OptionRoms) {
  Bytes bytes(2048);
  bytes[0] = 0x55;
  bytes[1] = 0xaa;
  bytes[2] = 3;
  const auto image = load_option_rom(write("good", bytes), {});
  ASSERT_TRUE(image.ok()) << image.error().message;
  EXPECT_EQ(image->bytes.size(), 1536u);
  EXPECT_EQ(option_rom_bar_size(image->bytes), 2048u);
  EXPECT_EQ(option_rom_bar_size(Bytes(39936)), 65536u);
  bytes[2] = 5;
  EXPECT_FALSE(load_option_rom(write("cut", bytes), {}).ok());
  bytes[2] = 0;
  EXPECT_FALSE(load_option_rom(write("zero", bytes), {}).ok());
  EXPECT_FALSE(load_option_rom(write("short", {0x55, 0xaa}), {}).ok());
  bytes[1] = 0;
  EXPECT_FALSE(load_option_rom(write("plain", bytes), {}).ok());
}

TEST_F(FirmwareTest, ImageEndsAt4GiBAndAt1MiB) {
  auto memory = GuestMemory::create(4 * kMiB).take();
  Log log;
  MemoryMap map(*memory, log);
  const PlacedFirmware placed = place_firmware(map, {"test", rom(256 * kKiB)});
  EXPECT_EQ(placed.bytes, 256 * kKiB);
  EXPECT_EQ(map.read(PhysicalAddress(0xfffffff0), 1), 0xeau);
  EXPECT_EQ(map.read(PhysicalAddress(0xffff0), 1), 0xeau);
  EXPECT_EQ(map.read(PhysicalAddress(0xfffc1000), 1), 1u) << "the whole image below 4 GiB";
  EXPECT_EQ(map.read(PhysicalAddress(0xe0000), 1), 32u) << "its last 128 KiB below 1 MiB";
  EXPECT_EQ(map.read(PhysicalAddress(0xdffff), 1), 0xffu);
  map.write(PhysicalAddress(0xffff0), 1, 0);
  EXPECT_EQ(map.read(PhysicalAddress(0xfffffff0), 1), 0xeau) << "ROM is not written";
}

TEST_F(FirmwareTest, SmallImageShowsOnceBelow1MiB) {
  auto memory = GuestMemory::create(4 * kMiB).take();
  Log log;
  MemoryMap map(*memory, log);
  place_firmware(map, {"test", rom(64 * kKiB)});
  EXPECT_EQ(map.read(PhysicalAddress(0xf1000), 1), 1u);
  EXPECT_EQ(map.read(PhysicalAddress(0xe1000), 1), 0xffu);
}

TEST_F(FirmwareTest, InstalledSeaBios) {
  if (!std::filesystem::exists("/usr/share/seabios/bios-256k.bin")) {
    GTEST_SKIP() << "the package seabios is not installed";
  }
  const auto bios = load_firmware(kDefaultFirmware);
  ASSERT_TRUE(bios.ok()) << bios.error().message;
  EXPECT_EQ(bios->bytes.size(), 256 * kKiB);
  const auto vga = load_option_rom(kDefaultVgaRom);
  ASSERT_TRUE(vga.ok()) << vga.error().message;
  EXPECT_EQ(byte_sum(vga->bytes), 0);
}

}  // namespace
}  // namespace dragoman
