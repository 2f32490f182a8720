// The legacy window A0000h-BFFFFh: address modes, latches, read and write modes.
// IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem", "Video Memory".
#include <cstring>

#include "devices/vga/std_vga.h"

namespace dragoman {
namespace {

constexpr u64 kPlaneBytes = 64 * kKiB;
constexpr u8 kMiscEnableRam = 0x02;
constexpr u8 kSequencerOddEvenDisable = 0x04;
constexpr u8 kSequencerChain4 = 0x08;
constexpr u8 kModeHostOddEven = 0x10;
constexpr u8 kMiscellaneousChainOddEven = 0x02;

constexpr u32 replicate(u8 value) { return value * 0x01010101u; }

/// Four bits, one per plane, to four bytes of all ones or zeros.
constexpr u32 expand(unsigned planes) {
  return ((planes & 1) ? 0x000000ffu : 0) | ((planes & 2) ? 0x0000ff00u : 0) |
         ((planes & 4) ? 0x00ff0000u : 0) | ((planes & 8) ? 0xff000000u : 0);
}

constexpr u8 rotate_right(u8 value, unsigned count) {
  return static_cast<u8>(value >> count | value << ((8 - count) & 7));
}

}  // namespace

bool StdVga::window_address(u32 offset, u32& address) const {
  if (!(state_.misc_output & kMiscEnableRam)) return false;
  switch ((state_.graphics[6] >> 2) & 3) {  // memory map select
    case 0:
      address = offset;
      return true;
    case 1:
      address = offset;
      return offset < 0x10000;
    case 2:
      address = offset - 0x10000;
      return offset >= 0x10000 && offset < 0x18000;
    default:
      address = offset - 0x18000;
      return offset >= 0x18000;
  }
}

bool StdVga::linear_window() const {
  return state_.dispi_enabled() && state_.dispi[kDispiDepth] != 4;
}

u64 StdVga::linear_address(u32 address) const {
  return (u64{state_.dispi[kDispiBank]} * kPlaneBytes + (address & 0xffff)) & (memory_bytes_ - 1);
}

u64 StdVga::banked_plane_offset(u64 plane_offset) const {
  if (!state_.dispi_enabled()) return plane_offset;
  return (plane_offset + u64{state_.dispi[kDispiBank]} * kPlaneBytes) & (memory_bytes_ / 4 - 1);
}

u32 StdVga::read_planes(u64 plane_offset) const {
  u32 value = 0;
  std::memcpy(&value, memory_ + 4 * plane_offset, 4);
  return value;
}

void StdVga::write_planes(u64 plane_offset, u32 value, u32 byte_mask) {
  u8* target = memory_ + 4 * plane_offset;
  u32 old = 0;
  std::memcpy(&old, target, 4);
  value = (old & ~byte_mask) | (value & byte_mask);
  std::memcpy(target, &value, 4);
  pool_.note_write(pool_.offset_of(target), 4);
}

u8 StdVga::read_window(u32 offset) {
  u32 address = 0;
  if (!window_address(offset, address)) return 0xff;
  if (linear_window()) return memory_[linear_address(address)];

  unsigned plane = state_.graphics[4] & 3;
  u32 plane_offset = address & 0xffff;
  if (state_.sequencer[4] & kSequencerChain4) {
    plane = address & 3;
    plane_offset &= 0xfffc;
  } else {
    if (state_.graphics[5] & kModeHostOddEven) plane = (plane & 2) | (address & 1);
    if (state_.graphics[6] & kMiscellaneousChainOddEven) {
      plane_offset = (address & 0xfffe) | (address >> 16 & 1);
    }
  }
  state_.latches = read_planes(banked_plane_offset(plane_offset));
  if (!(state_.graphics[5] & 8)) return static_cast<u8>(state_.latches >> (8 * plane));

  // Read mode 1: a one for every pixel whose colour equals Color Compare, where Color Don't Care
  // has a one.
  const u32 differences =
      (state_.latches ^ expand(state_.graphics[2])) & expand(state_.graphics[7]);
  return static_cast<u8>(~(differences | differences >> 8 | differences >> 16 | differences >> 24));
}

void StdVga::write_window(u32 offset, u8 value) {
  u32 address = 0;
  if (!window_address(offset, address)) return;
  if (linear_window()) {
    u8* target = memory_ + linear_address(address);
    *target = value;
    pool_.note_write(pool_.offset_of(target), 1);
    return;
  }

  unsigned planes = state_.sequencer[2];
  u32 plane_offset = address & 0xffff;
  if (state_.sequencer[4] & kSequencerChain4) {
    planes &= 1u << (address & 3);
    plane_offset &= 0xfffc;
  } else {
    if (!(state_.sequencer[4] & kSequencerOddEvenDisable)) planes &= (address & 1) ? 0xa : 0x5;
    if (state_.graphics[6] & kMiscellaneousChainOddEven) {
      plane_offset = (address & 0xfffe) | (address >> 16 & 1);
    }
  }
  write_planes(banked_plane_offset(plane_offset), modify(value), expand(planes));
}

/// The data path of the graphics controller: what a CPU write puts into the four planes.
u32 StdVga::modify(u8 value) const {
  const auto& graphics = state_.graphics;
  const unsigned mode = graphics[5] & 3;
  if (mode == 1) return state_.latches;

  const u8 rotated = rotate_right(value, graphics[3] & 7);
  u8 bit_mask = graphics[8];
  u32 data = 0;
  if (mode == 0) {
    const u32 set_reset = expand(graphics[1]);
    data = (replicate(rotated) & ~set_reset) | (expand(graphics[0]) & set_reset);
  } else if (mode == 2) {
    data = expand(value & 15);
  } else {
    bit_mask &= rotated;
    data = expand(graphics[0]);
  }
  switch ((graphics[3] >> 3) & 3) {
    case 1:
      data &= state_.latches;
      break;
    case 2:
      data |= state_.latches;
      break;
    case 3:
      data ^= state_.latches;
      break;
    default:
      break;
  }
  const u32 mask = replicate(bit_mask);
  return (data & mask) | (state_.latches & ~mask);
}

}  // namespace dragoman
