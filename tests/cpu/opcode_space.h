// Enumerates encodings over the whole opcode space for the comparison of our decoder with others:
// every opcode of every map and every ModRM byte, under prefixes and in all code sizes.
#pragma once

#include <array>
#include <cstdlib>
#include <functional>
#include <span>
#include <vector>

#include "base/types.h"

namespace dragoman::test {

struct Encoding {
  std::array<u8, 15> bytes{};
  u8 code_bits = 64;
};

/// Prefixes put before legacy opcodes; those with REX only in 64-bit mode.
inline const std::vector<std::vector<u8>>& legacy_prefixes() {
  static const std::vector<std::vector<u8>> list = {
      {},           {0x66},       {0xf2},       {0xf3},       {0x67},       {0xf0},
      {0x66, 0xf2}, {0xf3, 0x66}, {0x64},       {0x2e},       {0x65, 0x3e}, {0x66, 0x67},
      {0xf2, 0xf3}, {0xf3, 0xf2}, {0xf0, 0x66}, {0xf0, 0xf3}, {0x67, 0x36}, {0xf0, 0x64}};
  return list;
}
inline const std::vector<u8>& rex_prefixes() {
  static const std::vector<u8> list = {0x00, 0x40, 0x41, 0x42, 0x44, 0x48, 0x49, 0x4d, 0x4f};
  return list;
}

class OpcodeSpace {
 public:
  /// Calls `visit` for about one in `step` encodings, chosen by a fixed pseudo-random sequence.
  OpcodeSpace(u64 step, std::function<void(const Encoding&)> visit)
      : step_(step), visit_(std::move(visit)) {}

  void legacy() {
    for (const u8 bits : {16, 32, 64}) {
      for (const std::vector<u8>& prefixes : legacy_prefixes()) {
        for (const u8 rex : rex_prefixes()) {
          if (rex != 0 && bits != 64) continue;
          std::vector<u8> head = prefixes;
          if (rex != 0) head.push_back(rex);
          all_modrm(bits, head, {});
          all_modrm(bits, head, {0x0f});
          all_modrm(bits, head, {0x0f, 0x38});
          all_modrm(bits, head, {0x0f, 0x3a});
        }
      }
    }
  }

  void vex() {
    for (const u8 bits : {16, 32, 64}) {
      for (unsigned head = 0; head < 32; ++head) {        // R X B as bits 4:2, map in bits 1:0
        for (const u8 vvvv : {0x78, 0x50, 0x38, 0x08}) {  // 15, 10, 7, 1 before inversion
          for (unsigned wlpp = 0; wlpp < 16; ++wlpp) {
            const u8 second = static_cast<u8>(((head & 0x1c) << 3) | (head & 3));
            const u8 third = static_cast<u8>(((wlpp & 8) << 4) | vvvv | (wlpp & 7));
            all_modrm(bits, {}, {0xc4, second, third});
            if ((head & 0x0f) == 0 && wlpp < 8) {
              all_modrm(bits, {}, {0xc5, static_cast<u8>((head & 0x10) << 3 | vvvv | wlpp)});
            }
          }
        }
      }
    }
  }

 private:
  void all_modrm(u8 bits, const std::vector<u8>& prefixes, const std::vector<u8>& escape) {
    for (unsigned opcode = 0; opcode < 256; ++opcode) {
      for (unsigned modrm = 0; modrm < 256; ++modrm) {
        if (step_ > 1 && random() % step_ != 0) continue;
        Encoding e;
        e.code_bits = bits;
        std::size_t n = 0;
        for (const u8 byte : prefixes) e.bytes[n++] = byte;
        for (const u8 byte : escape) e.bytes[n++] = byte;
        e.bytes[n++] = static_cast<u8>(opcode);
        e.bytes[n++] = static_cast<u8>(modrm);
        while (n < e.bytes.size()) e.bytes[n++] = static_cast<u8>(random() >> 24);
        visit_(e);
      }
    }
  }

  u64 random() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }

  u64 step_;
  u64 state_ = 0x9e3779b97f4a7c15;
  std::function<void(const Encoding&)> visit_;
};

/// The sampling step: `thorough` (minutes) when DRAGOMAN_LONG_TESTS is set.
inline u64 sampling_step(u64 usual, u64 thorough) {
  return std::getenv("DRAGOMAN_LONG_TESTS") != nullptr ? thorough : usual;
}

}  // namespace dragoman::test
