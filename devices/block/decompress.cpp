#include "devices/block/decompress.h"

#include <zlib.h>
#include <zstd.h>

namespace dragoman {
namespace {

bool inflate_all(std::span<const u8> in, std::span<u8> out, int window_bits) {
  z_stream stream{};
  if (inflateInit2(&stream, window_bits) != Z_OK) return false;
  stream.next_in = const_cast<u8*>(in.data());  // zlib does not write to it
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  const int status = inflate(&stream, Z_FINISH);
  const bool filled = stream.avail_out == 0;
  inflateEnd(&stream);
  return filled && (status == Z_STREAM_END || status == Z_BUF_ERROR || status == Z_OK);
}

bool zstd_all(std::span<const u8> in, std::span<u8> out) {
  ZSTD_DCtx* context = ZSTD_createDCtx();
  if (context == nullptr) return false;
  ZSTD_inBuffer from{in.data(), in.size(), 0};
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  bool good = true;
  while (to.pos < to.size) {
    const std::size_t in_before = from.pos;
    const std::size_t out_before = to.pos;
    const std::size_t left = ZSTD_decompressStream(context, &to, &from);
    good = ZSTD_isError(left) == 0 && (from.pos != in_before || to.pos != out_before);
    if (!good || (left == 0 && to.pos < to.size)) break;
  }
  ZSTD_freeDCtx(context);
  return good && to.pos == to.size;
}

}  // namespace

bool decompress(Compression kind, std::span<const u8> in, std::span<u8> out) {
  switch (kind) {
    case Compression::kDeflate:
      return inflate_all(in, out, -MAX_WBITS);
    case Compression::kZlib:
      return inflate_all(in, out, MAX_WBITS);
    case Compression::kZstd:
      return zstd_all(in, out);
  }
  return false;
}

}  // namespace dragoman
