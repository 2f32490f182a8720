// SMBIOS, MP table, E820, fw_cfg content and placement without firmware.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "bios/direct_boot.h"
#include "bios/e820.h"
#include "bios/fw_cfg_content.h"
#include "bios/mp_table.h"
#include "bios/smbios.h"

namespace dragoman {
namespace {

TEST(Board, RamSplitsAtThePciHole) {
  BoardDescription board;
  split_ram(board, 2 * kGiB);
  EXPECT_EQ(board.ram_below_4g, 2 * kGiB);
  EXPECT_EQ(board.ram_above_4g, 0u);
  split_ram(board, 4 * kGiB);
  EXPECT_EQ(board.ram_below_4g, 3 * kGiB);
  EXPECT_EQ(board.ram_above_4g, 1 * kGiB);
}

TEST(Board, PciPinsRotateOverTheRoutes) {
  EXPECT_EQ(pirq_of_slot(1, 0), 0u);
  EXPECT_EQ(pirq_of_slot(1, 3), 3u);
  EXPECT_EQ(pirq_of_slot(3, 0), 2u);
  EXPECT_EQ(pirq_of_slot(4, 1), 0u);
}

TEST(E820, ConfigurationSpaceIsReserved) {
  BoardDescription board;
  split_ram(board, 4 * kGiB, 0xb0000000);
  board.configuration_space = 0xb0000000;
  u64 end = 0;
  bool reserved = false;
  for (const E820Entry& entry : direct_boot_map(board, 0x20000)) {
    EXPECT_GE(entry.first, end);
    end = entry.first + entry.bytes;
    reserved |=
        entry.first == 0xb0000000 && entry.bytes == 0x10000000 && entry.type == E820Type::kReserved;
  }
  EXPECT_TRUE(reserved);
  EXPECT_EQ(end, 4 * kGiB + (4 * kGiB - 0xb0000000));
}

TEST(E820, MapsAreSortedAndDisjoint) {
  BoardDescription board;
  split_ram(board, 4 * kGiB);
  for (const E820Map& map : {fitted_ram_map(board), direct_boot_map(board, 0x20000)}) {
    u64 end = 0;
    for (const E820Entry& entry : map) {
      EXPECT_GE(entry.first, end);
      EXPECT_GT(entry.bytes, 0u);
      end = entry.first + entry.bytes;
    }
    EXPECT_EQ(end, 5 * kGiB);
  }
  const E820Map map = direct_boot_map(board, 0x20000);
  EXPECT_EQ(map[3].first + map[3].bytes, 3 * kGiB - 0x20000);
  EXPECT_EQ(map[4].type, E820Type::kReserved);
  const Bytes bytes = e820_bytes(fitted_ram_map(board));
  ASSERT_EQ(bytes.size(), 40u);
  EXPECT_EQ(peek(bytes, 20, 8), 4 * kGiB);
  EXPECT_EQ(peek(bytes, 28, 8), 1 * kGiB);
  EXPECT_EQ(peek(bytes, 36, 4), 1u);
}

TEST(Smbios, StructuresAndChecksums) {
  BoardDescription board;
  split_ram(board, 20 * kGiB);
  board.apic_ids = {0, 1};
  for (unsigned i = 0; i < 16; ++i) board.uuid[i] = static_cast<u8>(i);
  SmbiosTables tables = build_smbios_tables(board);
  relocate_smbios_tables(tables, 0x12340);
  ASSERT_EQ(tables.anchor.size(), 31u);
  EXPECT_EQ(byte_sum(tables.anchor), 0);
  EXPECT_EQ(byte_sum(std::span(tables.anchor).subspan(16)), 0);
  EXPECT_EQ(peek(tables.anchor, 0x18, 4), 0x12340u);
  EXPECT_EQ(peek(tables.anchor, 0x16, 2), tables.structures.size());

  std::map<u64, unsigned> types;
  u64 offset = 0;
  u64 largest = 0;
  unsigned count = 0;
  const Bytes& s = tables.structures;
  while (offset + 4 <= s.size()) {
    const u64 start = offset;
    const u64 type = s[offset];
    if (type == 1) {
      EXPECT_EQ(peek(s, offset + 8, 4), 0x00010203u);  // first UUID field, little endian
      EXPECT_EQ(peek(s, offset + 16, 2), 0x0908u);
    }
    ++types[type];
    ++count;
    offset += s[offset + 1];
    while (offset + 1 < s.size() && (s[offset] != 0 || s[offset + 1] != 0)) ++offset;
    offset += 2;
    largest = std::max(largest, offset - start);
  }
  EXPECT_EQ(offset, s.size());
  EXPECT_EQ(peek(tables.anchor, 0x1c, 2), count);
  EXPECT_EQ(peek(tables.anchor, 8, 2), largest);
  EXPECT_EQ(
      types,
      (std::map<u64, unsigned>{
          {0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 2}, {16, 1}, {17, 2}, {19, 2}, {32, 1}, {127, 1}}));
}

TEST(MpTable, EntriesAddUp) {
  BoardDescription board;
  board.apic_ids = {0, 1};
  const Bytes table = build_mp_table(board, 0xf0100);
  EXPECT_EQ(byte_sum(std::span(table).first(16)), 0);
  EXPECT_EQ(peek(table, 4, 4), 0xf0110u);
  const auto config = std::span<const u8>(table).subspan(16);
  EXPECT_EQ(byte_sum(config), 0);
  ASSERT_EQ(peek(config, 4, 2), config.size());
  u64 offset = 44;
  unsigned count = 0;
  std::map<u64, unsigned> kinds;
  bool pit_on_input_2 = false;
  while (offset < config.size()) {
    const u64 kind = config[offset];
    ++kinds[kind];
    ++count;
    if (kind == 3 && config[offset + 4] == 1 && config[offset + 5] == 0) {
      pit_on_input_2 = config[offset + 7] == 2;
    }
    offset += kind == 0 ? 20 : 8;
  }
  EXPECT_EQ(offset, config.size());
  EXPECT_EQ(peek(config, 34, 2), count);
  EXPECT_EQ(kinds[0], 2u);
  EXPECT_EQ(kinds[1], 2u);
  EXPECT_EQ(kinds[2], 1u);
  EXPECT_EQ(kinds[4], 2u);
  EXPECT_TRUE(pit_on_input_2);
}

TEST(FirmwareContent, HasWhatSeaBiosReads) {
  BoardDescription board;
  split_ram(board, 5 * kGiB);
  board.apic_ids = {0, 1, 2};
  FirmwareOptions options;
  options.boot_order = {"/pci@i0cf8/ide@1,1/drive@0/disk@0", "/rom@genroms/x"};
  options.boot_menu = true;
  options.serial_console = 0x3f8;
  options.vga_rom = {0x55, 0xaa, 1};
  const FwCfgContent content = firmware_content(board, options);
  std::map<std::string, Bytes> files;
  for (const FwCfgFile& file : content.files) {
    EXPECT_LE(file.name.size(), 55u);
    EXPECT_TRUE(files.emplace(file.name, file.bytes).second) << file.name << " is there twice";
  }
  for (const char* name :
       {"etc/acpi/rsdp", "etc/acpi/tables", "etc/table-loader", "etc/smbios/smbios-anchor",
        "etc/smbios/smbios-tables", "etc/e820", "etc/system-states", "etc/boot-menu-wait"}) {
    EXPECT_TRUE(files.contains(name)) << name;
  }
  const std::string order(files["bootorder"].begin(), files["bootorder"].end());
  EXPECT_EQ(order, std::string("/pci@i0cf8/ide@1,1/drive@0/disk@0\n/rom@genroms/x\0", 49));
  EXPECT_EQ(peek(files["etc/boot-fail-wait"], 0, 4), 0xffffffffu);
  EXPECT_EQ(peek(files["etc/sercon-port"], 0, 8), 0x3f8u);
  EXPECT_EQ(files["vgaroms/vgabios-stdvga.bin"].size(), 3u);
  EXPECT_EQ(files["etc/system-states"][3] & 0x80, 0) << "no S3";

  std::map<u16, Bytes> keys;
  for (const FwCfgKey& key : content.keys) keys[key.key] = key.bytes;
  EXPECT_EQ(peek(keys[5], 0, 2), 3u);
  EXPECT_EQ(peek(keys[0xf], 0, 2), 3u);
  EXPECT_EQ(peek(keys[3], 0, 8), 5 * kGiB);
}

TEST(PlaceTables, AnchorsLeadToTables) {
  auto memory = GuestMemory::create(16 * kMiB).take();
  BoardDescription board;
  split_ram(board, 16 * kMiB);
  const auto placed = place_tables(*memory, board);
  ASSERT_TRUE(placed.ok()) << placed.error().message;
  const std::span<const u8> ram = memory->ram_span();
  EXPECT_LT(placed->usable_top, 16 * kMiB);
  EXPECT_EQ(placed->usable_top % kPageSize, 0u);
  EXPECT_EQ(byte_sum(ram.subspan(placed->rsdp, 36)), 0);
  const u64 xsdt = peek(ram, placed->rsdp + 24, 8);
  ASSERT_GE(xsdt, placed->usable_top);
  EXPECT_EQ(peek(ram, xsdt, 4), 0x54445358u);
  EXPECT_EQ(byte_sum(ram.subspan(xsdt, peek(ram, xsdt + 4, 4))), 0);
  EXPECT_EQ(peek(ram, 0xf0000, 4), 0x5f4d535fu);
  EXPECT_GE(peek(ram, 0xf0018, 4), placed->usable_top);
  EXPECT_EQ(peek(ram, 0xf0100, 4), 0x5f504d5fu);

  board.ram_below_4g = kMiB;
  EXPECT_FALSE(place_tables(*memory, board).ok());
  board.ram_below_4g = 64 * kMiB;  // more than there is
  EXPECT_FALSE(place_tables(*memory, board).ok());
}

}  // namespace
}  // namespace dragoman
