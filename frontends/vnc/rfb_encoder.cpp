#include "frontends/vnc/rfb_encoder.h"

#include <algorithm>
#include <array>

#include "base/assert.h"

namespace dragoman {
namespace {

constexpr unsigned kHextileSide = 16;
constexpr unsigned kZrleSide = 64;
constexpr std::size_t kMostColours = 16;
constexpr u8 kHextileRaw = 1;
constexpr u8 kHextileBackground = 2;
constexpr u8 kHextileForeground = 4;
constexpr u8 kHextileSubrects = 8;
constexpr u8 kHextileColoured = 16;

std::unique_ptr<z_stream> new_stream() {
  auto stream = std::make_unique<z_stream>();
  *stream = {};
  const int status = deflateInit(stream.get(), 1);  // speed counts, the host is mostly near
  DRAGOMAN_ASSERT(status == Z_OK);
  return stream;
}

/// The different colours in order of appearance; more than kMostColours: empty.
std::vector<u32> colours_of(const std::vector<u32>& pixels) {
  std::vector<u32> colours;
  u32 last = ~pixels[0];
  for (const u32 pixel : pixels) {
    if (pixel == last) continue;
    last = pixel;
    if (std::find(colours.begin(), colours.end(), pixel) != colours.end()) continue;
    if (colours.size() == kMostColours) return {};
    colours.push_back(pixel);
  }
  return colours;
}

}  // namespace

void put_number(u64 value, unsigned width, std::vector<u8>& out) {
  while (width-- > 0) out.push_back(static_cast<u8>(value >> (8 * width)));
}

void put_rectangle_header(RfbRectangle area, i32 encoding, std::vector<u8>& out) {
  for (const unsigned n : {area.x, area.y, area.width, area.height}) put_number(n, 2, out);
  put_number(static_cast<u32>(encoding), 4, out);
}

bool RfbPixelFormat::valid() const {
  if (bits != 8 && bits != 16 && bits != 32) return false;
  for (const u16 max : {red_max, green_max, blue_max}) {
    if (max == 0 || (max & (max + 1)) != 0) return false;
  }
  return red_shift < bits && green_shift < bits && blue_shift < bits;
}

u32 RfbPixelFormat::convert(u32 pixel) const {
  const auto part = [&](unsigned from, u32 max, unsigned shift) {
    return static_cast<u32>((u64{pixel >> from & 0xff} * max + 127) / 255) << shift;
  };
  return part(16, red_max, red_shift) | part(8, green_max, green_shift) |
         part(0, blue_max, blue_shift);
}

RfbEncoder::RfbEncoder() : zlib_(new_stream()), zrle_(new_stream()) {}

RfbEncoder::~RfbEncoder() {
  deflateEnd(zlib_.get());
  deflateEnd(zrle_.get());
}

RfbEncoder::Lines RfbEncoder::convert(const RfbScreen& screen, RfbRectangle area) const {
  Lines lines;
  lines.reserve(u64{area.width} * area.height);
  const bool same = format_.bits == 32 && format_.red_max == 255 && format_.green_max == 255 &&
                    format_.blue_max == 255 && format_.red_shift == 16 &&
                    format_.green_shift == 8 && format_.blue_shift == 0;
  for (unsigned y = area.y; y < area.y + area.height; ++y) {
    const u32* from = &screen.pixels[u64{y} * screen.size.width + area.x];
    for (unsigned x = 0; x < area.width; ++x) {
      lines.push_back(same ? from[x] & 0xffffff : format_.convert(from[x]));
    }
  }
  return lines;
}

void RfbEncoder::put_pixel(u32 pixel, std::vector<u8>& out) const {
  const unsigned bytes = format_.bytes();
  for (unsigned i = 0; i < bytes; ++i) {
    out.push_back(static_cast<u8>(pixel >> 8 * (format_.big_endian ? bytes - 1 - i : i)));
  }
}

void RfbEncoder::put_compact_pixel(u32 pixel, std::vector<u8>& out) const {
  // Three of four bytes when they hold all colours (RFC 6143 section 7.7.5).
  const u32 used = u32{format_.red_max} << format_.red_shift |
                   u32{format_.green_max} << format_.green_shift |
                   u32{format_.blue_max} << format_.blue_shift;
  const bool low = (used & 0xff000000) == 0;
  const bool high = (used & 0xff) == 0;
  if (format_.bits != 32 || format_.depth > 24 || (!low && !high)) {
    put_pixel(pixel, out);
    return;
  }
  if (!low) pixel >>= 8;
  for (unsigned i = 0; i < 3; ++i) {
    out.push_back(static_cast<u8>(pixel >> 8 * (format_.big_endian ? 2 - i : i)));
  }
}

void RfbEncoder::compress(std::span<const u8> plain, z_stream& stream, std::vector<u8>& out) {
  const std::size_t length_at = out.size();
  put_number(0, 4, out);
  stream.next_in = const_cast<u8*>(plain.data());  // zlib does not write to it
  stream.avail_in = static_cast<uInt>(plain.size());
  std::array<u8, 16384> chunk;
  do {
    stream.next_out = chunk.data();
    stream.avail_out = chunk.size();
    deflate(&stream, Z_SYNC_FLUSH);
    out.insert(out.end(), chunk.begin(), chunk.end() - stream.avail_out);
  } while (stream.avail_out == 0);
  const u64 length = out.size() - length_at - 4;
  for (unsigned i = 0; i < 4; ++i) out[length_at + i] = static_cast<u8>(length >> (24 - 8 * i));
}

void RfbEncoder::hextile(const RfbScreen& screen, RfbRectangle area, std::vector<u8>& out) {
  for (unsigned y = 0; y < area.height; y += kHextileSide) {
    for (unsigned x = 0; x < area.width; x += kHextileSide) {
      const RfbRectangle tile{area.x + x, area.y + y, std::min(kHextileSide, area.width - x),
                              std::min(kHextileSide, area.height - y)};
      const Lines pixels = convert(screen, tile);
      const std::vector<u32> colours = colours_of(pixels);
      const std::size_t start = out.size();
      const std::size_t raw_bytes = pixels.size() * format_.bytes();
      if (!colours.empty()) {
        // Runs of other colours on a background of the first.
        const bool coloured = colours.size() > 2;
        u8 flags = kHextileBackground;
        if (colours.size() > 1) flags |= kHextileSubrects;
        if (coloured) flags |= kHextileColoured;
        if (colours.size() == 2) flags |= kHextileForeground;
        out.push_back(flags);
        put_pixel(colours[0], out);
        if (colours.size() == 2) put_pixel(colours[1], out);
        unsigned runs = 0;
        const std::size_t count_at = out.size();
        if (colours.size() > 1) out.push_back(0);
        for (unsigned row = 0; row < tile.height; ++row) {
          for (unsigned column = 0; column < tile.width;) {
            const u32 colour = pixels[row * tile.width + column];
            unsigned run = 1;
            while (column + run < tile.width && pixels[row * tile.width + column + run] == colour) {
              ++run;
            }
            if (colour != colours[0]) {
              if (coloured) put_pixel(colour, out);
              out.push_back(static_cast<u8>(column << 4 | row));
              out.push_back(static_cast<u8>((run - 1) << 4));
              ++runs;
            }
            column += run;
          }
        }
        if (colours.size() > 1) out[count_at] = static_cast<u8>(runs);
        if (runs <= 255 && out.size() - start <= raw_bytes) continue;
        out.resize(start);
      }
      out.push_back(kHextileRaw);
      for (const u32 pixel : pixels) put_pixel(pixel, out);
    }
  }
}

void RfbEncoder::zrle_tile(const Lines& tile, unsigned width, std::vector<u8>& out) const {
  const std::vector<u32> colours = colours_of(tile);
  out.push_back(static_cast<u8>(colours.size()));  // 0: raw, 1: solid, else a packed palette
  if (colours.empty()) {
    for (const u32 pixel : tile) put_compact_pixel(pixel, out);
    return;
  }
  for (const u32 colour : colours) put_compact_pixel(colour, out);
  if (colours.size() == 1) return;
  const unsigned bits = colours.size() <= 2 ? 1 : colours.size() <= 4 ? 2 : 4;
  for (std::size_t row = 0; row < tile.size(); row += width) {
    unsigned byte = 0;
    unsigned filled = 0;
    for (unsigned x = 0; x < width; ++x) {
      const auto at = std::find(colours.begin(), colours.end(), tile[row + x]) - colours.begin();
      byte = byte << bits | static_cast<unsigned>(at);
      filled += bits;
      if (filled == 8 || x + 1 == width) {
        out.push_back(static_cast<u8>(byte << (8 - filled)));
        byte = filled = 0;
      }
    }
  }
}

void RfbEncoder::encode(const RfbScreen& screen, RfbRectangle area, RfbEncoding encoding,
                        std::vector<u8>& out) {
  put_rectangle_header(area, static_cast<i32>(encoding), out);
  std::vector<u8> plain;
  switch (encoding) {
    case RfbEncoding::kRaw:
      for (const u32 pixel : convert(screen, area)) put_pixel(pixel, out);
      return;
    case RfbEncoding::kHextile:
      hextile(screen, area, out);
      return;
    case RfbEncoding::kZlib:
      for (const u32 pixel : convert(screen, area)) put_pixel(pixel, plain);
      compress(plain, *zlib_, out);
      return;
    case RfbEncoding::kZrle:
      for (unsigned y = 0; y < area.height; y += kZrleSide) {
        for (unsigned x = 0; x < area.width; x += kZrleSide) {
          const RfbRectangle tile{area.x + x, area.y + y, std::min(kZrleSide, area.width - x),
                                  std::min(kZrleSide, area.height - y)};
          zrle_tile(convert(screen, tile), tile.width, plain);
        }
      }
      compress(plain, *zrle_, out);
      return;
  }
}

}  // namespace dragoman
