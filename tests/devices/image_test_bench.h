// What tests of image formats share: a temporary directory and qemu-img.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "devices/block/open_image.h"
#include "tests/devices/memory_file.h"

namespace dragoman {

/// Runs a command of the shell; its exit code.
inline int shell(const std::string& command) {
  const int status = std::system((command + " >/dev/null 2>&1").c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

inline bool have_tool(const std::string& name) { return shell("command -v " + name) == 0; }

#define SKIP_WITHOUT(tool) \
  if (!have_tool(tool)) GTEST_SKIP() << tool << " is not installed, nothing to compare with"

/// A directory that goes with the test.
class ImageTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = std::filesystem::temp_directory_path() / "dragoman-image-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string path(const std::string& name) const { return directory_ + "/" + name; }

  static std::vector<u8> file_bytes(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void write_file(const std::string& path, const std::vector<u8>& bytes) {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<long>(bytes.size()));
  }
  static std::unique_ptr<BlockImage> open(const std::string& path, ImageOptions options = {}) {
    auto image = open_image(path, options);
    EXPECT_TRUE(image.ok()) << (image.ok() ? "" : image.error().message);
    return image.ok() ? image.take() : nullptr;
  }
  static std::string open_error(const std::string& path, ImageOptions options = {}) {
    auto image = open_image(path, options);
    return image.ok() ? "" : image.error().message;
  }
  static std::vector<u8> contents(BlockImage& image) {
    std::vector<u8> bytes(image.size());
    const auto ok = image.read(0, bytes);
    EXPECT_TRUE(ok.ok()) << (ok.ok() ? "" : ok.error().message);
    return bytes;
  }

  std::string directory_;
};

/// A disk's contents: long runs of zeros and of data, so that images of it are sparse.
inline std::vector<u8> sparse_pattern(std::size_t bytes, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<u8> data(bytes);
  for (std::size_t at = 0; at < bytes;) {
    const std::size_t run = std::min<std::size_t>(bytes - at, 512 * (1 + random() % 400));
    if (random() % 3 == 0) {
      const u8 step = static_cast<u8>(random());
      for (std::size_t i = 0; i < run; ++i) data[at + i] = static_cast<u8>(i / 7 * step);
    }
    at += run;
  }
  return data;
}

/// Writes at random places of an image and of `model`.
inline void write_randomly(BlockImage& image, std::vector<u8>& model, unsigned seed, int writes,
                           u64 most_bytes = 96 * 1024) {
  std::mt19937 random(seed);
  for (int i = 0; i < writes; ++i) {
    const u64 bytes = 512 * (1 + random() % (most_bytes / 512));
    const u64 at = random() % ((model.size() - bytes) / 512) * 512;
    std::vector<u8> data(bytes);
    for (u64 n = 0; n < bytes; ++n) data[n] = static_cast<u8>(random() >> 5);
    const auto ok = image.write(at, data);
    ASSERT_TRUE(ok.ok()) << ok.error().message;
    std::copy(data.begin(), data.end(), model.begin() + static_cast<long>(at));
    if (i % 13 == 0) {
      ASSERT_TRUE(image.flush().ok());
    }
  }
}

}  // namespace dragoman
