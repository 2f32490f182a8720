#include "devices/i82077.h"

#include <cstring>

#include "devices/i8237.h"
#include "tests/devices/isa_test_bench.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

using Bytes = std::vector<u8>;

class MemoryImage : public BlockImage {
 public:
  explicit MemoryImage(u64 bytes) : data(bytes) {
    for (u64 i = 0; i < bytes; ++i) data[i] = static_cast<u8>(i / 512 * 7 + i % 512);
  }
  u64 size() const override { return data.size(); }
  bool read_only() const override { return protect; }
  Result<void> read(u64 offset, std::span<u8> out) override {
    if (offset + out.size() > data.size()) return error("past the end");
    std::memcpy(out.data(), &data[offset], out.size());
    return {};
  }
  Result<void> write(u64 offset, std::span<const u8> in) override {
    if (offset + in.size() > data.size()) return error("past the end");
    std::memcpy(&data[offset], in.data(), in.size());
    return {};
  }
  Result<void> flush() override { return {}; }
  const std::string& description() const override { return text; }
  Bytes data;
  bool protect = false;
  std::string text = "memory";
};

struct DmaBench : IsaTestBench {
  std::unique_ptr<GuestMemory> memory = GuestMemory::create(1 * kMiB).take();
  MemoryMap map{*memory, log};
  I8237Pair dma{log, ports, map};
  DmaBench() {
    map.add_memory("ram", PhysicalAddress(0), 1 * kMiB, memory->ram(), true, true, 0);
    out(0xd6, 0xc0);  // channel 4: cascade, as a BIOS sets it up
    out(0xd4, 0x00);
  }
  void program(u8 mode, u32 address, u16 bytes, u16 page_port = 0x81, u8 channel = 2) {
    out(0x0a, static_cast<u8>(4 | channel));
    out(0x0c, 0);
    const u16 base = static_cast<u16>(channel * 2);
    out(base, static_cast<u8>(address));
    out(base, static_cast<u8>(address >> 8));
    out(static_cast<u16>(base + 1), static_cast<u8>(bytes - 1));
    out(static_cast<u16>(base + 1), static_cast<u8>((bytes - 1) >> 8));
    out(page_port, static_cast<u8>(address >> 16));
    out(0x0b, static_cast<u8>(mode | channel));
    out(0x0a, channel);
  }
};

struct ByteClient : IsaDmaClient {
  explicit ByteClient(I8237Pair& controller) : dma(controller) {}
  void dma_acknowledge(unsigned channel) override {
    ++calls;
    last = dma.to_memory(channel, data);
    dma.set_request(channel, false);
  }
  I8237Pair& dma;
  Bytes data{1, 2, 3, 4};
  I8237Pair::Transfer last;
  int calls = 0;
};

struct I8237Test : ::testing::Test, DmaBench {};

TEST_F(I8237Test, StateListIsComplete) { check_state_list<I8237State>(); }

TEST_F(I8237Test, WaitsForTheMaskAndStopsAtTerminalCount) {
  ByteClient client(dma);
  dma.attach(1, client);
  dma.set_request(1, true);
  EXPECT_EQ(client.calls, 0);
  EXPECT_EQ(in(0x08) & 0x20, 0x20);
  program(0x44, 0x1ffff, 3, 0x83, 1);
  EXPECT_EQ(client.calls, 1);
  EXPECT_EQ(client.last.bytes, 3u);
  EXPECT_TRUE(client.last.terminal_count);
  EXPECT_EQ(memory->ram()[0x1ffff], 1);
  EXPECT_EQ(memory->ram()[0x10000], 2);  // wraps inside the page
  EXPECT_EQ(in(0x08) & 0x0f, 0x02);
  EXPECT_EQ(in(0x08) & 0x0f, 0x00);
  EXPECT_FALSE(dma.ready(1));  // masked by TC
  out(0x0c, 0);
  EXPECT_EQ(in(0x03), 0xff);
  EXPECT_EQ(in(0x03), 0xff);
}

TEST_F(I8237Test, AutoInitVerifyAndDecrement) {
  program(0x54, 0x2000, 4);
  EXPECT_TRUE(dma.to_memory(2, Bytes{9, 8, 7, 6}).terminal_count);
  EXPECT_TRUE(dma.ready(2));
  EXPECT_EQ(dma.to_memory(2, Bytes{5}).bytes, 1u);
  EXPECT_EQ(memory->ram()[0x2000], 5);
  program(0x40, 0x3000, 2);  // verify: counts, moves nothing
  memory->ram()[0x3000] = 0x77;
  EXPECT_TRUE(dma.to_memory(2, Bytes{1, 2}).terminal_count);
  EXPECT_EQ(memory->ram()[0x3000], 0x77);
  program(0x68, 0x4001, 2);
  memory->ram()[0x4000] = 0xaa;
  memory->ram()[0x4001] = 0xbb;
  Bytes got(2);
  EXPECT_EQ(dma.from_memory(2, got).bytes, 2u);
  EXPECT_EQ(got, (Bytes{0xbb, 0xaa}));
}

TEST_F(I8237Test, WordChannelsCountWords) {
  out(0xd8, 0);
  out(0xc4, 0x00);
  out(0xc4, 0x80);  // word address 8000h
  out(0xc6, 0x01);
  out(0xc6, 0x00);  // two words
  out(0x8b, 0x03);  // bit 0 of the page is not used
  out(0xd6, 0x45);
  out(0xd4, 0x01);
  const auto moved = dma.to_memory(5, Bytes{1, 2, 3, 4, 5});
  EXPECT_EQ(moved.bytes, 4u);
  EXPECT_TRUE(moved.terminal_count);
  EXPECT_EQ(memory->ram()[0x30000], 1);
  EXPECT_EQ(memory->ram()[0x30003], 4);
}

TEST_F(I8237Test, CascadeMasterClearAndPages) {
  program(0x44, 0x1000, 1);
  EXPECT_TRUE(dma.ready(2));
  out(0xd4, 0x04);
  EXPECT_FALSE(dma.ready(2));  // 0-3 go through channel 4
  out(0xd4, 0x00);
  out(0x08, 0x04);
  EXPECT_FALSE(dma.ready(2));
  out(0x0d, 0);
  EXPECT_EQ(in(0x0f) & 0x0f, 0x0f);
  out(0x80, 0x42);
  EXPECT_EQ(dma.post_code(), 0x42);
  EXPECT_EQ(in(0x80), 0x42);
}

struct I82077Test : ::testing::Test, DmaBench {
  MemoryImage image{1440 * 1024};
  I82077 fdc{scheduler, log, ports, dma, IrqLine(wires, 6)};

  void SetUp() override {
    fdc.set_media(0, &image);
    out(0x3f2, 0x1c);
    run_for(1'000'000);
    for (u8 i = 0; i < 4; ++i) {
      command({0x08});
      EXPECT_EQ(result(), (Bytes{static_cast<u8>(0xc0 | i), 0}));
    }
    out(0x3f7, 0);
    command({0x03, 0xdf, 0x02});
  }
  void command(const Bytes& bytes) {
    for (const u8 byte : bytes) {
      EXPECT_EQ(in(0x3f4) & 0xc0, 0x80);
      out(0x3f5, byte);
    }
  }
  Bytes result() {
    Bytes bytes;
    while ((in(0x3f4) & 0xd0) == 0xd0) bytes.push_back(in(0x3f5));
    return bytes;
  }
  Bytes finished() {
    for (int i = 0; i < 200 && !wires.level[6]; ++i) run_for(100'000);
    EXPECT_TRUE(wires.level[6]);
    Bytes bytes = result();
    EXPECT_FALSE(wires.level[6]);
    return bytes;
  }
  void seek(u8 cylinder, u8 head = 0) {
    command({0x0f, static_cast<u8>(head << 2), cylinder});
    EXPECT_EQ(in(0x3f4) & 0x01, 0x01);
    run_for(1'000'000);
    EXPECT_TRUE(wires.level[6]);
    command({0x08});
    EXPECT_EQ(result(), (Bytes{static_cast<u8>(0x20 | head << 2), cylinder}));
  }
};

TEST_F(I82077Test, StateListIsComplete) { check_state_list<I82077State>(); }

TEST_F(I82077Test, ResetAndControlCommands) {
  command({0x08});
  EXPECT_EQ(result(), Bytes{0x80});
  command({0x10});
  EXPECT_EQ(result(), Bytes{0x90});
  command({0x18});
  EXPECT_EQ(result(), Bytes{0x80});  // no PART ID on an 82077AA
  command({0x94});
  EXPECT_EQ(result(), Bytes{0x10});
  command({0x14});
  EXPECT_EQ(result(), Bytes{0x00});
  command({0x13, 0x00, 0x57, 0x11});
  command({0x0e});
  const Bytes dump = result();
  ASSERT_EQ(dump.size(), 10u);
  EXPECT_EQ(dump[4], 0xdf);
  EXPECT_EQ(dump[5], 0x02);
  EXPECT_EQ(dump[8], 0x57);
  EXPECT_EQ(dump[9], 0x11);
  command({0x04, 0x00});
  EXPECT_EQ(result(), Bytes{0x38});
}

TEST_F(I82077Test, ReadsThroughDmaAcrossHeads) {
  seek(5);
  program(0x46 & 0xfc, 0x8000, 1024);
  command({0xe6, 0x00, 5, 0, 18, 2, 18, 0x1b, 0xff});  // MT: sector 18 of head 0, 1 of head 1
  EXPECT_EQ(finished(), (Bytes{0x04, 0, 0, 5, 1, 2, 2}));
  const u64 offset = (u64{5} * 2 * 18 + 17) * 512;
  EXPECT_EQ(std::memcmp(memory->ram() + 0x8000, &image.data[offset], 1024), 0);
}

TEST_F(I82077Test, WritesThroughDmaAndRespectsProtection) {
  for (unsigned i = 0; i < 512; ++i) memory->ram()[0x9000 + i] = static_cast<u8>(i * 3);
  program(0x48, 0x9000, 512);
  command({0xc5, 0x00, 0, 0, 3, 2, 18, 0x1b, 0xff});
  EXPECT_EQ(finished(), (Bytes{0x00, 0, 0, 0, 0, 4, 2}));
  EXPECT_EQ(std::memcmp(&image.data[2 * 512], memory->ram() + 0x9000, 512), 0);
  image.protect = true;
  program(0x48, 0x9000, 512);
  command({0xc5, 0x00, 0, 0, 3, 2, 18, 0x1b, 0xff});
  const Bytes refused = finished();
  EXPECT_EQ(refused[0], 0x40);
  EXPECT_EQ(refused[1], 0x02);
}

TEST_F(I82077Test, ProgrammedTransferEndsWithEndOfCylinder) {
  command({0x03, 0xdf, 0x03});
  command({0x46, 0x00, 0, 0, 17, 2, 18, 0x1b, 0xff});
  Bytes got;
  for (int i = 0; i < 5000 && got.size() < 1024; ++i) {
    run_for(10'000);
    while ((in(0x3f4) & 0xf0) == 0xf0 && got.size() < 1024) got.push_back(in(0x3f5));
  }
  ASSERT_EQ(got.size(), 1024u);
  EXPECT_EQ(std::memcmp(got.data(), &image.data[16 * 512], 1024), 0);
  EXPECT_EQ(finished(), (Bytes{0x40, 0x80, 0, 1, 0, 1, 2}));
}

TEST_F(I82077Test, WrongCylinderRateOrSectorIsNotFound) {
  program(0x44, 0x8000, 512);
  command({0x46, 0x00, 7, 0, 1, 2, 18, 0x1b, 0xff});
  EXPECT_EQ(finished(), (Bytes{0x40, 0x04, 0x10, 7, 0, 1, 2}));
  command({0x46, 0x00, 0, 0, 19, 2, 19, 0x1b, 0xff});
  EXPECT_EQ(finished(), (Bytes{0x40, 0x04, 0x00, 0, 0, 19, 2}));
  out(0x3f7, 2);
  command({0x4a, 0x00});
  EXPECT_EQ(finished()[1], 0x01);
  out(0x3f7, 0);
  command({0x4a, 0x00});
  EXPECT_EQ(finished(), (Bytes{0x00, 0, 0, 0, 0, 1, 2}));
  command({0x46, 0x01, 0, 0, 1, 2, 18, 0x1b, 0xff});  // drive 1 is empty
  EXPECT_EQ(finished()[0], 0x49);
}

TEST_F(I82077Test, FormatsATrack) {
  seek(2, 1);
  Bytes ids;
  for (u8 sector = 1; sector <= 18; ++sector) {
    for (const u8 byte : {u8{2}, u8{1}, sector, u8{2}}) ids.push_back(byte);
  }
  std::memcpy(memory->ram() + 0x5000, ids.data(), ids.size());
  program(0x48, 0x5000, static_cast<u16>(ids.size()));
  command({0x4d, 0x04, 2, 18, 0x54, 0xf6});
  EXPECT_EQ(finished()[0], 0x04);
  const u64 offset = (u64{2} * 2 + 1) * 18 * 512;
  EXPECT_EQ(image.data[offset], 0xf6);
  EXPECT_EQ(image.data[offset + 18 * 512 - 1], 0xf6);
  EXPECT_NE(image.data[offset - 1], 0xf6);
}

TEST_F(I82077Test, DiskChangeLineFallsWithAStep) {
  EXPECT_EQ(in(0x3f7) & 0x80, 0x80);
  seek(1);
  EXPECT_EQ(in(0x3f7) & 0x80, 0x00);
  fdc.set_media(0, nullptr);
  EXPECT_EQ(in(0x3f7) & 0x80, 0x80);
  seek(0);
  EXPECT_EQ(in(0x3f7) & 0x80, 0x80);  // no disk: stays
}

TEST(FloppyGeometry, IsGuessedFromTheSize) {
  EXPECT_EQ(floppy_geometry(160 * 1024).heads, 1);
  EXPECT_EQ(floppy_geometry(360 * 1024).drive_type, 1);
  EXPECT_EQ(floppy_geometry(720 * 1024).sectors, 9);
  EXPECT_EQ(floppy_geometry(1200 * 1024).drive_type, 2);
  EXPECT_EQ(floppy_geometry(1440 * 1024).sectors, 18);
  EXPECT_EQ(floppy_geometry(2880 * 1024).rate, 3);
  EXPECT_EQ(floppy_geometry(100'000).sectors, 18);
}

}  // namespace
}  // namespace dragoman
