// The screen as a picture file.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "devices/vga/vga_renderer.h"

namespace dragoman {

/// Writes `pixels` (00RRGGBBh, size.width a line) as PNG or as PPM (P6); the file is
/// there whole, or what was at `path` stays.
Result<void> write_picture(const std::string& path, bool png, Size size,
                           std::span<const u32> pixels);

}  // namespace dragoman
