// CPUID (SDM vol. 2, CPUID; AMD APM vol. 3, appendix E for the extended leaves).
#include <cstring>

#include "cpu/cpu.h"

namespace dragoman {
namespace {

struct FeatureBit {
  Feature feature;
  u32 leaf;
  u32 subleaf;
  char reg;
  unsigned bit;
};
constexpr FeatureBit kFeatureBits[] = {
#define FEATURE(name, flag, leaf, subleaf, reg, bit_number) \
  {Feature::k##name, leaf, subleaf, reg, bit_number},
#include "cpu/isa/features.inc"
#undef FEATURE
};

u32& output(CpuidResult& r, char reg) {
  switch (reg) {
    case 'a':
      return r.eax;
    case 'b':
      return r.ebx;
    case 'c':
      return r.ecx;
    default:
      return r.edx;
  }
}

void add_features(const CpuModel& model, u32 leaf, u32 subleaf, CpuidResult& r) {
  for (const FeatureBit& f : kFeatureBits) {
    if (f.feature == Feature::kBase || f.leaf != leaf || f.subleaf != subleaf) continue;
    if (model.features.has(f.feature)) output(r, f.reg) |= 1u << f.bit;
  }
}

u32 four(std::string_view text, std::size_t at) {
  u32 value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const u8 c = at + i < text.size() ? static_cast<u8>(text[at + i]) : 0;
    value |= u32{c} << (8 * i);
  }
  return value;
}

/// Extended state components: number, standard-format offset and size (SDM vol. 1, 13.5).
struct Component {
  unsigned number;
  u32 offset;
  u32 size;
};
constexpr Component kComponents[] = {{2, 576, 256}, {9, 2688, 8}};
constexpr u32 kXsaveLegacyAndHeader = 576;

u32 standard_size(u64 xcr0) {
  u32 size = kXsaveLegacyAndHeader;
  for (const Component& c : kComponents) {
    if (xcr0 & bit(c.number)) size = c.offset + c.size;
  }
  return size;
}
u32 compacted_size(u64 components) {
  u32 size = kXsaveLegacyAndHeader;
  for (const Component& c : kComponents) {
    if (components & bit(c.number)) size += c.size;
  }
  return size;
}

/// Deterministic cache parameters: 32 KiB 8-way L1 data and code, 1 MiB 16-way L2, 64-byte lines.
CpuidResult cache_leaf(u32 subleaf) {
  struct Cache {
    u32 type, level, ways, sets;
  };
  static constexpr Cache kCaches[] = {{1, 1, 8, 64}, {2, 1, 8, 64}, {3, 2, 16, 1024}};
  if (subleaf >= std::size(kCaches)) return {};
  const Cache& c = kCaches[subleaf];
  return {c.type | c.level << 5 | 1u << 8, (c.ways - 1) << 22 | 63, c.sets - 1, 0};
}

}  // namespace

CpuidResult cpuid(const Cpu& cpu, u32 leaf, u32 subleaf) {
  const CpuModel& model = cpu.model();
  const CpuState& s = cpu.state;
  CpuidResult r;
  if (leaf >= 0x80000000 && model.max_extended_leaf < 0x80000000) leaf = model.max_basic_leaf;
  if (leaf >= 0x80000000 ? leaf > model.max_extended_leaf : leaf > model.max_basic_leaf) {
    // Beyond the maximum: the highest basic leaf (SDM vol. 2, CPUID).
    leaf = model.max_basic_leaf;
  }
  switch (leaf) {
    case 0:
      return {model.max_basic_leaf, four(model.vendor, 0), four(model.vendor, 8),
              four(model.vendor, 4)};
    case 1: {
      const u64 apic_base = cpu.interrupts() != nullptr ? cpu.interrupts()->apic_base() : 0;
      r.eax = model.signature();
      r.ebx = (model.features.has(Feature::kClflush) ? 8u << 8 : 0) | 1u << 16;
      add_features(model, 1, 0, r);
      if (!(apic_base & bit(11))) r.edx &= ~(1u << 9);
      if (s.cr4 & kCr4Osxsave) r.ecx |= 1u << 27;
      return r;
    }
    case 2:
      // TLB entries (76h, 03h, 63h, B5h, C3h), 64-byte prefetch (F0h); caches are in leaf 4 (FFh).
      if (model.max_basic_leaf >= 4) return {0x76036301, 0x00f0b5ff, 0, 0x00c30000};
      // Descriptor FFh would send software to a leaf 4 that does not exist. As on a Pentium III:
      // TLB entries 01h to 04h, 16 KiB L1 code (08h) and data (0Ch), 256 KiB L2 (82h).
      return {0x03020101, 0, 0, 0x0c040882};
    case 4:
      return cache_leaf(subleaf);
    case 5:
      if (model.features.has(Feature::kMonitor)) return {64, 64, 3, 0};
      return r;
    case 6:
      add_features(model, 6, 0, r);
      return r;
    case 7:
      if (subleaf == 0) {
        add_features(model, 7, 0, r);
        if (s.cr4 & kCr4Pke) r.ecx |= 1u << 4;
      }
      return r;
    case 0xb: {
      if (!model.features.has(Feature::kX2apic)) return r;
      // One thread per core, one core per package.
      r.eax = 0;
      r.ebx = subleaf < 2 ? 1 : 0;
      r.ecx = subleaf | (subleaf < 2 ? (subleaf + 1) << 8 : 0);
      r.edx = 0;
      return r;
    }
    case 0xd: {
      if (!model.features.has(Feature::kXsave)) return r;
      const u64 supported = model.xcr0_mask();
      if (subleaf == 0) {
        return {static_cast<u32>(supported), standard_size(s.xcr0), standard_size(supported),
                static_cast<u32>(supported >> 32)};
      }
      if (subleaf == 1) {
        add_features(model, 0xd, 1, r);
        if (model.features.has(Feature::kXsavec)) r.ebx = compacted_size(s.xcr0 | s.msr.xss);
        return r;
      }
      for (const Component& c : kComponents) {
        if (c.number == subleaf && (supported & bit(c.number))) return {c.size, c.offset, 0, 0};
      }
      return r;
    }
    case 0x15:  // TSC : crystal = 1, crystal frequency = TSC frequency = APIC timer input
      return {1, 1, static_cast<u32>(model.tsc_hz), 0};
    case 0x16: {
      const u32 mhz = static_cast<u32>(model.tsc_hz / 1'000'000);
      return {mhz, mhz, 100, 0};
    }
    case 0x80000000:
      return {model.max_extended_leaf, model.vendor == "AuthenticAMD" ? four(model.vendor, 0) : 0,
              model.vendor == "AuthenticAMD" ? four(model.vendor, 8) : 0,
              model.vendor == "AuthenticAMD" ? four(model.vendor, 4) : 0};
    case 0x80000001:
      add_features(model, leaf, 0, r);
      // Intel processors show SYSCALL only in 64-bit mode.
      if (model.vendor == "GenuineIntel" && !cpu.code64()) r.edx &= ~(1u << 11);
      return r;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: {
      const std::size_t at = (leaf - 0x80000002) * 16;
      return {four(model.brand, at), four(model.brand, at + 4), four(model.brand, at + 8),
              four(model.brand, at + 12)};
    }
    case 0x80000006:
      return {0, 0, 1024u << 16 | 8u << 12 | 64, 0};
    case 0x80000007:
      add_features(model, leaf, 0, r);
      return r;
    case 0x80000008:
      return {model.physical_bits | (model.features.has(Feature::kLm) ? 48u : 32u) << 8, 0, 0, 0};
    default:
      return r;
  }
}

}  // namespace dragoman
