// The CPU models before the 486: what differs from today's processors (the manuals of the chips;
// the public single-step captures agree).
#include <gtest/gtest.h>

#include "tests/cpu/bare_processor.h"

namespace dragoman {
namespace {

constexpr u16 kCode = 0x500, kHandlers = 0x3000;

/// A model in real mode, all segments 0, SP 7000h; vector v leads to 0:3000h + 16 * v.
class EarlyMachine : public BareProcessor {
 public:
  explicit EarlyMachine(const char* name) : BareProcessor(parse_cpu_model(name).value()) {
    (void)log.open("/dev/null");
    for (u32 v = 0; v < 256; ++v) map.store<u32>(PhysicalAddress(v * 4), kHandlers + 16 * v);
    for (unsigned i = kEs; i <= kGs; ++i) cpu->state.segments[i] = {0, 0xffff, 0, 0x93};
    cpu->state.idtr = {0, 0x3ff};
    cpu->state.regs.fill(0);
    cpu->state.regs[kRsp] = 0x7000;
    cpu->state_replaced();
  }
  /// One instruction at 0:500h; returns IP.
  u64 run(std::initializer_list<int> bytes) {
    u64 at = kCode;
    for (const int byte : bytes) map.store<u8>(PhysicalAddress(at++), static_cast<u8>(byte));
    cpu->state.rip() = kCode;
    cpu->state_replaced();
    cpu->run(1);
    return cpu->state.rip();
  }
  u64& reg(unsigned number) { return cpu->state.regs[number]; }
  u16 stack(unsigned index) {
    return map.load<u16>(PhysicalAddress((reg(kRsp) & 0xffff) + 2 * index));
  }
  static u64 handler(unsigned vector) { return kHandlers + 16 * vector; }
};

TEST(EarlyProcessors, PushSpStoresTheNewValueOnThe8086Only) {
  for (const char* name : {"8086", "286", "386", "486"}) {
    for (const bool long_form : {false, true}) {
      EarlyMachine m(name);
      long_form ? m.run({0xff, 0xf4}) : m.run({0x54});
      EXPECT_EQ(m.stack(0), std::string(name) == "8086" ? 0x6ffe : 0x7000) << name;
    }
  }
}

TEST(EarlyProcessors, ShiftCountsAreMaskedSinceThe286) {
  for (const char* name : {"8086", "286"}) {
    EarlyMachine m(name);
    m.reg(kRax) = 0x8001;
    m.reg(kRcx) = 33;
    m.run({0xd3, 0xe0});  // SHL AX,CL
    EXPECT_EQ(m.reg(kRax), std::string(name) == "8086" ? 0u : 2u) << name;
    m.reg(kRax) = 0x8001;
    m.run({0xd3, 0xd0});  // RCL AX,CL: 33 is 17 and 16 more; carry from before
    EXPECT_EQ(m.reg(kRax) & 0xffff, std::string(name) == "8086" ? 0x4000u : 3u) << name;
  }
}

TEST(EarlyProcessors, OverflowOfLongShiftsIsThatOfTheLastStep) {
  for (const char* name : {"286", "386"}) {
    EarlyMachine m(name);
    m.reg(kRax) = 0x40;
    m.run({0xc0, 0xe0, 0x02});  // SHL AL,2: the second step changes the sign
    EXPECT_TRUE(m.cpu->rflags() & kFlagOf) << name;
    m.reg(kRax) = 0x80;
    m.run({0xc0, 0xe8, 0x02});  // SHR AL,2
    EXPECT_FALSE(m.cpu->rflags() & kFlagOf) << name;
  }
}

TEST(EarlyProcessors, PopHasMovedSpWhenItsDestinationFaultsOnThe286) {
  for (const char* name : {"286", "386"}) {
    EarlyMachine m(name);
    m.reg(kRsi) = 0xffff;
    EXPECT_EQ(m.run({0x8f, 0x04}), EarlyMachine::handler(13));  // POP word [SI]
    EXPECT_EQ(m.reg(kRsp), std::string(name) == "286" ? 0x6ffcu : 0x6ffau) << name;
  }
}

TEST(EarlyProcessors, PushaIsAllOrNothingOnThe286) {
  for (const char* name : {"286", "386"}) {
    EarlyMachine m(name);
    m.cpu->state.segments[kSs].base = 0x30000;
    m.reg(kRsp) = 0x000f;  // DI would lie across the end of the segment
    m.reg(kRdx) = 0x1234;
    const u64 ip = m.run({0x60});
    EXPECT_TRUE(ip == EarlyMachine::handler(12) || ip == EarlyMachine::handler(13)) << name;
    const u16 below_the_frame = m.map.load<u16>(PhysicalAddress(0x30005));
    EXPECT_EQ(below_the_frame, std::string(name) == "286" ? 0 : 0x000f) << name;
  }
}

TEST(EarlyProcessors, TooLongComesBeforeInvalidOnThe286) {
  EarlyMachine m("286");
  // MOV with /7 is no instruction; with five prefixes it also has eleven bytes.
  EXPECT_EQ(m.run({0x2e, 0x3e, 0x26, 0x3e, 0x26, 0xc7, 0xb9, 0, 0, 0, 0}), m.handler(13));
  EXPECT_EQ(m.run({0x3e, 0x26, 0x3e, 0x26, 0xc7, 0xb9, 0, 0, 0, 0}), m.handler(6));
}

TEST(EarlyProcessors, UpperFlagBits) {
  const auto pushed = [](const char* name) {
    EarlyMachine m(name);
    m.map.store<u16>(PhysicalAddress(0x7000), 0x7000);
    m.run({0x9d});  // POPF with NT and IOPL set
    m.run({0x9c});  // PUSHF
    return m.stack(0) & 0xf000;
  };
  EXPECT_EQ(pushed("8086"), 0xf000);
  EXPECT_EQ(pushed("286"), 0x0000);
  EXPECT_EQ(pushed("386"), 0x7000);
  EXPECT_EQ(pushed("max"), 0x7000);
}

TEST(EarlyProcessors, AcDoesNotStickBeforeThe486NorIdWhereThereIsNoCpuid) {
  const auto kept = [](const char* name) {
    EarlyMachine m(name);
    m.map.store<u32>(PhysicalAddress(0x7000), kFlagAc | kFlagId);
    m.run({0x66, 0x9d});
    return m.cpu->rflags() & (kFlagAc | kFlagId);
  };
  EXPECT_EQ(kept("386"), 0u);
  EXPECT_EQ(kept("max"), u32{kFlagAc | kFlagId});
}

TEST(EarlyProcessors, DivideErrorReturnsBehindTheInstructionOnThe8086) {
  for (const char* name : {"8086", "286"}) {
    EarlyMachine m(name);
    EXPECT_EQ(m.run({0xf6, 0xf1}), EarlyMachine::handler(0));  // DIV CL, CL = 0
    EXPECT_EQ(m.stack(0), std::string(name) == "8086" ? kCode + 2 : kCode) << name;
  }
}

TEST(EarlyProcessors, The8086DoesNotReachTheMostNegativeQuotient) {
  for (const char* name : {"8086", "286"}) {
    EarlyMachine m(name);
    m.reg(kRax) = 0xff80;  // -128
    m.reg(kRcx) = 1;
    const u64 ip = m.run({0xf6, 0xf9});  // IDIV CL
    EXPECT_EQ(ip, std::string(name) == "8086" ? EarlyMachine::handler(0) : kCode + 2u) << name;
  }
}

TEST(EarlyProcessors, OpcodesOfThe8086HaveNoHoles) {
  EarlyMachine m("8086");
  m.reg(kRax) = 0;
  EXPECT_EQ(m.run({0x64, 0x10}), kCode + 2u);  // JZ in disguise, ZF = 0
  m.run({0x31, 0xc0});                         // XOR AX,AX
  EXPECT_EQ(m.run({0x64, 0x10}), kCode + 0x12u);
  EXPECT_EQ(m.run({0xf0, 0x90}), kCode + 2u);  // LOCK NOP
  m.map.store<u16>(PhysicalAddress(0x7000), 0x1234);
  EXPECT_EQ(m.run({0xc1}), 0x1234u);  // RET in disguise
  m.reg(kRsp) = 0x7000;
  EXPECT_EQ(m.run({0xd8, 0x06, 0, 0}), kCode + 4u);  // escape without coprocessor
  m.map.store<u16>(PhysicalAddress(0x7000), 0x0100);
  m.run({0x0f});  // POP CS
  EXPECT_EQ(m.cpu->state.segments[kCs].selector, 0x100);
}

TEST(EarlyProcessors, EachKnowsItsOwnOpcodesOnly) {
  struct Case {
    const char* model;
    std::initializer_list<int> bytes;
    bool known;
  };
  const Case cases[] = {
      {"286", {0x66, 0x90}, false},        // operand size
      {"386", {0x66, 0x90}, true},         //
      {"286", {0x8e, 0xe0}, false},        // MOV FS,AX
      {"386", {0x8e, 0xe0}, true},         //
      {"286", {0x0f, 0xa0}, false},        // PUSH FS
      {"386", {0x0f, 0xa0}, true},         //
      {"286", {0x0f, 0x01, 0xe0}, true},   // SMSW AX
      {"386", {0x0f, 0xc8}, false},        // BSWAP EAX
      {"486", {0x0f, 0xc8}, true},         //
      {"386", {0x0f, 0xa2}, false},        // CPUID
      {"386", {0x0f, 0xb0, 0xc8}, false},  // CMPXCHG
      {"386", {0x0f, 0xb6, 0xc8}, true},   // MOVZX
      {"286", {0xf0, 0x90}, true},         // LOCK NOP
      {"386", {0xf0, 0x90}, false},        //
      {"386", {0x9b}, true},               // WAIT
  };
  for (const Case& c : cases) {
    EarlyMachine m(c.model);
    const bool known = m.run(c.bytes) != EarlyMachine::handler(kVectorUd);
    EXPECT_EQ(known, c.known) << c.model << " " << std::hex << *c.bytes.begin() << " "
                              << *(c.bytes.begin() + (c.bytes.size() > 1 ? 1 : 0));
  }
}

TEST(EarlyProcessors, InstructionsOfThe286HaveTenBytes) {
  const std::initializer_list<int> ten = {0x26, 0x26, 0x26, 0x26, 0x81, 0x06, 0, 0, 0, 0};
  const std::initializer_list<int> eleven = {0x26, 0x26, 0x26, 0x26, 0x26, 0x81, 6, 0, 0, 0, 0};
  EXPECT_EQ(EarlyMachine("286").run(ten), kCode + 10u);
  EXPECT_EQ(EarlyMachine("286").run(eleven), EarlyMachine::handler(kVectorGp));
  EXPECT_EQ(EarlyMachine("386").run(eleven), kCode + 11u);
}

TEST(EarlyProcessors, StackOverrunsOfThe286AreGeneralProtection) {
  for (const char* name : {"286", "386"}) {
    EarlyMachine m(name);
    m.reg(kRbp) = 0xffff;
    EXPECT_EQ(m.run({0x8b, 0x46, 0x00}),  // MOV AX,[BP]
              EarlyMachine::handler(std::string(name) == "286" ? kVectorGp : kVectorSs));
  }
}

TEST(EarlyProcessors, EscapesAskForTheCoprocessorWhenToldTo) {
  EarlyMachine m("286");
  EXPECT_EQ(m.run({0xd9, 0xe8}), kCode + 2u);
  m.cpu->state.cr0 |= kCr0Em;
  EXPECT_EQ(m.run({0xd9, 0xe8}), EarlyMachine::handler(kVectorNm));
}

TEST(EarlyProcessors, AsciiAdjustmentCarriesNothingFromAlToAhOnThe8086) {
  for (const char* name : {"8086", "286"}) {
    EarlyMachine m(name);
    m.reg(kRax) = 0x00fa;
    m.run({0x37});  // AAA
    EXPECT_EQ(m.reg(kRax), std::string(name) == "8086" ? 0x0100u : 0x0200u) << name;
  }
}

/// Hardware captures of the 80286: the second word of a far pointer at offset FFFEh is at 0000h.
TEST(FarPointers, WrapBetweenOffsetAndSelector) {
  for (const char* name : {"286", "max"}) {
    EarlyMachine m(name);
    m.cpu->state.segments[kDs] = {0x20000, 0xffff, 0x2000, 0x93};
    m.map.store<u16>(PhysicalAddress(0x2fffe), 0x1234);
    m.map.store<u16>(PhysicalAddress(0x20000), 0x0700);
    m.reg(kRbx) = 0xfffe;
    EXPECT_EQ(m.run({0xff, 0x2f}), 0x1234u) << name;  // JMP FAR [BX]
    EXPECT_EQ(m.cpu->state.segments[kCs].selector, 0x700);
    m.cpu->state.segments[kCs] = {0, 0xffff, 0, 0x93};
    EXPECT_EQ(m.run({0xc4, 0x07}), kCode + 2u) << name;  // LES AX,[BX]
    EXPECT_EQ(m.cpu->state.segments[kEs].selector, 0x700);
    EXPECT_EQ(m.reg(kRax), 0x1234u);
  }
}

}  // namespace
}  // namespace dragoman
