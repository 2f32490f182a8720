// Architectural state of one logical processor. Everything a snapshot needs is here; caches of
// it are in Cpu.
#pragma once

#include <array>
#include <tuple>

#include "base/bits.h"
#include "base/fields.h"
#include "base/types.h"
#include "cpu/decode/instruction.h"

namespace dragoman {

/// RFLAGS bits (SDM vol. 1, 3.4.3).
enum Flag : u32 {
  kFlagCf = 1 << 0,
  kFlagFixed = 1 << 1,
  kFlagPf = 1 << 2,
  kFlagAf = 1 << 4,
  kFlagZf = 1 << 6,
  kFlagSf = 1 << 7,
  kFlagTf = 1 << 8,
  kFlagIf = 1 << 9,
  kFlagDf = 1 << 10,
  kFlagOf = 1 << 11,
  kFlagIopl = 3 << 12,
  kFlagNt = 1 << 14,
  kFlagRf = 1 << 16,
  kFlagVm = 1 << 17,
  kFlagAc = 1 << 18,
  kFlagVif = 1 << 19,
  kFlagVip = 1 << 20,
  kFlagId = 1 << 21,
  kArithmeticFlags = kFlagCf | kFlagPf | kFlagAf | kFlagZf | kFlagSf | kFlagOf,
};

/// Control register bits (SDM vol. 3, 2.5).
enum ControlBit : u64 {
  kCr0Pe = 1ull << 0,
  kCr0Mp = 1ull << 1,
  kCr0Em = 1ull << 2,
  kCr0Ts = 1ull << 3,
  kCr0Et = 1ull << 4,
  kCr0Ne = 1ull << 5,
  kCr0Wp = 1ull << 16,
  kCr0Am = 1ull << 18,
  kCr0Nw = 1ull << 29,
  kCr0Cd = 1ull << 30,
  kCr0Pg = 1ull << 31,
  kCr4Vme = 1ull << 0,
  kCr4Pvi = 1ull << 1,
  kCr4Tsd = 1ull << 2,
  kCr4De = 1ull << 3,
  kCr4Pse = 1ull << 4,
  kCr4Pae = 1ull << 5,
  kCr4Mce = 1ull << 6,
  kCr4Pge = 1ull << 7,
  kCr4Pce = 1ull << 8,
  kCr4Osfxsr = 1ull << 9,
  kCr4Osxmmexcpt = 1ull << 10,
  kCr4Umip = 1ull << 11,
  kCr4Fsgsbase = 1ull << 16,
  kCr4Pcide = 1ull << 17,
  kCr4Osxsave = 1ull << 18,
  kCr4Smep = 1ull << 20,
  kCr4Smap = 1ull << 21,
  kCr4Pke = 1ull << 22,
  kEferSce = 1ull << 0,
  kEferLme = 1ull << 8,
  kEferLma = 1ull << 10,
  kEferNxe = 1ull << 11,
  kEferFfxsr = 1ull << 14,
};

/// Exception vectors (SDM vol. 3, table 6-1).
enum Vector : u8 {
  kVectorDe = 0,
  kVectorDb = 1,
  kVectorNmi = 2,
  kVectorBp = 3,
  kVectorOf = 4,
  kVectorBr = 5,
  kVectorUd = 6,
  kVectorNm = 7,
  kVectorDf = 8,
  kVectorTs = 10,
  kVectorNp = 11,
  kVectorSs = 12,
  kVectorGp = 13,
  kVectorPf = 14,
  kVectorMf = 16,
  kVectorAc = 17,
  kVectorMc = 18,
  kVectorXm = 19,
};

/// A segment register with its hidden part. `attributes` holds descriptor bits 40..47 in bits
/// 0..7 (type, S, DPL, P) and bits 52..55 in bits 12..15 (AVL, L, D/B, G).
struct Segment {
  u64 base = 0;
  u32 limit = 0xffff;  ///< in bytes, granularity applied, inclusive
  u16 selector = 0;
  u16 attributes = 0x93;  ///< present, DPL 0, data read/write, accessed

  unsigned type() const { return attributes & 0xf; }
  bool system() const { return !(attributes & 0x10); }
  unsigned dpl() const { return (attributes >> 5) & 3; }
  bool present() const { return (attributes & 0x80) != 0; }
  bool long_mode() const { return (attributes & 0x2000) != 0; }
  bool big() const { return (attributes & 0x4000) != 0; }
  bool code() const { return (attributes & 0x18) == 0x18; }
  bool writable_data() const { return (attributes & 0x1a) == 0x12; }
  bool conforming() const { return (attributes & 0x1c) == 0x1c; }
  bool expand_down() const { return (attributes & 0x1c) == 0x14; }

  static constexpr auto fields() {
    return std::tuple{Field{"base", &Segment::base}, Field{"limit", &Segment::limit},
                      Field{"selector", &Segment::selector},
                      Field{"attributes", &Segment::attributes}};
  }
};

/// GDTR or IDTR.
struct DescriptorTable {
  u64 base = 0;
  u64 limit = 0xffff;
  static constexpr auto fields() {
    return std::tuple{Field{"base", &DescriptorTable::base},
                      Field{"limit", &DescriptorTable::limit}};
  }
};

/// Arithmetic flags, kept lazily as the result and carries of the last operation that set them:
///   ZF: result == 0 (results are sign-extended to 64 bits)
///   SF: bit 63 of result ^ flip       PF: even parity of bits 7:0 of result ^ flip
///   CF: carries bit 63                OF: carries bit 63 xor bit 62        AF: carries bit 3
struct LazyFlags {
  u64 result = 1;
  u64 carries = 0;
  u64 flip = 0;  ///< nonzero only after flags were loaded as bits (POPF, SAHF ...)
  static constexpr auto fields() {
    return std::tuple{Field{"result", &LazyFlags::result}, Field{"carries", &LazyFlags::carries},
                      Field{"flip", &LazyFlags::flip}};
  }
};

enum class Activity : u8 { kRunning, kHalted, kMwait, kShutdown, kWaitForSipi };

/// x87 environment and vector registers. ST(i) is st[(top + i) & 7]; MMX register i is st[i].
struct FpuState {
  std::array<std::array<u8, 16>, 8> st{};  ///< 80-bit values in the low ten bytes
  std::array<std::array<u8, 32>, 16> ymm{};
  u64 fip = 0;  ///< offset of the last non-control instruction
  u64 fdp = 0;
  u32 mxcsr = 0x1f80;
  u16 control = 0x0040;  ///< after RESET; FNINIT gives 037Fh
  u16 status = 0;        ///< with TOP in bits 13:11
  u16 fcs = 0;
  u16 fds = 0;
  u16 opcode = 0;
  u8 tag = 0;       ///< abridged: bit i set = physical register i in use
  u8 reserved = 0;  // padding
  static constexpr auto fields() {
    return std::tuple{Field{"st", &FpuState::st},         Field{"ymm", &FpuState::ymm},
                      Field{"fip", &FpuState::fip},       Field{"fdp", &FpuState::fdp},
                      Field{"mxcsr", &FpuState::mxcsr},   Field{"control", &FpuState::control},
                      Field{"status", &FpuState::status}, Field{"fcs", &FpuState::fcs},
                      Field{"fds", &FpuState::fds},       Field{"opcode", &FpuState::opcode},
                      Field{"tag", &FpuState::tag},       Field{"reserved", &FpuState::reserved}};
  }
};

/// Model-specific registers with plain storage; those with side effects are in CpuState.
struct MsrState {
  u64 star = 0, lstar = 0, cstar = 0, sfmask = 0, kernel_gs_base = 0;
  u64 sysenter_cs = 0, sysenter_esp = 0, sysenter_eip = 0;
  u64 tsc_aux = 0, tsc_adjust = 0;
  u64 pat = 0x0007040600070406;
  u64 misc_enable = 1;  ///< fast strings
  u64 spec_ctrl = 0, xss = 0, debugctl = 0, mcg_status = 0;
  u64 mtrr_def_type = 0;
  std::array<u64, 16> mtrr_variable{};  ///< base/mask pairs
  std::array<u64, 11> mtrr_fixed{};
  std::array<u64, 10> mc_control{};  ///< IA32_MCi_CTL
  u64 mcg_control = 0;
  u64 feature_control = 1;  ///< locked, VMX off
  u64 smbase = 0x30000;
  static constexpr auto fields() {
    using M = MsrState;
    return std::tuple{Field{"star", &M::star},
                      Field{"lstar", &M::lstar},
                      Field{"cstar", &M::cstar},
                      Field{"sfmask", &M::sfmask},
                      Field{"kernel_gs_base", &M::kernel_gs_base},
                      Field{"sysenter_cs", &M::sysenter_cs},
                      Field{"sysenter_esp", &M::sysenter_esp},
                      Field{"sysenter_eip", &M::sysenter_eip},
                      Field{"tsc_aux", &M::tsc_aux},
                      Field{"tsc_adjust", &M::tsc_adjust},
                      Field{"pat", &M::pat},
                      Field{"misc_enable", &M::misc_enable},
                      Field{"spec_ctrl", &M::spec_ctrl},
                      Field{"xss", &M::xss},
                      Field{"debugctl", &M::debugctl},
                      Field{"mcg_status", &M::mcg_status},
                      Field{"mtrr_def_type", &M::mtrr_def_type},
                      Field{"mtrr_variable", &M::mtrr_variable},
                      Field{"mtrr_fixed", &M::mtrr_fixed},
                      Field{"mc_control", &M::mc_control},
                      Field{"mcg_control", &M::mcg_control},
                      Field{"feature_control", &M::feature_control},
                      Field{"smbase", &M::smbase}};
  }
};

/// Defaults are the values after RESET# (SDM vol. 3, table 10-1).
struct CpuState {
  std::array<u64, 18> regs{};  ///< by Gpr number; [kZeroRegister] stays 0, [kRip] is RIP
  LazyFlags lazy;
  u64 instructions = 0;  ///< retired since power-on
  i64 tsc_offset = 0;    ///< guest TSC minus TSC of virtual time
  u64 cr0 = 0x60000010, cr2 = 0, cr3 = 0, cr4 = 0, xcr0 = 1, efer = 0;
  std::array<u64, 8> dr{0, 0, 0, 0, 0, 0, 0xffff0ff0, 0x400};
  std::array<u64, 4> pdpte{};  ///< PAE page-directory-pointer entries, loaded by MOV CR3
  std::array<Segment, kSegmentCount> segments{};
  DescriptorTable gdtr, idtr;
  FpuState fpu;
  MsrState msr;
  u32 flags = kFlagFixed;  ///< RFLAGS without the arithmetic flags, which are in `lazy`
  u32 pkru = 0;
  Activity activity = Activity::kRunning;
  u8 cpl = 0;
  u8 interrupt_shadow = 0;  ///< ShadowBits: interrupts held off for one instruction
  u8 nmi_blocked = 0;
  u8 nmi_pending = 0;
  u8 smi_pending = 0;
  u8 in_smm = 0;
  u8 a20_masked = 0;
  u32 pending_debug = 0;  ///< DR6 bits of a #DB held for the instruction boundary
  u32 monitor_armed = 0;
  u64 monitor_address = 0;  ///< physical, of the MONITOR line

  u64& rip() { return regs[kRip]; }
  u64 rip() const { return regs[kRip]; }

  static constexpr auto fields() {
    using S = CpuState;
    return std::tuple{Field{"regs", &S::regs},
                      Field{"lazy", &S::lazy},
                      Field{"instructions", &S::instructions},
                      Field{"tsc_offset", &S::tsc_offset},
                      Field{"cr0", &S::cr0},
                      Field{"cr2", &S::cr2},
                      Field{"cr3", &S::cr3},
                      Field{"cr4", &S::cr4},
                      Field{"xcr0", &S::xcr0},
                      Field{"efer", &S::efer},
                      Field{"dr", &S::dr},
                      Field{"pdpte", &S::pdpte},
                      Field{"segments", &S::segments},
                      Field{"gdtr", &S::gdtr},
                      Field{"idtr", &S::idtr},
                      Field{"fpu", &S::fpu},
                      Field{"msr", &S::msr},
                      Field{"flags", &S::flags},
                      Field{"pkru", &S::pkru},
                      Field{"activity", &S::activity},
                      Field{"cpl", &S::cpl},
                      Field{"interrupt_shadow", &S::interrupt_shadow},
                      Field{"nmi_blocked", &S::nmi_blocked},
                      Field{"nmi_pending", &S::nmi_pending},
                      Field{"smi_pending", &S::smi_pending},
                      Field{"in_smm", &S::in_smm},
                      Field{"a20_masked", &S::a20_masked},
                      Field{"pending_debug", &S::pending_debug},
                      Field{"monitor_armed", &S::monitor_armed},
                      Field{"monitor_address", &S::monitor_address}};
  }
};

/// CpuState::interrupt_shadow.
enum ShadowBits : u8 {
  kShadowSti = 1,    ///< maskable interrupts are held off
  kShadowMovSs = 2,  ///< maskable interrupts, NMI, SMI and debug traps are held off
};

}  // namespace dragoman
