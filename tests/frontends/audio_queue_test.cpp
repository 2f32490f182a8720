// The queue between the machine's thread and the sound card's.
#include "frontends/sdl/audio_queue.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/devices/sound_test_helper.h"

namespace dragoman {
namespace {

/// A writer of a 500 Hz sine whose clock is `speed` times the reader's; both in blocks of 10 ms.
std::vector<StereoSample> listen(AudioQueue& queue, double speed, double seconds) {
  std::vector<StereoSample> heard, block;
  double written = 0;
  u64 sample = 0;
  for (double t = 0; t < seconds; t += 0.01) {
    written += 480 * speed;
    block.clear();
    for (; static_cast<double>(sample) < written; ++sample) {
      const double angle = 2 * std::numbers::pi * 500 * static_cast<double>(sample) / 48000;
      const i16 v = static_cast<i16>(std::lround(10'000 * std::sin(angle)));
      block.push_back({v, static_cast<i16>(-v)});
    }
    queue.push(block);
    std::vector<StereoSample> out(480);
    queue.pull(out);
    heard.insert(heard.end(), out.begin(), out.end());
  }
  return heard;
}

double loudest_step(Samples samples) {
  int most = 0;
  for (std::size_t i = 1; i < samples.size(); ++i) {
    most = std::max(most, std::abs(samples[i].left - samples[i - 1].left));
  }
  return most;
}

TEST(AudioQueue, IsSilentUntilEnoughHasGathered) {
  AudioQueue queue(48000);
  std::vector<StereoSample> out(480, StereoSample{1, 1});
  queue.pull(out);
  EXPECT_EQ(out.back(), StereoSample{});
  const std::vector<StereoSample> some(1000, StereoSample{500, 500});
  queue.push(some);
  queue.pull(out);
  EXPECT_EQ(out.back(), StereoSample{});
  queue.push(std::vector<StereoSample>(3000, StereoSample{500, 500}));
  queue.pull(out);
  EXPECT_EQ(out.back(), (StereoSample{500, 500}));
}

TEST(AudioQueue, FollowsAClockThatDiffersALittle) {
  for (const double speed : {1.0, 1.0005, 0.9995, 1.003, 0.997}) {
    AudioQueue queue(48000);
    const auto heard = listen(queue, speed, 30);
    const Samples late = Samples(heard).subspan(48000 * 10);
    EXPECT_NEAR(crossings_hertz(late), 500 * speed, 1) << speed;
    EXPECT_NEAR(rms(late), 7071, 60) << speed;
    // A sine of 500 Hz moves by 654 from sample to sample: nothing was torn.
    EXPECT_LT(loudest_step(late), 700) << speed;
  }
}

TEST(AudioQueue, TooSlowAWriterMakesGapsWithoutClicks) {
  AudioQueue queue(48000);
  const auto heard = listen(queue, 0.5, 10);
  const double level = rms(Samples(heard).subspan(48000));
  EXPECT_GT(level, 2000);
  EXPECT_LT(level, 7000);
  EXPECT_LT(loudest_step(Samples(heard).subspan(48000)), 900);
}

TEST(AudioQueue, TooFastAWriterIsCutShort) {
  AudioQueue queue(48000);
  const auto heard = listen(queue, 10, 10);
  EXPECT_NEAR(rms(Samples(heard).subspan(48000)), 7071, 300);
  // One block of far too much does not wrap around.
  queue.push(std::vector<StereoSample>(1'000'000, StereoSample{7, 7}));
  std::vector<StereoSample> out(480);
  for (int i = 0; i < 4; ++i) queue.pull(out);
  EXPECT_EQ(out.back().left, 7);
}

TEST(AudioQueue, FadesWhenTheSoundEnds) {
  AudioQueue queue(48000);
  queue.push(std::vector<StereoSample>(4000, StereoSample{20'000, -20'000}));
  std::vector<StereoSample> all(9600);
  queue.pull(all);
  EXPECT_LT(loudest_step(all), 700);
  EXPECT_LT(std::abs(all.back().left), 40);
}

TEST(AudioQueue, TwoThreads) {
  AudioQueue queue(48000);
  std::thread writer([&] {
    for (int i = 0; i < 2000; ++i) {
      queue.push(std::vector<StereoSample>(480, StereoSample{1234, 1234}));
      std::this_thread::yield();
    }
  });
  std::vector<StereoSample> out(512);
  for (int i = 0; i < 2000; ++i) {
    queue.pull(out);
    for (const StereoSample& s : out) ASSERT_TRUE(s.left >= 0 && s.left <= 1234);
  }
  writer.join();
}

}  // namespace
}  // namespace dragoman
