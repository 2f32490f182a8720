// What the YMF262 remembers.
#pragma once

#include <array>
#include <tuple>

#include "base/fields.h"
#include "devices/sound/sample_clock.h"

namespace dragoman {

struct Ymf262State {
  static constexpr unsigned kOperators = 36;
  static constexpr unsigned kChannels = 18;
  static constexpr u16 kSilent = 511;  ///< highest attenuation, in steps of 0.1875 dB

  enum class Stage : u8 { kRelease, kAttack, kDecay, kSustain };
  struct Operator {
    u32 phase = 0;  ///< 10 bits of the wave and 9 of fraction
    u16 attenuation = kSilent;
    i16 output = 0;
    i16 before = 0;  ///< the output before that; feedback takes the mean
    Stage stage = Stage::kRelease;
    bool key = false;
    static constexpr auto fields() {
      return std::tuple{
          Field{"phase", &Operator::phase},   Field{"attenuation", &Operator::attenuation},
          Field{"output", &Operator::output}, Field{"before", &Operator::before},
          Field{"stage", &Operator::stage},   Field{"key", &Operator::key}};
    }
  };
  struct Timer {
    u64 origin = 0;  ///< virtual ns at which it was loaded
    u16 count = 0;   ///< 256 minus the loaded value; 0 while it stands
    std::array<u8, 6> reserved{};
    static constexpr auto fields() {
      return std::tuple{Field{"origin", &Timer::origin}, Field{"count", &Timer::count},
                        Field{"reserved", &Timer::reserved}};
    }
  };

  std::array<Operator, kOperators> operators{};
  std::array<u8, 512> registers{};  ///< as written; second array from 256 on
  std::array<Timer, 2> timers{};
  u64 bus_time = 0;  ///< virtual ns of the last access, by which the timers are judged
  SampleClock clock{0, 0, {315'000'000, 6336}};  ///< 14.31818.. MHz / 288
  u32 samples = 0;                               ///< counts for envelopes and both oscillators
  u32 noise = 1;                                 ///< 23 bits, never 0
  u16 address = 0;                               ///< register selected by the address port
  u8 status = 0;                                 ///< timer flags, bits 6 and 5
  bool sounding = false;                         ///< samples are being made
  u16 tremolo = 0;                               ///< 0..209
  std::array<u8, 2> reserved{};
  static constexpr auto fields() {
    using S = Ymf262State;
    return std::tuple{Field{"operators", &S::operators}, Field{"registers", &S::registers},
                      Field{"timers", &S::timers},       Field{"bus_time", &S::bus_time},
                      Field{"clock", &S::clock},         Field{"samples", &S::samples},
                      Field{"noise", &S::noise},         Field{"address", &S::address},
                      Field{"status", &S::status},       Field{"sounding", &S::sounding},
                      Field{"tremolo", &S::tremolo},     Field{"reserved", &S::reserved}};
  }
};

}  // namespace dragoman
