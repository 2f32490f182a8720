// Encodings that no assembler makes: superfluous and forbidden prefixes, lengths about the limit,
// fields of VEX that must not be, opcodes without a meaning, bytes missing at the end of a page.
#include <algorithm>

#include "cpu/decode/decoder.h"
#include "frontends/test/oracle/instruction_maker.h"

namespace dragoman {
namespace {

constexpr u8 kLockPrefix = 0xf0;
constexpr unsigned kEscape = 0x0f;

/// One in so many cases is odd, and one in so many of these runs into the page behind.
constexpr unsigned kOddOneIn = 8, kCutOneIn = 4;

struct OpcodeRange {
  OpcodeMap map;
  u8 first, last;
};

/// Without a row, and no instruction of any processor that may be the host. What is missing here
/// between others: AVX-512 masks and their successors, AMX, VMX, SSE4A, 3DNow!, and the groups.
constexpr OpcodeRange kUnknown[] = {
    {OpcodeMap::k0F, 0x04, 0x04},   {OpcodeMap::k0F, 0x0a, 0x0a},   {OpcodeMap::k0F, 0x0c, 0x0c},
    {OpcodeMap::k0F, 0x24, 0x27},   {OpcodeMap::k0F, 0x36, 0x36},   {OpcodeMap::k0F, 0x39, 0x39},
    {OpcodeMap::k0F, 0x3b, 0x3f},   {OpcodeMap::k0F38, 0x26, 0x27}, {OpcodeMap::k0F38, 0x42, 0x44},
    {OpcodeMap::k0F38, 0x4c, 0x4f}, {OpcodeMap::k0F38, 0x54, 0x57}, {OpcodeMap::k0F38, 0x60, 0x6b},
    {OpcodeMap::k0F38, 0x7a, 0x7f}, {OpcodeMap::k0F38, 0xa0, 0xa5}, {OpcodeMap::k0F38, 0xc0, 0xc7},
    {OpcodeMap::k0F3A, 0x10, 0x13}, {OpcodeMap::k0F3A, 0x24, 0x2f}, {OpcodeMap::k0F3A, 0x34, 0x37},
    {OpcodeMap::k0F3A, 0x50, 0x5b}, {OpcodeMap::k0F3A, 0x70, 0xc1}, {OpcodeMap::k0F3A, 0xd0, 0xdd},
    {OpcodeMap::k0F3A, 0xe0, 0xef},
};

/// 64-bit code has none of these.
constexpr u8 kNotIn64[] = {0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37,
                           0x3f, 0x60, 0x61, 0x82, 0x9a, 0xce, 0xd4, 0xd6, 0xea};

}  // namespace

bool may_ask(CpuCase& test, const HostTraits& host) {
  Instruction insn;
  const DecodeMode mode{static_cast<u8>(case_bits(test.mode))};
  switch (decode(test.bytes, mode, insn, host.features)) {
    case DecodeResult::kOk:
      test.row = insn.row;
      return insn.length == test.bytes.size() && test.cut < insn.length &&
             left_out(row(insn.row), test.mode, host).empty();
    case DecodeResult::kNeedMoreBytes:
      return false;  // it would go on in the bytes behind
    default:
      return true;
  }
}

Oddity InstructionMaker::choose_oddity(u16 row_index, CaseMode mode) {
  if (!random_.chance(kOddOneIn)) return Oddity::kNone;
  const Row& r = row(row_index);
  if (r.vex) {
    static constexpr Oddity kVex[] = {Oddity::kVexPrefix, Oddity::kVexFields, Oddity::kPadding,
                                      Oddity::kPrefixes};
    return kVex[random_.below(4)];
  }
  static constexpr Oddity kOther[] = {Oddity::kPrefixes, Oddity::kPadding, Oddity::kLock,
                                      Oddity::kOpcode};
  const Oddity chosen = kOther[random_.below(4)];
  const bool rare =
      chosen == Oddity::kOpcode && (r.map == OpcodeMap::kOne && mode != CaseMode::k64);
  return rare ? Oddity::kPrefixes : chosen;
}

void InstructionMaker::add_prefix_at_random(u8 prefix) {
  std::vector<u8>& bytes = case_->bytes;
  bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(random_.below(bytes.size() + 1)),
               prefix);
}

void InstructionMaker::add_odd_prefixes() {
  static constexpr std::array<u8, 4> kIgnored64 = {0x26, 0x2e, 0x36, 0x3e};
  std::vector<u8>& bytes = case_->bytes;
  // One that changes nothing: an override that 64-bit code ignores, or one that is there already.
  const auto neutral = [&]() -> u8 {
    if (code64()) return kIgnored64[random_.below(4)];
    if (!bytes.empty() && bytes[0] != kLockPrefix) return bytes[0];
    return memory_ ? u8{0} : u8{0x3e};
  };
  const bool near_branch = category() == Category::kBranch;
  switch (odd_) {
    case Oddity::kPrefixes:
      for (u64 n = 1 + random_.below(3); n != 0; --n) {
        static constexpr std::array<u8, 3> kMeaning = {0xf2, 0xf3, 0x66};
        const u8 any = kMeaning[random_.below(near_branch ? 2 : 3)];
        const u8 prefix = random_.chance(2) ? neutral() : any;
        if (prefix == 0x66 && !row_->vex) size_prefix_ = true;
        if (prefix != 0) add_prefix_at_random(prefix);
      }
      break;
    case Oddity::kPadding: {
      const u8 prefix = neutral();
      for (u64 n = 5 + random_.below(10); n != 0 && prefix != 0; --n) bytes.push_back(prefix);
      break;
    }
    case Oddity::kLock:
      add_prefix_at_random(kLockPrefix);
      if (random_.chance(3)) bytes.insert(bytes.begin(), 3 + random_.below(9), 0x2e);
      break;
    case Oddity::kVexPrefix: {
      static constexpr std::array<u8, 4> kForbidden = {0x66, 0xf2, 0xf3, kLockPrefix};
      const u64 which = random_.below(code64() ? 5 : 4);
      if (which < 4) add_prefix_at_random(kForbidden[which]);
      if (random_.chance(3)) bytes.insert(bytes.begin(), 3 + random_.below(9), 0x2e);
      if (which == 4) bytes.push_back(static_cast<u8>(0x40 | random_.below(16)));
      break;
    }
    default:
      break;
  }
  // Only the REX directly before the opcode counts (SDM vol. 2, 2.2.1).
  if (code64() && !bytes.empty() && random_.chance(3)) {
    bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(random_.below(bytes.size())),
                 static_cast<u8>(0x40 | random_.below(16)));
  }
}

void InstructionMaker::change_vex_fields() {
  switch (random_.below(4)) {
    case 0:
      vvvv_ = static_cast<unsigned>(random_.below(16));
      break;
    case 1:
      l_ = !l_;
      break;
    case 2:
      w_ = !w_;
      break;
    default:
      vex_map_ = 4 + static_cast<unsigned>(random_.below(28));
      break;
  }
}

void InstructionMaker::add_unknown_opcode() {
  if (row_->map == OpcodeMap::kOne) {
    emit(kNotIn64[random_.below(std::size(kNotIn64))], 1);
    return;
  }
  const OpcodeRange& range = kUnknown[random_.below(std::size(kUnknown))];
  emit(kEscape, 1);
  if (range.map == OpcodeMap::k0F38) emit(0x38, 1);
  if (range.map == OpcodeMap::k0F3A) emit(0x3a, 1);
  emit(range.first + random_.below(range.last - range.first + 1u), 1);
}

/// A legal instruction lacks a byte at least; of an illegal one all may be there, and no more is
/// asked for.
void InstructionMaker::cut_at_page_end() {
  if (odd_ == Oddity::kNone || !random_.chance(kCutOneIn)) return;
  Instruction insn;
  const DecodeMode mode{static_cast<u8>(case_bits(case_->mode))};
  const DecodeResult result = decode(case_->bytes, mode, insn, host_.features);
  const u64 most = result == DecodeResult::kTooLong ? kMaxInstructionLength : insn.length;
  if (result == DecodeResult::kNeedMoreBytes || most < 2) return;
  const u64 last = result == DecodeResult::kOk ? most - 1 : most;
  case_->cut = static_cast<u8>(random_.chance(2) ? last : 1 + random_.below(last));
}

}  // namespace dragoman
