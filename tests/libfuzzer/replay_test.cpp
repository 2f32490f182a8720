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

using Bytes = std::vector<u8>;

class Replay : public testing::TestWithParam<FuzzTarget> {
 protected:
  /// The inputs of the target's folder by their names.
  static std::vector<std::pair<std::string, Bytes>> corpus() {
    std::vector<std::pair<std::string, Bytes>> inputs;
    for (const auto& entry : fs::directory_iterator(kCorpus / GetParam().name)) {
      std::ifstream file(entry.path(), std::ios::binary);
      inputs.emplace_back(entry.path().filename().string(),
                          Bytes{std::istreambuf_iterator<char>(file), {}});
    }
    std::sort(inputs.begin(), inputs.end());
    return inputs;
  }
  static void run(const Bytes& bytes) {
    const std::size_t length = std::min(bytes.size(), GetParam().most_bytes);
    GetParam().run(std::span(bytes).first(length));
  }
};

TEST_P(Replay, Corpus) {
  GetParam().run({});
  const auto inputs = corpus();
  ASSERT_FALSE(inputs.empty());
  for (const auto& [name, bytes] : inputs) {
    ASSERT_FALSE(bytes.empty()) << name;
    std::fprintf(stderr, "\r%-78s", name.c_str());
    run(bytes);
  }
  std::fprintf(stderr, "\r%-78s\r", "");
}

/// Changes an input as a fuzzer without a view of the code would.
void mutate(Bytes& bytes, const Bytes& other, std::mt19937& random) {
  static constexpr u64 kValues[] = {0,    1,      2,          0x7f,       0x80,
                                    0xff, 0xffff, 0x7fffffff, 0xffffffff, ~u64{0}};
  for (unsigned changes = 1 + random() % 6; changes != 0; --changes) {
    if (bytes.empty()) bytes.push_back(0);
    const std::size_t at = random() % bytes.size();
    switch (random() % 8) {
      case 0:
      case 1:
        bytes[at] = static_cast<u8>(random());
        break;
      case 2:
        bytes[at] ^= static_cast<u8>(1u << random() % 8);
        break;
      case 3: {
        const u64 value = kValues[random() % std::size(kValues)];
        const std::size_t width = std::min<std::size_t>(1u << random() % 4, bytes.size() - at);
        std::copy_n(reinterpret_cast<const u8*>(&value), width,
                    bytes.begin() + static_cast<long>(at));
        break;
      }
      case 4:
        bytes.insert(bytes.begin() + static_cast<long>(at), 1 + random() % 8,
                     static_cast<u8>(random()));
        break;
      case 5:
        bytes.erase(
            bytes.begin() + static_cast<long>(at),
            bytes.begin() + static_cast<long>(std::min(bytes.size(), at + 1 + random() % 16)));
        break;
      case 6: {  // a piece of the same input once more
        const Bytes piece(bytes.begin() + static_cast<long>(at),
                          bytes.begin() + static_cast<long>(std::min(bytes.size(), at + 32)));
        bytes.insert(bytes.end(), piece.begin(), piece.end());
        break;
      }
      default:
        if (other.empty()) break;
        bytes.resize(at);
        bytes.insert(bytes.end(), other.begin() + static_cast<long>(random() % other.size()),
                     other.end());
        break;
    }
  }
}

/// DRAGOMAN_FUZZ_INPUTS asks for more, DRAGOMAN_FUZZ_SEED for others: fuzzing without clang. The
/// input under way is kept in the file that DRAGOMAN_FUZZ_LOG names.
TEST_P(Replay, Mutations) {
  const auto setting = [](const char* name, unsigned otherwise) {
    const char* const text = std::getenv(name);
    return text != nullptr ? static_cast<unsigned>(std::strtoul(text, nullptr, 10)) : otherwise;
  };
  const unsigned count = setting("DRAGOMAN_FUZZ_INPUTS", 40);
  const unsigned seed = setting("DRAGOMAN_FUZZ_SEED", 1);
  const char* const log = std::getenv("DRAGOMAN_FUZZ_LOG");
  const auto inputs = corpus();
  for (unsigned i = 0; i < count; ++i) {
    std::mt19937 random(seed * 1'000'003 + i);
    Bytes bytes = inputs[random() % inputs.size()].second;
    mutate(bytes, inputs[random() % inputs.size()].second, random);
    if (log != nullptr) {
      std::ofstream(log, std::ios::binary)
          .write(reinterpret_cast<const char*>(bytes.data()), static_cast<long>(bytes.size()));
    }
    run(bytes);
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
