// The MPU-401 of the Sound Blaster 16 as games and drivers use it, and what is recorded of it.
#include "devices/sound/mpu401.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "devices/sound/midi_file.h"
#include "devices/sound/sb16.h"
#include "tests/devices/isa_test_bench.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

constexpr u64 kMs = 1'000'000;

struct Wire final : MidiOutput {
  void send(u8 byte, u64) override { bytes.push_back(byte); }
  std::vector<u8> bytes;
};

struct Mpu401Test : ::testing::Test, IsaTestBench {
  std::unique_ptr<GuestMemory> memory = GuestMemory::create(1 * kMiB).take();
  MemoryMap map{*memory, log};
  I8237Pair dma{log, ports, map};
  Ymf262 opl{"ymf262", scheduler, nullptr};
  Wire wire;
  Sb16 card{"sb16",
            scheduler,
            log,
            dma,
            {IrqLine(wires, 9), IrqLine(wires, 5), IrqLine(wires, 7), IrqLine(wires, 10)},
            Sb16Jumpers{},
            opl,
            nullptr,
            &wire};
  Mpu401 mpu{"mpu401", scheduler, log, IrqLine(card, 0), &wire};

  Mpu401Test() {
    ports.add("sb16", Port(0x224), Sb16::kPortCount, card);
    ports.add("mpu401", Port(0x330), Mpu401::kPortCount, mpu);
  }
  bool can_write() { return (in(0x331) & 0x40) == 0; }
  bool can_read() { return (in(0x331) & 0x80) == 0; }
  u8 interrupts() {
    out(0x224, 0x82);
    return in(0x225) & 7;
  }
  void enter_uart() {
    out(0x331, 0xff);
    ASSERT_EQ(in(0x330), 0xfe);
    out(0x331, 0x3f);
    ASSERT_EQ(in(0x330), 0xfe);
  }
};

TEST_F(Mpu401Test, ListsItsWholeState) { check_state_list<Mpu401State>(); }

TEST_F(Mpu401Test, IsFoundByAReset) {
  EXPECT_TRUE(can_write());
  EXPECT_FALSE(can_read());
  out(0x331, 0xff);
  EXPECT_TRUE(can_read());
  EXPECT_EQ(in(0x330), 0xfe);
  EXPECT_FALSE(can_read());
}

TEST_F(Mpu401Test, PlaysInUartMode) {
  out(0x330, 0x90);
  EXPECT_TRUE(wire.bytes.empty()) << "data without a mode go nowhere";
  enter_uart();
  for (const u8 byte : {0x90, 60, 100}) {
    EXPECT_TRUE(can_write());
    out(0x330, byte);
  }
  EXPECT_EQ(wire.bytes, (std::vector<u8>{0x90, 60, 100}));
  EXPECT_FALSE(can_read());
}

TEST_F(Mpu401Test, AResetLeadsOutOfUartModeWithoutAnswer) {
  enter_uart();
  out(0x331, 0x3f);
  EXPECT_FALSE(can_read()) << "there are no other commands in UART mode";
  out(0x331, 0xff);
  EXPECT_FALSE(can_read());
  out(0x330, 0x90);
  EXPECT_TRUE(wire.bytes.empty());
  out(0x331, 0xff);
  EXPECT_TRUE(can_read()) << "and now there is one";
}

TEST_F(Mpu401Test, InterruptsByTheLineOfTheCard) {
  out(0x331, 0xff);
  EXPECT_TRUE(wires.level[5]);
  EXPECT_EQ(interrupts(), 4);
  in(0x22e);  // acknowledges bytes of the DSP, not this
  EXPECT_TRUE(wires.level[5]);
  in(0x330);
  EXPECT_FALSE(wires.level[5]);
  EXPECT_EQ(interrupts(), 0);
}

TEST_F(Mpu401Test, ForgetsAtAHardReset) {
  enter_uart();
  out(0x331, 0xff);
  mpu.reset();
  EXPECT_FALSE(can_read());
  out(0x330, 0x90);
  EXPECT_TRUE(wire.bytes.empty());
}

TEST_F(Mpu401Test, TheDspPlaysToTheSameWire) {
  out(0x226, 1);
  out(0x226, 0);
  run_for(kMs);
  for (const u8 byte : {0xc0, 5}) {
    out(0x22c, 0x38);
    out(0x22c, byte);
  }
  out(0x22c, 0x35);  // from here on all bytes
  out(0x22c, 0x38);
  EXPECT_EQ(wire.bytes, (std::vector<u8>{0xc0, 5, 0x38}));
}

struct Recording : ::testing::Test {
  std::string path = testing::TempDir() + "dragoman-midi-" + std::to_string(getpid());
  std::unique_ptr<MidiFile> file = MidiFile::create(path).take();

  ~Recording() override { unlink(path.c_str()); }
  void send(u64 ms, std::initializer_list<u8> bytes) {
    for (const u8 byte : bytes) file->send(byte, ms * kMs);
  }
  /// The events of the track, after checking what is around them.
  std::vector<u8> track() {
    std::ifstream in(path, std::ios::binary);
    const std::vector<u8> all{std::istreambuf_iterator<char>(in), {}};
    // RP-001: a header chunk of six bytes: format 0, one track, 500 ticks to the quarter; without a
    // tempo the quarter takes 500 ms.
    const std::vector<u8> head{'M', 'T', 'h', 'd', 0,    0,   0,   6,   0,
                               0,   0,   1,   1,   0xf4, 'M', 'T', 'r', 'k'};
    EXPECT_GE(all.size(), 26u);
    if (all.size() < 26) return {};
    EXPECT_EQ(std::vector<u8>(all.begin(), all.begin() + 18), head);
    const u32 length = static_cast<u32>(all[18] << 24 | all[19] << 16 | all[20] << 8 | all[21]);
    EXPECT_EQ(length, all.size() - 22);
    const std::vector<u8> end(all.end() - 4, all.end());
    EXPECT_EQ(end, (std::vector<u8>{0, 0xff, 0x2f, 0}));
    return {all.begin() + 22, all.end() - 4};
  }
};

TEST_F(Recording, AnEmptyOneIsAWholeFile) { EXPECT_TRUE(track().empty()); }

TEST_F(Recording, BeginsWithTheFirstMessage) {
  send(70'000, {0x90, 60, 100});
  send(70'100, {0x80, 60, 0});
  send(70'300, {0xc3, 7});
  EXPECT_EQ(track(), (std::vector<u8>{0, 0x90, 60, 100, 100, 0x80, 60, 0, 0x81, 0x48, 0xc3, 7}));
}

TEST_F(Recording, KnowsRunningStatus) {
  send(0, {1, 2, 0x92, 60, 100, 62, 100});
  EXPECT_EQ(track(), (std::vector<u8>{0, 0x92, 60, 100, 0, 0x92, 62, 100})) << "and no stray data";
}

TEST_F(Recording, HoldsSystemMessages) {
  send(0, {0xf0, 0x41, 0xfe, 0x10, 0xf7});  // active sensing inside an exclusive message
  EXPECT_EQ(track(), (std::vector<u8>{0, 0xf7, 1, 0xfe, 0, 0xf0, 3, 0x41, 0x10, 0xf7}));
}

TEST_F(Recording, AnyStatusEndsAnExclusiveMessage) {
  send(0, {0xf0, 0x41, 0xb0, 7, 127, 0xf2, 1, 2, 3, 0xf6});
  EXPECT_EQ(track(), (std::vector<u8>{0, 0xf0, 2, 0x41, 0xf7,  //
                                      0, 0xb0, 7, 127,         //
                                      0, 0xf7, 3, 0xf2, 1, 2,  // song position
                                      0, 0xf7, 1, 0xf6}));     // tune request
}

TEST(MidiRecording, TellsWhyItCannotBeWritten) {
  const auto file = MidiFile::create("/nowhere/at/all.mid");
  ASSERT_FALSE(file.ok());
  EXPECT_NE(file.error().message.find("/nowhere/at/all.mid"), std::string::npos);
}

}  // namespace
}  // namespace dragoman
