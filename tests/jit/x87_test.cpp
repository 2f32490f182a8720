// x87 and MMX registers that stay in the host's from instruction to instruction: what becomes of
// them at faults, handlers, devices and unmasked exceptions.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/jit/translator_bench.h"

namespace dragoman {
namespace {

using L = BenchLayout;

constexpr u16 kAllMasked = 0x037f;

class X87Pair : public LockstepPair {
 public:
  X87Pair() {
    control(kAllMasked);
    both([](BenchMachine& m) {
      m.cpu->state.cr4 |= kCr4Osfxsr | kCr4Osxmmexcpt;
      m.cpu->update_mode();
    });
    set(kRbx, kData);
    set(kRdi, kData + 0x100);
    put(kData, 0x3ff8000000000000);      // 1.5
    put(kData + 8, 0x4004000000000000);  // 2.5
  }
  void control(u16 value) {
    both([value](BenchMachine& m) { m.cpu->state.fpu.control = value; });
  }
  /// Rounds enough to be translated.
  void warm_up() {
    for (int i = 0; i < 20; ++i) {
      start(kCode);
      ASSERT_EQ(run(1000), "") << "round " << i;
    }
    ASSERT_GT(blocks(), 0u);
  }
  /// Handlers that translated code called, by mnemonic.
  std::string handlers() const { return translated.translator->describe_statistics(); }
  const FpuState& fpu() const { return translated.cpu->state.fpu; }
};

TEST(X87, PointersAreThoseOfTheLastInstruction) {
  X87Pair pair;
  // fld qword [rbx]; fadd qword [rbx+8]; fld1; faddp; fstp qword [rdi]; fnstsw ax; hlt
  pair.code(L::kCode,
            {0xdd, 0x03, 0xdc, 0x43, 0x08, 0xd9, 0xe8, 0xde, 0xc1, 0xdd, 0x1f, 0xdf, 0xe0, 0xf4});
  pair.warm_up();
  EXPECT_EQ(pair.handlers().find("fadd"), std::string::npos) << "not in host code";
  EXPECT_EQ(pair.translated.get(L::kData + 0x100), 0x4014000000000000);  // 5.0
  EXPECT_EQ(pair.fpu().fip, L::kCode + 9);
  EXPECT_EQ(pair.fpu().opcode, 0x51f);
  EXPECT_EQ(pair.fpu().fdp, L::kData + 0x100);
  EXPECT_EQ(pair.fpu().fcs, 8);
  EXPECT_EQ(pair.fpu().fds, 16);
}

TEST(X87, FaultLeavesWhatWasBefore) {
  X87Pair pair;
  // fld qword [rbx]; fld st0; fmul qword [rdi]; fstp st0; fstp st0; hlt
  pair.code(L::kCode, {0xdd, 0x03, 0xd9, 0xc0, 0xdc, 0x0f, 0xdd, 0xd8, 0xdd, 0xd8, 0xf4});
  pair.warm_up();
  pair.set(kRdi, L::kAbsent);
  pair.start(L::kCode);
  ASSERT_EQ(pair.run(1000), "");
  EXPECT_EQ(pair.fault().vector, kVectorPf);
  EXPECT_EQ(pair.fpu().fip, L::kCode + 2);  // FLD ST0
  EXPECT_EQ(pair.fpu().fdp, L::kData);
  EXPECT_EQ(pair.fpu().tag, 0xc0);
}

TEST(X87, StoreOfTenBytesIsAllOrNothing) {
  X87Pair pair;
  pair.set(kRdi, L::kData + 0x100);
  pair.code(L::kCode, {0xdd, 0x03, 0xdb, 0x3f, 0xf4});  // fld qword [rbx]; fstp tbyte [rdi]; hlt
  pair.warm_up();
  const u64 end = L::kAlias + 5 * kPageSize;  // its last eight bytes can be written, no more
  pair.both([](BenchMachine& m) {
    m.put(L::kTable1 + 5 * 8, 0);
    m.cpu->flush_tlb(true);
  });
  pair.set(kRdi, end - 8);
  pair.start(L::kCode);
  ASSERT_EQ(pair.run(1000), "");
  EXPECT_EQ(pair.fault().vector, kVectorPf);
  EXPECT_EQ(pair.translated.cpu->state.cr2, end);
  EXPECT_EQ(pair.translated.get(end - 8 - L::kAlias), 0u);
  EXPECT_EQ(pair.fpu().tag, 0x80);
}

TEST(X87, UnmaskedExceptionIsReportedByTheNextInstruction) {
  X87Pair pair;
  pair.put(L::kData + 0x10, kAllMasked, 2);
  // fldcw [rbx+16]; fld1; fldz; fdivp; nop; fwait; fninit; hlt
  pair.code(L::kCode,
            {0xd9, 0x6b, 0x10, 0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9, 0x90, 0x9b, 0xdb, 0xe3, 0xf4});
  pair.warm_up();
  EXPECT_EQ(pair.handlers().find("fldcw"), std::string::npos);
  pair.put(L::kData + 0x10, kAllMasked & ~4, 2);  // ZM
  for (int i = 0; i < 3; ++i) {
    pair.start(L::kCode);
    ASSERT_EQ(pair.run(1000), "");
    EXPECT_EQ(pair.fault().vector, kVectorMf);
    EXPECT_EQ(pair.fault().rip, L::kCode + 10);
    pair.both([](BenchMachine& m) {
      m.cpu->state.fpu.control = kAllMasked;
      m.cpu->state.fpu.status = 0;
      m.cpu->state.fpu.tag = 0;
    });
  }
}

TEST(X87, SurvivesDevicesAndHandlersInBetween) {
  X87Pair pair;
  pair.set(kRsi, L::kDevice);
  // fld qword [rbx]; mov rax, [rsi]; cpuid; fadd qword [rbx+8] (rbx anew); fstp qword [rdi]; hlt
  Bytes code;
  code({0xdd, 0x03, 0x48, 0x8b, 0x06, 0x31, 0xc0, 0x0f, 0xa2})
      .load(kRbx, L::kData)({0xdc, 0x43, 0x08, 0xdd, 0x1f, 0xf4});
  pair.code(L::kCode, code);
  pair.warm_up();
  EXPECT_EQ(pair.translated.get(L::kData + 0x100), 0x4010000000000000);  // 4.0
}

TEST(X87, ConditionalMoveAndCompareUseTheFlags) {
  X87Pair pair;
  // fld qword [rbx]; fld qword [rbx+8]; fcomi st1; fcmovnbe st1; setb al; fstp [rdi]; fstp st0; hlt
  pair.code(L::kCode, {0xdd, 0x03, 0xdd, 0x43, 0x08, 0xdb, 0xf1, 0xdb, 0xd1, 0x0f, 0x92, 0xc0, 0xdd,
                       0x1f, 0xdd, 0xd8, 0xf4});
  pair.warm_up();
  EXPECT_EQ(pair.translated.get(L::kData + 0x100), 0x3ff8000000000000);
  EXPECT_EQ(pair.reg(kRax) & 0xff, 0u);
}

TEST(Mmx, SharesTheRegisters) {
  X87Pair pair;
  // fld1; movq mm1, [rbx]; paddd mm1, mm1; movq [rdi], mm1; emms; fld qword [rbx]; fstp [rdi+8];
  // hlt
  pair.code(L::kCode, {0xd9, 0xe8, 0x0f, 0x6f, 0x0b, 0x0f, 0xfe, 0xc9, 0x0f, 0x7f, 0x0f, 0x0f, 0x77,
                       0xdd, 0x03, 0xdd, 0x5f, 0x08, 0xf4});
  pair.warm_up();
  EXPECT_EQ(pair.handlers().find("paddd"), std::string::npos);
  EXPECT_EQ(pair.translated.get(L::kData + 0x100), 0x7ff0000000000000);
  EXPECT_EQ(pair.translated.get(L::kData + 0x108), 0x3ff8000000000000);
  EXPECT_EQ(pair.fpu().tag, 0);
}

}  // namespace
}  // namespace dragoman
