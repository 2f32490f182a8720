// Alignment, faults and partial completion of vector memory operands; XSAVE forms.
#include "cpu/execute/host/xsave.h"
#include "tests/cpu/vector_machine.h"

namespace dragoman {
namespace {

constexpr u64 kData = VectorMachine::kData, kAbsent = VectorMachine::kAbsent;

TEST(VectorAlignment, LegacyOperandsMustBeAligned) {
  VectorMachine m;
  m.cpu.state.regs[kRdi] = kData + 8;
  EXPECT_EQ(m.execute("0f580f"), kVectorGp);      // addps xmm1, [rdi]
  EXPECT_EQ(m.execute("0f280f"), kVectorGp);      // movaps
  EXPECT_EQ(m.execute("0f290f"), kVectorGp);      // movaps store
  EXPECT_EQ(m.execute("660f38000f"), kVectorGp);  // pshufb
  EXPECT_EQ(m.execute("0f100f"), -1);             // movups
  EXPECT_EQ(m.execute("f30f6f0f"), -1);           // movdqu
  EXPECT_EQ(m.execute("660f3a630f00"), -1);       // pcmpistri
  EXPECT_EQ(m.execute("f30f580f"), -1);           // addss
  EXPECT_EQ(m.execute("c5f0580f"), -1);           // vaddps xmm1, xmm1, [rdi]
  EXPECT_EQ(m.execute("c5fc280f"), kVectorGp);    // vmovaps ymm1, [rdi]
  m.cpu.state.regs[kRdi] = kData + 16;
  EXPECT_EQ(m.execute("c5fc280f"), kVectorGp);
  EXPECT_EQ(m.execute("c5f8280f"), -1);  // vmovaps xmm1, [rdi]
}

TEST(VectorFaults, StoreAcrossAbsentPageLeavesMemory) {
  VectorMachine m;
  m.cpu.state.regs[kRdi] = kAbsent - 8;
  m.cpu.state.fpu.ymm[1].fill(0x55);
  EXPECT_EQ(m.execute("0f110f"), kVectorPf);  // movups [rdi], xmm1
  EXPECT_EQ(m.cpu.fault().address, kAbsent);
  EXPECT_EQ(m.get<u64>(kAbsent - 8), 0u);
  EXPECT_EQ(m.execute("0f100f"), kVectorPf);
  EXPECT_EQ(m.cpu.state.fpu.ymm[1][0], 0x55);
}

TEST(VectorFaults, MaskedElementsDoNotFault) {
  VectorMachine m;
  m.cpu.state.regs[kRdi] = kAbsent - 8;
  m.put<u64>(kAbsent - 8, 0x1122334455667788);
  m.cpu.state.fpu.ymm[2] = {0, 0, 0, 0x80, 0, 0, 0, 0x80};
  EXPECT_EQ(m.execute("c4e26d2c0f"), -1);  // vmaskmovps ymm1, ymm2, [rdi]
  u64 low;
  std::memcpy(&low, m.cpu.state.fpu.ymm[1].data(), 8);
  EXPECT_EQ(low, 0x1122334455667788u);
  m.cpu.state.fpu.ymm[2][11] = 0x80;  // now the third element, too
  m.cpu.state.fpu.ymm[3].fill(0xaa);
  EXPECT_EQ(m.execute("c4e26d2e1f"), kVectorPf);  // vmaskmovps [rdi], ymm2, ymm3
  EXPECT_EQ(m.get<u64>(kAbsent - 8), 0x1122334455667788u);
}

TEST(VectorFaults, MaskedBytesGoToRdi) {
  VectorMachine m;
  m.cpu.state.regs[kRdi] = kAbsent - 2;
  m.cpu.state.fpu.ymm[1] = {1, 2, 3, 4};
  m.cpu.state.fpu.ymm[2] = {0, 0x80, 0, 0};
  EXPECT_EQ(m.execute("660ff7ca"), -1);  // maskmovdqu xmm1, xmm2
  EXPECT_EQ(m.get<u16>(kAbsent - 2), 0x200);
  m.cpu.state.fpu.ymm[2][2] = 0x80;
  EXPECT_EQ(m.execute("660ff7ca"), kVectorPf);
}

TEST(Gather, CompletesElementByElement) {
  VectorMachine m;
  FpuState& fpu = m.cpu.state.fpu;
  m.cpu.state.regs[kRax] = kData;
  const i32 indices[8] = {3, -1, 0, 0x4000, 1, 1, 1, 1};  // 20000h + 4 * 4000h is absent
  std::memcpy(fpu.ymm[2].data(), indices, 32);
  for (i32 i = -1; i < 4; ++i)
    m.put<u32>(kData + static_cast<u64>(4 * i), 100 + static_cast<u32>(i));
  fpu.ymm[1].fill(0x77);
  fpu.ymm[3].fill(0xff);
  fpu.ymm[3][11] = 0x7f;                // element 2 is not wanted
  const char* gather = "c4e265900c90";  // vpgatherdd ymm1, [rax+ymm2*4], ymm3
  EXPECT_EQ(m.execute(gather), kVectorPf);
  EXPECT_EQ(m.cpu.fault().address, kAbsent);
  u32 dest[8], mask[8];
  std::memcpy(dest, fpu.ymm[1].data(), 32);
  std::memcpy(mask, fpu.ymm[3].data(), 32);
  EXPECT_EQ(dest[0], 103u);
  EXPECT_EQ(dest[1], 99u);
  EXPECT_EQ(dest[2], 0x77777777u);
  EXPECT_EQ(dest[3], 0x77777777u);
  EXPECT_EQ(mask[0], 0u);
  EXPECT_EQ(mask[1], 0u);
  EXPECT_EQ(mask[3], 0xffffffffu);
  const i32 present = 2;
  std::memcpy(fpu.ymm[2].data() + 12, &present, 4);
  EXPECT_EQ(m.execute(gather), -1);
  std::memcpy(dest, fpu.ymm[1].data(), 32);
  EXPECT_EQ(dest[0], 103u);
  EXPECT_EQ(dest[3], 102u);
  EXPECT_EQ(dest[7], 101u);
  EXPECT_EQ(fpu.ymm[3], (std::array<u8, 32>{}));
}

TEST(Gather, EqualRegistersAreInvalid) {
  VectorMachine m;
  EXPECT_EQ(m.execute("c4e275900c90"), kVectorUd);  // mask = destination
  EXPECT_EQ(m.execute("c4e26d900c90"), kVectorUd);  // mask = index
}

TEST(Gather, QuadwordIndicesClearTheRest) {
  VectorMachine m;
  FpuState& fpu = m.cpu.state.fpu;
  m.cpu.state.regs[kRax] = kData;
  m.put<u32>(kData, 7);
  fpu.ymm[1].fill(0x77);
  fpu.ymm[3].fill(0xff);
  EXPECT_EQ(m.execute("c4e261910c90"), -1);  // vpgatherqd xmm1, [rax+xmm2*4], xmm3
  u64 low, next;
  std::memcpy(&low, fpu.ymm[1].data(), 8);
  std::memcpy(&next, fpu.ymm[1].data() + 8, 8);
  EXPECT_EQ(low, 0x700000007u);
  EXPECT_EQ(next, 0u);
}

TEST(SimdExceptions, WithoutOsSupportInvalidOpcode) {
  VectorMachine m;
  m.cpu.state.fpu.mxcsr = 0x1f80 & ~(1u << 9);  // ZM
  m.cpu.state.fpu.ymm[1] = {0, 0, 0x80, 0x3f};
  EXPECT_EQ(m.execute("f30f5eca"), kVectorXm);  // divss xmm1, xmm2
  EXPECT_EQ(m.cpu.state.fpu.mxcsr & 0x3f, 4u);
  m.cpu.state.cr4 &= ~u64{kCr4Osxmmexcpt};
  EXPECT_EQ(m.execute("f30f5eca"), kVectorUd);
}

TEST(Mxcsr, ReservedBitsFault) {
  VectorMachine m;
  m.cpu.state.regs[kRdi] = kData;
  m.put<u32>(kData, 0x9fc0);
  EXPECT_EQ(m.execute("0fae17"), -1);  // ldmxcsr
  m.put<u32>(kData, 0x10000);
  EXPECT_EQ(m.execute("0fae17"), kVectorGp);
  EXPECT_EQ(m.execute("0fae1f"), -1);  // stmxcsr
  EXPECT_EQ(m.get<u32>(kData), 0x9fc0u);
}

// --- Modes ---------------------------------------------------------------------------------------

TEST(VectorModes, WideGeneralOperandsNeedLongMode) {
  VectorMachine m(32);
  m.cpu.state.regs[kRcx] = 0xfffffff0;
  EXPECT_EQ(m.execute("c4e1f32ac9"), -1);  // vcvtsi2sd xmm1, xmm1, ecx with W = 1
  double value;
  std::memcpy(&value, m.cpu.state.fpu.ymm[1].data(), 8);
  EXPECT_EQ(value, -16.0);
}

TEST(VectorModes, RealModeHasSseButNoAvx) {
  VectorMachine m(16);
  m.cpu.state.fpu.ymm[2].fill(0x3f);
  m.cpu.state.regs[kRdi] = 0x8000;
  EXPECT_EQ(m.execute("0f1115"), -1);  // movups [di], xmm2
  EXPECT_EQ(m.get<u64>(0x8008), 0x3f3f3f3f3f3f3f3fu);
  EXPECT_EQ(m.execute("c5f858ca"), kVectorUd);
}

TEST(VectorModes, SegmentBaseCountsForAlignment) {
  VectorMachine m(32);
  m.cpu.state.segments[kDs].base = 8;
  m.cpu.state_replaced();
  m.cpu.state.regs[kRdi] = kData;
  EXPECT_EQ(m.execute("0f2817"), kVectorGp);  // movaps xmm2, [edi]
  m.cpu.state.regs[kRdi] = kData + 8;
  EXPECT_EQ(m.execute("0f2817"), -1);
}

TEST(VectorModes, RegistersFromMemoryMappedDevices) {
  struct Device final : MmioHandler {
    u64 mmio_read(unsigned, u64 offset, unsigned) override { return 0x1122334455667788 + offset; }
    void mmio_write(unsigned, u64 offset, unsigned, u64 value) override {
      last_offset = offset;
      last = value;
    }
    u64 last_offset = 0, last = 0;
  } device;
  VectorMachine m(32);
  m.cpu.memory().add_mmio("device", PhysicalAddress(0x400000), 4096, device, 0);
  m.cpu.state_replaced();
  m.cpu.state.regs[kRdi] = 0x400008;
  EXPECT_EQ(m.execute("f30f7e0f"), -1);  // movq xmm1, [edi]
  u64 low;
  std::memcpy(&low, m.cpu.state.fpu.ymm[1].data(), 8);
  EXPECT_EQ(low, 0x1122334455667790u);
  EXPECT_EQ(m.execute("660fd60f"), -1);  // movq [edi], xmm1
  EXPECT_EQ(device.last_offset, 8u);
  EXPECT_EQ(device.last, 0x1122334455667790u);
}

// --- XSAVE ---------------------------------------------------------------------------------------

class Xsave : public ::testing::Test {
 protected:
  void SetUp() override {
    std::memset(m.ram(kData), 0, 4096);
    m.cpu.state.regs[kRdi] = kData;
    request(~u64{0});
    m.execute("dbe3");
  }
  void request(u64 mask) {
    m.cpu.state.regs[kRax] = static_cast<u32>(mask);
    m.cpu.state.regs[kRdx] = mask >> 32;
  }
  u64 xstate_bv() { return m.get<u64>(kData + 512); }
  u64 xcomp_bv() { return m.get<u64>(kData + 520); }

  VectorMachine m;
};

TEST_F(Xsave, HeaderTellsWhatIsInUse) {
  FpuState& fpu = m.cpu.state.fpu;
  EXPECT_EQ(m.execute("0fae27"), -1);
  EXPECT_EQ(xstate_bv(), 0u);
  EXPECT_EQ(m.get<u16>(kData), 0x37f);  // XSAVE writes initial components, too
  fpu.ymm[3][20] = 9;
  m.cpu.state.pkru = 0x55;
  m.execute("d9e8");
  EXPECT_EQ(m.execute("0fae27"), -1);
  EXPECT_EQ(xstate_bv(), kXstateX87 | kXstateAvx | kXstatePkru);
  EXPECT_EQ(m.get<u8>(kData + 576 + 3 * 16 + 4), 9);
  EXPECT_EQ(m.get<u32>(kData + kXsavePkruOffset), 0x55u);
  request(kXstateSse);
  fpu.ymm[0][0] = 1;
  EXPECT_EQ(m.execute("0fae27"), -1);
  EXPECT_EQ(xstate_bv(), kXstateX87 | kXstateSse | kXstateAvx | kXstatePkru);
}

TEST_F(Xsave, OptLeavesInitialComponents) {
  std::memset(m.ram(kData), 0xee, 512);
  EXPECT_EQ(m.execute("0fae37"), -1);
  EXPECT_EQ(m.get<u16>(kData), 0xeeee);
  EXPECT_EQ(m.get<u32>(kData + 24), 0x1f80u);
}

TEST_F(Xsave, CompactedRoundTrip) {
  FpuState& fpu = m.cpu.state.fpu;
  fpu.ymm[1].fill(0x21);
  m.cpu.state.pkru = 0x44;
  request(kXstateSse | kXstatePkru);
  EXPECT_EQ(m.execute("0fc727"), -1);  // xsavec
  EXPECT_EQ(xcomp_bv(), u64{1} << 63 | kXstateSse | kXstatePkru);
  EXPECT_EQ(xstate_bv(), kXstateSse | kXstatePkru);
  EXPECT_EQ(m.get<u32>(kData + 576), 0x44u);  // right behind the header
  fpu.ymm[1].fill(0);
  m.cpu.state.pkru = 0;
  request(~u64{0});
  fpu.ymm[4][31] = 3;
  EXPECT_EQ(m.execute("0fae2f"), -1);  // xrstor
  EXPECT_EQ(fpu.ymm[1][15], 0x21);
  EXPECT_EQ(fpu.ymm[1][16], 0);  // AVX was not in the area: initial
  EXPECT_EQ(fpu.ymm[4][31], 0);
  EXPECT_EQ(m.cpu.state.pkru, 0x44u);
}

TEST_F(Xsave, StandardRestore) {
  FpuState& fpu = m.cpu.state.fpu;
  fpu.ymm[15].fill(0x33);
  fpu.mxcsr = 0x1fa0;
  EXPECT_EQ(m.execute("0fae27"), -1);
  const FpuState before = fpu;
  fpu = FpuState{};
  EXPECT_EQ(m.execute("0fae2f"), -1);
  EXPECT_EQ(fpu.ymm, before.ymm);
  EXPECT_EQ(fpu.mxcsr, before.mxcsr);
  EXPECT_EQ(fpu.control, 0x37f);
}

TEST_F(Xsave, BadAreasFault) {
  EXPECT_EQ(m.execute("0fae27"), -1);
  m.put<u64>(kData + 512, 8);  // a component XCR0 does not have
  EXPECT_EQ(m.execute("0fae2f"), kVectorGp);
  m.put<u64>(kData + 512, 0);
  m.put<u64>(kData + 528, 1);  // reserved header bytes
  EXPECT_EQ(m.execute("0fae2f"), kVectorGp);
  m.put<u64>(kData + 528, 0);
  m.put<u32>(kData + 24, 0x10000);
  EXPECT_EQ(m.execute("0fae2f"), kVectorGp);
  m.cpu.state.regs[kRdi] = kData + 16;
  EXPECT_EQ(m.execute("0fae27"), kVectorGp);
  m.cpu.state.regs[kRdi] = kAbsent - 576;  // the AVX part is absent: nothing is written
  m.put<u16>(kAbsent - 576, 0xabcd);
  EXPECT_EQ(m.execute("0fae27"), kVectorPf);
  EXPECT_EQ(m.get<u16>(kAbsent - 576), 0xabcd);
}

TEST_F(Xsave, SupervisorForms) {
  EXPECT_EQ(m.execute("0fc72f"), -1);  // xsaves
  EXPECT_EQ(m.execute("0fc71f"), -1);  // xrstors
  m.put<u64>(kData + 520, 0);
  EXPECT_EQ(m.execute("0fc71f"), kVectorGp);  // standard format
}

TEST_F(Xsave, ExtendedControlRegister) {
  CpuState& s = m.cpu.state;
  s.regs[kRcx] = 0;
  EXPECT_EQ(m.execute("0f01d0"), -1);
  EXPECT_EQ(static_cast<u32>(s.regs[kRax]), 0x207u);
  request(5);  // AVX without SSE
  EXPECT_EQ(m.execute("0f01d1"), kVectorGp);
  request(2);  // without x87
  EXPECT_EQ(m.execute("0f01d1"), kVectorGp);
  request(3);
  EXPECT_EQ(m.execute("0f01d1"), -1);
  EXPECT_EQ(s.xcr0, 3u);
  EXPECT_EQ(m.execute("c5f858ca"), kVectorUd);  // AVX is off now
  s.regs[kRcx] = 1;
  s.fpu.ymm[0][0] = 1;
  EXPECT_EQ(m.execute("0f01d0"), -1);
  EXPECT_EQ(static_cast<u32>(s.regs[kRax]), 2u);
  s.regs[kRcx] = 2;
  EXPECT_EQ(m.execute("0f01d0"), kVectorGp);
}

TEST_F(Xsave, ProtectionKeyRegister) {
  CpuState& s = m.cpu.state;
  s.regs[kRcx] = s.regs[kRdx] = 0;
  s.regs[kRax] = 0xc;
  EXPECT_EQ(m.execute("0f01ef"), -1);  // wrpkru
  EXPECT_EQ(s.pkru, 0xcu);
  s.regs[kRax] = 0;
  s.regs[kRdx] = 5;
  EXPECT_EQ(m.execute("0f01ee"), -1);  // rdpkru
  EXPECT_EQ(s.regs[kRax], 0xcu);
  EXPECT_EQ(s.regs[kRdx], 0u);
  s.regs[kRcx] = 1;
  EXPECT_EQ(m.execute("0f01ee"), kVectorGp);
}

}  // namespace
}  // namespace dragoman
