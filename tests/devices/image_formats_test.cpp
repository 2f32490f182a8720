// Disk image formats against qemu-img: what it wrote is read right, what is written it reads.
#include "base/bits.h"
#include "tests/devices/image_test_bench.h"

namespace dragoman {
namespace {

struct Format {
  const char* label;
  const char* arguments;  // of qemu-img convert
  ImageFormat format;
  bool writable = true;
  bool checkable = true;  // qemu-img check knows the format
};

class ImageFormats : public ImageTest, public testing::WithParamInterface<Format> {};

constexpr std::size_t kBytes = 12 * 1024 * 1024 + 512 * 8;  // a part of a cluster at the end

TEST_P(ImageFormats, ReadsAndWritesWhatQemuImgMakes) {
  SKIP_WITHOUT("qemu-img");
  const Format& format = GetParam();
  std::vector<u8> model = sparse_pattern(kBytes, 5);
  write_file(path("raw"), model);
  ASSERT_EQ(shell(std::string("qemu-img convert -f raw ") + format.arguments + " " + path("raw") +
                  " " + path("image")),
            0);
  const std::string name(image_format_name(format.format));
  {
    auto file = HostImageFile::open(path("image"), ImageAccess::kReadOnly);
    ASSERT_TRUE(file.ok());
    EXPECT_EQ(*probe_image(**file), format.format);
  }
  {
    ImageOptions read_only;
    read_only.access = ImageAccess::kReadOnly;
    auto image = open(path("image"), read_only);
    ASSERT_NE(image, nullptr);
    EXPECT_TRUE(image->read_only());
    ASSERT_GE(image->size(), model.size());
    ASSERT_LE(image->size(), model.size() + 2 * 1024 * 1024);
    std::vector<u8> bytes = contents(*image);
    bytes.resize(model.size());
    EXPECT_TRUE(bytes == model);
    EXPECT_FALSE(image->write(0, std::vector<u8>(512)).ok());
    EXPECT_FALSE(image->read(image->size(), std::span(bytes).first(512)).ok());
    EXPECT_FALSE(image->read(~u64{0} - 511, std::span(bytes).first(512)).ok());
  }
  for (unsigned round = 0; round < 2; ++round) {  // the second meets what the first allocated
    auto image = open(path("image"));
    ASSERT_NE(image, nullptr);
    if (!format.writable) {
      EXPECT_TRUE(image->read_only());
      const auto refused = image->write(0, std::vector<u8>(512));
      ASSERT_FALSE(refused.ok());
      EXPECT_NE(refused.error().message.find("-snapshot"), std::string::npos);
      return;
    }
    EXPECT_FALSE(image->read_only());
    write_randomly(*image, model, 17 + round, 60);
    std::vector<u8> bytes = contents(*image);
    bytes.resize(model.size());
    EXPECT_TRUE(bytes == model);
    EXPECT_FALSE(image->write(image->size(), std::vector<u8>(512)).ok());
  }
  if (format.checkable) {
    EXPECT_EQ(shell("qemu-img check -f " + name + " " + path("image")), 0);
  }
  ASSERT_EQ(shell("qemu-img convert -f " + name + " -O raw " + path("image") + " " + path("back")),
            0);
  std::vector<u8> back = file_bytes(path("back"));
  ASSERT_GE(back.size(), model.size());
  back.resize(model.size());
  EXPECT_TRUE(back == model);
}

INSTANTIATE_TEST_SUITE_P(
    All, ImageFormats,
    testing::Values(
        Format{"qcow2", "-O qcow2", ImageFormat::kQcow2},
        Format{"qcow2_v2", "-O qcow2 -o compat=0.10", ImageFormat::kQcow2},
        Format{"qcow2_lazy", "-O qcow2 -o lazy_refcounts=on", ImageFormat::kQcow2},
        Format{"qcow2_512", "-O qcow2 -o cluster_size=512", ImageFormat::kQcow2},
        Format{"qcow2_2M", "-O qcow2 -o cluster_size=2M", ImageFormat::kQcow2},
        Format{"qcow2_refcount1", "-O qcow2 -o refcount_bits=1,cluster_size=4k",
               ImageFormat::kQcow2},
        Format{"qcow2_refcount4", "-O qcow2 -o refcount_bits=4", ImageFormat::kQcow2},
        Format{"qcow2_refcount64", "-O qcow2 -o refcount_bits=64,cluster_size=512",
               ImageFormat::kQcow2},
        Format{"qcow2_zlib", "-c -O qcow2", ImageFormat::kQcow2},
        Format{"qcow2_zlib_small", "-c -O qcow2 -o cluster_size=1k", ImageFormat::kQcow2},
        Format{"qcow2_zstd", "-c -O qcow2 -o compression_type=zstd", ImageFormat::kQcow2},
        Format{"qcow2_preallocated", "-O qcow2 -o preallocation=metadata", ImageFormat::kQcow2},
        Format{"vmdk", "-O vmdk", ImageFormat::kVmdk},
        Format{"vmdk_stream", "-O vmdk -o subformat=streamOptimized", ImageFormat::kVmdk, false},
        Format{"vmdk_flat", "-O vmdk -o subformat=monolithicFlat", ImageFormat::kVmdk, true, false},
        Format{"vmdk_split", "-O vmdk -o subformat=twoGbMaxExtentSparse", ImageFormat::kVmdk, true,
               false},
        Format{"vdi", "-O vdi", ImageFormat::kVdi},
        Format{"vdi_static", "-O vdi -o static=on", ImageFormat::kVdi},
        Format{"vhd", "-O vpc", ImageFormat::kVhd, true, false},
        Format{"vhd_fixed", "-O vpc -o subformat=fixed", ImageFormat::kVhd, true, false}),
    [](const auto& format) { return std::string(format.param.label); });

class ImageOpening : public ImageTest {};

TEST_F(ImageOpening, BackingFilesOnlyWhenAskedFor) {
  SKIP_WITHOUT("qemu-img");
  std::vector<u8> model = sparse_pattern(3 * 1024 * 1024, 9);
  write_file(path("base"), model);
  ASSERT_EQ(shell("cd " + directory_ + " && qemu-img create -f qcow2 -b base -F raw top 5M"), 0);
  const std::string refusal = open_error(path("top"));
  EXPECT_NE(refusal.find("'base'"), std::string::npos) << refusal;
  EXPECT_NE(refusal.find("backing=on"), std::string::npos) << refusal;
  ImageOptions options;
  options.backing = true;
  model.resize(5 * 1024 * 1024);
  {
    auto image = open(path("top"), options);
    ASSERT_NE(image, nullptr);
    EXPECT_TRUE(contents(*image) == model);
    write_randomly(*image, model, 3, 40, 20 * 1024);
    EXPECT_TRUE(contents(*image) == model);
  }
  EXPECT_EQ(shell("qemu-img check " + path("top")), 0);
  ASSERT_EQ(shell("qemu-img convert -O raw " + path("top") + " " + path("back")), 0);
  EXPECT_TRUE(file_bytes(path("back")) == model);
  EXPECT_TRUE(file_bytes(path("base")) == sparse_pattern(3 * 1024 * 1024, 9)) << "only read";
  // An image that is its own backing file must not be followed for ever.
  ASSERT_EQ(shell("cd " + directory_ +
                  " && qemu-img create -f qcow2 a 1M && qemu-img create -f qcow2 "
                  "-b a -F qcow2 b && qemu-img rebase -u -b b -F qcow2 a"),
            0);
  options.access = ImageAccess::kReadOnly;
  EXPECT_NE(open_error(path("a"), options).find("loop"), std::string::npos);
}

TEST_F(ImageOpening, InternalSnapshotsStayAsTheyWere) {
  SKIP_WITHOUT("qemu-img");
  const std::vector<u8> before = sparse_pattern(2 * 1024 * 1024, 21);
  std::vector<u8> model = before;
  write_file(path("raw"), model);
  ASSERT_EQ(
      shell("qemu-img convert -O qcow2 -o cluster_size=4k " + path("raw") + " " + path("image")),
      0);
  ASSERT_EQ(shell("qemu-img snapshot -c one " + path("image")), 0);
  {
    auto image = open(path("image"));
    ASSERT_NE(image, nullptr);
    write_randomly(*image, model, 23, 50, 16 * 1024);
  }
  EXPECT_EQ(shell("qemu-img check " + path("image")), 0);
  ASSERT_EQ(shell("qemu-img convert -O raw " + path("image") + " " + path("now")), 0);
  EXPECT_TRUE(file_bytes(path("now")) == model);
  ASSERT_EQ(shell("qemu-img convert -l one -O raw " + path("image") + " " + path("then")), 0);
  EXPECT_TRUE(file_bytes(path("then")) == before);
}

TEST_F(ImageOpening, ZeroClustersReadAsZerosAndTakeWrites) {
  SKIP_WITHOUT("qemu-io");
  std::vector<u8> model(1024 * 1024, 0x11);
  write_file(path("raw"), model);
  ASSERT_EQ(shell("qemu-img convert -O qcow2 " + path("raw") + " " + path("image")), 0);
  ASSERT_EQ(shell("qemu-io -c 'write -z 64k 128k' -c 'write -zu 512k 64k' " + path("image")), 0);
  std::fill_n(model.begin() + 64 * 1024, 128 * 1024, u8{0});
  std::fill_n(model.begin() + 512 * 1024, 64 * 1024, u8{0});
  {
    auto image = open(path("image"));
    ASSERT_NE(image, nullptr);
    EXPECT_TRUE(contents(*image) == model);
    write_randomly(*image, model, 2, 30, 2048);
  }
  EXPECT_EQ(shell("qemu-img check " + path("image")), 0);
  ASSERT_EQ(shell("qemu-img convert -O raw " + path("image") + " " + path("back")), 0);
  EXPECT_TRUE(file_bytes(path("back")) == model);
}

TEST_F(ImageOpening, TheRefcountTableGrows) {
  SKIP_WITHOUT("qemu-img");
  // One cluster of table with 64 blocks of 64 refcounts of 64 bits covers 2 MiB.
  ASSERT_EQ(shell("qemu-img create -f qcow2 -o cluster_size=512,refcount_bits=64 " + path("image") +
                  " 40M"),
            0);
  const auto table_clusters = [&] { return file_bytes(path("image"))[59]; };
  const unsigned before = table_clusters();
  std::vector<u8> model(40 * 1024 * 1024);
  {
    auto image = open(path("image"));
    ASSERT_NE(image, nullptr);
    for (u64 at = 0; at < 16 * 1024 * 1024; at += 64 * 1024) {
      std::fill_n(model.begin() + static_cast<long>(at), 64 * 1024, static_cast<u8>(at >> 16 | 1));
      ASSERT_TRUE(image->write(at, std::span(model).subspan(at, 64 * 1024)).ok());
    }
  }
  EXPECT_GT(table_clusters(), before);
  EXPECT_EQ(shell("qemu-img check " + path("image")), 0);
  EXPECT_TRUE(contents(*open(path("image"))) == model);
}

TEST_F(ImageOpening, SaysWhatItDoesNotKnow) {
  SKIP_WITHOUT("qemu-img");
  const auto create = [&](const std::string& arguments) {
    ASSERT_EQ(shell("qemu-img create -f " + arguments + " " + path("image") + " 4M"), 0);
  };
  create("qcow2 -o extended_l2=on");
  EXPECT_NE(open_error(path("image")).find("extended_l2"), std::string::npos);
  create("qcow2 -o data_file=" + path("data"));
  EXPECT_NE(open_error(path("image")).find("another file"), std::string::npos);
  create("parallels");
  EXPECT_NE(open_error(path("image")).find("Parallels"), std::string::npos);
  std::vector<u8> old(1024);  // the first version of the format, which qemu-img does not write
  const std::string_view magic = "WithoutFreeSpace";
  std::copy(magic.begin(), magic.end(), old.begin());
  write_file(path("image"), old);
  EXPECT_NE(open_error(path("image")).find("Parallels"), std::string::npos);
  create("vhdx");
  EXPECT_NE(open_error(path("image")).find("VHDX"), std::string::npos);
  create("qcow2");
  ImageOptions raw;
  raw.format = ImageFormat::kRaw;
  EXPECT_EQ(open(path("image"), raw)->size(), align_up(file_bytes(path("image")).size(), 512));
  for (const ImageFormat format : {ImageFormat::kVmdk, ImageFormat::kVdi, ImageFormat::kVhd}) {
    ImageOptions wrong;
    wrong.format = format;
    EXPECT_NE(open_error(path("image"), wrong).find("right file"), std::string::npos);
  }
}

TEST_F(ImageOpening, VmdkExtentsLieInTheFolderOfTheDescriptor) {
  write_file(path("secret"), std::vector<u8>(1024 * 1024, 1));
  for (const std::string name : {"/etc/hostname", "../x", "sub/x", "", ".."}) {
    std::ofstream(path("disk.vmdk"))
        << "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n"
        << "createType=\"monolithicFlat\"\nRW 2048 FLAT \"" << name << "\" 0\n";
    EXPECT_NE(open_error(path("disk.vmdk")).find("own folder"), std::string::npos) << name;
  }
  std::ofstream(path("disk.vmdk")) << "# Disk DescriptorFile\nRW 4096 FLAT \"secret\" 0\n";
  EXPECT_NE(open_error(path("disk.vmdk")).find("too short"), std::string::npos);
  std::ofstream(path("disk.vmdk")) << "# Disk DescriptorFile\nRW 8 ZERO\nRW 16 FLAT \"secret\" 8\n";
  auto image = open(path("disk.vmdk"));
  ASSERT_NE(image, nullptr);
  EXPECT_EQ(image->size(), 24u * 512);
  std::vector<u8> bytes = contents(*image);
  EXPECT_EQ(bytes[8 * 512 - 1], 0);
  EXPECT_EQ(bytes[8 * 512], 1);
}

}  // namespace
}  // namespace dragoman
