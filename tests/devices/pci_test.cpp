// Configuration space, BARs, the bus, MSI-X.
#include <gtest/gtest.h>

#include "devices/pci/msix.h"
#include "tests/devices/pci_test_bench.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

struct TestState {
  MsixState msix;
  u64 value = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"msix", &TestState::msix}, Field{"value", &TestState::value}};
  }
};

class SinkRecorder : public MsiSink {
 public:
  void deliver_msi(u64 address, u32 data) override { messages.emplace_back(address, data); }
  std::vector<std::pair<u64, u32>> messages;
};

class TestFunction : public StatefulPciFunction<TestState>, public MmioHandler, public PortHandler {
 public:
  TestFunction(const PciSpaces& spaces, MsiSink& sink, u8* video, u8* rom)
      : StatefulPciFunction("test", spaces,
                            {.vendor = 0x1234,
                             .device = 0x5678,
                             .class_code = 0x010203,
                             .revision = 7,
                             .interrupt_pin = 1}),
        msix(*this, state_.msix, sink, 3, 5) {
    add_io_bar(0, 32, *this, 10, 4);
    add_memory_bar(1, 0x10000, *this, 11);
    add_memory_bar(2, 0x4000, *this, 12, true, true);
    add_host_memory_bar(4, kMiB, video);
    add_rom_bar(0x10000, rom);
    reset();
  }
  u64 mmio_read(unsigned bank, u64 offset, unsigned) override { return bank << 16 | offset; }
  void mmio_write(unsigned, u64, unsigned, u64 v) override { state_.value = v; }
  u32 port_read(unsigned bank, u16 offset, unsigned) override { return bank << 16 | offset; }
  void port_write(unsigned, u16, unsigned, u32 v) override { state_.value = v; }
  void config_written(u8, unsigned) override { msix.config_written(); }
  Msix msix;
};

class PciTest : public testing::Test, protected PciTestBench {
 protected:
  PciTest() {
    bus.connect_pirqs(pirqs);
    bus.attach(3, 0, function);
  }
  u32 get(unsigned reg, unsigned size = 4) { return config_read(3, 0, reg, size); }
  void set(unsigned reg, u32 value, unsigned size = 4) { config_write(3, 0, reg, size, value); }

  IrqRecorder pirqs;
  SinkRecorder sink;
  u8* video = pool->allocate(kMiB);
  u8* rom = pool->allocate(0x10000);
  PciBus bus{"pci", ports};
  TestFunction function{spaces, sink, video, rom};
};

TEST_F(PciTest, StateListsAreComplete) {
  check_state_list<PciConfigState>();
  check_state_list<PciBusState>();
  check_state_list<MsixState>();
}

TEST_F(PciTest, IdentityIsReadOnlyAndReadableAtAnyWidth) {
  set(0, 0xffffffff);
  set(8, 0xffffffff);
  EXPECT_EQ(get(0), 0x56781234u);
  EXPECT_EQ(get(2, 2), 0x5678u);
  EXPECT_EQ(get(8), 0x01020307u);
  EXPECT_EQ(get(0x0b, 1), 0x01u);
  EXPECT_EQ(get(0x2c), 0x11001af4u);
  EXPECT_EQ(get(0x3d, 1), 1u);
}

TEST_F(PciTest, AbsentFunctionsReadAllOnes) {
  EXPECT_EQ(config_read(4, 0, 0, 4), 0xffffffffu);
  EXPECT_EQ(config_read(3, 1, 0, 2), 0xffffu);
  ports.write(Port(0xcf8), 4, 0x80010000 | 3 << 11);  // bus 1
  EXPECT_EQ(ports.read(Port(0xcfc), 4), 0xffffffffu);
  ports.write(Port(0xcf8), 4, 3 << 11);  // not enabled
  EXPECT_EQ(ports.read(Port(0xcfc), 4), 0xffffffffu);
}

TEST_F(PciTest, AddressRegisterTakesDwordsOnly) {
  ports.write(Port(0xcf8), 4, 0x80001804);
  ports.write(Port(0xcf8), 1, 0x55);
  EXPECT_EQ(ports.read(Port(0xcf8), 4), 0x80001804u);
}

TEST_F(PciTest, BarSizing) {
  for (unsigned reg = 0x10; reg <= 0x24; reg += 4) set(reg, 0xffffffff);
  set(0x30, 0xfffff800);
  EXPECT_EQ(get(0x10), 0xffffffe1u);
  EXPECT_EQ(get(0x14), 0xffff0000u);
  EXPECT_EQ(get(0x18), 0xffffc00cu);  // 64 bit, prefetchable
  EXPECT_EQ(get(0x1c), 0xffffffffu);
  EXPECT_EQ(get(0x20), 0xfff00008u);
  EXPECT_EQ(get(0x30), 0xffff0000u);
}

TEST_F(PciTest, RangesFollowBarsAndCommand) {
  set(0x10, 0xc000);
  set(0x14, 0xe0000000);
  EXPECT_EQ(ports.read(Port(0xc004), 4), 0xffffffffu);
  EXPECT_EQ(memory.read(PhysicalAddress(0xe0000010), 4), 0xffffffffu);
  set(4, 1, 2);
  EXPECT_EQ(ports.read(Port(0xc004), 4), 0xa0004u);
  EXPECT_EQ(memory.read(PhysicalAddress(0xe0000010), 4), 0xffffffffu);
  set(4, 3, 2);
  EXPECT_EQ(memory.read(PhysicalAddress(0xe0000010), 4), 0xb0010u);
  set(0x10, 0xd000);
  EXPECT_EQ(ports.read(Port(0xc004), 4), 0xffffffffu);
  EXPECT_EQ(ports.read(Port(0xd004), 4), 0xa0004u);
  set(0x14, 0);
  EXPECT_EQ(memory.read(PhysicalAddress(0xe0000010), 4), 0xffffffffu);
}

TEST_F(PciTest, SixtyFourBitBarLiesAbove4GiB) {
  set(4, 2, 2);
  set(0x18, 0x4000);
  set(0x1c, 2);
  EXPECT_EQ(memory.read(PhysicalAddress(0x200004008), 4), 0xc0008u);
  EXPECT_EQ(memory.read(PhysicalAddress(0x4008), 4), 0xffffffffu);
}

TEST_F(PciTest, RamHidesBars) {
  memory.add_memory("ram", PhysicalAddress(0), kMiB, pool->ram(), true, true,
                    MemoryMap::kPriorityRam);
  set(4, 2, 2);
  set(0x14, 0x10000);
  EXPECT_EQ(memory.read(PhysicalAddress(0x10010), 4), 0u);
}

TEST_F(PciTest, VideoMemoryAndRom) {
  rom[0] = 0x55;
  set(4, 2, 2);
  set(0x20, 0xd0000000);
  memory.write(PhysicalAddress(0xd0000100), 4, 0x12345678);
  EXPECT_EQ(video[0x100], 0x78);
  set(0x30, 0xc8000000);
  EXPECT_EQ(memory.read(PhysicalAddress(0xc8000000), 1), 0xffu);
  set(0x30, 0xc8000001);
  EXPECT_EQ(memory.read(PhysicalAddress(0xc8000000), 1), 0x55u);
  memory.write(PhysicalAddress(0xc8000000), 1, 0);
  EXPECT_EQ(rom[0], 0x55);
}

TEST_F(PciTest, IntxSwizzleDisableAndStatus) {
  function.set_intx(true);
  const unsigned pirq = bus.pirq_of(3, 0);
  EXPECT_EQ(pirq, 2u);
  EXPECT_TRUE(pirqs.levels[pirq]);
  EXPECT_EQ(get(6, 2) & 8, 8u);
  set(4, 0x400, 2);
  EXPECT_FALSE(pirqs.levels[pirq]);
  EXPECT_EQ(get(6, 2) & 8, 8u);
  set(4, 0, 2);
  EXPECT_TRUE(pirqs.levels[pirq]);
  function.reset();
  EXPECT_FALSE(pirqs.levels[pirq]);
}

TEST_F(PciTest, FunctionsSharingAPirqAreOred) {
  TestFunction other(spaces, sink, pool->allocate(kMiB), pool->allocate(0x10000));
  bus.attach(7, 0, other);  // slot 7 has the same wiring as slot 3
  function.set_intx(true);
  other.set_intx(true);
  function.set_intx(false);
  EXPECT_TRUE(pirqs.levels[2]);
  other.set_intx(false);
  EXPECT_FALSE(pirqs.levels[2]);
}

TEST_F(PciTest, SaveAndLoadRestoreMappingsAndLine) {
  set(0x10, 0xc000);
  set(4, 1, 2);
  ports.write(Port(0xc000), 4, 77);
  function.set_intx(true);
  std::vector<u8> saved;
  function.save(saved);
  function.reset();
  EXPECT_EQ(function.state().value, 0u);
  EXPECT_EQ(ports.read(Port(0xc004), 4), 0xffffffffu);
  std::span<const u8> in(saved);
  ASSERT_TRUE(function.load(in).ok());
  EXPECT_TRUE(in.empty());
  EXPECT_EQ(function.state().value, 77u);
  EXPECT_EQ(ports.read(Port(0xc004), 4), 0xa0004u);
  EXPECT_TRUE(pirqs.levels[2]);
  // A damaged state can neither change the identity nor be half loaded.
  std::fill(saved.begin(), saved.begin() + 16, u8{0xff});
  in = saved;
  ASSERT_TRUE(function.load(in).ok());
  EXPECT_EQ(get(0), 0x56781234u);
  saved.pop_back();
  in = saved;
  EXPECT_FALSE(function.load(in).ok());
}

class MsixTest : public PciTest {
 protected:
  MsixTest() {
    set(4, 6, 2);
    set(0x24, 0xe1000000);
    capability = get(0x34, 1);
    for (unsigned v = 0; v < 3; ++v) {
      memory.write(PhysicalAddress(0xe1000000 + 16 * v), 4, 0xfee00000 | v << 12);
      memory.write(PhysicalAddress(0xe1000008 + 16 * v), 4, 0x40 + v);
      memory.write(PhysicalAddress(0xe100000c + 16 * v), 4, 0);
    }
  }
  unsigned capability = 0;
};

TEST_F(MsixTest, CapabilityDescribesTable) {
  EXPECT_EQ(get(6, 2) & 0x10, 0x10u);
  EXPECT_EQ(get(capability, 1), 0x11u);
  EXPECT_EQ(get(capability + 2, 2), 2u);
  EXPECT_EQ(get(capability + 4), 5u);
  EXPECT_EQ(get(capability + 8), 0x805u);
}

TEST_F(MsixTest, SendsOnlyWhenEnabled) {
  function.msix.notify(1);
  EXPECT_TRUE(sink.messages.empty());
  set(capability + 2, 0x8000, 2);
  EXPECT_TRUE(function.msix.enabled());
  function.msix.notify(1);
  function.msix.notify(0xffff);
  ASSERT_EQ(sink.messages.size(), 1u);
  EXPECT_EQ(sink.messages[0], (std::pair<u64, u32>{0xfee01000, 0x41}));
}

TEST_F(MsixTest, MaskedVectorsArePendingUntilUnmasked) {
  set(capability + 2, 0x8000, 2);
  memory.write(PhysicalAddress(0xe100002c), 4, 1);
  function.msix.notify(2);
  function.msix.notify(2);
  EXPECT_TRUE(sink.messages.empty());
  EXPECT_EQ(memory.read(PhysicalAddress(0xe1000800), 8), 4u);
  memory.write(PhysicalAddress(0xe100002c), 4, 0);
  EXPECT_EQ(sink.messages.size(), 1u);
  EXPECT_EQ(memory.read(PhysicalAddress(0xe1000800), 8), 0u);
  set(capability + 2, 0xc000, 2);  // function mask
  function.msix.notify(0);
  EXPECT_EQ(sink.messages.size(), 1u);
  set(capability + 2, 0x8000, 2);
  EXPECT_EQ(sink.messages.size(), 2u);
}

TEST_F(MsixTest, OtherAddressesAreMemoryWrites) {
  memory.add_memory("ram", PhysicalAddress(0), kMiB, pool->ram(), true, true,
                    MemoryMap::kPriorityRam);
  memory.write(PhysicalAddress(0xe1000000), 4, 0x2000);
  set(capability + 2, 0x8000, 2);
  function.msix.notify(0);
  EXPECT_TRUE(sink.messages.empty());
  EXPECT_EQ(memory.load<u32>(PhysicalAddress(0x2000)), 0x40u);
}

}  // namespace
}  // namespace dragoman
