// Opening a disk image of whatever format.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "devices/block/image_file.h"
#include "devices/block_image.h"

namespace dragoman {

enum class ImageFormat : u8 { kRaw, kQcow2, kVmdk, kVdi, kVhd };

/// "raw", "qcow2", "vmdk", "vdi", "vpc" (or "vhd"); an Error that lists them for other names.
Result<ImageFormat> parse_image_format(std::string_view name);
std::string_view image_format_name(ImageFormat format);

struct ImageOptions {
  std::optional<ImageFormat> format;  ///< absent: found by the contents
  ImageAccess access = ImageAccess::kReadWrite;
  bool backing = false;  ///< a qcow2 image may name a backing file
};

/// What the file contains: a format with a signature, else raw.
Result<ImageFormat> probe_image(ImageFile& file);

/// Opens `path`, or the directory in "fat:DIR" as a read-only disk.
Result<std::unique_ptr<BlockImage>> open_image(const std::string& path,
                                               const ImageOptions& options);

/// The same for a file that is open already.
Result<std::unique_ptr<BlockImage>> open_image(std::unique_ptr<ImageFile> file,
                                               const ImageOptions& options);

}  // namespace dragoman
