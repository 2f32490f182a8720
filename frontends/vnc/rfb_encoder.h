// Pixels in the forms a VNC viewer understands: raw, hextile, zlib, ZRLE.
// Document: RFC 6143 sections 7.4 and 7.7; the RFB protocol's community specification for zlib.
#pragma once

#include <zlib.h>

#include <memory>
#include <span>
#include <vector>

#include "base/types.h"
#include "devices/vga/vga_renderer.h"

namespace dragoman {

struct RfbPixelFormat {
  u8 bits = 32;  ///< 8, 16 or 32
  u8 depth = 24;
  bool big_endian = false;
  u16 red_max = 255, green_max = 255, blue_max = 255;
  u8 red_shift = 16, green_shift = 8, blue_shift = 0;

  bool valid() const;
  unsigned bytes() const { return bits / 8u; }
  /// 00RRGGBBh in this format.
  u32 convert(u32 pixel) const;
};

/// What the viewers look at.
struct RfbScreen {
  Size size;
  std::vector<u32> pixels;  ///< 00RRGGBBh, size.width from line to line
};

struct RfbRectangle {
  unsigned x = 0, y = 0, width = 0, height = 0;
};

enum class RfbEncoding : i32 { kRaw = 0, kHextile = 5, kZlib = 6, kZrle = 16 };

/// Encodes for one viewer: the compressing encodings go on from rectangle to rectangle.
class RfbEncoder {
 public:
  RfbEncoder();
  ~RfbEncoder();
  RfbEncoder(const RfbEncoder&) = delete;
  RfbEncoder& operator=(const RfbEncoder&) = delete;

  void set_format(const RfbPixelFormat& format) { format_ = format; }
  /// Appends a rectangle with its header. It lies inside the screen.
  void encode(const RfbScreen& screen, RfbRectangle area, RfbEncoding encoding,
              std::vector<u8>& out);

 private:
  using Lines = std::vector<u32>;  // converted pixels of a rectangle
  Lines convert(const RfbScreen& screen, RfbRectangle area) const;
  void put_pixel(u32 pixel, std::vector<u8>& out) const;
  void put_compact_pixel(u32 pixel, std::vector<u8>& out) const;
  void hextile(const RfbScreen& screen, RfbRectangle area, std::vector<u8>& out);
  void zrle_tile(const Lines& tile, unsigned width, std::vector<u8>& out) const;
  void compress(std::span<const u8> plain, z_stream& stream, std::vector<u8>& out);

  RfbPixelFormat format_;
  std::unique_ptr<z_stream> zlib_;
  std::unique_ptr<z_stream> zrle_;
};

/// Appends the header of a rectangle of an update.
void put_rectangle_header(RfbRectangle area, i32 encoding, std::vector<u8>& out);
/// Appends a big-endian number of `width` bytes.
void put_number(u64 value, unsigned width, std::vector<u8>& out);

}  // namespace dragoman
