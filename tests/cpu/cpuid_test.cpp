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

/// What one feature is built on (SDM vol. 1, chapters 10 to 15; vol. 2, the instructions' tables).
TEST(Cpuid, FeaturesComeWithWhatTheyNeed) {
  using F = Feature;
  constexpr std::pair<F, F> kNeeds[] = {
      {F::kSse, F::kFxsr},         {F::kSse, F::kMmx},         {F::kSse2, F::kSse},
      {F::kSse3, F::kSse2},        {F::kSsse3, F::kSse3},      {F::kSse41, F::kSsse3},
      {F::kSse42, F::kSse41},      {F::kAes, F::kSse2},        {F::kPclmulqdq, F::kSse2},
      {F::kShaNi, F::kSse2},       {F::kAvx, F::kXsave},       {F::kAvx, F::kSse42},
      {F::kAvx2, F::kAvx},         {F::kFma, F::kAvx},         {F::kF16c, F::kAvx},
      {F::kXsavec, F::kXsave},     {F::kXsaves, F::kXsavec},   {F::kXsaveopt, F::kXsave},
      {F::kPcid, F::kLm},          {F::kInvpcid, F::kPcid},    {F::kLm, F::kPae},
      {F::kLm, F::kSse2},          {F::kLm, F::kSyscall},      {F::kLm, F::kMsr},
      {F::kPae, F::kPse},          {F::kMtrr, F::kMsr},        {F::kX2apic, F::kApic},
      {F::kTscDeadline, F::kApic}, {F::kTscDeadline, F::kTsc}, {F::kRdtscp, F::kTsc},
      {F::kMca, F::kMce},          {F::kCx16, F::kCx8},        {F::kLahfLm, F::kLm},
      {F::kVaes, F::kAvx},         {F::kVpclmulqdq, F::kAvx},
  };
  for (const std::string& name : cpu_model_names()) {
    const CpuModel model = parse_cpu_model(name).value();
    for (const auto& [feature, needed] : kNeeds) {
      EXPECT_TRUE(!model.features.has(feature) || model.features.has(needed))
          << name << ": " << static_cast<int>(feature) << " without " << static_cast<int>(needed);
    }
  }
}

/// Leaf 0Dh: the sub-leaves add up to the sizes of sub-leaves 0 and 1 (SDM vol. 1, 13.2).
TEST(Cpuid, XsaveSizesAddUp) {
  for (const std::string& name : cpu_model_names()) {
    Processor p(name);
    if (!p.cpu->has(Feature::kXsave)) continue;
    const u64 mask = p.cpu->model().xcr0_mask();
    const CpuidResult all = cpuid(*p.cpu, 0xd, 0);
    EXPECT_EQ(all.eax | u64{all.edx} << 32, mask) << name;
    u32 end = 576;
    for (unsigned i = 2; i < 63; ++i) {
      const CpuidResult part = cpuid(*p.cpu, 0xd, i);
      EXPECT_EQ(part.eax != 0, (mask & bit(i)) != 0) << name << " component " << i;
      if (part.eax == 0) continue;
      EXPECT_EQ(part.ecx & 1, 0u) << "a user component";
      EXPECT_GE(part.ebx, 576u);
      end = std::max(end, part.ebx + part.eax);
    }
    EXPECT_EQ(all.ecx, end) << name;
    p.cpu->state.xcr0 = 3;
    EXPECT_EQ(cpuid(*p.cpu, 0xd, 0).ebx, 576u) << name;
    p.cpu->state.xcr0 = mask;
    EXPECT_EQ(cpuid(*p.cpu, 0xd, 0).ebx, end) << name;
  }
}

/// Bits that follow the control registers, and only those, change with them.
TEST(Cpuid, BitsThatFollowControlRegisters) {
  Processor p("max");
  const auto word = [&](u32 leaf) { return cpuid(*p.cpu, leaf, 0).ecx; };
  const u32 one = word(1), seven = word(7);
  p.cpu->state.cr4 |= kCr4Osxsave;
  EXPECT_EQ(word(1) ^ one, p.cpu->has(Feature::kXsave) ? 1u << 27 : 0u);
  p.cpu->state.cr4 |= kCr4Pke;
  EXPECT_EQ(word(7) ^ seven, p.cpu->has(Feature::kPku) ? 1u << 4 : 0u);
}

/// Beyond the last leaf the last basic one answers (SDM vol. 2, CPUID).
TEST(Cpuid, LeavesBeyondTheLast) {
  for (const std::string& name : cpu_model_names()) {
    Processor p(name);
    const u32 last = cpuid(*p.cpu, 0, 0).eax;
    const CpuidResult want = cpuid(*p.cpu, last, 0);
    for (const u32 leaf : {last + 1, 0x7fffffffu, 0xfffffff0u}) {
      const CpuidResult got = cpuid(*p.cpu, leaf, 0);
      EXPECT_TRUE(got.eax == want.eax && got.ebx == want.ebx && got.ecx == want.ecx &&
                  got.edx == want.edx)
          << name << std::hex << " leaf " << leaf;
    }
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
