// One test per assembled file of tests/asm; every failing case is printed with what was expected.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "frontends/test/asm_bench.h"

namespace dragoman {
namespace {

class AsmTest : public testing::TestWithParam<std::filesystem::path> {
 protected:
  void run_cases(BenchEngine engine);
};

TEST_P(AsmTest, Cases) { run_cases(BenchEngine::kInterpreter); }
// Files of other modes pass through the same cases: their code must be left alone.
TEST_P(AsmTest, CasesTranslated) { run_cases(BenchEngine::kTranslator); }

void AsmTest::run_cases(BenchEngine engine) {
  std::ifstream in(GetParam(), std::ios::binary);
  const std::vector<char> chars(std::istreambuf_iterator<char>(in), {});
  const AsmFile file = parse_asm_file({reinterpret_cast<const u8*>(chars.data()), chars.size()});
  ASSERT_EQ(file.problem, "");
  ASSERT_FALSE(file.cases.empty());
  AsmBench bench(engine);
  for (std::size_t i = 0; i < file.cases.size(); ++i) {
    const std::string differences = bench.run(file, file.cases[i]);
    EXPECT_EQ(differences, "") << "case " << i << ": " << file.cases[i].name;
  }
  if (engine == BenchEngine::kTranslator && file.is_64_bit()) {
    EXPECT_GT(bench.blocks_translated(), file.cases.size() / 2);
  }
  RecordProperty("cases", static_cast<int>(file.cases.size()));
}

// The bench itself: a wrong expectation, a change nobody mentioned and a missing fault are told.
TEST(AsmBenchTest, ReportsDifferences) {
  AsmFile file;
  file.mode = 7;
  file.text = {0xff, 0xc0};  // inc eax
  AsmCase test;
  test.entry = 0x8000;
  test.end = 0x8002;
  test.expect = {{kRax, 1, ~u64{0}}};
  AsmBench bench;
  EXPECT_EQ(bench.run(file, test), "");
  test.expect = {{kRax, 2, ~u64{0}}};
  EXPECT_NE(bench.run(file, test), "");
  test.expect.clear();
  EXPECT_NE(bench.run(file, test), "");
  test.expect = {{kRax, 1, ~u64{0}}};
  test.vector = kVectorGp;
  EXPECT_NE(bench.run(file, test), "");
  file.text = {0x0f, 0x0b};  // ud2
  test.vector = -1;
  EXPECT_NE(bench.run(file, test), "");
}

TEST(AsmFileTest, BrokenFilesAreTold) {
  const std::vector<u8> empty;
  EXPECT_NE(parse_asm_file(empty).problem, "");
  std::vector<u8> truncated = {'D', 'R', 'A', 'G', 'C', 'A', 'S', 'E', 7, 0, 0,
                               0,   20,  0,   0,   0,   20,  0,   0,   0, 1, 'x'};
  EXPECT_NE(parse_asm_file(truncated).problem, "");
}

std::vector<std::filesystem::path> files() {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(DRAGOMAN_ASM_DIR)) {
    if (entry.path().extension() == ".bin") found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

INSTANTIATE_TEST_SUITE_P(Files, AsmTest, testing::ValuesIn(files()),
                         [](const auto& file) { return file.param.stem().string(); });

}  // namespace
}  // namespace dragoman
