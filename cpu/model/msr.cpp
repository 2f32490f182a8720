// Model-specific registers (SDM vol. 4).
#include "cpu/cpu.h"

namespace dragoman {
namespace {

enum Msr : u32 {
  kTsc = 0x10,
  kPlatformId = 0x17,
  kApicBase = 0x1b,
  kFeatureControl = 0x3a,
  kTscAdjust = 0x3b,
  kSpecCtrl = 0x48,
  kPredCmd = 0x49,
  kBiosUpdateTrigger = 0x79,
  kBiosSignId = 0x8b,
  kMtrrCap = 0xfe,
  kArchCapabilities = 0x10a,
  kFlushCmd = 0x10b,
  kSysenterCs = 0x174,
  kSysenterEsp = 0x175,
  kSysenterEip = 0x176,
  kMcgCap = 0x179,
  kMcgStatus = 0x17a,
  kMcgCtl = 0x17b,
  kMiscEnable = 0x1a0,
  kDebugCtl = 0x1d9,
  kMtrrPhysFirst = 0x200,
  kMtrrPhysLast = 0x20f,
  kMtrrFix64k = 0x250,
  kMtrrFix16k0 = 0x258,
  kMtrrFix16k1 = 0x259,
  kMtrrFix4kFirst = 0x268,
  kMtrrFix4kLast = 0x26f,
  kPat = 0x277,
  kMtrrDefType = 0x2ff,
  kMc0Ctl = 0x400,
  kMcEnd = 0x428,
  kTscDeadline = 0x6e0,
  kX2apicFirst = 0x800,
  kX2apicLast = 0x8ff,
  kXss = 0xda0,
  kEfer = 0xc0000080,
  kStar = 0xc0000081,
  kLstar = 0xc0000082,
  kCstar = 0xc0000083,
  kSfmask = 0xc0000084,
  kFsBase = 0xc0000100,
  kGsBase = 0xc0000101,
  kKernelGsBase = 0xc0000102,
  kTscAux = 0xc0000103,
  kAmdPerfEvtSel0 = 0xc0010000,
  kAmdPerfCtr3 = 0xc0010007,
  kAmdSyscfg = 0xc0010010,
  kAmdHwcr = 0xc0010015,
  kAmdPatchLevel = 0x8b,
};

constexpr unsigned kMachineCheckBanks = 10;
constexpr u64 kApicBaseX2apic = bit(10);

/// Registers every AMD processor has that have no effect here: SYSCFG, HWCR and the
/// four event selectors and counters, which count nothing (APM vol. 2, 13.2.1).
bool amd_without_effect(const Cpu& cpu, u32 index) {
  if (cpu.model().vendor != "AuthenticAMD") return false;
  return index == kAmdSyscfg || index == kAmdHwcr ||
         (index >= kAmdPerfEvtSel0 && index <= kAmdPerfCtr3);
}

/// IA32_ARCH_CAPABILITIES: nothing speculates past Dragoman's checks on behalf of the guest, so it
/// need not pay for mitigations: RDCL_NO, IBRS_ALL, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO,
/// PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO,
/// ITS_NO.
constexpr u64 kArchCapabilitiesValue = bit(0) | bit(1) | bit(3) | bit(4) | bit(5) | bit(6) |
                                       bit(8) | bit(13) | bit(14) | bit(15) | bit(20) | bit(24) |
                                       bit(26) | bit(27) | bit(62);

/// Memory types 0, 1, 4, 5, 6 (and 7 for PAT) are defined.
bool valid_memory_type(u8 type, bool pat) {
  return type == 0 || type == 1 || (type >= 4 && type <= 6) || (pat && type == 7);
}
bool valid_memory_types(u64 value, bool pat) {
  for (unsigned i = 0; i < 8; ++i) {
    if (!valid_memory_type(static_cast<u8>(value >> (8 * i)), pat)) return false;
  }
  return true;
}

/// Index into MsrState::mtrr_fixed, or -1.
int fixed_mtrr(u32 index) {
  if (index == kMtrrFix64k) return 0;
  if (index == kMtrrFix16k0 || index == kMtrrFix16k1)
    return static_cast<int>(index - kMtrrFix16k0) + 1;
  if (index >= kMtrrFix4kFirst && index <= kMtrrFix4kLast) {
    return static_cast<int>(index - kMtrrFix4kFirst) + 3;
  }
  return -1;
}

/// MSRs that are a plain u64 with an optional feature and a canonical-address requirement.
struct PlainMsr {
  u32 index;
  u64 MsrState::*member;
  Feature feature;
  bool canonical;
};
constexpr PlainMsr kPlainMsrs[] = {
    {kSysenterCs, &MsrState::sysenter_cs, Feature::kSep, false},
    {kSysenterEsp, &MsrState::sysenter_esp, Feature::kSep, true},
    {kSysenterEip, &MsrState::sysenter_eip, Feature::kSep, true},
    {kStar, &MsrState::star, Feature::kSyscall, false},
    {kLstar, &MsrState::lstar, Feature::kLm, true},
    {kCstar, &MsrState::cstar, Feature::kLm, true},
    {kKernelGsBase, &MsrState::kernel_gs_base, Feature::kLm, true},
};

const PlainMsr* find_plain(const Cpu& cpu, u32 index) {
  for (const PlainMsr& msr : kPlainMsrs) {
    if (msr.index == index && cpu.has(msr.feature)) return &msr;
  }
  return nullptr;
}

bool unknown(Cpu& cpu, u32 index, const char* verb) {
  cpu.log().once(fmt::format("msr {:x}", index),
                 "{} of MSR {:#x}, which this CPU model does not have: #GP, at {:#x}", verb, index,
                 cpu.instruction_rip());
  return cpu.raise(kVectorGp, 0);
}

bool write_efer(Cpu& cpu, u64 value) {
  CpuState& s = cpu.state;
  u64 allowed = kEferSce;
  if (cpu.has(Feature::kLm)) allowed |= kEferLme | kEferLma;
  if (cpu.has(Feature::kNx)) allowed |= kEferNxe;
  if (value & ~allowed) return cpu.raise(kVectorGp, 0);
  if (((value ^ s.efer) & kEferLme) && (s.cr0 & kCr0Pg)) return cpu.raise(kVectorGp, 0);
  const u64 changed = value ^ s.efer;
  s.efer = (value & ~u64{kEferLma}) | (s.efer & kEferLma);
  if (changed & kEferNxe) cpu.flush_tlb(true);
  cpu.update_mode();
  return true;
}

}  // namespace

bool read_msr(Cpu& cpu, u32 index, u64& value) {
  const CpuState& s = cpu.state;
  const MsrState& m = s.msr;
  LocalInterrupts* apic = cpu.interrupts();
  if (!cpu.has(Feature::kMsr)) return cpu.raise(kVectorUd);
  if (const PlainMsr* plain = find_plain(cpu, index)) {
    value = m.*plain->member;
    return true;
  }
  switch (index) {
    case kTsc:
      value = cpu.tsc();
      return true;
    case kApicBase:
      if (apic == nullptr) break;
      value = apic->apic_base();
      return true;
    case kPlatformId:  // since the P6 family; microcode loaders match bits 52:50
      if (cpu.model().vendor != "GenuineIntel" || cpu.model().family < 6) break;
      value = 0;
      return true;
    case kFeatureControl:
      value = m.feature_control;
      return true;
    case kTscAdjust:
      if (!cpu.has(Feature::kTscAdjust)) break;
      value = m.tsc_adjust;
      return true;
    case kSpecCtrl:
      if (!cpu.has(Feature::kSpecCtrl)) break;
      value = m.spec_ctrl;
      return true;
    case kBiosSignId:
      value = u64{1} << 32;
      return true;
    case kMtrrCap:
      if (!cpu.has(Feature::kMtrr)) break;
      value = 0x508;  // 8 variable ranges, fixed ranges, write-combining
      return true;
    case kArchCapabilities:
      if (!cpu.has(Feature::kArchCapabilities)) break;
      value = kArchCapabilitiesValue;
      return true;
    case kMcgCap:
    case kMcgStatus:
    case kMcgCtl:
      if (!cpu.has(Feature::kMca)) break;
      value = index == kMcgCap      ? kMachineCheckBanks | bit(8)
              : index == kMcgStatus ? m.mcg_status
                                    : m.mcg_control;
      return true;
    case kMiscEnable:
      value = m.misc_enable;
      return true;
    case kDebugCtl:
      value = m.debugctl;
      return true;
    case kPat:
      if (!cpu.has(Feature::kPat)) break;
      value = m.pat;
      return true;
    case kMtrrDefType:
      if (!cpu.has(Feature::kMtrr)) break;
      value = m.mtrr_def_type;
      return true;
    case kTscDeadline:
      if (apic == nullptr || !cpu.has(Feature::kTscDeadline)) break;
      value = apic->tsc_deadline();
      return true;
    case kXss:
      if (!cpu.has(Feature::kXsaves)) break;
      value = m.xss;
      return true;
    case kEfer:
      if (!cpu.has(Feature::kSyscall) && !cpu.has(Feature::kNx)) break;
      value = s.efer;
      return true;
    case kSfmask:
      if (!cpu.has(Feature::kLm)) break;
      value = m.sfmask;
      return true;
    case kFsBase:
    case kGsBase:
      if (!cpu.has(Feature::kLm)) break;
      value = s.segments[index == kFsBase ? kFs : kGs].base;
      return true;
    case kTscAux:
      if (!cpu.has(Feature::kRdtscp) && !cpu.has(Feature::kRdpid)) break;
      value = m.tsc_aux;
      return true;
    default:
      break;
  }
  if (index >= kMtrrPhysFirst && index <= kMtrrPhysLast && cpu.has(Feature::kMtrr)) {
    value = m.mtrr_variable[index - kMtrrPhysFirst];
    return true;
  }
  if (fixed_mtrr(index) >= 0 && cpu.has(Feature::kMtrr)) {
    value = m.mtrr_fixed[static_cast<unsigned>(fixed_mtrr(index))];
    return true;
  }
  if (index >= kMc0Ctl && index < kMcEnd && cpu.has(Feature::kMca)) {
    value = index % 4 == 0 ? m.mc_control[(index - kMc0Ctl) / 4] : 0;
    return true;
  }
  if (index >= kX2apicFirst && index <= kX2apicLast && apic != nullptr) {
    if (apic->read_x2apic(index, value)) return true;
    return cpu.raise(kVectorGp, 0);
  }
  if (amd_without_effect(cpu, index)) {
    value = 0;
    return true;
  }
  return unknown(cpu, index, "read");
}

bool write_msr(Cpu& cpu, u32 index, u64 value) {
  CpuState& s = cpu.state;
  MsrState& m = s.msr;
  LocalInterrupts* apic = cpu.interrupts();
  const auto reject = [&] { return cpu.raise(kVectorGp, 0); };
  if (!cpu.has(Feature::kMsr)) return cpu.raise(kVectorUd);
  if (const PlainMsr* plain = find_plain(cpu, index)) {
    if (plain->canonical && cpu.has(Feature::kLm) && !cpu.canonical(value)) return reject();
    m.*plain->member = value;
    return true;
  }
  switch (index) {
    case kTsc: {
      const u64 before = cpu.tsc();
      cpu.set_tsc(value);
      m.tsc_adjust += value - before;  // SDM vol. 3, 17.17.3
      if (apic != nullptr) apic->tsc_changed();
      return true;
    }
    case kApicBase:
      if (apic == nullptr) break;
      if ((value & kApicBaseX2apic) && !cpu.has(Feature::kX2apic)) return reject();
      return apic->set_apic_base(value) ? true : reject();
    case kFeatureControl:
      return reject();  // locked
    case kTscAdjust:
      if (!cpu.has(Feature::kTscAdjust)) break;
      s.tsc_offset += static_cast<i64>(value - m.tsc_adjust);
      m.tsc_adjust = value;
      if (apic != nullptr) apic->tsc_changed();
      return true;
    case kSpecCtrl:
      if (!cpu.has(Feature::kSpecCtrl)) break;
      if (value & ~u64{7}) return reject();
      m.spec_ctrl = value;
      return true;
    case kPredCmd:
      if (!cpu.has(Feature::kSpecCtrl)) break;
      return (value & ~u64{1}) ? reject() : true;
    case kBiosUpdateTrigger:
      return true;
    case kBiosSignId:
      return true;
    case kMcgStatus:
      if (!cpu.has(Feature::kMca)) break;
      if (value != 0) return reject();
      m.mcg_status = 0;
      return true;
    case kMcgCtl:
      if (!cpu.has(Feature::kMca)) break;
      m.mcg_control = value;
      return true;
    case kMiscEnable:
      m.misc_enable = value;
      return true;
    case kDebugCtl: {
      const bool amd = cpu.model().vendor == "AuthenticAMD";  // APM vol. 2, 13.1.1.6
      if (value & ~u64{amd ? 0x3fu : 0x7fc3u}) return reject();
      m.debugctl = value;
      return true;
    }
    case kPat:
      if (!cpu.has(Feature::kPat)) break;
      if (!valid_memory_types(value, true)) return reject();
      m.pat = value;
      return true;
    case kMtrrDefType:
      if (!cpu.has(Feature::kMtrr)) break;
      if ((value & ~u64{0xcff}) || !valid_memory_type(static_cast<u8>(value), false))
        return reject();
      m.mtrr_def_type = value;
      return true;
    case kTscDeadline:
      if (apic == nullptr || !cpu.has(Feature::kTscDeadline)) break;
      apic->set_tsc_deadline(value);
      return true;
    case kXss:
      if (!cpu.has(Feature::kXsaves)) break;
      if (value != 0) return reject();  // no supervisor state component exists
      m.xss = value;
      return true;
    case kEfer:
      if (!cpu.has(Feature::kSyscall) && !cpu.has(Feature::kNx)) break;
      return write_efer(cpu, value);
    case kSfmask:
      if (!cpu.has(Feature::kLm)) break;
      if (value >> 32) return reject();
      m.sfmask = value;
      return true;
    case kFsBase:
    case kGsBase:
      if (!cpu.has(Feature::kLm)) break;
      if (!cpu.canonical(value)) return reject();
      s.segments[index == kFsBase ? kFs : kGs].base = value;
      cpu.update_mode();
      return true;
    case kTscAux:
      if (!cpu.has(Feature::kRdtscp) && !cpu.has(Feature::kRdpid)) break;
      if (value >> 32) return reject();
      m.tsc_aux = value;
      return true;
    default:
      break;
  }
  if (index >= kMtrrPhysFirst && index <= kMtrrPhysLast && cpu.has(Feature::kMtrr)) {
    const u64 beyond = ~(bit(cpu.model().physical_bits) - 1);
    const bool mask = index & 1;
    if (value & (beyond | (mask ? 0x7ff : 0xf00))) return reject();
    if (!mask && !valid_memory_type(static_cast<u8>(value), false)) return reject();
    m.mtrr_variable[index - kMtrrPhysFirst] = value;
    return true;
  }
  if (fixed_mtrr(index) >= 0 && cpu.has(Feature::kMtrr)) {
    if (!valid_memory_types(value, false)) return reject();
    m.mtrr_fixed[static_cast<unsigned>(fixed_mtrr(index))] = value;
    return true;
  }
  if (index >= kMc0Ctl && index < kMcEnd && cpu.has(Feature::kMca)) {
    if (index % 4 == 0) {
      m.mc_control[(index - kMc0Ctl) / 4] = value;
      return true;
    }
    return value == 0 ? true : reject();
  }
  if (index >= kX2apicFirst && index <= kX2apicLast && apic != nullptr) {
    return apic->write_x2apic(index, value) ? true : reject();
  }
  if (amd_without_effect(cpu, index)) return true;
  return unknown(cpu, index, "write");
}

}  // namespace dragoman
