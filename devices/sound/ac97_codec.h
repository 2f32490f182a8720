// An AC '97 codec: mixer registers and sample rates.
// Audio Codec '97 Component Specification, revision 2.1 (Intel, 1998), chapters 5.7 and 5.8.
#pragma once

#include <array>
#include <tuple>

#include "base/fields.h"
#include "base/types.h"

namespace dragoman {

struct Ac97CodecState {
  std::array<u16, 64> registers{};  ///< by half of their offset
  static constexpr auto fields() {
    return std::tuple{Field{"registers", &Ac97CodecState::registers}};
  }
};

/// Works on a State its owner keeps. It says it is a SigmaTel STAC9700, which drivers know, and has
/// what that chip lacks: variable rates for the converters (VRA). Inputs are silent.
class Ac97Codec {
 public:
  /// Factors for both sides, 65536 for unchanged.
  struct Volume {
    u32 left = 0;
    u32 right = 0;
  };

  explicit Ac97Codec(Ac97CodecState& state) : state_(state) { reset(); }

  void reset();
  /// `offset` is even, below 80h.
  u16 read(u8 offset) const;
  void write(u8 offset, u16 value);

  u32 output_rate() const { return state_.registers[kOutputRate / 2]; }
  u32 input_rate() const { return state_.registers[kInputRate / 2]; }
  /// PCM and master volume together, with their mutes and power-down bits.
  Volume output_volume() const;
  /// After loading: rates a converter can have.
  void repair();

 private:
  enum Register : u8 {
    kReset = 0x00,
    kMasterVolume = 0x02,
    kPcmVolume = 0x18,
    kPowerdown = 0x26,
    kExtendedId = 0x28,
    kExtendedControl = 0x2a,
    kOutputRate = 0x2c,
    kInputRate = 0x32,
  };
  u16& at(u8 offset) { return state_.registers[offset / 2]; }
  u16 at(u8 offset) const { return state_.registers[offset / 2]; }

  Ac97CodecState& state_;
};

}  // namespace dragoman
