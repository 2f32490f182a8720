// Virtio devices through a small guest-side driver, legacy and modern.
#include <gtest/gtest.h>

#include <memory>

#include "devices/block/memory_image.h"
#include "devices/virtio/virtio_blk.h"
#include "devices/virtio/virtio_console.h"
#include "devices/virtio/virtio_rng.h"
#include "devices/virtio/virtio_tablet.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

class FakeIrq : public IrqSink {
 public:
  void set_irq(unsigned, bool value) override { level = value; }
  bool level = false;
};

class FakeMsi : public MsiSink {
 public:
  void deliver_msi(u64, u32 data) override { messages.push_back(data); }
  std::vector<u32> messages;
};

class FakeBackend : public CharacterBackend {
 public:
  void send(std::span<const u8> bytes) override { sent.append(bytes.begin(), bytes.end()); }
  void set_receiver(CharacterReceiver* r) override { receiver = r; }
  void receiver_ready() override { ++ready; }
  std::string sent;
  CharacterReceiver* receiver = nullptr;
  int ready = 0;
};

constexpr u16 kPorts = 0xc000;
constexpr u64 kBar = 0xfe000000;
constexpr u64 kMsixBar = 0xfe100000;
constexpr u64 kRing = 0x10000;  // one page aligned area, legacy layout for 256 entries
constexpr u16 kSize = 256;
constexpr u64 kAvailable = kRing + 16 * kSize;
constexpr u64 kUsed = kRing + 0x2000;
constexpr u64 kData = 0x40000;
constexpr u16 kNext = 1, kWrite = 2, kIndirect = 4;

class VirtioTest : public testing::Test {
 protected:
  VirtioTest() : memory_(GuestMemory::create(4 * kMiB).take()), map_(*memory_, log_), ports_(log_) {
    map_.add_memory("ram", PhysicalAddress(0), 4 * kMiB, memory_->ram(), true, true, 0);
    std::vector<u8> bytes(256 * 512);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<u8>(i * 13 + i / 512);
    image_ = std::make_shared<MemoryImage>(std::move(bytes));
  }
  void plug(std::unique_ptr<VirtioPci> device) {
    device_ = std::move(device);
    device_->connect_intx(IrqLine(irq_, 0));
    device_->reset();
    device_->config_write(0x10, 4, kPorts);
    device_->config_write(0x14, 4, kMsixBar);
    device_->config_write(0x20, 4, kBar);
    device_->config_write(0x04, 2, 7);
  }
  void plug_blk(bool read_only = false) {
    if (read_only) image_ = std::make_shared<MemoryImage>(std::vector<u8>(4096), true);
    plug(std::make_unique<VirtioBlk>("virtio-blk", PciSpaces{map_, ports_}, msi_, log_, image_,
                                     "disk-0001"));
  }

  // Registers.
  void out(u16 reg, unsigned size, u32 value) {
    ports_.write(Port(static_cast<u16>(kPorts + reg)), size, value);
  }
  u32 in(u16 reg, unsigned size) { return ports_.read(Port(static_cast<u16>(kPorts + reg)), size); }
  void write(u64 reg, unsigned size, u64 value) {
    map_.write(PhysicalAddress(kBar + reg), size, value);
  }
  u64 read(u64 reg, unsigned size) { return map_.read(PhysicalAddress(kBar + reg), size); }

  void start_legacy() {
    out(18, 1, 3);
    out(4, 4, in(0, 4) & ~(u32{1} << 29));  // without event index
    out(14, 2, 0);
    EXPECT_EQ(in(12, 2), kSize);
    out(8, 4, kRing >> 12);
    out(18, 1, 7);
    legacy_ = true;
  }
  /// `extra` feature bits besides VERSION_1.
  void start_modern(u64 extra = u64{1} << 28, unsigned queue = 0) {
    write(20, 1, 3);
    const u64 features = extra | u64{1} << 32;
    for (u32 i = 0; i < 2; ++i) {
      write(8, 4, i);
      write(12, 4, features >> (32 * i) & 0xffffffff);
    }
    write(20, 1, 11);
    EXPECT_EQ(read(20, 1), 11u);
    write(22, 2, queue);
    write(24, 2, kSize);
    write(32, 8, kRing);
    write(40, 4, kAvailable);
    write(44, 4, 0);
    write(48, 8, kUsed);
    write(28, 2, 1);
    write(20, 1, 15);
    queue_ = queue;
    legacy_ = false;
  }

  // The driver's side of the queue.
  void descriptor(u64 table, u16 index, u64 address, u32 length, u16 flags, u16 next = 0) {
    const PhysicalAddress at(table + 16 * u64{index});
    map_.store<u64>(at, address);
    map_.store<u32>(at + 8, length);
    map_.store<u16>(at + 12, flags);
    map_.store<u16>(at + 14, next);
  }
  void kick() {
    if (legacy_) {
      out(16, 2, 0);
    } else {
      write(0x3000 + 4 * queue_, 2, queue_);
    }
  }
  void submit(u16 head, bool notify = true) {
    map_.store<u16>(PhysicalAddress(kAvailable + 4 + 2 * (available_ % kSize)), head);
    map_.store<u16>(PhysicalAddress(kAvailable + 2), ++available_);
    if (notify) kick();
  }
  u16 used_index() { return map_.load<u16>(PhysicalAddress(kUsed + 2)); }
  u32 used_length() {
    return map_.load<u32>(PhysicalAddress(kUsed + 8 + 8 * ((used_index() - 1u) % kSize)));
  }
  u8 isr() { return static_cast<u8>(legacy_ ? in(19, 1) : read(0x1000, 1)); }
  void header(u32 type, u64 sector) {
    map_.store<u32>(PhysicalAddress(kData), type);
    map_.store<u32>(PhysicalAddress(kData + 4), 0);
    map_.store<u64>(PhysicalAddress(kData + 8), sector);
    map_.store<u8>(PhysicalAddress(kData + 16), 0xee);
  }
  /// One block request with its data at kData + 0x1000; returns the status byte.
  u8 request(u32 type, u64 sector, u32 bytes, bool to_guest) {
    header(type, sector);
    descriptor(kRing, 0, kData, 16, kNext, bytes != 0 ? 1 : 2);
    descriptor(kRing, 1, kData + 0x1000, bytes, static_cast<u16>(kNext | (to_guest ? kWrite : 0)),
               2);
    descriptor(kRing, 2, kData + 16, 1, kWrite);
    submit(0);
    return map_.load<u8>(PhysicalAddress(kData + 16));
  }
  std::vector<u8> ram(u64 at, std::size_t count) {
    std::vector<u8> data(count);
    map_.read_bytes(PhysicalAddress(at), data);
    return data;
  }
  std::vector<u8> sectors(u64 first, u64 count) {
    const auto all = image_->bytes();
    return {all.begin() + static_cast<long>(first * 512),
            all.begin() + static_cast<long>((first + count) * 512)};
  }
  /// The device refused the queue, says so and does nothing until it is reset.
  void expect_needs_reset() {
    EXPECT_EQ(read(20, 1) & 0x40, 0x40u);
    EXPECT_TRUE(irq_.level);
    EXPECT_EQ(isr() & 2, 2);
    const u16 before = used_index();
    submit(0);
    EXPECT_EQ(used_index(), before);
    write(20, 1, 0);
    EXPECT_EQ(read(20, 1), 0u);
    EXPECT_FALSE(irq_.level);
    available_ = 0;
    map_.store<u16>(PhysicalAddress(kAvailable + 2), 0);
    map_.store<u16>(PhysicalAddress(kUsed + 2), 0);
    start_modern();
    EXPECT_EQ(request(0, 0, 512, true), 0) << "works again after the reset";
    isr();
  }

  Log log_;
  std::unique_ptr<GuestMemory> memory_;
  MemoryMap map_;
  PortMap ports_;
  FakeIrq irq_;
  FakeMsi msi_;
  FakeBackend backend_;
  std::shared_ptr<MemoryImage> image_;
  std::unique_ptr<VirtioPci> device_;
  u16 available_ = 0;
  bool legacy_ = false;
  unsigned queue_ = 0;
};

TEST_F(VirtioTest, StateListIsComplete) { check_state_list<VirtioPciState>(); }

TEST_F(VirtioTest, ConfigurationSpaceAndCapabilities) {
  plug_blk();
  EXPECT_EQ(device_->config_read(0, 4), 0x10011af4u);
  EXPECT_EQ(device_->config_read(0x2e, 2), 2u);
  EXPECT_EQ(device_->config_read(0x3d, 1), 1u);
  u32 types = 0;
  bool msix = false;
  for (u8 at = static_cast<u8>(device_->config_read(0x34, 1)); at != 0;
       at = static_cast<u8>(device_->config_read(at + 1, 1))) {
    if (device_->config_read(at, 1) == 9) types |= 1u << device_->config_read(at + 3, 1);
    if (device_->config_read(at, 1) == 0x11) msix = true;
  }
  EXPECT_EQ(types, 0x3eu);
  EXPECT_TRUE(msix);
}

TEST_F(VirtioTest, LegacyBlk) {
  plug_blk();
  EXPECT_EQ(in(20, 4), 256u) << "capacity";
  start_legacy();
  EXPECT_EQ(request(0, 3, 2048, true), 0);
  EXPECT_EQ(used_index(), 1);
  EXPECT_EQ(used_length(), 2049u);
  EXPECT_EQ(ram(kData + 0x1000, 2048), sectors(3, 4));
  EXPECT_TRUE(irq_.level);
  EXPECT_EQ(isr(), 1);
  EXPECT_FALSE(irq_.level);
  EXPECT_EQ(isr(), 0);
  map_.write_bytes(PhysicalAddress(kData + 0x1000), std::vector<u8>(1024, 0x5a));
  EXPECT_EQ(request(1, 10, 1024, false), 0);
  EXPECT_EQ(used_length(), 1u);
  EXPECT_EQ(sectors(10, 2), std::vector<u8>(1024, 0x5a));
  isr();
  map_.store<u16>(PhysicalAddress(kAvailable), 1);  // VRING_AVAIL_F_NO_INTERRUPT
  EXPECT_EQ(request(0, 0, 512, true), 0);
  EXPECT_FALSE(irq_.level);
  out(18, 1, 0);
  EXPECT_EQ(in(8, 4), 0u);
}

TEST_F(VirtioTest, ModernBlkRequests) {
  plug_blk();
  EXPECT_EQ(read(0x2000, 8), 256u);
  EXPECT_EQ(read(0x2014, 4), 512u);
  start_modern();
  EXPECT_EQ(request(0, 0, 512 * 100, true), 0);
  EXPECT_EQ(ram(kData + 0x1000, 512 * 100), sectors(0, 100));
  EXPECT_EQ(request(0, 255, 1024, true), 1) << "past the end";
  EXPECT_EQ(request(0, ~u64{0}, 512, true), 1);
  EXPECT_EQ(request(0, 0, 100, true), 1) << "no whole sector";
  EXPECT_EQ(request(4, 0, 0, false), 0) << "flush";
  EXPECT_EQ(request(8, 0, 20, true), 0) << "id";
  EXPECT_EQ(ram(kData + 0x1000, 10),
            (std::vector<u8>{'d', 'i', 's', 'k', '-', '0', '0', '0', '1', 0}));
  EXPECT_EQ(request(99, 0, 0, false), 2) << "unsupported";
  const auto range = [&](u64 sector, u32 count, u32 flags) {
    map_.store<u64>(PhysicalAddress(kData + 0x1000), sector);
    map_.store<u32>(PhysicalAddress(kData + 0x1008), count);
    map_.store<u32>(PhysicalAddress(kData + 0x100c), flags);
  };
  range(20, 3, 1);
  EXPECT_EQ(request(13, 0, 16, false), 0) << "write zeroes";
  EXPECT_EQ(sectors(20, 3), std::vector<u8>(3 * 512, 0));
  EXPECT_NE(sectors(23, 1), std::vector<u8>(512, 0));
  range(254, 3, 0);
  EXPECT_EQ(request(13, 0, 16, false), 1);
  EXPECT_EQ(request(11, 0, 16, false), 1);
  range(30, 3, 0);
  EXPECT_EQ(request(11, 0, 16, false), 0) << "discard";
  range(30, 3, 1);
  EXPECT_EQ(request(11, 0, 16, false), 2);
  EXPECT_EQ(read(20, 1), 15u);
}

TEST_F(VirtioTest, ReadOnlyBlk) {
  plug_blk(true);
  write(0, 4, 0);
  EXPECT_EQ(read(4, 4) >> 5 & 1, 1u);
  start_modern();
  EXPECT_EQ(request(1, 0, 512, false), 1);
  EXPECT_EQ(request(0, 0, 512, true), 0);
}

TEST_F(VirtioTest, FeatureNegotiation) {
  plug_blk();
  write(0, 4, 1);
  EXPECT_EQ(read(4, 4), 1u) << "VERSION_1";
  write(0, 4, 2);
  EXPECT_EQ(read(4, 4), 0u);
  write(20, 1, 3);
  write(8, 4, 1);
  write(12, 4, 3);  // VERSION_1 and a bit nobody offered
  write(20, 1, 11);
  EXPECT_EQ(read(20, 1), 3u) << "FEATURES_OK refused";
  write(12, 4, 0);
  write(20, 1, 11);
  EXPECT_EQ(read(20, 1), 3u) << "without VERSION_1";
  write(12, 4, 1);
  write(20, 1, 11);
  EXPECT_EQ(read(20, 1), 11u);
  write(22, 2, 1);
  EXPECT_EQ(read(24, 2), 0u) << "no such queue";
}

TEST_F(VirtioTest, IndirectDescriptors) {
  plug_blk();
  start_modern();
  constexpr u64 kTable = 0x50000;
  header(0, 7);
  descriptor(kTable, 0, kData, 16, kNext, 1);
  descriptor(kTable, 1, kData + 0x1000, 512, kNext | kWrite, 2);
  descriptor(kTable, 2, kData + 16, 1, kWrite);
  descriptor(kRing, 9, kTable, 48, kIndirect);
  submit(9);
  EXPECT_EQ(map_.load<u8>(PhysicalAddress(kData + 16)), 0);
  EXPECT_EQ(ram(kData + 0x1000, 512), sectors(7, 1));
  EXPECT_EQ(map_.load<u32>(PhysicalAddress(kUsed + 4)), 9u);
  descriptor(kRing, 9, kTable, 40, kIndirect);  // no multiple of 16
  submit(9);
  expect_needs_reset();
  descriptor(kTable, 0, kTable, 16, kIndirect);  // a table in a table
  descriptor(kRing, 9, kTable, 16, kIndirect);
  submit(9);
  expect_needs_reset();
  descriptor(kTable, 0, kData, 16, kNext, 77);
  descriptor(kRing, 9, kTable, 48, kIndirect);
  submit(9);
  expect_needs_reset();
}

TEST_F(VirtioTest, MalformedChains) {
  plug_blk();
  start_modern();
  const auto try_chain = [&](const char* what) {
    SCOPED_TRACE(what);
    submit(0);
    expect_needs_reset();
  };
  header(0, 0);
  descriptor(kRing, 0, kData, 16, kNext, 1);
  descriptor(kRing, 1, kData + 0x1000, 512, kNext, 0);
  try_chain("loop");
  descriptor(kRing, 0, kData, 16, kNext, kSize);
  try_chain("next out of range");
  descriptor(kRing, 0, kData, 16, kNext, 1);
  descriptor(kRing, 1, kData + 0x1000, 0, kWrite);
  try_chain("length zero");
  descriptor(kRing, 0, kData, 16, kNext | kWrite, 1);
  descriptor(kRing, 1, kData + 0x1000, 512, 0);
  try_chain("readable after writable");
  descriptor(kRing, 0, ~u64{0} - 4, 16, 0);
  try_chain("past the address space");
  descriptor(kRing, 0, kData, 16, kNext, 1);
  descriptor(kRing, 1, 0, 0xffffffff, kWrite);
  try_chain("4 GiB");
  descriptor(kRing, 0, kData, 16, 0);
  try_chain("no status byte");
  descriptor(kRing, 0, kData, 8, kNext, 1);
  descriptor(kRing, 1, kData + 0x1000, 1, kWrite);
  try_chain("no header");
  submit(kSize + 5);
  expect_needs_reset();
  available_ = static_cast<u16>(available_ + 1000);
  submit(0);  // the index jumps
  expect_needs_reset();
}

TEST_F(VirtioTest, BuffersMayNameAnything) {
  plug_blk();
  start_modern();
  // Data into nowhere, into the rings, into the device's own registers: no crash, no hang.
  for (const u64 target :
       {u64{0xd0000000}, kRing, kAvailable, kUsed, kBar + 0x3000, kBar, kMsixBar}) {
    header(0, 0);
    descriptor(kRing, 0, kData, 16, kNext, 1);
    descriptor(kRing, 1, target, 4096, kNext | kWrite, 2);
    descriptor(kRing, 2, kData + 16, 1, kWrite);
    submit(0);
    write(20, 1, 0);
    available_ = 0;
    map_.store<u16>(PhysicalAddress(kAvailable + 2), 0);
    start_modern();
  }
  // Rings in nowhere.
  write(20, 1, 0);
  out(4, 4, 0);
  out(8, 4, 0xfffff);
  out(18, 1, 7);
  out(16, 2, 0);
  SUCCEED();
}

TEST_F(VirtioTest, EventIndex) {
  plug_blk();
  start_modern(u64{1} << 29);
  EXPECT_EQ(request(0, 0, 512, true), 0);
  EXPECT_TRUE(irq_.level);
  isr();
  EXPECT_EQ(map_.load<u16>(PhysicalAddress(kUsed + 4 + 8 * kSize)), 1) << "avail_event";
  map_.store<u16>(PhysicalAddress(kAvailable + 4 + 2 * kSize), 2);  // used_event
  EXPECT_EQ(request(0, 0, 512, true), 0);
  EXPECT_FALSE(irq_.level) << "used index 2: not passed";
  EXPECT_EQ(request(0, 0, 512, true), 0);
  EXPECT_TRUE(irq_.level);
}

TEST_F(VirtioTest, MsixVectors) {
  plug_blk();
  for (unsigned i = 0; i < 2; ++i) {
    map_.write(PhysicalAddress(kMsixBar + 16 * i), 4, 0xfee00000);
    map_.write(PhysicalAddress(kMsixBar + 16 * i + 8), 4, 0x40 + i);
    map_.write(PhysicalAddress(kMsixBar + 16 * i + 12), 4, 0);
  }
  u8 at = static_cast<u8>(device_->config_read(0x34, 1));
  while (device_->config_read(at, 1) != 0x11) at = static_cast<u8>(device_->config_read(at + 1, 1));
  device_->config_write(at + 2, 2, 0x8000);
  write(16, 2, 0);
  write(22, 2, 0);
  write(26, 2, 7);
  EXPECT_EQ(read(26, 2), 0xffffu) << "no such vector";
  write(26, 2, 1);
  EXPECT_EQ(read(26, 2), 1u);
  start_modern();
  EXPECT_EQ(request(0, 0, 512, true), 0);
  EXPECT_EQ(msi_.messages, (std::vector<u32>{0x41}));
  EXPECT_FALSE(irq_.level);
  EXPECT_EQ(isr(), 0);
  submit(kSize);
  EXPECT_EQ(msi_.messages, (std::vector<u32>{0x41, 0x40})) << "configuration change";
  EXPECT_EQ(in(24, 4), 256u) << "legacy configuration moved behind the vectors";
}

TEST_F(VirtioTest, ConfigurationWindow) {
  plug_blk();
  u8 at = static_cast<u8>(device_->config_read(0x34, 1));
  while (device_->config_read(at, 1) != 9 || device_->config_read(at + 3, 1) != 5) {
    at = static_cast<u8>(device_->config_read(at + 1, 1));
  }
  const auto aim = [&](u32 offset, u32 length) {
    device_->config_write(at + 4, 1, 4);
    device_->config_write(at + 8, 4, offset);
    device_->config_write(at + 12, 4, length);
  };
  aim(0x2000, 4);
  EXPECT_EQ(device_->config_read(at + 16, 4), 256u);
  aim(20, 1);
  device_->config_write(at + 16, 1, 3);
  EXPECT_EQ(device_->config_read(at + 16, 1), 3u);
  EXPECT_EQ(read(20, 1), 3u);
  aim(0xfffffff0, 4);
  device_->config_read(at + 16, 4);
  aim(0, 3);
  device_->config_write(at + 16, 4, 1);
  EXPECT_EQ(read(20, 1), 3u);
}

TEST_F(VirtioTest, ModernNeedsBusMaster) {
  plug_blk();
  device_->config_write(0x04, 2, 3);
  start_modern();
  request(0, 0, 512, true);
  EXPECT_EQ(used_index(), 0);
}

TEST_F(VirtioTest, StateMoves) {
  plug_blk();
  start_modern();
  EXPECT_EQ(request(0, 0, 512, true), 0);
  std::vector<u8> saved;
  device_->save(saved);
  device_->reset();
  std::span<const u8> input(saved);
  ASSERT_TRUE(device_->load(input));
  EXPECT_TRUE(irq_.level);
  EXPECT_EQ(request(0, 1, 512, true), 0);
  EXPECT_EQ(used_index(), 2);
}

TEST_F(VirtioTest, Rng) {
  u8 next = 0;
  plug(std::make_unique<VirtioRng>("virtio-rng", PciSpaces{map_, ports_}, msi_, log_,
                                   [&](std::span<u8> out) {
                                     for (u8& byte : out) byte = ++next;
                                   }));
  EXPECT_EQ(device_->config_read(0, 4), 0x10051af4u);
  start_modern();
  descriptor(kRing, 0, kData, 5, kWrite);
  submit(0);
  EXPECT_EQ(used_length(), 5u);
  EXPECT_EQ(ram(kData, 5), (std::vector<u8>{1, 2, 3, 4, 5}));
  descriptor(kRing, 0, kData, 5, 0);
  submit(0);
  EXPECT_EQ(read(20, 1) & 0x40, 0x40u);
}

// VIRTIO 1.1, 5.8: the driver selects parts of the configuration, events are 8 bytes each.
TEST_F(VirtioTest, Tablet) {
  auto made = std::make_unique<VirtioTablet>("virtio-tablet", PciSpaces{map_, ports_}, msi_, log_);
  VirtioTablet& tablet = *made;
  plug(std::move(made));
  EXPECT_EQ(device_->config_read(0, 4), 0x10521af4u);
  const auto select = [&](u8 what, u8 part) {
    write(0x2000, 1, what);
    write(0x2001, 1, part);
    return read(0x2002, 1);
  };
  EXPECT_EQ(select(0x12, 0), 20u) << "absolute X";
  EXPECT_EQ(read(0x2008 + 4, 4), VirtioTablet::kMost);
  EXPECT_EQ(select(0x11, 3), 1u) << "absolute axes";
  EXPECT_EQ(read(0x2008, 1), 3u);
  EXPECT_EQ(select(0x11, 1), 0x114u / 8 + 1) << "buttons";
  EXPECT_EQ(read(0x2008 + 0x110 / 8, 1), 0x1fu);
  EXPECT_EQ(select(0x11, 0x15), 0u);
  EXPECT_GT(select(0x01, 0), 0u);

  EXPECT_FALSE(tablet.ready());
  tablet.move_to(1, 1);
  start_modern();
  EXPECT_TRUE(tablet.ready());
  for (u16 i = 0; i < 4; ++i) {
    descriptor(kRing, i, kData + 8 * i, 8, kWrite);
    submit(i, false);
  }
  const auto event = [&](unsigned i) { return map_.load<u64>(PhysicalAddress(kData + 8 * i)); };
  tablet.move_to(0x1234, 0x99999);
  EXPECT_EQ(used_index(), 3);
  EXPECT_EQ(event(0), 0x00001234'0000'0003u);
  EXPECT_EQ(event(1), 0x00007fff'0001'0003u);
  EXPECT_EQ(event(2), 0u) << "the end of a report";
  EXPECT_TRUE(irq_.level);
  EXPECT_EQ(isr(), 1);

  // One buffer is left: what happens meanwhile comes when there are enough.
  tablet.buttons(2);
  tablet.wheel(-1);
  EXPECT_EQ(used_index(), 3);
  for (u16 i = 0; i < 4; ++i) submit(i);
  EXPECT_EQ(used_index(), 6);
  EXPECT_EQ(map_.load<u64>(PhysicalAddress(kData + 8 * 3)), 0x00000001'0111'0001u);
  EXPECT_EQ(event(0), 0xffffffff'0008'0002u);
  EXPECT_EQ(event(1), 0u);
  tablet.move_to(0x1234, 0x7fff);
  EXPECT_EQ(used_index(), 6) << "nothing has changed";
}

TEST_F(VirtioTest, Console) {
  const auto make = [&] {
    plug(std::make_unique<VirtioConsole>("virtio-console", PciSpaces{map_, ports_}, msi_, log_,
                                         backend_));
  };
  make();
  EXPECT_EQ(device_->config_read(0, 4), 0x10031af4u);
  ASSERT_NE(backend_.receiver, nullptr);
  EXPECT_EQ(backend_.receiver->can_receive(), 0u);
  start_modern(0, 1);
  const std::string text = "hello";
  map_.write_bytes(PhysicalAddress(kData), {reinterpret_cast<const u8*>(text.data()), 5});
  descriptor(kRing, 0, kData, 3, kNext, 1);
  descriptor(kRing, 1, kData + 3, 2, 0);
  submit(0);
  EXPECT_EQ(backend_.sent, "hello");
  EXPECT_EQ(used_index(), 1);

  device_.reset();
  EXPECT_EQ(backend_.receiver, nullptr);
  make();
  available_ = 0;
  map_.store<u16>(PhysicalAddress(kAvailable + 2), 0);
  map_.store<u16>(PhysicalAddress(kUsed + 2), 0);
  start_modern(0, 0);
  descriptor(kRing, 0, kData, 2, kWrite);
  descriptor(kRing, 1, kData + 2, 8, kWrite);
  const int ready = backend_.ready;
  submit(0);
  submit(1);
  EXPECT_EQ(backend_.ready, ready + 2);
  EXPECT_EQ(backend_.receiver->can_receive(), 2u);
  backend_.receiver->receive(std::array<u8, 3>{'a', 'b', 'c'});
  EXPECT_EQ(ram(kData, 3), (std::vector<u8>{'a', 'b', 'c'}));
  EXPECT_EQ(used_index(), 2);
  EXPECT_EQ(used_length(), 1u);
  EXPECT_TRUE(irq_.level);
  EXPECT_EQ(backend_.receiver->can_receive(), 0u);
}

}  // namespace
}  // namespace dragoman
