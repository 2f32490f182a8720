#include "devices/sound/ymf262_operator.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace dragoman {
namespace {

using Operator = Ymf262State::Operator;
using Stage = Ymf262State::Stage;

/// MULT, doubled because the first entry is a half ("Multiple" in the manual; 11, 13 and 14 do not
/// exist).
constexpr std::array<u8, 16> kMultiple{1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 20, 24, 24, 30, 30};

/// Key scale level at 3 dB an octave, in octave 8 (the manual's table shows octave 7, 3 dB less),
/// in 0.1875 dB, by the upper four bits of the F-number.
constexpr std::array<u16, 16> kKeyScale{0,   64,  80,  90,  96,  102, 106, 110,
                                        112, 116, 118, 120, 122, 124, 126, 128};
constexpr u16 kKeyScaleOctave = 16;  // 3 dB

/// In which of eight turns an envelope moves (rates up to 51) or moves twice as far (52 to 59), by
/// the two lower bits of the rate: 4/8 to 7/8, and 0/8, 2/8, 4/8, 6/8.
constexpr std::array<u8, 4> kSlowTurns{0b10101010, 0b10111010, 0b11101110, 0b11111110};
constexpr std::array<u8, 4> kFastTurns{0b00000000, 0b10001000, 0b10101010, 0b11101110};

bool turn(u8 pattern, u32 counter) { return ((pattern >> (counter & 7)) & 1) != 0; }

/// Steps by which an envelope moves in this sample.
unsigned envelope_steps(unsigned rate, u32 samples) {
  const unsigned group = rate >> 2;
  const unsigned fine = rate & 3;
  if (rate < 4) return 0;
  if (group >= 15) return 4;
  if (group > 12) return (turn(kFastTurns[fine], samples) ? 2u : 1u) << (group - 13);
  const unsigned shift = 12 - group;
  if ((samples & ((1u << shift) - 1)) != 0) return 0;
  return turn(kSlowTurns[fine], samples >> shift) ? 1 : 0;
}

u8 scaled_rate(unsigned rate, unsigned key_scale) {
  return static_cast<u8>(rate == 0 ? 0 : std::min(63u, rate * 4 + key_scale));
}

u32 phase_step(u32 f_number, unsigned block, unsigned multiple) {
  return (((f_number << block) >> 1) * multiple) >> 1;
}

void advance_envelope(Operator& op, const OperatorSetup& setup, u32 samples) {
  switch (op.stage) {
    case Stage::kAttack: {
      // An exponential towards no attenuation: each step takes away an eighth of what is left.
      const int steps = static_cast<int>(envelope_steps(setup.attack_rate, samples));
      if (steps != 0)
        op.attenuation = static_cast<u16>(op.attenuation + ((~op.attenuation * steps) >> 3));
      if (op.attenuation == 0) op.stage = Stage::kDecay;
      return;
    }
    case Stage::kDecay:
      if (op.attenuation >= setup.sustain_level) {
        op.stage = Stage::kSustain;
        return;
      }
      op.attenuation = static_cast<u16>(op.attenuation + envelope_steps(setup.decay_rate, samples));
      break;
    case Stage::kSustain:
      if (setup.holds) return;
      [[fallthrough]];
    case Stage::kRelease:
      op.attenuation =
          static_cast<u16>(op.attenuation + envelope_steps(setup.release_rate, samples));
      break;
  }
  op.attenuation = std::min(op.attenuation, Ymf262State::kSilent);
}

}  // namespace

Ymf262Roms::Ymf262Roms() {
  for (unsigned i = 0; i < 256; ++i) {
    const double sine = std::sin((i + 0.5) * std::numbers::pi / 512);
    log_sine[i] = static_cast<u16>(std::lround(-std::log2(sine) * 256));
    power[i] = static_cast<u16>(std::lround((std::exp2(i / 256.0) - 1) * 1024));
  }
}

OperatorSetup operator_setup(u8 flags, u8 level, u8 attack_decay, u8 sustain_release, u8 wave,
                             u16 f_number, u8 block, bool note_select) {
  OperatorSetup setup;
  setup.tremolo = (flags & 0x80) != 0;
  setup.vibrato = (flags & 0x40) != 0;
  setup.holds = (flags & 0x20) != 0;
  setup.multiple = kMultiple[flags & 15];
  setup.f_number = f_number;
  setup.block = block;
  setup.step = phase_step(f_number, block, setup.multiple);

  // Key scale rate: octave and one bit of the F-number; without KSR a quarter of that.
  const unsigned split = note_select ? (f_number >> 8) & 1 : (f_number >> 9) & 1;
  const unsigned key_code = block * 2u + split;
  const unsigned key_scale = (flags & 0x10) != 0 ? key_code : key_code >> 2;
  setup.attack_rate = scaled_rate(attack_decay >> 4, key_scale);
  setup.decay_rate = scaled_rate(attack_decay & 15, key_scale);
  setup.release_rate = scaled_rate(sustain_release & 15, key_scale);
  const unsigned sustain = sustain_release >> 4;
  setup.sustain_level = static_cast<u16>((sustain == 15 ? 31 : sustain) * 16);  // 3 dB; 15: 93 dB

  // Total level in 0.75 dB; key scale level 0, 3, 1.5 or 6 dB an octave.
  const int table = kKeyScale[f_number >> 6 & 15] - kKeyScaleOctave * (8 - block);
  const u16 three_db = static_cast<u16>(std::max(table, 0));
  setup.level = static_cast<u16>((level & 0x3f) * 4);
  switch (level >> 6) {
    case 1:
      setup.level = static_cast<u16>(setup.level + three_db);
      break;
    case 2:
      setup.level = static_cast<u16>(setup.level + three_db / 2);
      break;
    case 3:
      setup.level = static_cast<u16>(setup.level + three_db * 2);
      break;
    default:
      break;
  }
  setup.wave = wave;
  return setup;
}

void key_on(Operator& op, const OperatorSetup& setup) {
  op.stage = Stage::kAttack;
  op.phase = 0;
  if (setup.attack_rate >= 60) op.attenuation = 0;  // attack takes no time
}

void key_off(Operator& op) { op.stage = Stage::kRelease; }

u16 advance_operator(Operator& op, const OperatorSetup& setup, const OperatorClock& clock) {
  advance_envelope(op, setup, clock.samples);
  const u16 phase = static_cast<u16>(op.phase >> 9);
  u32 step = setup.step;
  if (setup.vibrato) {
    // 14 cents (7 without the depth bit) up and down in eight positions.
    int change = setup.f_number >> 7;
    if ((clock.vibrato & 3) == 0) change = 0;
    if ((clock.vibrato & 1) != 0) change >>= 1;
    if (!clock.deep_vibrato) change >>= 1;
    if ((clock.vibrato & 4) != 0) change = -change;
    step = phase_step(static_cast<u32>(setup.f_number + change), setup.block, setup.multiple);
  }
  op.phase = (op.phase + step) & 0x7ffff;
  return phase;
}

i32 operator_wave(const Ymf262Roms& roms, const Operator& op, const OperatorSetup& setup,
                  u16 tremolo, u32 phase) {
  const u32 attenuation = u32{op.attenuation} + setup.level + (setup.tremolo ? u32{tremolo} : 0u);
  if (op.attenuation >= Ymf262State::kSilent || attenuation >= Ymf262State::kSilent) return 0;
  phase &= 0x3ff;
  bool negative = (phase & 0x200) != 0;
  const auto sine = [&](u32 p) -> u32 {
    return roms.log_sine[(p & 0x100) != 0 ? 255 - (p & 0xff) : p & 0xff];
  };
  u32 log = 0;
  switch (setup.wave & 7) {
    case 0:
      log = sine(phase);
      break;
    case 1:  // the lower half is silent
      if (negative) return 0;
      log = sine(phase);
      break;
    case 2:  // both halves up
      negative = false;
      log = sine(phase);
      break;
    case 3:  // both halves up, rising quarters only
      if ((phase & 0x100) != 0) return 0;
      negative = false;
      log = sine(phase);
      break;
    case 4:  // a whole sine in the first half
      if (negative) return 0;
      negative = (phase & 0x100) != 0;
      log = sine(phase * 2);
      break;
    case 5:  // the same, up
      if (negative) return 0;
      log = sine(phase * 2);
      break;
    case 6:  // square
      break;
    default:  // 7: the level itself falls with the phase
      log = (negative ? 0x1ff - (phase & 0x1ff) : phase) * 8;
      break;
  }
  log += attenuation * 8;
  const u32 shift = log >> 8;
  if (shift > 12) return 0;
  const i32 value = static_cast<i32>(((roms.power[255 - (log & 0xff)] + 1024u) * 2) >> shift);
  return negative ? -value : value;
}

}  // namespace dragoman
