// A guest of ours (roms/soundcheck.asm) plays on every sound device: what the recording holds, and
// that a run with counted time repeats it bit for bit.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/devices/sound_test_helper.h"
#include "tests/frontends/process.h"

namespace dragoman {
namespace {

struct Recording {
  std::string bytes;  ///< of the file
  std::string serial;
  std::string state;
  std::vector<StereoSample> samples;
};

Recording record(std::vector<std::string> arguments) {
  const TemporaryDirectory directory;
  Recording recording;
  arguments.insert(
      arguments.end(),
      {"-drive", "format=raw,readonly=on,file=" DRAGOMAN_BINARY_DIR "/roms/soundcheck.img",
       "-audiodev", "wav,id=a0,path=" + directory.file("x.wav"), "-icount", "shift=3", "-display",
       "none", "-m", "32", "-serial", "file:" + directory.file("serial"), "-device",
       "isa-debug-exit", "-state-hash"});
  const Finished run = run_dragoman(arguments);
  EXPECT_EQ(run.code, 33) << run.err;
  recording.bytes = read_file(directory.file("x.wav"));
  recording.serial = read_file(directory.file("serial"));
  recording.state = run.err;
  if (recording.bytes.size() > 44) {
    recording.samples.resize((recording.bytes.size() - 44) / sizeof(StereoSample));
    std::memcpy(recording.samples.data(), recording.bytes.data() + 44,
                recording.samples.size() * sizeof(StereoSample));
  }
  return recording;
}

/// The loudest of `hertz` in each 20 ms, 0 for silence; repetitions and single doubtful windows at
/// the borders of notes left out.
std::vector<int> melody(Samples samples, std::vector<int> hertz, bool right = false) {
  std::vector<int> found;
  int last = -1, before = -1;
  constexpr std::size_t kWindow = 960;
  for (std::size_t at = 0; at + kWindow <= samples.size(); at += kWindow) {
    const Samples window = samples.subspan(at, kWindow);
    int best = 0;
    double level = 300;
    for (const int candidate : hertz) {
      const double here = amplitude_at(window, candidate, 48000, right);
      if (here > level) {
        level = here;
        best = candidate;
      }
    }
    if (best == before && best != last) {
      found.push_back(best);
      last = best;
    }
    before = best;
  }
  while (!found.empty() && found.back() == 0) found.pop_back();
  return found;
}

TEST(SoundGuest, PlaysItsTunesOnEveryDevice) {
  const std::vector<std::string> cards = {"-machine", "pcspk-audiodev=a0",
                                          "-device",  "sb16,audiodev=a0",
                                          "-device",  "AC97,audiodev=a0"};
  const Recording first = record(cards);
  for (const char* line :
       {"PC speaker", "OPL3", "Sound Blaster, DSP 4.05, interrupts come", "AC '97", "done"}) {
    EXPECT_NE(first.serial.find(line), std::string::npos) << line << " in " << first.serial;
  }
  EXPECT_EQ(first.serial.find("does not end"), std::string::npos);
  const std::vector<int> notes = {262, 330, 392, 440, 500, 660, 880, 1000, 2000, 3000};
  EXPECT_EQ(melody(first.samples, notes), (std::vector<int>{440, 0, 660, 0, 880, 0, 262, 0, 330, 0,
                                                            392, 0, 500, 0, 1000, 0, 3000}));
  const std::vector<int> right = melody(first.samples, notes, true);
  EXPECT_EQ(right.size(), 17u);
  if (right.size() == 17) {
    EXPECT_EQ(right[14], 2000);
  }

  const Recording second = record(cards);
  EXPECT_EQ(second.bytes, first.bytes);
  EXPECT_EQ(second.state, first.state);
}

TEST(SoundGuest, PitchIsExact) {
  const Recording recording = record({});
  // The first note is the speaker's: 1193182 / 2712 Hz, for a third of a second.
  ASSERT_GT(recording.samples.size(), 14'000u);
  EXPECT_NEAR(crossings_hertz(Samples(recording.samples).subspan(1000, 12'000)), 439.96, 1.5);
  EXPECT_EQ(recording.serial.find("OPL"), std::string::npos);
  EXPECT_EQ(recording.serial.find("Blaster"), std::string::npos);
}

TEST(SoundGuest, AnAdlibAloneIsAnAdlib) {
  const Recording recording = record({"-device", "adlib"});
  EXPECT_NE(recording.serial.find("OPL3"), std::string::npos);
  EXPECT_EQ(recording.serial.find("Blaster"), std::string::npos);
  EXPECT_EQ(melody(recording.samples, {262, 330, 392, 440, 660, 880}),
            (std::vector<int>{440, 0, 660, 0, 880, 0, 262, 0, 330, 0, 392}));
}

}  // namespace
}  // namespace dragoman
