// The OPL3 as music drivers use it: detection, timers, voices; and the operator against the tables
// of the manual.
#include "devices/sound/ymf262.h"

#include <gtest/gtest.h>

#include "tests/devices/isa_test_bench.h"
#include "tests/devices/sound_test_helper.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

constexpr double kChipRate = 315e6 / 6336;  // 49715.9 Hz
using Stage = Ymf262State::Stage;

struct Ymf262Test : ::testing::Test, IsaTestBench {
  SoundRecorder recorder;
  AudioMixer mixer{scheduler, recorder};
  Ymf262 opl{"ymf262", scheduler, &mixer};

  Ymf262Test() { ports.add("opl", Port(0x388), Ymf262::kPortCount, opl); }
  /// Register 0 to 1FFh.
  void set(u16 index, u8 value) {
    const u16 port = index >= 0x100 ? 0x38a : 0x388;
    out(port, static_cast<u8>(index));
    out(static_cast<u16>(port + 1), value);
  }
  /// An operator that sounds at once and stays, at `offset` of the groups 20h to E0h.
  void operator_at(u16 offset, u8 multiple, u8 level, u8 wave = 0, u8 flags = 0x20) {
    set(static_cast<u16>(0x20 + offset), static_cast<u8>(flags | multiple));
    set(static_cast<u16>(0x40 + offset), level);
    set(static_cast<u16>(0x60 + offset), 0xf0);
    set(static_cast<u16>(0x80 + offset), 0x0f);
    set(static_cast<u16>(0xe0 + offset), wave);
  }
  /// Returns the nearest frequency the chip has.
  double note(u16 channel, double hertz, bool on = true) {
    unsigned block = 0;
    while (hertz * (1 << (20 - block)) / kChipRate > 1023) ++block;
    const u16 f = static_cast<u16>(std::lround(hertz * (1 << (20 - block)) / kChipRate));
    set(static_cast<u16>(0xa0 + channel), static_cast<u8>(f));
    set(static_cast<u16>(0xb0 + channel), static_cast<u8>((on ? 0x20 : 0) | block << 2 | f >> 8));
    return f * kChipRate / (1 << (20 - block));
  }
  Samples last(double seconds) {
    const std::size_t count = static_cast<std::size_t>(seconds * 48000);
    return Samples(recorder.samples).last(std::min(count, recorder.samples.size()));
  }
  /// The next half second, without its beginning.
  Samples listen() {
    run_for(500'000'000);
    return last(0.4);
  }
};

TEST(Ymf262Operator, StateListsAreComplete) { check_state_list<Ymf262State>(); }

TEST(Ymf262Operator, RomsAreThoseOfTheDie) {
  const Ymf262Roms roms;
  EXPECT_EQ(roms.log_sine[0], 2137);
  EXPECT_EQ(roms.log_sine[1], 1731);
  EXPECT_EQ(roms.log_sine[255], 0);
  EXPECT_EQ(roms.power[0], 0);
  EXPECT_EQ(roms.power[1], 3);
  EXPECT_EQ(roms.power[255], 1018);
}

/// Samples until an operator with these rates has come to `until`.
u64 samples_until(u8 attack_decay, u8 sustain_release, Stage start, auto until) {
  Ymf262State::Operator op;
  const OperatorSetup setup =
      operator_setup(0x20, 0, attack_decay, sustain_release, 0, 0, 0, false);
  op.stage = start;
  op.attenuation = start == Stage::kAttack ? Ymf262State::kSilent : 0;
  OperatorClock clock;
  while (!until(op)) {
    if (++clock.samples > 10'000'000) return 0;
    (void)advance_operator(op, setup, clock);
  }
  return clock.samples;
}

TEST(Ymf262Operator, EnvelopesTakeTheTimesOfTheManual) {
  // YM3812 manual, "Attack/Decay rate": at RATE 4 an attack takes 2826.24 ms and a decay 39280.64
  // ms from 0 to 100 %; every four rates both take half.
  for (unsigned rate = 1; rate <= 11; ++rate) {
    const double attack = 2826.24 / (1 << (rate - 1));
    const double decay = 39280.64 / (1 << (rate - 1));
    const u64 up = samples_until(static_cast<u8>(rate << 4), 0, Stage::kAttack,
                                 [](const auto& op) { return op.attenuation == 0; });
    const u64 down = samples_until(static_cast<u8>(rate), 0xf0, Stage::kDecay,
                                   [](const auto& op) { return op.attenuation >= 496; });
    EXPECT_NEAR(static_cast<double>(up) * 1000 / kChipRate, attack, attack * 0.12) << rate;
    EXPECT_NEAR(static_cast<double>(down) * 1000 / kChipRate, decay, decay * 0.12) << rate;
  }
  const u64 quick = samples_until(0xf0, 0, Stage::kAttack,
                                  [](const auto& op) { return op.stage != Stage::kAttack; });
  EXPECT_LE(quick, 40u);  // AR 15 without key scaling is RATE 60
  EXPECT_EQ(
      samples_until(0x00, 0, Stage::kAttack, [](const auto& op) { return op.attenuation != 511; }),
      0u);
}

TEST(Ymf262Operator, LevelsAreThoseOfTheManual) {
  const auto level = [](u8 value, u16 f_number, u8 block) {
    return operator_setup(0, value, 0, 0, 0, f_number, block, false).level * 0.1875;
  };
  EXPECT_DOUBLE_EQ(level(0x01, 0, 0), 0.75);
  EXPECT_DOUBLE_EQ(level(0x3f, 0, 0), 47.25);
  // "Key scale level", 3 dB an octave, F-number by its upper four bits.
  EXPECT_DOUBLE_EQ(level(0x40, 1 << 6, 7), 9.0);
  EXPECT_DOUBLE_EQ(level(0x40, 2 << 6, 7), 12.0);
  EXPECT_DOUBLE_EQ(level(0x40, 3 << 6, 7), 13.875);
  EXPECT_DOUBLE_EQ(level(0x40, 8 << 6, 7), 18.0);
  EXPECT_DOUBLE_EQ(level(0x40, 15 << 6, 7), 21.0);
  EXPECT_DOUBLE_EQ(level(0x40, 15 << 6, 1), 3.0);
  EXPECT_DOUBLE_EQ(level(0x40, 15 << 6, 0), 0.0);
  EXPECT_DOUBLE_EQ(level(0x80, 15 << 6, 7), 10.5);
  EXPECT_DOUBLE_EQ(level(0xc0, 15 << 6, 7), 42.0);
}

TEST(Ymf262Operator, EightWaves) {
  const Ymf262Roms roms;
  Ymf262State::Operator op;
  op.attenuation = 0;
  OperatorSetup setup;
  const auto wave = [&](u8 number, double turn) {
    setup.wave = number;
    return operator_wave(roms, op, setup, 0, static_cast<u32>(turn * 1024));
  };
  const auto sine = [](double turn) { return 4084 * std::sin(2 * std::numbers::pi * turn); };
  for (double turn = 0.004; turn < 1; turn += 0.0313) {
    const bool first = turn < 0.5;
    const double t = std::floor(turn * 1024) / 1024 + 0.5 / 1024;
    EXPECT_NEAR(wave(0, turn), sine(t), 12) << turn;
    EXPECT_NEAR(wave(1, turn), first ? sine(t) : 0, 12) << turn;
    EXPECT_NEAR(wave(2, turn), std::fabs(sine(t)), 12) << turn;
    EXPECT_NEAR(wave(3, turn), std::fmod(turn, 0.5) < 0.25 ? std::fabs(sine(t)) : 0, 12) << turn;
    EXPECT_NEAR(wave(4, turn), first ? sine(2 * t) : 0, 30) << turn;
    EXPECT_NEAR(wave(5, turn), first ? std::fabs(sine(2 * t)) : 0, 30) << turn;
    EXPECT_EQ(wave(6, turn), first ? 4084 : -4084) << turn;
  }
  // The last falls by 6 dB each 32nd of a turn and comes back upside down.
  EXPECT_EQ(wave(7, 0), 4084);
  EXPECT_NEAR(wave(7, 1 / 32.0), 2042, 2);
  EXPECT_NEAR(wave(7, 2 / 32.0), 1021, 2);
  EXPECT_NEAR(wave(7, 1 - 1 / 1024.0), -4084, 2);
  EXPECT_NEAR(wave(7, 1 - 33 / 1024.0), -2042, 2);
  op.attenuation = 32;  // 6 dB
  EXPECT_NEAR(wave(6, 0), 4084 / 1.995, 15);
  op.attenuation = Ymf262State::kSilent;
  EXPECT_EQ(wave(6, 0), 0);
}

TEST_F(Ymf262Test, IsDetectedAsDriversDoIt) {
  set(0x04, 0x60);
  set(0x04, 0x80);
  EXPECT_EQ(in(0x388), 0x00);  // also bits 2 and 1: not an OPL2
  set(0x02, 0xff);
  set(0x04, 0x21);
  run_for(100'000);
  EXPECT_EQ(in(0x388), 0xc0);
  set(0x04, 0x60);
  set(0x04, 0x80);
  EXPECT_EQ(in(0x388), 0x00);
  EXPECT_TRUE(recorder.samples.empty());
}

TEST_F(Ymf262Test, TimersCountInFourAndSixteenSamples) {
  const double sample = 1e9 / kChipRate;
  set(0x02, 256 - 10);
  set(0x03, 256 - 3);
  set(0x04, 0x03);
  run_for(static_cast<u64>(39.9 * sample));
  EXPECT_EQ(in(0x388), 0x00);
  run_for(static_cast<u64>(0.5 * sample));
  EXPECT_EQ(in(0x388), 0xc0);
  run_for(static_cast<u64>(8 * sample));
  EXPECT_EQ(in(0x388), 0xe0);
  set(0x04, 0x80);
  EXPECT_EQ(in(0x388), 0x00);
  run_until(static_cast<u64>(80.5 * sample));  // timer 1 was loaded again by itself
  EXPECT_EQ(in(0x388), 0xc0);
  set(0x04, 0x43);  // masked
  EXPECT_EQ(in(0x388), 0x00);
  run_until(static_cast<u64>(96.5 * sample));
  EXPECT_EQ(in(0x388), 0xa0);
  set(0x04, 0x00);
  set(0x04, 0x80);
  jump_for(u64{3600} * 1'000'000'000);
  EXPECT_EQ(in(0x388), 0x00);
}

TEST_F(Ymf262Test, ProgramsThatWaitByCountingReadsSeeTheTimer) {
  for (int i = 0; i < 1000; ++i) (void)in(0x388);  // whatever came before
  set(0x02, 0xff);
  set(0x04, 0x21);
  for (int i = 0; i < 100; ++i) {  // by a processor that needs 40 ns for each
    (void)in(0x388);
    run_for(40);
  }
  EXPECT_EQ(in(0x388), 0xc0);
  // Who polls all the time still gets the timer's own pace.
  int ticks = 0;
  for (int i = 0; i < 250'000; ++i) {
    if (in(0x388) == 0xc0) {
      ++ticks;
      set(0x04, 0x80);
    }
    run_for(40);
  }
  EXPECT_NEAR(ticks, 10'000'000 / 80'457, 4);
}

TEST_F(Ymf262Test, PlaysANoteInTune) {
  for (const double hertz : {55.0, 261.63, 440.0, 1760.0, 4186.0}) {
    operator_at(0, 1, 0x3f);
    operator_at(3, 1, 0);
    set(0xc0, 1);
    const double exact = note(0, hertz);
    EXPECT_NEAR(exact, hertz, hertz * 0.001);
    const Samples sound = listen();
    EXPECT_NEAR(crossings_hertz(sound), exact, exact * 0.001);
    EXPECT_NEAR(amplitude_at(sound, exact), 4084, 60);
    EXPECT_LT(amplitude_at(sound, 2 * exact), 40);
    EXPECT_LT(amplitude_at(sound, 3 * exact), 40);
    note(0, hertz, false);
    run_for(100'000'000);
  }
}

TEST_F(Ymf262Test, StopsWhenEveryEnvelopeHasEnded) {
  operator_at(3, 1, 0);
  note(0, 440);
  run_for(300'000'000);
  EXPECT_GT(rms(last(0.1)), 2000);
  note(0, 440, false);
  run_for(5'000'000'000);
  EXPECT_EQ(scheduler.next_deadline(), Scheduler::kNever);
  EXPECT_LT(recorder.samples.size(), 48000u * 2);
}

TEST_F(Ymf262Test, MultiplesAndTotalLevel) {
  operator_at(3, 0, 8);  // half the pitch, 6 dB
  note(0, 880);
  EXPECT_NEAR(amplitude_at(listen(), 440), 4084 / 1.995, 60);
  operator_at(3, 15, 0);
  note(0, 100);
  EXPECT_NEAR(crossings_hertz(listen()), 1500, 8);
  operator_at(3, 11, 0);
  EXPECT_NEAR(crossings_hertz(listen()), 1000, 6);
}

TEST_F(Ymf262Test, AModulatorMakesSidebandsAndParallelOperatorsAddUp) {
  operator_at(0, 1, 32);
  operator_at(3, 4, 0);
  set(0xc0, 0);
  note(0, 250);
  const Samples fm = listen();
  EXPECT_GT(amplitude_at(fm, 1000 - 250), 300);
  EXPECT_GT(amplitude_at(fm, 1000 + 250), 300);
  EXPECT_LT(amplitude_at(fm, 1000 + 125), 30);
  operator_at(0, 1, 0);
  set(0xc0, 1);
  const Samples sum = listen();
  EXPECT_NEAR(amplitude_at(sum, 250), 4084, 60);
  EXPECT_NEAR(amplitude_at(sum, 1000), 4084, 60);
  EXPECT_LT(amplitude_at(sum, 750), 30);
}

TEST_F(Ymf262Test, FeedbackBendsASineIntoASawtooth) {
  operator_at(0, 1, 0);
  operator_at(3, 1, 0x3f);
  set(0xc0, 1);
  note(0, 400);
  EXPECT_LT(amplitude_at(listen(), 800), 30);
  set(0xc0, 4 << 1 | 1);
  const Samples sound = listen();
  EXPECT_NEAR(crossings_hertz(sound), 400, 4);
  EXPECT_GT(amplitude_at(sound, 800), 500);
  EXPECT_GT(amplitude_at(sound, 1200), 150);
}

TEST_F(Ymf262Test, SustainAndPercussiveEnvelopes) {
  operator_at(3, 1, 0);
  set(0x63, 0xf8);
  set(0x83, 0x47);  // 12 dB, then held or falling
  note(0, 1000);
  run_for(2'000'000'000);
  EXPECT_NEAR(amplitude_at(last(0.2), 1000), 4084 / 3.98, 40);
  set(0x23, 0x01);  // EGT off
  run_for(3'000'000'000);
  EXPECT_LT(amplitude_at(last(0.01), 1000), 60);
}

TEST_F(Ymf262Test, TremoloAndVibrato) {
  operator_at(3, 1, 0, 0, 0xa0);
  set(0xbd, 0x80);
  note(0, 1000);
  run_for(1'500'000'000);
  double quiet = 1e9, loud = 0;
  for (std::size_t at = recorder.samples.size() - 48000; at + 960 < recorder.samples.size();
       at += 480) {
    const double here = amplitude_at(Samples(recorder.samples).subspan(at, 960), 1000);
    quiet = std::min(quiet, here);
    loud = std::max(loud, here);
  }
  EXPECT_NEAR(20 * std::log10(loud / quiet), 4.7, 0.4);
  operator_at(3, 1, 0, 0, 0x60);
  set(0xbd, 0x40);
  run_for(1'000'000'000);
  double low = 1e9, high = 0;
  for (std::size_t at = recorder.samples.size() - 40000; at + 480 < recorder.samples.size();
       at += 240) {
    const double here = crossings_hertz(Samples(recorder.samples).subspan(at, 480));
    low = std::min(low, here);
    high = std::max(high, here);
  }
  // 14 cents to both sides are 8 Hz; crossings of whole samples see two or three Hz less or more.
  EXPECT_NEAR(high - low, 16, 8);
}

TEST_F(Ymf262Test, TheSecondArrayOpensWithNew) {
  operator_at(0x103, 1, 0);
  set(0x1c0, 0x10);
  note(0x100, 440);
  run_for(100'000'000);
  EXPECT_TRUE(recorder.samples.empty());
  set(0x105, 1);
  operator_at(0x103, 1, 0);
  set(0x1c0, 0x10);  // left only
  note(0x100, 440);
  const Samples sound = listen();
  EXPECT_NEAR(amplitude_at(sound, 440), 4084, 60);
  EXPECT_LT(rms(sound, true), 1);
  set(0x1c0, 0x20);
  EXPECT_NEAR(amplitude_at(listen(), 440, 48000, true), 4084, 60);
  EXPECT_LT(rms(last(0.2)), 1);
}

TEST_F(Ymf262Test, FourOperatorsInFourAlgorithms) {
  set(0x105, 1);
  set(0x104, 1);
  // Operators 1 to 4 of channel 0: offsets 0, 3, 8, B; the pitch is that of channel 0.
  const std::array<u16, 4> offsets{0x00, 0x03, 0x08, 0x0b};
  for (unsigned i = 0; i < 4; ++i) operator_at(offsets[i], static_cast<u8>(1 << i), 0x3f);
  const auto heard = [&](u8 first, u8 second) {
    set(0xc0, static_cast<u8>(0x30 | first));
    set(0xc3, static_cast<u8>(0x30 | second));
    std::string carriers;
    for (unsigned i = 0; i < 4; ++i) {
      operator_at(offsets[i], static_cast<u8>(1 << i), 0);
      note(0, 300);
      const double level = amplitude_at(listen(), 300 << i);
      carriers += level > 3500 ? '1' : '0';
      operator_at(offsets[i], static_cast<u8>(1 << i), 0x3f);
    }
    return carriers;
  };
  EXPECT_EQ(heard(0, 0), "0001");
  EXPECT_EQ(heard(1, 0), "1001");
  EXPECT_EQ(heard(0, 1), "0101");
  EXPECT_EQ(heard(1, 1), "1011");
}

TEST_F(Ymf262Test, RhythmPlaysFiveInstruments) {
  // Bass drum: two operators of channel 6; the others one each.
  for (const u16 offset : {0x10, 0x11, 0x12, 0x13, 0x14, 0x15}) {
    operator_at(offset, 1, offset == 0x10 ? 0x3f : 0);
  }
  for (const u16 channel : {6, 7, 8}) note(channel, 200, false);
  set(0xbd, 0x20);
  run_for(100'000'000);
  EXPECT_TRUE(recorder.samples.empty() || rms(last(0.05)) < 1);
  set(0xbd, 0x30);
  EXPECT_NEAR(amplitude_at(listen(), 200), 2 * 4084, 150);  // twice as loud
  set(0xbd, 0x20);
  run_for(300'000'000);
  EXPECT_LT(rms(last(0.05)), 5);
  set(0xbd, 0x24);  // tom-tom: a sine
  EXPECT_NEAR(amplitude_at(listen(), 200), 2 * 4084, 150);
  for (const u8 noisy : {0x21, 0x28}) {  // hi-hat, snare
    set(0xbd, 0x20);
    run_for(300'000'000);
    set(0xbd, noisy);
    const Samples sound = listen();
    EXPECT_GT(rms(sound), 2000);
    EXPECT_LT(amplitude_at(sound, 200), rms(sound)) << int{noisy};
    double spread = 0;  // noise everywhere
    for (double hertz = 1000; hertz < 12000; hertz += 500) spread += amplitude_at(sound, hertz) > 8;
    EXPECT_GT(spread, 15) << int{noisy};
  }
}

TEST_F(Ymf262Test, WhenItIsLookedAtDoesNotChangeTheSound) {
  std::vector<StereoSample> expected;
  for (const u64 step : {u64{400'000'000}, u64{777'777}}) {
    IsaTestBench bench;
    SoundRecorder recorded;
    AudioMixer other_mixer(bench.scheduler, recorded);
    Ymf262 chip("opl", bench.scheduler, &other_mixer);
    bench.ports.add("opl", Port(0x388), 4, chip);
    const auto write = [&](u8 index, u8 value) {
      bench.out(0x388, index);
      bench.out(0x389, value);
    };
    write(0x23, 0xe1);
    write(0x63, 0x94);
    write(0x83, 0x35);
    write(0x20, 0x21);
    write(0x60, 0xf2);
    write(0x40, 0x10);
    write(0xc0, 0x08);
    write(0xa0, 0x80);
    write(0xb0, 0x31);
    for (u64 at = 0; at < 400'000'000; at += step) {
      bench.run_until(std::min<u64>(at + step, 400'000'000));
      write(0x9f, 0x12);  // no register
    }
    bench.run_until(450'000'000);
    if (expected.empty()) expected = recorded.samples;
    EXPECT_EQ(recorded.samples, expected);
  }
  EXPECT_GT(expected.size(), 20'000u);
}

TEST_F(Ymf262Test, DamagedStatesAreBroughtIntoRange) {
  for (u32 seed = 1; seed < 20; ++seed) {
    std::vector<u8> bytes(field_bytes<Ymf262State>());
    u32 x = seed * 2654435761u;
    for (u8& byte : bytes) {
      x = x * 1664525u + 1013904223u;
      byte = seed == 1 ? 0xff : static_cast<u8>(x >> 24);
    }
    std::span<const u8> in_bytes(bytes);
    ASSERT_TRUE(opl.load(in_bytes).ok());
    run_for(20'000'000);
    (void)in(0x388);
    set(0xb0, 0x3f);
    run_for(20'000'000);
  }
}

TEST_F(Ymf262Test, PlaysOnAfterLoading) {
  operator_at(3, 1, 0);
  note(0, 440);
  run_for(100'000'000);
  std::vector<u8> saved;
  opl.save(saved);
  SoundRecorder other_recorder;
  AudioMixer other_mixer(scheduler, other_recorder);
  Ymf262 copy("copy", scheduler, &other_mixer);
  std::span<const u8> bytes(saved);
  ASSERT_TRUE(copy.load(bytes).ok());
  run_for(300'000'000);
  EXPECT_NEAR(amplitude_at(Samples(other_recorder.samples).last(9600), 440), 4084, 80);
}

}  // namespace
}  // namespace dragoman
