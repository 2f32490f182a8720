// The speaker as programs drive it: square waves, pulse widths, bit 1 by hand.
#include "devices/sound/pc_speaker.h"

#include <gtest/gtest.h>

#include "tests/devices/isa_test_bench.h"
#include "tests/devices/sound_test_helper.h"

namespace dragoman {
namespace {

struct PcSpeakerTest : ::testing::Test, IsaTestBench {
  I8254 pit{scheduler, ports, IrqLine(wires, 0)};
  Port61 port61{scheduler, ports, pit, IrqLine(wires, 1)};
  SoundRecorder recorder;
  AudioMixer mixer{scheduler, recorder};
  PcSpeaker speaker{scheduler, mixer, pit, port61};

  void tone(u16 divisor, u8 mode = 3) {
    out(0x43, static_cast<u8>(0xb0 | mode << 1));
    out(0x42, static_cast<u8>(divisor));
    out(0x42, static_cast<u8>(divisor >> 8));
  }
  Samples last(double seconds) {
    const std::size_t count = static_cast<std::size_t>(seconds * 48000);
    return Samples(recorder.samples).last(std::min(count, recorder.samples.size()));
  }
};

TEST_F(PcSpeakerTest, IsSilentWithoutBit1) {
  tone(1193);
  out(0x61, 1);
  run_for(1'000'000'000);
  EXPECT_TRUE(recorder.samples.empty());
}

TEST_F(PcSpeakerTest, PlaysTheTimersFrequency) {
  for (const u16 divisor : {u16{11932}, u16{2712}, u16{1193}, u16{271}}) {
    tone(divisor);
    out(0x61, 3);
    run_for(500'000'000);
    const double hertz = 1'193'181.8 / divisor;
    EXPECT_NEAR(crossings_hertz(last(0.4)), hertz, hertz * 0.003);
    // A square wave: fundamental 4/pi of half the step, no even harmonics, a third of the third.
    const double fundamental = amplitude_at(last(0.4), hertz);
    EXPECT_NEAR(fundamental, 6000 * 4 / std::numbers::pi, 200) << divisor;
    EXPECT_LT(amplitude_at(last(0.4), 2 * hertz), 120);
    const double x = std::numbers::pi * 3 * hertz / 48000;  // the mean over a frame takes some
    EXPECT_NEAR(amplitude_at(last(0.4), 3 * hertz), fundamental / 3 * std::sin(x) / x, 120);
  }
}

TEST_F(PcSpeakerTest, FollowsBit1ToTheMicrosecond) {
  tone(1193);
  out(0x61, 3);
  run_for(300'000'000);
  out(0x61, 0);
  run_for(200'000'000);
  EXPECT_LT(rms(last(0.05)), 200);  // what the high-pass has left
  EXPECT_GT(rms(Samples(recorder.samples).subspan(4800, 4800)), 5000);
  run_for(3'000'000'000);
  const std::size_t heard = recorder.samples.size();
  EXPECT_EQ(scheduler.next_deadline(), Scheduler::kNever);
  run_for(3'000'000'000);
  EXPECT_EQ(recorder.samples.size(), heard);
}

TEST_F(PcSpeakerTest, ChangesPitchWhileItPlays) {
  tone(2386);
  out(0x61, 3);
  run_for(200'000'000);
  tone(1193);
  run_for(200'000'000);
  EXPECT_NEAR(crossings_hertz(Samples(recorder.samples).first(9000)), 500, 6);
  EXPECT_NEAR(crossings_hertz(last(0.15)), 1000, 6);
}

TEST_F(PcSpeakerTest, PlaysSamplesByPulseWidth) {
  // Mode 0 gives a low pulse of its count at 16.5 kHz: the mean follows a sine of 500 Hz.
  out(0x61, 3);
  const double carrier = 16'572;
  out(0x43, 0x90);  // counter 2, low byte only, mode 0
  for (int i = 0; i < 8286; ++i) {
    const double phase = 2 * std::numbers::pi * 500 * i / carrier;
    out(0x42, static_cast<u8>(36 + std::lround(30 * std::sin(phase))));
    run_until(static_cast<u64>((i + 1) * 1e9 / carrier));
  }
  const double loud = amplitude_at(last(0.4), 500);
  EXPECT_NEAR(loud, 12'000 * 30 / 72.0, 500);
  EXPECT_LT(amplitude_at(last(0.4), 1000), loud / 20);
}

TEST_F(PcSpeakerTest, PlaysWhatTheProcessorTogglesByHand) {
  tone(1193);
  for (int i = 0; i < 400; ++i) {  // OUT 2 is high while the gate is down
    out(0x61, i % 2 == 0 ? 2 : 0);
    run_for(1'000'000);
  }
  EXPECT_NEAR(crossings_hertz(last(0.3)), 500, 5);
}

TEST_F(PcSpeakerTest, SurvivesCountsNoEarCanHear) {
  for (const u16 divisor : {u16{2}, u16{1}, u16{3}, u16{0}}) {
    for (u8 mode = 0; mode < 6; ++mode) {
      tone(divisor, mode);
      out(0x61, 3);
      run_for(20'000'000);
      out(0x61, 2);
      run_for(20'000'000);
    }
  }
  tone(2);
  out(0x61, 3);
  run_for(400'000'000);
  EXPECT_LT(rms(last(0.1)), 300);
  jump_for(u64{1000} * 1'000'000'000);
  run_for(100'000'000);
}

TEST_F(PcSpeakerTest, ReadingTheTimerDoesNotChangeTheSound) {
  std::vector<StereoSample> expected;
  for (const bool reads : {false, true}) {
    struct Board : IsaTestBench {
      I8254 pit{scheduler, ports, IrqLine(wires, 0)};
      Port61 port61{scheduler, ports, pit, IrqLine(wires, 1)};
      SoundRecorder recorder;
      AudioMixer mixer{scheduler, recorder};
      PcSpeaker speaker{scheduler, mixer, pit, port61};
    } b;
    b.out(0x43, 0xb6);
    b.out(0x42, 0x34);
    b.out(0x42, 0x12);
    b.out(0x61, 3);
    for (int i = 0; i < 3000; ++i) {
      b.run_for(33'333);
      if (reads) {
        (void)b.in(0x61);
        b.out(0x43, 0x80);  // latch
        (void)b.in(0x42);
        (void)b.in(0x42);
      }
    }
    if (!reads) expected = b.recorder.samples;
    if (reads) {
      EXPECT_EQ(b.recorder.samples, expected);
    }
  }
  EXPECT_GT(expected.size(), 4000u);
}

}  // namespace
}  // namespace dragoman
