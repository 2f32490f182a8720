// Segment loads, far transfers and virtual-8086 mode.
#include <gtest/gtest.h>

#include "tests/cpu/event_machine.h"

namespace dragoman {
namespace {

using M = EventMachine;

struct LoadCase {
  unsigned cpl;
  unsigned segment;
  u16 selector;
  int vector;  // -1: loads
  u32 error;
};

TEST(SegmentLoad, FaultMatrix) {
  const std::vector<LoadCase> cases = {
      {0, kDs, M::kSelData0, -1, 0},
      {0, kDs, 0, -1, 0},
      {0, kDs, 3, -1, 0},
      {3, kDs, M::kSelData3, -1, 0},
      {3, kDs, M::kSelData0, kVectorGp, 0x10},      // DPL 0 from CPL 3
      {0, kDs, M::kSelData0 | 3, kVectorGp, 0x10},  // RPL 3
      {0, kEs, 0x1f8, kVectorGp, 0x1f8},            // beyond the limit
      {0, kEs, 0x0c, kVectorGp, 0x0c},              // LDT without LDTR
      {3, kFs, M::kSelNotPresent, kVectorNp, 0x50},
      {3, kGs, M::kSelReadOnly, -1, 0},
      {3, kGs, M::kSelExecuteOnly, kVectorGp, 0x60},
      {3, kDs, M::kSelConforming, -1, 0},     // readable conforming code: any level
      {0, kDs, M::kSelTss, kVectorGp, 0x28},  // system descriptor
      {0, kSs, M::kSelData0, -1, 0},
      {0, kSs, 0, kVectorGp, 0},
      {0, kSs, M::kSelData3, kVectorGp, 0x20},
      {0, kSs, M::kSelCode0, kVectorGp, 0x08},
      {3, kSs, M::kSelReadOnly, kVectorGp, 0x58},
      {3, kSs, M::kSelNotPresent, kVectorSs, 0x50},
      {0, kLdtr, M::kSelLdt, -1, 0},
      {0, kLdtr, 0, -1, 0},
      {0, kLdtr, M::kSelLdt | 4, kVectorGp, 0x7c},
      {0, kLdtr, M::kSelData0, kVectorGp, 0x10},
      {0, kTr, M::kSelOtherTss, -1, 0},
      {0, kTr, M::kSelTss, kVectorGp, 0x28},  // busy
      {0, kTr, 0, kVectorGp, 0},
  };
  for (const LoadCase& c : cases) {
    EventMachine m;
    m.protected_mode(c.cpl);
    const Segment before = m.state().segments[c.segment];
    const bool ok = load_segment(*m.cpu, c.segment, c.selector);
    SCOPED_TRACE(testing::Message() << "cpl " << c.cpl << " segment " << c.segment << " selector "
                                    << std::hex << c.selector);
    EXPECT_EQ(ok, c.vector < 0);
    if (ok) {
      EXPECT_EQ(m.selector(c.segment), c.selector);
    } else {
      EXPECT_EQ(m.cpu->fault().vector, c.vector);
      EXPECT_EQ(m.cpu->fault().error_code, c.error);
      EXPECT_EQ(m.selector(c.segment), before.selector);
      m.cpu->clear_fault();
    }
  }
}

TEST(SegmentLoad, NullSegmentIsUnusableAndTssBecomesBusy) {
  EventMachine m;
  m.protected_mode(0);
  ASSERT_TRUE(load_segment(*m.cpu, kEs, 0));
  u8 value;
  EXPECT_FALSE(m.cpu->read<u8>(kEs, 0x100, value));
  EXPECT_EQ(m.cpu->fault().vector, kVectorGp);
  m.cpu->clear_fault();
  ASSERT_TRUE(load_segment(*m.cpu, kTr, M::kSelOtherTss));
  EXPECT_EQ(m.gdt_type(M::kSelOtherTss), 0x8b);
}

TEST(SegmentLoad, NullSsInLongModeNeedsMatchingRplBelow3) {
  EventMachine m;
  m.long_mode(0);
  EXPECT_TRUE(load_segment(*m.cpu, kSs, 0));
  EXPECT_FALSE(load_segment(*m.cpu, kSs, 1));
  m.cpu->clear_fault();
  EventMachine n;
  n.long_mode(3);
  EXPECT_FALSE(load_segment(*n.cpu, kSs, 3));
  EXPECT_EQ(n.cpu->fault().error_code, 0u);
}

TEST(SegmentLoad, RealModeKeepsTheLimit) {
  EventMachine m;
  m.real_mode();
  m.state().segments[kDs].limit = 0xffffffff;
  ASSERT_TRUE(load_segment(*m.cpu, kDs, 0x1234));
  EXPECT_EQ(m.state().segments[kDs].base, 0x12340u);
  EXPECT_EQ(m.state().segments[kDs].limit, 0xffffffffu);
}

TEST(SegmentLoad, MovSsHoldsEventsForOneInstruction) {
  EventMachine m;
  m.protected_mode(0);
  m.reg(kRax) = M::kSelData0;
  m.code(M::kCode0, {0x8e, 0xd0, 0x90, 0x90});
  m.cpu->run(1);
  EXPECT_EQ(m.state().interrupt_shadow & kShadowMovSs, kShadowMovSs);
  m.cpu->run(1);
  EXPECT_EQ(m.state().interrupt_shadow, 0);
}

TEST(FarTransfer, CallGateCopiesParametersAndReturns) {
  EventMachine m;
  m.protected_mode(3);
  m.gate(M::kGdt, M::kSelGate >> 3, M::kSelCode0, M::kCode0, 0xec, 2);
  m.code(M::kCode3, {0x9a, 0, 0, 0, 0, M::kSelGate & 0xff, 0});  // call 6Bh:0
  m.code(M::kCode0, {0xca, 8, 0});                               // retf 8
  m.reg(kRsp) = M::kStack3 - 8;
  m.put<u32>(M::kStack3 - 8, 0x11111111);
  m.put<u32>(M::kStack3 - 4, 0x22222222);
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kCode0);
  EXPECT_EQ(m.state().cpl, 0);
  EXPECT_EQ(m.reg(kRsp), M::kStack0 - 24);
  EXPECT_EQ(m.stack32(0), M::kCode3 + 7);
  EXPECT_EQ(m.stack32(1), M::kSelCode3);
  EXPECT_EQ(m.stack32(2), 0x11111111u);
  EXPECT_EQ(m.stack32(3), 0x22222222u);
  EXPECT_EQ(m.stack32(4), M::kStack3 - 8);
  EXPECT_EQ(m.stack32(5), M::kSelData3);
  m.force(kDs, M::kSelData0);
  m.cpu->update_mode();
  m.cpu->run(1);
  EXPECT_EQ(m.state().cpl, 3);
  EXPECT_EQ(m.state().rip(), M::kCode3 + 7);
  EXPECT_EQ(m.reg(kRsp), M::kStack3);
  EXPECT_EQ(m.selector(kDs), 0) << "ring 0 data does not leak out";
  EXPECT_EQ(m.selector(kEs), M::kSelData3);
}

TEST(FarTransfer, GatePrivilegeChecks) {
  EventMachine m;
  m.protected_mode(3);
  m.gate(M::kGdt, M::kSelGate >> 3, M::kSelCode0, M::kCode0, 0x8c);
  EXPECT_FALSE(far_call(*m.cpu, M::kSelGate, 0, 4));
  EXPECT_EQ(m.cpu->fault().vector, kVectorGp);
  EXPECT_EQ(m.cpu->fault().error_code, 0x68u);
  m.gate(M::kGdt, M::kSelGate >> 3, M::kSelCode0, M::kCode0, 0x6c);
  EXPECT_FALSE(far_call(*m.cpu, M::kSelGate, 0, 4));
  EXPECT_EQ(m.cpu->fault().vector, kVectorNp);
  m.gate(M::kGdt, M::kSelGate >> 3, M::kSelCode0, M::kCode0, 0xec);
  EXPECT_FALSE(far_jump(*m.cpu, M::kSelGate, 0, 4)) << "JMP cannot raise the privilege";
  EXPECT_EQ(m.cpu->fault().error_code, 0x08u);
  m.cpu->clear_fault();
}

TEST(FarTransfer, JumpChecksAndConformingCode) {
  EventMachine m;
  m.protected_mode(3);
  EXPECT_FALSE(far_jump(*m.cpu, M::kSelCode0, 0x100, 4));
  EXPECT_EQ(m.cpu->fault().error_code, 0x08u);
  EXPECT_FALSE(far_jump(*m.cpu, 0, 0x100, 4));
  EXPECT_EQ(m.cpu->fault().error_code, 0u);
  EXPECT_FALSE(far_jump(*m.cpu, M::kSelData3, 0x100, 4));
  EXPECT_EQ(m.cpu->fault().error_code, 0x20u);
  m.cpu->clear_fault();
  EXPECT_TRUE(far_jump(*m.cpu, M::kSelConforming, 0x12345678, 4));
  EXPECT_EQ(m.selector(kCs), M::kSelConforming | 3);
  EXPECT_EQ(m.state().cpl, 3);
  EXPECT_EQ(m.state().rip(), 0x12345678u);
}

TEST(FarTransfer, LimitOfTargetSegment) {
  EventMachine m;
  m.protected_mode(0);
  EXPECT_FALSE(far_jump(*m.cpu, M::kSelCode16, 0x10000, 4));
  EXPECT_EQ(m.cpu->fault().vector, kVectorGp);
  EXPECT_EQ(m.cpu->fault().error_code, 0u);
  m.cpu->clear_fault();
  EXPECT_TRUE(far_jump(*m.cpu, M::kSelCode16, 0x10010, 2)) << "16-bit operand: offset cut to 10h";
  EXPECT_EQ(m.state().rip(), 0x10u);
  EXPECT_EQ(m.cpu->decode_mode().code_bits, 16);
}

TEST(FarTransfer, LongModeCallGate) {
  EventMachine m;
  m.long_mode(3);
  m.gate(M::kGdt, M::kSelGate >> 3, M::kSelCode64, M::kCode0, 0xec);
  m.put<u64>(M::kGdt + 0x70, 0);
  ASSERT_TRUE(far_call(*m.cpu, M::kSelGate, 0, 4));
  EXPECT_EQ(m.state().cpl, 0);
  EXPECT_EQ(m.selector(kSs), 0);
  EXPECT_EQ(m.reg(kRsp), M::kStack0 - 32);
  EXPECT_EQ(m.stack64(0), M::kCode3);
  EXPECT_EQ(m.stack64(1), M::kSelCode64User);
  EXPECT_EQ(m.stack64(2), M::kStack3);
  EXPECT_EQ(m.stack64(3), M::kSelData3);
  ASSERT_TRUE(far_return(*m.cpu, 8, 0));
  EXPECT_EQ(m.state().rip(), M::kCode3);
  EXPECT_EQ(m.reg(kRsp), M::kStack3);
  EXPECT_EQ(m.state().cpl, 3);
}

TEST(FarTransfer, SixteenBitGateAndSameLevel) {
  EventMachine m;
  m.protected_mode(0);
  m.gate(M::kGdt, M::kSelGate >> 3, M::kSelCode0, 0x56781234, 0x84);
  ASSERT_TRUE(far_call(*m.cpu, M::kSelGate & 0xfff8, 0, 4));
  EXPECT_EQ(m.state().rip(), 0x1234u);
  EXPECT_EQ(m.reg(kRsp), M::kStack0 - 4);
  EXPECT_EQ(m.get<u16>(M::kStack0 - 2), M::kSelCode0);
  ASSERT_TRUE(far_return(*m.cpu, 2, 6));
  EXPECT_EQ(m.reg(kRsp), M::kStack0 + 6);
}

TEST(FarTransfer, LdtSegments) {
  EventMachine m;
  m.protected_mode(0);
  ASSERT_TRUE(load_segment(*m.cpu, kLdtr, M::kSelLdt));
  m.put<u64>(M::kLdt + 8, M::descriptor(0x100, 0xfff, 0x409b));
  EXPECT_TRUE(far_jump(*m.cpu, 0x0c, 0x20, 4));
  EXPECT_EQ(m.state().segments[kCs].base, 0x100u);
  EXPECT_FALSE(far_jump(*m.cpu, 0x104, 0x20, 4)) << "beyond the LDT limit";
  EXPECT_EQ(m.cpu->fault().error_code, 0x104u);
  m.cpu->clear_fault();
}

TEST(SegmentPushPop, IntelWritesSixteenBitsAmdThirtyTwo) {
  for (const bool is_amd : {false, true}) {
    EventMachine m(is_amd ? "AuthenticAMD" : "GenuineIntel");
    m.protected_mode(0);
    m.code(M::kCode0, {0x1e, 0x17});  // push ds, pop ss
    m.put<u32>(M::kStack0 - 4, 0xaaaaaaaa);
    m.cpu->run(1);
    EXPECT_EQ(m.reg(kRsp), M::kStack0 - 4);
    EXPECT_EQ(m.stack32(0), is_amd ? 0x10u : 0xaaaa0010u);
    m.cpu->run(1);
    EXPECT_EQ(m.reg(kRsp), M::kStack0);
    EXPECT_EQ(m.state().interrupt_shadow, kShadowMovSs);
  }
}

TEST(SegmentPushPop, FailedPopLeavesTheStackPointer) {
  EventMachine m;
  m.protected_mode(0);
  m.code(M::kCode0, {0x07});
  m.reg(kRsp) = M::kStack0 - 4;
  m.put<u32>(M::kStack0 - 4, 0x1f8);
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kHandler + 16u * kVectorGp);
  EXPECT_EQ(m.reg(kRsp), M::kStack0 - 4 - 16);
  EXPECT_EQ(m.stack32(0), 0x1f8u);
}

TEST(FarTransfer, ReturnCannotGoInward) {
  EventMachine m;
  m.protected_mode(3);
  m.reg(kRsp) = M::kStack3 - 8;
  m.put<u32>(M::kStack3 - 8, M::kCode0);
  m.put<u32>(M::kStack3 - 4, M::kSelCode0);
  EXPECT_FALSE(far_return(*m.cpu, 4, 0));
  EXPECT_EQ(m.cpu->fault().error_code, 0x08u);
  EXPECT_EQ(m.reg(kRsp), M::kStack3 - 8);
  m.cpu->clear_fault();
}

// --- Virtual-8086 mode --------------------------------------------------------------------------

TEST(V86, EntryAndExitThroughGate) {
  EventMachine m;
  m.enter_v86(kFlagIf | kFlagIopl);
  EXPECT_TRUE(m.cpu->v86());
  EXPECT_EQ(m.state().cpl, 3);
  EXPECT_EQ(m.state().segments[kCs].base, 0x12000u);
  EXPECT_EQ(m.state().rip(), 0x10u);
  EXPECT_EQ(m.selector(kEs), 0x1111);
  EXPECT_EQ(m.selector(kDs), 0x2222);
  EXPECT_EQ(m.selector(kFs), 0x3333);
  EXPECT_EQ(m.selector(kGs), 0x4444);
  EXPECT_EQ(m.reg(kRsp), 0x7000u);
  m.gate(M::kIdt, 0x21, M::kSelCode0, M::kHandler, 0xee);
  m.code(0x12010, {0xcd, 0x21});
  m.code(M::kHandler, {0xcf});
  m.cpu->run(1);
  EXPECT_FALSE(m.cpu->v86());
  EXPECT_EQ(m.state().cpl, 0);
  EXPECT_EQ(m.reg(kRsp), M::kStack0 - 36);
  EXPECT_EQ(m.stack32(0), 0x12u);
  EXPECT_EQ(m.stack32(1), 0x1200u);
  EXPECT_NE(m.stack32(2) & kFlagVm, 0u);
  EXPECT_EQ(m.stack32(3), 0x7000u);
  EXPECT_EQ(m.stack32(4), 0x500u);
  EXPECT_EQ(m.stack32(5), 0x1111u);
  EXPECT_EQ(m.stack32(6), 0x2222u);
  EXPECT_EQ(m.stack32(7), 0x3333u);
  EXPECT_EQ(m.stack32(8), 0x4444u);
  EXPECT_EQ(m.selector(kDs), 0);
  m.cpu->run(1);
  EXPECT_TRUE(m.cpu->v86());
  EXPECT_EQ(m.state().rip(), 0x12u);
  EXPECT_EQ(m.selector(kGs), 0x4444);
}

TEST(V86, IntNeedsIopl3WithoutVme) {
  EventMachine m;
  m.enter_v86(kFlagIf);
  m.code(0x12010, {0xcd, 0x21});
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kHandler + 16u * kVectorGp);
  EXPECT_EQ(m.stack32(0), 0u);
}

TEST(V86, VmeRedirectsThroughTheVectorTable) {
  EventMachine m;
  m.enter_v86(kFlagIf);
  m.state().cr4 |= kCr4Vme;
  m.state().flags |= kFlagVif;
  m.put<u16>(M::kTss + 0x66, 0x100);  // bitmap of redirections at E0h, all clear
  m.put<u32>(0x21 * 4, 0x00700010);
  m.code(0x12010, {0xcd, 0x21});
  m.code(0x710, {0xfb, 0xcf});  // STI, IRET
  m.cpu->run(1);
  EXPECT_TRUE(m.cpu->v86());
  EXPECT_EQ(m.selector(kCs), 0x70);
  EXPECT_EQ(m.reg(kRsp), 0x6ffau);
  const u16 image = m.get<u16>(0x5000 + 0x6ffe);
  EXPECT_EQ(image & (kFlagIf | kFlagIopl), kFlagIf | kFlagIopl);
  EXPECT_EQ(m.state().flags & kFlagVif, 0u);
  EXPECT_NE(m.state().flags & kFlagIf, 0u);
  m.cpu->run(1);
  EXPECT_NE(m.state().flags & kFlagVif, 0u) << "STI sets VIF";
  m.state().flags &= ~u32{kFlagVif};
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), 0x12u);
  EXPECT_NE(m.state().flags & kFlagVif, 0u) << "IRET takes VIF from the image";
  EXPECT_EQ(m.cpu->iopl(), 0u);
}

TEST(V86, VmeBitmapKeepsInterruptForTheMonitor) {
  EventMachine m;
  m.enter_v86(kFlagIf);
  m.state().cr4 |= kCr4Vme;
  m.put<u16>(M::kTss + 0x66, 0x100);
  m.put<u8>(M::kTss + 0xe0 + 0x21 / 8, 1 << (0x21 & 7));
  m.code(0x12010, {0xcd, 0x21});
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kHandler + 16u * kVectorGp);
}

TEST(V86, VipAndStiFault) {
  EventMachine m;
  m.enter_v86(kFlagIf);
  m.state().cr4 |= kCr4Vme;
  m.state().flags |= kFlagVip;
  m.code(0x12010, {0xfb});
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kHandler + 16u * kVectorGp);
}

}  // namespace
}  // namespace dragoman
