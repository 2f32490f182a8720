// Corners of fetching, limits, control registers, single-stepping and MSRs that guests rarely visit
// (SDM vol. 2 and 3 as named at each test).
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "tests/cpu/event_machine.h"

namespace dragoman {
namespace {

constexpr u32 handler(unsigned vector) { return EventMachine::kHandler + 16 * vector; }

class CornerCases : public ::testing::Test {
 protected:
  void run(u64 count) { (void)m.cpu->run(count); }
  u64 rip() { return m.state().rip(); }
  EventMachine m;
};

// --- Fetching ------------------------------------------------------------------------------------

TEST_F(CornerCases, FifteenBytesAreAllowedSixteenAreNot) {
  m.protected_mode(0);
  for (unsigned i = 0; i < 14; ++i) m.put<u8>(EventMachine::kCode0 + i, 0x26);
  m.put<u8>(EventMachine::kCode0 + 14, 0x90);
  run(1);
  EXPECT_EQ(rip(), EventMachine::kCode0 + 15u);
  m.protected_mode(0);
  m.put<u8>(EventMachine::kCode0 + 14, 0x26);
  m.put<u8>(EventMachine::kCode0 + 15, 0x90);
  run(1);
  EXPECT_EQ(rip(), handler(kVectorGp));
  EXPECT_EQ(m.stack32(0), 0u);
  EXPECT_EQ(m.stack32(1), EventMachine::kCode0);
}

TEST_F(CornerCases, InstructionMustEndInsideTheCodeSegment) {
  m.protected_mode(0);
  m.state().segments[kCs].limit = EventMachine::kCode0 + 4;
  m.cpu->state_replaced();
  m.code(EventMachine::kCode0, {0xb8, 1, 2, 3, 4});  // mov eax: its last byte is the limit
  run(1);
  EXPECT_EQ(m.reg(kRax), 0x04030201u);
  EXPECT_EQ(rip(), EventMachine::kCode0 + 5u);
  run(1);  // the next one starts behind it
  EXPECT_EQ(rip(), handler(kVectorGp));
  EXPECT_EQ(m.stack32(1), EventMachine::kCode0 + 5u);

  m.protected_mode(0);
  m.reg(kRax) = 7;
  m.state().segments[kCs].limit = EventMachine::kCode0 + 3;
  m.cpu->state_replaced();
  run(1);
  EXPECT_EQ(rip(), handler(kVectorGp));
  EXPECT_EQ(m.reg(kRax), 7u);
}

TEST_F(CornerCases, StraightCodeRunsFromTheEndOf4GiBToZero) {
  // EIP has 32 bits; with a base the last bytes of the segment are ordinary memory.
  m.protected_mode(0);
  m.state().segments[kCs].base = 0x20000;
  m.state().rip() = 0xffffffff;
  m.cpu->state_replaced();
  m.code(0x1ffff, {0x90, 0x40});  // nop | inc eax
  m.reg(kRax) = 0;
  run(2);
  EXPECT_EQ(m.reg(kRax), 1u);
  EXPECT_EQ(rip(), 1u);
}

TEST_F(CornerCases, RealModeCodeDoesNotWrapAt64KiB) {
  m.real_mode();
  m.put<u16>(13 * 4, 0x600);
  m.put<u16>(13 * 4 + 2, 0);
  m.state().rip() = 0xffff;
  m.put<u8>(0xffff, 0x90);
  run(1);
  EXPECT_EQ(rip(), 0x10000u);
  run(1);
  EXPECT_EQ(rip(), 0x600u);
}

TEST_F(CornerCases, FetchAcrossPagesFaultsAtTheSecondOne) {
  m.long_mode(0);
  // 4 KiB pages under kCode0's 2 MiB: page kCode0 present, the next one not.
  const u32 table = 0x28000;
  for (u64 i = 0; i < 512; ++i) m.put<u64>(table + 8 * i, (i << 12) | 7);
  m.put<u64>(table + 8 * ((EventMachine::kCode0 >> 12) + 1), 0);
  m.put<u64>(EventMachine::kPages + 0x2000, table | 7);
  m.cpu->flush_tlb(true);
  m.state().rip() = EventMachine::kCode0 + 0xffd;
  m.code(EventMachine::kCode0 + 0xffd, {0x48, 0xc7, 0xc0, 1, 0, 0, 0});
  run(1);
  EXPECT_EQ(m.state().cr2, EventMachine::kCode0 + 0x1000u);
  EXPECT_EQ(m.stack64(1), EventMachine::kCode0 + 0xffdu);
  // An instruction that ends with the page does not touch the next one.
  m.long_mode(0);
  m.put<u64>(EventMachine::kPages + 0x2000, table | 7);
  m.cpu->flush_tlb(true);
  m.state().rip() = EventMachine::kCode0 + 0xfff;
  m.put<u8>(EventMachine::kCode0 + 0xfff, 0xf8);
  run(1);
  EXPECT_EQ(rip(), EventMachine::kCode0 + 0x1000u);
}

TEST_F(CornerCases, StoreIntoTheNextInstructionOfTheSameBlock) {
  m.protected_mode(0);
  // mov byte [next+1], 2 ; next: mov al, 1
  m.code(EventMachine::kCode0, {0xc6, 0x05, 0x08, 0x00, 0x01, 0x00, 0x02, 0xb0, 0x01, 0xf4});
  m.reg(kRax) = 0;
  const u64 before = m.state().instructions;
  run(2);
  EXPECT_EQ(m.reg(kRax) & 0xff, 2u);
  EXPECT_EQ(m.state().instructions, before + 2);
  // Again with the block known already, through a repeated string store.
  m.protected_mode(0);
  m.code(EventMachine::kCode0, {0xf3, 0xaa, 0xb0, 0x01, 0xf4});  // rep stosb ; mov al, 1
  m.reg(kRax) = 0xf4;
  m.reg(kRcx) = 16;
  m.reg(kRdi) = EventMachine::kCode0 + 2;
  run(40);
  EXPECT_EQ(m.state().activity, Activity::kHalted);
  EXPECT_EQ(rip(), EventMachine::kCode0 + 3u);
}

TEST_F(CornerCases, MemoryThatAPortWriteMovesIsSeenByTheNextInstruction) {
  struct Switch final : PortHandler {
    MemoryMap* map = nullptr;
    RangeId range{};
    u32 port_read(unsigned, u16, unsigned) override { return 0; }
    void port_write(unsigned, u16, unsigned, u32 value) override {
      map->set_enabled(range, (value & 1) != 0);
    }
  };
  Switch handler;
  u8* other = m.memory->allocate(0x1000);
  std::memset(other, 0x77, 0x1000);
  handler.map = &m.map;
  handler.range = m.map.add_memory("other", PhysicalAddress(0x30000), 0x1000, other, true, true,
                                   MemoryMap::kPriorityRam + 1);
  m.map.set_enabled(handler.range, false);
  m.ports.add("switch", Port(0x80), 1, handler);
  m.protected_mode(0);
  run(0);
  m.put<u32>(0x30000, 0x11111111);
  // mov eax,[30000h] ; mov al,1 ; out 80h,al ; mov ebx,[30000h]
  m.code(EventMachine::kCode0, {0xa1, 0, 0, 3, 0, 0xb0, 1, 0xe6, 0x80, 0x8b, 0x1d, 0, 0, 3, 0});
  run(4);
  EXPECT_EQ(m.reg(kRbx), 0x77777777u);
}

// --- Limits and wraps ----------------------------------------------------------------------------

TEST_F(CornerCases, ExpandDownSegments) {
  m.protected_mode(0);
  m.state().segments[kDs].limit = 0xfff;
  m.state().segments[kDs].attributes = 0x4097;  // expand-down, writable, 32 bits
  m.cpu->state_replaced();
  u32 value;
  EXPECT_TRUE(m.cpu->read<u32>(kDs, 0x1000, value));
  EXPECT_FALSE(m.cpu->read<u32>(kDs, 0xfff, value));
  EXPECT_EQ(m.cpu->fault().vector, kVectorGp);
  m.cpu->clear_fault();
  EXPECT_FALSE(m.cpu->read<u32>(kDs, 0xfffffffe, value));
  m.cpu->clear_fault();
  m.state().segments[kDs].attributes = 0x0097;  // 16 bits: up to FFFFh
  m.cpu->state_replaced();
  EXPECT_TRUE(m.cpu->read<u32>(kDs, 0xfffc, value));
  EXPECT_FALSE(m.cpu->read<u32>(kDs, 0xfffd, value));
  m.cpu->clear_fault();
}

TEST_F(CornerCases, StackOfSixteenBitsWraps) {
  m.protected_mode(0);
  m.state().segments[kSs].attributes = 0x0093;
  m.state().segments[kSs].limit = 0xffff;
  m.cpu->state_replaced();
  m.reg(kRsp) = 0x12340000;
  m.code(EventMachine::kCode0, {0x50, 0x58});
  run(1);
  EXPECT_EQ(m.reg(kRsp), 0x1234fffcu);
  run(1);
  EXPECT_EQ(m.reg(kRsp), 0x12340000u);
}

TEST_F(CornerCases, AddressesOfCompatibilityModeHave32Bits) {
  m.long_mode(0);
  // A present page at 4 GiB must not be what lies behind FFFFFFFFh.
  m.put<u64>(EventMachine::kPages + 0x1000 + 8 * 3, (EventMachine::kPages + 0x3000) | 7);
  m.put<u64>(EventMachine::kPages + 0x3000 + 8 * 511, 0x200000 | 0x87);
  m.force(kCs, EventMachine::kSelCode0);
  m.state().segments[kDs].base = 0x1000;
  m.cpu->state_replaced();
  m.put<u16>(0x3ffffe, 0x1122);
  m.put<u16>(0, 0x3344);
  u32 value = 0;
  ASSERT_TRUE(m.cpu->read<u32>(kDs, 0xffffeffe, value));
  EXPECT_EQ(value, 0x33441122u);
}

// --- Control and debug registers -----------------------------------------------------------------

TEST_F(CornerCases, DebugControlHasNoReservedBits) {
  m.protected_mode(0);
  m.code(EventMachine::kCode0, {0x0f, 0x23, 0xf8, 0x0f, 0x21, 0xfb});  // mov dr7,eax; mov ebx,dr7
  m.reg(kRax) = 0xffffdcff;
  run(2);
  EXPECT_EQ(m.reg(kRbx), 0xffff04ffu);  // bits 11, 12, 14, 15 are zero, bit 10 is one
  EXPECT_EQ(m.state().dr[7], 0xffff04ffu);
}

TEST_F(CornerCases, LongModeNeedsA32BitTaskState) {
  for (const unsigned type : {0x81u, 0x83u, 0x8bu}) {
    m.protected_mode(0);
    CpuState& s = m.state();
    s.cr4 = kCr4Pae;
    s.efer = kEferLme;
    s.cr3 = EventMachine::kPages;
    m.put<u64>(EventMachine::kPages, (EventMachine::kPages + 0x1000) | 7);
    m.put<u64>(EventMachine::kPages + 0x1000, (EventMachine::kPages + 0x2000) | 7);
    m.put<u64>(EventMachine::kPages + 0x2000, 0x87);
    s.segments[kTr].attributes = static_cast<u16>(type);
    m.cpu->state_replaced();
    m.reg(kRax) = s.cr0 | kCr0Pg;
    m.code(EventMachine::kCode0, {0x0f, 0x22, 0xc0});
    run(1);
    EXPECT_EQ(m.cpu->long_mode(), type == 0x8b) << std::hex << type;
    if (type != 0x8b) {
      EXPECT_EQ(rip(), handler(kVectorGp));
    }
    s.efer = 0;
    s.cr4 = 0;
  }
}

TEST_F(CornerCases, ControlRegisterZeroRules) {
  struct Case {
    u64 cr0;
    bool valid;
  };
  // SDM vol. 2, MOV to control registers: #GP(0) for PG without PE and NW without CD.
  static constexpr Case kCases[] = {
      {kCr0Pe | kCr0Nw, false}, {kCr0Pe | kCr0Nw | kCr0Cd, true}, {kCr0Pg, false},
      {kCr0Pe | kCr0Cd, true},  {kCr0Pe | 0x1ff8ffc0, true},  // reserved bits below 32 are ignored
  };
  for (const Case& c : kCases) {
    m.protected_mode(0);
    m.reg(kRax) = c.cr0;
    m.code(EventMachine::kCode0, {0x0f, 0x22, 0xc0});
    run(1);
    EXPECT_EQ(rip() == EventMachine::kCode0 + 3u, c.valid) << std::hex << c.cr0;
  }
  m.long_mode(0);
  m.reg(kRax) = m.state().cr0 | u64{1} << 32;
  m.code(EventMachine::kCode0, {0x0f, 0x22, 0xc0});
  run(1);
  EXPECT_EQ(rip(), handler(kVectorGp));
  m.long_mode(0);  // PG cannot be cleared in 64-bit mode
  m.reg(kRax) = m.state().cr0 & ~u64{kCr0Pg};
  run(1);
  EXPECT_EQ(rip(), handler(kVectorGp));
}

TEST_F(CornerCases, InvpcidChecksItsDescriptor) {
  struct Case {
    u64 type, pcid, address;
    bool valid;
  };
  static constexpr Case kCases[] = {
      {0, 0, 0x1000, true},        {0, 1, 0x1000, false},  // PCIDE is off
      {0, 0, u64{1} << 60, false}, {1, 0, 0, true},       {2, 0, u64{1} << 60, true},
      {2, 0x1000, 0, false},  // bits 63:12 are reserved
      {3, 0x1000, 0, false},       {3, 5, 0, true},       {4, 0, 0, false},
  };
  for (const Case& c : kCases) {
    m.long_mode(0);
    m.code(EventMachine::kCode0, {0x66, 0x0f, 0x38, 0x82, 0x07});  // invpcid rax, [rdi]
    m.reg(kRax) = c.type;
    m.reg(kRdi) = 0x30000;
    m.put<u64>(0x30000, c.pcid);
    m.put<u64>(0x30008, c.address);
    run(1);
    EXPECT_EQ(rip() == EventMachine::kCode0 + 5u, c.valid)
        << c.type << " " << std::hex << c.pcid << " " << c.address;
  }
}

// --- Single step
// -----------------------------------------------------------------------------------

TEST_F(CornerCases, SystemCallDoesNotStepIntoTheKernel) {
  for (const bool masked : {true, false}) {
    m.long_mode(3);
    CpuState& s = m.state();
    s.msr.star = u64{EventMachine::kSelCode64} << 32;
    s.msr.lstar = EventMachine::kCode0;
    s.msr.sfmask = masked ? u64{kFlagTf | kFlagIf} : 0;
    s.flags |= kFlagTf;
    m.cpu->state_replaced();
    m.code(EventMachine::kCode3, {0x0f, 0x05});
    m.code(EventMachine::kCode0, {0x90, 0x90});
    run(2);
    EXPECT_EQ(rip(), masked ? EventMachine::kCode0 + 1u : handler(kVectorDb));
  }
}

TEST_F(CornerCases, StepTrapsAfterEveryIterationOfRep) {
  m.protected_mode(0);
  m.code(EventMachine::kCode0, {0xf3, 0xaa, 0x90});
  m.reg(kRcx) = 3;
  m.reg(kRdi) = 0x30000;
  m.state().flags |= kFlagTf;
  m.cpu->state_replaced();
  // Whether a part of an instruction counts as one is not the matter here.
  for (unsigned i = 0; i < 2 && rip() != handler(kVectorDb); ++i) run(1);
  EXPECT_EQ(rip(), handler(kVectorDb));
  EXPECT_EQ(m.reg(kRcx), 2u);
  EXPECT_EQ(m.stack32(0), EventMachine::kCode0);  // the instruction is not done
  EXPECT_EQ(m.state().dr[6] & 0x4000, 0x4000u);
}

TEST_F(CornerCases, RepCountsTheSameWhetherItMeetsDecodedCodeOrNot) {
  // The second turn of 64 Ki iterations ends eight bytes behind the start of a page with code that
  // was called, or only its twin elsewhere was.
  constexpr u32 kWritten = 0x4fff0, kTwin = 0x80ff0;
  std::vector<u64> counts;
  for (const u32 called : {kTwin, kWritten}) {
    m.protected_mode(0);
    m.code(EventMachine::kCode0,
           {0xff, 0xd3, 0xf3, 0xaa, 0xeb, 0xfe});  // call ebx; rep stosb; jmp $
    m.code(kWritten, {0xc3});
    m.code(kTwin, {0xc3});
    m.reg(kRbx) = called;
    m.reg(kRdi) = 0x2f008;
    m.reg(kRcx) = 0x30000;
    const u64 before = m.state().instructions;
    while (rip() != EventMachine::kCode0 + 4u && m.state().instructions - before < 100) run(1);
    counts.push_back(m.state().instructions - before);
    EXPECT_EQ(m.reg(kRcx), 0u);
  }
  EXPECT_EQ(counts[0], counts[1]);
}

TEST_F(CornerCases, LoadOfSsHoldsOffTheStep) {
  m.protected_mode(0);
  m.code(EventMachine::kCode0, {0x8e, 0xd0, 0x40, 0x40});  // mov ss,eax ; inc eax ; inc eax
  m.reg(kRax) = EventMachine::kSelData0;
  m.state().flags |= kFlagTf;
  m.cpu->state_replaced();
  run(3);
  EXPECT_EQ(rip(), handler(kVectorDb));
  EXPECT_EQ(m.stack32(0), EventMachine::kCode0 + 3u);  // after one instruction more
}

// --- Model-specific registers
// -----------------------------------------------------------------------

TEST_F(CornerCases, RegistersOfMissingFeaturesDoNotExist) {
  struct Case {
    u32 index;
    Feature feature;
  };
  static constexpr Case kCases[] = {
      {0x277, Feature::kPat},          {0x2ff, Feature::kMtrr},    {0x179, Feature::kMca},
      {0x17a, Feature::kMca},          {0x17b, Feature::kMca},     {0xda0, Feature::kXsaves},
      {0xc0000084, Feature::kLm},      {0xc0000100, Feature::kLm}, {0xc0000101, Feature::kLm},
      {0xc0000102, Feature::kLm},      {0xc0000082, Feature::kLm}, {0x174, Feature::kSep},
      {0xc0000081, Feature::kSyscall},
  };
  for (const Case& c : kCases) {
    for (const bool present : {false, true}) {
      CpuModel model = m.model;
      if (!present) model.features.remove(c.feature);
      CpuWiring wiring;
      wiring.memory = &m.map;
      wiring.ports = &m.ports;
      wiring.clock = &m.clock;
      wiring.log = &m.log;
      Cpu cpu(model, wiring);
      u64 value = 0;
      EXPECT_EQ(read_msr(cpu, c.index, value), present) << std::hex << c.index;
      cpu.clear_fault();
      if (c.index == 0x179) continue;  // read-only
      EXPECT_EQ(write_msr(cpu, c.index, value), present) << std::hex << c.index;
      cpu.clear_fault();
    }
  }
}

}  // namespace
}  // namespace dragoman
