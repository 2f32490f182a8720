// The Sound Blaster 16 as drivers and games see it.
#include "devices/sound/sb16.h"

#include <gtest/gtest.h>

#include "tests/devices/isa_test_bench.h"
#include "tests/devices/sound_test_helper.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

constexpr u32 kBuffer = 0x20000;

struct Sb16Test : ::testing::Test, IsaTestBench {
  std::unique_ptr<GuestMemory> memory = GuestMemory::create(1 * kMiB).take();
  MemoryMap map{*memory, log};
  I8237Pair dma{log, ports, map};
  SoundRecorder recorder;
  AudioMixer mixer{scheduler, recorder};
  Ymf262 opl{"ymf262", scheduler, &mixer};
  Sb16 card{"sb16",
            scheduler,
            log,
            dma,
            {IrqLine(wires, 9), IrqLine(wires, 5), IrqLine(wires, 7), IrqLine(wires, 10)},
            Sb16Jumpers{},
            opl,
            &mixer};

  Sb16Test() {
    map.add_memory("ram", PhysicalAddress(0), 1 * kMiB, memory->ram(), true, true, 0);
    ports.add("sb16", Port(0x224), Sb16::kPortCount, card);
    out(0xd6, 0xc0);
    out(0xd4, 0x00);
    set_mixer(0x30, 0xf8);  // all at 0 dB, so that levels are easy to name
    set_mixer(0x31, 0xf8);
    set_mixer(0x32, 0xf8);
    set_mixer(0x33, 0xf8);
  }
  void dsp(std::initializer_list<u8> bytes) {
    for (const u8 byte : bytes) {
      ASSERT_EQ(in(0x22c) & 0x80, 0);
      out(0x22c, byte);
    }
  }
  bool available() { return (in(0x22e) & 0x80) != 0; }
  u8 read() {
    EXPECT_TRUE(available());
    return in(0x22a);
  }
  u8 get_mixer(u8 index) {
    out(0x224, index);
    return in(0x225);
  }
  void set_mixer(u8 index, u8 value) {
    out(0x224, index);
    out(0x225, value);
  }
  /// Channel 1 (bytes) or 5 (words); `mode` 48h memory to card, 58h the same again and again.
  void program_dma(unsigned channel, u8 mode, u32 bytes, u32 address = kBuffer) {
    const bool words = channel >= 4;
    const u16 shift = words ? 1 : 0;
    const u16 base = words ? 0xc0 : 0;
    const u32 at = words ? address >> 1 : address;
    const u32 count = (words ? bytes / 2 : bytes) - 1;
    const auto reg = [&](unsigned n) { return static_cast<u16>(base + (n << shift)); };
    out(reg(10), static_cast<u8>(4 | (channel & 3)));
    out(reg(12), 0);
    out(reg((channel & 3) * 2), static_cast<u8>(at));
    out(reg((channel & 3) * 2), static_cast<u8>(at >> 8));
    out(reg((channel & 3) * 2 + 1), static_cast<u8>(count));
    out(reg((channel & 3) * 2 + 1), static_cast<u8>(count >> 8));
    out(words ? 0x8b : 0x83, static_cast<u8>(address >> 16));
    out(reg(11), static_cast<u8>(mode | (channel & 3)));
    out(reg(10), static_cast<u8>(channel & 3));
  }
  u16 dma_count(unsigned channel) {
    const u16 base = channel >= 4 ? 0xc0 : 0;
    const u16 shift = channel >= 4 ? 1 : 0;
    out(static_cast<u16>(base + (12 << shift)), 0);
    const u16 port = static_cast<u16>(base + (((channel & 3) * 2 + 1) << shift));
    const u8 low = in(port);
    return static_cast<u16>(low | in(port) << 8);
  }
  void put_sine8(u32 bytes, unsigned period, bool is_signed = false, unsigned stride = 1,
                 unsigned first = 0) {
    for (u32 i = 0; i * stride + first < bytes; ++i) {
      const double v = 100 * std::sin(2 * std::numbers::pi * i / period);
      memory->ram()[kBuffer + i * stride + first] =
          static_cast<u8>(std::lround(v) + (is_signed ? 0 : 128));
    }
  }
  void put_sine16(u32 words, unsigned period, unsigned stride = 1, unsigned first = 0) {
    for (u32 i = 0; i * stride + first < words; ++i) {
      const u16 v =
          static_cast<u16>(std::lround(20'000 * std::sin(2 * std::numbers::pi * i / period)));
      memory->ram()[kBuffer + (i * stride + first) * 2] = static_cast<u8>(v);
      memory->ram()[kBuffer + (i * stride + first) * 2 + 1] = static_cast<u8>(v >> 8);
    }
  }
  Samples last(double seconds) {
    const std::size_t count = static_cast<std::size_t>(seconds * 48000);
    return Samples(recorder.samples).last(std::min(count, recorder.samples.size()));
  }
};

TEST_F(Sb16Test, StateListsAreComplete) {
  check_state_list<Sb16State>();
  check_state_list<Ct1745State>();
  check_state_list<CreativeAdpcm>();
}

TEST_F(Sb16Test, ResetAnswersAfterAWhile) {
  EXPECT_FALSE(available());
  out(0x226, 1);
  EXPECT_NE(in(0x22c) & 0x80, 0);
  run_for(3'000);
  out(0x226, 0);
  EXPECT_FALSE(available());
  EXPECT_NE(in(0x22c) & 0x80, 0);
  run_for(100'000);
  EXPECT_TRUE(available());
  EXPECT_EQ(in(0x22a), 0xaa);
  EXPECT_FALSE(available());
  EXPECT_EQ(in(0x22a), 0xaa);  // the last byte stays
  out(0x226, 0);               // without the 1 before it is no reset
  run_for(200'000);
  EXPECT_FALSE(available());
}

TEST_F(Sb16Test, SaysWhoItIs) {
  dsp({0xe1});
  EXPECT_EQ(read(), 4);
  EXPECT_EQ(read(), 5);
  dsp({0xe0, 0x5a});
  EXPECT_EQ(read(), 0xa5);
  dsp({0xe4, 0x77, 0xe8});
  EXPECT_EQ(read(), 0x77);
  dsp({0xe3});
  std::string text;
  while (available()) text += static_cast<char>(in(0x22a));
  EXPECT_EQ(text, std::string("COPYRIGHT (C) CREATIVE TECHNOLOGY LTD, 1992.\0", 45));
  dsp({0xd8});
  EXPECT_EQ(read(), 0x00);
  dsp({0xd1, 0xd8});
  EXPECT_EQ(read(), 0xff);
  dsp({0xd3, 0xd8});
  EXPECT_EQ(read(), 0x00);
}

TEST_F(Sb16Test, IdentifiesItselfByDma) {
  program_dma(1, 0x44, 2);
  memory->ram()[kBuffer] = memory->ram()[kBuffer + 1] = 0;
  dsp({0xe2, 0xbf});
  EXPECT_EQ(memory->ram()[kBuffer], static_cast<u8>(0xaa + (0xbf ^ 0x96)));
  dsp({0xe2, 0x01});
  EXPECT_EQ(memory->ram()[kBuffer + 1], static_cast<u8>(0xaa + (0xbf ^ 0x96) + (0x01 ^ 0xa5)));
}

TEST_F(Sb16Test, InterruptsByCommandAndTheirAcknowledge) {
  dsp({0xf2});
  EXPECT_TRUE(wires.level[5]);
  EXPECT_EQ(get_mixer(0x82), 1);
  dsp({0xf3});
  EXPECT_EQ(get_mixer(0x82), 3);
  EXPECT_EQ(wires.rises[5], 1);
  (void)in(0x22e);
  EXPECT_EQ(get_mixer(0x82), 2);
  EXPECT_TRUE(wires.level[5]);
  (void)in(0x22f);
  EXPECT_EQ(get_mixer(0x82), 0);
  EXPECT_FALSE(wires.level[5]);
}

TEST_F(Sb16Test, SoftwareMovesItsLines) {
  EXPECT_EQ(get_mixer(0x80), 0xf2);
  EXPECT_EQ(get_mixer(0x81), 0x22);
  set_mixer(0x80, 0x04);
  EXPECT_EQ(get_mixer(0x80), 0xf4);
  dsp({0xf2});
  EXPECT_TRUE(wires.level[7]);
  EXPECT_FALSE(wires.level[5]);
  set_mixer(0x80, 0x08);
  EXPECT_FALSE(wires.level[7]);
  EXPECT_TRUE(wires.level[10]);
  (void)in(0x22e);
  set_mixer(0x81, 0x08);  // channel 3 for everything
  put_sine16(2000, 20);
  program_dma(3, 0x48, 4000);
  out(0x82, 0x02);
  dsp({0x41, 0x3e, 0x80, 0xb0, 0x10, 0xcf, 0x07});  // 16000 Hz, 2000 words
  run_for(130'000'000);
  EXPECT_EQ(get_mixer(0x82), 2);
  EXPECT_NEAR(amplitude_at(last(0.08), 800), 20'000, 400);
}

TEST_F(Sb16Test, MixerLevelsMirrorThoseOfTheSoundBlasterPro) {
  set_mixer(0x00, 0);
  EXPECT_EQ(get_mixer(0x30), 0xc0);
  EXPECT_EQ(get_mixer(0x22), 0xcc);
  EXPECT_EQ(get_mixer(0x80), 0xf2);  // a mixer reset leaves the lines alone
  set_mixer(0x04, 0xf3);
  EXPECT_EQ(get_mixer(0x32), 0xf8);
  EXPECT_EQ(get_mixer(0x33), 0x38);
  set_mixer(0x34, 0x88);
  set_mixer(0x35, 0x48);
  EXPECT_EQ(get_mixer(0x26), 0x84);
  set_mixer(0x3c, 0xff);
  EXPECT_EQ(get_mixer(0x3c), 0x1f);
}

TEST_F(Sb16Test, SingleCycleOutputWithATimeConstant) {
  put_sine8(4000, 16);
  program_dma(1, 0x48, 4000);
  dsp({0x40, 131, 0xd1, 0x14, 0x9f, 0x0f});  // 8000 Hz, 4000 bytes
  run_for(499'900'000);
  EXPECT_FALSE(wires.level[5]);
  run_for(200'000);
  EXPECT_TRUE(wires.level[5]);
  EXPECT_EQ(get_mixer(0x82), 1);
  EXPECT_NEAR(amplitude_at(last(0.4), 500), 100 * 256, 500);
  EXPECT_NEAR(crossings_hertz(last(0.4)), 500, 1);
  (void)in(0x22e);
  EXPECT_FALSE(wires.level[5]);
  EXPECT_NE(in(0x08) & 2, 0);  // the DMA controller counted out with it
  run_for(3'000'000'000);
  EXPECT_EQ(wires.rises[5], 1);
  EXPECT_EQ(scheduler.next_deadline(), Scheduler::kNever);
}

TEST_F(Sb16Test, AutoInitializedOutputGoesRoundUntilItIsEnded) {
  put_sine8(2048, 32);
  program_dma(1, 0x58, 2048);
  dsp({0x41, 0x56, 0x22, 0x48, 0xff, 0x03, 0x1c});  // 22050 Hz, blocks of 1024
  for (int i = 1; i <= 8; ++i) {
    run_for(46'440'000);
    EXPECT_EQ(wires.rises[5], i);
    (void)in(0x22e);
  }
  EXPECT_NEAR(crossings_hertz(last(0.3)), 22050 / 32.0, 1);
  dsp({0xda});
  run_for(500'000'000);
  EXPECT_EQ(wires.rises[5], 9);  // the block under way
}

TEST_F(Sb16Test, TheDmaCountMovesWithTheSound) {
  put_sine8(8000, 16);
  program_dma(1, 0x48, 8000);
  dsp({0x40, 131, 0x14, 0x3f, 0x1f});
  for (int ms = 100; ms < 1000; ms += 100) {
    run_for(100'000'000);
    EXPECT_NEAR(7999 - dma_count(1), ms * 8, 9) << ms;
  }
}

TEST_F(Sb16Test, PauseAndContinue) {
  put_sine8(8000, 16);
  program_dma(1, 0x48, 8000);
  dsp({0x40, 131, 0x14, 0x3f, 0x1f});
  run_for(500'000'000);
  dsp({0xd0});
  const u16 held = dma_count(1);
  run_for(1'000'000'000);
  EXPECT_EQ(dma_count(1), held);
  EXPECT_FALSE(wires.level[5]);
  dsp({0xd4});
  run_for(499'000'000);
  EXPECT_FALSE(wires.level[5]);
  run_for(2'000'000);
  EXPECT_TRUE(wires.level[5]);
}

TEST_F(Sb16Test, SixteenBitStereo) {
  put_sine16(16'000, 40, 2, 0);
  put_sine16(16'000, 80, 2, 1);
  program_dma(5, 0x58, 32'000);
  dsp({0x41, 0x7d, 0x00, 0xb6, 0x30, 0x3f, 0x1f});  // 32000 Hz, auto-init, signed, 8000 words
  run_for(100'000'000);
  EXPECT_EQ(wires.rises[5], 0);
  run_for(26'000'000);
  EXPECT_EQ(wires.rises[5], 1);
  EXPECT_EQ(get_mixer(0x82), 2);
  (void)in(0x22e);  // the acknowledge of the bytes is not this one's
  EXPECT_TRUE(wires.level[5]);
  (void)in(0x22f);
  EXPECT_FALSE(wires.level[5]);
  run_for(300'000'000);
  EXPECT_NEAR(amplitude_at(last(0.2), 800), 20'000, 200);
  EXPECT_NEAR(amplitude_at(last(0.2), 400, 48000, true), 20'000, 200);
  EXPECT_LT(amplitude_at(last(0.2), 400), 100);
  dsp({0xd5});
  run_for(300'000'000);
  EXPECT_LT(rms(last(0.05)), 1);
  dsp({0xd6});
  run_for(200'000'000);
  EXPECT_NEAR(amplitude_at(last(0.1), 800), 20'000, 300);
}

TEST_F(Sb16Test, SignedBytesAndUnsignedWordsMeanTheSame) {
  put_sine8(4000, 16, true);
  program_dma(1, 0x48, 4000);
  dsp({0x41, 0x1f, 0x40, 0xc0, 0x10, 0x9f, 0x0f});  // 8000 Hz
  run_for(400'000'000);
  EXPECT_NEAR(amplitude_at(last(0.3), 500), 25'600, 500);
  run_for(2'000'000'000);
  put_sine16(8000, 32);
  for (u32 i = 0; i < 8000; ++i) memory->ram()[kBuffer + 2 * i + 1] ^= 0x80;
  program_dma(5, 0x48, 16'000);
  dsp({0x41, 0x3e, 0x80, 0xb0, 0x00, 0x3f, 0x1f});
  run_for(400'000'000);
  EXPECT_NEAR(amplitude_at(last(0.3), 500), 20'000, 300);
}

TEST_F(Sb16Test, VolumesScaleInStepsOfTwoDecibels) {
  put_sine8(32'000, 16);
  program_dma(1, 0x58, 32'000);
  dsp({0x41, 0x1f, 0x40, 0x48, 0xff, 0x7c, 0x1c});
  run_for(300'000'000);
  EXPECT_NEAR(amplitude_at(last(0.2), 500), 25'600, 400);
  set_mixer(0x30, 28 << 3);  // -6 dB
  set_mixer(0x33, 21 << 3);  // -20 dB
  run_for(300'000'000);
  EXPECT_NEAR(amplitude_at(last(0.2), 500), 25'600 / 1.995, 250);
  EXPECT_NEAR(amplitude_at(last(0.2), 500, 48000, true), 2560, 60);
}

TEST_F(Sb16Test, TransfersInARowJoin) {
  put_sine8(800, 16);
  const int blocks = 20;
  int done = 0;
  program_dma(1, 0x58, 800);
  dsp({0x40, 131, 0x14, 0x1f, 0x03});
  while (done < blocks) {
    run_for(100'000);
    if (!wires.level[5]) continue;
    (void)in(0x22e);
    ++done;
    dsp({0x14, 0x1f, 0x03});
  }
  // The handler came at most 0.1 ms late: no holes of silence in between.
  const Samples sound = last(1.5);
  EXPECT_NEAR(amplitude_at(sound, 500), 25'600, 2500);
  for (std::size_t at = 0; at + 96 < sound.size(); at += 96) {
    ASSERT_GT(rms(sound.subspan(at, 96)), 10'000) << at;
  }
}

TEST_F(Sb16Test, AMaskedChannelHoldsTheTransfer) {
  put_sine8(800, 16);
  program_dma(1, 0x48, 800);
  out(0x0a, 5);
  dsp({0x40, 131, 0x14, 0x1f, 0x03});
  run_for(1'000'000'000);
  EXPECT_FALSE(wires.level[5]);
  out(0x0a, 1);
  run_for(99'000'000);
  EXPECT_FALSE(wires.level[5]);
  run_for(2'000'000);
  EXPECT_TRUE(wires.level[5]);
}

TEST_F(Sb16Test, ResetEndsEverything) {
  program_dma(1, 0x58, 800);
  dsp({0x40, 131, 0x48, 0x1f, 0x03, 0x1c});
  run_for(150'000'000);
  EXPECT_TRUE(wires.level[5]);
  out(0x226, 1);
  out(0x226, 0);
  EXPECT_FALSE(wires.level[5]);
  run_for(500'000'000);
  EXPECT_EQ(wires.rises[5], 1);
  EXPECT_EQ(read(), 0xaa);
  EXPECT_EQ(in(0x08) & 0x20, 0);  // no request any more
}

TEST_F(Sb16Test, DirectOutput) {
  for (int i = 0; i < 4000; ++i) {  // 8 kHz by the processor's hand, 500 Hz
    dsp({0x10, static_cast<u8>(128 + std::lround(100 * std::sin(2 * std::numbers::pi * i / 16)))});
    run_for(125'000);
  }
  EXPECT_NEAR(crossings_hertz(last(0.4)), 500, 2);
  EXPECT_NEAR(amplitude_at(last(0.4), 500), 25'600, 600);
  run_for(5'000'000'000);
  EXPECT_EQ(scheduler.next_deadline(), Scheduler::kNever);
}

TEST_F(Sb16Test, SilenceForATimeThenAnInterrupt) {
  dsp({0x40, 131, 0x80, 0x3f, 0x1f});
  run_for(999'000'000);
  EXPECT_FALSE(wires.level[5]);
  run_for(1'500'000);
  EXPECT_TRUE(wires.level[5]);
}

TEST_F(Sb16Test, RecordsSilence) {
  std::fill_n(memory->ram() + kBuffer, 4000, u8{0x55});
  program_dma(1, 0x44, 1000);
  dsp({0x40, 131, 0x24, 0xe7, 0x03});
  run_for(130'000'000);
  EXPECT_TRUE(wires.level[5]);
  EXPECT_EQ(memory->ram()[kBuffer], 0x80);
  EXPECT_EQ(memory->ram()[kBuffer + 999], 0x80);
  EXPECT_EQ(memory->ram()[kBuffer + 1000], 0x55);
  (void)in(0x22e);
  dsp({0x20});
  EXPECT_EQ(read(), 0x80);
  program_dma(5, 0x44, 1000, kBuffer + 0x800);
  dsp({0x42, 0x1f, 0x40, 0xb8, 0x10, 0xf3, 0x01});
  run_for(65'000'000);
  EXPECT_EQ(get_mixer(0x82), 2);
  EXPECT_EQ(memory->ram()[kBuffer + 0x800], 0x00);
  EXPECT_EQ(memory->ram()[kBuffer + 0x801], 0x00);
}

TEST_F(Sb16Test, PackedSamplesFollowTheSignal) {
  // An encoder that tries every code: what the decoder makes of it must be close to the sine.
  struct Format {
    u8 command;
    AdpcmKind kind;
    unsigned codes;
    double error;
  };
  for (const Format f :
       {Format{0x75, AdpcmKind::kFourBits, 16, 4}, Format{0x77, AdpcmKind::kThreeBits, 8, 12},
        Format{0x17, AdpcmKind::kTwoBits, 4, 20}}) {
    recorder.samples.clear();
    const unsigned period = 80;  // 100 Hz
    const auto wanted = [&](u32 i) {
      return 128 + 50 * std::sin(2 * std::numbers::pi * i / period);
    };
    CreativeAdpcm model{.reference = 128};
    std::vector<u8> bytes{128};
    double error = 0;
    u32 position = 0;
    while (bytes.size() < 1000) {
      const unsigned bits = f.kind == AdpcmKind::kFourBits    ? 4
                            : f.kind == AdpcmKind::kThreeBits ? 3
                                                              : 2;
      u8 byte = 0;
      for (unsigned n = 0; n < CreativeAdpcm::codes_of(f.kind); ++n, ++position) {
        unsigned best = 0;
        double best_error = 1e9;
        const bool short_code = f.kind == AdpcmKind::kThreeBits && n == 2;
        for (unsigned code = 0; code < f.codes; code += short_code ? 2 : 1) {
          CreativeAdpcm trial = model;
          trial.give(static_cast<u8>(code << (8 - bits)), f.kind);
          const double e = std::fabs(trial.take(f.kind) - wanted(position));
          if (e < best_error) {
            best_error = e;
            best = code;
          }
        }
        model.give(static_cast<u8>(best << (8 - bits)), f.kind);
        (void)model.take(f.kind);
        error += best_error;
        byte = static_cast<u8>(short_code ? byte | best >> 1 : byte | best << (8 - bits * (n + 1)));
      }
      bytes.push_back(byte);
    }
    EXPECT_LT(error / position, f.error) << int{f.command};
    std::copy(bytes.begin(), bytes.end(), memory->ram() + kBuffer);
    program_dma(1, 0x48, static_cast<u32>(bytes.size()));
    dsp({0x40, 131, f.command, 0xe7, 0x03});
    run_for(200'000'000);
    EXPECT_NEAR(amplitude_at(last(0.15), 100), 50 * 256, 1500) << int{f.command};
    EXPECT_FALSE(wires.level[5]);
    run_for(u64{position} * 125'000);
    EXPECT_TRUE(wires.level[5]);
    (void)in(0x22e);
    run_for(2'000'000'000);
  }
}

TEST_F(Sb16Test, BytesAndWordsRunSideBySide) {
  put_sine8(4000, 16);
  program_dma(1, 0x48, 4000);
  program_dma(5, 0x44, 4000, 0x30000);  // recording
  dsp({0x40, 131, 0x14, 0x9f, 0x0f, 0xb8, 0x10, 0xcf, 0x07});
  run_for(260'000'000);
  EXPECT_EQ(get_mixer(0x82), 2);
  run_for(250'000'000);
  EXPECT_EQ(get_mixer(0x82), 3);
}

TEST_F(Sb16Test, NothingAGuestWritesHurts) {
  ASSERT_TRUE(log.open("/dev/null").ok());
  u32 x = 12345;
  const auto random = [&] { return static_cast<u8>((x = x * 1664525u + 1013904223u) >> 24); };
  program_dma(1, 0x58, 4096);
  program_dma(5, 0x58, 4096);
  for (int i = 0; i < 20'000; ++i) {
    const u8 kind = random();
    if (kind < 160) {
      out(0x22c, random());
    } else if (kind < 200) {
      set_mixer(random(), random());
    } else if (kind < 210) {
      out(static_cast<u16>(kind < 205 ? 0x0b : 0xd6), random());
    } else if (kind < 212) {
      out(0x226, random() & 1);
    } else {
      (void)in(static_cast<u16>(0x224 + random() % 12));
    }
    run_for(u64{random()} * 2000);
  }
}

TEST_F(Sb16Test, DamagedStatesAreBroughtIntoRange) {
  for (u32 seed = 1; seed < 20; ++seed) {
    std::vector<u8> bytes(field_bytes<Sb16State>());
    u32 x = seed * 2654435761u;
    for (u8& byte : bytes) {
      x = x * 1664525u + 1013904223u;
      byte = seed == 1 ? 0xff : static_cast<u8>(x >> 24);
    }
    std::span<const u8> input(bytes);
    ASSERT_TRUE(card.load(input).ok());
    run_for(5'000'000);
    for (u16 port = 0x224; port < 0x230; ++port) (void)in(port);
    out(0x22c, 0x14);
    run_for(5'000'000);
  }
}

TEST_F(Sb16Test, GoesOnAfterLoading) {
  put_sine8(8000, 16);
  program_dma(1, 0x48, 8000);
  dsp({0x40, 131, 0x14, 0x3f, 0x1f});
  run_for(300'000'000);
  std::vector<u8> saved;
  card.save(saved);
  card.reset();
  std::span<const u8> input(saved);
  ASSERT_TRUE(card.load(input).ok());
  EXPECT_EQ(card.state().transfers[0].left, 8000u - 2400);
  run_for(200'000'000);
  EXPECT_NEAR(amplitude_at(last(0.05), 500), 25'600, 800);
}

}  // namespace
}  // namespace dragoman
