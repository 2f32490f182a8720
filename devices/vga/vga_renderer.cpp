// Turns VGA registers and video memory into pixels.
// IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"; D. Neal, FreeVGA.
#include "devices/vga/vga_renderer.h"

#include <algorithm>
#include <cstring>

namespace dragoman {
namespace {

constexpr u64 kFrameNs = 16'683'000;             // blinking counts frames of a 60 Hz mode
constexpr u64 kCursorHalfPeriod = 8 * kFrameNs;  // 16 frames per cursor blink, 32 per character
constexpr u64 kBlinkHalfPeriod = 16 * kFrameNs;

constexpr u8 kAttributeGraphicsBlink = 0x08;
constexpr u8 kAttributeLineGraphics = 0x04;
constexpr u8 kAttributeMonochrome = 0x02;

}  // namespace

/// How scan lines relate to rows of memory.
struct VgaRenderer::Scan {
  unsigned characters;     ///< character clocks per line
  unsigned lines;          ///< lines after removing repeats
  unsigned repeat;         ///< scan lines per line
  unsigned lines_per_row;  ///< lines that show the same row of memory
  unsigned pitch;          ///< address counter steps from row to row
};

std::string TextScreen::line(unsigned row) const {
  std::string text;
  for (unsigned column = 0; column < columns; ++column) {
    const u8 c = at(column, row).character;
    text += c >= 0x20 && c != 0x7f ? static_cast<char>(c) : ' ';
  }
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

bool VgaRenderer::text_mode() const { return !state_.dispi_enabled() && !(state_.graphics[6] & 1); }

bool VgaRenderer::eight_bit_colour() const {
  return !text_mode() && (state_.graphics[5] & 0x40) && (state_.attribute[0x10] & 0x40);
}

VgaRenderer::Scan VgaRenderer::scan() const {
  Scan s{};
  const unsigned row_lines = (state_.crtc[0x09] & 0x1f) + 1u;
  const bool doubled = (state_.crtc[0x09] & 0x80) != 0;
  // With row scan bits in the address (CRTC mode control bits 0 and 1 clear, as in CGA modes)
  // the lines of a row differ; otherwise a graphics mode just shows them repeatedly.
  const bool lines_differ = text_mode() || (state_.crtc[0x17] & 3) != 3;
  s.lines_per_row = lines_differ ? row_lines : 1;
  s.repeat = (doubled ? 2 : 1) * (lines_differ ? 1 : row_lines);
  s.characters = state_.crtc[0x01] + 1u;
  s.lines = std::max(1u, (state_.vertical_display_end() + 1) / s.repeat);
  s.pitch = state_.crtc[0x13] * 2u;
  return s;
}

Size VgaRenderer::size() const {
  if (state_.dispi_enabled()) {
    const DispiGeometry g = dispi_geometry(state_, memory_.size());
    return {g.width, g.height};
  }
  const Scan s = scan();
  unsigned dots = 8;
  if (text_mode()) dots = state_.dots_per_character();
  if (eight_bit_colour()) dots = 4;
  return {s.characters * dots, s.lines};
}

/// The four plane bytes at an address counter value; plane 0 lowest.
u32 VgaRenderer::plane_bytes(unsigned counter, unsigned row_scan) const {
  const u8 mode = state_.crtc[0x17];
  unsigned address = counter;
  if (state_.crtc[0x14] & 0x40) {  // doubleword addressing
    address = counter << 2 | (counter >> 14 & 3);
  } else if (!(mode & 0x40)) {  // word addressing, wrapping bit 15 or 13 into bit 0
    address = counter << 1 | (counter >> ((mode & 0x20) ? 15 : 13) & 1);
  }
  if (!(mode & 1)) address = (address & ~0x2000u) | (row_scan & 1) << 13;
  if (!(mode & 2)) address = (address & ~0x4000u) | (row_scan & 2) << 13;
  u32 value = 0;
  std::memcpy(&value, memory_.data() + 4 * (address & 0xffff), 4);
  return value;
}

std::array<u32, 256> VgaRenderer::palette() const {
  std::array<u32, 256> colours{};
  const bool eight_bits = (state_.dispi[kDispiEnable] & kDispi8BitDac) != 0;
  for (unsigned i = 0; i < 256; ++i) {
    const u8* entry = &state_.dac[3 * (i & state_.dac_mask)];
    u32 colour = 0;
    for (unsigned c = 0; c < 3; ++c) {
      const u32 level = eight_bits ? entry[c] : (entry[c] & 63u) << 2 | (entry[c] & 63u) >> 4;
      colour = colour << 8 | level;
    }
    colours[i] = colour;
  }
  return colours;
}

std::array<u32, 16> VgaRenderer::attribute_colours(const std::array<u32, 256>& palette) const {
  std::array<u32, 16> colours{};
  const u8 select = state_.attribute[0x14];
  for (unsigned i = 0; i < 16; ++i) {
    const u8 entry = state_.attribute[i & state_.attribute[0x12]];
    unsigned index = entry & 0x3fu;
    if (state_.attribute[0x10] & 0x80) index = (index & 15) | (select & 3u) << 4;
    colours[i] = palette[index | (select & 0xcu) << 4];
  }
  return colours;
}

/// Horizontal pel panning in pixels of this mode.
unsigned VgaRenderer::panned_pixels() const {
  const unsigned pan = state_.attribute[0x13] & 15u;
  if (eight_bit_colour()) return (pan & 7) / 2;
  if (text_mode() && state_.dots_per_character() == 9) return pan >= 8 ? 0 : pan + 1;
  return pan & 7;
}

void VgaRenderer::draw(std::span<u32> out, unsigned stride, u64 now_ns) const {
  const Size pixels = size();
  if (stride < pixels.width) return;
  const bool screen_off = (state_.sequencer[1] & 0x20) != 0;
  const bool palette_off = !(state_.attribute_index & 0x20);
  if (state_.dispi_enabled()) return draw_dispi(out, stride, screen_off || palette_off);

  const std::array<u32, 256> dac = palette();
  const std::array<u32, 16> colours = attribute_colours(dac);
  const Scan s = scan();
  const unsigned byte_pan = state_.crtc[0x08] >> 5 & 3;
  const unsigned preset = s.lines_per_row > 1 ? state_.crtc[0x08] & 0x1f : 0;
  const unsigned split = (state_.line_compare() + s.repeat) / s.repeat;  // first line below
  const unsigned pan = panned_pixels();
  std::vector<u32> line;

  for (unsigned y = 0; y < pixels.height; ++y) {
    const u64 first = u64{y} * stride;
    if (first + pixels.width > out.size()) return;
    const std::span<u32> target = out.subspan(first, pixels.width);
    if (screen_off || palette_off) {
      std::fill(target.begin(), target.end(), screen_off ? 0 : dac[state_.attribute[0x11]]);
      continue;
    }
    // Below the line compare position the address counter starts again from zero.
    const bool below = y >= split;
    const unsigned position = below ? y - split : y + preset;
    const unsigned row = position / s.lines_per_row;
    const unsigned start = below ? 0 : state_.start_address() + byte_pan;
    const unsigned counter = start + row * s.pitch;
    const unsigned row_scan = position % s.lines_per_row;
    line.clear();
    if (text_mode()) {
      draw_text_line(line, counter, row_scan, colours, now_ns);
    } else {
      draw_graphics_line(line, counter, row_scan, dac, colours);
    }
    const bool panned = !below || !(state_.attribute[0x10] & 0x20);
    std::copy_n(line.begin() + (panned ? pan : 0), pixels.width, target.begin());
  }
}

void VgaRenderer::draw_text_line(std::vector<u32>& line, unsigned counter, unsigned row_scan,
                                 const std::array<u32, 16>& colours, u64 now_ns) const {
  // Character map select: where in plane 2 the two fonts lie.
  constexpr std::array<unsigned, 8> kFontBase = {0x0000, 0x4000, 0x8000, 0xc000,
                                                 0x2000, 0x6000, 0xa000, 0xe000};
  const u8 select = state_.sequencer[3];
  const unsigned font_a = kFontBase[(select >> 2 & 3) | (select >> 3 & 4)];
  const unsigned font_b = kFontBase[(select & 3) | (select >> 2 & 4)];

  const u8 mode = state_.attribute[0x10];
  const unsigned dots = state_.dots_per_character();
  const bool blinks = (mode & kAttributeGraphicsBlink) != 0;
  const bool blink_off = (now_ns / kBlinkHalfPeriod) % 2 != 0;
  const bool cursor_line = !(state_.crtc[0x0a] & 0x20) && row_scan >= (state_.crtc[0x0a] & 0x1fu) &&
                           row_scan <= (state_.crtc[0x0b] & 0x1fu) &&
                           (now_ns / kCursorHalfPeriod) % 2 == 0;

  const unsigned characters = state_.crtc[0x01] + 2u;  // one more for panning
  for (unsigned x = 0; x < characters; ++x) {
    const unsigned position = (counter + x) & 0xffff;
    const u32 cell = plane_bytes(position, row_scan);
    const u8 character = static_cast<u8>(cell);
    const u8 attribute = static_cast<u8>(cell >> 8);
    const unsigned font = ((attribute & 8) ? font_a : font_b) + character * 32u + row_scan;
    unsigned glyph = memory_[4 * (font & 0xffff) + 2] << 1;  // bit 0 is the ninth dot
    if ((mode & kAttributeLineGraphics) && (character & 0xe0) == 0xc0) glyph |= glyph >> 1 & 1;
    if ((mode & kAttributeMonochrome) && (attribute & 7) == 1 &&
        row_scan == (state_.crtc[0x14] & 0x1fu)) {
      glyph = 0x1ff;  // underline
    }
    unsigned background = attribute >> 4;
    if (blinks) {
      background &= 7;
      if ((attribute & 0x80) && blink_off) glyph = 0;
    }
    if (cursor_line && position == (state_.cursor_address() & 0xffff)) glyph = 0x1ff;
    const u32 on = colours[attribute & 15];
    const u32 off = colours[background];
    for (unsigned dot = 0; dot < dots; ++dot) line.push_back(glyph & (0x100u >> dot) ? on : off);
  }
}

void VgaRenderer::draw_graphics_line(std::vector<u32>& line, unsigned counter, unsigned row_scan,
                                     const std::array<u32, 256>& palette,
                                     const std::array<u32, 16>& colours) const {
  const u8 mode = state_.graphics[5];
  // "Count by two/four": the address counter advances every second or fourth character clock.
  const unsigned slow = (state_.crtc[0x14] & 0x20) ? 2 : (state_.crtc[0x17] & 8) ? 1 : 0;
  const unsigned characters = state_.crtc[0x01] + 2u;  // one more for panning
  const u8 enabled = state_.attribute[0x12] & 15;
  const unsigned enabled_both = enabled | enabled << 4u;
  for (unsigned x = 0; x < characters; ++x) {
    const u32 planes = plane_bytes((counter + (x >> slow)) & 0xffff, row_scan);
    if (eight_bit_colour()) {
      for (unsigned p = 0; p < 4; ++p) {
        line.push_back(palette[(planes >> (8 * p)) & enabled_both]);
      }
    } else if (mode & 0x40) {  // 256-colour shift mode without the 8-bit attribute mode: nibbles
      for (unsigned n = 0; n < 8; ++n) {
        line.push_back(colours[planes >> (8 * (n / 2) + (n % 2 ? 0 : 4)) & 15]);
      }
    } else if (mode & 0x20) {  // shift register interleave: CGA's two bits per pixel
      for (unsigned n = 0; n < 8; ++n) {
        const unsigned pair = planes >> (n < 4 ? 0 : 8);  // planes 0 and 2, then 1 and 3
        const unsigned shift = 6 - 2 * (n & 3);
        line.push_back(colours[(pair >> shift & 3) | (pair >> (16 + shift) & 3) << 2]);
      }
    } else {
      for (unsigned n = 0; n < 8; ++n) {
        const u32 pixel = planes >> (7 - n);
        line.push_back(
            colours[(pixel & 1) | (pixel >> 7 & 2) | (pixel >> 14 & 4) | (pixel >> 21 & 8)]);
      }
    }
  }
}

std::optional<TextScreen> VgaRenderer::text_screen() const {
  if (!text_mode()) return std::nullopt;
  const Scan s = scan();
  TextScreen screen;
  screen.columns = s.characters;
  screen.rows = std::max(1u, s.lines / s.lines_per_row);
  screen.cells.resize(u64{screen.columns} * screen.rows);
  const bool cursor_on =
      !(state_.crtc[0x0a] & 0x20) && (state_.crtc[0x0a] & 0x1f) <= (state_.crtc[0x0b] & 0x1f);
  for (unsigned row = 0; row < screen.rows; ++row) {
    for (unsigned column = 0; column < screen.columns; ++column) {
      const unsigned position = (state_.start_address() + row * s.pitch + column) & 0xffff;
      const u32 cell = plane_bytes(position, 0);
      screen.cells[row * screen.columns + column] = {static_cast<u8>(cell),
                                                     static_cast<u8>(cell >> 8)};
      if (position == state_.cursor_address()) {
        screen.cursor_visible = cursor_on;
        screen.cursor_column = column;
        screen.cursor_row = row;
      }
    }
  }
  return screen;
}

void VgaRenderer::draw_dispi(std::span<u32> out, unsigned stride, bool blank) const {
  const std::array<u32, 256> dac = palette();
  const DispiGeometry g = dispi_geometry(state_, memory_.size());
  for (unsigned y = 0; y < g.height; ++y) {
    const u64 first = u64{y} * stride;
    if (first + g.width > out.size()) return;
    const std::span<u32> target = out.subspan(first, g.width);
    if (blank || y >= g.lines) {
      std::fill(target.begin(), target.end(), 0);
    } else {
      draw_dispi_line(target, g, g.start + y * g.pitch, dac);
    }
  }
}

void VgaRenderer::draw_dispi_line(std::span<u32> out, const DispiGeometry& geometry, u64 first,
                                  const std::array<u32, 256>& palette) const {
  const u8* source = memory_.data() + first;
  const auto word = [&](u64 x) { return source[2 * x] | source[2 * x + 1] << 8; };
  const auto five = [](unsigned v) { return (v & 31) << 3 | (v & 31) >> 2; };
  const auto six = [](unsigned v) { return (v & 63) << 2 | (v & 63) >> 4; };
  switch (geometry.depth) {
    case 4: {
      const std::array<u32, 16> colours = attribute_colours(palette);
      for (u64 x = 0; x < out.size(); ++x) {
        const u8* planes = source + x / 8 * 4;
        unsigned colour = 0;
        for (unsigned p = 0; p < 4; ++p) colour |= (planes[p] >> (7 - x % 8) & 1u) << p;
        out[x] = colours[colour];
      }
      break;
    }
    case 8:
      for (u64 x = 0; x < out.size(); ++x) out[x] = palette[source[x]];
      break;
    case 15:
      for (u64 x = 0; x < out.size(); ++x) {
        const unsigned v = static_cast<unsigned>(word(x));
        out[x] = five(v >> 10) << 16 | five(v >> 5) << 8 | five(v);
      }
      break;
    case 16:
      for (u64 x = 0; x < out.size(); ++x) {
        const unsigned v = static_cast<unsigned>(word(x));
        out[x] = five(v >> 11) << 16 | six(v >> 5) << 8 | five(v);
      }
      break;
    case 24:
      for (u64 x = 0; x < out.size(); ++x) {
        const u8* p = source + 3 * x;
        out[x] = static_cast<u32>(p[0] | p[1] << 8 | p[2] << 16);
      }
      break;
    default:
      for (u64 x = 0; x < out.size(); ++x) {
        u32 v = 0;
        std::memcpy(&v, source + 4 * x, 4);
        out[x] = v & 0xffffff;
      }
      break;
  }
}

}  // namespace dragoman
