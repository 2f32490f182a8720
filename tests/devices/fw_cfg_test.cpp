// fw_cfg: selector, data and DMA ports, file directory, bounds.
#include "devices/fw_cfg.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

constexpr u64 kRam = 1 * kMiB;

class FwCfgTest : public ::testing::Test {
 protected:
  FwCfgTest() : memory(GuestMemory::create(kRam).take()), map(*memory, log), ports(log) {
    map.add_memory("ram", PhysicalAddress(0), kRam, memory->ram(), true, true,
                   MemoryMap::kPriorityRam);
    ports.add("fw_cfg", Port(0x510), 2, device, FwCfg::kSelectorBank, 2);
    ports.add("fw_cfg dma", Port(0x514), 8, device, FwCfg::kDmaBank, 4);
  }

  std::string read(u16 key, unsigned count) {
    ports.write(Port(0x510), 2, key);
    std::string text;
    for (unsigned i = 0; i < count; ++i) text += static_cast<char>(ports.read(Port(0x511), 1));
    return text;
  }

  /// Runs a DMA descriptor at 1000h and returns its control field afterwards.
  u32 dma(u32 control, u32 length, u64 address, u64 descriptor = 0x1000) {
    if (descriptor < kRam - 16) {
      map.store<u32>(PhysicalAddress(descriptor), __builtin_bswap32(control));
      map.store<u32>(PhysicalAddress(descriptor + 4), __builtin_bswap32(length));
      map.store<u64>(PhysicalAddress(descriptor + 8), __builtin_bswap64(address));
    }
    ports.write(Port(0x514), 4, __builtin_bswap32(static_cast<u32>(descriptor >> 32)));
    ports.write(Port(0x518), 4, __builtin_bswap32(static_cast<u32>(descriptor)));
    return __builtin_bswap32(map.load<u32>(PhysicalAddress(0x1000)));
  }

  Log log;
  std::unique_ptr<GuestMemory> memory;
  MemoryMap map;
  PortMap ports;
  FwCfg device{"fw_cfg", map};
};

TEST_F(FwCfgTest, StateListIsComplete) { check_state_list<FwCfgState>(); }

TEST_F(FwCfgTest, SignatureAndRevision) {
  EXPECT_EQ(read(0, 4), "QEMU");
  EXPECT_EQ(read(1, 4), std::string("\x03\0\0\0", 4));
  EXPECT_EQ(read(0, 6), std::string("QEMU\0\0", 6)) << "zeros follow the end";
  EXPECT_EQ(read(0x333, 2), std::string("\0\0", 2)) << "unknown keys read as zeros";
}

TEST_F(FwCfgTest, DmaSignatureReadsBack) {
  EXPECT_EQ(ports.read(Port(0x514), 4), 0x554d4551u);  // "QEMU"
  EXPECT_EQ(ports.read(Port(0x518), 4), 0x47464320u);  // " CFG"
  EXPECT_EQ(ports.read(Port(0x51b), 1), u32{'G'});
}

TEST_F(FwCfgTest, DirectoryListsFilesBigEndian) {
  ASSERT_TRUE(device.add_file("etc/a", {1, 2, 3}).ok());
  ASSERT_TRUE(device.add_file("etc/b", std::vector<u8>(0x1234)).ok());
  const std::string dir = read(0x19, 4 + 2 * 64);
  EXPECT_EQ(dir.substr(0, 4), std::string("\0\0\0\2", 4));
  EXPECT_EQ(dir.substr(4, 8), std::string("\0\0\0\3\0\x20\0\0", 8));
  EXPECT_STREQ(dir.c_str() + 12, "etc/a");
  EXPECT_EQ(dir.substr(68, 8), std::string("\0\0\x12\x34\0\x21\0\0", 8));
  EXPECT_STREQ(dir.c_str() + 76, "etc/b");
  EXPECT_EQ(read(0x20, 3), "\1\2\3");
}

TEST_F(FwCfgTest, ReplacingAFileKeepsItsKey) {
  ASSERT_TRUE(device.add_file("etc/a", {1}).ok());
  ASSERT_TRUE(device.add_file("etc/b", {2}).ok());
  ASSERT_TRUE(device.add_file("etc/a", {7, 8}).ok());
  EXPECT_EQ(read(0x20, 2), "\7\10");
  EXPECT_EQ(read(0x19, 4), std::string("\0\0\0\2", 4));
  EXPECT_EQ(device.file("etc/b").size(), 1u);
}

TEST_F(FwCfgTest, BadNamesAndKeysAreRefused) {
  EXPECT_FALSE(device.add_file("", {}).ok());
  EXPECT_FALSE(device.add_file(std::string(56, 'x'), {}).ok());
  EXPECT_TRUE(device.add_file(std::string(55, 'x'), {}).ok());
  EXPECT_FALSE(device.add_key(0x19, {}).ok());
  EXPECT_FALSE(device.add_key(0x20, {}).ok());
  EXPECT_FALSE(device.add_key(0x4005, {}).ok());
  EXPECT_TRUE(device.add_key(0x8002, {1}).ok());
  EXPECT_EQ(read(0x8002, 1), "\1");
}

TEST_F(FwCfgTest, OnlyWordWritesSelect) {
  read(0, 1);
  ports.write(Port(0x510), 1, 1);
  ports.write(Port(0x511), 1, 'x');
  EXPECT_EQ(ports.read(Port(0x511), 1), u32{'E'}) << "neither moved the selection";
}

TEST_F(FwCfgTest, DmaSelectReadSkip) {
  ASSERT_TRUE(device.add_file("etc/a", {10, 11, 12, 13, 14}).ok());
  map.store<u64>(PhysicalAddress(0x2000), ~u64{0});
  EXPECT_EQ(dma(0x20u << 16 | 8 | 2, 2, 0x2000), 0u);
  EXPECT_EQ(map.load<u32>(PhysicalAddress(0x2000)), 0xffff0b0au);
  EXPECT_EQ(dma(4, 1, 0), 0u);
  EXPECT_EQ(dma(2, 4, 0x2000), 0u);
  EXPECT_EQ(map.load<u32>(PhysicalAddress(0x2000)), 0x00000e0du) << "zeros behind the end";
  EXPECT_EQ(dma(4, 0xffffffff, 0), 0u) << "skipping past the end is bounded";
}

TEST_F(FwCfgTest, DmaOutsideRamSetsTheErrorBit) {
  EXPECT_EQ(dma(2, 16, kRam - 8), 1u);
  EXPECT_EQ(dma(2, 0xffffffff, 0), 1u);
  EXPECT_EQ(dma(2, 16, ~u64{0} - 3), 1u);
  EXPECT_EQ(map.load<u32>(PhysicalAddress(kRam - 4)), 0u) << "nothing was written";
  dma(0, 0, 0, 0xfffffffffffffffcull);  // descriptors outside RAM are ignored
  dma(0, 0, 0, kRam - 8);
}

TEST_F(FwCfgTest, OnlyWritableFilesTakeWrites) {
  std::vector<u8> told;
  u64 told_offset = 99;
  ASSERT_TRUE(device.add_file("etc/fixed", {1, 2}).ok());
  ASSERT_TRUE(device
                  .add_writable_file("etc/open", {1, 2, 3, 4},
                                     [&](u64 offset, std::span<const u8> bytes) {
                                       told_offset = offset;
                                       told.assign(bytes.begin(), bytes.end());
                                     })
                  .ok());
  map.store<u32>(PhysicalAddress(0x2000), 0xddccbbaa);
  EXPECT_EQ(dma(0x20u << 16 | 8 | 0x10, 2, 0x2000), 1u);
  EXPECT_EQ(dma(0x21u << 16 | 8 | 4, 1, 0), 0u);
  EXPECT_EQ(dma(0x10, 2, 0x2000), 0u);
  EXPECT_EQ(read(0x21, 4), "\x01\xaa\xbb\x04");
  EXPECT_EQ(told_offset, 1u);
  EXPECT_EQ(told, (std::vector<u8>{0xaa, 0xbb}));
  EXPECT_EQ(dma(0x21u << 16 | 8 | 0x10, 5, 0x2000), 1u) << "cannot grow";

  std::vector<u8> saved;
  device.save(saved);
  EXPECT_EQ(dma(0x21u << 16 | 8 | 0x10, 4, 0x3000), 0u);
  std::span<const u8> in(saved);
  ASSERT_TRUE(device.load(in).ok());
  EXPECT_TRUE(in.empty());
  EXPECT_EQ(read(0x21, 4), "\x01\xaa\xbb\x04");
  in = std::span<const u8>(saved).first(saved.size() - 1);
  EXPECT_FALSE(device.load(in).ok());
}

}  // namespace
}  // namespace dragoman
