// What public test suites found (tests/suites/README.md): a test for each, so that it stays found.
#include <gtest/gtest.h>

#include "tests/cpu/event_machine.h"

namespace dragoman {
namespace {

using M = EventMachine;
constexpr u32 handler(unsigned vector) { return M::kHandler + 16 * vector; }

class SuiteFindings : public ::testing::Test {
 protected:
  void run(u64 count) { (void)m.cpu->run(count); }
  u64 rip() { return m.state().rip(); }
  EventMachine m;
};

// kvm-unit-tests: debug. SDM vol. 3, 18.2.3 lets debug exceptions clear bits 3:0.
TEST_F(SuiteFindings, DebugExceptionReplacesBreakpointBits) {
  m.long_mode(0);
  m.state().dr[6] = 0xffff0ff0 | 1u << 14 | 1u << 1;
  (void)m.cpu->raise_debug_fault(1u << 2);
  EXPECT_TRUE(deliver_fault(*m.cpu));
  EXPECT_EQ(m.state().dr[6], 0xffff0ff0u | 1u << 14 | 1u << 2);
}

// kvm-unit-tests: debug. INT1 reports a trap that MOV SS has held off in one #DB.
TEST_F(SuiteFindings, Int1TakesTheHeldTrapWithIt) {
  m.protected_mode(0);
  m.code(M::kCode0, {0x8e, 0xd0, 0xf1});  // mov ss,eax ; int1
  m.code(handler(kVectorDb), {0x90, 0x90});
  m.reg(kRax) = M::kSelData0;
  m.cpu->state_replaced();
  run(1);
  m.cpu->note_debug_trap(1u << 1);
  m.cpu->set_attention_check();
  run(1);
  EXPECT_EQ(rip(), handler(kVectorDb));
  EXPECT_EQ(m.stack32(0), M::kCode0 + 3u);
  EXPECT_EQ(m.state().dr[6] & 0xf, 2u);
  run(1);
  EXPECT_EQ(rip(), handler(kVectorDb) + 1u) << "no second #DB";
}

// kvm-unit-tests: emulator. The base of a segment that a return makes null goes on being used.
TEST_F(SuiteFindings, SegmentMadeNullByAReturnKeepsItsBase) {
  m.long_mode(0);
  m.code(M::kCode0, {0x48, 0xcf});
  m.force(kGs, M::kSelData0);
  m.state().segments[kGs].base = 0x123000;
  m.reg(kRsp) = M::kStack0 - 40;
  const u64 frame[] = {M::kCode3, M::kSelCode64User, kFlagFixed, M::kStack3, M::kSelData3};
  for (unsigned i = 0; i < 5; ++i) m.put<u64>(m.reg(kRsp) + 8 * i, frame[i]);
  m.cpu->state_replaced();
  run(1);
  EXPECT_EQ(rip(), M::kCode3);
  EXPECT_EQ(m.selector(kGs), 0);
  EXPECT_EQ(m.state().segments[kGs].base, 0x123000u);
}

// kvm-unit-tests: syscall. SYSRET that sets TF traps before the first instruction of the program.
TEST_F(SuiteFindings, SysretTrapsByTheFlagItLoads) {
  m.long_mode(0);
  m.state().msr.star = u64{0x83} << 48;
  m.code(M::kCode0, {0x48, 0x0f, 0x07});
  m.code(M::kCode3, {0x90, 0x90});
  m.reg(kRcx) = M::kCode3;
  m.reg(kR11) = kFlagFixed | kFlagTf;
  m.cpu->state_replaced();
  run(2);
  EXPECT_EQ(rip(), handler(kVectorDb));
  EXPECT_EQ(m.stack64(0), M::kCode3);
  EXPECT_NE(m.state().dr[6] & (1u << 14), 0u);
}

// test386.asm: POST 17h; the host processor agrees. ARPL writes only what changes.
TEST_F(SuiteFindings, ArplNeedsNoWritableDestinationIfNothingChanges) {
  for (const u16 selector : {u16{0xfff2}, u16{0xfff0}}) {
    m.protected_mode(0);
    m.force(kDs, M::kSelReadOnly);
    m.cpu->state_replaced();
    m.put<u16>(0x30000, selector);
    m.reg(kRax) = 0x30000;
    m.reg(kRbx) = 2;
    m.code(M::kCode0, {0x63, 0x18});  // arpl [eax],bx
    run(1);
    EXPECT_EQ(rip(), selector == 0xfff2 ? M::kCode0 + 2u : handler(kVectorGp));
    EXPECT_EQ(m.get<u16>(0x30000), selector);
  }
}

// test386.asm: POST 22h.
TEST_F(SuiteFindings, SixteenBitTaskHasOnesInTheUpperHalves) {
  m.protected_mode(0);
  m.gdt_entry(M::kSelOtherTss, M::kOtherTss, 0x2b, 0x81);
  const u16 values[] = {0, 0, 0, 0, 0, 0, 0, 0x1000, u16{kFlagFixed}, 1, 2, 3, 4, 0x7000, 6, 7, 8};
  for (unsigned i = 0; i < std::size(values); ++i) m.put<u16>(M::kOtherTss + 2 * i, values[i]);
  const u16 segments[] = {M::kSelData0, M::kSelCode0, M::kSelData0, M::kSelData0, 0};
  for (unsigned i = 0; i < 5; ++i) m.put<u16>(M::kOtherTss + 0x22 + 2 * i, segments[i]);
  m.code(M::kCode0, {0xea, 0, 0, 0, 0, M::kSelOtherTss, 0});
  run(1);
  EXPECT_EQ(rip(), 0x1000u);
  EXPECT_EQ(m.reg(kRax), 0xffff0001u);
  EXPECT_EQ(m.reg(kRsp), 0xffff7000u);
}

/// A local APIC that takes any base.
struct AnyBase final : LocalInterrupts {
  u64 base = 0xfee00900;
  u8 acknowledge() override { return 0; }
  u8 cr8() const override { return 0; }
  void set_cr8(u8) override {}
  u64 apic_base() const override { return base; }
  bool set_apic_base(u64 value) override {
    base = value;
    return true;
  }
  bool read_x2apic(u32, u64&) override { return false; }
  bool write_x2apic(u32, u64) override { return false; }
  u64 tsc_deadline() const override { return 0; }
  void set_tsc_deadline(u64) override {}
  void set_ferr(bool) override {}
};

// kvm-unit-tests: xapic. IA32_APIC_BASE has no x2APIC bit where CPUID has none.
TEST(SuiteFindingsMsr, ApicBaseOfAModelWithoutX2apic) {
  for (const bool has : {false, true}) {
    const CpuModel model = parse_cpu_model(has ? "max,+x2apic" : "max,-x2apic").value();
    BareProcessor bare(model);
    AnyBase apic;
    CpuWiring wiring;
    wiring.memory = &bare.map;
    wiring.ports = &bare.ports;
    wiring.clock = &bare.clock;
    wiring.log = &bare.log;
    wiring.interrupts = &apic;
    Cpu cpu(model, wiring);
    EXPECT_EQ(write_msr(cpu, 0x1b, 0xfee00d00), has);
    EXPECT_EQ(apic.base, has ? 0xfee00d00u : 0xfee00900u);
  }
}

// kvm-unit-tests: syscall. The event counters every AMD processor has.
TEST(SuiteFindingsMsr, AmdEventCounters) {
  EventMachine amd("AuthenticAMD"), intel;
  for (u32 index = 0xc0010000; index <= 0xc0010007; ++index) {
    u64 value = 1;
    EXPECT_TRUE(write_msr(*amd.cpu, index, 0));
    EXPECT_TRUE(read_msr(*amd.cpu, index, value));
    EXPECT_EQ(value, 0u);
    EXPECT_FALSE(read_msr(*intel.cpu, index, value));
    intel.cpu->clear_fault();
  }
}

}  // namespace
}  // namespace dragoman
