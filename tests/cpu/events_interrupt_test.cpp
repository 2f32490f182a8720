// Delivery of exceptions and interrupts, and IRET.
#include <gtest/gtest.h>

#include "tests/cpu/event_machine.h"

namespace dragoman {
namespace {

using M = EventMachine;

TEST(EventsReal, IntAndIret) {
  EventMachine m;
  m.real_mode();
  m.code(0x500, {0xcd, 0x21});
  m.put<u32>(0x21 * 4, 0x00700010);
  m.code(0x710, {0xcf});
  m.cpu->set_rflags(kFlagIf | kFlagTf | kFlagCf | kFlagAc);
  m.state().flags &= ~u32{kFlagTf};
  m.cpu->run(1);
  EXPECT_EQ(m.selector(kCs), 0x70);
  EXPECT_EQ(m.state().segments[kCs].base, 0x700u);
  EXPECT_EQ(m.state().rip(), 0x10u);
  EXPECT_EQ(m.reg(kRsp), 0x6ffau);
  EXPECT_EQ(m.get<u16>(0x6ffa), 0x502);
  EXPECT_EQ(m.get<u16>(0x6ffc), 0);
  EXPECT_EQ(m.get<u16>(0x6ffe), kFlagIf | kFlagFixed | kFlagCf);
  EXPECT_EQ(m.cpu->rflags() & (kFlagIf | kFlagAc), 0u);
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), 0x502u);
  EXPECT_EQ(m.selector(kCs), 0);
  EXPECT_EQ(m.reg(kRsp), 0x7000u);
  EXPECT_EQ(m.cpu->rflags() & (kFlagIf | kFlagCf), u32{kFlagIf | kFlagCf});
}

TEST(EventsReal, VectorBeyondIdtLimitIsGp) {
  EventMachine m;
  m.real_mode();
  m.state().idtr.limit = 0x3f;
  m.code(0x500, {0xcd, 0x21});
  m.put<u32>(13 * 4, 0x00700010);
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), 0x10u);
  EXPECT_EQ(m.get<u16>(0x6ffa), 0x500) << "the fault returns to the INT itself";
}

TEST(EventsReal, StackTooSmallEndsInShutdown) {
  EventMachine m;
  m.real_mode();
  m.code(0x500, {0xcd, 0x21});
  m.reg(kRsp) = 1;
  EXPECT_EQ(m.cpu->run(10), RunExit::kTripleFault);
  EXPECT_NE(m.cpu->fault_history().find("vector=08"), std::string::npos);
}

TEST(EventsReal, ShutdownStopsBeforeTheNextInstruction) {
  EventMachine m;
  m.real_mode();
  m.state().idtr.limit = 0;
  m.code(0x500, {0x40, 0x40, 0x40});  // inc ax
  m.cpu->raise_nmi();
  EXPECT_EQ(m.cpu->run(10), RunExit::kTripleFault);
  EXPECT_EQ(m.reg(kRax), 0u);
}

TEST(EventsProtected, FaultFromRing3WithErrorCodeAndBack) {
  EventMachine m;
  m.protected_mode(3);
  m.code(M::kCode3, {0xfa});  // CLI with IOPL 0
  m.code(M::kHandler + 16 * 13, {0x83, 0xc4, 0x04, 0xcf});
  m.cpu->run(1);
  EXPECT_EQ(m.state().cpl, 0);
  EXPECT_EQ(m.selector(kCs), M::kSelCode0);
  EXPECT_EQ(m.selector(kSs), M::kSelData0);
  EXPECT_EQ(m.state().rip(), M::kHandler + 16u * 13);
  EXPECT_EQ(m.reg(kRsp), M::kStack0 - 24);
  EXPECT_EQ(m.stack32(0), 0u);
  EXPECT_EQ(m.stack32(1), M::kCode3);
  EXPECT_EQ(m.stack32(2), M::kSelCode3);
  EXPECT_EQ(m.stack32(3), kFlagFixed | kFlagIf | kFlagRf | (m.stack32(3) & kArithmeticFlags));
  EXPECT_EQ(m.stack32(4), M::kStack3);
  EXPECT_EQ(m.stack32(5), M::kSelData3);
  EXPECT_EQ(m.cpu->rflags() & kFlagIf, 0u);
  m.cpu->run(2);
  EXPECT_EQ(m.state().cpl, 3);
  EXPECT_EQ(m.state().rip(), M::kCode3);
  EXPECT_EQ(m.reg(kRsp), M::kStack3);
  EXPECT_EQ(m.selector(kSs), M::kSelData3);
  EXPECT_NE(m.cpu->rflags() & kFlagIf, 0u);
  EXPECT_NE(m.cpu->rflags() & kFlagRf, 0u);
}

TEST(EventsProtected, SoftwareInterruptChecksGateDpl) {
  EventMachine m;
  m.protected_mode(3);
  m.code(M::kCode3, {0xcd, 0x80});
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kHandler + 16u * 13);
  EXPECT_EQ(m.stack32(0), 0x80u * 8 + 2);
  EXPECT_EQ(m.stack32(1), M::kCode3);

  EventMachine n;
  n.protected_mode(3);
  n.gate(M::kIdt, 0x80, M::kSelCode0, M::kHandler, 0xef);  // trap gate, DPL 3
  n.code(M::kCode3, {0xcd, 0x80});
  n.cpu->run(1);
  EXPECT_EQ(n.state().rip(), M::kHandler);
  EXPECT_EQ(n.stack32(0), M::kCode3 + 2);
  EXPECT_NE(n.cpu->rflags() & kFlagIf, 0u) << "a trap gate leaves IF alone";
}

TEST(EventsProtected, HardwareEventSetsExtInErrorCode) {
  EventMachine m;
  m.protected_mode(0);
  m.gate(M::kIdt, 0x30, M::kSelCode0, M::kHandler, 0x0e);  // not present
  EXPECT_TRUE(deliver_interrupt(*m.cpu, 0x30, false));
  EXPECT_EQ(m.state().rip(), M::kHandler + 16u * kVectorNp);
  EXPECT_EQ(m.stack32(0), 0x30u * 8 + 3);
}

TEST(EventsProtected, SixteenBitGatePushesWords) {
  EventMachine m;
  m.protected_mode(0);
  m.gate(M::kIdt, 0x30, M::kSelCode0, 0x1234, 0x86);
  EXPECT_TRUE(deliver_interrupt(*m.cpu, 0x30, false));
  EXPECT_EQ(m.state().rip(), 0x1234u);
  EXPECT_EQ(m.reg(kRsp), M::kStack0 - 6);
  EXPECT_EQ(m.get<u16>(M::kStack0 - 6), M::kCode0 & 0xffff);
  EXPECT_EQ(m.get<u16>(M::kStack0 - 4), M::kSelCode0);
}

TEST(EventsProtected, BadInnerStackIsInvalidTss) {
  EventMachine m;
  m.protected_mode(3);
  m.put<u16>(M::kTss + 8, M::kSelData3);
  m.gate(M::kIdt, kVectorTs, M::kSelConforming, M::kHandler, 0xee);  // stays on the ring 3 stack
  EXPECT_TRUE(deliver_interrupt(*m.cpu, 0x30, false));
  EXPECT_EQ(m.state().cpl, 3);
  EXPECT_EQ(m.selector(kCs), M::kSelConforming | 3);
  EXPECT_EQ(m.stack32(0), (M::kSelData3 & 0xfffcu) | 1);
}

TEST(EventsProtected, DoubleFaultThenTripleFault) {
  EventMachine m;
  m.protected_mode(0);
  m.gate(M::kIdt, kVectorGp, M::kSelCode0, M::kHandler, 0x0e);
  (void)m.cpu->raise(kVectorGp, 0x1234);
  EXPECT_TRUE(deliver_fault(*m.cpu));
  EXPECT_EQ(m.state().rip(), M::kHandler + 16u * kVectorDf);
  EXPECT_EQ(m.stack32(0), 0u);
  EXPECT_EQ(m.stack32(3) & kFlagRf, 0u) << "#DF is an abort";

  m.gate(M::kIdt, kVectorDf, M::kSelCode0, M::kHandler, 0x0e);
  (void)m.cpu->raise(kVectorGp, 0);
  EXPECT_FALSE(deliver_fault(*m.cpu));
  EXPECT_EQ(m.state().activity, Activity::kShutdown);
  EXPECT_EQ(m.cpu->run(10), RunExit::kTripleFault);
}

TEST(EventsProtected, BenignThenContributoryIsServedInTurn) {
  EventMachine m;
  m.protected_mode(0);
  m.gate(M::kIdt, kVectorUd, M::kSelCode0, M::kHandler, 0x0e);
  m.code(M::kCode0, {0x0f, 0x0b});
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kHandler + 16u * kVectorNp);
  EXPECT_EQ(m.stack32(0), kVectorUd * 8u + 3);
  EXPECT_EQ(m.stack32(1), M::kCode0);
}

TEST(EventsProtected, NmiBlockedUntilIret) {
  EventMachine m;
  m.protected_mode(0);
  m.code(M::kHandler + 32, {0xcf});
  EXPECT_TRUE(deliver_interrupt(*m.cpu, kVectorNmi, true));
  EXPECT_EQ(m.state().nmi_blocked, 1);
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kCode0);
  EXPECT_EQ(m.state().nmi_blocked, 0);
}

TEST(EventsProtected, DescriptorAccessedBitIsSet) {
  EventMachine m;
  m.protected_mode(0);
  m.gdt_entry(M::kSelCode0, 0, 0xfffff, 0xc09a);
  EXPECT_TRUE(deliver_interrupt(*m.cpu, 0x30, false));
  EXPECT_EQ(m.gdt_type(M::kSelCode0), 0x9b);
}

TEST(EventsLong, InterruptWithIstAndIretq) {
  EventMachine m;
  m.long_mode(3);
  m.reg(kRsp) = M::kStack3 - 4;
  m.gate64(0x40, M::kSelCode64, M::kHandler, 0x8e, 1);
  m.code(M::kHandler, {0x48, 0xcf});
  EXPECT_TRUE(deliver_interrupt(*m.cpu, 0x40, false));
  EXPECT_EQ(m.state().rip(), M::kHandler);
  EXPECT_EQ(m.state().cpl, 0);
  EXPECT_EQ(m.selector(kSs), 0);
  EXPECT_EQ(m.reg(kRsp), M::kIstStack - 40);
  EXPECT_EQ(m.stack64(0), M::kCode3);
  EXPECT_EQ(m.stack64(1), M::kSelCode64User);
  EXPECT_EQ(m.stack64(3), M::kStack3 - 4);
  EXPECT_EQ(m.stack64(4), M::kSelData3);
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kCode3);
  EXPECT_EQ(m.state().cpl, 3);
  EXPECT_EQ(m.reg(kRsp), M::kStack3 - 4);
  EXPECT_EQ(m.selector(kSs), M::kSelData3);
}

TEST(EventsLong, SoftwareInterruptChecksGateDpl) {
  EventMachine m;
  m.long_mode(3);
  m.code(M::kCode3, {0xcd, 0x80});
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kHandler + 16u * kVectorGp);
  EXPECT_EQ(m.stack64(0), 0x80u * 8 + 2);
  EXPECT_NE(m.stack64(3) & kFlagRf, 0u);
}

TEST(EventsLong, IretWithNestedTaskFlagFaults) {
  EventMachine m;
  m.long_mode(0);
  m.state().flags |= kFlagNt;
  m.code(M::kCode0, {0x48, 0xcf});
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kHandler + 16u * kVectorGp);
  EXPECT_EQ(m.stack64(1), M::kCode0);
}

TEST(EventsLong, IretToNullStackOnlyBelowRing3) {
  for (const unsigned rpl : {0u, 3u}) {
    EventMachine m;
    m.long_mode(0);
    m.reg(kRsp) = M::kStack0 - 40;
    m.put<u64>(m.reg(kRsp), 0x1000);
    m.put<u64>(m.reg(kRsp) + 8, rpl == 0 ? M::kSelCode64 : M::kSelCode64User);
    m.put<u64>(m.reg(kRsp) + 16, kFlagFixed);
    m.put<u64>(m.reg(kRsp) + 24, 0x7777);
    m.put<u64>(m.reg(kRsp) + 32, rpl);
    EXPECT_EQ(interrupt_return(*m.cpu, 8), rpl == 0);
    if (rpl == 0) {
      EXPECT_EQ(m.reg(kRsp), 0x7777u);
      EXPECT_EQ(m.selector(kSs), 0);
    } else {
      EXPECT_EQ(m.cpu->fault().vector, kVectorGp);
      EXPECT_EQ(m.cpu->fault().error_code, 0u);
      m.cpu->clear_fault();
    }
  }
}

TEST(EventsLong, DebugFaultsAndTraps) {
  EventMachine m;
  m.long_mode(0);
  m.state().dr[7] |= 1u << 13;
  (void)m.cpu->raise_debug_fault(1);  // instruction breakpoint
  EXPECT_TRUE(deliver_fault(*m.cpu));
  EXPECT_EQ(m.state().dr[6] & 0xf, 1u);
  EXPECT_EQ(m.state().dr[7] & (1u << 13), 0u);
  EXPECT_EQ(m.stack64(2) & kFlagRf, 0u) << "RF is the handler's business";
  EXPECT_TRUE(deliver_debug_trap(*m.cpu, 1u << 14));
  EXPECT_NE(m.state().dr[6] & (1u << 14), 0u);
}

TEST(EventsLong, SameLevelAlignsStackAndPushesSs) {
  EventMachine m;
  m.long_mode(0);
  m.reg(kRsp) = M::kStack0 - 5;
  m.code(M::kHandler + 16 * 0x40, {0x48, 0xcf});
  EXPECT_TRUE(deliver_interrupt(*m.cpu, 0x40, false));
  EXPECT_EQ(m.reg(kRsp), M::kStack0 - 16 - 40);
  EXPECT_EQ(m.stack64(3), M::kStack0 - 5);
  EXPECT_EQ(m.stack64(4), M::kSelData0);
  m.cpu->run(1);
  EXPECT_EQ(m.reg(kRsp), M::kStack0 - 5);
}

TEST(EventsLong, PageFaultWhileDeliveringPageFaultIsDoubleFault) {
  EventMachine m;
  m.long_mode(3);
  m.put<u64>(M::kTss + 4, 0x800000);  // RSP0 is not mapped
  m.gate64(kVectorDf, M::kSelCode64, M::kHandler, 0x8e, 1);
  m.code(M::kCode3, {0x48, 0x8b, 0x04, 0x25, 0x00, 0x00, 0x60, 0x00});  // mov rax, [600000h]
  m.cpu->run(1);
  EXPECT_EQ(m.state().rip(), M::kHandler);
  EXPECT_EQ(m.state().cr2, 0x800000u - 8);
  EXPECT_EQ(m.stack64(0), 0u);
  EXPECT_EQ(m.stack64(1), M::kCode3);
  EXPECT_NE(m.cpu->fault_history().find("vector=0e error=0004"), std::string::npos);
}

TEST(EventsLong, LegacyGatesAndCompatibilityHandlersAreRefused) {
  EventMachine m;
  m.long_mode(0);
  m.gate64(0x40, M::kSelCode0, M::kHandler, 0x8e);  // 32-bit code segment
  EXPECT_TRUE(deliver_interrupt(*m.cpu, 0x40, false));
  EXPECT_EQ(m.state().rip(), M::kHandler + 16u * kVectorGp);
  EXPECT_EQ(m.stack64(0), M::kSelCode0 + 1u);
  m.gate64(0x41, M::kSelCode64, M::kHandler, 0x85);  // task gate
  EXPECT_TRUE(deliver_interrupt(*m.cpu, 0x41, false));
  EXPECT_EQ(m.stack64(0), 0x41u * 8 + 3);
}

TEST(EventsLong, NonCanonicalKernelStackIsStackFault) {
  EventMachine m;
  m.long_mode(3);
  m.put<u64>(M::kTss + 4, 0x8000000000000000);
  m.gate64(kVectorSs, M::kSelCode64, M::kHandler, 0x8e, 1);
  EXPECT_TRUE(deliver_interrupt(*m.cpu, 0x40, false));
  EXPECT_EQ(m.state().rip(), M::kHandler);
  EXPECT_EQ(m.stack64(0), 1u);
}

/// Registers that raise NMI when they are written.
class NmiButton final : public MmioHandler {
 public:
  explicit NmiButton(EventMachine& m) : m_(m) {
    m.map.add_mmio("nmi button", PhysicalAddress(kFirst), kPageSize, *this, 0);
  }
  static constexpr u64 kFirst = 8 * kMiB;
  u64 mmio_read(unsigned, u64, unsigned) override { return 0; }
  void mmio_write(unsigned, u64 offset, unsigned, u64) override {
    if (offset == 0) m_.cpu->raise_nmi();
  }

 private:
  EventMachine& m_;
};

/// SDM vol. 3, 17.3.1.1: after any iteration but the last the value pushed for RF is 1.
TEST(EventsProtected, InterruptBetweenIterationsSavesResumeFlag) {
  for (const u32 count : {130u, 1u}) {
    EventMachine m;
    m.protected_mode(0);
    NmiButton button(m);
    m.code(M::kCode0, {0xf3, 0xaa, 0x90});  // rep stosb; nop
    m.code(M::kHandler + 16 * 2, {0xcf});
    m.reg(kRcx) = count;
    m.reg(kRdi) = NmiButton::kFirst;
    while (m.state().rip() != M::kHandler + 16u * 2) ASSERT_EQ(m.cpu->run(1), RunExit::kBudget);
    const bool between = count != 1;
    EXPECT_EQ(m.reg(kRcx) != 0, between);
    EXPECT_EQ(m.stack32(0), between ? M::kCode0 : M::kCode0 + 2);
    EXPECT_EQ((m.stack32(2) & kFlagRf) != 0, between);
    EXPECT_EQ(m.cpu->rflags() & kFlagRf, 0u);
    while (m.state().rip() != M::kCode0 + 3u) ASSERT_EQ(m.cpu->run(1), RunExit::kBudget);
    EXPECT_EQ(m.reg(kRcx), 0u);
    EXPECT_EQ(m.reg(kRdi), NmiButton::kFirst + count);
    EXPECT_EQ(m.cpu->rflags() & kFlagRf, 0u);
  }
}

}  // namespace
}  // namespace dragoman
