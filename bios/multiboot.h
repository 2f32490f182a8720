// Recognizing multiboot images.
#pragma once

#include <optional>
#include <span>

#include "base/types.h"

namespace dragoman {

/// Offset of a valid multiboot header (magic and checksum) in the first 8 KiB.
std::optional<u64> find_multiboot_header(std::span<const u8> image);

}  // namespace dragoman
