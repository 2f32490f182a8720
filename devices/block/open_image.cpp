#include "devices/block/open_image.h"

#include <array>
#include <cstring>
#include <utility>

#include "devices/block/byte_order.h"
#include "devices/block/fat_directory.h"
#include "devices/block/qcow2_image.h"
#include "devices/block/raw_image.h"
#include "devices/block/vdi_image.h"
#include "devices/block/vhd_image.h"
#include "devices/block/vmdk_image.h"

namespace dragoman {
namespace {

constexpr unsigned kMaxBackingFiles = 32;

constexpr std::pair<std::string_view, ImageFormat> kNames[] = {
    {"raw", ImageFormat::kRaw}, {"qcow2", ImageFormat::kQcow2}, {"vmdk", ImageFormat::kVmdk},
    {"vdi", ImageFormat::kVdi}, {"vpc", ImageFormat::kVhd},     {"vhd", ImageFormat::kVhd}};

Result<std::unique_ptr<BlockImage>> open_at_depth(std::unique_ptr<ImageFile> file,
                                                  const ImageOptions& options, unsigned depth);

Result<std::unique_ptr<BlockImage>> open_backing(const ImageFile& file, const Qcow2Header& header,
                                                 const ImageOptions& options, unsigned depth) {
  const std::string& name = header.backing_file;
  if (!options.backing) {
    return error(
        "qcow2 image '{}' has a backing file, '{}', which is only used when asked for: say "
        "-drive file={},backing=on if you trust it, or join them with 'qemu-img convert'",
        file.path(), name, file.path());
  }
  if (depth >= kMaxBackingFiles) {
    return error(
        "qcow2 image '{}' has more than {} backing files behind each other; they may form "
        "a loop, see 'qemu-img info --backing-chain'",
        file.path(), kMaxBackingFiles);
  }
  if (name.starts_with("json:") || name.find('\0') != std::string::npos) {
    return error(
        "qcow2 image '{}' has the backing file '{}', which is no path; change it with "
        "'qemu-img rebase -u'",
        file.path(), name);
  }
  ImageOptions below;
  below.access = ImageAccess::kReadOnly;
  below.backing = true;
  if (!header.backing_format.empty()) {
    auto format = parse_image_format(header.backing_format);
    if (!format) return format.error();
    below.format = *format;
  }
  const auto slash = file.path().rfind('/');
  const bool relative = !name.starts_with('/') && slash != std::string::npos;
  auto opened = HostImageFile::open(relative ? file.path().substr(0, slash + 1) + name : name,
                                    ImageAccess::kReadOnly);
  if (!opened) {
    return error("backing file of '{}': {}", file.path(), opened.error().message);
  }
  return open_at_depth(opened.take(), below, depth + 1);
}

Result<std::unique_ptr<BlockImage>> open_qcow2(std::unique_ptr<ImageFile> file,
                                               const ImageOptions& options, unsigned depth) {
  auto header = Qcow2Header::read(*file);
  if (!header) return header.error();
  std::unique_ptr<BlockImage> backing;
  if (!header->backing_file.empty()) {
    auto opened = open_backing(*file, *header, options, depth);
    if (!opened) return opened;
    backing = opened.take();
  }
  auto image = Qcow2Image::open(std::move(file), header.take(), std::move(backing));
  if (!image) return image.error();
  return std::unique_ptr<BlockImage>(image.take());
}

Result<std::unique_ptr<BlockImage>> open_vmdk(std::unique_ptr<ImageFile> file) {
  std::array<u8, 512> head{};
  if (auto ok = file->read(0, head); !ok) return ok.error();
  if (is_vmdk_descriptor(head)) return open_vmdk_descriptor(std::move(file));
  return VmdkSparse::open(std::move(file));
}

Result<std::unique_ptr<BlockImage>> open_at_depth(std::unique_ptr<ImageFile> file,
                                                  const ImageOptions& options, unsigned depth) {
  std::optional<ImageFormat> format = options.format;
  if (!format) {
    auto probed = probe_image(*file);
    if (!probed) return probed.error();
    format = *probed;
  }
  switch (*format) {
    case ImageFormat::kRaw:
      break;
    case ImageFormat::kQcow2:
      return open_qcow2(std::move(file), options, depth);
    case ImageFormat::kVmdk:
      return open_vmdk(std::move(file));
    case ImageFormat::kVdi:
      return VdiImage::open(std::move(file));
    case ImageFormat::kVhd:
      return VhdImage::open(std::move(file));
  }
  return std::unique_ptr<BlockImage>(std::make_unique<RawImage>(std::move(file)));
}

}  // namespace

Result<ImageFormat> parse_image_format(std::string_view name) {
  for (const auto& [known, format] : kNames) {
    if (known == name) return format;
  }
  return error(
      "image format '{}' is not available; use raw, qcow2, vmdk, vdi or vpc, or convert the "
      "image with 'qemu-img convert -O qcow2'",
      name);
}

std::string_view image_format_name(ImageFormat format) {
  for (const auto& [name, known] : kNames) {
    if (known == format) return name;
  }
  return "raw";
}

Result<ImageFormat> probe_image(ImageFile& file) {
  std::array<u8, 512> head{};
  if (auto ok = file.read(0, head); !ok) return ok.error();
  if (get_be(head, 0, 4) == 0x514649fb) return ImageFormat::kQcow2;
  if (VmdkSparse::recognize(head) || is_vmdk_descriptor(head)) return ImageFormat::kVmdk;
  if (VdiImage::recognize(head)) return ImageFormat::kVdi;
  if (VhdImage::recognize(head)) return ImageFormat::kVhd;
  constexpr std::pair<std::string_view, std::string_view> kOthers[] = {
      {"vhdxfile", "VHDX"},
      {"WithoutFreeSpace", "Parallels"},
      {"WithouFreSpacExt", "Parallels"},
      {std::string_view("QED\0", 4), "QED"},
      {"COWD", "old VMware (COWD)"},
      {"LUKS\xba\xbe", "encrypted (LUKS)"}};
  for (const auto& [signature, name] : kOthers) {
    if (std::memcmp(head.data(), signature.data(), signature.size()) == 0) {
      return error(
          "'{}' is an image in the {} format, which is not supported; convert it with "
          "'qemu-img convert -O qcow2', or say format=raw to use its bytes as they are",
          file.path(), name);
    }
  }
  if (file.size() > VhdImage::kFooterBytes) {
    if (auto ok = file.read(file.size() - VhdImage::kFooterBytes, head); !ok) return ok.error();
    if (VhdImage::recognize(head)) return ImageFormat::kVhd;
  }
  return ImageFormat::kRaw;
}

Result<std::unique_ptr<BlockImage>> open_image(const std::string& path,
                                               const ImageOptions& options) {
  if (path.starts_with("fat:")) return open_fat_directory(path.substr(4));
  auto file = HostImageFile::open(path, options.access);
  if (!file) return file.error();
  return open_image(file.take(), options);
}

Result<std::unique_ptr<BlockImage>> open_image(std::unique_ptr<ImageFile> file,
                                               const ImageOptions& options) {
  return open_at_depth(std::move(file), options, 0);
}

}  // namespace dragoman
