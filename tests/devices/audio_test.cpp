// Rates, filter, mixer and the WAV file.
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "devices/sound/audio_mixer.h"
#include "devices/sound/sample_clock.h"
#include "devices/sound/step_signal.h"
#include "devices/sound/wav_file.h"
#include "tests/devices/isa_test_bench.h"
#include "tests/devices/sound_test_helper.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

/// A source of a sine, always up to date.
struct SineSource {
  SineSource(IsaTestBench& test_bench, AudioMixer& mixer, SampleRate sample_rate, double frequency)
      : bench(test_bench),
        rate(sample_rate),
        hertz(frequency),
        stream(&mixer, [this] { produce(); }) {}
  void start() {
    clock.start(bench.clock.now, rate);
    stream.begin(rate);
    on = true;
  }
  void produce() {
    if (!on) return;
    std::vector<AudioFrame> frames;
    for (u64 n = clock.due(bench.clock.now); n != 0; --n) {
      const double t = static_cast<double>(clock.done++) * rate.denominator / rate.numerator;
      const i32 v =
          static_cast<i32>(std::lround(10'000 * std::sin(2 * std::numbers::pi * hertz * t)));
      frames.push_back({v, -v / 2});
    }
    stream.write(frames);
  }
  IsaTestBench& bench;
  SampleRate rate;
  double hertz;
  SampleClock clock;
  AudioStream stream;
  bool on = false;
};

struct AudioTest : ::testing::Test, IsaTestBench {
  SoundRecorder recorder;
  AudioMixer mixer{scheduler, recorder};
};

TEST(SampleRate, CountsFramesWithoutDrift) {
  const SampleRate opl{315'000'000, 6336};  // 14.318 MHz / 288
  EXPECT_EQ(opl.frames_in(1'000'000'000), 49715u);
  EXPECT_EQ(opl.frames_in(u64{1'000'000'000} * 6336), 315'000'000u);
  for (const u64 frame : {0u, 1u, 2u, 12345u, 4'000'000'000u}) {
    EXPECT_EQ(opl.frames_in(opl.ns_of(frame)), frame);
    if (frame != 0) {
      EXPECT_EQ(opl.frames_in(opl.ns_of(frame) - 1), frame - 1);
    }
  }
}

TEST(SampleClock, SkipsWhatAJumpOfTimeLeftBehind) {
  check_state_list<SampleClock>();
  SampleClock clock;
  clock.start(1000, {8000, 1});
  EXPECT_EQ(clock.due(1000), 0u);
  EXPECT_EQ(clock.due(1000 + 125'000), 1u);
  clock.done += clock.due(1000 + 1'250'000);
  EXPECT_EQ(clock.done, 10u);
  EXPECT_EQ(clock.time_of(1), 1000u + 11 * 125'000);
  const u64 due = clock.due(u64{3600} * 1'000'000'000);
  EXPECT_GE(due, 2000u);
  EXPECT_LE(due, 2002u);
  clock.rate = {1, 0};
  clock.repair(77);
  EXPECT_EQ(clock.rate.denominator, 1u);
  clock.start(u64{1} << 60, {8000, 1});
  clock.done = ~u64{0};
  clock.repair(77);
  EXPECT_LT(clock.due(1'000'000'000), 10'000u);
}

TEST(AudioFilter, PassesConstantsAtEveryPhase) {
  const AudioFilter filter(0.9);
  std::vector<AudioFrame> frames(AudioFilter::kTaps, AudioFrame{12345, -32768});
  for (u64 fraction = 0; fraction < u64{1} << 32; fraction += 0x01234567) {
    const AudioFrame out = filter.at(frames.data(), static_cast<u32>(fraction));
    EXPECT_EQ(out.left, 12345);
    EXPECT_EQ(out.right, -32768);
  }
}

TEST_F(AudioTest, NothingIsHandedOverWhileNothingSounds) {
  run_for(5'000'000'000);
  EXPECT_TRUE(recorder.samples.empty());
  EXPECT_EQ(scheduler.next_deadline(), Scheduler::kNever);
}

TEST_F(AudioTest, SourcesOfAnyRateKeepPitchAndLevel) {
  for (const SampleRate rate :
       {SampleRate{48000, 1}, SampleRate{8000, 1}, SampleRate{1'000'000, 45}, SampleRate{44100, 1},
        SampleRate{315'000'000, 6336}}) {
    SineSource source(*this, mixer, rate, 1000);
    run_for(3'000'000'000);  // until the mixer has stopped
    recorder.samples.clear();
    source.start();
    run_for(500'000'000);
    const Samples all = recorder.samples;
    ASSERT_GE(all.size(), 23'500u);
    const Samples steady = all.subspan(4800, 18'000);
    EXPECT_NEAR(amplitude_at(steady, 1000), 10'000, 60) << rate.numerator;
    EXPECT_NEAR(amplitude_at(steady, 1000, 48000, true), 5'000, 30) << rate.numerator;
    EXPECT_NEAR(crossings_hertz(steady), 1000, 0.5) << rate.numerator;
    // Whatever is not the sine: images, rounding, gaps.
    const double rest = std::sqrt(
        std::max(0.0, std::pow(rms(steady), 2) - std::pow(amplitude_at(steady, 1000), 2) / 2));
    EXPECT_LT(rest, 100) << rate.numerator;
  }
}

TEST_F(AudioTest, ASourceStartsAtItsMomentAndStreamsAddUp) {
  SineSource first(*this, mixer, {48000, 1}, 500);
  SineSource second(*this, mixer, {48000, 1}, 3000);
  run_for(123'456'789);
  first.start();
  run_for(250'000'000);
  second.start();
  run_for(250'000'000);
  const Samples all = recorder.samples;
  const Samples before = all.subspan(2400, 9000);
  const Samples after = all.subspan(12'000 + 480, 9000);
  EXPECT_NEAR(amplitude_at(before, 500), 10'000, 100);
  EXPECT_LT(amplitude_at(before, 3000), 5);
  EXPECT_NEAR(amplitude_at(after, 500), 10'000, 100);
  EXPECT_NEAR(amplitude_at(after, 3000), 10'000, 100);
}

TEST_F(AudioTest, SumsSaturate) {
  std::vector<std::unique_ptr<SineSource>> sources;
  for (int i = 0; i < 6; ++i) {
    sources.push_back(std::make_unique<SineSource>(*this, mixer, SampleRate{48000, 1}, 440.0));
    sources.back()->start();
  }
  run_for(200'000'000);
  int highest = 0, lowest = 0;
  for (const StereoSample& s : recorder.samples) {
    highest = std::max<int>(highest, s.left);
    lowest = std::min<int>(lowest, s.left);
  }
  EXPECT_EQ(highest, 32767);
  EXPECT_EQ(lowest, -32768);
}

TEST_F(AudioTest, ASourceThatEndsFadesAndTheMixerStopsAfterASecond) {
  SineSource source(*this, mixer, {22050, 1}, 700);
  source.start();
  run_for(300'000'000);
  source.on = false;
  EXPECT_FALSE(source.stream.idle());
  run_for(200'000'000);
  EXPECT_TRUE(source.stream.idle());
  EXPECT_LT(rms(Samples(recorder.samples).last(480)), 1);
  run_for(10'000'000'000);
  EXPECT_EQ(scheduler.next_deadline(), Scheduler::kNever);
  EXPECT_LT(recorder.samples.size(), 48000u * 2);
  EXPECT_GT(recorder.samples.size(), 48000u);
  // It can begin again.
  const std::size_t heard = recorder.samples.size();
  source.start();
  run_for(100'000'000);
  EXPECT_NEAR(rms(Samples(recorder.samples).subspan(heard + 480)), 7071, 200);
}

TEST_F(AudioTest, AJumpOfTimeIsCutShort) {
  SineSource source(*this, mixer, {48000, 1}, 700);
  source.start();
  run_for(100'000'000);
  const std::size_t heard = recorder.samples.size();
  jump_for(u64{3600} * 1'000'000'000);
  EXPECT_LE(recorder.samples.size() - heard, 24'000u);
}

TEST_F(AudioTest, StreamsWithoutAMixerTakeEverything) {
  AudioStream stream(nullptr, [] {});
  stream.begin({48000, 1});
  const std::array<AudioFrame, 3> frames{};
  stream.write(frames);
  EXPECT_TRUE(stream.idle());
  EXPECT_FALSE(stream.connected());
}

TEST(StepSignal, AveragesInsideAFrame) {
  StepSignal signal;
  std::vector<AudioFrame> frames;
  signal.restart(0, {50'000, 1}, 0);  // 20 us a frame
  signal.advance(5'000, 0, frames);
  signal.advance(20'000, 8000, frames);  // high for three quarters
  signal.advance(40'000, 8000, frames);
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].left, 6000);
  EXPECT_NEAR(frames[1].left, 8000 - 6000 / 512, 2);
  frames.clear();
  signal.advance(1'000'000'000, 8000, frames);
  EXPECT_LT(std::abs(frames.back().left), 10);  // a level that stays is silence
}

std::vector<u8> bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(WavFile, HasAHeaderThatFitsItsSamples) {
  std::string path = ::testing::TempDir() + "dragoman-wav-XXXXXX";
  close(mkstemp(path.data()));
  const auto le32 = [](const std::vector<u8>& b, std::size_t at) {
    return b[at] | b[at + 1] << 8 | b[at + 2] << 16 | static_cast<u32>(b[at + 3]) << 24;
  };
  {
    auto file = WavFile::create(path, 44100);
    ASSERT_TRUE(file.ok()) << file.error().message;
    const std::array<StereoSample, 2> samples{StereoSample{1, -2}, StereoSample{0x1234, -0x8000}};
    (*file)->play(samples);
    // A second of sound later the header on disk is right without a proper end.
    const std::vector<StereoSample> second(44100);
    (*file)->play(second);
    EXPECT_EQ(le32(bytes_of(path), 40), 44102u * 4);
    (*file)->play(samples);
    EXPECT_EQ((*file)->problem(), "");
  }
  const std::vector<u8> bytes = bytes_of(path);
  ASSERT_EQ(bytes.size(), 44 + 44104u * 4);
  EXPECT_EQ(std::string(bytes.begin(), bytes.begin() + 4), "RIFF");
  EXPECT_EQ(std::string(bytes.begin() + 8, bytes.begin() + 16), "WAVEfmt ");
  EXPECT_EQ(le32(bytes, 4), bytes.size() - 8);
  EXPECT_EQ(le32(bytes, 20), 0x00020001u);  // PCM, two channels
  EXPECT_EQ(le32(bytes, 24), 44100u);
  EXPECT_EQ(le32(bytes, 28), 44100u * 4);
  EXPECT_EQ(le32(bytes, 32), 0x00100004u);
  EXPECT_EQ(le32(bytes, 40), 44104u * 4);
  EXPECT_EQ(le32(bytes, 44), 0xfffe0001u);
  EXPECT_EQ(le32(bytes, 48), 0x80001234u);
  unlink(path.c_str());
}

TEST(WavFile, SaysWhatIsWrongWithThePath) {
  auto file = WavFile::create("/nowhere/at/all.wav", 48000);
  ASSERT_FALSE(file.ok());
  EXPECT_NE(file.error().message.find("/nowhere/at/all.wav"), std::string::npos);
  if (access("/dev/full", W_OK) == 0) {
    EXPECT_FALSE(WavFile::create("/dev/full", 48000).ok());
  }
}

}  // namespace
}  // namespace dragoman
