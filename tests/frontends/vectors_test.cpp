// Test vectors: files made here, byte by byte as the format demands, and the public captures where
// DRAGOMAN_VECTORS names a folder with them.
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "frontends/test/vectors_command.h"

namespace dragoman {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<u8>;
using Ram = std::vector<std::pair<u32, u8>>;
using Regs = std::vector<std::pair<unsigned, u32>>;  // number in the file's order, value

void put(Bytes& out, u32 value, unsigned width) {
  for (unsigned i = 0; i < width; ++i) out.push_back(static_cast<u8>(value >> (8 * i)));
}
Bytes chunk(const char* tag, const Bytes& body) {
  Bytes out(tag, tag + 4);
  put(out, static_cast<u32>(body.size()), 4);
  out.insert(out.end(), body.begin(), body.end());
  return out;
}
Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
Bytes registers(const char* tag, const Regs& regs, unsigned width) {
  u32 mask = 0;
  for (const auto& [number, value] : regs) mask |= 1u << number;
  Bytes body;
  put(body, mask, width);
  for (const auto& [number, value] : regs) put(body, value, width);
  return chunk(tag, body);
}
Bytes ram(const Ram& entries) {
  Bytes body;
  put(body, static_cast<u32>(entries.size()), 4);
  for (const auto& [address, value] : entries) {
    put(body, address, 4);
    body.push_back(value);
  }
  return chunk("RAM ", body);
}
Bytes counted(const char* tag, const Bytes& bytes) {
  Bytes body;
  put(body, static_cast<u32>(bytes.size()), 4);
  return chunk(tag, body + bytes);
}
Bytes text(const char* tag, const std::string& name) {
  return counted(tag, Bytes(name.begin(), name.end()));
}
Bytes header(const std::string& cpu, u32 tests) {
  Bytes body = {1, 0, 0, 0};
  put(body, tests, 4);
  return chunk("MOO ", body + Bytes(cpu.begin(), cpu.end()));
}
Bytes test(const Bytes& parts) { return chunk("TEST", Bytes{7, 0, 0, 0} + parts); }

/// All registers of the 16-bit file, in its order.
Regs all16(u16 ax, u16 bx, u16 sp, u16 ip, u16 flags) {
  Regs regs;
  const u16 values[] = {ax, bx, 0, 0, 0x1000, 0x2000, 0x3000, 0x4000, sp, 0, 0, 0, ip, flags};
  for (unsigned i = 0; i < 14; ++i) regs.emplace_back(i, values[i]);
  return regs;
}

/// ADD AX,BX on the 80286; `sum` and `flags` are what the chip is said to have made of it.
Bytes addition(u16 sum, u16 flags, const Ram& written = {}) {
  return header("C286", 1) +
         chunk("META", Bytes{1, 0, 6, 1, 0, 0, 0, 'a', 'd', 'd', ' ', ' ', ' ', ' ', ' '}) +
         test(text("NAME", "add ax,bx") + counted("BYTS", {0x01, 0xd8, 0xf4}) +
              chunk("INIT", registers("REGS", all16(0x7fff, 1, 0x100, 0x10, 0x7002), 2) +
                                ram({{0x10010, 0x01}, {0x10011, 0xd8}, {0x10012, 0xf4}})) +
              chunk("FINA",
                    registers("REGS", {{0, sum}, {12, 0x13}, {13, flags}}, 2) + ram(written)));
}

/// Folder of one test; removed with it.
class Vectors : public ::testing::Test {
 protected:
  Vectors()
      : folder_(fs::path(::testing::TempDir()) /
                ("vectors_" + std::to_string(::getpid()) + "_" +
                 ::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    fs::create_directories(folder_);
  }
  ~Vectors() override { fs::remove_all(folder_); }

  std::string file(const std::string& name, const Bytes& bytes) {
    const std::string path = (folder_ / name).string();
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<long>(bytes.size()));
    return path;
  }
  std::string file(const std::string& name, const std::string& content) {
    return file(name, Bytes(content.begin(), content.end()));
  }
  std::string compressed(const std::string& name, const Bytes& bytes) {
    const std::string path = (folder_ / name).string();
    gzFile out = gzopen(path.c_str(), "wb");
    EXPECT_EQ(gzwrite(out, bytes.data(), static_cast<unsigned>(bytes.size())),
              static_cast<int>(bytes.size()));
    gzclose(out);
    return path;
  }
  static VectorReport run(const std::string& path, const std::string& cpu = "") {
    VectorsOptions options;
    options.paths = {path};
    options.cpu = cpu;
    const auto report = run_vectors(options);
    EXPECT_TRUE(report.ok()) << report.error().message;
    return report ? *report : VectorReport{};
  }
  static std::string failure(const std::string& path) {
    VectorsOptions options;
    options.paths = {path};
    const auto report = run_vectors(options);
    return report ? "" : report.error().message;
  }

  fs::path folder_;
};

// 7FFFh + 1: OF, SF, AF and PF, no CF.
constexpr u16 kSumFlags = 0x0896;

TEST_F(Vectors, RunsOnTheTranslator) {
  VectorsOptions options;
  options.engine = BenchEngine::kTranslator;
  for (const bool right : {true, false}) {
    options.paths = {file("01.MOO", addition(right ? 0x8000 : 0x8001, kSumFlags))};
    const auto report = run_vectors(options);
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_EQ(report->total.failed, right ? 0u : 1u) << report->text;
    EXPECT_NE(report->text.find(" blocks translated"), std::string::npos);
    EXPECT_EQ(report->text.find("\n0 blocks translated"), std::string::npos) << report->text;
  }
}

TEST_F(Vectors, PassesWhatIsRight) {
  const VectorReport report = run(file("01.MOO", addition(0x8000, kSumFlags)));
  EXPECT_EQ(report.total.passed, 1u) << report.text;
  EXPECT_EQ(report.total.tests(), 1u);
  EXPECT_NE(report.text.find("01       add"), std::string::npos) << report.text;
}

TEST_F(Vectors, SaysWhatDiffersInRegistersFlagsAndMemory) {
  VectorReport report = run(file("01.MOO", addition(0x8001, kSumFlags)));
  EXPECT_EQ(report.total.failed, 1u);
  EXPECT_NE(report.text.find("7 (add ax,bx): ax 8000 for 8001"), std::string::npos) << report.text;
  report = run(file("01.MOO", addition(0x8000, kSumFlags | 1)));
  EXPECT_NE(report.text.find("flags 0894 for 0895"), std::string::npos) << report.text;
  report = run(file("01.MOO", addition(0x8000, kSumFlags, {{0x45678, 0x9a}})));
  EXPECT_NE(report.text.find("[45678] 00 for 9a"), std::string::npos) << report.text;
}

TEST_F(Vectors, NoticesAStoreTheChipDidNotMake) {
  const Bytes store =
      header("C286", 1) +
      test(text("NAME", "mov [bx],al") +
           chunk("INIT", registers("REGS", all16(0x55, 0x20, 0x100, 0x10, 2), 2) +
                             ram({{0x10010, 0x88}, {0x10011, 0x07}, {0x10012, 0xf4}})) +
           chunk("FINA", registers("REGS", {{12, 0x13}}, 2) + ram({})));
  const VectorReport report = run(file("88.MOO", store));
  EXPECT_NE(report.text.find("[30020] 55 for 00"), std::string::npos) << report.text;
}

TEST_F(Vectors, HonoursMasksOfTheMetadataAndOfTheFile) {
  const std::string path = file("01.MOO", addition(0x8000, kSumFlags ^ kFlagAf));
  const VectorReport unmasked = run(path);
  EXPECT_EQ(unmasked.total.failed, 1u);
  EXPECT_NE(unmasked.text.find("--metadata"), std::string::npos) << unmasked.text;
  file("metadata.json", std::string(R"({"cpu": "286", "opcodes": {"01": {"status": "normal",
       "flags": ".....a..", "flags-mask": 65519}}})"));
  EXPECT_EQ(run(path).total.passed, 1u);
  fs::remove(folder_ / "metadata.json");
  Bytes masked = addition(0x8000, kSumFlags ^ kFlagAf);
  const Bytes mask = registers("RMSK", {{13, 0xffef}}, 2);
  masked.insert(masked.begin() + 20, mask.begin(), mask.end());
  EXPECT_EQ(run(file("01.MOO", masked)).total.passed, 1u);
}

TEST_F(Vectors, MaskedFlagsMayDifferOnTheStackOfAFault) {
  // DIV BL with BL = 0; the flags of a division are undefined, and AF differs on the stack.
  const Ram code = {{0x10010, 0xf6}, {0x10011, 0xf3}, {0, 0x00},      {1, 0x01},
                    {2, 0x00},       {3, 0x50},       {0x50100, 0xf4}};
  const auto divide = [&](u8 low_flags) {
    return header("C286", 1) +
           test(text("NAME", "div bl") +
                chunk("INIT", registers("REGS", all16(5, 0, 0x101, 0x10, 0x0002), 2) + ram(code)) +
                chunk("FINA", registers("REGS", {{4, 0x5000}, {8, 0xfb}, {12, 0x101}}, 2) +
                                  ram({{0x200fb, 0x10},
                                       {0x200fc, 0x00},
                                       {0x200fd, 0x00},
                                       {0x200fe, 0x10},
                                       {0x200ff, low_flags},
                                       {0x20100, 0x00}})) +
                chunk("EXCP", {0, 0xfe, 0x00, 0x02, 0x00}));  // an odd word's bus address
  };
  EXPECT_EQ(run(file("F6.6.MOO", divide(0x02))).total.passed, 1u);
  EXPECT_EQ(run(file("F6.6.MOO", divide(0x12))).total.failed, 1u);
  file("metadata.json", std::string(R"({"opcodes": {"F6": {"reg": {"6": {"status": "normal",
       "flags-mask": 63274}}}}})"));
  EXPECT_EQ(run(file("F6.6.MOO", divide(0x12))).total.passed, 1u);
}

TEST_F(Vectors, ReadsTheRegisterFileOfThe80386) {
  Regs regs;
  const u32 values[] = {0x10,   0,      0xffff0001, 0x2, 0,      0,      0,    0, 0, 0x100,
                        0x1000, 0x3000, 0x4000,     0,   0x5000, 0x2000, 0x10, 2, 0, 0};
  for (unsigned i = 0; i < 20; ++i) regs.emplace_back(i, values[i]);
  const Bytes bytes =
      header("386E", 1) +
      test(text("NAME", "add eax,ebx") +
           chunk("INIT",
                 registers("RG32", regs, 4) +
                     ram({{0x10010, 0x66}, {0x10011, 0x01}, {0x10012, 0xd8}, {0x10013, 0xf4}})) +
           chunk("FINA", registers("RG32", {{2, 0xffff0003}, {16, 0x14}, {17, 0x86}}, 4) +
                             registers("RM32", {{17, 0xfffffffb}}, 4) + ram({})));
  const VectorReport report = run(file("6601.MOO", bytes));
  EXPECT_EQ(report.total.passed, 1u) << report.text;
}

TEST_F(Vectors, ReadsJsonAndCompressedFiles) {
  const std::string json = R"([{"idx": 3, "name": "inc ax", "bytes": [64],
    "initial": {"regs": {"ax": 255, "bx": 0, "cx": 0, "dx": 0, "cs": 4096, "ss": 0, "ds": 0,
      "es": 0, "sp": 0, "bp": 0, "si": 0, "di": 0, "ip": 16, "flags": 61442},
      "ram": [[65552, 64]], "queue": []},
    "final": {"regs": {"ax": 256, "ip": 17, "flags": 61462}, "ram": [], "queue": []}}])";
  file("metadata.json", std::string(R"({"cpu": "8086", "opcodes": {}})"));
  EXPECT_EQ(run(file("40.json", json)).total.passed, 1u) << run(file("40.json", json)).text;
  const Bytes packed(json.begin(), json.end());
  EXPECT_EQ(run(compressed("40.json.gz", packed)).total.passed, 1u);
  EXPECT_EQ(run(compressed("01.MOO.gz", addition(0x8000, kSumFlags))).total.passed, 1u);
  EXPECT_EQ(run(folder_.string()).total.passed, 3u);
}

TEST_F(Vectors, RefusesWithASentenceWhatItCannotUse) {
  EXPECT_NE(failure((folder_ / "none.MOO").string()).find("cannot open"), std::string::npos);
  EXPECT_NE(failure(folder_.string()).find("no files of vectors"), std::string::npos);
  EXPECT_NE(failure(file("00.MOO", std::string("hello"))).find("neither"), std::string::npos);
  EXPECT_NE(failure(file("00.json", std::string("[{\"initial\": 3}]"))).find("entry 0"),
            std::string::npos);
  EXPECT_NE(failure(file("00.MOO", header("V20 ", 0))).find("V20"), std::string::npos);
  EXPECT_NE(failure(file("00.MOO", header("C286", 2))).find("after 0 of 2"), std::string::npos);
}

TEST_F(Vectors, SurvivesBrokenFiles) {
  const Bytes good = addition(0x8000, kSumFlags);
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(parse_vectors(Bytes(good.begin(), good.begin() + static_cast<long>(size)), "cut"));
  }
  auto made = VectorRunner::create(VectorFamily::k286, "286");
  ASSERT_TRUE(made.ok()) << made.error().message;
  VectorRunner bench = made.take();
  u32 random = 1;
  for (unsigned i = 0; i < 2000; ++i) {
    Bytes bytes = good;
    for (unsigned flips = 0; flips < 3; ++flips) {
      random = random * 1664525 + 1013904223;
      bytes[(random >> 8) % bytes.size()] = static_cast<u8>(random >> 24);
    }
    const auto parsed = parse_vectors(bytes, "broken");
    if (!parsed) continue;
    for (const VectorTest& one : parsed->tests) (void)bench.run(*parsed, one, 0xffff);
  }
}

TEST(VectorNames, OpcodeOfAPath) {
  EXPECT_EQ(vector_opcode("/a/b/F6.6.MOO.gz"), "F6.6");
  EXPECT_EQ(vector_opcode("67660fa4.moo"), "67660FA4");
  EXPECT_EQ(vector_opcode("00.json"), "00");
}

TEST(PublicVectors, NothingUnexplained) {
  const char* root = std::getenv("DRAGOMAN_VECTORS");
  if (root == nullptr) {
    GTEST_SKIP() << "DRAGOMAN_VECTORS names no folder with the sets of SingleStepTests";
  }
  unsigned sets = 0;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (!fs::exists(entry.path() / "metadata.json")) continue;
    for (const BenchEngine engine : {BenchEngine::kInterpreter, BenchEngine::kTranslator}) {
      VectorsOptions options;
      options.paths = {entry.path().string()};
      options.engine = engine;
      const auto report = run_vectors(options);
      ASSERT_TRUE(report.ok()) << report.error().message;
      EXPECT_GT(report->total.passed, 0u) << entry.path();
      EXPECT_EQ(report->total.failed, 0u) << entry.path() << "\n" << report->text;
    }
    ++sets;
  }
  EXPECT_GT(sets, 0u) << "no folder with a metadata.json in " << root;
}

}  // namespace
}  // namespace dragoman
