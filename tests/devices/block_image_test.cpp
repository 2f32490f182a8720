// Disk images on the host: raw files, the snapshot overlay, memory.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "devices/block/memory_image.h"
#include "devices/block/raw_image.h"
#include "devices/block/snapshot_image.h"

namespace dragoman {
namespace {

class BlockImageTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/dragoman-block-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string make_file(const std::string& name, std::size_t bytes) {
    const std::string path = directory_ + "/" + name;
    std::vector<char> data(bytes);
    for (std::size_t i = 0; i < bytes; ++i) data[i] = static_cast<char>(i * 7 + i / 512);
    std::ofstream(path, std::ios::binary).write(data.data(), static_cast<long>(bytes));
    return path;
  }
  static std::vector<u8> file_bytes(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static std::string open_error(const std::string& path, RawImage::Access access) {
    auto result = RawImage::open(path, access);
    return result.ok() ? "" : result.error().message;
  }

  std::string directory_;
};

using Access = RawImage::Access;

TEST_F(BlockImageTest, RawReadsAndWritesTheFile) {
  const std::string path = make_file("disk", 8192);
  const std::vector<u8> before = file_bytes(path);
  auto image = RawImage::open(path, Access::kReadWrite).take();
  EXPECT_EQ(image->size(), 8192u);
  EXPECT_FALSE(image->read_only());
  std::vector<u8> data(1024);
  ASSERT_TRUE(image->read(512, data));
  EXPECT_TRUE(std::equal(data.begin(), data.end(), before.begin() + 512));
  std::vector<u8> changed(512, 0xa5);
  ASSERT_TRUE(image->write(4096, changed));
  ASSERT_TRUE(image->flush());
  const std::vector<u8> after = file_bytes(path);
  EXPECT_TRUE(std::equal(changed.begin(), changed.end(), after.begin() + 4096));
  EXPECT_TRUE(std::equal(before.begin(), before.begin() + 4096, after.begin()));
}

TEST_F(BlockImageTest, RawRoundsUpWithZeros) {
  const std::string path = make_file("odd", 700);
  auto image = RawImage::open(path, Access::kReadWrite).take();
  EXPECT_EQ(image->size(), 1024u);
  std::vector<u8> data(512, 0xff);
  ASSERT_TRUE(image->read(512, data));
  EXPECT_EQ(data[187], static_cast<u8>(699 * 7 + 1));
  EXPECT_EQ(std::accumulate(data.begin() + 188, data.end(), 0), 0);
  EXPECT_FALSE(image->read(1024, data));
  EXPECT_FALSE(image->write(~u64{0}, data));
  std::vector<u8> tail(512, 0x11);
  ASSERT_TRUE(image->write(512, tail));
  EXPECT_EQ(file_bytes(path).size(), 1024u);
}

TEST_F(BlockImageTest, RawReadOnlyRefusesWrites) {
  const std::string path = make_file("disk", 512);
  auto image = RawImage::open(path, Access::kReadOnly).take();
  std::vector<u8> data(512);
  EXPECT_TRUE(image->read_only());
  EXPECT_FALSE(image->write(0, data));
  EXPECT_TRUE(image->flush());
}

TEST_F(BlockImageTest, RawOpenErrorsAreSentences) {
  EXPECT_NE(open_error(directory_ + "/none", Access::kReadOnly).find("does not exist"),
            std::string::npos);
  EXPECT_NE(open_error(directory_, Access::kReadOnly).find("is a directory"), std::string::npos);
  EXPECT_NE(open_error(directory_, Access::kReadWrite).find("is a directory"), std::string::npos);
  EXPECT_NE(open_error(make_file("empty", 0), Access::kReadOnly).find("is empty"),
            std::string::npos);
  const std::string fifo = directory_ + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_NE(open_error(fifo, Access::kReadOnly).find("neither a regular file"), std::string::npos);
}

TEST_F(BlockImageTest, RawLocksTheFile) {
  const std::string path = make_file("disk", 512);
  {
    auto writer = RawImage::open(path, Access::kReadWrite).take();
    const std::string message = open_error(path, Access::kReadWrite);
    EXPECT_NE(message.find("in use"), std::string::npos);
    EXPECT_NE(message.find(path), std::string::npos);
    EXPECT_NE(open_error(path, Access::kReadOnly).find("in use"), std::string::npos);
  }
  auto reader = RawImage::open(path, Access::kReadOnly).take();
  EXPECT_EQ(open_error(path, Access::kReadOnly), "") << "readers share";
  EXPECT_NE(open_error(path, Access::kReadWrite).find("-snapshot"), std::string::npos);
}

TEST_F(BlockImageTest, SnapshotKeepsTheOriginal) {
  const std::string path = make_file("disk", 3 * 4096 + 512);
  const std::vector<u8> before = file_bytes(path);
  auto image =
      SnapshotImage::create(RawImage::open(path, Access::kReadOnly).take(), directory_).take();
  EXPECT_FALSE(image->read_only());
  EXPECT_EQ(image->size(), before.size());

  std::vector<u8> expected = before;
  const auto put = [&](u64 offset, u64 length, u8 value) {
    std::vector<u8> data(length, value);
    ASSERT_TRUE(image->write(offset, data));
    std::fill_n(expected.begin() + static_cast<long>(offset), length, value);
  };
  put(512, 512, 1);          // inside a cluster
  put(4096 - 512, 1024, 2);  // across a border
  put(3 * 4096, 512, 3);     // the short last cluster
  std::vector<u8> data(before.size());
  ASSERT_TRUE(image->read(0, data));
  EXPECT_EQ(data, expected);
  put(0, before.size(), 4);  // whole clusters
  ASSERT_TRUE(image->read(0, data));
  EXPECT_EQ(data, expected);
  EXPECT_EQ(file_bytes(path), before);
  EXPECT_FALSE(image->read(before.size(), std::span(data).first(512)));
  EXPECT_FALSE(image->write(before.size() - 512, std::span(data).first(1024)));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_), {}), 1)
      << "the temporary file has no name";
}

TEST_F(BlockImageTest, SnapshotNamesTheDirectoryItCannotUse) {
  auto result = SnapshotImage::create(std::make_unique<MemoryImage>(std::vector<u8>(512)),
                                      directory_ + "/missing");
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("/missing"), std::string::npos);
}

TEST_F(BlockImageTest, MemoryImageChecksItsRange) {
  MemoryImage image(std::vector<u8>(700, 9));
  EXPECT_EQ(image.size(), 1024u);
  std::vector<u8> data(512);
  ASSERT_TRUE(image.read(512, data));
  EXPECT_EQ(data[187], 9);
  EXPECT_EQ(data[188], 0);
  EXPECT_FALSE(image.read(768, data));
  EXPECT_FALSE(MemoryImage(std::vector<u8>(512), true).write(0, data));
}

}  // namespace
}  // namespace dragoman
