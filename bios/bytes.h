// Little-endian byte strings, the raw material of every firmware table.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace dragoman {

using Bytes = std::vector<u8>;

/// Appends the low `count` bytes of `value`, lowest first.
inline void append(Bytes& out, u64 value, unsigned count) {
  for (unsigned i = 0; i < count; ++i) out.push_back(static_cast<u8>(value >> (8 * i)));
}
inline void append8(Bytes& out, u64 value) { append(out, value, 1); }
inline void append16(Bytes& out, u64 value) { append(out, value, 2); }
inline void append32(Bytes& out, u64 value) { append(out, value, 4); }
inline void append64(Bytes& out, u64 value) { append(out, value, 8); }
inline void append(Bytes& out, std::span<const u8> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}
/// Appends exactly `width` characters: `text` cut or filled up with `fill`.
inline void append_text(Bytes& out, std::string_view text, std::size_t width, char fill = ' ') {
  for (std::size_t i = 0; i < width; ++i) {
    out.push_back(static_cast<u8>(i < text.size() ? text[i] : fill));
  }
}
/// Appends `text` and a zero byte.
inline void append_string(Bytes& out, std::string_view text) {
  append_text(out, text, text.size() + 1, '\0');
}

/// Overwrites `count` bytes at `offset`, which lie inside `out`.
inline void patch(Bytes& out, std::size_t offset, u64 value, unsigned count) {
  for (unsigned i = 0; i < count; ++i) out.at(offset + i) = static_cast<u8>(value >> (8 * i));
}
/// Reads `count` bytes at `offset`; bytes past the end read as zero.
inline u64 peek(std::span<const u8> in, u64 offset, unsigned count) {
  u64 value = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (offset < in.size() && i < in.size() - offset) value |= u64{in[offset + i]} << (8 * i);
  }
  return value;
}

/// Sum of all bytes modulo 256; zero for a table with a correct checksum.
inline u8 byte_sum(std::span<const u8> bytes) {
  u8 sum = 0;
  for (u8 b : bytes) sum = static_cast<u8>(sum + b);
  return sum;
}

}  // namespace dragoman
