// The ATAPI CD-ROM drive through the registers of its channel.
#include <algorithm>
#include <cstring>

#include "base/random.h"
#include "tests/devices/ide_test_bench.h"

namespace dragoman {
namespace {

using AtapiCdromTest = Piix3IdeTest;

TEST_F(AtapiCdromTest, IdentifyPacket) {
  channel_ = 1;
  out(6, 0xa0);
  out(7, 0xec);
  run();
  EXPECT_EQ(in(7) & 1, 1u);
  EXPECT_EQ(in(5), 0xebu);
  out(7, 0xa1);
  const auto id = read_block(512);
  EXPECT_EQ(word(id, 0), 0x85c0);
  EXPECT_EQ(alt(), 0x50);
}

TEST_F(AtapiCdromTest, CdReadsInBlocksOfTheHost) {
  channel_ = 1;
  EXPECT_FALSE(packet_in({0x28, 0, 0, 0, 0, 16, 0, 0, 1})) << "power-on unit attention";
  EXPECT_EQ(in(1) >> 4, 6u);
  EXPECT_EQ(sense(), 0x062900u);
  const auto all = cd_->bytes();
  for (const u16 limit : {2048, 0xfffe, 512, 3000, 0xffff, 0}) {
    const auto data =
        packet_in({0x28, 0, 0, 0, 0, 16, 0, 0, 9}, limit == 0 ? u16{0xfffe} : limit).value();
    EXPECT_EQ(data, std::vector<u8>(all.begin() + 16 * 2048, all.begin() + 25 * 2048)) << limit;
  }
  // The last sector is half there.
  auto last = packet_in({0xa8, 0, 0, 0, 0, 100, 0, 0, 0, 1}).value();
  EXPECT_EQ(last.size(), 2048u);
  EXPECT_TRUE(std::equal(last.begin(), last.begin() + 512, all.begin() + 100 * 2048));
  EXPECT_EQ(last[512], 0);
  EXPECT_FALSE(packet_in({0x28, 0, 0, 0, 0, 100, 0, 0, 2}));
  EXPECT_EQ(sense(), 0x052100u);
  EXPECT_EQ(packet_in({0xbe, 0, 0, 0, 0, 1, 0, 0, 1, 0x10}).value().size(), 2048u);
}

TEST_F(AtapiCdromTest, CdDma) {
  use_cdrom();
  prd(0x1000, 0x20000, 0x8000, false);
  prd(0x1008, 0x40000, 0x9000, true);
  start_dma(true);
  packet({0x28, 0, 0, 0, 0, 2, 0, 0, 34}, true);
  run();
  EXPECT_TRUE(irq());
  EXPECT_EQ(in(7), 0x50u);
  EXPECT_EQ(in(2), 3u);
  EXPECT_EQ(bm_status() & 7, 4);
  const auto all = cd_->bytes();
  EXPECT_EQ(ram(0x40000, 0x9000),
            std::vector<u8>(all.begin() + 2 * 2048 + 0x8000, all.begin() + 36 * 2048));
}

TEST_F(AtapiCdromTest, CdInformation) {
  use_cdrom();
  EXPECT_EQ(packet_in({0x12, 0, 0, 0, 255}).value().size(), 36u);
  EXPECT_EQ(packet_in({0x12, 0, 0, 0, 5}).value(), (std::vector<u8>{5, 0x80, 0, 0x21, 31}));
  EXPECT_EQ(packet_in({0x25}).value(), (std::vector<u8>{0, 0, 0, 100, 0, 0, 8, 0}));
  EXPECT_EQ(
      packet_in({0x43, 0, 0, 0, 0, 0, 0, 0, 100}).value(),
      (std::vector<u8>{0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 0, 101}));
  const auto msf = packet_in({0x43, 2, 0, 0, 0, 0, 0xaa, 0, 100}).value();
  EXPECT_EQ(msf, (std::vector<u8>{0, 10, 1, 1, 0, 0x14, 0xaa, 0, 0, 0, 3, 26}));
  EXPECT_EQ(packet_in({0x43, 0, 1, 0, 0, 0, 0, 0, 100}).value().size(), 12u);
  const auto raw = packet_in({0x43, 0, 2, 0, 0, 0, 0, 0, 100}).value();
  ASSERT_EQ(raw.size(), 48u);
  EXPECT_EQ(raw[26 + 3], 0xa2);
  EXPECT_EQ(raw[26 + 9], 3);
  EXPECT_EQ(raw[26 + 10], 26);
  const auto features = packet_in({0x46, 0, 0, 0, 0, 0, 0, 1, 0}).value();
  EXPECT_EQ(features[7], 8) << "CD-ROM profile";
  EXPECT_EQ(features[3] + 4u, features.size());
  EXPECT_EQ(packet_in({0x46, 2, 0, 3, 0, 0, 0, 1, 0}).value().size(), 16u);
  EXPECT_EQ(packet_in({0x51, 0, 0, 0, 0, 0, 0, 0, 34}).value().size(), 34u);
  EXPECT_EQ(packet_in({0x52, 1, 0, 0, 0, 1, 0, 0, 36}).value()[27], 101);
  EXPECT_EQ(packet_in({0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8}).value().size(), 8u);
  EXPECT_EQ(packet_in({0x44, 2, 0, 0, 0, 75, 0, 0, 8}).value(),
            (std::vector<u8>{1, 0, 0, 0, 0, 0, 3, 0}));
  const auto page = packet_in({0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 100}).value();
  EXPECT_EQ(page.size(), 30u);
  EXPECT_EQ(page[8], 0x2a);
  EXPECT_EQ(packet_in({0x1a, 0, 0x3f, 0, 255}).value()[0] + 1u,
            packet_in({0x1a, 0, 0x3f, 0, 255}).value().size());
  EXPECT_FALSE(packet_in({0x5a, 0, 0x33, 0, 0, 0, 0, 0, 100}));
  EXPECT_EQ(sense(), 0x052400u);
  EXPECT_FALSE(packet_in({0xff}));
  EXPECT_EQ(sense(), 0x052000u);
  EXPECT_EQ(sense(), 0u) << "told once";
}

TEST_F(AtapiCdromTest, CdModeSelect) {
  use_cdrom();
  const auto select = [&](std::vector<u8> list) {
    packet({0x55, 0x10, 0, 0, 0, 0, 0, 0, static_cast<u8>(list.size())});
    run();
    EXPECT_EQ(in(2), 0u) << "from the host";
    EXPECT_EQ(in(4), list.size());
    for (std::size_t i = 0; i < list.size(); i += 2) out(0, list[i] | list[i + 1] << 8, 2);
    run();
    return in(7) & 1;
  };
  EXPECT_EQ(select({0, 0, 0, 0, 0, 0, 0, 0, 1, 6, 0, 9, 0, 0, 0, 0}), 0u);
  EXPECT_EQ(packet_in({0x5a, 0, 1, 0, 0, 0, 0, 0, 100}).value()[11], 9);
  EXPECT_EQ(select({0, 0, 0, 0, 0, 0, 0, 0, 1, 6, 4, 9, 0, 0, 0, 0}), 1u);
  EXPECT_EQ(sense(), 0x052600u);
}

TEST_F(AtapiCdromTest, CdTrayAndMediumChange) {
  use_cdrom();
  EXPECT_TRUE(packet_in({0x1e, 0, 0, 0, 1}));
  EXPECT_FALSE(packet_in({0x1b, 0, 0, 0, 2})) << "locked";
  EXPECT_EQ(sense(), 0x055302u);
  EXPECT_TRUE(packet_in({0x1e, 0, 0, 0, 0}));
  EXPECT_TRUE(packet_in({0x1b, 0, 0, 0, 2}));
  EXPECT_TRUE(cdrom_->tray_open());
  EXPECT_FALSE(packet_in({0x00}));
  EXPECT_EQ(sense(), 0x023a02u);
  cdrom_->set_medium(nullptr);
  EXPECT_FALSE(packet_in({0x25}));
  EXPECT_EQ(sense(), 0x023a01u);
  cdrom_->set_medium(std::make_shared<MemoryImage>(std::vector<u8>(4096), true));
  const auto event = packet_in({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}).value();
  EXPECT_EQ(event, (std::vector<u8>{0, 6, 4, 0x10, 2, 2, 0, 0}));
  EXPECT_EQ(packet_in({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}).value()[4], 0);
  EXPECT_FALSE(packet_in({0x00}));
  EXPECT_EQ(sense(), 0x062800u);
  EXPECT_TRUE(packet_in({0x00}));
  EXPECT_EQ(packet_in({0x25}).value()[3], 1);
}

TEST_F(AtapiCdromTest, TrayTellsTheUserAndTheButtonTheGuest) {
  use_cdrom();
  std::vector<bool> moves;
  cdrom_->set_tray_listener([&](bool open) { moves.push_back(open); });
  EXPECT_FALSE(cdrom_->tray_locked());
  EXPECT_TRUE(packet_in({0x1e, 0, 0, 0, 1}));
  EXPECT_TRUE(cdrom_->tray_locked());
  EXPECT_FALSE(packet_in({0x1b, 0, 0, 0, 2}));
  EXPECT_TRUE(moves.empty());
  cdrom_->request_eject();
  EXPECT_EQ(packet_in({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}).value(),
            (std::vector<u8>{0, 6, 4, 0x10, 1, 2, 0, 0}))
      << "eject request, medium present, tray closed";
  EXPECT_TRUE(packet_in({0x1e, 0, 0, 0, 0}));
  EXPECT_TRUE(packet_in({0x1b, 0, 0, 0, 2}));
  EXPECT_TRUE(packet_in({0x1b, 0, 0, 0, 3}));
  EXPECT_EQ(moves, (std::vector<bool>{true, false}));
}

/// A disc with a volume at each of these places that says it has so many sectors.
std::shared_ptr<MemoryImage> disc(u32 sectors, const std::vector<std::pair<u32, u32>>& volumes) {
  std::vector<u8> bytes(std::size_t{sectors} * 2048);
  for (const auto& [start, count] : volumes) {
    u8* const descriptor = bytes.data() + (std::size_t{start} + 16) * 2048;
    const u8 head[] = {1, 'C', 'D', '0', '0', '1', 1};
    std::copy(std::begin(head), std::end(head), descriptor);
    std::memcpy(descriptor + 80, &count, sizeof(count));
  }
  return std::make_shared<MemoryImage>(std::move(bytes), true);
}

TEST_F(AtapiCdromTest, Sessions) {
  use_cdrom();
  // The second volume begins at the next block of 32 sectors and counts from the start of the disc,
  // the third behind run-out and counts from its own.
  cdrom_->set_medium(disc(800, {{0, 200}, {224, 400}, {550, 250}}));
  (void)packet_in({0x00});
  (void)sense();
  EXPECT_EQ(packet_in({0x43, 0, 1, 0, 0, 0, 0, 0, 100}).value(),
            (std::vector<u8>{0, 10, 1, 3, 0, 0x14, 3, 0, 0, 0, 2, 0x26}))
      << "the first track of the last session";
  const auto toc = packet_in({0x43, 0, 0, 0, 0, 0, 0, 0, 100}).value();
  ASSERT_EQ(toc.size(), 4u + 4 * 8);
  EXPECT_EQ(toc[3], 3);
  EXPECT_EQ(toc[4 + 8 + 7], 224);
  EXPECT_EQ(toc[4 + 24 + 2], 0xaa);
  EXPECT_EQ(toc[4 + 24 + 6] << 8 | toc[4 + 24 + 7], 800);
  EXPECT_EQ(packet_in({0x43, 0, 0, 0, 0, 0, 3, 0, 100}).value().size(), 4u + 2 * 8);
  EXPECT_FALSE(packet_in({0x43, 0, 0, 0, 0, 0, 4, 0, 100}));
  const auto raw = packet_in({0x43, 0, 2, 0, 0, 0, 0, 0, 200}).value();
  ASSERT_EQ(raw.size(), 4u + 3 * 4 * 11);
  EXPECT_EQ(raw[4 + 44], 2) << "session";
  EXPECT_EQ(raw[4 + 44 + 3], 0xa0);
  EXPECT_EQ(raw[4 + 44 + 8], 2) << "its first track";
  // Its lead-out: sector 400 is 7 s 25 f behind the two seconds before sector 0.
  EXPECT_EQ((std::vector<u8>(raw.begin() + 4 + 44 + 22 + 7, raw.begin() + 4 + 44 + 33)),
            (std::vector<u8>{0, 0, 7, 25}));
  EXPECT_EQ(packet_in({0x51, 0, 0, 0, 0, 0, 0, 0, 34}).value()[4], 3);
  const auto track = packet_in({0x52, 0, 0, 0, 1, 0, 0, 0, 36}).value();  // of sector 256
  EXPECT_EQ(track[2], 2);
  EXPECT_EQ(track[11], 224);
  EXPECT_EQ(track[27], 400 - 224);
}

TEST(CdSessions, NonsenseIsOneSession) {
  const auto starts = [](const std::shared_ptr<MemoryImage>& image) {
    std::vector<u32> found;
    for (const CdSession& session : find_cd_sessions(*image)) found.push_back(session.start);
    return found;
  };
  EXPECT_EQ(starts(disc(100, {{0, 100}})), std::vector<u32>{0});
  EXPECT_EQ(starts(disc(100, {{0, 0}})), std::vector<u32>{0});
  EXPECT_EQ(starts(disc(100, {{0, 0xffffffff}})), std::vector<u32>{0});
  EXPECT_EQ(starts(disc(100, {{32, 60}})), std::vector<u32>{0}) << "no first volume";
  EXPECT_EQ(starts(disc(100, {{0, 20}, {32, 17}})), (std::vector<u32>{0, 32}));
  EXPECT_EQ(starts(disc(100, {{0, 20}, {80, 17}})), std::vector<u32>{0}) << "nothing where it ends";
  EXPECT_EQ(starts(disc(1, {})), std::vector<u32>{0});
  // So many volumes that the numbers of tracks end.
  std::vector<std::pair<u32, u32>> many;
  for (u32 i = 0; i < 150; ++i) many.emplace_back(32 * i, 17);
  EXPECT_EQ(starts(disc(32 * 151, many)).size(), 99u);
}

/// Whatever an image says, sessions follow each other inside it and the drive answers.
TEST_F(AtapiCdromTest, SessionsOfDamagedDiscs) {
  use_cdrom();
  SplitMix64 random(7);
  for (unsigned n = 0; n < 60; ++n) {
    const u32 sectors = 20 + static_cast<u32>(random.next() % 400);
    std::vector<std::pair<u32, u32>> volumes;
    for (u64 i = random.next() % 8; i != 0; --i) {
      const u32 start = static_cast<u32>(random.next() % (sectors - 17));
      const u64 kind = random.next();
      volumes.emplace_back(i == 1 ? 0 : start / (kind & 1 ? 1 : 32) * (kind & 1 ? 1 : 32),
                           static_cast<u32>(kind & 2 ? kind >> 32 : kind >> 32 & 0x1ff));
    }
    const auto image = disc(sectors, volumes);
    const auto sessions = find_cd_sessions(*image);
    ASSERT_FALSE(sessions.empty());
    EXPECT_EQ(sessions.front().start, 0u);
    EXPECT_EQ(sessions.back().end, sectors);
    for (std::size_t i = 0; i < sessions.size(); ++i) {
      EXPECT_LT(sessions[i].start, sessions[i].end);
      if (i != 0) {
        EXPECT_LE(sessions[i - 1].end, sessions[i].start);
      }
    }
    cdrom_->set_medium(image);
    (void)packet_in({0x00});
    for (const u8 format : {0, 1, 2}) {
      EXPECT_TRUE(packet_in({0x43, 0, format, 0, 0, 0, 0, 0xff, 0xfe}));
    }
  }
}

TEST_F(AtapiCdromTest, DeviceResetEndsAPacket) {
  use_cdrom();
  packet({0x28, 0, 0, 0, 0, 0, 0, 0, 4});
  out(7, 0x08);
  run();
  EXPECT_EQ(alt(), 0);
  EXPECT_EQ(in(5), 0xebu);
  EXPECT_FALSE(irq());
}

}  // namespace
}  // namespace dragoman
