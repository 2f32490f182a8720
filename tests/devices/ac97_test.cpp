// The AC '97 function as a driver sees it: codec, descriptor lists, positions, interrupts.
#include <gtest/gtest.h>

#include "devices/sound/i82801aa_audio.h"
#include "tests/devices/pci_test_bench.h"
#include "tests/devices/sound_test_helper.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

constexpr u16 kCodec = 0xc000;
constexpr u16 kMaster = 0xc400;
constexpr u16 kIn = kMaster, kOut = kMaster + 0x10, kMic = kMaster + 0x20;
constexpr u32 kList = 0x1000;
constexpr u32 kBuffers = 0x10000;

struct Ac97Test : ::testing::Test, PciTestBench {
  SoundRecorder recorder;
  AudioMixer mixer{scheduler, recorder};
  IrqRecorder wires;
  I82801aaAudio card{"ac97", spaces, scheduler, &mixer};

  Ac97Test() {
    memory.add_memory("ram", PhysicalAddress(0), 4 * kMiB, pool->ram(), true, true,
                      MemoryMap::kPriorityRam);
    card.connect_intx(IrqLine(wires, 0));
    card.reset();
    card.config_write(0x10, 4, kCodec);
    card.config_write(0x14, 4, kMaster);
    card.config_write(0x04, 2, 5);
    out(kMaster + 0x2c, 4, 2);
    out(kCodec + 0x02, 2, 0x0000);  // master and PCM at 0 dB
    out(kCodec + 0x18, 2, 0x0808);
  }
  u32 in(unsigned port, unsigned size) { return ports.read(Port(static_cast<u16>(port)), size); }
  void out(unsigned port, unsigned size, u32 value) {
    ports.write(Port(static_cast<u16>(port)), size, value);
  }
  void run_for(u64 ns) { run_until(clock.now + ns); }
  void put32(u32 address, u32 value) {
    for (unsigned i = 0; i < 4; ++i) pool->ram()[address + i] = static_cast<u8>(value >> (8 * i));
  }
  void descriptor(unsigned index, u32 address, u32 samples, bool interrupt) {
    put32(kList + 8 * index, address);
    put32(kList + 8 * index + 4, samples | (interrupt ? 0x80000000 : 0));
  }
  void sine(u32 address, u32 frames, unsigned left_period, unsigned right_period) {
    for (u32 i = 0; i < frames; ++i) {
      const auto value = [&](unsigned period) {
        return static_cast<u16>(std::lround(20'000 * std::sin(2 * std::numbers::pi * i / period)));
      };
      put32(address + 4 * i, value(left_period) | u32{value(right_period)} << 16);
    }
  }
  /// Playback of `count` buffers of 4800 frames (a tenth of a second).
  void play(unsigned count, u8 control = 0x1d) {
    for (unsigned i = 0; i < count; ++i) {
      sine(kBuffers + i * 19'200, 4800, 48, 96);
      descriptor(i, kBuffers + i * 19'200, 9600, true);
    }
    out(kOut + 0x0b, 1, 2);
    out(kOut + 0x00, 4, kList);
    out(kOut + 0x05, 1, count - 1);
    out(kOut + 0x0b, 1, control);
  }
  Samples last(double seconds) {
    const std::size_t count = static_cast<std::size_t>(seconds * 48000);
    return Samples(recorder.samples).last(std::min(count, recorder.samples.size()));
  }
};

TEST_F(Ac97Test, StateListsAreComplete) {
  check_state_list<I82801aaAudioState>();
  check_state_list<Ac97CodecState>();
}

TEST_F(Ac97Test, IsAnIchAudioFunction) {
  EXPECT_EQ(card.config_read(0x00, 4), 0x24158086u);
  EXPECT_EQ(card.config_read(0x08, 4) >> 8, 0x040100u);
  EXPECT_EQ(card.config_read(0x3d, 1), 1u);
  card.config_write(0x10, 4, 0xffffffff);
  EXPECT_EQ(card.config_read(0x10, 4) & 0xffff, 0xff01u);
  card.config_write(0x14, 4, 0xffffffff);
  EXPECT_EQ(card.config_read(0x14, 4) & 0xffff, 0xffc1u);
}

TEST_F(Ac97Test, TheCodecIsReadyAfterAColdReset) {
  EXPECT_EQ(in(kMaster + 0x30, 4), 0x100u);
  out(kMaster + 0x2c, 4, 0);
  EXPECT_EQ(in(kMaster + 0x30, 4), 0u);
  EXPECT_EQ(in(kCodec + 0x02, 2), 0xffffu);
  out(kMaster + 0x2c, 4, 2);
  EXPECT_EQ(in(kCodec + 0x02, 2), 0x8000u);
  EXPECT_EQ(in(kCodec + 0x18, 2), 0x8808u);
  EXPECT_EQ(in(kCodec + 0x26, 2), 0x000fu);
  EXPECT_EQ(in(kCodec + 0x7c, 2), 0x8384u);
  EXPECT_EQ(in(kCodec + 0x7e, 2), 0x7600u);
  out(kMaster + 0x2c, 4, 6);  // warm reset ends by itself
  EXPECT_EQ(in(kMaster + 0x2c, 4), 2u);
}

TEST_F(Ac97Test, TheSemaphoreIsTakenByReading) {
  EXPECT_EQ(in(kMaster + 0x34, 1), 0u);
  EXPECT_EQ(in(kMaster + 0x34, 1), 1u);
  (void)in(kCodec + 0x02, 2);
  EXPECT_EQ(in(kMaster + 0x34, 1), 0u);
}

TEST_F(Ac97Test, CodecRegistersKeepTheirBits) {
  out(kCodec + 0x18, 2, 0xffff);
  EXPECT_EQ(in(kCodec + 0x18, 2), 0x9f1fu);
  out(kCodec + 0x02, 2, 0x2020);  // a sixth bit of the level means the most there is
  EXPECT_EQ(in(kCodec + 0x02, 2), 0x1f1fu);
  out(kCodec + 0x7c, 2, 0x1234);
  EXPECT_EQ(in(kCodec + 0x7c, 2), 0x8384u);
  out(kCodec + 0x26, 2, 0x0100);
  EXPECT_EQ(in(kCodec + 0x26, 2), 0x010eu);
  out(kCodec + 0x2c, 2, 44100);  // without VRA fixed
  EXPECT_EQ(in(kCodec + 0x2c, 2), 48000u);
  EXPECT_EQ(in(kCodec + 0x28, 2) & 1, 1u);
  out(kCodec + 0x2a, 2, 1);
  out(kCodec + 0x2c, 2, 44100);
  EXPECT_EQ(in(kCodec + 0x2c, 2), 44100u);
  out(kCodec + 0x2c, 2, 100);
  EXPECT_EQ(in(kCodec + 0x2c, 2), 8000u);
  out(kCodec + 0x2a, 2, 0);
  EXPECT_EQ(in(kCodec + 0x2c, 2), 48000u);
  out(kCodec + 0x00, 2, 0);
  EXPECT_EQ(in(kCodec + 0x26, 2), 0x000fu);
}

TEST_F(Ac97Test, PlaysAListOfBuffers) {
  play(4);
  EXPECT_EQ(in(kOut + 0x06, 2) & 1, 0u);
  run_for(50'000'000);
  EXPECT_EQ(in(kOut + 0x04, 1), 0u);
  EXPECT_EQ(in(kOut + 0x0a, 1), 1u);
  EXPECT_EQ(in(kOut + 0x08, 2), 4800u);
  EXPECT_FALSE(wires.levels[0]);
  run_for(50'000'000);
  EXPECT_TRUE(wires.levels[0]);
  EXPECT_EQ(in(kOut + 0x06, 2), 0x08u);
  EXPECT_EQ(in(kMaster + 0x30, 4), 0x140u);
  EXPECT_EQ(in(kOut + 0x04, 1), 1u);
  out(kOut + 0x06, 2, 0x08);
  EXPECT_FALSE(wires.levels[0]);
  run_for(200'000'000);
  EXPECT_NEAR(amplitude_at(last(0.2), 1000), 20'000, 100);
  EXPECT_NEAR(amplitude_at(last(0.2), 500, 48000, true), 20'000, 100);
  EXPECT_LT(amplitude_at(last(0.2), 500), 20);
  run_for(101'000'000);
  EXPECT_EQ(in(kOut + 0x06, 2), 0x0fu);  // done, last done, at last, halted
  EXPECT_EQ(in(kOut + 0x04, 1), 3u);
  out(kOut + 0x06, 2, 0x1e);
  EXPECT_EQ(in(kOut + 0x06, 2), 0x03u);
  run_for(2'000'000'000);
  EXPECT_EQ(scheduler.next_deadline(), Scheduler::kNever);
}

TEST_F(Ac97Test, ANewLastIndexGoesOn) {
  play(4);
  out(kOut + 0x05, 1, 1);
  run_for(300'000'000);
  EXPECT_EQ(in(kOut + 0x06, 2) & 3, 3u);
  EXPECT_EQ(in(kOut + 0x04, 1), 1u);
  out(kOut + 0x05, 1, 3);
  EXPECT_EQ(in(kOut + 0x06, 2) & 3, 0u);
  EXPECT_EQ(in(kOut + 0x04, 1), 2u);
  run_for(150'000'000);
  EXPECT_EQ(in(kOut + 0x04, 1), 3u);
  EXPECT_EQ(in(kOut + 0x08, 2), 4800u);
}

TEST_F(Ac97Test, ARingNeverEndsWhileTheLastIndexMovesOn) {
  for (unsigned i = 0; i < 32; ++i) {
    descriptor(i, kBuffers + (i % 4) * 4800, 2400, true);  // 25 ms
    sine(kBuffers + (i % 4) * 4800, 1200, 48, 48);
  }
  out(kOut + 0x00, 4, kList);
  out(kOut + 0x05, 1, 31);
  out(kOut + 0x0b, 1, 0x1d);
  int interrupts = 0;
  for (int i = 0; i < 4000; ++i) {
    run_for(1'000'000);
    if (!wires.levels[0]) continue;
    ++interrupts;
    out(kOut + 0x06, 2, 0x1c);
    out(kOut + 0x05, 1, in(kOut + 0x04, 1) + 31);
  }
  EXPECT_NEAR(interrupts, 160, 1);
  EXPECT_EQ(in(kOut + 0x06, 2) & 1, 0u);
  EXPECT_NEAR(amplitude_at(last(2), 1000), 20'000, 100);
}

TEST_F(Ac97Test, PauseKeepsThePlace) {
  play(2);
  run_for(30'000'000);
  out(kOut + 0x0b, 1, 0x1c);
  EXPECT_EQ(in(kOut + 0x06, 2) & 1, 1u);
  const u32 left = in(kOut + 0x08, 2);
  EXPECT_EQ(left, 9600u - 2880);
  run_for(500'000'000);
  EXPECT_EQ(in(kOut + 0x08, 2), left);
  out(kOut + 0x0b, 1, 0x1d);
  EXPECT_EQ(in(kOut + 0x04, 1), 0u);
  run_for(69'000'000);
  EXPECT_EQ(in(kOut + 0x04, 1), 0u);
  run_for(2'000'000);
  EXPECT_EQ(in(kOut + 0x04, 1), 1u);
}

TEST_F(Ac97Test, ResetOfAMasterKeepsItsInterruptEnables) {
  play(2);
  run_for(150'000'000);
  out(kOut + 0x0b, 1, 0x1c);
  out(kOut + 0x0b, 1, 0x1e);
  EXPECT_EQ(in(kOut + 0x0b, 1), 0x1cu);
  EXPECT_EQ(in(kOut + 0x04, 4), 0x00010000u);
  EXPECT_EQ(in(kOut + 0x00, 4), 0u);
  EXPECT_FALSE(wires.levels[0]);
}

TEST_F(Ac97Test, VolumesAndVariableRate) {
  out(kCodec + 0x2a, 2, 1);
  out(kCodec + 0x2c, 2, 24000);
  out(kCodec + 0x02, 2, 0x0408);  // -6 and -12 dB
  play(4);
  run_for(400'000'000);
  EXPECT_NEAR(amplitude_at(last(0.3), 500), 20'000 / 1.995, 150);
  EXPECT_NEAR(amplitude_at(last(0.3), 250, 48000, true), 20'000 / 3.98, 100);
  out(kCodec + 0x02, 2, 0x8000);
  run_for(100'000'000);
  EXPECT_LT(rms(last(0.05)), 1);
}

TEST_F(Ac97Test, RecordsSilence) {
  std::fill_n(pool->ram() + kBuffers, 0x4000, u8{0x55});
  descriptor(0, kBuffers, 4800, true);
  out(kIn + 0x00, 4, kList);
  out(kIn + 0x0b, 1, 0x1d);
  out(kMic + 0x00, 4, kList);
  out(kMic + 0x0b, 1, 0x11);
  run_for(51'000'000);
  EXPECT_EQ(in(kMaster + 0x30, 4), 0x120u);  // the microphone has one sample a frame
  EXPECT_EQ(pool->ram()[kBuffers], 0);
  EXPECT_EQ(pool->ram()[kBuffers + 9599], 0);
  EXPECT_EQ(pool->ram()[kBuffers + 9600], 0x55);
  run_for(50'000'000);
  EXPECT_EQ(in(kMaster + 0x30, 4), 0x1a0u);
}

TEST_F(Ac97Test, EmptyBuffersAndOddOnesEnd) {
  for (unsigned i = 0; i < 32; ++i) descriptor(i, kBuffers, i % 5, true);
  put32(kList + 4, 0);
  out(kOut + 0x00, 4, kList);
  out(kOut + 0x05, 1, 31);
  out(kOut + 0x0b, 1, 0x1d);
  run_for(100'000'000);
  EXPECT_EQ(in(kOut + 0x06, 2) & 3, 3u);
  for (unsigned i = 0; i < 32; ++i) descriptor(i, kBuffers, 0, true);
  out(kOut + 0x0b, 1, 0);
  out(kOut + 0x0b, 1, 2);
  out(kOut + 0x00, 4, kList);
  out(kOut + 0x05, 1, 31);
  out(kOut + 0x0b, 1, 0x1d);
  for (int i = 0; i < 1000; ++i) {
    run_for(100'000);
    out(kOut + 0x05, 1, static_cast<u32>(i));
  }
}

TEST_F(Ac97Test, DescriptorsMayPointAnywhere) {
  for (const u32 address : {0xfffffff0u, 0xfee00000u, 0x00000000u, 0x80000000u}) {
    descriptor(0, address, 0xffff, true);
    out(kOut + 0x0b, 1, 0);
    out(kOut + 0x0b, 1, 2);
    out(kOut + 0x00, 4, kList);
    out(kOut + 0x05, 1, 0);
    out(kOut + 0x0b, 1, 1);
    run_for(50'000'000);
    out(kOut + 0x00, 4, 0xfffffff8);
    run_for(50'000'000);
  }
}

TEST_F(Ac97Test, WithoutBusMasteringNothingMoves) {
  card.config_write(0x04, 2, 1);
  play(2);
  run_for(500'000'000);
  EXPECT_EQ(in(kOut + 0x04, 1), 0u);
  EXPECT_FALSE(wires.levels[0]);
}

TEST_F(Ac97Test, DamagedStatesAreBroughtIntoRange) {
  for (u32 seed = 1; seed < 20; ++seed) {
    std::vector<u8> bytes;
    card.save(bytes);
    u32 x = seed * 2654435761u;
    for (std::size_t i = 256; i < bytes.size(); ++i) {
      x = x * 1664525u + 1013904223u;
      bytes[i] = seed == 1 ? 0xff : static_cast<u8>(x >> 24);
    }
    std::span<const u8> input(bytes);
    ASSERT_TRUE(card.load(input).ok());
    run_for(20'000'000);
    (void)in(kOut + 0x04, 4);
    out(kOut + 0x0b, 1, 1);
    run_for(20'000'000);
  }
}

}  // namespace
}  // namespace dragoman
