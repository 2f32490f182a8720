// A few bytes of machine code being put together.
#pragma once

#include <array>
#include <initializer_list>
#include <span>

#include "base/types.h"

namespace dragoman {

class CodeBuffer {
 public:
  void bytes(std::initializer_list<unsigned> values) {
    for (const unsigned value : values) byte(value);
  }
  void byte(unsigned value) {
    if (size_ < bytes_.size()) bytes_[size_++] = static_cast<u8>(value);
  }
  std::span<const u8> code() const { return {bytes_.data(), size_}; }

 private:
  std::array<u8, 256> bytes_;  // the longest stub has about 120
  std::size_t size_ = 0;
};

inline constexpr unsigned modrm_byte(unsigned mod, unsigned reg, unsigned rm) {
  return mod << 6 | (reg & 7) << 3 | (rm & 7);
}

}  // namespace dragoman
