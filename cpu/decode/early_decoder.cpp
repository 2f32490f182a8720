// Opcode maps of the 8086 (8086 Family User's Manual, table 4-14, and what the chip does with the
// holes in it), the 80286 and the 80386 (their Programmer's Reference Manuals, appendix A).
#include "cpu/decode/early_decoder.h"

#include <algorithm>
#include <array>

namespace dragoman {
namespace {

constexpr u8 kEscape0F = 0x0f;
constexpr unsigned kLongest286 = 10;

/// The bytes of an instruction as today's map has them.
struct Rewritten {
  std::array<u8, kMaxInstructionLength> bytes{};
  unsigned size = 0;
  unsigned dropped = 0;  ///< prefixes left out
  unsigned opcode_at = 0;
};

bool is_prefix(u8 byte, const QuirkSet& quirks) {
  switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0xf0:
    case 0xf2:
    case 0xf3:
      return true;
    case 0xf1:  // LOCK once more
      return quirks.has(Quirk::kOpcodes8086);
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
      return quirks.has(Quirk::kOpcodes386);
    default:
      return false;
  }
}

/// Copies prefixes and the rest, without LOCK where it has no meaning for validity.
Rewritten split(std::span<const u8> bytes, const QuirkSet& quirks) {
  Rewritten r;
  bool in_prefixes = true;
  const bool drop_lock = quirks.has(Quirk::kLockAnywhere);
  for (const u8 byte : bytes.first(std::min<std::size_t>(bytes.size(), kMaxInstructionLength))) {
    in_prefixes = in_prefixes && is_prefix(byte, quirks);
    if (in_prefixes && drop_lock && (byte & 0xfe) == 0xf0) {
      ++r.dropped;
      continue;
    }
    r.bytes[r.size++] = byte;
    if (in_prefixes) r.opcode_at = r.size;
  }
  return r;
}

void set_reg_field(u8& modrm, unsigned value) {
  modrm = static_cast<u8>((modrm & 0xc7) | value << 3);
}

/// The 8086 decodes fewer bits than there are.
void rewrite_8086(u8& opcode, u8& modrm) {
  const unsigned reg = (modrm >> 3) & 7;
  switch (opcode) {
    case kEscape0F:
      opcode = 0x07;  // POP CS
      break;
    case 0x8c:
    case 0x8e:
      // CS comes out of MOV as any other; as a destination it stands for what DS does.
      set_reg_field(modrm, opcode == 0x8e && (reg & 3) == kCs ? unsigned{kDs} : reg & 3);
      break;
    case 0x8f:
    case 0xc6:
    case 0xc7:
      set_reg_field(modrm, 0);
      break;
    case 0xc0:
    case 0xc1:
    case 0xc8:
    case 0xc9:
      opcode |= 2;  // RET
      break;
    case 0xff:
      if (reg == 7) set_reg_field(modrm, 6);
      break;
    default:
      if (opcode >= 0x60 && opcode <= 0x6f) opcode |= 0x10;  // conditional jumps
      break;
  }
}

/// Second opcode bytes of the 80286: system instructions only.
bool known_to_286(u8 second) { return second <= 0x03 || second == 0x05 || second == 0x06; }

/// Second opcode bytes of the 80386 (Programmer's Reference Manual, appendix A).
bool known_to_386(u8 second) {
  if (known_to_286(second)) return true;
  if (second >= 0x20 && second <= 0x26) return second != 0x25;
  if (second >= 0x80 && second <= 0xaf)
    return second != 0xa2 && second != 0xa6 && second != 0xa7 && second != 0xaa && second != 0xae;
  return second >= 0xb2 && second <= 0xbf && second != 0xb8 && second != 0xb9;
}

}  // namespace

DecodeResult decode_early(std::span<const u8> bytes, DecodeMode mode, Instruction& out,
                          const CpuModel& model) {
  const QuirkSet& quirks = model.quirks;
  Rewritten r = split(bytes, quirks);
  const auto refuse = [&] {
    out = Instruction{};
    out.length = 1;
    return DecodeResult::kInvalid;
  };
  const bool has_opcode = r.opcode_at < r.size;
  const bool has_modrm = r.opcode_at + 1 < r.size;
  u8 opcode = 0, modrm = 0;
  if (has_opcode) {
    u8& first = r.bytes[r.opcode_at];
    u8& second = r.bytes[std::min(r.opcode_at + 1, kMaxInstructionLength - 1)];
    opcode = first;
    modrm = second;
    if (quirks.has(Quirk::kOpcodes286)) {
      if (first >= 0x64 && first <= 0x67) return refuse();
      const bool segment_move = first == 0x8c || first == 0x8e;
      if (segment_move && has_modrm && ((second >> 3) & 7) > kDs) return refuse();
    }
    if (first == kEscape0F && has_modrm && !quirks.has(Quirk::kOpcodes8086)) {
      const bool known =
          quirks.has(Quirk::kOpcodes286) ? known_to_286(second) : known_to_386(second);
      if (!known) return refuse();
    }
    if (quirks.has(Quirk::kOpcodes8086)) rewrite_8086(first, second);
    if (quirks.has(Quirk::kNoCoprocessor) && !model.features.has(Feature::kFpu)) {
      if ((first & 0xf8) == 0xd8) first = 0x85;  // an operand that is read, and no result
      if (first == 0x9b) first = 0x90;
    }
  }
  DecodeResult result = decode({r.bytes.data(), r.size}, mode, out, model.features);
  if (result == DecodeResult::kInvalid && quirks.has(Quirk::kOpcodes286) &&
      (opcode & 0xfe) == 0xc6) {
    // Too long comes before invalid: the length is that of the valid form, MOV.
    if (out.length + r.dropped > kLongest286) return DecodeResult::kTooLong;
    return refuse();
  }
  // With prefixes left out the decoder does not see that there will be no more bytes.
  if (result == DecodeResult::kNeedMoreBytes && bytes.size() >= kMaxInstructionLength) {
    result = DecodeResult::kTooLong;
  }
  if (result != DecodeResult::kOk) return result;
  out.length = static_cast<u8>(out.length + r.dropped);
  if (quirks.has(Quirk::kOpcodes286) && out.length > kLongest286) return DecodeResult::kTooLong;
  if (opcode != kEscape0F || quirks.has(Quirk::kOpcodes8086)) {
    out.opcode = opcode;
    if (out.has(kInsnModrm)) out.modrm = modrm;
  }
  return result;
}

}  // namespace dragoman
