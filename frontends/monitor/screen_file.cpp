#include "frontends/monitor/screen_file.h"

#include <zlib.h>

#include <vector>

#include "frontends/output_file.h"

namespace dragoman {
namespace {

using Bytes = std::vector<u8>;

void put32(Bytes& out, u64 value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<u8>(value >> shift));
}

/// Length, type, data, CRC (PNG specification, 5.3).
void chunk(Bytes& out, const char* type, const Bytes& data) {
  put32(out, data.size());
  const std::size_t begin = out.size();
  out.insert(out.end(), type, type + 4);
  out.insert(out.end(), data.begin(), data.end());
  put32(out, crc32(0, out.data() + begin, static_cast<uInt>(out.size() - begin)));
}

Bytes make_png(Size size, std::span<const u32> pixels) {
  Bytes lines;
  lines.reserve((size.width * 3 + 1) * std::size_t{size.height});
  for (unsigned y = 0; y < size.height; ++y) {
    lines.push_back(0);  // no filter
    for (unsigned x = 0; x < size.width; ++x) {
      const u32 p = pixels[std::size_t{y} * size.width + x];
      for (const int shift : {16, 8, 0}) lines.push_back(static_cast<u8>(p >> shift));
    }
  }
  uLongf packed_bytes = compressBound(lines.size());
  Bytes packed(packed_bytes);
  if (compress2(packed.data(), &packed_bytes, lines.data(), lines.size(), 6) != Z_OK) return {};
  packed.resize(packed_bytes);
  Bytes header;
  put32(header, size.width);
  put32(header, size.height);
  for (const u8 b : std::initializer_list<u8>{8, 2, 0, 0, 0}) header.push_back(b);  // 8 bits, RGB
  Bytes out = {0x89, 'P', 'N', 'G', 0x0d, 0x0a, 0x1a, 0x0a};
  chunk(out, "IHDR", header);
  chunk(out, "IDAT", packed);
  chunk(out, "IEND", {});
  return out;
}

Bytes make_ppm(Size size, std::span<const u32> pixels) {
  const std::string head = fmt::format("P6\n{} {}\n255\n", size.width, size.height);
  Bytes out(head.begin(), head.end());
  for (const u32 p : pixels) {
    for (const int shift : {16, 8, 0}) out.push_back(static_cast<u8>(p >> shift));
  }
  return out;
}

}  // namespace

Result<void> write_picture(const std::string& path, bool png, Size size,
                           std::span<const u32> pixels) {
  const Bytes bytes = png ? make_png(size, pixels) : make_ppm(size, pixels);
  const auto failure = [&](const Error& cause) {
    return error("cannot write the picture '{}': {}; give a path that can be written", path,
                 cause.message);
  };
  auto file = OutputFile::open(path);
  if (!file) return failure(file.error());
  if (auto ok = file->write(bytes); !ok) return failure(ok.error());
  if (auto ok = file->commit(); !ok) return failure(ok.error());
  return {};
}

}  // namespace dragoman
