// A guest of ours (roms/tests/screens.asm) draws every kind of VGA screen. What must be on it is
// computed here from the guest's formulas and from what the manuals say about memory, attributes
// and palettes (IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"; VESA VBE 2.0),
// and compared pixel by pixel.
#include <functional>
#include <map>

#include "tests/frontends/guest_machine.h"

namespace dragoman {
namespace {

u8 byte_at(unsigned offset, unsigned plane = 0) {
  return static_cast<u8>(7 * (offset & 255) + 13 * (offset >> 8 & 255) + 85 * plane + 29);
}
u8 glyph_row(unsigned character, unsigned row) {
  return static_cast<u8>(37 * character + 29 * row);
}

/// 6 bits of the DAC for each colour, on a screen of 8 bits.
u32 six_bits(unsigned red, unsigned green, unsigned blue) {
  const auto wide = [](unsigned v) { return v << 2 | v >> 4; };
  return wide(red) << 16 | wide(green) << 8 | wide(blue);
}

/// The sixteen colours of a CGA: intensity, red, green, blue; dark yellow is brown.
u32 rgbi(unsigned colour) {
  const unsigned bright = colour & 8 ? 0x55 : 0;
  const unsigned red = (colour & 4 ? 0xaa : 0) + bright;
  unsigned green = (colour & 2 ? 0xaa : 0) + bright;
  const unsigned blue = (colour & 1 ? 0xaa : 0) + bright;
  if (colour == 6) green = 0x55;
  return red << 16 | green << 8 | blue;
}

/// The palette of mode 13h: sixteen colours, sixteen greys, then three brightnesses of three
/// saturations of a circle of 24 hues that begins at blue and goes by red and green; the rest
/// black.
u32 mode_13_colour(unsigned index) {
  if (index < 16) return rgbi(index);
  constexpr std::array<unsigned, 16> kGrey = {0,  5,  8,  11, 14, 17, 20, 24,
                                              28, 32, 36, 40, 45, 50, 56, 63};
  if (index < 32) return six_bits(kGrey[index - 16], kGrey[index - 16], kGrey[index - 16]);
  if (index >= 248) return 0;
  constexpr std::array<std::array<unsigned, 5>, 9> kLevels = {{{0, 16, 31, 47, 63},
                                                               {31, 39, 47, 55, 63},
                                                               {45, 49, 54, 58, 63},
                                                               {0, 7, 14, 21, 28},
                                                               {14, 17, 21, 24, 28},
                                                               {20, 22, 24, 26, 28},
                                                               {0, 4, 8, 12, 16},
                                                               {8, 10, 12, 14, 16},
                                                               {11, 12, 13, 15, 16}}};
  const auto& level = kLevels[(index - 32) / 24];
  const unsigned hue = (index - 32) % 24;
  // In each sixth of the circle one primary rises or falls through the five levels.
  const unsigned up = level[hue % 4];
  const unsigned down = level[4 - hue % 4];
  const unsigned low = level[0];
  const unsigned high = level[4];
  switch (hue / 4) {
    case 0:
      return six_bits(up, low, high);
    case 1:
      return six_bits(high, low, down);
    case 2:
      return six_bits(high, up, low);
    case 3:
      return six_bits(down, high, low);
    case 4:
      return six_bits(low, high, up);
    default:
      return six_bits(low, down, high);
  }
}

u32 palette_step_colour(unsigned index, unsigned step) {
  if (index < 64 || index >= 80) return mode_13_colour(index);
  const unsigned n = (index - 64 + step) & 15;
  return six_bits(4 * n, 63 - n, n);
}

using PixelAt = std::function<u32(unsigned x, unsigned y)>;

/// Every pixel of a screen of that size; the first that differs is named.
void expect_picture(const Picture& got, unsigned width, unsigned height, const PixelAt& pixel) {
  ASSERT_EQ(got.size.width, width);
  ASSERT_EQ(got.size.height, height);
  u64 different = 0;
  for (unsigned y = 0; y < height; ++y) {
    for (unsigned x = 0; x < width; ++x) {
      const u32 wanted = pixel(x, y);
      if (got.at(x, y) == wanted) continue;
      if (different++ == 0) {
        ADD_FAILURE() << fmt::format("pixel {}, {} is {:06x} instead of {:06x}", x, y, got.at(x, y),
                                     wanted);
      }
    }
  }
  EXPECT_EQ(different, 0u) << "pixels differ";
}

struct Text {
  unsigned columns, rows, lines = 16, dots = 9;
  bool blinks = false, hidden = false;  ///< blinking characters, and whether they are dark now
  bool two_fonts = false, monochrome = false;
  int cursor = -1;  ///< cell with lines 5 to 9 lit
};

u32 mono(bool on, u8 attribute) {
  if (!on) return attribute & 0x70 ? 0xaaaaaa : 0;
  if ((attribute & 7) == 0) return 0;
  return attribute & 8 ? 0xffffff : 0xaaaaaa;
}

void expect_text(const Picture& got, const Text& text) {
  constexpr std::array<u8, 8> kMono = {0x00, 0x01, 0x07, 0x09, 0x0f, 0x70, 0x71, 0x79};
  expect_picture(
      got, text.columns * text.dots, text.rows * text.lines, [&](unsigned x, unsigned y) {
        const unsigned cell = y / text.lines * text.columns + x / text.dots;
        const unsigned row = y % text.lines;
        const unsigned dot = x % text.dots;
        const u8 character = static_cast<u8>(cell);
        const u8 attribute =
            text.monochrome ? kMono[cell % 8] : static_cast<u8>(cell + 17 * (cell >> 8));
        u8 bits = glyph_row(character, row);
        if (text.two_fonts && (attribute & 8)) bits = static_cast<u8>(~bits);
        // The ninth dot repeats the eighth of line graphics and is background elsewhere.
        bool on =
            dot < 8 ? bits >> (7 - dot) & 1 : character >= 0xc0 && character <= 0xdf && (bits & 1);
        if (text.blinks && (attribute & 0x80) && text.hidden) on = false;
        if (text.monochrome && (attribute & 7) == 1 && row == 13) on = true;  // underline
        if (static_cast<int>(cell) == text.cursor && row >= 5 && row <= 9) on = true;
        if (text.monochrome) return mono(on, attribute);
        return rgbi(on ? attribute & 15 : attribute >> 4 & (text.blinks ? 7 : 15));
      });
}

/// Planes as the guest filled them, 64 KiB each.
struct Planes {
  Planes() {
    for (unsigned o = 0; o < 0x10000; ++o) {
      for (unsigned p = 0; p < 4; ++p) bytes[p][o] = byte_at(o, p);
    }
  }
  /// Colour of a pixel: bit 7 is the leftmost of a byte.
  unsigned colour(unsigned offset, unsigned bit) const {
    unsigned value = 0;
    for (unsigned p = 0; p < 4; ++p) value |= (bytes[p][offset & 0xffff] >> (7 - bit) & 1u) << p;
    return value;
  }
  std::array<std::array<u8, 0x10000>, 4> bytes;
};

void expect_planar(const Picture& got, unsigned width, unsigned height,
                   const std::function<u32(unsigned)>& palette) {
  const auto planes = std::make_unique<Planes>();
  expect_picture(got, width, height, [&](unsigned x, unsigned y) {
    return palette(planes->colour(y * width / 8 + x / 8, x % 8));
  });
}

/// CGA: even lines at 0, odd lines at 2000h.
u8 cga_byte(unsigned x_byte, unsigned y) { return byte_at(y / 2 * 80 + y % 2 * 0x2000 + x_byte); }

void expect_cga_four(const Picture& got) {
  constexpr std::array<u32, 4> kPalette = {0, 0x55ffff, 0xff55ff, 0xffffff};
  expect_picture(got, 320, 200, [&](unsigned x, unsigned y) {
    return kPalette[cga_byte(x / 4, y) >> (6 - x % 4 * 2) & 3];
  });
}

/// What roms/tests/screens_graphics.inc does to the planes of mode 12h, by the equations of the
/// graphics controller.
void write_with_modes(Planes& planes) {
  struct Band {
    u8 set_reset, enable, rotate, mode, mask, map;
  };
  constexpr std::array<Band, 10> kBands = {{{0x00, 0x00, 0x00, 0, 0xff, 0x05},
                                            {0x0a, 0x0f, 0x00, 0, 0xff, 0x0f},
                                            {0x05, 0x03, 0x00, 0, 0x3c, 0x0f},
                                            {0x00, 0x00, 0x03, 0, 0xff, 0x0f},
                                            {0x00, 0x00, 0x08, 0, 0xff, 0x0f},
                                            {0x00, 0x00, 0x10, 0, 0xff, 0x0f},
                                            {0x00, 0x00, 0x1d, 0, 0xf0, 0x0f},
                                            {0x00, 0x00, 0x00, 2, 0xff, 0x0f},
                                            {0x00, 0x00, 0x18, 2, 0x5a, 0x0e},
                                            {0x09, 0x00, 0x02, 3, 0xf7, 0x0f}}};
  const auto rotated = [](u8 v, unsigned by) { return static_cast<u8>(v >> by | v << (8 - by)); };
  for (unsigned o = 0; o < 80 * kBands.size(); ++o) {
    const Band& band = kBands[o / 80];
    const u8 written = byte_at(o);
    for (unsigned p = 0; p < 4; ++p) {
      if (!(band.map >> p & 1)) continue;
      const u8 latch = planes.bytes[p][o];
      const u8 all = band.set_reset >> p & 1 ? 0xff : 0;
      u8 value = rotated(written, band.rotate & 7);
      u8 mask = band.mask;
      if (band.mode == 3) {
        mask &= value;
        value = all;
      } else {
        if (band.mode == 2) value = written >> p & 1 ? 0xff : 0;
        if (band.mode == 0 && (band.enable >> p & 1)) value = all;
        const unsigned function = band.rotate >> 3 & 3;
        if (function == 1) value &= latch;
        if (function == 2) value |= latch;
        if (function == 3) value ^= latch;
      }
      planes.bytes[p][o] = static_cast<u8>((value & mask) | (latch & ~mask));
    }
  }
  for (auto& plane : planes.bytes) std::copy_n(&plane[100 * 80], 20 * 80, &plane[300 * 80]);
  for (unsigned o = 0; o < 20 * 80; ++o) {
    const u8 match = planes.bytes[1][o] & planes.bytes[2][o];  // colour 6, planes 1 and 2 count
    for (auto& plane : planes.bytes) plane[340 * 80 + o] = match;
  }
}

void expect_blinking(GuestMachine& guest) {
  // The cursor changes every 8 frames, characters every 16. All four combinations come, and
  // nothing else, within 64 frames.
  std::array<unsigned, 4> seen{};
  const auto now = guest.machine().board().scheduler().now();
  for (unsigned frame = 0; frame < 64; ++frame) {
    const Picture picture = guest.picture(now + frame * 16'683'000);
    // Cell 252 (column 12 of row 3) has the cursor: its attribute is FCh, line 5 of the glyph
    // has a dark dot where the cursor is seen. Cell 128 has attribute 80h, cell 129 81h.
    unsigned phase = 4;
    for (unsigned candidate = 0; candidate < 4 && phase == 4; ++candidate) {
      const bool cursor = candidate & 1;
      const bool hidden = candidate & 2;
      // A line of the cursor, and a blinking cell with a lit dot in line 0.
      bool same = true;
      for (unsigned x = 0; x < 9; ++x) {
        const bool lit = cursor || (!hidden && x < 8 && (glyph_row(252, 5) >> (7 - x) & 1));
        same = same && picture.at(12 * 9 + x, 3 * 16 + 5) == rgbi(lit ? 0xc : 7);
        const bool dot = !hidden && x < 8 && (glyph_row(129, 0) >> (7 - x) & 1);
        same = same && picture.at(49 * 9 + x, 1 * 16) == rgbi(dot ? 1 : 0);
      }
      if (same) phase = candidate;
    }
    ASSERT_LT(phase, 4u) << "frame " << frame;
    ++seen[phase];
    Text text{80, 25};
    text.blinks = true;
    text.hidden = phase & 2;
    text.cursor = phase & 1 ? 252 : -1;
    if (seen[phase] == 1) expect_text(picture, text);
  }
  for (const unsigned count : seen) EXPECT_EQ(count, 16u);
}

u8 linear_byte(u64 offset) {
  return static_cast<u8>(0x9e3779b1u * static_cast<u32>(offset >> 2) >> (8 * (offset & 3)));
}
u32 vbe_colour(unsigned index) { return six_bits(index >> 2, 63 - (index >> 2), index & 63); }

void expect_linear(const Picture& got, unsigned width, unsigned height, unsigned bits) {
  const unsigned bytes = (bits + 7) / 8;
  const auto five = [](u32 v) { return (v & 31) << 3 | (v & 31) >> 2; };
  const auto six = [](u32 v) { return (v & 63) << 2 | (v & 63) >> 4; };
  expect_picture(got, width, height, [&](unsigned x, unsigned y) -> u32 {
    const u64 offset = (u64{y} * width + x) * bytes;
    u32 v = 0;
    for (unsigned i = 0; i < bytes; ++i) v |= u32{linear_byte(offset + i)} << (8 * i);
    if (bits == 8) return vbe_colour(v);
    if (bits == 15) return five(v >> 10) << 16 | five(v >> 5) << 8 | five(v);
    if (bits == 16) return five(v >> 11) << 16 | six(v >> 5) << 8 | five(v);
    return v & 0xffffff;
  });
}

using Check = std::function<void(GuestMachine&)>;

std::map<std::string, Check> text_and_bios_screens() {
  std::map<std::string, Check> checks;
  checks["text 80x25"] = [](GuestMachine& g) { expect_text(g.picture(), {80, 25}); };
  checks["text blinking"] = expect_blinking;
  checks["text 40x25"] = [](GuestMachine& g) { expect_text(g.picture(), {40, 25}); };
  checks["text two fonts"] = [](GuestMachine& g) {
    Text text{80, 25};
    text.two_fonts = true;
    expect_text(g.picture(), text);
  };
  checks["text 80x50"] = [](GuestMachine& g) { expect_text(g.picture(), {80, 50, 8}); };
  checks["text 132x25"] = [](GuestMachine& g) { expect_text(g.picture(), {132, 25, 16, 8}); };
  checks["text monochrome"] = [](GuestMachine& g) {
    Text text{80, 25};
    text.monochrome = true;
    expect_text(g.picture(), text);
  };
  checks["mode 4"] = [](GuestMachine& g) { expect_cga_four(g.picture()); };
  checks["mode 5"] = checks["mode 4"];
  checks["mode 6"] = [](GuestMachine& g) {
    expect_picture(g.picture(), 640, 200, [](unsigned x, unsigned y) {
      return cga_byte(x / 8, y) >> (7 - x % 8) & 1 ? 0xffffff : 0u;
    });
  };
  checks["mode 0d"] = [](GuestMachine& g) { expect_planar(g.picture(), 320, 200, rgbi); };
  checks["mode 0e"] = [](GuestMachine& g) { expect_planar(g.picture(), 640, 200, rgbi); };
  checks["mode 10"] = [](GuestMachine& g) { expect_planar(g.picture(), 640, 350, rgbi); };
  checks["mode 11"] = [](GuestMachine& g) {
    expect_planar(g.picture(), 640, 480, [](unsigned c) { return c & 1 ? 0xffffffu : 0u; });
  };
  checks["mode 12"] = [](GuestMachine& g) { expect_planar(g.picture(), 640, 480, rgbi); };
  checks["mode 13"] = [](GuestMachine& g) {
    expect_picture(g.picture(), 320, 200,
                   [](unsigned x, unsigned y) { return mode_13_colour(byte_at(y * 320 + x)); });
  };
  return checks;
}

std::map<std::string, Check> trick_screens() {
  std::map<std::string, Check> checks;
  checks["write modes"] = [](GuestMachine& g) {
    const auto planes = std::make_unique<Planes>();
    write_with_modes(*planes);
    expect_picture(g.picture(), 640, 480, [&](unsigned x, unsigned y) {
      return rgbi(planes->colour(y * 80 + x / 8, x % 8));
    });
  };
  checks["mode x"] = [](GuestMachine& g) {
    expect_picture(g.picture(), 320, 240, [](unsigned x, unsigned y) {
      return mode_13_colour(byte_at(0x4b00 + y * 80 + x / 4, x % 4));
    });
  };
  checks["split screen"] = [](GuestMachine& g) {
    const auto planes = std::make_unique<Planes>();
    expect_picture(g.picture(), 320, 200, [&](unsigned x, unsigned y) {
      if (y >= 120) return rgbi(planes->colour((y - 120) * 64 + x / 8, x % 8));
      return rgbi(planes->colour(0x543 + y * 64 + (x + 5) / 8, (x + 5) % 8));
    });
  };
  for (const unsigned steps : {5u, 39u}) {
    checks[fmt::format("palette after {} steps", steps)] = [steps](GuestMachine& g) {
      expect_picture(g.picture(), 320, 200, [&](unsigned x, unsigned y) {
        return palette_step_colour(byte_at(y * 320 + x), steps - 1);
      });
    };
  }
  checks["colour select"] = [](GuestMachine& g) {
    expect_planar(g.picture(), 640, 350,
                  [](unsigned c) { return six_bits(4 * c, 4 * c, 60 - 4 * c); });
  };
  return checks;
}

std::map<std::string, Check> vbe_screens() {
  std::map<std::string, Check> checks;
  const auto linear = [&](unsigned width, unsigned height, unsigned bits) {
    checks[fmt::format("vbe {}x{}x{}", width, height, bits)] = [=](GuestMachine& g) {
      expect_linear(g.picture(), width, height, bits);
    };
  };
  linear(640, 480, 8);
  linear(640, 480, 15);
  linear(800, 600, 16);
  linear(640, 480, 24);
  linear(1024, 768, 32);
  linear(2560, 1600, 32);
  checks["vbe virtual screen"] = [](GuestMachine& g) {
    expect_picture(g.picture(), 640, 480, [](unsigned x, unsigned y) {
      return vbe_colour(linear_byte((y + 37) * 1024 + x + 100));
    });
  };
  checks["vbe banks"] = [](GuestMachine& g) {
    expect_picture(g.picture(), 640, 480, [](unsigned x, unsigned y) {
      const unsigned offset = y * 640 + x;
      return vbe_colour(byte_at(offset & 0xffff, offset >> 16));
    });
  };
  return checks;
}

TEST(ScreensGuest, EveryPixelIsRight) {
  const auto program = GuestMachine::program("screens");
  ASSERT_FALSE(program.empty()) << "build the target roms";
  GuestMachine guest;
  DriveConfig drive;
  drive.image = std::make_shared<MemoryImage>(program);
  guest.config.drives.push_back(std::move(drive));
  if (!guest.start()) GTEST_SKIP() << "SeaBIOS is not installed (package seabios)";

  std::map<std::string, Check> checks = text_and_bios_screens();
  checks.merge(trick_screens());
  checks.merge(vbe_screens());
  std::string name;
  while ((name = guest.next_line()) != "end") {
    ASSERT_FALSE(name.empty()) << "the guest stopped";
    SCOPED_TRACE(name);
    const auto check = checks.find(name);
    if (check == checks.end()) {
      ADD_FAILURE() << "no such screen was expected";
    } else {
      check->second(guest);
      checks.erase(check);
    }
    guest.go_on();
  }
  for (const auto& [missing, check] : checks) ADD_FAILURE() << missing << " was not shown";
}

}  // namespace
}  // namespace dragoman
