// What processor the guest sees: features, identification and limits. CPUID answers are made from
// this alone, so that what is advertised is what executes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "cpu/isa/feature_set.h"

namespace dragoman {

struct CpuModel {
  std::string name;             ///< as given to -cpu
  std::string vendor;           ///< 12 characters of CPUID leaf 0
  std::string brand;            ///< up to 47 characters
  unsigned family = 6;
  unsigned model = 0;
  unsigned stepping = 0;
  u32 max_basic_leaf = 0x16;
  u32 max_extended_leaf = 0x80000008;
  unsigned physical_bits = 40;
  u64 tsc_hz = 1'000'000'000;   ///< guest TSC ticks per second of virtual time
  FeatureSet features;
  bool has_cpuid = true;

  /// CPUID.1:EAX, also EDX after reset.
  u32 signature() const;
  /// XCR0 bits the model supports (1 = x87, 2 = SSE, 4 = AVX, 200h = PKRU).
  u64 xcr0_mask() const;
};

/// Parses `-cpu NAME[,+feature][,-feature][,feature=on|off][,level=N]`. Features the host lacks
/// are left out of the default and are an error when asked for by name.
Result<CpuModel> parse_cpu_model(std::string_view text);

/// Names for `-cpu help`.
std::vector<std::string> cpu_model_names();

struct CpuidResult {
  u32 eax = 0, ebx = 0, ecx = 0, edx = 0;
};
class Cpu;
/// CPUID as the guest of `cpu` sees it now (some bits mirror CR4 and the local APIC).
CpuidResult cpuid(const Cpu& cpu, u32 leaf, u32 subleaf);

/// RDMSR and WRMSR without the privilege check. False with #GP(0) pending for MSRs that do not
/// exist on the model and for reserved bits.
[[nodiscard]] bool read_msr(Cpu& cpu, u32 index, u64& value);
[[nodiscard]] bool write_msr(Cpu& cpu, u32 index, u64 value);

}  // namespace dragoman
