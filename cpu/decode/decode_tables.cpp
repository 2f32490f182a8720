#include "cpu/decode/decode_tables.h"

#include <iterator>

#include "cpu/isa/row_table.h"

namespace dragoman::decode_tables {
namespace {

constexpr unsigned kSlots = 2 * 4 * 256;

constexpr unsigned slot_of(bool vex, OpcodeMap map, unsigned opcode) {
  return (vex ? 1024 : 0) + static_cast<unsigned>(map) * 256 + opcode;
}

constexpr u64 keys_of(const Row& row) {
  u64 keys = 0;
  for (unsigned prefix = 0; prefix < 4; ++prefix) {
    switch (row.prefix) {
      case PrefixKey::kAny:
        break;
      case PrefixKey::kNp:
        if (prefix != kClassNone) continue;
        break;
      case PrefixKey::kNoRep:
        if (prefix != kClassNone && prefix != kClass66) continue;
        break;
      case PrefixKey::k66:
        if (prefix != kClass66) continue;
        break;
      case PrefixKey::kF3:
        if (prefix != kClassF3) continue;
        break;
      case PrefixKey::kF2:
        if (prefix != kClassF2) continue;
        break;
    }
    for (unsigned form = 0; form < 2; ++form) {
      if (row.mod == ModKey::kMemory && form == 1) continue;
      if (row.mod == ModKey::kRegister && form == 0 && !(row.attributes & kModIgnored)) continue;
      for (unsigned reg = 0; reg < 8; ++reg) {
        if (row.reg >= 0 && row.reg != static_cast<int>(reg)) continue;
        keys |= key_bit(prefix, form == 1, reg);
      }
    }
  }
  return keys;
}

constexpr Candidate candidate_of(u16 index) {
  const Row& row = isa::kRowTable[index];
  Candidate c{};
  c.keys = keys_of(row);
  c.row = index;
  c.rm = row.rm;
  c.mode = row.mode;
  c.feature = row.feature;
  c.modrm = row.modrm;
  if (row.attributes & kRexWSelects) c.required |= kConditionRexW;
  if (row.attributes & kRexW0) c.forbidden |= kConditionRexW;
  if (row.attributes & kRexB0) c.forbidden |= kConditionRexB;
  if (row.attributes & kVexW1) c.required |= kConditionVexW;
  if (row.attributes & kVexW0) c.forbidden |= kConditionVexW;
  if (row.attributes & kVexL1) c.required |= kConditionVexL;
  if (row.attributes & kVexL0) c.forbidden |= kConditionVexL;
  return c;
}

/// Order of trial: exact opcodes before those with a register in them, mandatory prefixes before
/// "any prefix", whole ModRM bytes before open ones.
constexpr unsigned rank_of(const Row& row) {
  return (row.opcode_mask == 0xff ? 0 : 4) + (row.prefix == PrefixKey::kAny ? 2 : 0) +
         (row.rm >= 0 ? 0 : 1);
}

constexpr unsigned opcodes_of(const Row& row) { return row.opcode_mask == 0xff ? 1 : 8; }

constexpr std::size_t count_candidates() {
  std::size_t count = 0;
  for (const Row& row : isa::kRowTable) {
    if (row.operation != Operation::kInvalid) count += opcodes_of(row);
  }
  return count;
}

constexpr std::size_t kCandidateCount = count_candidates();

struct Tables {
  std::array<u16, kSlots + 1> first{};
  std::array<Candidate, kCandidateCount> list{};
};

constexpr Tables build() {
  Tables t{};
  // A counting sort by (slot, rank).
  std::array<u16, kSlots * 8 + 1> start{};
  for (const Row& row : isa::kRowTable) {
    if (row.operation == Operation::kInvalid) continue;
    for (unsigned i = 0; i < opcodes_of(row); ++i) {
      ++start[slot_of(row.vex, row.map, row.opcode + i) * 8 + rank_of(row) + 1];
    }
  }
  for (std::size_t i = 0; i < kSlots * 8; ++i) start[i + 1] += start[i];
  for (std::size_t slot = 0; slot <= kSlots; ++slot) t.first[slot] = start[slot * 8];
  for (u16 index = 0; index < std::size(isa::kRowTable); ++index) {
    const Row& row = isa::kRowTable[index];
    if (row.operation == Operation::kInvalid) continue;
    for (unsigned i = 0; i < opcodes_of(row); ++i) {
      t.list[start[slot_of(row.vex, row.map, row.opcode + i) * 8 + rank_of(row)]++] =
          candidate_of(index);
    }
  }
  return t;
}

constexpr Tables kTables = build();

/// Two rows of one rank must never match the same bytes.
constexpr bool disjoint(const Candidate& a, const Candidate& b) {
  if ((a.keys & b.keys) == 0) return true;
  if (a.rm >= 0 && b.rm >= 0 && a.rm != b.rm) return true;
  if (a.mode != b.mode && a.mode != ModeKey::kAny && b.mode != ModeKey::kAny) return true;
  return (a.required & b.forbidden) != 0 || (a.forbidden & b.required) != 0;
}

constexpr bool no_overlaps() {
  for (unsigned slot = 0; slot < kSlots; ++slot) {
    for (unsigned i = kTables.first[slot]; i < kTables.first[slot + 1]; ++i) {
      for (unsigned j = i + 1; j < kTables.first[slot + 1]; ++j) {
        const Candidate& a = kTables.list[i];
        const Candidate& b = kTables.list[j];
        const bool same_rank = rank_of(isa::kRowTable[a.row]) == rank_of(isa::kRowTable[b.row]);
        if (same_rank && !disjoint(a, b)) return false;
      }
    }
  }
  return true;
}

/// The decoder asks for ModRM once per opcode, so all rows of an opcode must agree; 90h has none.
constexpr bool modrm_agrees() {
  for (unsigned slot = 0; slot < kSlots; ++slot) {
    for (unsigned i = kTables.first[slot]; i < kTables.first[slot + 1]; ++i) {
      if (kTables.list[i].modrm != kTables.list[kTables.first[slot]].modrm) return false;
    }
  }
  return true;
}

/// In the one-byte map only the prefixes and the escape 0Fh are without a row.
constexpr bool one_byte_map_is_full() {
  for (unsigned opcode = 0; opcode < 256; ++opcode) {
    const unsigned slot = slot_of(false, OpcodeMap::kOne, opcode);
    const bool prefix = opcode == 0x26 || opcode == 0x2E || opcode == 0x36 || opcode == 0x3E ||
                        (opcode >= 0x64 && opcode <= 0x67) || opcode == 0xF0 || opcode == 0xF2 ||
                        opcode == 0xF3 || opcode == 0x0F;
    if (prefix != (kTables.first[slot] == kTables.first[slot + 1])) return false;
  }
  return true;
}

static_assert(no_overlaps(), "two rows claim the same encoding");
static_assert(modrm_agrees(), "rows of one opcode disagree about having a ModRM byte");
static_assert(one_byte_map_is_full(), "a hole in the one-byte opcode map");

}  // namespace

std::span<const Candidate> candidates(bool vex, OpcodeMap map, u8 opcode) {
  const unsigned slot = slot_of(vex, map, opcode);
  return {kTables.list.data() + kTables.first[slot], kTables.list.data() + kTables.first[slot + 1]};
}

}  // namespace dragoman::decode_tables
