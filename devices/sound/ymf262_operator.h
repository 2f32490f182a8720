// One operator of the YMF262: phase, envelope and wave.
// YM3812 application manual (Yamaha, 1987), chapter 2; YMF262 datasheet; the contents of the two
// ROMs are those read from the die (Gambrell and Niemitalo, "OPLx decapsulated", 2008).
#pragma once

#include <array>

#include "devices/sound/ymf262_state.h"

namespace dragoman {

/// Both ROMs. Sines are kept as attenuations, so that a level is an addition.
struct Ymf262Roms {
  Ymf262Roms();
  std::array<u16, 256> log_sine;  ///< a quarter wave, -log2 in 1/256
  std::array<u16, 256> power;     ///< 2^(n/256), 10 bits behind the point, without the leading 1
};

/// What the registers say of one operator, ready for use.
struct OperatorSetup {
  u32 step = 0;           ///< phase of a sample without vibrato
  u16 f_number = 0;       ///< for vibrato
  u8 block = 0;           ///< octave
  u8 multiple = 2;        ///< twice MULT
  u16 level = 0;          ///< total level and key scale level, in 0.1875 dB
  u16 sustain_level = 0;  ///< the same unit
  u8 attack_rate = 0;     ///< 0..63 with key scaling; 0 stands still
  u8 decay_rate = 0;
  u8 release_rate = 0;
  u8 wave = 0;
  bool tremolo = false;
  bool vibrato = false;
  bool holds = false;  ///< EGT: stays at the sustain level while the key is down
};

/// The four operator registers (20h, 40h, 60h, 80h, E0h) and what its channel gives.
OperatorSetup operator_setup(u8 flags, u8 level, u8 attack_decay, u8 sustain_release, u8 wave,
                             u16 f_number, u8 block, bool note_select);

/// A sample's share of what all operators have in common.
struct OperatorClock {
  u32 samples = 0;  ///< since power-on
  u16 tremolo = 0;  ///< attenuation, 0.1875 dB
  u8 vibrato = 0;   ///< position 0..7
  bool deep_vibrato = false;
};

void key_on(Ymf262State::Operator& op, const OperatorSetup& setup);
void key_off(Ymf262State::Operator& op);
/// One sample later: envelope and phase. Returns the phase (10 bits) before the step.
u16 advance_operator(Ymf262State::Operator& op, const OperatorSetup& setup,
                     const OperatorClock& clock);
/// The wave at `phase` (10 bits, higher ones ignored), with the operator's level: -4084..4084.
i32 operator_wave(const Ymf262Roms& roms, const Ymf262State::Operator& op,
                  const OperatorSetup& setup, u16 tremolo, u32 phase);

}  // namespace dragoman
