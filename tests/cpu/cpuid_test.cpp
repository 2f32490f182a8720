// CPUID answers have to agree with each other: software follows them from leaf to leaf.
#include <gtest/gtest.h>

#include "tests/cpu/bare_processor.h"

namespace dragoman {
namespace {

struct Processor : BareProcessor {
  explicit Processor(std::string_view name) : BareProcessor(parse_cpu_model(name).value()) {}
};

/// The cache and TLB descriptors of leaf 2 (SDM vol. 2, CPUID, leaf 02H).
std::vector<u8> descriptors(const Cpu& cpu) {
  const CpuidResult r = cpuid(cpu, 2, 0);
  EXPECT_EQ(r.eax & 0xff, 1u) << "AL is the number of times to execute CPUID";
  std::vector<u8> list;
  for (const u32 value : {r.eax & ~u32{0xff}, r.ebx, r.ecx, r.edx}) {
    if (value >> 31) continue;
    for (unsigned shift = 0; shift < 32; shift += 8)
      list.push_back(static_cast<u8>(value >> shift));
  }
  return list;
}

bool contains(const std::vector<u8>& list, u8 value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

TEST(Cpuid, LeafTwoNamesOnlyLeavesThatExist) {
  for (const std::string& name : cpu_model_names()) {
    Processor p(name);
    if (p.cpu->model().max_basic_leaf < 2) continue;
    const std::vector<u8> list = descriptors(*p.cpu);
    // FFh sends software to leaf 4, FEh to leaf 18h.
    EXPECT_TRUE(!contains(list, 0xff) || p.cpu->model().max_basic_leaf >= 4) << name;
    EXPECT_TRUE(!contains(list, 0xfe) || p.cpu->model().max_basic_leaf >= 0x18) << name;
  }
}

TEST(Cpuid, CacheListOfLeafFourEnds) {
  for (const std::string& name : cpu_model_names()) {
    Processor p(name);
    if (p.cpu->model().max_basic_leaf < 4) continue;
    unsigned caches = 0;
    while (caches < 16 && (cpuid(*p.cpu, 4, caches).eax & 0x1f) != 0) ++caches;
    EXPECT_GT(caches, 0u) << name;
    EXPECT_LT(caches, 16u) << name;
  }
}

TEST(Cpuid, LevelTwoOfANewModelHasItsCachesInLeafTwo) {
  Processor p("max,level=2");
  const std::vector<u8> list = descriptors(*p.cpu);
  EXPECT_FALSE(contains(list, 0xff));
  EXPECT_TRUE(contains(list, 0x0c)) << "first-level data cache";
}

TEST(Cpuid, VendorAndAddressBitsByOption) {
  Processor p("max,vendor=AuthenticAMD,phys-bits=36");
  EXPECT_EQ(cpuid(*p.cpu, 0, 0).ebx, 0x68747541u);  // "Auth"
  EXPECT_EQ(cpuid(*p.cpu, 0x80000008, 0).eax & 0xff, 36u);
  for (const char* bad : {"max,vendor=Intel", "max,phys-bits=64", "max,phys-bits=x"}) {
    EXPECT_FALSE(parse_cpu_model(bad).ok()) << bad;
  }
}

TEST(Msr, PlatformIdCameWithTheP6Family) {
  u64 value = 1;
  EXPECT_TRUE(read_msr(*Processor("pentium3").cpu, 0x17, value));
  EXPECT_TRUE(read_msr(*Processor("max").cpu, 0x17, value));
  EXPECT_FALSE(read_msr(*Processor("pentium").cpu, 0x17, value));
}

}  // namespace
}  // namespace dragoman
