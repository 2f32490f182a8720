// Prefix rules, limits and field values of the decoder, by hand.
#include "cpu/decode/decoder.h"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

#include "cpu/isa/rows.h"

namespace dragoman {
namespace {

struct Decoded : Instruction {
  DecodeResult result = DecodeResult::kOk;
  Operation operation() const { return dragoman::row(row).operation; }
};

Decoded decoded(u8 bits, std::vector<u8> bytes, const FeatureSet& features = FeatureSet::all()) {
  Decoded d;
  d.result = decode(bytes, {bits}, d, features);
  return d;
}

TEST(Decoder, ReportsMissingBytesAtEveryLength) {
  // lock add qword ptr fs:[r8+r9*8+11223344h], 55667788h
  const std::vector<u8> bytes = {0xf0, 0x64, 0x4b, 0x81, 0x84, 0xc8, 0x44,
                                 0x33, 0x22, 0x11, 0x88, 0x77, 0x66, 0x55};
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_EQ(decoded(64, {bytes.begin(), bytes.begin() + static_cast<long>(n)}).result,
              DecodeResult::kNeedMoreBytes)
        << n;
  }
  const Decoded d = decoded(64, bytes);
  ASSERT_EQ(d.result, DecodeResult::kOk);
  EXPECT_EQ(d.length, 14);
  EXPECT_EQ(d.operation(), Operation::kAdd);
  EXPECT_EQ(d.base, kR8);
  EXPECT_EQ(d.index, kR9);
  EXPECT_EQ(d.scale, 3);
  EXPECT_EQ(d.displacement, 0x11223344);
  EXPECT_EQ(d.immediate, 0x55667788u);
  EXPECT_EQ(d.segment, kFs);
  EXPECT_EQ(d.operand_size, 8);
  EXPECT_TRUE(d.has(kInsnLock));
  EXPECT_TRUE(d.memory());
}

TEST(Decoder, FifteenBytesAreTheLimit) {
  std::vector<u8> bytes(14, 0x66);
  bytes.push_back(0x90);
  EXPECT_EQ(decoded(32, bytes).result, DecodeResult::kOk);
  EXPECT_EQ(decoded(32, bytes).length, 15);
  bytes.insert(bytes.begin(), 0x66);
  EXPECT_EQ(decoded(32, bytes).result, DecodeResult::kTooLong);
  EXPECT_EQ(decoded(32, std::vector<u8>(15, 0x66)).result, DecodeResult::kTooLong);
  EXPECT_EQ(decoded(32, std::vector<u8>(14, 0x66)).result, DecodeResult::kNeedMoreBytes);
}

TEST(Decoder, InvalidOpcodesNeedNoFurtherBytes) {
  const Decoded d = decoded(64, {0x06});  // PUSH ES
  EXPECT_EQ(d.result, DecodeResult::kInvalid);
  EXPECT_EQ(d.length, 1);
  EXPECT_EQ(d.operation(), Operation::kInvalid);
  EXPECT_EQ(decoded(64, {0x0f, 0x04}).result, DecodeResult::kInvalid);
  EXPECT_EQ(decoded(64, {0x0f, 0x04}).length, 2);
}

// Lengths as an AMD family 19h sees them, found by putting each before a page that is not mapped.
TEST(Decoder, IllegalInstructionsAreReadToTheirEnd) {
  const std::vector<std::vector<u8>> list = {
      {0xf0, 0x01, 0xc0},                                   // lock add eax, eax
      {0xf0, 0x69, 0x05, 0, 0, 0, 0, 1, 2, 3, 4},           // lock imul r, m, imm32
      {0xf0, 0x0f, 0x04},                                   // lock, no opcode
      {0x66, 0xc5, 0xf8, 0x58, 0x05, 0, 0, 0, 0},           // 66h before VEX
      {0xf2, 0xc4, 0xe3, 0x79, 0x04, 0x05, 0, 0, 0, 0, 1},  // F2h, with an immediate
      {0xf0, 0xc5, 0xf8, 0x58, 0xc1},                       // LOCK
      {0x48, 0xc4, 0x81, 0x97, 0x5a, 0x7d, 0x83},           // REX: as LES
      {0x48, 0xc5, 0xf8},                                   // and LDS
      {0xc4, 0xe4, 0x78, 0x58, 0x05, 0, 0, 0, 0},           // map 4
      {0xc4, 0xe0, 0x78, 0xc2, 0xc1},                       // map 0, no immediate
      {0xc4, 0xe2, 0x79, 0xf0, 0x05, 0, 0, 0, 0},           // map 2
      {0xc4, 0xe3, 0x79, 0xf1, 0x05, 0, 0, 0, 0, 1},        // map 3: an immediate
      {0xc5, 0xf8, 0x80, 0, 0, 0, 0},                       // VEX.Jcc
      {0xc5, 0xf9, 0xa4, 0x05, 0, 0, 0, 0, 1},              // VEX.SHLD
      {0xc5, 0xf8, 0x04},                                   // VEX, no opcode
      {0xc5, 0xf0, 0x28, 0x05, 0, 0, 0, 0},                 // vvvv used
      {0xc4, 0xe2, 0x69, 0x90, 0x04, 0x91},                 // gather, registers equal
      {0xc4, 0xe2, 0x69, 0x90, 0x05, 0, 0, 0, 0},           // gather without SIB
      {0x0f, 0x38, 0x0f, 0x05, 0, 0, 0, 0},                 // 0F 38 without row
      {0x66, 0x0f, 0x3a, 0x04, 0x05, 0, 0, 0, 0, 1},        // 0F 3A without row
      {0xfe, 0x15, 0, 0, 0, 0},                             // FE /2
      {0xc7, 0x0d, 0, 0, 0, 0, 1, 2, 3, 4},                 // C7 /1
      {0x8e, 0x0d, 0, 0, 0, 0},                             // mov cs, m
      {0x9a, 1, 2, 3, 4, 5, 6},                             // far call
      {0x0f, 0x20, 0xc8},                                   // mov rax, cr1
      {0xf2, 0x0f, 0x28, 0x05, 0, 0, 0, 0},                 // F2h before MOVAPS
      {0xd9, 0x0d, 0, 0, 0, 0},                             // D9 /1
      {0x06},
      {0x0f, 0x04}};
  for (const std::vector<u8>& whole : list) {
    const std::string name = fmt::format("{:02x}", fmt::join(whole, " "));
    for (std::size_t n = 0; n < whole.size(); ++n) {
      EXPECT_EQ(decoded(64, {whole.begin(), whole.begin() + static_cast<long>(n)}).result,
                DecodeResult::kNeedMoreBytes)
          << name << " cut to " << n;
    }
    const Decoded d = decoded(64, whole);
    EXPECT_EQ(d.result, DecodeResult::kInvalid) << name;
    EXPECT_EQ(d.length, whole.size()) << name;
    // The limit of 15 bytes comes before #UD (SDM vol. 3, 6.15, #GP).
    std::vector<u8> longest(kMaxInstructionLength - whole.size(), 0x2e);
    longest.insert(longest.end(), whole.begin(), whole.end());
    EXPECT_EQ(decoded(64, longest).result, DecodeResult::kInvalid) << name;
    longest.insert(longest.begin(), 0x2e);
    EXPECT_EQ(decoded(64, longest).result, DecodeResult::kTooLong) << name;
  }
}

TEST(Decoder, LockNeedsALockableMemoryDestination) {
  EXPECT_EQ(decoded(32, {0xf0, 0x01, 0x00}).result, DecodeResult::kOk);       // add [eax], eax
  EXPECT_EQ(decoded(32, {0xf0, 0x01, 0xc0}).result, DecodeResult::kInvalid);  // add eax, eax
  EXPECT_EQ(decoded(32, {0xf0, 0x03, 0x00}).result, DecodeResult::kInvalid);  // add eax, [eax]
  EXPECT_EQ(decoded(32, {0xf0, 0x39, 0x00}).result, DecodeResult::kInvalid);  // cmp [eax], eax
  EXPECT_EQ(decoded(32, {0xf0, 0x0f, 0xa3, 0x00}).result, DecodeResult::kInvalid);  // bt
  EXPECT_EQ(decoded(32, {0xf0, 0x0f, 0xab, 0x00}).result, DecodeResult::kOk);       // bts
  EXPECT_EQ(decoded(32, {0xf0, 0x0f, 0x20, 0xc0}).result, DecodeResult::kInvalid);  // mov cr
  EXPECT_EQ(decoded(32, {0xf0, 0x90}).result, DecodeResult::kInvalid);
}

TEST(Decoder, LastSegmentOverrideWins) {
  EXPECT_EQ(decoded(32, {0x64, 0x26, 0x8b, 0x00}).segment, kEs);
  EXPECT_EQ(decoded(32, {0x26, 0x64, 0x8b, 0x00}).segment, kFs);
  EXPECT_EQ(decoded(64, {0x64, 0x2e, 0x8b, 0x00}).segment, kFs);  // CS is ignored
  EXPECT_EQ(decoded(64, {0x2e, 0x8b, 0x00}).segment, kDs);
  EXPECT_FALSE(decoded(64, {0x2e, 0x8b, 0x00}).has(kInsnSegmentOverride));
}

TEST(Decoder, StackSegmentIsTheDefaultForStackBases) {
  EXPECT_EQ(decoded(16, {0x8b, 0x02}).segment, kSs);                    // [bp+si]
  EXPECT_EQ(decoded(16, {0x8b, 0x06, 0, 0}).segment, kDs);              // [disp16]
  EXPECT_EQ(decoded(32, {0x8b, 0x04, 0x24}).segment, kSs);              // [esp]
  EXPECT_EQ(decoded(32, {0x8b, 0x45, 0x00}).segment, kSs);              // [ebp]
  EXPECT_EQ(decoded(32, {0x8b, 0x04, 0x2d, 0, 0, 0, 0}).segment, kDs);  // [ebp*1+disp32]
  EXPECT_EQ(decoded(64, {0x41, 0x8b, 0x04, 0x24}).segment, kDs);        // [r12]
  EXPECT_EQ(decoded(32, {0x3e, 0x8b, 0x45, 0x00}).segment, kDs);
}

TEST(Decoder, RexCountsOnlyBeforeTheOpcode) {
  EXPECT_EQ(decoded(64, {0x48, 0x8b, 0xc1}).operand_size, 8);
  const Decoded dropped = decoded(64, {0x48, 0x66, 0x8b, 0xc1});
  EXPECT_EQ(dropped.operand_size, 2);
  EXPECT_FALSE(dropped.has(kInsnRex));
  EXPECT_EQ(decoded(64, {0x48, 0x41, 0x8b, 0xc1}).operand_size, 4);  // the second REX counts
  EXPECT_EQ(decoded(64, {0x48, 0x41, 0x8b, 0xc1}).rm, kR9);
  EXPECT_EQ(decoded(64, {0x66, 0x48, 0x8b, 0xc1}).operand_size, 8);
  EXPECT_EQ(decoded(32, {0x48}).operation(), Operation::kDec);
}

TEST(Decoder, ByteRegisters) {
  EXPECT_EQ(decoded(64, {0x88, 0xe7}).reg, kHighByte + 0);  // mov bh, ah
  EXPECT_EQ(decoded(64, {0x88, 0xe7}).rm, kHighByte + 3);
  EXPECT_EQ(decoded(64, {0x40, 0x88, 0xe7}).reg, kRsp);  // mov dil, spl
  EXPECT_EQ(decoded(64, {0x40, 0x88, 0xe7}).rm, kRdi);
  EXPECT_EQ(decoded(64, {0x45, 0x88, 0xe7}).rm, kR15);
  EXPECT_EQ(decoded(64, {0xb4, 0x01}).reg, kHighByte + 0);  // mov ah, 1
  EXPECT_EQ(decoded(32, {0x0f, 0xb6, 0xe4}).reg, kRsp);     // movzx esp, ah
  EXPECT_EQ(decoded(32, {0x0f, 0xb6, 0xe4}).rm, kHighByte + 0);
}

TEST(Decoder, NopPauseAndXchg) {
  EXPECT_EQ(decoded(64, {0x90}).operation(), Operation::kNop);
  EXPECT_EQ(decoded(64, {0x48, 0x90}).operation(), Operation::kNop);
  EXPECT_EQ(decoded(64, {0xf3, 0x90}).operation(), Operation::kPause);
  EXPECT_EQ(decoded(64, {0x41, 0x90}).operation(), Operation::kXchg);
  EXPECT_EQ(decoded(64, {0x41, 0x90}).reg, kR8);
  EXPECT_EQ(decoded(64, {0x91}).operation(), Operation::kXchg);
}

TEST(Decoder, OperandAndAddressSizes) {
  EXPECT_EQ(decoded(16, {0x8b, 0x07}).operand_size, 2);
  EXPECT_EQ(decoded(16, {0x66, 0x8b, 0x07}).operand_size, 4);
  EXPECT_EQ(decoded(16, {0x67, 0x8b, 0x00}).address_size, 4);
  EXPECT_EQ(decoded(32, {0x67, 0x8b, 0x07}).address_mask(), 0xffffu);
  EXPECT_EQ(decoded(64, {0x67, 0x8b, 0x07}).address_mask(), 0xffffffffu);
  EXPECT_EQ(decoded(64, {0x50}).operand_size, 8);
  EXPECT_EQ(decoded(64, {0x66, 0x50}).operand_size, 2);
  EXPECT_EQ(decoded(64, {0xe8, 0, 0, 0, 0}).operand_size, 8);
  EXPECT_EQ(decoded(64, {0x66, 0xe8, 0, 0, 0, 0}).length, 6);  // 66h is ignored
  EXPECT_EQ(decoded(32, {0x66, 0xe8, 0, 0}).length, 4);
  EXPECT_EQ(decoded(64, {0xcf}).operand_size, 4);  // IRET has no 64-bit default
}

TEST(Decoder, RipRelativeAndAbsoluteAddresses) {
  const Decoded rip = decoded(64, {0x8b, 0x05, 0x10, 0, 0, 0});
  EXPECT_EQ(rip.base, kRip);
  EXPECT_EQ(rip.displacement, 0x10);
  EXPECT_EQ(decoded(32, {0x8b, 0x05, 0x10, 0, 0, 0}).base, kZeroRegister);
  const Decoded sib = decoded(64, {0x8b, 0x04, 0x25, 0, 0, 0, 0x80});
  EXPECT_EQ(sib.base, kZeroRegister);
  EXPECT_EQ(sib.index, kZeroRegister);
  EXPECT_EQ(sib.displacement, INT32_MIN);
  // With REX.B there is still no base, though R13 is no special case otherwise.
  EXPECT_EQ(decoded(64, {0x41, 0x8b, 0x04, 0x25, 0, 0, 0, 0}).base, kZeroRegister);
  EXPECT_EQ(decoded(64, {0x42, 0x8b, 0x04, 0x20}).index, kR12);
  const Decoded moffs = decoded(64, {0xa1, 1, 2, 3, 4, 5, 6, 7, 0x88});
  EXPECT_EQ(moffs.immediate, 0x8807060504030201u);
  EXPECT_FALSE(moffs.memory());
  EXPECT_EQ(decoded(64, {0x67, 0xa1, 1, 2, 3, 0x84}).immediate, 0x84030201u);
}

TEST(Decoder, Immediates) {
  EXPECT_EQ(decoded(32, {0x83, 0xc0, 0xff}).immediate, ~u64{0});
  EXPECT_EQ(decoded(64, {0x48, 0x81, 0xc0, 0, 0, 0, 0x80}).immediate, 0xffffffff80000000u);
  EXPECT_EQ(decoded(64, {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}).immediate, 0x0807060504030201u);
  EXPECT_EQ(decoded(32, {0xcd, 0x80}).immediate, 0x80u);
  const Decoded enter = decoded(32, {0xc8, 0x34, 0x12, 0x1f});
  EXPECT_EQ(enter.immediate, 0x1234u);
  EXPECT_EQ(enter.immediate2, 0x1f);
  const Decoded far = decoded(16, {0xea, 0xf0, 0xff, 0x00, 0xf0});
  EXPECT_EQ(far.immediate, 0xfff0u);
  EXPECT_EQ(far.immediate2, 0xf000);
  EXPECT_EQ(decoded(32, {0x74, 0xfe}).immediate, ~u64{1});
}

TEST(Decoder, ControlRegistersIgnoreMod) {
  const Decoded d = decoded(32, {0x0f, 0x22, 0x18});  // mod 0: mov cr3, eax
  ASSERT_EQ(d.result, DecodeResult::kOk);
  EXPECT_EQ(d.operation(), Operation::kMovToCr);
  EXPECT_EQ(d.reg, 3);
  EXPECT_EQ(d.length, 3);
  EXPECT_FALSE(d.memory());
  EXPECT_EQ(decoded(32, {0x0f, 0x22, 0xc8}).result, DecodeResult::kInvalid);        // CR1
  EXPECT_EQ(decoded(64, {0x44, 0x0f, 0x22, 0xc0}).result, DecodeResult::kOk);       // CR8
  EXPECT_EQ(decoded(64, {0x44, 0x0f, 0x23, 0xc0}).result, DecodeResult::kInvalid);  // DR8
}

TEST(Decoder, SegmentRegisters) {
  EXPECT_EQ(decoded(32, {0x8e, 0xc8}).result, DecodeResult::kInvalid);  // mov cs, ax
  EXPECT_EQ(decoded(32, {0x8c, 0xc8}).result, DecodeResult::kOk);       // mov eax, cs
  EXPECT_EQ(decoded(32, {0x8e, 0xf0}).result, DecodeResult::kInvalid);
}

TEST(Decoder, VexAndItsOldMeanings) {
  EXPECT_EQ(decoded(32, {0xc5, 0x00}).operation(), Operation::kLds);
  EXPECT_EQ(decoded(32, {0xc4, 0x00}).operation(), Operation::kLes);
  EXPECT_EQ(decoded(32, {0xc5, 0xf8, 0x58, 0xc1}).operation(), Operation::kVaddps);
  EXPECT_EQ(decoded(64, {0xc5, 0x78, 0x58, 0xc1}).reg, 8);
  EXPECT_EQ(decoded(64, {0xc5, 0xb0, 0x58, 0xc1}).vvvv, 9);
  EXPECT_TRUE(decoded(64, {0xc5, 0xfc, 0x58, 0xc1}).has(kInsnVexL));
  for (const u8 prefix : {0x66, 0xf2, 0xf3, 0xf0, 0x48}) {
    EXPECT_EQ(decoded(64, {prefix, 0xc5, 0xf8, 0x58, 0xc1}).result, DecodeResult::kInvalid);
  }
  EXPECT_EQ(decoded(64, {0x65, 0xc5, 0xf8, 0x58, 0x01}).segment, kGs);
  EXPECT_EQ(decoded(64, {0xc5, 0xf0, 0x28, 0xc1}).result, DecodeResult::kInvalid);  // vvvv used
  EXPECT_EQ(decoded(64, {0xc4, 0xe4, 0x78, 0x58, 0xc1}).result, DecodeResult::kInvalid);  // map 4
}

TEST(Decoder, Gathers) {
  const Decoded d = decoded(64, {0xc4, 0xe2, 0x69, 0x90, 0x04, 0x99});
  ASSERT_EQ(d.result, DecodeResult::kOk);
  EXPECT_EQ(d.operation(), Operation::kVpgatherdd);
  EXPECT_EQ(d.reg, 0);
  EXPECT_EQ(d.index, 3);
  EXPECT_EQ(d.vvvv, 2);
  EXPECT_EQ(d.base, kRcx);
  EXPECT_EQ(d.scale, 2);
  // xmm4 is a fine index, equal registers and memory without SIB are not.
  EXPECT_EQ(decoded(64, {0xc4, 0xe2, 0x69, 0x90, 0x04, 0xa1}).index, 4);
  EXPECT_EQ(decoded(64, {0xc4, 0xe2, 0x69, 0x90, 0x04, 0x91}).result, DecodeResult::kInvalid);
  EXPECT_EQ(decoded(64, {0xc4, 0xe2, 0x69, 0x90, 0x01}).result, DecodeResult::kInvalid);
}

TEST(Decoder, MandatoryPrefixes) {
  EXPECT_EQ(decoded(64, {0x66, 0xf2, 0x0f, 0x58, 0xc1}).operation(), Operation::kAddsd);
  EXPECT_EQ(decoded(64, {0xf2, 0xf3, 0x0f, 0x58, 0xc1}).operation(), Operation::kAddss);
  EXPECT_EQ(decoded(64, {0xf2, 0x0f, 0x28, 0xc1}).result, DecodeResult::kInvalid);
  const Decoded popcnt = decoded(64, {0x66, 0xf3, 0x0f, 0xb8, 0xc1});
  EXPECT_EQ(popcnt.operation(), Operation::kPopcnt);
  EXPECT_EQ(popcnt.operand_size, 2);
  EXPECT_FALSE(popcnt.has(kInsnRep));
  EXPECT_TRUE(decoded(64, {0xf3, 0xa4}).has(kInsnRep));
}

TEST(Decoder, MissingFeaturesFallBackToOldMeanings) {
  const std::vector<u8> bytes = {0xf3, 0x0f, 0xbd, 0xc1};
  EXPECT_EQ(decoded(64, bytes).operation(), Operation::kLzcnt);
  EXPECT_EQ(decoded(64, bytes, FeatureSet::all().remove(Feature::kLzcnt)).operation(),
            Operation::kBsr);
  EXPECT_EQ(
      decoded(64, {0xf3, 0x0f, 0xbc, 0xc1}, FeatureSet::all().remove(Feature::kBmi1)).operation(),
      Operation::kBsf);
  EXPECT_EQ(decoded(64, {0x0f, 0x38, 0xf0, 0x00}, FeatureSet::all().remove(Feature::kMovbe)).result,
            DecodeResult::kInvalid);
}

TEST(Decoder, ForeignExtensionsAreInvalid) {
  EXPECT_EQ(decoded(64, {0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc1}).result, DecodeResult::kInvalid);
  EXPECT_EQ(decoded(64, {0x0f, 0x01, 0xc1}).result, DecodeResult::kInvalid);        // vmcall
  EXPECT_EQ(decoded(64, {0x0f, 0x01, 0xd8}).result, DecodeResult::kInvalid);        // vmrun
  EXPECT_EQ(decoded(64, {0x0f, 0x0f, 0xc1, 0x9e}).result, DecodeResult::kInvalid);  // 3DNow!
  EXPECT_EQ(decoded(64, {0x8f, 0xe8, 0x78, 0xc0, 0xc1, 0x00}).result, DecodeResult::kInvalid);
}

TEST(Decoder, RowsAreIndexedConsistently) {
  EXPECT_EQ(row(0).operation, Operation::kInvalid);
  EXPECT_GT(rows().size(), 1000u);
  for (const OperationInfo& info : kOperations) EXPECT_FALSE(info.mnemonic.empty());
}

}  // namespace
}  // namespace dragoman
