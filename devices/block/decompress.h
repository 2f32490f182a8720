// Decompression of one cluster or grain of a disk image.
#pragma once

#include <span>

#include "base/types.h"

namespace dragoman {

enum class Compression : u8 { kDeflate, kZlib, kZstd };

/// Decompresses `in`, which may have padding behind its end, into all of `out`. False when the
/// data is damaged or gives less than out.size() bytes; what would be more is left away.
bool decompress(Compression kind, std::span<const u8> in, std::span<u8> out);

}  // namespace dragoman
