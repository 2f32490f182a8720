// Numbers in the byte orders of image formats.
#pragma once

#include <span>

#include "base/types.h"

namespace dragoman {

/// The big-endian number in the first `width` bytes of `bytes` + `at`. The caller checked the size.
inline u64 get_be(std::span<const u8> bytes, std::size_t at, unsigned width) {
  u64 value = 0;
  for (unsigned i = 0; i < width; ++i) value = value << 8 | bytes[at + i];
  return value;
}

inline u64 get_le(std::span<const u8> bytes, std::size_t at, unsigned width) {
  u64 value = 0;
  for (unsigned i = width; i-- > 0;) value = value << 8 | bytes[at + i];
  return value;
}

inline void put_be(std::span<u8> bytes, std::size_t at, unsigned width, u64 value) {
  for (unsigned i = width; i-- > 0; value >>= 8) bytes[at + i] = static_cast<u8>(value);
}

inline void put_le(std::span<u8> bytes, std::size_t at, unsigned width, u64 value) {
  for (unsigned i = 0; i < width; ++i, value >>= 8) bytes[at + i] = static_cast<u8>(value);
}

}  // namespace dragoman
