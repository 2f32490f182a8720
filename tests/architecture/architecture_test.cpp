// The rules of the house, first on invented files (does the rule bite?), then on the real tree.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "tests/architecture/source_scan.h"

namespace dragoman::architecture {
namespace {

/// Violations of one invented line in a file at `path`.
Violations includes(const std::string& path, const std::string& line) {
  return check_includes({path, "// A comment.\n" + line + "\n"});
}
std::string quoted(const std::string& path) { return "#include \"" + path + "\""; }
std::string library(const std::string& path) { return "#include <" + path + ">"; }

std::string joined(const Violations& violations) {
  std::string text;
  for (const std::string& violation : violations) text += "  " + violation + "\n";
  return text;
}

TEST(IncludeRule, AllowsTheArrows) {
  const std::vector<std::pair<std::string, std::string>> allowed = {
      {"base/log.cpp", "base/log.h"},
      {"memory/memory_map.h", "base/log.h"},
      {"cpu/cpu.h", "memory/port_map.h"},
      {"cpu/isa/rows.cpp", "cpu/isa/one_byte.inc"},
      {"jit/block.cpp", "cpu/cpu.h"},
      {"devices/i8259.h", "memory/port_map.h"},
      {"bios/acpi.cpp", "base/types.h"},
      {"machine/pc_board.h", "devices/i8259.h"},
      {"machine/machine.h", "jit/jit.h"},
      {"machine/config.h", "bios/bytes.h"},
      {"frontends/cli/main.cpp", "machine/machine.h"},
      {"tests/cpu/x_test.cpp", "frontends/gdb/packet.h"}};
  for (const auto& [from, to] : allowed) {
    EXPECT_EQ(joined(includes(from, quoted(to))), "") << from << " -> " << to;
  }
  EXPECT_EQ(joined(includes("base/log.cpp", library("vector"))), "");
  EXPECT_EQ(joined(includes("base/log.cpp", library("sys/mman.h"))), "");
}

TEST(IncludeRule, ForbidsEveryOtherArrow) {
  const std::vector<std::pair<std::string, std::string>> forbidden = {
      {"base/log.cpp", "memory/memory_map.h"},
      {"memory/port_map.h", "cpu/cpu.h"},
      {"memory/port_map.h", "devices/device.h"},
      {"cpu/cpu.cpp", "jit/jit.h"},
      {"cpu/cpu.cpp", "devices/local_apic.h"},
      {"cpu/decode/decoder.cpp", "machine/machine.h"},
      {"jit/block.cpp", "devices/device.h"},
      {"jit/emit/emit.cpp", "machine/machine.h"},
      {"devices/local_apic.cpp", "cpu/cpu.h"},
      {"devices/pci/pci_bus.cpp", "bios/acpi.h"},
      {"bios/acpi.cpp", "devices/device.h"},
      {"bios/acpi.cpp", "cpu/cpu.h"},
      {"machine/machine.cpp", "frontends/cli/options.h"},
      {"machine/machine.cpp", "tests/x.h"},
      {"frontends/cli/main.cpp", "tests/guests/guest.h"},
      {"machine/machine.cpp", "roms/roms.h"}};
  for (const auto& [from, to] : forbidden) {
    EXPECT_EQ(includes(from, quoted(to)).size(), 1u) << from << " -> " << to;
    EXPECT_EQ(includes(from, library(to)).size(), 1u) << from << " -> <" << to << ">";
  }
}

TEST(IncludeRule, NamesFileLineAndBothRooms) {
  EXPECT_EQ(joined(includes("cpu/cpu.cpp", quoted("devices/device.h"))),
            "  cpu/cpu.cpp:2: cpu/ must not include devices/ (\"devices/device.h\")\n");
}

TEST(IncludeRule, SeesIncludesHoweverTheyAreWritten) {
  for (const char* line : {"#include\"cpu/cpu.h\"", "  #  include   \"cpu/cpu.h\"",
                           "\t#include \"cpu/cpu.h\"  // why", "#include <cpu/cpu.h>"}) {
    EXPECT_EQ(includes("devices/i8259.cpp", line).size(), 1u) << line;
  }
  EXPECT_EQ(joined(includes("devices/i8259.cpp", "// #include \"cpu/cpu.h\"")), "");
}

TEST(IncludeRule, WantsPathsFromTheRoot) {
  EXPECT_EQ(includes("cpu/cpu.cpp", quoted("cpu.h")).size(), 1u);
  EXPECT_GE(includes("cpu/cpu.cpp", quoted("../devices/device.h")).size(), 1u);
  EXPECT_GE(includes("cpu/cpu.cpp", quoted("cpu/../devices/device.h")).size(), 1u);
}

TEST(IncludeRule, KeepsLibrariesAtHome) {
  EXPECT_EQ(joined(includes("jit/emit/emitter.cpp", library("asmjit/x86.h"))), "");
  EXPECT_EQ(includes("jit/block.cpp", library("asmjit/x86.h")).size(), 1u);
  EXPECT_EQ(includes("tests/jit/emit_test.cpp", library("asmjit/x86.h")).size(), 1u);
  EXPECT_EQ(includes("cpu/disassemble/disassembler.cpp", library("capstone/capstone.h")).size(),
            1u);
  EXPECT_EQ(includes("devices/vga/std_vga.cpp", library("SDL2/SDL.h")).size(), 1u);
  EXPECT_EQ(joined(includes("frontends/sdl/window.cpp", library("SDL2/SDL.h"))), "");
}

TEST(IncludeRule, KnowsNoRoomWithoutArrows) {
  EXPECT_EQ(includes("attic/old.cpp", library("vector")).size(), 1u);
}

TEST(LengthRule, BitesCodeButNotTables) {
  std::string text;
  for (int i = 0; i < 619; ++i) text += "int x;\n";
  EXPECT_EQ(joined(check_length({"cpu/cpu.cpp", text})), "");
  text += "int x;\n";
  EXPECT_EQ(check_length({"cpu/cpu.cpp", text}).size(), 1u);
  EXPECT_EQ(check_length({"cpu/cpu.h", text}).size(), 1u);
  EXPECT_EQ(joined(check_length({"cpu/isa/one_byte.inc", text})), "");
}

TEST(WordRule, BitesPathsAndNotes) {
  const std::string path = std::string("/wor") + "k/main";
  const std::string note = std::string("// TO") + "DO: later";
  EXPECT_EQ(check_words({"scripts/setup", "cd " + path + "\n"}).size(), 1u);
  EXPECT_EQ(check_words({"cpu/cpu.cpp", note + "\n"}).size(), 1u);
  EXPECT_EQ(joined(check_words({"cpu/cpu.cpp", "// kTO" + std::string("DOs and /usr/share\n")})),
            "");
}

TEST(WordRule, BitesExceptionsInCodeOnly) {
  EXPECT_EQ(check_words({"cpu/cpu.cpp", "if (bad) throw 1;\n"}).size(), 1u);
  EXPECT_EQ(check_words({"cpu/cpu.cpp", "const char c = '\"'; longjmp(b, 1);\n"}).size(), 1u);
  EXPECT_EQ(check_words({"cpu/cpu.cpp", "int n = 1'000; throw n;\n"}).size(), 1u);
  EXPECT_EQ(joined(check_words({"cpu/cpu.cpp", "// never throw\n/* longjmp\n throw */ int x;\n"})),
            "");
  EXPECT_EQ(joined(check_words({"cpu/cpu.cpp", "auto s = \"\\\" throw\"; int throws;\n"})), "");
}

TEST(ReadmeRule, WantsEveryFolderDescribedOnOnePage) {
  const SourceFile code{"cpu/decode/decoder.h", "\n"};
  EXPECT_EQ(check_readmes({code}).size(), 2u);
  EXPECT_EQ(check_readmes({code, {"cpu/README.md", "nothing\n"}}).size(), 1u);
  EXPECT_EQ(joined(check_readmes({code, {"cpu/README.md", "`decode/` finds rows\n"}})), "");
  const SourceFile deep{"cpu/execute/host/x87.h", "\n"};
  const SourceFile room{"cpu/README.md", "`execute/` runs, `execute/host/x87.h` on the host\n"};
  EXPECT_EQ(joined(check_readmes({deep, room})), "");
  EXPECT_EQ(joined(check_readmes(
                {code, {"cpu/README.md", "\n"}, {"cpu/decode/README.md", "finds rows\n"}})),
            "");
  EXPECT_EQ(check_readmes({{"cpu/cpu.h", ""}, {"cpu/README.md", std::string(60, '\n')}}).size(),
            1u);
}

// --- The real tree -------------------------------------------------------------------------------

struct SourceTree : testing::Test {
  static const std::vector<SourceFile>& files() {
    static const std::vector<SourceFile> all = read_tree(DRAGOMAN_SOURCE_DIR);
    return all;
  }
  /// A rule over all files.
  template <class Rule>
  static std::string check(Rule&& rule) {
    std::string text;
    for (const SourceFile& file : files()) text += joined(rule(file));
    return text;
  }
};

TEST_F(SourceTree, IsFound) {
  std::set<std::string> rooms;
  for (const SourceFile& file : files()) rooms.emplace(room_of(file.path));
  for (const char* room : {"base", "memory", "cpu", "devices", "bios", "machine", "tests"}) {
    EXPECT_TRUE(rooms.contains(room)) << room;
  }
  EXPECT_GT(files().size(), 100u);
}

TEST_F(SourceTree, IncludesFollowTheArrows) { EXPECT_EQ(check(check_includes), ""); }

TEST_F(SourceTree, FilesAreShortEnoughToRead) { EXPECT_EQ(check(check_length), ""); }

TEST_F(SourceTree, HasNoLeftovers) { EXPECT_EQ(check(check_words), ""); }

TEST_F(SourceTree, EveryFolderIsDescribed) { EXPECT_EQ(joined(check_readmes(files())), ""); }

}  // namespace
}  // namespace dragoman::architecture
