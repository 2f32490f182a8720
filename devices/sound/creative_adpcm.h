// The packed 8-bit samples of the Sound Blaster DSP: 2, 2.6 and 4 bits a sample.
// No datasheet tells how the DSP unpacks them; this is what cards were measured to do: a code has a
// sign and a value, the value (and a half) is scaled by a power of two that follows the signal.
#pragma once

#include <algorithm>
#include <array>
#include <tuple>

#include "base/fields.h"
#include "base/types.h"

namespace dragoman {

enum class AdpcmKind : u8 { kFourBits, kThreeBits, kTwoBits };  // three: "2.6 bits"

/// Part of the card's State.
struct CreativeAdpcm {
  u8 reference = 0x80;  ///< the last sample
  u8 scale = 0;
  u8 byte = 0;  ///< codes not yet used, the next one on top
  u8 left = 0;  ///< their number
  static constexpr auto fields() {
    using A = CreativeAdpcm;
    return std::tuple{Field{"reference", &A::reference}, Field{"scale", &A::scale},
                      Field{"byte", &A::byte}, Field{"left", &A::left}};
  }

  static u8 codes_of(AdpcmKind kind) {
    return kind == AdpcmKind::kFourBits ? 2 : kind == AdpcmKind::kThreeBits ? 3 : 4;
  }
  void give(u8 value, AdpcmKind kind) {
    byte = value;
    left = codes_of(kind);
  }
  /// The next sample; `left` must not be 0.
  u8 take(AdpcmKind kind) {
    const unsigned bits = kind == AdpcmKind::kFourBits ? 4 : kind == AdpcmKind::kThreeBits ? 3 : 2;
    // Of the third code of three only two bits fit; the lowest is 0.
    const unsigned code = byte >> (8 - bits);
    byte = static_cast<u8>(byte << bits);
    --left;
    const unsigned sign = 1u << (bits - 1);
    const unsigned value = code & (sign - 1);
    const int change = static_cast<int>((2 * value + 1) << scale >> 1);
    reference =
        static_cast<u8>(std::clamp(reference + ((code & sign) != 0 ? -change : change), 0, 255));
    const unsigned high = kind == AdpcmKind::kFourBits ? 5 : kind == AdpcmKind::kThreeBits ? 3 : 1;
    const u8 most = kind == AdpcmKind::kTwoBits ? 5 : 3;
    if (value >= high) {
      scale = std::min<u8>(static_cast<u8>(scale + 1), most);
    } else if (value == 0 && scale > 0) {
      --scale;
    }
    return reference;
  }
};

}  // namespace dragoman
