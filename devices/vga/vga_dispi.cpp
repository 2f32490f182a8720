// Bochs VBE DISPI registers (ports 1CEh/1CFh) and the register window in BAR 2.
// Bochs VBE display interface, version B0C5h; QEMU's "Standard VGA" specification for BAR 2.
#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "devices/vga/std_vga.h"

namespace dragoman {
namespace {

constexpr u16 kFirstId = 0xb0c0;
constexpr u16 kLastId = 0xb0c5;
constexpr u16 kMostWidth = 16000;
constexpr u16 kMostHeight = 12000;
constexpr u16 kMostDepth = 32;

// BAR 2.
constexpr u64 kPortWindow = 0x400;   // ports 3C0h-3DFh
constexpr u64 kDispiWindow = 0x500;  // DISPI registers, 16 bits each, without index
constexpr u64 kExtensionWindow = 0x600;
constexpr u32 kExtensionBytes = 8;
constexpr u32 kLittleEndian = 0x1e1e1e1e;

bool valid_depth(u16 depth) {
  return depth == 4 || depth == 8 || depth == 15 || depth == 16 || depth == 24 || depth == 32;
}

/// Bytes of a run of pixels; with 4 bits, eight pixels are one byte in each of four planes.
u64 bytes_of(u64 pixels, unsigned depth) {
  return depth == 4 ? (pixels + 7) / 8 * 4 : pixels * ((depth + 7) / 8);
}

}  // namespace

DispiGeometry dispi_geometry(const VgaState& state, u64 memory_bytes) {
  DispiGeometry g;
  g.depth = valid_depth(state.dispi[kDispiDepth]) ? state.dispi[kDispiDepth] : 8;
  g.width = std::clamp<unsigned>(state.dispi[kDispiWidth], 8, kMostWidth);
  const unsigned virtual_width = std::max<unsigned>(state.dispi[kDispiVirtualWidth], g.width);
  g.pitch = bytes_of(virtual_width, g.depth);
  g.virtual_height = static_cast<unsigned>(std::min<u64>(memory_bytes / g.pitch, 0xffff));
  g.start = g.pitch * state.dispi[kDispiYOffset];
  const u64 x_offset = state.dispi[kDispiXOffset];
  g.start += bytes_of(g.depth == 4 ? x_offset & ~u64{7} : x_offset, g.depth);
  // The last line shown must end inside video memory.
  const u64 line_bytes = bytes_of(g.width, g.depth);
  const u64 room = memory_bytes > g.start ? memory_bytes - g.start : 0;
  const u64 lines = room < line_bytes ? 0 : (room - line_bytes) / g.pitch + 1;
  g.height = std::clamp<unsigned>(state.dispi[kDispiHeight], 1, kMostHeight);
  g.height = std::min(g.height, g.virtual_height);
  g.lines = static_cast<unsigned>(std::min<u64>(g.height, lines));
  return g;
}

u16 StdVga::read_dispi(u16 index) const {
  if (state_.dispi[kDispiEnable] & kDispiGetCapabilities) {
    if (index == kDispiWidth) return kMostWidth;
    if (index == kDispiHeight) return kMostHeight;
    if (index == kDispiDepth) return kMostDepth;
  }
  if (index == kDispiVirtualHeight) {
    return static_cast<u16>(dispi_geometry(state_, memory_bytes_).virtual_height);
  }
  if (index == kDispiMemory64K) return static_cast<u16>(memory_bytes_ / (64 * kKiB));
  return index < state_.dispi.size() ? state_.dispi[index] : 0;
}

void StdVga::write_dispi(u16 index, u16 value) {
  switch (index) {
    case kDispiId:
      if (value >= kFirstId && value <= kLastId) state_.dispi[kDispiId] = value;
      break;
    case kDispiWidth:
      if (value <= kMostWidth) state_.dispi[kDispiWidth] = value;
      break;
    case kDispiHeight:
      if (value <= kMostHeight) state_.dispi[kDispiHeight] = value;
      break;
    case kDispiDepth:
      if (value == 0) value = 8;
      if (valid_depth(value)) state_.dispi[kDispiDepth] = value;
      break;
    case kDispiEnable:
      enable_dispi(value);
      break;
    case kDispiBank:
      state_.dispi[kDispiBank] = value;
      break;
    case kDispiVirtualWidth:
      state_.dispi[kDispiVirtualWidth] = std::max(value, state_.dispi[kDispiWidth]);
      break;
    case kDispiXOffset:
    case kDispiYOffset:
      state_.dispi[index] = value;
      break;
    case kDispiVirtualHeight:
    case kDispiMemory64K:
      break;  // read only
    default:
      log_.once("vga dispi", "std VGA: there is no DISPI register {:#x}", index);
      break;
  }
}

void StdVga::enable_dispi(u16 value) {
  const bool was_enabled = state_.dispi_enabled();
  state_.dispi[kDispiEnable] = value;
  if (!(value & kDispiEnabled)) {
    state_.dispi[kDispiBank] = 0;
    return;
  }
  if (was_enabled) return;
  state_.dispi[kDispiVirtualWidth] = state_.dispi[kDispiWidth];
  state_.dispi[kDispiXOffset] = 0;
  state_.dispi[kDispiYOffset] = 0;
  state_.dispi[kDispiBank] = 0;
  if (value & kDispiNoClear) return;
  const DispiGeometry g = dispi_geometry(state_, memory_bytes_);
  const u64 bytes = std::min(g.pitch * g.lines, memory_bytes_);
  std::memset(memory_, 0, bytes);
  pool_.note_write(pool_.offset_of(memory_), bytes);
}

u64 StdVga::read_register_window(u64 offset, unsigned size) {
  if (offset + size <= edid_.size()) {
    u64 value = 0;
    std::memcpy(&value, &edid_[offset], size);
    return value;
  }
  if (size == 8) {  // registers are at most 4 bytes wide
    return read_register_window(offset, 4) | read_register_window(offset + 4, 4) << 32;
  }
  if (offset < kPortWindow) return 0;  // end of the EDID area
  if (offset < kPortWindow + 0x20) {
    u64 value = 0;
    for (unsigned i = 0; i < size && offset + i < kPortWindow + 0x20; ++i) {
      value |= u64{read_register(static_cast<u16>(0x3c0 + offset + i - kPortWindow))} << (8 * i);
    }
    return value;
  }
  if (offset >= kDispiWindow && offset <= kDispiWindow + 2 * kDispiMemory64K + 1) {
    const u16 index = static_cast<u16>((offset - kDispiWindow) / 2);
    if (size == 4) return read_dispi(index) | u64{read_dispi(static_cast<u16>(index + 1))} << 16;
    return read_dispi(index) >> (offset & 1 ? 8 : 0);
  }
  if (offset == kExtensionWindow) return kExtensionBytes;
  if (offset == kExtensionWindow + 4) return kLittleEndian;
  return size_mask(size);
}

void StdVga::write_register_window(u64 offset, unsigned size, u64 value) {
  if (size == 8) {
    write_register_window(offset, 4, value & 0xffffffff);
    write_register_window(offset + 4, 4, value >> 32);
    return;
  }
  if (offset >= kPortWindow && offset < kPortWindow + 0x20) {
    for (unsigned i = 0; i < size && offset + i < kPortWindow + 0x20; ++i) {
      write_register(static_cast<u16>(0x3c0 + offset + i - kPortWindow),
                     static_cast<u8>(value >> (8 * i)));
    }
  } else if (offset >= kDispiWindow && offset <= kDispiWindow + 2 * kDispiMemory64K &&
             offset % 2 == 0) {
    const u16 index = static_cast<u16>((offset - kDispiWindow) / 2);
    write_dispi(index, static_cast<u16>(value));
    if (size == 4) write_dispi(static_cast<u16>(index + 1), static_cast<u16>(value >> 16));
  } else if (offset == kExtensionWindow + 4 && static_cast<u32>(value) != kLittleEndian) {
    log_.once("vga endian", "std VGA: a big-endian frame buffer is not implemented");
  }
}

}  // namespace dragoman
