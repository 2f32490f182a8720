#include "devices/sound/ct1745.h"

#include <cmath>

namespace dragoman {
namespace {

constexpr u8 kMasterLeft = 0x30;
constexpr u8 kCdLeft = 0x36;
constexpr u8 kLineLeft = 0x38;
constexpr u8 kMicrophone = 0x3a;
constexpr u8 kOutputSwitches = 0x3c;
constexpr u8 kInputSwitchesLeft = 0x3d;
constexpr u8 kInputSwitchesRight = 0x3e;
constexpr u8 kOutputGainLeft = 0x41;
constexpr u8 kTrebleLeft = 0x44;
constexpr u8 kBassRight = 0x47;
constexpr u8 kLastLevel = kBassRight;

/// Registers of the Sound Blaster Pro: four bits for each side in one byte.
constexpr std::array<std::array<u8, 2>, 5> kPaired{{{0x04, Ct1745::kVoiceLeft},
                                                    {0x22, kMasterLeft},
                                                    {0x26, Ct1745::kMidiLeft},
                                                    {0x28, kCdLeft},
                                                    {0x2e, kLineLeft}}};
constexpr u8 kProMicrophone = 0x0a;

u8 left_of_pair(u8 index) {
  for (const auto& [pro, left] : kPaired) {
    if (pro == index) return left;
  }
  return 0;
}

/// Bits a register has.
u8 writable(u8 index) {
  if (index >= kMasterLeft && index <= kMicrophone) return 0xf8;  // 32 levels of 2 dB
  if (index == kOutputSwitches) return 0x1f;
  if (index == kInputSwitchesLeft || index == kInputSwitchesRight) return 0x7f;
  if (index == 0x3b || (index >= 0x3f && index <= 0x42)) return 0xc0;  // PC speaker, gains
  if (index == 0x43) return 0x01;                                      // automatic gain
  if (index >= kTrebleLeft && index <= kBassRight) return 0xf0;
  return 0xff;
}

double decibels(double value) { return std::pow(10.0, value / 20); }

}  // namespace

void Ct1745::reset() {
  for (unsigned i = 0; i <= kLastLevel; ++i) state_.registers[i] = 0;
  for (u8 i = kMasterLeft; i <= kMidiRight; ++i) state_.registers[i] = 24 << 3;  // -14 dB
  state_.registers[kOutputSwitches] = 0x1f;
  state_.registers[kInputSwitchesLeft] = 0x15;
  state_.registers[kInputSwitchesRight] = 0x0b;
  for (u8 i = kTrebleLeft; i <= kBassRight; ++i) state_.registers[i] = 0x80;
}

u8 Ct1745::read(u8 index) const {
  if (const u8 left = left_of_pair(index); left != 0) {
    return static_cast<u8>((state_.registers[left] & 0xf0) | state_.registers[left + 1] >> 4);
  }
  if (index == kProMicrophone) return static_cast<u8>(state_.registers[kMicrophone] >> 5);
  return state_.registers[index];
}

void Ct1745::write(u8 index, u8 value) {
  if (index == kReset) return reset();
  if (const u8 left = left_of_pair(index); left != 0) {
    state_.registers[left] = static_cast<u8>((value & 0xf0) | 0x08);
    state_.registers[left + 1] = static_cast<u8>(value << 4 | 0x08);
    return;
  }
  if (index == kProMicrophone) {
    state_.registers[kMicrophone] = static_cast<u8>(value << 5 | 0x18);
    return;
  }
  state_.registers[index] = value & writable(index);
}

Ct1745::Volume Ct1745::volume(u8 left) const {
  const auto side = [&](unsigned n) {
    const double source = (state_.registers[left + n] >> 3) * 2.0 - 62;
    const double master = (state_.registers[kMasterLeft + n] >> 3) * 2.0 - 62;
    const double gain = (state_.registers[kOutputGainLeft + n] >> 6) * 6.0;
    return static_cast<u32>(std::lround(65536 * decibels(source + master + gain)));
  };
  return {side(0), side(1)};
}

}  // namespace dragoman
