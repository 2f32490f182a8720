// Creative CT1745, the mixer of a Sound Blaster 16.
// Sound Blaster Series Hardware Programming Guide (Creative, 1996), chapter 4.
#pragma once

#include <array>
#include <tuple>

#include "base/fields.h"
#include "base/types.h"

namespace dragoman {

struct Ct1745State {
  std::array<u8, 256> registers{};
  u8 index = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"registers", &Ct1745State::registers},
                      Field{"index", &Ct1745State::index}};
  }
};

/// Reads and writes the registers in a State its owner keeps. The registers that select lines (80h,
/// 81h) and show interrupts (82h) belong to the card.
class Ct1745 {
 public:
  enum Register : u8 {
    kReset = 0x00,
    kVoiceLeft = 0x32,
    kVoiceRight = 0x33,
    kMidiLeft = 0x34,
    kMidiRight = 0x35,
    kInterruptSetup = 0x80,
    kDmaSetup = 0x81,
    kInterruptStatus = 0x82,
  };
  /// Factors, 65536 for unchanged.
  struct Volume {
    u32 left = 0;
    u32 right = 0;
  };

  explicit Ct1745(Ct1745State& state) : state_(state) {}

  /// Power-on and register 00h: levels only, the lines stay.
  void reset();
  u8 read(u8 index) const;
  void write(u8 index, u8 value);
  /// What a sample of the DSP, or of the FM chip, is multiplied with on its way out.
  Volume voice() const { return volume(kVoiceLeft); }
  Volume midi() const { return volume(kMidiLeft); }

 private:
  Volume volume(u8 left) const;

  Ct1745State& state_;
};

}  // namespace dragoman
