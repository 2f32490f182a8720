// Turns VGA registers and video memory into pixels, or into a grid of characters.
// IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"; D. Neal, FreeVGA.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/types.h"
#include "devices/vga/vga_state.h"

namespace dragoman {

struct Size {
  unsigned width = 0;
  unsigned height = 0;
  bool operator==(const Size&) const = default;
};

/// What a text mode shows.
struct TextScreen {
  struct Cell {
    u8 character = 0;
    u8 attribute = 0;
  };
  unsigned columns = 0;
  unsigned rows = 0;
  std::vector<Cell> cells;  ///< row by row
  bool cursor_visible = false;
  unsigned cursor_column = 0;
  unsigned cursor_row = 0;

  const Cell& at(unsigned column, unsigned row) const { return cells[row * columns + column]; }
  /// One row in code page 437: control characters as blanks, blanks at the end removed.
  std::string line(unsigned row) const;
};

class VgaRenderer {
 public:
  VgaRenderer(const VgaState& state, std::span<const u8> video_memory)
      : state_(state), memory_(video_memory) {}

  /// Pixels of the current mode; lines that the CRT controller repeats count once.
  Size size() const;
  /// Draws size() pixels as 00RRGGBBh, `stride` pixels from line to line. Lines that do not fit
  /// into `out` are left away. `now_ns` is virtual time, for things that blink.
  void draw(std::span<u32> out, unsigned stride, u64 now_ns) const;
  /// The grid of a text mode; nothing in graphics modes.
  std::optional<TextScreen> text_screen() const;

 private:
  struct Scan;
  bool text_mode() const;
  bool eight_bit_colour() const;
  Scan scan() const;
  u32 plane_bytes(unsigned counter, unsigned row_scan) const;
  std::array<u32, 256> palette() const;
  std::array<u32, 16> attribute_colours(const std::array<u32, 256>& palette) const;
  void draw_dispi(std::span<u32> out, unsigned stride, bool blank) const;
  void draw_dispi_line(std::span<u32> out, const DispiGeometry& geometry, u64 first,
                       const std::array<u32, 256>& palette) const;
  void draw_text_line(std::vector<u32>& line, unsigned counter, unsigned row_scan,
                      const std::array<u32, 16>& colours, u64 now_ns) const;
  void draw_graphics_line(std::vector<u32>& line, unsigned counter, unsigned row_scan,
                          const std::array<u32, 256>& palette,
                          const std::array<u32, 16>& colours) const;
  unsigned panned_pixels() const;

  const VgaState& state_;
  std::span<const u8> memory_;
};

}  // namespace dragoman
