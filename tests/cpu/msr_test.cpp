// Which model-specific registers exist, and which of their bits can be written (SDM vol. 4).
#include <gtest/gtest.h>

#include <set>

#include "tests/cpu/bare_processor.h"

namespace dragoman {
namespace {

struct Processor : BareProcessor {
  explicit Processor(std::string_view name) : BareProcessor(parse_cpu_model(name).value()) {}

  bool read(u32 index, u64& value) { return ended(read_msr(*cpu, index, value)); }
  bool write(u32 index, u64 value) { return ended(write_msr(*cpu, index, value)); }
  u64 get(u32 index) {
    u64 value = 0;
    EXPECT_TRUE(read(index, value)) << std::hex << index;
    return value;
  }
  /// Bits that can be changed one at a time; what is refused must change nothing.
  u64 writable(u32 index) {
    const u64 before = get(index);
    u64 bits = 0;
    for (unsigned i = 0; i < 64; ++i) {
      if (!write(index, before ^ bit(i))) {
        EXPECT_EQ(get(index), before) << std::hex << index << " bit " << std::dec << i;
        continue;
      }
      bits |= get(index) ^ before;
      EXPECT_TRUE(write(index, before)) << std::hex << index;
    }
    EXPECT_EQ(get(index), before) << std::hex << index;
    return bits;
  }

 private:
  bool ended(bool good) {
    EXPECT_EQ(cpu->fault_pending(), !good);
    if (!good) {
      EXPECT_EQ(cpu->fault().vector, kVectorGp);
      EXPECT_EQ(cpu->fault().error_code, 0u);
    }
    cpu->clear_fault();
    return good;
  }
};

/// First indices of the ranges that architectural MSRs lie in.
constexpr u32 kBlocks[] = {0, 0x40000000, 0xc0000000, 0xc0010000};

TEST(MsrSpace, NothingExistsThatNoManualNames) {
  std::set<u32> named = {0x10,       0x17,       0x1b,       0x3a,       0x3b,       0x48,
                         0x8b,       0xfe,       0x10a,      0x174,      0x175,      0x176,
                         0x179,      0x17a,      0x17b,      0x1a0,      0x1d9,      0x250,
                         0x258,      0x259,      0x277,      0x2ff,      0x6e0,      0xda0,
                         0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
                         0xc0000101, 0xc0000102, 0xc0000103};
  for (u32 i = 0; i < 16; ++i) named.insert(0x200 + i);
  for (u32 i = 0; i < 8; ++i) named.insert(0x268 + i);
  for (u32 i = 0; i < 40; ++i) named.insert(0x400 + i);
  const std::set<u32> write_only = {0x49, 0x79, 0x10b};  // PRED_CMD, BIOS_UPDT_TRIG, FLUSH_CMD
  for (const char* name : {"max,vendor=GenuineIntel", "x86-64-v2", "qemu64", "pentium3"}) {
    Processor p(name);
    const bool intel = p.cpu->model().vendor == "GenuineIntel";
    for (const u32 first : kBlocks) {
      for (u32 index = first; index < first + 0x2000; ++index) {
        u64 value = 0;
        const bool readable = p.read(index, value);
        if (intel) {
          EXPECT_TRUE(!readable || named.contains(index)) << name << std::hex << " " << index;
        }
        if (readable) {
          // What was read can be written back, unless the register is only read.
          const bool read_only =
              index == 0x17 || index == 0x3a || index == 0xfe || index == 0x10a || index == 0x179;
          EXPECT_EQ(p.write(index, value), !read_only) << name << std::hex << " " << index;
        } else if (!write_only.contains(index)) {
          EXPECT_FALSE(p.write(index, 0)) << name << std::hex << " " << index;
        }
      }
    }
  }
}

TEST(MsrSpace, LongModeRegistersNeedLongMode) {
  Processor p("pentium3");
  u64 value;
  for (const u32 index : {0xc0000082u, 0xc0000083u, 0xc0000084u, 0xc0000100u, 0xc0000101u,
                          0xc0000102u, 0xc0000103u, 0x6e0u, 0xda0u}) {
    EXPECT_FALSE(p.read(index, value)) << std::hex << index;
  }
  EXPECT_TRUE(p.read(0x174, value));
}

TEST(MsrBits, ReservedOnesAreRefused) {
  Processor p("max,vendor=GenuineIntel,phys-bits=40");
  const auto& cpu = *p.cpu;
  const u64 physical = bit(40) - 1;
  EXPECT_EQ(p.writable(0xc0000080), kEferSce | kEferLme | kEferNxe);
  EXPECT_EQ(p.writable(0xc0000081), ~u64{0});
  EXPECT_EQ(p.writable(0xc0000084), 0xffffffffu);
  if (cpu.has(Feature::kRdtscp)) {
    EXPECT_EQ(p.writable(0xc0000103), 0xffffffffu);
  }
  if (cpu.has(Feature::kSpecCtrl)) {
    EXPECT_EQ(p.writable(0x48), 7u);
  }
  EXPECT_EQ(p.writable(0x1d9), 0x7fc3u);
  EXPECT_EQ(p.writable(0x2ff) & ~u64{0xff}, 0xc00u);
  for (u32 i = 0; i < 8; ++i) {
    EXPECT_EQ(p.writable(0x201 + 2 * i), physical & ~u64{0x7ff});
    EXPECT_EQ(p.writable(0x200 + 2 * i) & ~u64{0xff}, physical & ~u64{0xfff});
  }
}

/// Canonical addresses: bits 63:47 are equal. One bit alone breaks that above bit 46.
TEST(MsrBits, AddressesStayCanonical) {
  Processor p("max");
  for (const u32 index :
       {0x175u, 0x176u, 0xc0000082u, 0xc0000083u, 0xc0000100u, 0xc0000101u, 0xc0000102u}) {
    EXPECT_EQ(p.writable(index), bit(47) - 1) << std::hex << index;
    EXPECT_TRUE(p.write(index, 0xffff800000000000)) << std::hex << index;
    EXPECT_EQ(p.get(index), 0xffff800000000000u);
    EXPECT_FALSE(p.write(index, 0x0000800000000000)) << std::hex << index;
    EXPECT_FALSE(p.write(index, 0xffff7fffffffffff)) << std::hex << index;
  }
}

TEST(MsrBits, MemoryTypes) {
  Processor p("max");
  for (u64 type = 0; type < 256; ++type) {
    const bool plain = type == 0 || type == 1 || (type >= 4 && type <= 6);
    for (unsigned at = 0; at < 64; at += 8) {
      const u64 rest = ~(u64{0xff} << at);
      EXPECT_EQ(p.write(0x277, (0x0606060606060606 & rest) | type << at), plain || type == 7);
      EXPECT_EQ(p.write(0x250, (0x0606060606060606 & rest) | type << at), plain);
    }
    EXPECT_EQ(p.write(0x2ff, 0xc00 | type), plain);
    EXPECT_EQ(p.write(0x200, 0x100000 | type), plain);
  }
}

}  // namespace
}  // namespace dragoman
