// The state of the processor in a snapshot. A file may be damaged: what is loaded is brought into
// the combinations that the rest of cpu/ may rely on, though no longer into what was meant.
#include "cpu/cpu.h"
#include "cpu/execute/host/xsave.h"

namespace dragoman {
namespace {

/// Control bits that only mean something together (SDM vol. 3, 2.5 and 4.1).
void agree_on_mode(CpuState& s) {
  s.cr0 |= kCr0Et;
  if (!(s.cr0 & kCr0Pe)) s.cr0 &= ~kCr0Pg;
  const bool paging = s.cr0 & kCr0Pg;
  if (!paging || !(s.efer & kEferLme) || !(s.cr4 & kCr4Pae)) s.efer &= ~kEferLma;
  if (paging && (s.efer & kEferLme)) {
    s.cr4 |= kCr4Pae;
    s.efer |= kEferLma;
  }
  if (!(s.efer & kEferLma)) s.cr4 &= ~kCr4Pcide;
  if (!(s.cr0 & kCr0Pe) || (s.efer & kEferLma)) s.flags &= ~u32{kFlagVm};
  s.cpl = !(s.cr0 & kCr0Pe) ? 0 : (s.flags & kFlagVm) ? 3 : s.cpl & 3;
}

}  // namespace

void Cpu::save(std::vector<u8>& out) const { save_fields(state, out); }

Result<void> Cpu::load(std::span<const u8>& in) {
  CpuState s{};
  if (auto result = load_fields(s, in); !result) return result;
  s.flags &= (s.cr0 & kCr0Pe) ? model_.flags_implemented : model_.flags_real_mode;
  s.flags = (s.flags | model_.flags_fixed) & ~u32{kArithmeticFlags};
  agree_on_mode(s);
  s.xcr0 = (s.xcr0 & model_.xcr0_mask()) | 1;
  if (!(s.xcr0 & 2)) s.xcr0 &= ~u64{4};
  s.fpu.mxcsr &= kMxcsrMask;
  s.fpu.control = static_cast<u16>((s.fpu.control & 0x1f3f) | 0x40);
  s.gdtr.limit &= 0xffff;
  s.idtr.limit &= 0xffff;
  if (s.activity > Activity::kWaitForSipi) s.activity = Activity::kRunning;
  s.interrupt_shadow &= kShadowSti | kShadowMovSs;
  s.a20_masked = s.a20_masked != 0;
  s.in_smm = s.in_smm != 0;
  s.nmi_blocked = s.nmi_blocked != 0;
  state = s;
  state_replaced();
  return {};
}

}  // namespace dragoman
