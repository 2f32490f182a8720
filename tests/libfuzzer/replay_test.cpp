// Every input under corpus/ through its target: what fuzzing found stays found. An input that
// breaks something ends this program; the last name printed says which it was.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/libfuzzer/fuzz_target.h"

namespace dragoman {
namespace {

namespace fs = std::filesystem;

const fs::path kCorpus = fs::path(DRAGOMAN_SOURCE_DIR) / "tests/libfuzzer/corpus";

class Replay : public testing::TestWithParam<FuzzTarget> {};

TEST_P(Replay, Corpus) {
  const FuzzTarget& target = GetParam();
  target.run({});
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(kCorpus / target.name)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  ASSERT_FALSE(files.empty());
  for (const fs::path& path : files) {
    RecordProperty("input", path.filename().string());
    std::ifstream file(path, std::ios::binary);
    const std::vector<u8> bytes{std::istreambuf_iterator<char>(file), {}};
    ASSERT_FALSE(bytes.empty()) << path;
    std::fprintf(stderr, "\r%-78s", path.filename().c_str());
    target.run(std::span(bytes).first(std::min(bytes.size(), target.most_bytes)));
  }
  std::fprintf(stderr, "\r%-78s\r", "");
}

/// The corpora are small; a few bytes of noise reach places that they do not.
TEST_P(Replay, Noise) {
  const FuzzTarget& target = GetParam();
  std::mt19937 random(17);
  std::vector<u8> bytes;
  for (int i = 0; i < 20; ++i) {
    bytes.resize(1 + random() % std::min<std::size_t>(target.most_bytes, 512));
    for (u8& byte : bytes) byte = static_cast<u8>(random() >> 3);
    target.run(bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, Replay,
                         testing::ValuesIn(fuzz_targets().begin(), fuzz_targets().end()),
                         [](const auto& target) { return std::string(target.param.name); });

TEST(ReplayFolders, AllBelongToATarget) {
  for (const auto& entry : fs::directory_iterator(kCorpus)) {
    EXPECT_NE(find_fuzz_target(entry.path().filename().string()), nullptr) << entry.path();
  }
}

}  // namespace
}  // namespace dragoman
