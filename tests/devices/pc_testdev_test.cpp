// The test device of the PC, as bare-metal test programs use it.
#include "devices/pc_testdev.h"

#include <gtest/gtest.h>

#include "memory/guest_memory.h"
#include "tests/devices/isa_test_bench.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

class PcTestdevTest : public ::testing::Test, protected IsaTestBench {
 protected:
  PcTestdevTest() {
    (void)log.open("/dev/null");
    std::array<IrqLine, PcTestdev::kIsaLines> lines;
    for (unsigned i = 0; i < lines.size(); ++i) lines[i] = IrqLine(wires, i);
    device = std::make_unique<PcTestdev>(map, ports, log, lines);
  }
  std::unique_ptr<GuestMemory> memory = GuestMemory::create(kMiB).take();
  MemoryMap map{*memory, log};
  std::unique_ptr<PcTestdev> device;
};

TEST_F(PcTestdevTest, ListsItsWholeState) { check_state_list<PcTestdevState>(); }

TEST_F(PcTestdevTest, EchoesPortsInEveryWidth) {
  ports.write(Port(0xe0), 4, 0x12345678);
  EXPECT_EQ(ports.read(Port(0xe0), 4), 0x12345678u);
  EXPECT_EQ(ports.read(Port(0xe2), 2), 0x1234u);
  EXPECT_EQ(in(0xe1), 0x56);
  out(0xe3, 0xab);
  EXPECT_EQ(ports.read(Port(0xe0), 4), 0xab345678u);
  EXPECT_EQ(ports.read(Port(0xe8), 4), 0xab345678u) << "the same register byte by byte";
  ports.write(Port(0xe8), 2, 0x9999);
  EXPECT_EQ(ports.read(Port(0xe0), 4), 0xab349999u);
}

TEST_F(PcTestdevTest, EchoesMemory) {
  const PhysicalAddress at(PcTestdev::kMemoryBase + 0xfff8);
  map.write(at, 8, 0x1122334455667788);
  EXPECT_EQ(map.read(at, 8), 0x1122334455667788u);
  EXPECT_EQ(map.read(PhysicalAddress(PcTestdev::kMemoryBase + 0xfffb), 1), 0x55u);
  map.write(PhysicalAddress(PcTestdev::kMemoryBase), 1, 0x5a);
  EXPECT_EQ(map.read(PhysicalAddress(PcTestdev::kMemoryBase), 4), 0x5au);
}

TEST_F(PcTestdevTest, DrivesInterruptLines) {
  ports.write(Port(0x200b), 4, 1);  // bytes: line 11 up, 12 to 14 down
  EXPECT_TRUE(wires.level[11]);
  EXPECT_EQ(wires.rises[12], 0);
  out(0x200b, 0x80);
  EXPECT_EQ(wires.rises[11], 1) << "any value but zero is high";
  out(0x200b, 0);
  EXPECT_FALSE(wires.level[11]);
  out(0x2010, 1);  // there is no line 16
  out(0x2005, 1);
  device->reset();
  EXPECT_FALSE(wires.level[5]);
}

TEST_F(PcTestdevTest, PageToForgetChangesNothing) {
  ports.write(Port(0xe4), 4, 0x1000);
  EXPECT_EQ(ports.read(Port(0xe4), 4), 0u);
  EXPECT_EQ(device->state().data, 0u);
}

}  // namespace
}  // namespace dragoman
