// ACPI tables: checksums, lengths, pointers, AML structure, the loader script.
#include "bios/acpi.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "bios/aml.h"
#include "bios/dsdt.h"

namespace dragoman {
namespace {

constexpr u64 kBase = 0x7ffe0000;

BoardDescription full_board() {
  BoardDescription board;
  split_ram(board, 6 * kGiB);
  board.apic_ids = {0, 1, 2, 3};
  board.floppy = true;
  board.serial_ports = {0x3f8, 0x2f8};
  board.parallel_ports = {0x378};
  board.gpe0_block = 0x60c;
  board.gpe0_length = 4;
  board.pci_window64_first = 0x200000000;
  board.pci_window64_size = 0x100000000;
  return board;
}

/// As the board q35 describes itself.
BoardDescription express_board() {
  BoardDescription board;
  split_ram(board, 4 * kGiB, 0xb0000000);
  board.configuration_space = 0xb0000000;
  board.pci_window_first = 0xc0000000;
  board.chipset_registers = 0xfed1c000;
  board.chipset_register_bytes = 0x4000;
  board.pirqs = 8;
  board.pirq_wiring = [](unsigned slot, unsigned pin) {
    return slot < 25 ? 4 + ((slot + pin) & 3) : pin;
  };
  board.pirq_input = 16;
  board.sci_is_inta_of_slot1 = false;
  board.isa_bridge = 0x001f0000;
  board.pm_bytes = 0x80;
  board.working_type = 0;
  board.soft_off_type = 7;
  board.smbus_base = 0;
  board.gpe0_block = 0x620;
  board.gpe0_length = 16;
  return board;
}

std::string text(std::span<const u8> bytes, u64 offset, u64 count) {
  std::string out;
  for (u64 i = 0; i < count; ++i) out += static_cast<char>(peek(bytes, offset + i, 1));
  return out;
}

/// Tables by signature, found the way an operating system does: RSDP, XSDT, FADT.
std::map<std::string, std::span<const u8>> walk(const AcpiTables& t) {
  std::map<std::string, std::span<const u8>> found;
  const std::span<const u8> all(t.tables);
  const auto table = [&](u64 address) {
    const u64 offset = address - kBase;
    EXPECT_LT(offset, all.size());
    if (offset >= all.size()) return;
    const u64 length = peek(all, offset + 4, 4);
    EXPECT_LE(length, all.size() - offset);
    found[text(all, offset, 4)] = all.subspan(offset, std::min(length, all.size() - offset));
  };
  table(peek(t.rsdp, 16, 4));
  table(peek(t.rsdp, 24, 8));
  const auto xsdt = found["XSDT"];
  for (u64 offset = 36; offset + 8 <= xsdt.size(); offset += 8) table(peek(xsdt, offset, 8));
  const auto fadt = found["FACP"];
  table(peek(fadt, 36, 4));
  table(peek(fadt, 40, 4));
  return found;
}

AcpiTables placed(const BoardDescription& board) {
  AcpiTables tables = build_acpi_tables(board);
  relocate_acpi_tables(tables, kBase);
  return tables;
}

TEST(Acpi, EveryTableIsReachableAndSumsToZero) {
  const AcpiTables tables = placed(full_board());
  EXPECT_EQ(byte_sum(std::span(tables.rsdp).first(20)), 0);
  EXPECT_EQ(byte_sum(tables.rsdp), 0);
  EXPECT_EQ(text(tables.rsdp, 0, 8), "RSD PTR ");
  const auto found = walk(tables);
  for (const char* signature : {"RSDT", "XSDT", "FACP", "FACS", "DSDT", "APIC", "HPET", "WAET"}) {
    ASSERT_TRUE(found.contains(signature)) << signature;
    if (std::string(signature) != "FACS") {
      EXPECT_EQ(byte_sum(found.at(signature)), 0) << signature;
      EXPECT_NE(peek(found.at(signature), 9, 1) + peek(found.at(signature), 10, 1), 0u);
    }
  }
  EXPECT_EQ((peek(found.at("FACP"), 36, 4)) % 64, 0u) << "the FACS is aligned";
  // RSDT and XSDT name the same tables.
  const auto rsdt = found.at("RSDT");
  const auto xsdt = found.at("XSDT");
  ASSERT_EQ((rsdt.size() - 36) / 4, (xsdt.size() - 36) / 8);
  for (u64 n = 0; n < (rsdt.size() - 36) / 4; ++n) {
    EXPECT_EQ(peek(rsdt, 36 + 4 * n, 4), peek(xsdt, 36 + 8 * n, 8));
  }
}

TEST(Acpi, FadtDescribesThePiix4) {
  const AcpiTables tables = placed(full_board());
  const auto fadt = walk(tables).at("FACP");
  ASSERT_EQ(fadt.size(), 244u);
  EXPECT_EQ(peek(fadt, 8, 1), 3u);
  EXPECT_EQ(peek(fadt, 46, 2), 9u);
  EXPECT_EQ(peek(fadt, 48, 4), 0xb2u);
  EXPECT_EQ(peek(fadt, 52, 2), 0xf0f1u);
  EXPECT_EQ(peek(fadt, 56, 4), 0x600u);
  EXPECT_EQ(peek(fadt, 64, 4), 0x604u);
  EXPECT_EQ(peek(fadt, 76, 4), 0x608u);
  EXPECT_EQ(peek(fadt, 80, 4), 0x60cu);
  EXPECT_EQ(peek(fadt, 108, 1), 0x32u);
  EXPECT_EQ(peek(fadt, 109, 2), 3u) << "legacy devices and 8042";
  EXPECT_EQ(peek(fadt, 112, 4) & 0x110, 0u) << "fixed power button, 24-bit timer";
  EXPECT_EQ(peek(fadt, 120, 8), 0xcf9u);
  EXPECT_EQ(peek(fadt, 128, 1), 6u);
  EXPECT_EQ(peek(fadt, 140, 8), peek(fadt, 40, 4));
  for (const auto& [wide, narrow] : {std::pair{148, 56}, {172, 64}, {208, 76}, {220, 80}}) {
    EXPECT_EQ(peek(fadt, static_cast<u64>(wide) + 4, 8), peek(fadt, static_cast<u64>(narrow), 4));
  }
}

TEST(Acpi, MadtListsProcessorsAndOverrides) {
  const AcpiTables tables = placed(full_board());
  const auto madt = walk(tables).at("APIC");
  std::vector<u64> apics;
  std::map<u64, std::pair<u64, u64>> overrides;
  unsigned io_apics = 0;
  unsigned nmis = 0;
  u64 offset = 44;
  while (offset < madt.size()) {
    const u64 type = peek(madt, offset, 1);
    const u64 length = peek(madt, offset + 1, 1);
    ASSERT_GE(length, 2u);
    if (type == 0) apics.push_back(peek(madt, offset + 3, 1));
    if (type == 1) ++io_apics;
    if (type == 2) {
      overrides[peek(madt, offset + 3, 1)] = {peek(madt, offset + 4, 4), peek(madt, offset + 8, 2)};
    }
    if (type == 4) ++nmis;
    offset += length;
  }
  EXPECT_EQ(offset, madt.size());
  EXPECT_EQ(apics, (std::vector<u64>{0, 1, 2, 3}));
  EXPECT_EQ(io_apics, 1u);
  EXPECT_EQ(nmis, 1u);
  EXPECT_EQ(overrides.at(0), (std::pair<u64, u64>{2, 0}));
  EXPECT_EQ(overrides.at(9), (std::pair<u64, u64>{9, 0xd}));
  EXPECT_EQ(overrides.at(10), (std::pair<u64, u64>{10, 0xd}));
}

TEST(Acpi, TablesFollowTheBoard) {
  BoardDescription board;
  board.hpet = false;
  board.ps2_keyboard = board.ps2_mouse = board.rtc = board.vga = board.msi = false;
  board.reset_register = false;
  board.ram_below_4g = 16 * kMiB;
  const AcpiTables tables = placed(board);
  const auto found = walk(tables);
  EXPECT_FALSE(found.contains("HPET"));
  const auto fadt = found.at("FACP");
  EXPECT_EQ(peek(fadt, 109, 2), 0x2du);
  EXPECT_EQ(peek(fadt, 112, 4) & 0x400, 0u);
  EXPECT_EQ(peek(fadt, 116, 12), 0u);
  EXPECT_EQ(peek(fadt, 80, 4), 0u);
}

TEST(Acpi, McfgNamesTheConfigurationSpace) {
  const AcpiTables tables = placed(express_board());
  const auto found = walk(tables);
  EXPECT_FALSE(walk(placed(full_board())).contains("MCFG"));
  const auto mcfg = found.at("MCFG");
  ASSERT_EQ(mcfg.size(), 60u);
  EXPECT_EQ(byte_sum(mcfg), 0);
  EXPECT_EQ(peek(mcfg, 44, 8), 0xb0000000u);
  EXPECT_EQ(peek(mcfg, 52, 4), 0xff000000u) << "segment 0, buses 0 to 255";
  const auto fadt = found.at("FACP");
  EXPECT_EQ(peek(fadt, 80, 4), 0x620u);
  EXPECT_EQ(peek(fadt, 92, 1), 16u);
  // PIRQs have inputs of their own, so ISA interrupts 10 and 11 stay what they are.
  const auto madt = found.at("APIC");
  for (u64 offset = 44; offset < madt.size(); offset += peek(madt, offset + 1, 1)) {
    if (peek(madt, offset, 1) != 2) continue;
    EXPECT_NE(peek(madt, offset + 3, 1), 10u);
    EXPECT_NE(peek(madt, offset + 3, 1), 11u);
  }
}

TEST(Acpi, LoaderScriptDoesWhatRelocationDoes) {
  const AcpiTables original = build_acpi_tables(full_board());
  const Bytes script = table_loader_script(original, "r", "t");
  ASSERT_EQ(script.size() % 128, 0u);
  AcpiTables linked = original;
  const auto blob = [&](const std::string& name) -> Bytes& {
    EXPECT_TRUE(name == "r" || name == "t") << name;
    return name == "r" ? linked.rsdp : linked.tables;
  };
  unsigned allocations = 0;
  for (u64 entry = 0; entry < script.size(); entry += 128) {
    const std::string file(text(script, entry + 4, 56).c_str());
    switch (peek(script, entry, 4)) {
      case 1:
        ++allocations;
        EXPECT_EQ(peek(script, entry + 64, 1), file == "r" ? 2u : 1u);
        EXPECT_EQ(peek(script, entry + 60, 4), file == "r" ? 16u : 64u);
        break;
      case 2: {
        const u64 offset = peek(script, entry + 116, 4);
        const unsigned size = static_cast<unsigned>(peek(script, entry + 120, 1));
        Bytes& target = blob(file);
        ASSERT_LE(offset + size, target.size());
        EXPECT_STREQ(text(script, entry + 60, 56).c_str(), "t");
        patch(target, offset, peek(target, offset, size) + kBase, size);
        break;
      }
      case 3: {
        Bytes& target = blob(file);
        const u64 start = peek(script, entry + 64, 4);
        const u64 length = peek(script, entry + 68, 4);
        ASSERT_LE(start + length, target.size());
        const u8 sum = byte_sum(std::span(target).subspan(start, length));
        u8& checksum = target[peek(script, entry + 60, 4)];
        checksum = static_cast<u8>(checksum - sum);
        break;
      }
      default:
        ADD_FAILURE() << "unknown command";
    }
  }
  EXPECT_EQ(allocations, 2u);
  const AcpiTables expected = placed(full_board());
  EXPECT_EQ(linked.rsdp, expected.rsdp);
  EXPECT_EQ(linked.tables, expected.tables);
}

// --- AML ---

TEST(Aml, PackageLengthCountsItself) {
  EXPECT_EQ(aml::package_length(0), (Bytes{1}));
  EXPECT_EQ(aml::package_length(62), (Bytes{63}));
  EXPECT_EQ(aml::package_length(63), (Bytes{0x41, 0x04}));          // 65
  EXPECT_EQ(aml::package_length(4093), (Bytes{0x4f, 0xff}));        // 4095
  EXPECT_EQ(aml::package_length(4094), (Bytes{0x81, 0x00, 0x01}));  // 4097
  EXPECT_EQ(aml::package_length(0x100000), (Bytes{0xc4, 0x00, 0x00, 0x01}));
}

TEST(Aml, NamesIntegersAndIds) {
  EXPECT_EQ(aml::name_string("\\_SB"), (Bytes{'\\', '_', 'S', 'B', '_'}));
  EXPECT_EQ(aml::name_string("A.B"), (Bytes{0x2e, 'A', '_', '_', '_', 'B', '_', '_', '_'}));
  EXPECT_EQ(aml::name_string("AAAA.BBBB.CCCC").front(), 0x2f);
  EXPECT_EQ(aml::name_string("AAAA.BBBB.CCCC")[1], 3);
  EXPECT_EQ(aml::name_string(""), (Bytes{0}));
  EXPECT_EQ(aml::integer(0), (Bytes{0}));
  EXPECT_EQ(aml::integer(1), (Bytes{1}));
  EXPECT_EQ(aml::integer(2), (Bytes{0x0a, 2}));
  EXPECT_EQ(aml::integer(0x1234), (Bytes{0x0b, 0x34, 0x12}));
  EXPECT_EQ(aml::integer(0x12345678), (Bytes{0x0c, 0x78, 0x56, 0x34, 0x12}));
  EXPECT_EQ(aml::integer(0x100000000).size(), 9u);
  EXPECT_EQ(aml::eisa_id("PNP0A03"), (Bytes{0x0c, 0x41, 0xd0, 0x0a, 0x03}));
}

TEST(Aml, ResourceTemplatesEndWithATag) {
  const Bytes buffer = aml::ResourceTemplate().io(0x3f8, 8).irq(4).buffer();
  EXPECT_EQ(buffer,
            (Bytes{0x11, 0x10, 0x0a, 13, 0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8, 0x22, 0x10, 0, 0x79, 0}));
}

/// Descends through scopes, devices and methods and checks that every package ends inside its
/// parent and that the sequence of terms fits exactly.
class TermWalker {
 public:
  explicit TermWalker(std::span<const u8> aml) : aml_(aml) {}

  void terms(u64 offset, u64 end) {
    while (offset < end && !::testing::Test::HasFailure()) offset = term(offset, end);
    EXPECT_EQ(offset, end);
  }
  std::map<std::string, unsigned> devices;

 private:
  u64 at(u64 offset) const { return peek(aml_, offset, 1); }

  /// Returns the first byte behind the length, and where the package ends.
  std::pair<u64, u64> package(u64 offset, u64 end) {
    const unsigned following = static_cast<unsigned>(at(offset) >> 6);
    u64 length = following == 0 ? at(offset) & 63 : at(offset) & 15;
    length |= peek(aml_, offset + 1, following) << 4;
    EXPECT_LE(offset + length, end) << "package leaves its parent at " << offset;
    return {offset + 1 + following, offset + length};
  }
  u64 skip_name(u64 offset, std::string& name) {
    while (at(offset) == '\\' || at(offset) == '^') ++offset;
    u64 segments = 1;
    if (at(offset) == 0x2e)
      segments = 2, ++offset;
    else if (at(offset) == 0x2f)
      segments = at(offset + 1), offset += 2;
    else if (at(offset) == 0)
      return offset + 1;
    name = text(aml_, offset + 4 * (segments - 1), 4);
    return offset + 4 * segments;
  }
  u64 data(u64 offset, u64 end) {
    switch (at(offset)) {
      case 0:
      case 1:
        return offset + 1;
      case 0x0a:
        return offset + 2;
      case 0x0b:
        return offset + 3;
      case 0x0c:
        return offset + 5;
      case 0x0e:
        return offset + 9;
      case 0x0d:
        while (at(++offset) != 0) {
        }
        return offset + 1;
      case 0x11:
      case 0x12:
        return package(offset + 1, end).second;
      default:
        ADD_FAILURE() << "unknown data " << at(offset) << " at " << offset;
        return end;
    }
  }
  u64 term(u64 offset, u64 end) {
    std::string name;
    switch (at(offset)) {
      case 0x08:
        return data(skip_name(offset + 1, name), end);
      case 0x10: {
        const auto [body, last] = package(offset + 1, end);
        terms(skip_name(body, name), last);
        return last;
      }
      case 0x14:
        return package(offset + 1, end).second;
      case 0x5b:
        break;
      default:
        ADD_FAILURE() << "unknown term " << at(offset) << " at " << offset;
        return end;
    }
    switch (at(offset + 1)) {
      case 0x80:
        return data(data(skip_name(offset + 2, name) + 1, end), end);
      case 0x81:
        return package(offset + 2, end).second;
      case 0x82: {
        const auto [body, last] = package(offset + 2, end);
        const u64 inside = skip_name(body, name);
        ++devices[name];
        terms(inside, last);
        return last;
      }
      default:
        ADD_FAILURE() << "unknown extended term at " << offset;
        return end;
    }
  }
  std::span<const u8> aml_;
};

TEST(Aml, DsdtIsWellFormed) {
  const Bytes dsdt = dsdt_aml(full_board());
  TermWalker walker(dsdt);
  walker.terms(0, dsdt.size());
  for (const char* name :
       {"PCI0", "ISA_", "LNKA", "LNKB", "LNKC", "LNKD", "LNKS", "RTC_", "KBD_", "MOU_", "COM1",
        "COM2", "LPT1", "FDC0", "HPET", "FWCF", "C000", "C003"}) {
    EXPECT_EQ(walker.devices[name], 1u) << name;
  }
  EXPECT_EQ(walker.devices.count("C004"), 0u);
}

TEST(Aml, DsdtOfAnExpressBoard) {
  const Bytes dsdt = dsdt_aml(express_board());
  TermWalker walker(dsdt);
  walker.terms(0, dsdt.size());
  for (const char* name : {"PCI0", "ISA_", "LNKA", "LNKD", "LNKE", "LNKH"}) {
    EXPECT_EQ(walker.devices[name], 1u) << name;
  }
  EXPECT_EQ(walker.devices.count("LNKS"), 0u);
  const auto contains = [&](const Bytes& bytes) {
    return std::search(dsdt.begin(), dsdt.end(), bytes.begin(), bytes.end()) != dsdt.end();
  };
  EXPECT_TRUE(contains(aml::eisa_id("PNP0A08")));
  // INTB# of slot 31 is input 17, through a link LNKB.
  EXPECT_TRUE(contains(
      aml::package({aml::integer(0x1fffff), aml::integer(1), aml::integer(0), aml::integer(17)})));
  EXPECT_TRUE(contains(aml::package(
      {aml::integer(0x1fffff), aml::integer(1), aml::name_string("LNKB"), aml::integer(0)})));
  EXPECT_TRUE(
      contains(aml::package({aml::integer(7), aml::integer(7), aml::integer(0), aml::integer(0)})));
}

TEST(Aml, DsdtListsOnlyWhatIsThere) {
  BoardDescription board;
  board.hpet = board.fw_cfg = board.ps2_keyboard = board.ps2_mouse = board.rtc = false;
  board.serial_ports.clear();
  const Bytes dsdt = dsdt_aml(board);
  TermWalker walker(dsdt);
  walker.terms(0, dsdt.size());
  for (const char* name : {"RTC_", "KBD_", "MOU_", "COM1", "LPT1", "FDC0", "HPET", "FWCF"}) {
    EXPECT_EQ(walker.devices.count(name), 0u) << name;
  }
}

}  // namespace
}  // namespace dragoman
