#include "bios/image_kind.h"

#include <algorithm>
#include <array>

#include "bios/bytes.h"
#include "bios/elf_image.h"
#include "bios/firmware.h"
#include "bios/multiboot.h"

namespace dragoman {
namespace {

constexpr std::array<u64, 8> kFloppyKib = {160, 180, 320, 360, 720, 1200, 1440, 2880};

bool boot_signature(std::span<const u8> head) { return peek(head, 510, 2) == 0xaa55; }

/// The first instruction of a PC firmware is a far or near jump, 16 bytes before the end.
bool looks_like_firmware(std::span<const u8> head, u64 size) {
  if (head.size() != size || !check_firmware("", head)) return false;
  const auto vector = head.last(16);
  return vector[0] == 0xea || vector[0] == 0xe9 || vector[0] == 0xeb;
}

}  // namespace

std::string_view describe(ImageKind kind) {
  switch (kind) {
    case ImageKind::kDisk:
      return "hard disk image";
    case ImageKind::kCdRom:
      return "CD-ROM image";
    case ImageKind::kFloppy:
      return "floppy disk image";
    case ImageKind::kLinux:
      return "Linux kernel";
    case ImageKind::kMultiboot:
      return "multiboot kernel";
    case ImageKind::kElf:
      return "ELF kernel";
    case ImageKind::kFirmware:
      return "firmware image";
  }
  return "unknown image";
}

bool is_linux_kernel(std::span<const u8> head) {
  return boot_signature(head) && peek(head, 0x202, 4) == 0x53726448;
}

Result<ImageKind> detect_image(std::span<const u8> head, u64 size) {
  if (size == 0 || head.empty()) {
    return error("the file is empty; give a disk image, a CD-ROM image, a kernel or firmware");
  }
  if (is_linux_kernel(head)) return ImageKind::kLinux;
  if (is_elf(head)) {
    return find_multiboot_header(head) ? ImageKind::kMultiboot : ImageKind::kElf;
  }
  // A hybrid image is both; as a CD-ROM it has all its contents.
  const bool iso = peek(head, 0x8000, 4) == 0x30444301 && peek(head, 0x8004, 2) == 0x3130;
  if (iso) return ImageKind::kCdRom;
  if (looks_like_firmware(head, size)) return ImageKind::kFirmware;
  const bool floppy_size =
      std::any_of(kFloppyKib.begin(), kFloppyKib.end(), [&](u64 k) { return size == k * kKiB; });
  if (floppy_size) return ImageKind::kFloppy;
  if (find_multiboot_header(head)) return ImageKind::kMultiboot;
  if (boot_signature(head)) return ImageKind::kDisk;
  return error(
      "the kind of the file ({} bytes) is not recognized; say what it is with -hda, -cdrom, -fda, "
      "-kernel or -bios",
      size);
}

}  // namespace dragoman
