// The AHCI adapter as its driver sees it: reset, commands, FISes, interrupts, queueing, errors.
#include "tests/devices/ahci_test_bench.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

TEST_F(AhciTest, StateListIsComplete) { check_state_list<AhciState>(); }

TEST_F(AhciTest, IdentityAndCapabilities) {
  EXPECT_EQ(ahci_.config_read(0, 4), 0x29228086u);
  EXPECT_EQ(ahci_.config_read(8, 4), 0x01060102u);
  const u32 cap = get(kCap);
  EXPECT_EQ(cap & 0x1f, 5u) << "ports - 1";
  EXPECT_EQ(cap >> 8 & 0x1f, 31u) << "slots - 1";
  EXPECT_EQ(cap & 0xc0040000, 0xc0040000u) << "64-bit, queueing, AHCI only";
  EXPECT_EQ(get(kPi), 0x3fu);
  EXPECT_EQ(get(kVs), 0x10200u);
  EXPECT_EQ(get(reg(6, kCmd)), 0u) << "not implemented";
  // Bytes, words and quadwords of a register are as good as doublewords.
  EXPECT_EQ(memory.read(PhysicalAddress(kAbar + 0x11), 2), 0x102u);
  EXPECT_EQ(memory.read(PhysicalAddress(kAbar + 0x0c), 8), 0x102000000003full);
  memory.write(PhysicalAddress(kAbar + reg(2, kIe) + 1), 1, 0xff);
  EXPECT_EQ(get(reg(2, kIe)), 0u) << "reserved bits";
  memory.write(PhysicalAddress(kAbar + reg(2, kIe) + 3), 1, 0x40);
  EXPECT_EQ(get(reg(2, kIe)), 0x40000000u);
}

TEST_F(AhciTest, LinksAndSignaturesAfterPowerOn) {
  EXPECT_EQ(pget(kSsts), 0x123u);
  EXPECT_EQ(pget(kSig), 0x101u);
  EXPECT_EQ(pget(kTfd) & 0xff, 0x50u);
  port_ = 1;
  EXPECT_EQ(pget(kSig), 0xeb140101u);
  port_ = 3;
  EXPECT_EQ(pget(kSsts), 0u);
  EXPECT_EQ(pget(kSig), 0xffffffffu);
  EXPECT_EQ(pget(kTfd), 0x7fu);
}

TEST_F(AhciTest, Comreset) {
  pset(kCmd, 0x10);
  pset(kSctl, 0x301);
  EXPECT_EQ(pget(kSsts), 0u);
  pset(kSctl, 0x300);
  EXPECT_EQ(pget(kSsts), 0x123u);
  EXPECT_EQ(pget(kTfd) & 0x80, 0x80u);
  EXPECT_EQ(pget(kSerr), 1u << 26 | 1u << 16);
  EXPECT_EQ(pget(kIs), 1u << 22 | 1u << 6) << "PxSERR shows in PxIS";
  pset(kIs, ~u32{0});
  EXPECT_EQ(pget(kIs), 1u << 22 | 1u << 6) << "and is cleared there only";
  pset(kSerr, ~u32{0});
  EXPECT_EQ(pget(kIs), 0u);
  memory.write_bytes(PhysicalAddress(fises(0) + 0x40), std::vector<u8>(20, 0xee));
  run();
  EXPECT_EQ(pget(kTfd), 0x150u) << "ready, diagnostic passed";
  const auto d2h = fis(0x40, 20);
  EXPECT_EQ(d2h[0], 0x34);
  EXPECT_EQ(d2h[1], 0) << "no interrupt";
  EXPECT_EQ(d2h[12], 1);
  // Limited to the first generation; then offline.
  pset(kSctl, 0x311);
  pset(kSctl, 0x310);
  EXPECT_EQ(pget(kSsts), 0x113u);
  pset(kSctl, 4);
  EXPECT_EQ(pget(kSsts), 4u);
}

TEST_F(AhciTest, IdentifyByPio) {
  build(0, command(0xec), {{kData, 512}});
  issue(0);
  EXPECT_EQ(pget(kTfd) & 0x80, 0x80u);
  EXPECT_EQ(pget(kCi), 1u);
  EXPECT_FALSE(irq());
  run();
  EXPECT_TRUE(irq());
  EXPECT_EQ(get(kHbaIs), 1u);
  EXPECT_EQ(pget(kIs), u32{kPss}) << "a PIO read ends with its last block";
  EXPECT_EQ(pget(kCi), 0u);
  EXPECT_EQ(pget(kTfd), 0x50u);
  EXPECT_EQ(moved(0), 512u);
  const auto setup = fis(0x20, 20);
  EXPECT_EQ(setup[0], 0x5f);
  EXPECT_EQ(setup[1], 0x60) << "interrupt, to the host";
  EXPECT_EQ(setup[2], 0x58);
  EXPECT_EQ(setup[15], 0x50);
  EXPECT_EQ(setup[16] | setup[17] << 8, 512);
  const auto id = ram(kData, 512);
  const auto word = [&](unsigned n) { return id[2 * n] | id[2 * n + 1] << 8; };
  EXPECT_EQ(word(75), 31);
  EXPECT_EQ(word(76), 0x106);
  EXPECT_EQ(word(93), 0);
  EXPECT_EQ(word(84) & 0x20, 0x20);
  // PxIS before IS.
  set(kHbaIs, 1);
  EXPECT_TRUE(irq()) << "the port still has something";
  pset(kIs, kPss);
  EXPECT_TRUE(irq());
  set(kHbaIs, 1);
  EXPECT_FALSE(irq());
}

TEST_F(AhciTest, DmaReadOverSeveralRegions) {
  build(3, command(0x25, 100, 20),
        {{kData, 0x600, true}, {kData + 0x10000, 0x200}, {kData + 0x20000, 0x2000}});
  issue(3);
  run();
  EXPECT_EQ(pget(kIs), u32{kDhrs} | kDps);
  EXPECT_EQ(pget(kCi), 0u);
  EXPECT_EQ(pget(kTfd), 0x50u);
  EXPECT_EQ(moved(3), 20u * 512);
  auto data = ram(kData, 0x600);
  for (const auto& [at, count] : {std::pair{kData + 0x10000, 0x200u}, {kData + 0x20000, 0x2000u}}) {
    const auto part = ram(at, count);
    data.insert(data.end(), part.begin(), part.end());
  }
  EXPECT_EQ(data, sectors(100, 20));
  const auto d2h = fis(0x40, 20);
  EXPECT_EQ(d2h[1], 0x40);
  EXPECT_EQ(d2h[2], 0x50);
  EXPECT_EQ(d2h[4], 119) << "the last sector";
}

TEST_F(AhciTest, WritesByDmaAndPio) {
  for (u32 i = 0; i < 8 * 512; ++i)
    memory.store<u8>(PhysicalAddress(kData + i), static_cast<u8>(i * 5));
  build(0, command(0x35, 1000, 8), {{kData, 8 * 512}}, kWrite);
  issue(0);
  run();
  EXPECT_EQ(sectors(1000, 8), ram(kData, 8 * 512));
  EXPECT_EQ(pget(kIs), u32{kDhrs});
  acknowledge();
  // WRITE SECTORS EXT, two blocks: the first is asked for without an interrupt.
  build(0, command(0x34, 2000, 2), {{kData + 512, 1024}}, kWrite);
  issue(0);
  EXPECT_EQ(pget(kIs), 0u);
  EXPECT_EQ(fis(0x20, 2), (std::vector<u8>{0x5f, 0}));
  run();
  EXPECT_EQ(pget(kIs), u32{kPss});
  EXPECT_EQ(pget(kCi), 1u);
  run();
  EXPECT_EQ(pget(kIs), u32{kPss} | kDhrs);
  EXPECT_EQ(pget(kCi), 0u);
  EXPECT_EQ(moved(0), 1024u);
  EXPECT_EQ(sectors(2000, 2), ram(kData + 512, 1024));
}

TEST_F(AhciTest, SlotsRunInTurn) {
  for (const unsigned slot : {0u, 1u, 31u}) {
    build(slot, command(0x25, slot, 1), {{kData + 0x1000 * slot, 512}});
  }
  pset(kCi, 1u << 31 | 1u << 1 | 1);
  EXPECT_EQ(pget(kCi), 0x80000003u);
  run();
  EXPECT_EQ(pget(kCi), 0x80000002u);
  build(0, command(0x25, 7, 1), {{kData, 512}});
  issue(0);  // behind the others
  run();
  EXPECT_EQ(pget(kCi), 0x80000001u);
  run();
  EXPECT_EQ(pget(kCi), 1u);
  run();
  EXPECT_EQ(pget(kCi), 0u);
  EXPECT_EQ(ram(kData, 512), sectors(7, 1));
  EXPECT_EQ(ram(kData + 31 * 0x1000, 512), sectors(31, 1));
}

TEST_F(AhciTest, NoInterruptWhileDisabled) {
  pset(kIe, kPss);
  build(0, command(0xe7), {});
  issue(0);
  run();
  EXPECT_EQ(pget(kIs), u32{kDhrs});
  EXPECT_EQ(get(kHbaIs), 0u);
  pset(kIe, kDhrs);
  EXPECT_EQ(get(kHbaIs), 1u);
  EXPECT_TRUE(irq());
  set(kGhc, 1u << 31);
  EXPECT_FALSE(irq());
  EXPECT_EQ(ahci_.config_read(6, 2) & 8, 0u);
}

TEST_F(AhciTest, MessagesInsteadOfThePin) {
  const u8 at = static_cast<u8>(ahci_.config_read(0x34, 1));
  ASSERT_EQ(ahci_.config_read(at, 1), 0x05u);
  ASSERT_EQ(ahci_.config_read(at + 2, 2), 0x80u) << "one message, 64-bit address";
  build(0, command(0xe7), {});
  issue(0);
  run();
  EXPECT_TRUE(irq());
  ahci_.config_write(at + 4, 4, 0xfee01000);
  ahci_.config_write(at + 12, 2, 0x41);
  ahci_.config_write(at + 2, 2, 1);
  EXPECT_FALSE(irq());
  acknowledge();
  EXPECT_TRUE(messages_.empty());
  issue(0);
  run();
  EXPECT_EQ(messages_, (std::vector<std::pair<u64, u32>>{{0xfee01000, 0x41}}));
  EXPECT_FALSE(irq());
  set(kHbaIs, 1);  // the port still has something: another message
  EXPECT_EQ(messages_.size(), 2u);
  set(kGhc, 1u << 31);
  set(kGhc, 1u << 31 | 2);
  EXPECT_EQ(messages_.size(), 3u);
  acknowledge();
  EXPECT_EQ(messages_.size(), 3u);
}

TEST_F(AhciTest, QueuedCommandsEndTogether) {
  for (unsigned tag = 0; tag < 32; ++tag) {
    build(tag, queued(0x60, tag, 10 * tag, 2), {{kData + 0x1000 * tag, 1024}});
  }
  pset(kSact, ~u32{0});
  pset(kCi, ~u32{0});
  EXPECT_EQ(pget(kCi), 0u) << "the device has taken them all";
  EXPECT_EQ(pget(kSact), ~u32{0});
  EXPECT_EQ(pget(kTfd), 0x50u);
  EXPECT_EQ(pget(kIs), 0u);
  const auto setup = fis(0, 28);
  EXPECT_EQ(setup[0], 0x41);
  EXPECT_EQ(setup[1], 0x20);
  EXPECT_EQ(setup[4], 31) << "tag";
  run();
  EXPECT_EQ(pget(kSact), 0u);
  EXPECT_EQ(pget(kIs), u32{kSdbs});
  EXPECT_EQ(fis(0x58, 8), (std::vector<u8>{0xa1, 0x40, 0x50, 0, 0xff, 0xff, 0xff, 0xff}));
  for (unsigned tag = 0; tag < 32; ++tag) {
    EXPECT_EQ(ram(kData + 0x1000 * tag, 1024), sectors(10 * tag, 2)) << tag;
  }
  acknowledge();
  memory.write_bytes(PhysicalAddress(kData), std::vector<u8>(4096, 0xa5));
  auto fua = queued(0x61, 4, 500, 8);
  fua[7] |= 0x80;
  build(4, fua, {{kData, 4096}}, kWrite);
  pset(kSact, 1u << 4);
  issue(4);
  run();
  EXPECT_EQ(pget(kSact), 0u);
  EXPECT_EQ(sectors(500, 8), std::vector<u8>(4096, 0xa5));
}

TEST_F(AhciTest, FailedQueuedCommandAndItsLog) {
  port_ = 5;
  build(2, queued(0x60, 2, 0, 4), {{kData, 2048}});
  build(3, queued(0x60, 3, 8, 4), {{kData, 2048}});  // sector 10 is bad
  build(4, queued(0x60, 4, 20, 4), {{kData, 2048}});
  pset(kSact, 0x1c);
  pset(kCi, 0x1c);
  run();
  EXPECT_EQ(pget(kSact), 0x18u) << "tag 2 ended before the error";
  EXPECT_TRUE(pget(kIs) & kTfes);
  EXPECT_EQ(pget(kTfd), 0x4051u);
  build(5, command(0xec), {{kData, 512}});
  issue(5);
  EXPECT_EQ(pget(kCi) & 0x20, 0x20u) << "halted";
  restart_port();
  EXPECT_EQ(pget(kSact), 0u);
  EXPECT_EQ(pget(kCi), 0u);
  // The queue takes nothing until its log has been read.
  build(0, command(0x2f, 0x10, 1), {{kData, 512}});
  issue(0);
  run();
  EXPECT_EQ(pget(kCi), 0u);
  const auto log_page = ram(kData, 512);
  EXPECT_EQ(log_page[0], 3) << "tag";
  EXPECT_EQ(log_page[2], 0x51);
  EXPECT_EQ(log_page[3], 0x40);
  EXPECT_EQ(log_page[4], 8);
  u8 sum = 0;
  for (const u8 byte : log_page) sum = static_cast<u8>(sum + byte);
  EXPECT_EQ(sum, 0);
  acknowledge();
  build(1, queued(0x60, 1, 0, 1), {{kData, 512}});
  pset(kSact, 2);
  issue(1);
  run();
  EXPECT_EQ(pget(kSact), 0u);
  build(0, command(0x2f, 0x10, 1), {{kData, 512}});
  issue(0);
  run();
  EXPECT_EQ(ram(kData, 1), std::vector<u8>{0x80}) << "nothing to tell";
  // Out of range.
  build(1, queued(0x61, 1, 1u << 30, 1), {{kData, 512}}, kWrite);
  pset(kSact, 2);
  issue(1);
  run();
  EXPECT_EQ(pget(kTfd) >> 8, 0x10u);
}

TEST_F(AhciTest, OtherCommandsEndTheQueue) {
  build(0, queued(0x60, 0, 0, 1), {{kData, 512}});
  build(1, command(0xe7), {});
  pset(kSact, 1);
  pset(kCi, 3);
  run();
  EXPECT_EQ(pget(kTfd), 0x451u);
  EXPECT_TRUE(pget(kIs) & kTfes);
  EXPECT_EQ(pget(kCi), 2u) << "the command in error stays";
  EXPECT_EQ(pget(kCmd) >> 8 & 0x1f, 1u) << "and CCS names it";
}

TEST_F(AhciTest, SoftwareReset) {
  build(0, {0x27, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4}, {}, kResetBit | kClearBusy);
  issue(0);
  EXPECT_EQ(pget(kCi), 0u);
  EXPECT_EQ(pget(kTfd) & 0x80, 0u);
  build(1, {0x27, 0}, {});
  issue(1);
  EXPECT_EQ(pget(kCi), 2u);
  run();
  EXPECT_EQ(pget(kCi), 0u);
  EXPECT_EQ(pget(kTfd), 0x150u);
  EXPECT_EQ(pget(kSig), 0x101u);
}

TEST_F(AhciTest, ErrorsAndRecovery) {
  build(7, command(0x25, 1u << 30, 1), {{kData, 512}});
  build(8, command(0xec), {{kData, 512}});
  pset(kCi, 3u << 7);
  run();
  EXPECT_EQ(pget(kTfd), 0x1051u);
  EXPECT_EQ(pget(kIs), u32{kTfes} | kDhrs);
  EXPECT_EQ(pget(kCi), 3u << 7);
  EXPECT_EQ(pget(kCmd) >> 8 & 0x1f, 7u);
  run();
  EXPECT_EQ(pget(kCi), 3u << 7) << "nothing goes on";
  restart_port();
  EXPECT_EQ(pget(kCi), 0u);
  build(0, command(0x25, 5, 1), {{kData, 512}});
  issue(0);
  run();
  EXPECT_EQ(pget(kCi), 0u);
  EXPECT_EQ(ram(kData, 512), sectors(5, 1));
  // ST cleared in the middle of a command; CLO clears what it left.
  build(0, command(0xe7), {});
  issue(0);
  pset(kCmd, 0x10);
  EXPECT_EQ(pget(kTfd) & 0x80, 0x80u);
  pset(kCmd, 0x18);
  EXPECT_EQ(pget(kTfd) & 0x88, 0u);
  EXPECT_EQ(pget(kCmd) & 8, 0u);
  run();
  EXPECT_EQ(pget(kTfd), 0x50u);
}

TEST_F(AhciTest, HbaReset) {
  build(0, command(0xe7), {});
  issue(0);
  set(kGhc, 1);
  EXPECT_EQ(get(kGhc), 1u << 31);
  EXPECT_EQ(pget(kCmd), 6u);
  EXPECT_EQ(pget(kCi), 0u);
  EXPECT_EQ(pget(kIe), 0u);
  EXPECT_EQ(pget(kClb), static_cast<u32>(list(0))) << "the firmware's";
  run();
  EXPECT_EQ(pget(kTfd), 0x150u);
  EXPECT_EQ(pget(kSig), 0x101u);
}

TEST_F(AhciTest, NothingMovesWithoutBusMastering) {
  ahci_.config_write(0x04, 2, 2);
  build(0, command(0x25, 9, 1), {{kData, 512}});
  issue(0);
  run();
  EXPECT_EQ(pget(kCi), 1u);
  ahci_.config_write(0x04, 2, 6);
  run();
  EXPECT_EQ(pget(kCi), 0u);
  EXPECT_EQ(ram(kData, 512), sectors(9, 1));
}

TEST_F(AhciTest, PacketCommands) {
  port_ = 1;
  packet({0}, {}, false);  // power-on unit attention
  run();
  EXPECT_EQ(pget(kTfd), 0x6451u);
  restart_port();
  packet({0x03, 0, 0, 0, 18}, {{kData, 18}}, false);
  run();
  EXPECT_EQ(pget(kCi), 1u) << "the status follows the data";
  run();
  EXPECT_EQ(pget(kCi), 0u);
  EXPECT_EQ(ram(kData, 13)[2], 6);
  EXPECT_EQ(ram(kData, 13)[12], 0x29);
  EXPECT_EQ(pget(kIs), u32{kPss} | kDhrs);
  acknowledge();
  packet({0x28, 0, 0, 0, 0, 16, 0, 0, 40}, {{kData, 40 * 2048}}, true);
  run();
  EXPECT_EQ(pget(kIs), u32{kDhrs});
  EXPECT_EQ(ram(kData, 40 * 2048), bytes_of(*cd_, 16 * 2048, 40 * 2048));
  EXPECT_EQ(moved(0), 40u * 2048);
  build(0, command(0xa1), {{kData, 512}});
  issue(0);
  run();
  EXPECT_EQ(ram(kData, 2), (std::vector<u8>{0xc0, 0x85}));
  // A queued command is none of a packet device's.
  build(0, queued(0x60, 0, 0, 1), {{kData, 512}});
  issue(0);
  run();
  EXPECT_EQ(pget(kTfd), 0x451u);
}

TEST_F(AhciTest, StateMovesBetweenCommands) {
  build(0, queued(0x60, 0, 3, 1), {{kData, 512}});
  pset(kSact, 1);
  issue(0);
  std::vector<u8> saved;
  ahci_.save(saved);
  ahci_.reset();
  run();
  std::span<const u8> input(saved);
  ASSERT_TRUE(ahci_.load(input));
  EXPECT_EQ(pget(kSact), 1u);
  run();
  EXPECT_EQ(pget(kSact), 0u);
  EXPECT_TRUE(irq());
}

}  // namespace
}  // namespace dragoman
