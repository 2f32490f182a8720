// Faults, self-modifying code, budgets, interrupts and debugging in translated
// code.
#include <gtest/gtest.h>

#include "tests/jit/translator_bench.h"

namespace dragoman {
namespace {

using L = BenchLayout;

// --- Faults
// ---------------------------------------------------------------------------------------

struct FaultCase {
  const char* name;
  std::vector<u8> code;  ///< its memory operand or target is made by RBX, RSP or RDX
  u64 good_rbx, bad_rbx;
  u64 good_rsp = L::kStack, bad_rsp = L::kStack;
  u8 vector = kVectorPf;
  u32 error_code = 0;
  u64 cr2 = 0;
};

class FaultTest : public testing::TestWithParam<FaultCase> {};

/// add rax, rcx (all flags); the instruction; inc rdx; hlt.
TEST_P(FaultTest, LeavesTheSameState) {
  const FaultCase& c = GetParam();
  LockstepPair pair;
  Bytes code;
  code({0x48, 0x01, 0xc8});
  const u64 at = code.size();
  for (const u8 byte : c.code) code({byte});
  code({0x48, 0xff, 0xc2, 0xf4});
  pair.code(L::kCode, code);
  const u64 after = L::kCode + code.size() - 4;
  pair.both([&](BenchMachine& m) {
    for (u64 i = 0; i < 64; ++i) m.put(L::kData + i * 8, after);
    // An interrupt stack, since the fault may be one of the stack.
    m.put(0xf000 + 0x24, 0x30000);
    m.cpu->state.segments[kTr] = {0xf000, 0x67, 0x18, 0x8b};
    for (unsigned v = 0; v < 32; ++v) m.put(L::kIdt + v * 16 + 4, 1, 1);
  });
  const auto round = [&](u64 rbx, u64 rsp, u64 rax) {
    pair.put(rsp & 0xfffff8, after);
    pair.set(kRbx, rbx);
    pair.set(kRsp, rsp);
    pair.set(kRax, rax);
    pair.set(kRcx, 0x7fffffffffffffff);
    pair.start(L::kCode);
    return pair.run(1000);
  };
  for (u64 i = 0; i < 20; ++i) ASSERT_EQ(round(c.good_rbx, c.good_rsp, i), "");
  ASSERT_EQ(pair.translated.cpu->fault_log.size(), 0u);
  ASSERT_GT(pair.blocks(), 0u);
  for (const u64 rax : {u64{1}, u64{0x8000000000000001}, ~u64{0}}) {
    ASSERT_EQ(round(c.bad_rbx, c.bad_rsp, rax), "");
    EXPECT_EQ(pair.fault().vector, c.vector);
    EXPECT_EQ(pair.fault().error_code, c.error_code);
    EXPECT_EQ(pair.fault().rip, L::kCode + at);
    EXPECT_EQ(pair.fault().rsp, c.bad_rsp);
    if (c.vector == kVectorPf) {
      EXPECT_EQ(pair.translated.cpu->state.cr2, c.cr2);
    }
  }
}

/// The table of jump targets tells fetch contexts apart by bits that canonical addresses do not
/// use. An address that is not canonical must not be taken for a target of another context.
TEST(JumpTargets, OnesThatAreNotCanonicalMeetNoOtherContext) {
  LockstepPair pair;
  const u64 target = L::kCode + 0x100;
  pair.code(L::kCode, {0xff, 0xe0});                  // jmp rax
  pair.code(target, {0x48, 0xff, 0xc2, 0x90, 0xf4});  // inc rdx; nop; hlt
  const auto round = [&](u64 rax) {
    pair.set(kRax, rax);
    pair.start(L::kCode);
    return pair.run(1000);
  };
  for (int i = 0; i < 30; ++i) ASSERT_EQ(round(target), "");
  const u32 before = pair.translated.cpu->fetch_context();
  pair.both([](BenchMachine& m) { m.cpu->flush_tlb(true); });
  const u32 after = pair.translated.cpu->fetch_context();
  ASSERT_NE(before, after);
  ASSERT_EQ(round(target ^ u64{before ^ after} << 48), "");
  EXPECT_EQ(pair.fault().vector, kVectorGp);
  EXPECT_EQ(pair.fault().rip, L::kCode);
}

constexpr u64 kBadAddress = u64{1} << 50;
const FaultCase kFaultCases[] = {
    {"read", {0x48, 0x8b, 0x3b}, L::kData, L::kAbsent, L::kStack, L::kStack, 14, 0, L::kAbsent},
    {"write", {0x48, 0x89, 0x3b}, L::kData, L::kAbsent, L::kStack, L::kStack, 14, 2, L::kAbsent},
    {"add", {0x48, 0x01, 0x3b}, L::kData, L::kAbsent, L::kStack, L::kStack, 14, 2, L::kAbsent},
    {"adc_into_register",
     {0x48, 0x13, 0x3b},
     L::kData,
     L::kAbsent,
     L::kStack,
     L::kStack,
     14,
     0,
     L::kAbsent},
    {"lock_inc", {0xf0, 0xff, 0x03}, L::kData, L::kAbsent, L::kStack, L::kStack, 14, 2, L::kAbsent},
    {"second_page",
     {0x48, 0x8b, 0x3b},
     L::kData,
     4 * kMiB - kPageSize - 4 + kPageSize,
     L::kStack,
     L::kStack,
     14,
     0,
     4 * kMiB},
    {"not_canonical", {0x48, 0x8b, 0x3b}, L::kData, kBadAddress, L::kStack, L::kStack, 13},
    {"push", {0x53}, L::kData, L::kData, L::kStack, L::kAbsent + 16, 14, 2, L::kAbsent + 8},
    {"push_not_canonical", {0x53}, L::kData, L::kData, L::kStack, kBadAddress, 12},
    {"pop", {0x5f}, L::kData, L::kData, L::kStack, L::kAbsent + 16, 14, 0, L::kAbsent + 16},
    {"call",
     {0xe8, 0, 0, 0, 0},
     L::kData,
     L::kData,
     L::kStack,
     L::kAbsent + 16,
     14,
     2,
     L::kAbsent + 8},
    {"call_memory", {0xff, 0x13}, L::kData, L::kAbsent, L::kStack, L::kStack, 14, 0, L::kAbsent},
    {"call_memory_stack",
     {0xff, 0x13},
     L::kData,
     L::kData,
     L::kStack,
     L::kAbsent + 16,
     14,
     2,
     L::kAbsent + 8},
    {"jmp_memory", {0xff, 0x23}, L::kData, L::kAbsent, L::kStack, L::kStack, 14, 0, L::kAbsent},
    {"ret", {0xc3}, L::kData, L::kData, L::kStack, L::kAbsent + 16, 14, 0, L::kAbsent + 16},
    {"ret_imm",
     {0xc2, 8, 0},
     L::kData,
     L::kData,
     L::kStack,
     L::kAbsent + 16,
     14,
     0,
     L::kAbsent + 16},
    {"jmp_not_canonical", {0xff, 0xe3}, L::kCode + 5, kBadAddress, L::kStack, L::kStack, 13},
    {"call_not_canonical", {0xff, 0xd3}, L::kCode + 5, kBadAddress, L::kStack, L::kStack, 13},
    {"jmp_edge", {0xff, 0xe3}, L::kCode + 5, u64{1} << 47, L::kStack, L::kStack, 13},
    {"divide", {0x48, 0xf7, 0xf3}, 0xffffffffffffffff, 0, L::kStack, L::kStack, 0},
};
INSTANTIATE_TEST_SUITE_P(Faults, FaultTest, testing::ValuesIn(kFaultCases),
                         [](const auto& c) { return c.param.name; });

TEST(TranslatedFaults, ReturnToANonCanonicalAddressFaultsAtTheReturn) {
  LockstepPair pair;
  pair.code(L::kCode, {0x48, 0x01, 0xc8, 0xc3, 0xf4});
  for (int i = 0; i < 20; ++i) {
    pair.put(L::kStack, L::kCode + 4);
    pair.set(kRsp, L::kStack);
    pair.start(L::kCode);
    expect_halt(pair);
  }
  pair.put(L::kStack, kBadAddress);
  pair.set(kRsp, L::kStack);
  pair.start(L::kCode);
  expect_halt(pair);
  EXPECT_EQ(pair.fault().vector, kVectorGp);
  EXPECT_EQ(pair.fault().rip, L::kCode + 3);
  EXPECT_EQ(pair.fault().rsp, L::kStack);
}

// Accesses share a probe when they are near each other; these are 2^63 bytes apart.
TEST(TranslatedFaults, AbsoluteAddressesFarApart) {
  LockstepPair pair(kMiB, 1);
  Bytes code;
  code({0x48, 0xff, 0xc2, 0x66, 0xa3}).number(bit(63), 8);  // inc rdx; mov [2^63], ax
  code({0xa2}).number(L::kData, 8)({0xf4});                 // mov [kData], al; hlt
  pair.code(L::kCode, code);
  for (int i = 0; i < 3; ++i) {
    pair.start(L::kCode);
    expect_halt(pair);
    EXPECT_EQ(pair.fault().vector, kVectorGp);
    EXPECT_EQ(pair.fault().rip, L::kCode + 3);
  }
}

// A read shares its look-up with a write behind it, which may not come to pass: only a write sets
// D, and pages that cannot be written can be read all the same.
TEST(SharedProbes, ReadWithAWriteBehindIt) {
  LockstepPair pair;
  Bytes loop;
  loop({0x8b, 0x07, 0x85, 0xc9, 0x74, 0x03, 0x89, 0x47, 0x08})  // mov; test; jz; mov [rdi+8], eax
      ({0xff, 0xca})
          .branch({0x0f, 0x85}, 0)({0xf4});  // dec edx; jnz
  pair.code(L::kCode, loop);
  pair.put(L::kData, 7);
  const u64 entry = L::kTable0 + (L::kData >> 12) * 8;
  const auto run = [&](bool write) {
    pair.set(kRdi, L::kData);
    pair.set(kRcx, write);
    pair.set(kRdx, 200);
    pair.start(L::kCode);
    expect_halt(pair);
    EXPECT_EQ(pair.reg(kRax), 7u);
    return pair.translated.get(entry) >> 6 & 1;  // D
  };
  EXPECT_EQ(run(false), 0u);
  EXPECT_EQ(run(false), 0u);
  EXPECT_EQ(run(true), 1u);
  EXPECT_EQ(pair.translated.get(L::kData + 8) & 0xffffffff, 7u);
  // Code on the page: its bytes are read, and writes go another way.
  pair.code(L::kData + 0x800, {0xf4});
  pair.start(L::kData + 0x800);
  expect_halt(pair);
  EXPECT_EQ(run(false), 1u);
  EXPECT_EQ(run(true), 1u);
  // Not writable at all.
  pair.put(entry, L::kData | 5);
  pair.set(kRdi, L::kData);
  pair.code(0x60000, {0x0f, 0x01, 0x3f, 0xf4});  // invlpg [rdi]
  pair.start(0x60000);
  expect_halt(pair);
  EXPECT_EQ(run(false), 0u);
  EXPECT_EQ(run(false), 0u);
}

// Byte shifts mask their count to 5 bits whatever REX.W says: 32 leaves the flags alone.
TEST(TranslatedFlags, ByteShiftBy32KeepsThem) {
  LockstepPair pair(kMiB, 1);
  // add rax, rcx; mov [rbx], rax; rex.w shl dl, 32; setc sil; seto dil; hlt
  pair.code(L::kCode, {0x48, 0x01, 0xc8, 0x48, 0x89, 0x03, 0x48, 0xc0, 0xe2, 0x20, 0x40, 0x0f, 0x92,
                       0xc6, 0x40, 0x0f, 0x90, 0xc7, 0xf4});
  for (int i = 0; i < 3; ++i) {
    pair.set(kRax, bit(63));
    pair.set(kRcx, bit(63));
    pair.set(kRbx, L::kData);
    pair.start(L::kCode);
    expect_halt(pair);
    EXPECT_EQ(pair.reg(kRsi) & 0xff, 1u);
    EXPECT_EQ(pair.reg(kRdi) & 0xff, 1u);
  }
}

// --- Code that changes
// -----------------------------------------------------------------------------

// mov [rbx], al; xor al, 8; <inc ecx | dec ecx>; dec edx; jnz; hlt
TEST(ChangingCode, ABlockThatChangesItself) {
  for (const u64 alias : {u64{0}, L::kAlias}) {
    LockstepPair pair(16 * kMiB, 1);
    Bytes code;
    code({0x88, 0x03, 0x34, 0x08, 0xff, 0xc1, 0xff, 0xca}).branch({0x0f, 0x85}, 0)({0xf4});
    pair.code(L::kCode, code);
    pair.set(kRbx, L::kCode + 5 + alias);
    pair.set(kRax, 0xc1);
    pair.set(kRdx, 51);
    pair.start(L::kCode);
    expect_halt(pair);
    EXPECT_EQ(pair.reg(kRcx), 1u);  // 26 times inc, 25 times dec
  }
}

// One block changes another one, which is linked to it.
TEST(ChangingCode, AnotherBlock) {
  for (const u64 alias : {u64{0}, L::kAlias}) {
    LockstepPair pair;
    Bytes code;
    code({0xff, 0xc1}).branch({0xe9}, 16);  // inc ecx; jmp 16
    while (code.size() < 16) code({0x90});
    code({0xff, 0xca, 0x83, 0xfa, 0x05, 0x75, 0x02, 0x88,
          0x03});                                        // dec edx; cmp edx, 5; at 5: write
    code({0x85, 0xd2}).branch({0x0f, 0x85}, 0)({0xf4});  // test edx, edx; jnz 0; hlt
    pair.code(L::kCode, code);
    pair.set(kRbx, L::kCode + 1 + alias);
    pair.set(kRax, 0xc9);  // dec ecx
    pair.set(kRdx, 50);
    pair.start(L::kCode);
    expect_halt(pair);
    EXPECT_EQ(pair.reg(kRcx), 40u);  // 45 times inc, 5 times dec
    EXPECT_GT(pair.blocks(), 0u);
  }
}

TEST(ChangingCode, ByDma) {
  for (const u64 target : {L::kCode + 3, L::kCode + 0x11}) {  // this block, another one
    LockstepPair pair;
    pair.both([&](BenchMachine& m) {
      m.device.dma_target = target;
      m.device.dma_bytes = {static_cast<u8>(target == L::kCode + 3 ? 0xc9 : 0xce)};  // dec
    });
    Bytes code;
    // mov [rbx], eax; inc ecx; dec edx; jmp 16; inc esi; mov eax, 0; cmp edx, 5; jne; mov al, 2
    code({0x89, 0x03, 0xff, 0xc1, 0xff, 0xca}).branch({0xe9}, 16);
    while (code.size() < 16) code({0x90});
    code({0xff, 0xc6, 0xb8, 0, 0, 0, 0, 0x83, 0xfa, 0x05, 0x75, 0x02, 0xb0, 0x02, 0x85, 0xd2})
        .branch({0x0f, 0x85}, 0)({0xf4});
    pair.code(L::kCode, code);
    pair.set(kRbx, L::kDevice);
    pair.set(kRdx, 50);
    pair.start(L::kCode);
    expect_halt(pair);
    EXPECT_EQ(pair.reg(target == L::kCode + 3 ? kRcx : kRsi), 40u);
  }
}

TEST(ChangingCode, FromOutsideBetweenRuns) {
  LockstepPair pair;
  Bytes code;
  code({0xff, 0xc1, 0xff, 0xca}).branch({0x0f, 0x85}, 0)({0xf4});
  pair.code(L::kCode, code);
  pair.set(kRdx, 100);
  pair.start(L::kCode);
  ASSERT_EQ(pair.run(150), "");  // after 50 rounds
  pair.put(L::kCode + 1, 0xc9, 1);
  expect_halt(pair);
  EXPECT_EQ(pair.reg(kRcx), 0u);
}

// What is illegal about an instruction may change behind its first byte, where no byte of a legal
// one is near.
TEST(ChangingCode, AnIllegalInstructionBecomesALegalOne) {
  LockstepPair pair(16 * kMiB, 1);
  Bytes code;
  code({0xf0, 0x90, 0x03, 0xf4});  // LOCK cannot stand before NOP
  pair.code(L::kCode, code);
  pair.put(L::kData, 7);
  for (unsigned i = 0; i < 3; ++i) {
    pair.start(L::kCode);
    ASSERT_EQ(pair.run(1), "");
    ASSERT_EQ(pair.fault().vector, kVectorUd);
  }
  const std::size_t faults = pair.translated.cpu->fault_log.size();
  pair.put(L::kCode + 1, 0x01, 1);  // lock add [rbx], eax; hlt
  pair.set(kRbx, L::kData);
  pair.set(kRax, 5);
  pair.start(L::kCode);
  expect_halt(pair);
  EXPECT_EQ(pair.translated.cpu->fault_log.size(), faults);
  EXPECT_EQ(pair.interpreted.memory->ram()[L::kData], 12);
}

// --- Budgets and events
// ------------------------------------------------------------------------------

/// Blocks of several sizes in a loop, with branches taken and not taken: 22 instructions a round.
Bytes branching_loop() {
  Bytes code;
  code({0x48, 0x01, 0xc8, 0x48, 0x89, 0x03, 0xa8, 0x01}).branch({0x0f, 0x84}, 0x20);
  code({0xff, 0xc6, 0x48, 0xff, 0x03});
  while (code.size() < 0x20) code({0x90});
  code({0x53, 0x5f, 0xe8, 2, 0, 0, 0, 0xeb, 3, 0x01, 0xf1, 0xc3})
      .branch({0xff, 0xca, 0x0f, 0x85}, 0);
  code({0xf4});
  return code;
}

TEST(Budgets, RunStopsExactly) {
  LockstepPair pair;
  pair.code(L::kCode, branching_loop());
  pair.set(kRbx, L::kData);
  pair.set(kRcx, 3);
  pair.set(kRdx, 1000000);
  pair.start(L::kCode);
  ASSERT_EQ(pair.run(5000), "");
  for (u64 budget = 0; budget < 150; ++budget) {
    for (int i = 0; i < 3; ++i) {
      const u64 before = pair.translated.cpu->state.instructions;
      ASSERT_EQ(pair.run(budget), "") << budget;
      ASSERT_EQ(pair.translated.cpu->state.instructions - before, budget);
    }
  }
  EXPECT_GT(pair.blocks(), 4u);
}

// A device asks for an interrupt in the middle of a block: it is taken at the same instruction.
TEST(Events, InterruptOfADeviceWrite) {
  LockstepPair pair;
  Bytes code;
  // inc ecx; mov [rbx], eax; inc rsi; add rdi, rsi; mov [r12], rdi; dec edx; jnz
  code({0xff, 0xc1, 0x89, 0x03, 0x48, 0xff, 0xc6, 0x48, 0x01, 0xf7, 0x49, 0x89, 0x3c, 0x24, 0xff,
        0xca})
      .branch({0x0f, 0x85}, 0)({0xf4, 0xeb, 0xfd});
  pair.code(L::kCode, code);
  pair.set(kRax, 1);
  pair.set(kRbx, L::kDevice);
  pair.set(kR12, L::kData);
  pair.set(kRdx, 100);
  pair.both([](BenchMachine& m) { m.cpu->set_rflags(kFlagFixed | kFlagIf); });
  pair.start(L::kCode);
  for (int i = 0; !pair.halted() && i < 1000; ++i) ASSERT_EQ(pair.run(7), "");
  EXPECT_EQ(pair.translated.get(L::kCounter), 100u);
}

// The same, when the block also changes another translated block after its device write.
TEST(Events, InterruptWhileAnotherBlockChanges) {
  LockstepPair pair;
  pair.code(L::kCode + 0x800, {0xff, 0xc5, 0xc3});  // inc ebp; ret
  Bytes code;
  // mov [rbx], eax; mov [r8], cl; inc rsi; inc rdi; call r9; xor cl, 8; dec edx; jnz
  code({0x89, 0x03, 0x41, 0x88, 0x08, 0x48, 0xff, 0xc6, 0x48, 0xff, 0xc7, 0x41, 0xff, 0xd1, 0x80,
        0xf1, 0x08, 0xff, 0xca})
      .branch({0x0f, 0x85}, 0)({0xf4, 0xeb, 0xfd});
  pair.code(L::kCode, code);
  pair.set(kRax, 1);
  pair.set(kRbx, L::kDevice);
  pair.set(kR8, L::kCode + 0x801);
  pair.set(kR9, L::kCode + 0x800);
  pair.set(kRcx, 0xc5);
  pair.set(kRdx, 100);
  pair.both([](BenchMachine& m) {
    m.cpu->set_translation(m.translator.get(), 1);
    m.cpu->set_rflags(kFlagFixed | kFlagIf);
  });
  pair.start(L::kCode);
  for (int i = 0; !pair.halted() && i < 100; ++i) ASSERT_EQ(pair.run(1000), "");
  EXPECT_EQ(pair.translated.get(L::kCounter), 100u);
  // Where the interrupt came in is on the stack still.
  EXPECT_EQ(pair.interpreted.cpu->fault_log.newest(0).rip, pair.fault().rip);
}

TEST(Events, SingleStepThroughTranslatedCode) {
  LockstepPair pair;
  pair.code(L::kCode, branching_loop());
  pair.set(kRbx, L::kData);
  pair.set(kRcx, 3);
  pair.set(kRdx, 200);
  pair.start(L::kCode);
  ASSERT_EQ(pair.run(1500), "");
  ASSERT_GT(pair.blocks(), 0u);
  pair.both([](BenchMachine& m) { m.cpu->set_rflags(m.cpu->rflags() | kFlagTf); });
  for (int i = 0; i < 300; ++i) ASSERT_EQ(pair.run(1), "");
  EXPECT_GT(pair.translated.get(L::kCounter + 8), 50u);
  pair.both([](BenchMachine& m) { m.cpu->set_rflags(m.cpu->rflags() & ~u32{kFlagTf}); });
  for (int i = 0; !pair.halted() && i < 10000; ++i) ASSERT_EQ(pair.run(100), "");
}

TEST(Events, BreakpointsInTranslatedCode) {
  for (const u64 kind : {u64{0}, u64{1}}) {  // execute, write
    LockstepPair pair;
    pair.code(L::kCode, branching_loop());
    pair.code(L::kHandler + 0x200, {0xff, 0x04, 0x25, 0x08, 0xe0, 0x00, 0x00, 0x48, 0x0f, 0xba,
                                    0x6c, 0x24, 0x10, 0x10, 0x48, 0xcf});  // sets RF in the image
    pair.set(kRbx, L::kData);
    pair.set(kRcx, 3);
    pair.set(kRdx, 300);
    pair.start(L::kCode);
    ASSERT_EQ(pair.run(2000), "");
    ASSERT_GT(pair.blocks(), 0u);
    // Debug registers written by translated code: mov dr0, rsi; mov dr7, rdi; then back.
    const u64 resume = pair.translated.cpu->state.rip();
    pair.set(kRsi, kind == 0 ? L::kCode + 0x21 : L::kData);
    pair.set(kRdi, 0x402 | kind << 16 | (kind == 0 ? 0 : u64{2} << 18));
    run_once(pair, 0x60000, {0x0f, 0x23, 0xc6, 0x0f, 0x23, 0xff, 0xf4});
    pair.start(resume);
    for (int i = 0; i < 40; ++i) ASSERT_EQ(pair.run(23), "");
    EXPECT_GT(pair.translated.get(L::kCounter + 8), 10u);
  }
}

// --- The caches
// ------------------------------------------------------------------------------------------

// More decoded blocks than the interpreter keeps: everything is forgotten, stubs included, and
// translated code has to work afterwards.
TEST(Caches, BlockCacheFull) {
  LockstepPair pair;
  pair.both([](BenchMachine& m) {
    std::memset(m.memory->ram() + 0x110000, 0x90, 0x200000 - 0x110000);
    m.code(0x1fffff, {0xf4});
  });
  Bytes code;
  code({0xff, 0xc1, 0x48, 0x89, 0x0b, 0xff, 0xca}).branch({0x0f, 0x85}, 0)({0xf4});
  pair.code(L::kCode, code);
  pair.set(kRbx, L::kData);
  for (u64 i = 0; i < 6; ++i) {
    pair.both([&](BenchMachine& m) {  // another mode: other blocks of the same bytes
      m.cpu->state.cr0 = (m.cpu->state.cr0 & ~u64{0xe}) | i % 4 << 1;
      m.cpu->state_replaced();
    });
    pair.set(kRdx, 100);
    pair.start(L::kCode);
    expect_halt(pair);
    if (i == 4) {
      // Each time a block and a superblock.
      EXPECT_GE(pair.blocks(), 10u) << "nothing was forgotten: the test fills no cache";
    }
    pair.start(0x110000);
    expect_halt(pair, 4000000);
  }
  EXPECT_EQ(pair.reg(kRcx), 600u);
}

TEST(Caches, TranslatorRemovedAndInstalledAgain) {
  LockstepPair pair;
  pair.code(L::kCode, branching_loop());
  pair.set(kRbx, L::kData);
  pair.set(kRcx, 3);
  pair.set(kRdx, 100000);
  pair.start(L::kCode);
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(pair.run(5000), "");
    pair.translated.cpu->set_translation(i % 2 == 0 ? nullptr : pair.translated.translator.get());
  }
}

// The handler executes PUSH because of its operand, a register of a device: nothing was looked up
// for the accesses to the stack behind it.
TEST(Devices, PushOfARegisterThenOfOthers) {
  for (const u32 runs : {1u, 12u}) {
    LockstepPair pair(16 * kMiB, runs);
    pair.set(kRsi, L::kDevice);
    Bytes code;
    code({0xb9}).number(100, 4);                         // mov ecx, 100
    code({0xff, 0x36, 0x50, 0x51, 0x5a, 0x5b, 0x5f});    // push [rsi]; push rax, rcx; pop x 3
    code({0xff, 0xc9}).branch({0x0f, 0x85}, 5)({0xf4});  // dec ecx; jnz
    pair.code(L::kCode, code);
    pair.start(L::kCode);
    expect_halt(pair);
    EXPECT_EQ(pair.reg(kRdi), 0x1122334455667788u);
  }
}

}  // namespace
}  // namespace dragoman
