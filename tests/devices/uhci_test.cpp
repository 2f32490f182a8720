// The UHCI controller and the tablet on it, as a driver sees them: descriptors in memory, frames.
#include "devices/usb/uhci.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "devices/usb/usb_tablet.h"
#include "tests/devices/pci_test_bench.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

constexpr u16 kBase = 0xc000;
constexpr u32 kFrames = 0x10000, kQueue = 0x11000, kTds = 0x12000, kBuffer = 0x20000;
constexpr u64 kMs = 1'000'000;
constexpr u8 kIn = 0x69, kOut = 0xe1, kSetup = 0x2d;
constexpr u32 kActive = 1u << 23, kStalled = 1u << 22, kNak = 1u << 19, kTimeout = 1u << 18;

class UhciTest : public testing::Test, protected PciTestBench {
 protected:
  UhciTest() {
    memory.add_memory("ram", PhysicalAddress(0), pool->ram_size(), pool->ram(), true, true, 0);
    bus.attach(1, 2, uhci);
    uhci.connect_intx(IrqLine(irq, 0));
    EXPECT_TRUE(uhci.attach(tablet));
    tablet.reset();
    uhci.reset();
    config_write(1, 2, 0x20, 4, kBase);
    config_write(1, 2, 0x04, 2, 5);
  }
  u32 in(u16 offset, unsigned size = 2) {
    return ports.read(Port(static_cast<u16>(kBase + offset)), size);
  }
  void out(u16 offset, u32 value, unsigned size = 2) {
    ports.write(Port(static_cast<u16>(kBase + offset)), size, value);
  }
  u32 peek(u32 at) { return memory.load<u32>(PhysicalAddress(at)); }
  void poke(u32 at, u32 value) { memory.store<u32>(PhysicalAddress(at), value); }
  void pass(u64 ms) { run_until(clock.now + ms * kMs); }

  /// Every frame leads to one queue, which is empty.
  void start() {
    for (u32 i = 0; i < 1024; ++i) poke(kFrames + 4 * i, kQueue | 2);
    poke(kQueue, 1);
    poke(kQueue + 4, 1);
    out(0x08, kFrames, 4);
    out(0x04, 0xf);
    out(0x00, 0x01);
    out(0x10, 0x0200);  // reset of the port
    out(0x10, 0x0000);
    out(0x10, 0x0006);  // enabled; the change of connection is taken
  }
  u32 token(u8 pid, unsigned endpoint, unsigned length) {
    return ((length - 1) & 0x7ff) << 21 | endpoint << 15 | u32{address} << 8 | pid;
  }
  struct Part {
    u8 pid;
    unsigned endpoint, length;
    u32 buffer;
  };
  /// Queues the parts, the last with an interrupt on completion.
  void queue(const std::vector<Part>& parts, u32 extra = 0) {
    for (u32 i = 0; i < parts.size(); ++i) {
      const u32 at = kTds + 32 * i;
      const bool last = i + 1 == parts.size();
      poke(at, last ? 1 : (at + 32) | 4);
      poke(at + 4, kActive | 3u << 27 | (last ? 1u << 24 : 0) | extra);
      poke(at + 8, token(parts[i].pid, parts[i].endpoint, parts[i].length));
      poke(at + 12, parts[i].buffer);
    }
    poke(kQueue + 4, kTds);
  }
  u32 status_of(unsigned i) { return peek(kTds + 32 * i + 4); }
  unsigned length_of(unsigned i) { return (status_of(i) + 1) & 0x7ff; }

  void put_setup(const std::array<u8, 8>& bytes) {
    memory.write_bytes(PhysicalAddress(kBuffer), bytes);
  }
  /// A request to the host; nothing if it was refused.
  std::optional<std::vector<u8>> ask(const std::array<u8, 8>& setup) {
    put_setup(setup);
    const unsigned wanted = setup[6] | setup[7] << 8;
    std::vector<Part> parts{{kSetup, 0, 8, kBuffer}};
    for (unsigned at = 0; at < wanted; at += 64) {
      parts.push_back({kIn, 0, std::min(64u, wanted - at), kBuffer + 0x100 + at});
    }
    parts.push_back({kOut, 0, 0, kBuffer});
    queue(parts);
    pass(9);
    std::vector<u8> data;
    for (unsigned i = 1; i + 1 < parts.size(); ++i) {
      if ((status_of(i) & kStalled) != 0) return {};
      EXPECT_EQ(status_of(i) & kActive, 0u);
      std::vector<u8> part(length_of(i));
      memory.read_bytes(PhysicalAddress(parts[i].buffer), part);
      data.insert(data.end(), part.begin(), part.end());
    }
    EXPECT_EQ(status_of(static_cast<unsigned>(parts.size()) - 1) & kActive, 0u);
    return data;
  }
  bool tell(const std::array<u8, 8>& setup) {
    put_setup(setup);
    queue({{kSetup, 0, 8, kBuffer}, {kIn, 0, 0, kBuffer + 0x100}});
    pass(9);
    return (status_of(1) & (kActive | kStalled)) == 0;
  }
  void configure() {
    start();
    ASSERT_TRUE(tell({0, 5, 9, 0, 0, 0, 0, 0}));
    address = 9;
    ASSERT_TRUE(tell({0, 9, 1, 0, 0, 0, 0, 0}));
  }
  /// Polls the interrupt endpoint; empty: NAK.
  std::vector<u8> poll() {
    queue({{kIn, 1, 8, kBuffer}});
    pass(9);
    if ((status_of(0) & kActive) != 0) {
      EXPECT_NE(status_of(0) & kNak, 0u);
      return {};
    }
    std::vector<u8> report(length_of(0));
    memory.read_bytes(PhysicalAddress(kBuffer), report);
    return report;
  }

  IrqRecorder irq;
  PciBus bus{"pci", ports};
  UsbTablet tablet{"usb-tablet", scheduler};
  Uhci uhci{"uhci", spaces, scheduler, log, Uhci::kPiix3, 4};
  u8 address = 0;
};

TEST_F(UhciTest, StateListsAreComplete) {
  check_state_list<UhciState>();
  check_state_list<UsbTabletState>();
  check_state_list<UsbControlState>();
}

TEST_F(UhciTest, RegistersAndPorts) {
  EXPECT_EQ(config_read(1, 2, 0, 4), 0x70208086u);
  EXPECT_EQ(config_read(1, 2, 8, 4) >> 8, 0x0c0300u);
  EXPECT_EQ(config_read(1, 2, 0x3d, 1), 4u);
  EXPECT_EQ(config_read(1, 2, 0x60, 1), 0x10u);
  EXPECT_EQ(in(0x02), 0x20u) << "halted";
  EXPECT_EQ(in(0x0c, 1), 0x40u);
  EXPECT_EQ(in(0x10), 0x93u) << "something full-speed was plugged in";
  EXPECT_EQ(in(0x12), 0x80u) << "an empty port";
  EXPECT_EQ(in(0x14) & 0x80, 0u) << "no third port";
  out(0x12, 4);
  EXPECT_EQ(in(0x12), 0x80u) << "an empty port cannot be enabled";
  out(0x10, 4);
  EXPECT_EQ(in(0x10), 0x97u);
  out(0x10, 6);
  EXPECT_EQ(in(0x10), 0x95u);
  out(0x10, 0x204);
  EXPECT_EQ(in(0x10), 0x281u) << "a reset disables";
  out(0x06, 0x1234);
  EXPECT_EQ(in(0x06), 0x234u);
  out(0x08, 0x12345fff, 4);
  EXPECT_EQ(in(0x08, 4), 0x12345000u);
  out(0x00, 2);
  EXPECT_EQ(in(0x08, 4), 0u) << "host controller reset";
  EXPECT_EQ(in(0x00), 0u);
}

TEST_F(UhciTest, FramesCount) {
  start();
  EXPECT_EQ(in(0x02), 0u);
  pass(5);
  EXPECT_EQ(in(0x06), 5u);
  pass(1000);
  EXPECT_EQ(in(0x06), 1005u) << "also while nothing moves";
  pass(10'000);
  EXPECT_EQ(in(0x06), 11005u % 2048);
  out(0x00, 0);
  EXPECT_EQ(in(0x02), 0x20u);
  pass(10);
  EXPECT_EQ(in(0x06), 11005u % 2048);
}

TEST_F(UhciTest, Enumeration) {
  start();
  const auto device = ask({0x80, 6, 0, 1, 0, 0, 64, 0}).value();
  ASSERT_EQ(device.size(), 18u);
  EXPECT_EQ(device[0], 18);
  EXPECT_EQ(device[7], 64) << "packet size of endpoint 0";
  EXPECT_TRUE(irq.levels[0]);
  EXPECT_EQ(in(0x02), 1u);
  out(0x02, 1);
  EXPECT_FALSE(irq.levels[0]);

  EXPECT_TRUE(tell({0, 5, 9, 0, 0, 0, 0, 0}));
  EXPECT_EQ(status_of(1) & kActive, 0u) << "the status stage of SET_ADDRESS has the old address";
  EXPECT_FALSE(tell({0, 9, 1, 0, 0, 0, 0, 0})) << "nobody is at address 0 now";
  EXPECT_EQ(status_of(0) & (kActive | kStalled | kTimeout | 3u << 27), kStalled | kTimeout)
      << "three attempts";
  EXPECT_EQ(in(0x02) & 2, 2u);
  address = 9;

  EXPECT_FALSE(ask({0x81, 6, 0, 0x22, 0, 0, 64, 0})) << "not configured";
  const auto head = ask({0x80, 6, 0, 2, 0, 0, 9, 0}).value();
  ASSERT_EQ(head.size(), 9u);
  const auto all = ask({0x80, 6, 0, 2, 0, 0, 255, 0}).value();
  ASSERT_EQ(all.size(), head[2] | head[3] << 8);
  // Each descriptor leads to the next, and they fill the whole.
  std::size_t at = 0;
  std::vector<u8> types;
  for (; at < all.size(); at += all[at]) types.push_back(all[at + 1]);
  EXPECT_EQ(at, all.size());
  EXPECT_EQ(types, (std::vector<u8>{2, 4, 0x21, 5}));
  EXPECT_TRUE(tell({0, 9, 1, 0, 0, 0, 0, 0}));
  EXPECT_EQ(ask({0x80, 8, 0, 0, 0, 0, 1, 0}).value(), std::vector<u8>{1});
  const auto report = ask({0x81, 6, 0, 0x22, 0, 0, 255, 0}).value();
  EXPECT_EQ(report.size(), all[9 + 9 + 7]) << "as the HID descriptor says";
  EXPECT_EQ(ask({0x80, 6, 2, 3, 9, 4, 255, 0}).value()[2], 'D');
  EXPECT_FALSE(ask({0x80, 6, 9, 3, 9, 4, 255, 0})) << "no such string";
  EXPECT_TRUE(tell({0x80, 6, 0, 1, 0, 0, 0, 0})) << "a question that wants no answer";
  EXPECT_FALSE(ask({0xc0, 1, 0, 0, 0, 0, 8, 0})) << "no vendor requests";
  EXPECT_EQ(ask({0x80, 6, 0, 1, 0, 0, 64, 0}).value(), device)
      << "a stall ends with the next SETUP";
}

TEST_F(UhciTest, TabletReports) {
  EXPECT_FALSE(tablet.ready());
  configure();
  EXPECT_FALSE(tablet.ready()) << "nobody listens yet";
  EXPECT_TRUE(poll().empty());
  EXPECT_TRUE(tablet.ready());
  tablet.move_to(0x1234, 0x99999);
  EXPECT_EQ(poll(), (std::vector<u8>{0, 0x34, 0x12, 0xff, 0x7f, 0}));
  EXPECT_TRUE(poll().empty()) << "nothing has changed since";
  tablet.move_to(0x1234, 0x7fff);
  EXPECT_TRUE(poll().empty());

  // Movements become one, but what is pressed is pressed where the pointer was.
  tablet.move_to(1, 1);
  tablet.move_to(2, 2);
  tablet.buttons(1);
  tablet.move_to(3, 3);
  tablet.move_to(4, 4);
  tablet.buttons(0);
  tablet.wheel(1);
  tablet.wheel(-3);
  EXPECT_EQ(poll(), (std::vector<u8>{0, 2, 0, 2, 0, 0}));
  EXPECT_EQ(poll(), (std::vector<u8>{1, 2, 0, 2, 0, 0}));
  EXPECT_EQ(poll(), (std::vector<u8>{1, 4, 0, 4, 0, 0}));
  EXPECT_EQ(poll(), (std::vector<u8>{0, 4, 0, 4, 0, 0}));
  EXPECT_EQ(poll(), (std::vector<u8>{0, 4, 0, 4, 0, 0xfe}));
  EXPECT_TRUE(poll().empty());
  for (unsigned i = 0; i < 100; ++i) tablet.buttons(i & 1);  // more than there is room for
  unsigned reports = 0;
  std::vector<u8> last;
  for (auto report = poll(); !report.empty(); report = poll(), ++reports) last = report;
  EXPECT_EQ(reports, UsbTabletState::kReports);
  EXPECT_EQ(last[0], 1) << "the newest is not lost";

  // SET_IDLE: a report every 40 ms though nothing changes.
  ASSERT_TRUE(tell({0x21, 10, 0, 10, 0, 0, 0, 0}));
  EXPECT_TRUE(poll().empty());
  pass(40);
  EXPECT_EQ(status_of(0) & kActive, 0u);
  out(0x00, 0);
  pass(600);
  EXPECT_FALSE(tablet.ready()) << "the driver has stopped";
}

TEST_F(UhciTest, ShortPacketsAndBreadth) {
  configure();
  EXPECT_TRUE(poll().empty());
  tablet.move_to(5, 5);
  EXPECT_EQ(poll().size(), 6u);
  out(0x02, 0x3f);
  // With short packet detection the queue stays where it is.
  tablet.move_to(7, 7);
  queue({{kIn, 1, 8, kBuffer}, {kIn, 1, 8, kBuffer + 8}}, 1u << 29);
  pass(9);
  EXPECT_EQ(status_of(0) & kActive, 0u);
  EXPECT_EQ(peek(kQueue + 4), kTds);
  EXPECT_EQ(in(0x02), 1u);
  EXPECT_TRUE(irq.levels[0]);
  out(0x04, 0x7);
  EXPECT_FALSE(irq.levels[0]) << "short packets do not interrupt any more";
}

TEST_F(UhciTest, WakesASleepingBus) {
  configure();
  EXPECT_TRUE(poll().empty());
  tablet.move_to(1, 1);
  EXPECT_EQ(in(0x02) & 4, 0u);
  ASSERT_TRUE(tell({0, 3, 1, 0, 0, 0, 0, 0}));  // SET_FEATURE: may wake the host
  out(0x00, 0x08);                              // stopped and suspended
  out(0x02, 0x3f);
  pass(1000);
  EXPECT_TRUE(tablet.ready());
  tablet.move_to(2, 2);
  EXPECT_EQ(in(0x02) & 4, 4u);
  EXPECT_EQ(in(0x10) & 0x40, 0x40u);
  EXPECT_TRUE(irq.levels[0]);
}

TEST_F(UhciTest, CirclesAndNonsenseEnd) {
  start();
  // The queue leads back to itself, and so does a descriptor that is not active.
  poke(kQueue, kQueue | 2);
  pass(20);
  EXPECT_EQ(in(0x02), 0u);
  for (u32 i = 0; i < 1024; ++i) poke(kFrames + 4 * i, kTds);
  poke(kTds, kTds);
  poke(kTds + 4, 0);
  pass(20);
  EXPECT_EQ(in(0x02), 0u);
  // A packet ID that is none stops the controller.
  poke(kTds + 4, kActive);
  poke(kTds + 8, 0x12);
  pass(20);
  EXPECT_EQ(in(0x02), 0x30u);
  EXPECT_TRUE(irq.levels[0]);
}

TEST_F(UhciTest, SurvivesRandomSchedules) {
  for (u64 seed = 1; seed <= 40; ++seed) {
    SplitMix64 random(seed);
    uhci.reset();
    config_write(1, 2, 0x20, 4, kBase);
    config_write(1, 2, 0x04, 2, 5);
    address = 0;
    start();
    for (u32 at = kFrames; at < kTds + 0x1000; at += 4) {
      const u64 r = random.next();
      switch (r & 3) {
        case 0:
          poke(at, kFrames + static_cast<u32>(r >> 8 & 0x2fff));
          break;
        case 1:
          poke(at, static_cast<u32>(r >> 32));
          break;
        case 2:
          poke(at, kActive | static_cast<u32>(r >> 32 & 0x3f000000));
          break;
        default:
          poke(at, token(r >> 8 & 1 ? kIn : r >> 9 & 1 ? kOut : kSetup, r >> 10 & 1, r >> 16 & 63));
      }
    }
    pass(30);
    for (unsigned i = 0; i < 200; ++i) {
      const u64 r = random.next();
      out(static_cast<u16>(r & 0x1f & ~((r >> 6 & 1) ? 3u : 1u)), static_cast<u32>(r >> 32),
          r >> 6 & 1 ? 4 : 2);
      pass(r >> 8 & 3);
    }
  }
}

}  // namespace
}  // namespace dragoman
