// x87 error reporting, environment images, FXSAVE, MMX aliasing.
#include "tests/cpu/vector_machine.h"

namespace dragoman {
namespace {

constexpr const char* kFld1 = "d9e8";
constexpr const char* kFldz = "d9ee";
constexpr const char* kFdivStSt1 = "d8f1";  // fdiv st, st(1)
constexpr const char* kFwait = "9b";
constexpr const char* kFnclex = "dbe2";

/// Leaves 1/0 with the zero-divide exception unmasked.
void divide_by_zero(VectorMachine& m) {
  m.execute("dbe3");
  m.cpu.state.fpu.control = 0x37b;
  EXPECT_EQ(m.execute(kFldz), -1);
  EXPECT_EQ(m.execute(kFld1), -1);
  EXPECT_EQ(m.execute(kFdivStSt1), -1);
}

TEST(X87Errors, PendingErrorIsReportedByTheNextWaitingInstruction) {
  VectorMachine m;
  divide_by_zero(m);
  EXPECT_EQ(m.cpu.state.fpu.status & 0x80ff, 0x8084);
  EXPECT_EQ(m.execute(kFld1), kVectorMf);
  EXPECT_EQ(m.execute(kFwait), kVectorMf);
  EXPECT_EQ(m.execute("0fefc0"), kVectorMf);  // pxor mm0, mm0
  EXPECT_EQ(m.execute("0f77"), kVectorMf);    // emms
  EXPECT_EQ(m.execute("dfe0"), -1);           // fnstsw ax does not wait
  EXPECT_EQ(m.execute("660fefc0"), -1);       // pxor xmm0, xmm0 has nothing to do with it
  EXPECT_EQ(m.execute(kFnclex), -1);
  EXPECT_EQ(m.cpu.state.fpu.status & 0x80ff, 0);
  EXPECT_EQ(m.execute(kFld1), -1);
}

TEST(X87Errors, UnmaskingAStickyFlagMakesItPending) {
  VectorMachine m;
  m.execute("dbe3");
  m.execute(kFldz);
  m.execute(kFld1);
  m.execute(kFdivStSt1);
  EXPECT_EQ(m.execute(kFwait), -1);
  m.put<u16>(VectorMachine::kData, 0x37b);
  m.cpu.state.regs[kRdi] = VectorMachine::kData;
  EXPECT_EQ(m.execute("d92f"), -1);  // fldcw [rdi]
  EXPECT_EQ(m.execute(kFwait), kVectorMf);
}

TEST(X87Errors, FaultingStoreChangesNothing) {
  VectorMachine m;
  m.execute("dbe3");
  m.execute(kFld1);
  const FpuState before = m.cpu.state.fpu;
  m.cpu.state.regs[kRdi] = VectorMachine::kAbsent - 4;
  EXPECT_EQ(m.execute("dd1f"), kVectorPf);  // fstp qword [rdi]
  EXPECT_EQ(m.cpu.fault().address, VectorMachine::kAbsent);
  EXPECT_EQ(m.cpu.state.fpu.status, before.status);
  EXPECT_EQ(m.cpu.state.fpu.tag, before.tag);
  EXPECT_EQ(m.execute("dd07"), kVectorPf);  // fld qword [rdi]
  EXPECT_EQ(m.cpu.state.fpu.tag, before.tag);
}

TEST(X87Errors, StoresAcrossPagesArrive) {
  VectorMachine m;
  m.execute("dbe3");
  m.execute(kFld1);
  m.cpu.state.regs[kRdi] = VectorMachine::kData + kPageSize - 3;
  EXPECT_EQ(m.execute("dd1f"), -1);
  EXPECT_EQ(m.get<u64>(VectorMachine::kData + kPageSize - 3), 0x3ff0000000000000u);
}

TEST(X87Environment, RecordsTheLastInstruction) {
  VectorMachine m;
  m.execute("dbe3");
  m.cpu.state.regs[kRdi] = VectorMachine::kData;
  m.put<double>(VectorMachine::kData, 2.0);
  EXPECT_EQ(m.execute("dd07"), -1);  // fld qword [rdi]
  EXPECT_EQ(m.cpu.state.fpu.fdp, VectorMachine::kData);
  EXPECT_EQ(m.cpu.state.fpu.fds, 16);
  EXPECT_EQ(m.cpu.state.fpu.fcs, 8);
  EXPECT_EQ(m.cpu.state.fpu.opcode, 0x507);
  EXPECT_EQ(m.execute("d92f"), -1);  // fldcw is a control instruction: not recorded
  EXPECT_EQ(m.cpu.state.fpu.opcode, 0x507);
}

TEST(X87Environment, PointerIsThatOfTheFirstPrefix) {
  VectorMachine m;
  const std::vector<u8> code = VectorMachine::bytes(
      "dbe3"
      "2ed9e8"
      "d9e0"
      "9b"
      "90");
  std::memcpy(m.ram(VectorMachine::kCode), code.data(), code.size());
  m.cpu.state.rip() = VectorMachine::kCode;
  EXPECT_EQ(m.cpu.run(2), RunExit::kBudget);
  EXPECT_EQ(m.cpu.state.fpu.fip, VectorMachine::kCode + 2);
  EXPECT_EQ(m.cpu.run(2), RunExit::kBudget);
  EXPECT_EQ(m.cpu.state.fpu.fip, VectorMachine::kCode + 5);  // fchs; fwait is not recorded
  EXPECT_EQ(m.cpu.state.fpu.opcode, 0x1e0);
}

void known_environment(FpuState& fpu) {
  fpu.control = 0x37f;
  fpu.status = 0x3800;
  fpu.tag = 0x81;  // physical register 7 = 1.0, register 0 = zero
  fpu.st = {};
  fpu.st[7] = {0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f};
  fpu.fip = 0x12345;
  fpu.fdp = 0x2abcd;
  fpu.fcs = 8;
  fpu.fds = 16;
  fpu.opcode = 0x507;
}

TEST(X87Environment, ProtectedFormats) {
  VectorMachine m(32);
  known_environment(m.cpu.state.fpu);
  m.cpu.state.regs[kRdi] = VectorMachine::kData;
  EXPECT_EQ(m.execute("d937"), -1);  // fnstenv [edi]
  const u32 wide[7] = {0xffff037f, 0xffff3800, 0xffff3ffd, 0x12345,
                       0x05070008, 0x2abcd,    0xffff0010};
  EXPECT_EQ(std::memcmp(m.ram(VectorMachine::kData), wide, 28), 0);
  known_environment(m.cpu.state.fpu);
  EXPECT_EQ(m.execute("66d937"), -1);
  const u16 narrow[7] = {0x37f, 0x3800, 0x3ffd, 0x2345, 8, 0xabcd, 16};
  EXPECT_EQ(std::memcmp(m.ram(VectorMachine::kData), narrow, 14), 0);
}

TEST(X87Environment, RealFormats) {
  VectorMachine m(16);
  known_environment(m.cpu.state.fpu);
  m.cpu.state.fpu.fcs = 0x100;
  m.cpu.state.fpu.fds = 0;
  m.cpu.state.regs[kRdi] = 0x8000;
  EXPECT_EQ(m.execute("d935"), -1);  // fnstenv [di]
  const u16 narrow[7] = {0x37f, 0x3800, 0x3ffd, 0x3345, 0x1507, 0xabcd, 0x2000};
  EXPECT_EQ(std::memcmp(m.ram(0x8000), narrow, 14), 0);
  known_environment(m.cpu.state.fpu);
  m.cpu.state.fpu.fds = 0;
  EXPECT_EQ(m.execute("66d935"), -1);
  EXPECT_EQ(m.get<u32>(0x8000 + 12), 0xffff23c5u);  // 12345h + 80h
  EXPECT_EQ(m.get<u32>(0x8000 + 16), 0x1507u);
  EXPECT_EQ(m.get<u32>(0x8000 + 20), 0xffffabcdu);
  EXPECT_EQ(m.get<u32>(0x8000 + 24), 0x2000u);
}

TEST(X87Environment, SaveAndRestoreRoundTrip) {
  for (const unsigned bits : {16u, 32u, 64u}) {
    for (const char* prefix : {"", "66"}) {
      VectorMachine m(bits);
      FpuState& fpu = m.cpu.state.fpu;
      known_environment(fpu);
      fpu.fip = fpu.fdp = 0x1234;
      fpu.fcs = fpu.fds = 0;
      fpu.opcode = 0;
      const FpuState before = fpu;
      m.cpu.state.regs[kRdi] = 0x8000;
      const std::string save = std::string(prefix) + (bits == 16 ? "dd35" : "dd37");
      const std::string restore = std::string(prefix) + (bits == 16 ? "dd25" : "dd27");
      EXPECT_EQ(m.execute(save), -1);
      EXPECT_EQ(fpu.control, 0x37f);
      EXPECT_EQ(fpu.tag, 0);
      EXPECT_EQ(fpu.fip, 0u);
      fpu.st = {};
      EXPECT_EQ(m.execute(restore), -1);
      EXPECT_EQ(fpu.st, before.st) << save << bits;
      EXPECT_EQ(fpu.tag, before.tag);
      EXPECT_EQ(fpu.status, before.status);
      EXPECT_EQ(fpu.fip, before.fip);
      EXPECT_EQ(fpu.fdp, before.fdp);
    }
  }
}

TEST(X87Environment, FnstenvMasksAllExceptions) {
  VectorMachine m;
  divide_by_zero(m);
  m.cpu.state.regs[kRdi] = VectorMachine::kData;
  EXPECT_EQ(m.execute("d937"), -1);
  EXPECT_EQ(m.get<u16>(VectorMachine::kData + 4) & 0x8084, 0x8084);
  EXPECT_EQ(m.cpu.state.fpu.control, 0x37f);
  EXPECT_EQ(m.execute(kFwait), -1);
  EXPECT_EQ(m.execute("d927"), -1);  // fldenv brings the error back
  EXPECT_EQ(m.execute(kFwait), kVectorMf);
}

TEST(Mmx, AliasesTheX87Registers) {
  VectorMachine m;
  m.execute("dbe3");
  m.execute(kFld1);
  FpuState& fpu = m.cpu.state.fpu;
  m.cpu.state.regs[kRcx] = 0x1122334455667788;
  EXPECT_EQ(m.execute("480f6ee9"), -1);  // movq mm5, rcx
  EXPECT_EQ(fpu.tag, 0xff);
  EXPECT_EQ(fpu.status & 0x3800, 0);
  const std::array<u8, 16> expected = {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xff, 0xff};
  EXPECT_EQ(fpu.st[5], expected);
  EXPECT_EQ(fpu.st[7][9], 0x3f);  // not written: keeps its exponent
  EXPECT_EQ(m.execute("0f77"), -1);
  EXPECT_EQ(fpu.tag, 0);
}

TEST(Fxsave, FormsAndChecks) {
  VectorMachine m;
  FpuState& fpu = m.cpu.state.fpu;
  known_environment(fpu);
  fpu.fip = 0x123456789a;
  for (unsigned i = 0; i < 16; ++i) fpu.ymm[i][3] = static_cast<u8>(i + 1);
  m.cpu.state.regs[kRdi] = VectorMachine::kData;
  std::memset(m.ram(VectorMachine::kData), 0xee, 512);
  EXPECT_EQ(m.execute("0fae07"), -1);  // fxsave
  EXPECT_EQ(m.get<u32>(VectorMachine::kData + 8), 0x3456789au);
  EXPECT_EQ(m.get<u32>(VectorMachine::kData + 12), 8u);
  EXPECT_EQ(m.get<u32>(VectorMachine::kData + 28), 0xffffu);
  EXPECT_EQ(m.get<u8>(VectorMachine::kData + 4), 0x81);
  EXPECT_EQ(m.get<u8>(VectorMachine::kData + 32 + 9), 0x3f);  // ST(0) is physical register 7
  EXPECT_EQ(m.get<u8>(VectorMachine::kData + 160 + 15 * 16 + 3), 16);
  EXPECT_EQ(m.get<u8>(VectorMachine::kData + 416), 0xee);
  EXPECT_EQ(m.execute("480fae07"), -1);  // fxsave64
  EXPECT_EQ(m.get<u64>(VectorMachine::kData + 8), 0x123456789au);
  const FpuState before = fpu;
  fpu = FpuState{};
  EXPECT_EQ(m.execute("480fae0f"), -1);  // fxrstor64
  EXPECT_EQ(fpu.ymm, before.ymm);
  EXPECT_EQ(fpu.st, before.st);
  EXPECT_EQ(fpu.fip, before.fip);
  EXPECT_EQ(fpu.tag, before.tag);
  m.put<u32>(VectorMachine::kData + 24, 0x10000);
  EXPECT_EQ(m.execute("0fae0f"), kVectorGp);  // reserved MXCSR bit
  m.cpu.state.regs[kRdi] = VectorMachine::kData + 8;
  EXPECT_EQ(m.execute("0fae07"), kVectorGp);  // not aligned
}

TEST(X87Errors, FerrGoesOutInDosMode) {
  VectorMachine m;
  m.cpu.state.cr0 &= ~u64{kCr0Ne};
  divide_by_zero(m);
  EXPECT_FALSE(m.ferr());
  EXPECT_EQ(m.execute(kFwait), -1);
  EXPECT_TRUE(m.ferr());
  EXPECT_EQ(m.execute(kFld1), -1);  // as with IGNNE#: goes on
  EXPECT_EQ(m.execute(kFnclex), -1);
  EXPECT_FALSE(m.ferr());
}

}  // namespace
}  // namespace dragoman
