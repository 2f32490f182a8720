#include "cpu/model/host_features.h"

#include <cpuid.h>

namespace dragoman {
namespace {

bool host_cpuid_bit(u32 leaf, u32 subleaf, char reg, unsigned bit) {
  u32 a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(leaf, subleaf, &a, &b, &c, &d)) return false;
  const u32 value = reg == 'a' ? a : reg == 'b' ? b : reg == 'c' ? c : d;
  return ((value >> bit) & 1) != 0;
}

u64 host_xcr0() {
  constexpr unsigned kOsxsave = 27;
  if (!host_cpuid_bit(1, 0, 'c', kOsxsave)) return 0;
  u32 low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return u64{high} << 32 | low;
}

}  // namespace

FeatureSet host_features() {
  FeatureSet set = FeatureSet::all();
  // Groups of which host stubs execute the guest's own instruction.
  const auto require = [&](Feature feature, u32 leaf, u32 subleaf, char reg, unsigned bit) {
    switch (feature) {
      case Feature::kFpu:
      case Feature::kMmx:
      case Feature::kFxsr:
      case Feature::kSse:
      case Feature::kSse2:
      case Feature::kSse3:
      case Feature::kSsse3:
      case Feature::kSse41:
      case Feature::kSse42:
      case Feature::kPclmulqdq:
      case Feature::kAes:
      case Feature::kShaNi:
      case Feature::kAvx:
      case Feature::kAvx2:
      case Feature::kFma:
      case Feature::kF16c:
      case Feature::kVaes:
      case Feature::kVpclmulqdq:
        if (!host_cpuid_bit(leaf, subleaf, reg, bit)) set.remove(feature);
        break;
      default:
        break;
    }
  };
#define FEATURE(name, flag, leaf, subleaf, reg, bit) \
  require(Feature::k##name, leaf, subleaf, reg, bit);
#include "cpu/isa/features.inc"
#undef FEATURE
  constexpr u64 kAvxState = 6;
  if ((host_xcr0() & kAvxState) != kAvxState) {
    set.remove(Feature::kAvx).remove(Feature::kAvx2).remove(Feature::kFma).remove(Feature::kF16c);
  }
  return set;
}

}  // namespace dragoman
