// VGA ports 3B0h-3DFh: sequencer, CRT controller, graphics controller, attribute controller, DAC.
// IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem", "Registers".
#include "devices/vga/std_vga.h"

namespace dragoman {
namespace {

// Implemented bits; the others read as zero.
constexpr std::array<u8, 8> kSequencerMask = {0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0x00, 0x00, 0xff};
constexpr std::array<u8, 16> kGraphicsMask = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
constexpr unsigned kCrtcRegisters = 0x19;
constexpr unsigned kAttributeRegisters = 0x15;

constexpr u8 kMiscColour = 0x01;
constexpr u8 kPaletteAddressSource = 0x20;

}  // namespace

bool StdVga::crtc_port(u16 port) const {
  // Miscellaneous output bit 0 puts the CRT controller at 3Dxh or 3Bxh.
  return ((port & 0xff0) == 0x3d0) == ((state_.misc_output & kMiscColour) != 0);
}

u8 StdVga::read_register(u16 port) {
  switch (port) {
    case 0x3c0:
      return state_.attribute_index;
    case 0x3c1:
      return read_attribute();
    case 0x3c2:
      return 0;  // input status 0: no interrupt pending, sense comparator low
    case 0x3c3:
      return 1;  // video subsystem enabled
    case 0x3c4:
      return state_.sequencer_index;
    case 0x3c5:
      return state_.sequencer[state_.sequencer_index & 7];
    case 0x3c6:
      return state_.dac_mask;
    case 0x3c7:
      return state_.dac_reading ? 3 : 0;
    case 0x3c8:
      return state_.dac_write_index;
    case 0x3c9:
      return read_dac();
    case 0x3ca:
      return state_.feature_control;
    case 0x3cc:
      return state_.misc_output;
    case 0x3ce:
      return state_.graphics_index;
    case 0x3cf:
      return state_.graphics[state_.graphics_index & 15];
    case 0x3b4:
    case 0x3d4:
      return crtc_port(port) ? state_.crtc_index : 0xff;
    case 0x3b5:
    case 0x3d5:
      return crtc_port(port) ? read_crtc() : 0xff;
    case 0x3ba:
    case 0x3da:
      return crtc_port(port) ? read_input_status_1() : 0xff;
    default:
      return 0xff;
  }
}

void StdVga::write_register(u16 port, u8 value) {
  switch (port) {
    case 0x3c0:
      write_attribute(value);
      break;
    case 0x3c2:
      state_.misc_output = value & 0xef;
      break;
    case 0x3c4:
      state_.sequencer_index = value & 7;
      break;
    case 0x3c5: {
      const unsigned index = state_.sequencer_index & 7;
      state_.sequencer[index] = value & kSequencerMask[index];
      break;
    }
    case 0x3c6:
      state_.dac_mask = value;
      break;
    case 0x3c7:
      state_.dac_read_index = value;
      state_.dac_component = 0;
      state_.dac_reading = true;
      break;
    case 0x3c8:
      state_.dac_write_index = value;
      state_.dac_component = 0;
      state_.dac_reading = false;
      break;
    case 0x3c9:
      write_dac(value);
      break;
    case 0x3ce:
      state_.graphics_index = value & 15;
      break;
    case 0x3cf: {
      const unsigned index = state_.graphics_index & 15;
      state_.graphics[index] = value & kGraphicsMask[index];
      break;
    }
    case 0x3b4:
    case 0x3d4:
      if (crtc_port(port)) state_.crtc_index = value;
      break;
    case 0x3b5:
    case 0x3d5:
      if (crtc_port(port)) write_crtc(value);
      break;
    case 0x3ba:
    case 0x3da:
      if (crtc_port(port)) state_.feature_control = value & 0x0b;
      break;
    default:
      break;
  }
}

u8 StdVga::read_crtc() const {
  const unsigned index = state_.crtc_index;
  if (index < kCrtcRegisters) return state_.crtc[index];
  log_.once("vga crtc read", "std VGA: there is no CRT controller register {:#x}", index);
  return 0;
}

void StdVga::write_crtc(u8 value) {
  const unsigned index = state_.crtc_index;
  if (index >= kCrtcRegisters) {
    log_.once("vga crtc write", "std VGA: there is no CRT controller register {:#x}", index);
    return;
  }
  // Vertical Retrace End bit 7 protects 00h-07h, except line compare bit 8 in 07h.
  if (index <= 7 && (state_.crtc[0x11] & 0x80)) {
    if (index != 7) return;
    value = static_cast<u8>((state_.crtc[7] & ~0x10) | (value & 0x10));
  }
  state_.crtc[index] = value;
}

u8 StdVga::read_attribute() const {
  const unsigned index = state_.attribute_index & 0x1f;
  return index < kAttributeRegisters ? state_.attribute[index] : 0;
}

void StdVga::write_attribute(u8 value) {
  const bool data = state_.attribute_data_next;
  state_.attribute_data_next = !data;
  if (!data) {
    state_.attribute_index = value & (0x1f | kPaletteAddressSource);
    return;
  }
  const unsigned index = state_.attribute_index & 0x1f;
  if (index >= kAttributeRegisters) return;
  u8 mask = 0x3f;
  if (index == 0x10) mask = 0xef;
  if (index == 0x11) mask = 0xff;
  if (index >= 0x13) mask = 0x0f;
  state_.attribute[index] = value & mask;
}

u8 StdVga::read_dac() {
  const u8 value = state_.dac[state_.dac_read_index * 3u + state_.dac_component];
  if (++state_.dac_component == 3) {
    state_.dac_component = 0;
    ++state_.dac_read_index;
  }
  return value;
}

void StdVga::write_dac(u8 value) {
  if (!(state_.dispi[kDispiEnable] & kDispi8BitDac)) value &= 0x3f;
  if (state_.dac_component < 2) {
    state_.dac_pending[state_.dac_component++] = value;
    return;
  }
  // The three components take effect together, with the third.
  u8* entry = &state_.dac[state_.dac_write_index * 3u];
  entry[0] = state_.dac_pending[0];
  entry[1] = state_.dac_pending[1];
  entry[2] = value;
  state_.dac_component = 0;
  ++state_.dac_write_index;
}

u8 StdVga::read_input_status_1() {
  state_.attribute_data_next = false;
  // Position of the beam at this point of virtual time, in picoseconds of the programmed timing.
  const u64 clock_hz = (state_.misc_output & 0x0c) == 0x04 ? 28'322'000 : 25'175'000;
  const u64 divider = (state_.sequencer[1] & 8) ? 2 : 1;
  const u64 character_ps =
      u64{1'000'000'000'000} * state_.dots_per_character() * divider / clock_hz;
  const u64 line_ps = character_ps * (state_.crtc[0x00] + 5u);
  const u64 frame_ns = line_ps * state_.vertical_total() / 1000 + 1;
  const u64 in_frame_ps = scheduler_.now() % frame_ns * 1000;
  const u64 line = in_frame_ps / line_ps;
  const u64 column = in_frame_ps % line_ps / character_ps;

  const unsigned start = state_.vertical_retrace_start();
  const unsigned end_bits = state_.crtc[0x11] & 15u;
  unsigned length = (end_bits - start) & 15;
  if (length == 0) length = 16;
  u8 status = 0;
  if (line > state_.vertical_display_end() || column > state_.crtc[0x01]) status |= 0x01;
  if (line >= start && line < start + length) status |= 0x08;
  return status;
}

}  // namespace dragoman
