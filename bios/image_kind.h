// Guessing what a file given as `dragoman FILE` is.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "base/types.h"

namespace dragoman {

enum class ImageKind {
  kDisk,   ///< raw hard disk with an MBR
  kCdRom,  ///< ISO 9660
  kFloppy,
  kLinux,  ///< bzImage
  kMultiboot,
  kElf,       ///< ELF kernel, with or without the PVH note
  kFirmware,  ///< ROM image for -bios
};

std::string_view describe(ImageKind kind);

/// The boot sector signature and "HdrS" of the Linux setup header.
bool is_linux_kernel(std::span<const u8> head);

/// `head` is the beginning of the file, at least its first 64 KiB (or all of it; firmware is only
/// recognized in a file given whole); `size` its size in bytes.
Result<ImageKind> detect_image(std::span<const u8> head, u64 size);

}  // namespace dragoman
