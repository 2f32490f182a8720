// Flag instructions, system calls, descriptor inspection and SMM.
#include <gtest/gtest.h>

#include "tests/cpu/event_machine.h"

namespace dragoman {
namespace {

using M = EventMachine;

// --- Flags

TEST(FlagInstructions, PopfByPrivilege) {
  EventMachine m;
  m.protected_mode(3);
  m.code(M::kCode3, {0x9d});
  m.reg(kRsp) = M::kStack3 - 4;
  m.put<u32>(M::kStack3 - 4, kFlagIopl | kFlagCf | kFlagAc | kFlagVm | kFlagRf);
  m.cpu->run(1);
  EXPECT_EQ(m.cpu->rflags() & ~u32{kFlagFixed}, u32{kFlagIf | kFlagCf | kFlagAc})
      << "IF and IOPL stay above IOPL";
  EXPECT_EQ(m.reg(kRsp), M::kStack3);

  EventMachine n;
  n.protected_mode(0);
  n.code(M::kCode0, {0x9d});
  n.reg(kRsp) = M::kStack0 - 4;
  n.put<u32>(M::kStack0 - 4, kFlagIopl | kFlagNt);
  n.cpu->run(1);
  EXPECT_EQ(n.cpu->rflags(), u32{kFlagFixed | kFlagIopl | kFlagNt});
}

TEST(FlagInstructions, CliStiByIopl) {
  EventMachine m;
  m.protected_mode(3);
  m.state().flags |= kFlagIopl;
  m.cpu->state_replaced();
  m.code(M::kCode3, {0xfa, 0xfb, 0x90});
  m.cpu->run(1);
  EXPECT_EQ(m.state().flags & kFlagIf, 0u);
  m.cpu->run(1);
  EXPECT_NE(m.state().flags & kFlagIf, 0u);
  EXPECT_EQ(m.state().interrupt_shadow, kShadowSti);
  m.cpu->run(1);
  EXPECT_EQ(m.state().interrupt_shadow, 0);
}

TEST(FlagInstructions, PviUsesVif) {
  EventMachine m;
  m.protected_mode(3);
  m.state().cr4 |= kCr4Pvi;
  m.code(M::kCode3, {0xfb, 0xfa});
  m.cpu->run(1);
  EXPECT_NE(m.state().flags & kFlagVif, 0u);
  m.cpu->run(1);
  EXPECT_EQ(m.state().flags & kFlagVif, 0u);
  EXPECT_NE(m.state().flags & kFlagIf, 0u);
}

TEST(FlagInstructions, PushfHidesVmAndRf) {
  EventMachine m;
  m.protected_mode(0);
  m.state().flags |= kFlagRf;
  m.cpu->state_replaced();
  m.code(M::kCode0, {0x9c});
  m.cpu->run(1);
  EXPECT_EQ(m.stack32(0) & kFlagRf, 0u);
  EXPECT_NE(m.stack32(0) & kFlagIf, 0u);
}

// --- System calls

TEST(SystemCalls, SyscallAndSysret) {
  EventMachine m;
  m.long_mode(3);
  m.state().msr.star = (u64{0x83} << 48) | (u64{0x08} << 32);
  m.state().msr.lstar = M::kHandler;
  m.state().msr.sfmask = kFlagIf | kFlagCf;
  m.cpu->set_rflags(kFlagIf | kFlagCf | kFlagZf);
  m.code(M::kCode3, {0x0f, 0x05});
  m.code(M::kHandler, {0x48, 0x0f, 0x07});
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kHandler);
  EXPECT_EQ(m.state().cpl, 0);
  EXPECT_EQ(m.selector(kCs), 0x08);
  EXPECT_EQ(m.selector(kSs), 0x10);
  EXPECT_TRUE(m.cpu->code64());
  EXPECT_EQ(m.reg(kRcx), M::kCode3 + 2);
  EXPECT_EQ(m.reg(kR11), kFlagFixed | kFlagIf | kFlagCf | kFlagZf);
  EXPECT_EQ(m.cpu->rflags(), u32{kFlagFixed | kFlagZf});
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kCode3 + 2);
  EXPECT_EQ(m.state().cpl, 3);
  EXPECT_EQ(m.selector(kCs), 0x93);
  EXPECT_EQ(m.selector(kSs), 0x8b);
  EXPECT_EQ(m.cpu->rflags(), u32{kFlagFixed | kFlagIf | kFlagCf | kFlagZf});
}

TEST(SystemCalls, SysretToNonCanonicalAddress) {
  EventMachine m;
  m.long_mode(0);
  m.code(M::kCode0, {0x48, 0x0f, 0x07});
  m.reg(kRcx) = 0x800000000000;
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kHandler + 16u * kVectorGp);
  EXPECT_EQ(m.stack64(1), M::kCode0) << "Intel faults at SYSRET itself";
}

TEST(SystemCalls, AmdSysretLeavesHiddenSs) {
  EventMachine m("AuthenticAMD");
  m.long_mode(0);
  m.state().msr.star = u64{0x83} << 48;
  m.code(M::kCode0, {0x48, 0x0f, 0x07});
  m.reg(kRcx) = M::kCode3;
  m.state().segments[kSs].limit = 0x1234;
  m.cpu->run(1);
  EXPECT_EQ(m.selector(kSs), 0x8b);
  EXPECT_EQ(m.state().segments[kSs].limit, 0x1234u);
}

TEST(SystemCalls, SyscallOutside64BitModeByVendor) {
  EventMachine intel;
  intel.protected_mode(3);
  intel.state().efer = kEferSce;
  intel.code(M::kCode3, {0x0f, 0x05});
  intel.cpu->run(1);
  EXPECT_EQ(intel.state().rip(), M::kHandler + 16u * kVectorUd);

  EventMachine amd("AuthenticAMD");
  amd.protected_mode(3);
  amd.state().efer = kEferSce;
  amd.state().msr.star = (u64{0x08} << 32) | M::kHandler;
  amd.code(M::kCode3, {0x0f, 0x05});
  amd.cpu->run(1);
  EXPECT_EQ(amd.state().rip(), M::kHandler);
  EXPECT_EQ(amd.reg(kRcx), M::kCode3 + 2);
  EXPECT_EQ(amd.state().flags & kFlagIf, 0u);
}

TEST(SystemCalls, SysenterAndSysexit) {
  EventMachine m;
  m.protected_mode(3);
  m.code(M::kCode3, {0x0f, 0x34});
  m.code(M::kHandler, {0x0f, 0x35});
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kHandler + 16u * kVectorGp) << "IA32_SYSENTER_CS is null";

  m.protected_mode(3);
  m.state().msr.sysenter_cs = 0x08;
  m.state().msr.sysenter_eip = M::kHandler;
  m.state().msr.sysenter_esp = 0x8800;
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kHandler);
  EXPECT_EQ(m.reg(kRsp), 0x8800u);
  EXPECT_EQ(m.selector(kSs), 0x10);
  EXPECT_EQ(m.state().cpl, 0);
  m.reg(kRcx) = M::kStack3;
  m.reg(kRdx) = M::kCode3;
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kCode3);
  EXPECT_EQ(m.selector(kCs), 0x1b);
  EXPECT_EQ(m.selector(kSs), 0x23);
  EXPECT_EQ(m.state().cpl, 3);
}

TEST(SystemCalls, SysenterFromRealAndVirtualMode) {
  EventMachine m;
  m.real_mode();
  m.state().msr.sysenter_cs = 0x08;
  m.put<u32>(13 * 4, 0x00700010);
  m.code(0x500, {0x0f, 0x34});
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), 0x10u) << "#GP in real mode";

  EventMachine v;
  v.enter_v86(kFlagIf);
  v.state().msr.sysenter_cs = 0x08;
  v.state().msr.sysenter_eip = M::kHandler;
  v.code(0x12010, {0x0f, 0x34});
  v.cpu->run(1);
  EXPECT_FALSE(v.cpu->v86());
  EXPECT_EQ(v.state().rip(), M::kHandler);
  EXPECT_EQ(v.state().cpl, 0);
}

TEST(SystemCalls, Swapgs) {
  EventMachine m;
  m.long_mode(0);
  m.state().segments[kGs].base = 0x1111;
  m.state().msr.kernel_gs_base = 0x2222;
  m.code(M::kCode0, {0x0f, 0x01, 0xf8});
  m.cpu->run(1);
  EXPECT_EQ(m.state().segments[kGs].base, 0x2222u);
  EXPECT_EQ(m.state().msr.kernel_gs_base, 0x1111u);
}

// --- Descriptor inspection, tables

TEST(DescriptorInstructions, VerrLarLsl) {
  EventMachine m;
  m.protected_mode(3);
  m.reg(kRcx) = M::kSelReadOnly;
  m.code(M::kCode3, {0x0f, 0x00, 0xe1,    // verr cx
                     0x0f, 0x00, 0xe9,    // verw cx
                     0x0f, 0x02, 0xc1,    // lar eax, ecx
                     0x0f, 0x03, 0xd1});  // lsl edx, ecx
  m.cpu->run(1);
  EXPECT_NE(m.cpu->rflags() & kFlagZf, 0u);
  m.cpu->run(1);
  EXPECT_EQ(m.cpu->rflags() & kFlagZf, 0u);
  m.cpu->run(2);
  EXPECT_EQ(m.reg(kRax), 0x00cff100u);  // bits 19:16 are undefined; Intel leaves the limit
  EXPECT_EQ(m.reg(kRdx), 0xffffffffu);
}

TEST(DescriptorInstructions, UmipHidesTables) {
  EventMachine m;
  m.protected_mode(3);
  m.code(M::kCode3, {0x0f, 0x01, 0x05, 0, 0x60, 0, 0});  // sgdt [6000h]
  m.cpu->run(1);
  EXPECT_EQ(m.get<u16>(0x6000), 0xff);
  EXPECT_EQ(m.get<u32>(0x6002), M::kGdt);
  m.state().cr4 |= kCr4Umip;
  m.state().rip() = M::kCode3;
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kHandler + 16u * kVectorGp);
}

TEST(DescriptorInstructions, BoundAndArpl) {
  EventMachine m;
  m.protected_mode(0);
  m.put<u32>(0x6000, static_cast<u32>(-5));
  m.put<u32>(0x6004, 5);
  m.code(M::kCode0, {0x62, 0x05, 0, 0x60, 0, 0, 0x63, 0xc8, 0x62, 0x05, 0, 0x60, 0, 0});
  m.reg(kRax) = static_cast<u32>(-5);
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kCode0 + 6);
  m.reg(kRax) = 0x1230;
  m.reg(kRcx) = 3;
  m.cpu->run(1);
  EXPECT_EQ(m.reg(kRax), 0x1233u);
  EXPECT_NE(m.cpu->rflags() & kFlagZf, 0u);
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kHandler + 16u * kVectorBr);
  EXPECT_EQ(m.stack32(0), M::kCode0 + 8);
}

// --- SMM

TEST(Smm, EntryAndRsmFromLongMode) {
  EventMachine m;
  m.long_mode(3);
  m.state().msr.smbase = 0x30000;
  for (unsigned i = 0; i < 16; ++i) m.reg(i) = 0x1000 + i;
  m.cpu->set_rflags(kFlagIf | kFlagCf);
  const CpuState before = m.state();
  m.code(0x38000, {0x0f, 0xaa});
  enter_smm(*m.cpu);
  EXPECT_EQ(m.state().in_smm, 1);
  EXPECT_EQ(m.state().rip(), 0x8000u);
  EXPECT_EQ(m.selector(kCs), 0x3000);
  EXPECT_TRUE(m.cpu->real_mode());
  EXPECT_EQ(m.get<u32>(0x3fefc), 0x20064u);
  EXPECT_EQ(m.get<u32>(0x3ff00), 0x30000u);
  EXPECT_EQ(m.get<u64>(0x3fff8), 0x1000u) << "RAX";
  m.put<u32>(0x3ff00, 0xa0000);
  m.cpu->run(1);
  EXPECT_EQ(m.state().in_smm, 0);
  EXPECT_EQ(m.state().msr.smbase, 0xa0000u);
  EXPECT_EQ(m.state().regs, before.regs);
  EXPECT_EQ(m.state().cr0, before.cr0);
  EXPECT_EQ(m.state().efer, before.efer);
  EXPECT_EQ(m.state().cpl, 3);
  EXPECT_TRUE(m.cpu->code64());
  EXPECT_EQ(m.cpu->rflags(), u32{kFlagFixed | kFlagIf | kFlagCf});
  for (unsigned i = 0; i < kSegmentCount; ++i) {
    EXPECT_EQ(m.state().segments[i].selector, before.segments[i].selector);
    EXPECT_EQ(m.state().segments[i].attributes, before.segments[i].attributes);
    EXPECT_EQ(m.state().segments[i].limit, before.segments[i].limit);
  }
  EXPECT_EQ(m.smm_visible, (std::vector<bool>{true, false}));
}

TEST(Smm, RsmOutsideSmmIsUndefined) {
  EventMachine m;
  m.protected_mode(0);
  m.code(M::kCode0, {0x0f, 0xaa});
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kHandler + 16u * kVectorUd);
}

TEST(Smm, ThirtyTwoBitMapOfModelsWithoutLongMode) {
  EventMachine m("GenuineIntel", false);
  m.protected_mode(3);
  m.state().msr.smbase = 0x30000;
  m.state().pending_debug = 1u << 14;
  m.cpu->set_rflags(kFlagIf | kFlagZf);
  m.reg(kRdi) = 0xd1;
  const CpuState before = m.state();
  m.code(0x38000, {0x0f, 0xaa});
  enter_smm(*m.cpu);
  EXPECT_EQ(m.get<u32>(0x3fefc), 0x20000u);
  EXPECT_EQ(m.get<u32>(0x3fef8), 0x30000u);
  EXPECT_EQ(m.get<u32>(0x3ffec), 0xd1u) << "EDI";
  EXPECT_EQ(m.state().pending_debug, 0u) << "the trap waits until after RSM";
  m.cpu->run(1);
  EXPECT_EQ(m.state().pending_debug, 1u << 14);
  EXPECT_EQ(m.state().regs, before.regs);
  EXPECT_EQ(m.state().cpl, 3);
  EXPECT_EQ(m.cpu->rflags(), u32{kFlagFixed | kFlagIf | kFlagZf});
  for (unsigned i = 0; i < kSegmentCount; ++i) {
    EXPECT_EQ(m.state().segments[i].selector, before.segments[i].selector);
    EXPECT_EQ(m.state().segments[i].attributes, before.segments[i].attributes);
    EXPECT_EQ(m.state().segments[i].limit, before.segments[i].limit);
    EXPECT_EQ(m.state().segments[i].base, before.segments[i].base);
  }
}

TEST(Smm, RsmToInvalidStateShutsDown) {
  EventMachine m;
  m.real_mode();
  m.code(0x38000, {0x0f, 0xaa});
  enter_smm(*m.cpu);
  m.put<u64>(0x3ff58, kCr0Pg);  // paging without protection
  EXPECT_EQ(m.cpu->run(5), RunExit::kTripleFault);
}

TEST(Smm, HaltIsResumed) {
  EventMachine m;
  m.real_mode();
  m.code(0x38000, {0x0f, 0xaa});
  m.state().activity = Activity::kHalted;
  enter_smm(*m.cpu);
  EXPECT_EQ(m.state().activity, Activity::kRunning);
  m.cpu->run(1);
  EXPECT_EQ(m.state().activity, Activity::kHalted);
  EXPECT_EQ(m.state().rip(), 0x500u);
}

}  // namespace
}  // namespace dragoman
