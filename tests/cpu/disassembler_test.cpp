// What the disassembler prints; the bulk is covered by the comparison with Zydis.
#include "cpu/disassemble/disassembler.h"

#include <gtest/gtest.h>

#include <vector>

#include "cpu/decode/decoder.h"

namespace dragoman {
namespace {

std::string text(u8 bits, std::vector<u8> bytes, u64 address = 0x1000) {
  Instruction insn;
  (void)decode(bytes, {bits}, insn);
  return disassemble(insn, address, {bits});
}

TEST(Disassembler, MemoryOperands) {
  EXPECT_EQ(text(64, {0xf0, 0x64, 0x4b, 0x81, 0x44, 0xc8, 0xf0, 0x88, 0x77, 0x66, 0x55}),
            "lock add qword ptr fs:[r8+r9*8-0x10], 0x55667788");
  EXPECT_EQ(text(16, {0x8a, 0x42, 0x05}), "mov al, byte ptr [bp+si+0x5]");
  EXPECT_EQ(text(64, {0x8b, 0x05, 0x10, 0, 0, 0}), "mov eax, dword ptr [0x1016]");
  EXPECT_EQ(text(32, {0x8b, 0x05, 0, 0, 0, 0x80}), "mov eax, dword ptr [0x80000000]");
  EXPECT_EQ(text(32, {0x8d, 0x04, 0x0d, 1, 0, 0, 0}), "lea eax, [ecx+0x1]");
  EXPECT_EQ(text(64, {0xc4, 0xe2, 0x69, 0x90, 0x04, 0x99}),
            "vpgatherdd xmm0, dword ptr [rcx+xmm3*4], xmm2");
}

TEST(Disassembler, BranchesAndImmediates) {
  EXPECT_EQ(text(64, {0x74, 0xfe}), "je 0x1000");
  EXPECT_EQ(text(16, {0xe9, 0xfd, 0xef}, 0xfff0), "jmp 0xeff0");
  EXPECT_EQ(text(16, {0xea, 0xf0, 0xff, 0x00, 0xf0}), "jmp 0xf000:0xfff0");
  EXPECT_EQ(text(64, {0x48, 0x83, 0xc0, 0xff}), "add rax, 0xffffffffffffffff");
  EXPECT_EQ(text(32, {0x66, 0x83, 0xc0, 0xff}), "add ax, 0xffff");
  EXPECT_EQ(text(32, {0xc8, 0x34, 0x12, 0x1f}), "enter 0x1234, 0x1f");
}

TEST(Disassembler, NamesThatDependOnSize) {
  EXPECT_EQ(text(64, {0x48, 0xcf}), "iretq");
  EXPECT_EQ(text(32, {0xcf}), "iretd");
  EXPECT_EQ(text(16, {0xcf}), "iret");
  EXPECT_EQ(text(64, {0x48, 0x98}), "cdqe");
  EXPECT_EQ(text(64, {0xf3, 0x48, 0xa5}), "rep movsq");
  EXPECT_EQ(text(32, {0xf2, 0x26, 0xa6}), "repne es cmpsb");
  EXPECT_EQ(text(32, {0x67, 0xe3, 0x00}), "jcxz 0x1003");
  EXPECT_EQ(text(64, {0x48, 0x0f, 0xae, 0x00}), "fxsave64 [rax]");
}

TEST(Disassembler, Invalid) { EXPECT_EQ(text(64, {0x06}), "(bad)"); }

}  // namespace
}  // namespace dragoman
