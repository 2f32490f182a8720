// Damaged images: a clear error or some contents, never a crash, a hang or much memory.
#include <cstdlib>

#include "base/bits.h"
#include "devices/block/byte_order.h"
#include "tests/devices/image_test_bench.h"

namespace dragoman {
namespace {

class ImageFuzz : public ImageTest {};

void use(const std::vector<u8>& bytes, ImageAccess access, std::mt19937& random) {
  ImageOptions options;
  options.access = access;
  auto image = open_image(std::make_unique<MemoryFile>(bytes, access), options);
  if (!image) {
    EXPECT_GT(image.error().message.size(), 20u);
    EXPECT_NE(image.error().message.find("memory"), std::string::npos) << "the file is named";
    return;
  }
  std::vector<u8> data(70'000 / 512 * 512);
  for (int i = 0; i < 12; ++i) {
    const u64 size = (*image)->size();
    u64 at = (random() % 4 == 0 ? u64{random()} << 21 | random() : random()) % size / 512 * 512;
    if (i == 0) at = 0;
    const u64 length = std::min<u64>(size - at, 512 * (1 + random() % (data.size() / 512)));
    const auto piece = std::span(data).first(length);
    (void)(*image)->read(at, piece);
    if (access == ImageAccess::kReadWrite && random() % 2 == 0) (void)(*image)->write(at, piece);
  }
  (void)(*image)->flush();
}

void damage(std::vector<u8>& bytes, std::mt19937& random, std::size_t where_most) {
  static constexpr u64 kValues[] = {0,       1,           2,          0x7f,        0xff,
                                    0x200,   0x10000,     0x7fffffff, 0x80000000,  0xffffffff,
                                    0x40000, 0x100000001, ~u64{0},    u64{1} << 63};
  const unsigned changes = 1 + random() % 4;
  for (unsigned i = 0; i < changes; ++i) {
    const std::size_t at = random() % std::min(where_most, bytes.size() - 8);
    switch (random() % 5) {
      case 0:
        bytes[at] = static_cast<u8>(random());
        break;
      case 1:
        put_be(bytes, at & ~3u, 4, kValues[random() % std::size(kValues)]);
        break;
      case 2:
        put_be(bytes, at & ~7u, 8, kValues[random() % std::size(kValues)]);
        break;
      case 3:
        put_le(bytes, at & ~3u, 4, kValues[random() % std::size(kValues)]);
        break;
      default:  // another table's entry: overlaps and loops
        put_be(bytes, at & ~7u, 8, (random() % 64) * 4096 | (random() % 2 ? u64{1} << 63 : 0));
        break;
    }
  }
  if (random() % 8 == 0) bytes.resize(random() % bytes.size());
}

TEST_F(ImageFuzz, DamagedHeadersAndTables) {
  SKIP_WITHOUT("qemu-img");
  const std::vector<u8> model = sparse_pattern(1024 * 1024, 4);
  write_file(path("raw"), model);
  const char* kFormats[] = {"-O qcow2 -o cluster_size=4k",
                            "-c -O qcow2 -o cluster_size=4k",
                            "-c -O qcow2 -o compression_type=zstd,cluster_size=4k",
                            "-O qcow2 -o compat=0.10,cluster_size=4k",
                            "-O vmdk",
                            "-O vmdk -o subformat=streamOptimized",
                            "-O vdi",
                            "-O vpc",
                            "-O vpc -o subformat=fixed"};
  const char* const seed = std::getenv("DRAGOMAN_IMAGE_SEED");
  std::mt19937 random(seed != nullptr ? static_cast<u32>(std::atoi(seed)) : 99);
  for (const char* format : kFormats) {
    ASSERT_EQ(shell(std::string("qemu-img convert -f raw ") + format + " " + path("raw") + " " +
                    path("image")),
              0);
    if (std::strstr(format, "qcow2")) {
      ASSERT_EQ(shell("qemu-img snapshot -c s " + path("image")), 0);
    }
    const std::vector<u8> good = file_bytes(path("image"));
    // The tables of all formats lie in the first 64 KiB; VDI and VHD use the first 2 KiB.
    const std::size_t tables = std::strstr(format, "v") ? 24 * 1024 : 64 * 1024;
    for (int i = 0; i < 250; ++i) {
      std::vector<u8> bytes = good;
      damage(bytes, random, i % 2 == 0 ? 120 : tables);
      const bool write = i % 3 != 0;
      SCOPED_TRACE(fmt::format("{} number {}", format, i));
      use(bytes, write ? ImageAccess::kReadWrite : ImageAccess::kReadOnly, random);
      if (testing::Test::HasFailure()) return;
    }
  }
}

/// Writing through a table that points into other tables would destroy the image.
TEST_F(ImageFuzz, OverlappingQcow2TablesAreRefusedForWriting) {
  SKIP_WITHOUT("qemu-img");
  write_file(path("raw"), std::vector<u8>(1024 * 1024, 7));
  ASSERT_EQ(shell("qemu-img convert -O qcow2 " + path("raw") + " " + path("image")), 0);
  const std::vector<u8> good = file_bytes(path("image"));
  const u64 l1 = get_be(good, 40, 8);
  const u64 l2 = get_be(good, l1, 8) & 0xfffffffffffe00;
  const u64 table = get_be(good, 48, 8);
  const u64 block = get_be(good, table, 8);
  struct Case {
    u64 at, value;
  };
  const Case cases[] = {{l2, bit(63) | 0},
                        {l2, bit(63) | l1},
                        {l2, bit(63) | l2},
                        {l2, bit(63) | block},
                        {l1, bit(63) | l1},
                        {l1, bit(63) | block},
                        {table, l1},
                        {48, l1},
                        {40, table},
                        {l2, bit(63) | (1u << 30)},
                        {l2, bit(63) | (l2 + 0x12200)},
                        {l2, bit(63) | (get_be(good, l2 + 8, 8) & 0xfffffffffffe00)}};
  for (const Case& c : cases) {
    std::vector<u8> bytes = good;
    put_be(bytes, c.at, 8, c.value);
    auto image = open_image(std::make_unique<MemoryFile>(bytes), {});
    if (c.at == l2 && c.value == bit(63)) {  // the same as an unused entry: a lost cluster
      EXPECT_TRUE(image.ok());
      continue;
    }
    ASSERT_FALSE(image.ok()) << fmt::format("{:#x} at {:#x}", c.value, c.at);
    EXPECT_NE(image.error().message.find("qemu-img check"), std::string::npos)
        << image.error().message;
  }
}

}  // namespace
}  // namespace dragoman
