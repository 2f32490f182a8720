// A directory as a FAT disk, judged by fsck.fat and read back with mtools.
#include "devices/block/fat_names.h"
#include "tests/devices/image_test_bench.h"

namespace dragoman {
namespace {

class FatDirectory : public ImageTest {
 protected:
  void SetUp() override {
    ImageTest::SetUp();
    std::filesystem::create_directories(path("tree/Sub Directory/deeper"));
    write_file(path("tree/README.TXT"), sparse_pattern(70'000, 1));
    write_file(path("tree/a long file name.text"), sparse_pattern(513, 2));
    write_file(path("tree/empty"), {});
    write_file(path("tree/Sub Directory/deeper/größe.bin"), sparse_pattern(100'000, 3));
    for (int i = 0; i < 600; ++i) {
      write_file(path(fmt::format("tree/Sub Directory/file number {}.dat", i)),
                 {static_cast<u8>(i)});
    }
    std::filesystem::create_symlink("/etc/passwd", path("tree/link"));
  }
  void check(const std::string& kind, const std::string& fat_size) {
    auto image = open("fat:" + kind + path("tree"));
    ASSERT_NE(image, nullptr);
    EXPECT_TRUE(image->read_only());
    EXPECT_NE(image->write(0, std::vector<u8>(512)).error().message.find("-snapshot"),
              std::string::npos);
    // The partition as a sparse file.
    {
      std::ofstream out(path("volume"), std::ios::binary);
      std::vector<u8> chunk(63 * 512);
      for (u64 at = chunk.size(); at < image->size(); at += chunk.size()) {
        const u64 length = std::min<u64>(chunk.size(), image->size() - at);
        ASSERT_TRUE(image->read(at, std::span(chunk).first(length)).ok());
        const bool zeros = std::all_of(chunk.begin(), chunk.begin() + static_cast<long>(length),
                                       [](u8 b) { return b == 0; });
        if (zeros) continue;
        out.seekp(static_cast<long>(at - chunk.size()));
        out.write(reinterpret_cast<const char*>(chunk.data()), static_cast<long>(length));
      }
    }
    std::filesystem::resize_file(path("volume"), image->size() - 63 * 512);
    if (have_tool("fsck.fat")) {
      EXPECT_EQ(shell("fsck.fat -n " + path("volume")), 0);
      EXPECT_EQ(shell("fsck.fat -nv " + path("volume") + " | grep -q '" + fat_size + "'"), 0);
    }
    SKIP_WITHOUT("mcopy");
    ASSERT_EQ(shell("mcopy -s -n -i " + path("volume") + " :: " + path("back")), 0);
    std::filesystem::remove(path("tree/link"));  // left out, as nothing else is
    EXPECT_EQ(shell("diff -r " + path("tree") + " " + path("back")), 0);
  }
};

TEST_F(FatDirectory, Fat16) { check("", "2 bytes per cluster\\|16 bits\\|FAT"); }
TEST_F(FatDirectory, Fat32) { check("32:", "FAT"); }

TEST_F(FatDirectory, RefusesWhatItCannotShow) {
  EXPECT_NE(open_error("fat:" + path("nothing")).find("check the path"), std::string::npos);
  EXPECT_NE(open_error("fat:" + path("tree/empty")).find("not a directory"), std::string::npos);
  EXPECT_NE(open_error("fat:rw:" + path("tree")).find("-snapshot"), std::string::npos);
  ASSERT_EQ(shell("truncate -s 5G " + path("tree/huge")), 0);
  EXPECT_NE(open_error("fat:" + path("tree")).find("huge"), std::string::npos);
}

TEST_F(FatDirectory, AFileThatShrinksEndsWithZeros) {
  auto image = open("fat:" + path("tree"));
  ASSERT_NE(image, nullptr);
  std::filesystem::resize_file(path("tree/README.TXT"), 10);
  std::vector<u8> bytes(4 * 1024 * 1024);
  EXPECT_TRUE(image->read(0, bytes).ok());
}

TEST(FatShortNames, AreUniqueAndKeepPlainNames) {
  FatShortNames names;
  EXPECT_EQ(names.take("README.TXT"), "README  TXT");
  EXPECT_EQ(names.take("readme.txt"), "README~1TXT");
  EXPECT_EQ(names.take("a long name.html"), "ALONGN~1HTM");
  EXPECT_EQ(names.take("a long names.html"), "ALONGN~2HTM");
  EXPECT_EQ(names.take(".profile"), "PROFIL~1   ");
  EXPECT_EQ(names.take("+,;=[]"), "______~1   ");
}

}  // namespace
}  // namespace dragoman
