// What processor the guest sees: features, identification and limits. CPUID answers are made from
// this alone, so that what is advertised is what executes.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "cpu/isa/feature_set.h"

namespace dragoman {

/// Where the processors before the 486 differ from the manual of today's in ways their programs can
/// see. Asked when bytes are decoded and handlers chosen, never while instructions run.
enum class Quirk : u8 {
  kOpcodes8086,      ///< every byte means something: no #UD, aliases of real instructions instead
  kOpcodes286,       ///< no 66h, 67h, FS, GS; of the 0Fh map only rows 0 and 1; at most 10 bytes
  kOpcodes386,       ///< no instructions of the 486 and later
  kLockAnywhere,     ///< LOCK is no error in front of any instruction
  kOverrunIsGp,      ///< overruns of the stack segment in real mode raise #GP, not #SS
  kNoCoprocessor,    ///< without an FPU, escapes and WAIT do nothing unless CR0.EM or TS is set
  kPushSpAfter,      ///< PUSH SP pushes the value SP has afterwards
  kFullShiftCounts,  ///< shifts by CL use all eight bits of the count
  kDivideAsTrap,     ///< divide errors push the address of the next instruction
  kDecimal8086,      ///< AAA and AAS without a carry to AH; DAA and DAS compare with 9Fh after AF
  kCount
};
class QuirkSet {
 public:
  constexpr QuirkSet() = default;
  constexpr QuirkSet(std::initializer_list<Quirk> quirks) {
    for (const Quirk quirk : quirks) bits_ |= 1u << static_cast<unsigned>(quirk);
  }
  constexpr bool has(Quirk quirk) const { return (bits_ >> static_cast<unsigned>(quirk)) & 1; }
  constexpr bool empty() const { return bits_ == 0; }

 private:
  u32 bits_ = 0;
};

struct CpuModel {
  std::string name;    ///< as given to -cpu
  std::string vendor;  ///< 12 characters of CPUID leaf 0
  std::string brand;   ///< up to 47 characters
  unsigned family = 6;
  unsigned model = 0;
  unsigned stepping = 0;
  u32 max_basic_leaf = 0x16;
  u32 max_extended_leaf = 0x80000008;
  unsigned physical_bits = 40;
  u64 tsc_hz = 1'000'000'000;  ///< guest TSC ticks per second of virtual time
  FeatureSet features;
  bool has_cpuid = true;
  QuirkSet quirks;
  u32 flags_implemented = 0x003f7fd7;  ///< bits of (R|E)FLAGS that can be set
  u32 flags_real_mode = 0x003f7fd7;    ///< likewise while CR0.PE is clear
  u32 flags_fixed = 0x2;               ///< bits that are always set

  /// CPUID.1:EAX, also EDX after reset.
  u32 signature() const;
  /// XCR0 bits the model supports (1 = x87, 2 = SSE, 4 = AVX, 200h = PKRU).
  u64 xcr0_mask() const;
};

/// Parses `-cpu NAME[,+feature][,-feature][,feature=on|off][,level=N][,phys-bits=N][,vendor=ID]`.
/// Features the host lacks are left out of the default and are an error when asked for by name.
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
