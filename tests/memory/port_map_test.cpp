#include "memory/port_map.h"

#include <gtest/gtest.h>

#include <vector>

namespace dragoman {
namespace {

struct RecordingPorts : PortHandler {
  struct Access {
    bool write;
    unsigned bank;
    u16 offset;
    unsigned size;
    u32 value;
    bool operator==(const Access&) const = default;
  };
  std::vector<Access> seen;
  u32 base = 0;

  /// Every port reads as its own offset (plus `base`).
  u32 port_read(unsigned bank, u16 offset, unsigned size) override {
    seen.push_back({false, bank, offset, size, 0});
    u32 value = 0;
    for (unsigned i = 0; i < size; ++i) value |= ((base + offset + i) & 0xff) << (8 * i);
    return value;
  }
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override {
    seen.push_back({true, bank, offset, size, value});
  }
};

struct PortMapTest : testing::Test {
  using Access = RecordingPorts::Access;
  Log log;
  PortMap ports{log};
  RecordingPorts device;
};

TEST_F(PortMapTest, UnclaimedPortsReadAllOnes) {
  EXPECT_EQ(ports.read(Port(0x80), 1), 0xffu);
  EXPECT_EQ(ports.read(Port(0x80), 2), 0xffffu);
  EXPECT_EQ(ports.read(Port(0x80), 4), 0xffffffffu);
  ports.write(Port(0x80), 4, 0);
}

TEST_F(PortMapTest, DevicesSeeOffsetsAndBanks) {
  ports.add("dev", Port(0x3f8), 8, device, 5);
  EXPECT_EQ(ports.read(Port(0x3fa), 1), 2u);
  ports.write(Port(0x3ff), 1, 0x1ab);
  EXPECT_EQ(device.seen, (std::vector<Access>{{false, 5, 2, 1, 0}, {true, 5, 7, 1, 0xab}}));
}

TEST_F(PortMapTest, WideAccessesToByteDevicesAreSplitLowestFirst) {
  ports.add("dev", Port(0x40), 4, device, 0, 1);
  EXPECT_EQ(ports.read(Port(0x40), 4), 0x03020100u);
  ports.write(Port(0x41), 2, 0xbbaa);
  EXPECT_EQ(device.seen, (std::vector<Access>{{false, 0, 0, 1, 0},
                                              {false, 0, 1, 1, 0},
                                              {false, 0, 2, 1, 0},
                                              {false, 0, 3, 1, 0},
                                              {true, 0, 1, 1, 0xaa},
                                              {true, 0, 2, 1, 0xbb}}));
}

TEST_F(PortMapTest, WideAccessesToWordDevicesAreSplitIntoWords) {
  ports.add("dev", Port(0x1f0), 8, device, 0, 2);
  EXPECT_EQ(ports.read(Port(0x1f0), 4), 0x03020100u);
  ports.write(Port(0x1f0), 4, 0x44332211);
  EXPECT_EQ(device.seen, (std::vector<Access>{{false, 0, 0, 2, 0},
                                              {false, 0, 2, 2, 0},
                                              {true, 0, 0, 2, 0x2211},
                                              {true, 0, 2, 2, 0x4433}}));
}

TEST_F(PortMapTest, WideDevicesGetWholeAccesses) {
  ports.add("dev", Port(0xcf8), 8, device, 0, 4);
  ports.write(Port(0xcf8), 4, 0x80000000);
  ports.write(Port(0xcfd), 2, 0x1234);
  EXPECT_EQ(device.seen,
            (std::vector<Access>{{true, 0, 0, 4, 0x80000000}, {true, 0, 5, 2, 0x1234}}));
}

TEST_F(PortMapTest, AccessesAcrossTwoDevicesReachBoth) {
  RecordingPorts other;
  other.base = 0xf0;
  ports.add("one", Port(0x60), 2, device, 0, 4);
  ports.add("two", Port(0x62), 2, other, 0, 4);
  EXPECT_EQ(ports.read(Port(0x60), 4), 0xf1f00100u);
  EXPECT_EQ(ports.read(Port(0x63), 2), 0xfff1u);  // 64h is nobody's
}

TEST_F(PortMapTest, TheLaterClaimHidesTheEarlierUntilDisabled) {
  RecordingPorts other;
  other.base = 0x40;
  ports.add("one", Port(0x70), 2, device);
  const PortRangeId two = ports.add("two", Port(0x71), 1, other);
  EXPECT_EQ(ports.read(Port(0x70), 2), 0x4000u);
  ports.set_enabled(two, false);
  EXPECT_EQ(ports.read(Port(0x71), 1), 1u);
}

TEST_F(PortMapTest, MovedRangesLeaveNothingBehind) {
  const PortRangeId bar = ports.add("bar", Port(0xc000), 16, device, 0, 4);
  ports.move(bar, Port(0xd000));
  EXPECT_EQ(ports.read(Port(0xc004), 1), 0xffu);
  EXPECT_EQ(ports.read(Port(0xd004), 1), 4u);
}

TEST_F(PortMapTest, RangesAddedDisabledAppearWhenEnabled) {
  const PortRangeId bar = ports.add("bar", Port(0xc000), 16, device, 0, 4, /*enabled=*/false);
  EXPECT_EQ(ports.read(Port(0xc000), 4), 0xffffffffu);
  ports.move(bar, Port(0xc100));
  ports.set_enabled(bar, true);
  EXPECT_EQ(ports.read(Port(0xc100), 4), 0x03020100u);
}

TEST_F(PortMapTest, TheEndOfPortSpaceIsSafe) {
  const PortRangeId bar = ports.add("bar", Port(0xfffe), 2, device, 0, 4);
  EXPECT_EQ(ports.read(Port(0xffff), 1), 1u);
  EXPECT_EQ(ports.read(Port(0xfffe), 4) & 0xffff, 0x0100u);
  ports.write(Port(0xffff), 4, 0);
  ports.move(bar, Port(0xffff));  // half of it has no port
  EXPECT_EQ(ports.read(Port(0xffff), 1), 0u);
  for (const Access& access : device.seen) EXPECT_LT(access.offset + access.size, 3u);
}

}  // namespace
}  // namespace dragoman
