// A small VNC viewer for tests: reads greetings and updates, decodes what the server may send.
#pragma once

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "devices/block/byte_order.h"

namespace dragoman {

using Bytes = std::vector<u8>;

inline Bytes text(std::string_view words) { return {words.begin(), words.end()}; }

/// A viewer that understands what the server sends. It asks `more` for bytes.
class Viewer {
 public:
  explicit Viewer(std::function<Bytes()> more) : more_(std::move(more)) {
    inflateInit(&zlib_);
    inflateInit(&zrle_);
  }
  ~Viewer() {
    inflateEnd(&zlib_);
    inflateEnd(&zrle_);
  }
  Viewer(const Viewer&) = delete;
  Viewer& operator=(const Viewer&) = delete;

  Bytes take(std::size_t bytes) {
    while (in_.size() < bytes) {
      const Bytes got = more_();
      if (got.empty()) {
        ADD_FAILURE() << "the server sent too little";
        return Bytes(bytes);
      }
      in_.insert(in_.end(), got.begin(), got.end());
    }
    Bytes out(in_.begin(), in_.begin() + static_cast<long>(bytes));
    in_.erase(in_.begin(), in_.begin() + static_cast<long>(bytes));
    return out;
  }
  u64 number(unsigned bytes) { return get_be(take(bytes), 0, bytes); }
  bool empty() const { return in_.empty(); }

  void server_init() {
    width = static_cast<unsigned>(number(2));
    height = static_cast<unsigned>(number(2));
    take(16);
    const Bytes name_bytes = take(number(4));
    name.assign(name_bytes.begin(), name_bytes.end());
    pixels.assign(width * height, 0xdeadbeef);
  }

  /// One FramebufferUpdate; the pseudo encodings it had.
  std::vector<i32> update() {
    std::vector<i32> pseudo;
    EXPECT_EQ(number(1), 0u);
    take(1);
    const u64 count = number(2);
    for (u64 i = 0; i < count; ++i) {
      const Bytes head = take(12);
      const unsigned x = static_cast<unsigned>(get_be(head, 0, 2));
      const unsigned y = static_cast<unsigned>(get_be(head, 2, 2));
      const unsigned w = static_cast<unsigned>(get_be(head, 4, 2));
      const unsigned h = static_cast<unsigned>(get_be(head, 6, 2));
      const i32 encoding = static_cast<i32>(get_be(head, 8, 4));
      if (encoding < 0) {
        pseudo.push_back(encoding);
        if (encoding == -223) {
          width = w;
          height = h;
          pixels.assign(width * height, 0xdeadbeef);
        }
        continue;
      }
      EXPECT_LE(x + w, width);
      EXPECT_LE(y + h, height);
      if (testing::Test::HasFailure()) return pseudo;
      area_pixels += w * h;
      decode(encoding, x, y, w, h);
    }
    return pseudo;
  }

  unsigned width = 0, height = 0;
  u64 area_pixels = 0;  // sent so far
  std::string name;
  std::vector<u32> pixels;
  unsigned pixel_bytes = 4;
  bool compact = true;  // ZRLE leaves away the fourth byte

 private:
  u32 pixel() { return static_cast<u32>(get_le(take(pixel_bytes), 0, pixel_bytes)); }
  void fill(unsigned x, unsigned y, unsigned w, unsigned h, u32 value) {
    for (unsigned row = y; row < y + h; ++row) {
      for (unsigned column = x; column < x + w; ++column) pixels.at(row * width + column) = value;
    }
  }
  Bytes unpack(z_stream& stream, std::size_t most) {
    Bytes packed = take(number(4));
    Bytes plain(most);
    stream.next_in = packed.data();
    stream.avail_in = static_cast<uInt>(packed.size());
    stream.next_out = plain.data();
    stream.avail_out = static_cast<uInt>(plain.size());
    EXPECT_GE(inflate(&stream, Z_SYNC_FLUSH), 0);
    EXPECT_EQ(stream.avail_in, 0u);
    plain.resize(most - stream.avail_out);
    return plain;
  }
  void decode(i32 encoding, unsigned x, unsigned y, unsigned w, unsigned h) {
    if (encoding == 0) {
      for (unsigned row = 0; row < h; ++row) {
        for (unsigned i = 0; i < w; ++i) fill(x + i, y + row, 1, 1, pixel());
      }
    } else if (encoding == 6) {
      const Bytes plain = unpack(zlib_, u64{w} * h * pixel_bytes);
      ASSERT_EQ(plain.size(), u64{w} * h * pixel_bytes);
      for (u64 i = 0; i < u64{w} * h; ++i) {
        fill(x + static_cast<unsigned>(i % w), y + static_cast<unsigned>(i / w), 1, 1,
             static_cast<u32>(get_le(plain, i * pixel_bytes, pixel_bytes)));
      }
    } else if (encoding == 5) {
      u32 background = 0;
      u32 foreground = 0;
      for (unsigned ty = y; ty < y + h; ty += 16) {
        for (unsigned tx = x; tx < x + w; tx += 16) {
          const unsigned tw = std::min(16u, x + w - tx);
          const unsigned th = std::min(16u, y + h - ty);
          const u64 flags = number(1);
          if (flags & 1) {
            for (unsigned row = 0; row < th; ++row) {
              for (unsigned i = 0; i < tw; ++i) fill(tx + i, ty + row, 1, 1, pixel());
            }
            continue;
          }
          if (flags & 2) background = pixel();
          if (flags & 4) foreground = pixel();
          fill(tx, ty, tw, th, background);
          for (u64 n = flags & 8 ? number(1) : 0; n > 0; --n) {
            const u32 colour = flags & 16 ? pixel() : foreground;
            const Bytes place = take(2);
            fill(tx + (place[0] >> 4), ty + (place[0] & 15), (place[1] >> 4) + 1u,
                 (place[1] & 15) + 1u, colour);
          }
        }
      }
    } else if (encoding == 16) {
      const Bytes plain = unpack(zrle_, u64{w} * h * 5 + 65536);
      const unsigned cp = pixel_bytes == 4 && compact ? 3 : pixel_bytes;
      std::size_t at = 0;
      for (unsigned ty = y; ty < y + h; ty += 64) {
        for (unsigned tx = x; tx < x + w; tx += 64) {
          const unsigned tw = std::min(64u, x + w - tx);
          const unsigned th = std::min(64u, y + h - ty);
          const unsigned colours = plain.at(at++);
          ASSERT_LE(colours, 16u);
          std::vector<u32> palette;
          for (unsigned i = 0; i < colours; ++i, at += cp) {
            palette.push_back(static_cast<u32>(get_le(plain, at, cp)));
          }
          const unsigned bits = colours <= 2 ? 1 : colours <= 4 ? 2 : 4;
          for (unsigned row = 0; row < th; ++row) {
            for (unsigned i = 0; i < tw; ++i) {
              u32 value = 0;
              if (colours == 0) {
                value = static_cast<u32>(get_le(plain, at, cp));
                at += cp;
              } else if (colours == 1) {
                value = palette[0];
              } else {
                const unsigned bit_at = i * bits;
                value = palette.at(plain.at(at + bit_at / 8) >> (8 - bits - bit_at % 8) &
                                   ((1u << bits) - 1));
              }
              fill(tx + i, ty + row, 1, 1, value);
            }
            if (colours > 1) at += (tw * bits + 7) / 8;
          }
        }
      }
      EXPECT_EQ(at, plain.size());
    } else {
      FAIL() << "encoding " << encoding << " was not asked for";
    }
  }

  std::function<Bytes()> more_;
  Bytes in_;
  z_stream zlib_{};
  z_stream zrle_{};
};

}  // namespace dragoman
