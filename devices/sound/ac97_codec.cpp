#include "devices/sound/ac97_codec.h"

#include <algorithm>
#include <cmath>

namespace dragoman {
namespace {

constexpr u16 kMute = 0x8000;
constexpr u16 kVariableRate = 0x0001;  // VRA in 28h and 2Ah
constexpr u16 kRate = 48'000;
constexpr u16 kLowestRate = 8'000;

struct RegisterInfo {
  u8 offset;
  u16 power_on;
  u16 writable;
  bool optional_bit =
      false;  ///< the sixth bit of a level: not there, so the other five become ones
};
constexpr RegisterInfo kRegisters[] = {
    {0x00, 0x6940, 0},             // 18-bit converters, SigmaTel's stereo enhancement
    {0x02, 0x8000, 0xbf3f, true},  // master
    {0x04, 0x8000, 0xbf3f, true},  // second output
    {0x06, 0x8000, 0x803f, true},  // mono output
    {0x0a, 0x0000, 0x801e},        // PC beep
    {0x0c, 0x8008, 0x801f},        // phone
    {0x0e, 0x8008, 0x805f},        // microphone
    {0x10, 0x8808, 0x9f1f},        // line in
    {0x12, 0x8808, 0x9f1f},        // CD
    {0x14, 0x8808, 0x9f1f},        // video
    {0x16, 0x8808, 0x9f1f},        // aux
    {0x18, 0x8808, 0x9f1f},        // PCM
    {0x1a, 0x0000, 0x0707},        // record select
    {0x1c, 0x8000, 0x8f0f},        // record gain
    {0x20, 0x0000, 0xa380},        // general purpose
    {0x22, 0x0000, 0x0003},        // depth of the stereo enhancement
    {0x26, 0x0000, 0xff00},        // power-down; the ready bits come with reading
    {0x28, kVariableRate, 0},      // extended audio ID
    {0x2a, 0x0000, kVariableRate},
    {0x2c, kRate, 0xffff},
    {0x32, kRate, 0xffff},
    {0x7c, 0x8384, 0},  // vendor: "STAC9700"
    {0x7e, 0x7600, 0},
};

const RegisterInfo* find(u8 offset) {
  for (const RegisterInfo& info : kRegisters) {
    if (info.offset == offset) return &info;
  }
  return nullptr;
}

}  // namespace

void Ac97Codec::reset() {
  state_ = Ac97CodecState{};
  for (const RegisterInfo& info : kRegisters) at(info.offset) = info.power_on;
}

void Ac97Codec::repair() {
  for (const u8 offset : {kOutputRate, kInputRate}) {
    at(offset) = std::clamp(at(offset), kLowestRate, kRate);
  }
}

u16 Ac97Codec::read(u8 offset) const {
  if (offset >= 0x80 || (offset & 1) != 0) return 0;
  u16 value = at(offset);
  // ADC, DAC, analogue part and reference are ready unless their power-down bit is set.
  if (offset == kPowerdown) value = static_cast<u16>((value & 0xff00) | (~(value >> 8) & 0x0f));
  return value;
}

void Ac97Codec::write(u8 offset, u16 value) {
  if (offset == kReset) return reset();
  const RegisterInfo* const info = find(offset);
  if (info == nullptr || info->writable == 0) return;
  if (offset == kOutputRate || offset == kInputRate) {
    if ((at(kExtendedControl) & kVariableRate) == 0) return;
    value = std::clamp(value, kLowestRate, kRate);
  }
  value &= info->writable;
  if (info->optional_bit) {
    for (const unsigned shift : {0u, 8u}) {
      if (((value >> shift) & 0x20) != 0)
        value = static_cast<u16>((value & ~(0x20 << shift)) | 0x1f << shift);
    }
    value &= static_cast<u16>(~0x2020);
  }
  at(offset) = value;
  if (offset == kExtendedControl && (value & kVariableRate) == 0) {
    at(kOutputRate) = at(kInputRate) = kRate;
  }
}

Ac97Codec::Volume Ac97Codec::output_volume() const {
  const u16 master = at(kMasterVolume);
  const u16 pcm = at(kPcmVolume);
  constexpr u16 kOutputDown = 0x0e00;  // PR1 to PR3
  if (((master | pcm) & kMute) != 0 || (at(kPowerdown) & kOutputDown) != 0) return {};
  const auto side = [&](unsigned shift) {
    // Steps of 1.5 dB; 8 is 0 dB for the PCM input.
    const double decibels = 1.5 * (8 - (pcm >> shift & 0x1f)) - 1.5 * (master >> shift & 0x1f);
    return static_cast<u32>(std::lround(65536 * std::pow(10.0, decibels / 20)));
  };
  return {side(8), side(0)};
}

}  // namespace dragoman
