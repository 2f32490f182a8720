// Registers of a VGA and of the Bochs display extension.
// IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem" (1992); Bochs VBE DISPI
// interface, version B0C5h.
#pragma once

#include <array>
#include <tuple>
#include <vector>

#include "base/fields.h"
#include "base/types.h"

namespace dragoman {

/// Indices of the DISPI registers.
enum DispiRegister : u16 {
  kDispiId = 0,
  kDispiWidth = 1,
  kDispiHeight = 2,
  kDispiDepth = 3,
  kDispiEnable = 4,
  kDispiBank = 5,
  kDispiVirtualWidth = 6,
  kDispiVirtualHeight = 7,
  kDispiXOffset = 8,
  kDispiYOffset = 9,
  kDispiMemory64K = 10,  ///< read only: video memory in units of 64 KiB
};

constexpr u16 kDispiEnabled = 0x01;
constexpr u16 kDispiGetCapabilities = 0x02;
constexpr u16 kDispi8BitDac = 0x20;
constexpr u16 kDispiNoClear = 0x80;

struct VgaState {
  u32 latches = 0;  ///< one byte per plane, plane 0 lowest
  u16 dispi_index = 0;
  std::array<u16, 10> dispi = {0xb0c5};
  std::array<u8, 32> crtc{};
  std::array<u8, 32> attribute{};
  std::array<u8, 16> graphics{};
  std::array<u8, 8> sequencer{};
  std::array<u8, 768> dac{};  ///< red, green, blue by turns; 6 bits each, 8 in 8-bit DAC mode
  u8 misc_output = 0;
  u8 feature_control = 0;
  u8 crtc_index = 0;
  u8 attribute_index = 0;  ///< bit 5: palette address source
  u8 graphics_index = 0;
  u8 sequencer_index = 0;
  bool attribute_data_next = false;  ///< the flip-flop of port 3C0h
  u8 dac_mask = 0xff;
  u8 dac_read_index = 0;
  u8 dac_write_index = 0;
  u8 dac_component = 0;  ///< 0 red, 1 green, 2 blue
  bool dac_reading = false;
  std::array<u8, 2> dac_pending{};  ///< red and green written, waiting for blue

  static constexpr auto fields() {
    using S = VgaState;
    return std::make_tuple(
        Field{"latches", &S::latches}, Field{"dispi_index", &S::dispi_index},
        Field{"dispi", &S::dispi}, Field{"crtc", &S::crtc}, Field{"attribute", &S::attribute},
        Field{"graphics", &S::graphics}, Field{"sequencer", &S::sequencer}, Field{"dac", &S::dac},
        Field{"misc_output", &S::misc_output}, Field{"feature_control", &S::feature_control},
        Field{"crtc_index", &S::crtc_index}, Field{"attribute_index", &S::attribute_index},
        Field{"graphics_index", &S::graphics_index}, Field{"sequencer_index", &S::sequencer_index},
        Field{"attribute_data_next", &S::attribute_data_next}, Field{"dac_mask", &S::dac_mask},
        Field{"dac_read_index", &S::dac_read_index}, Field{"dac_write_index", &S::dac_write_index},
        Field{"dac_component", &S::dac_component}, Field{"dac_reading", &S::dac_reading},
        Field{"dac_pending", &S::dac_pending});
  }

  bool dispi_enabled() const { return (dispi[kDispiEnable] & kDispiEnabled) != 0; }

  // CRTC values spread over several registers (Overflow 07h, Maximum Scan Line 09h).
  unsigned vertical_total() const {
    return (crtc[0x06] | (crtc[0x07] & 0x01) << 8 | (crtc[0x07] & 0x20) << 4) + 2u;
  }
  unsigned vertical_display_end() const {
    return crtc[0x12] | (crtc[0x07] & 0x02u) << 7 | (crtc[0x07] & 0x40u) << 3;
  }
  unsigned vertical_retrace_start() const {
    return crtc[0x10] | (crtc[0x07] & 0x04u) << 6 | (crtc[0x07] & 0x80u) << 2;
  }
  unsigned line_compare() const {
    return crtc[0x18] | (crtc[0x07] & 0x10u) << 4 | (crtc[0x09] & 0x40u) << 3;
  }
  unsigned start_address() const { return crtc[0x0c] << 8 | crtc[0x0d]; }
  unsigned cursor_address() const { return crtc[0x0e] << 8 | crtc[0x0f]; }
  unsigned dots_per_character() const { return (sequencer[1] & 1) ? 8 : 9; }
};

/// What a card shows and how: its registers, and the beginning of its video memory.
struct VgaScreen {
  VgaState registers;
  std::vector<u8> memory;
};

/// Where a DISPI mode lies in video memory.
struct DispiGeometry {
  unsigned width = 0;   ///< pixels per line
  unsigned height = 0;  ///< lines of the screen, at most as many as video memory holds
  unsigned lines = 0;   ///< lines from `start` that lie inside video memory, at most `height`
  unsigned depth = 0;   ///< bits per pixel: 4, 8, 15, 16, 24, 32
  u64 pitch = 0;        ///< bytes from line to line (4 bits: 4 interleaved planes together)
  u64 start = 0;        ///< byte offset of the first line shown
  unsigned virtual_height = 0;
};

DispiGeometry dispi_geometry(const VgaState& state, u64 memory_bytes);

}  // namespace dragoman
