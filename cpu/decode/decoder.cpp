#include "cpu/decode/decoder.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "cpu/decode/decode_tables.h"
#include "cpu/isa/rows.h"

namespace dragoman {
namespace {

using decode_tables::Candidate;

/// Bytes of one instruction; reading behind the end gives zeros and is remembered.
class ByteReader {
 public:
  explicit ByteReader(std::span<const u8> bytes)
      : data_(bytes.data()),
        size_(static_cast<unsigned>(std::min<std::size_t>(bytes.size(), kMaxInstructionLength))) {}

  u8 next() {
    if (position_ >= size_) {
      ended_ = true;
      return 0;
    }
    return data_[position_++];
  }
  u8 peek() {
    if (position_ >= size_) {
      ended_ = true;
      return 0;
    }
    return data_[position_];
  }
  template <class T>
  T little_endian() {
    if (size_ - position_ < sizeof(T)) {
      ended_ = true;
      position_ = size_;
      return 0;
    }
    T value;
    std::memcpy(&value, data_ + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }
  /// A sign-extended value of 1, 2, 4 or 8 bytes.
  u64 signed_value(unsigned bytes) {
    switch (bytes) {
      case 1:
        return static_cast<u64>(i64{little_endian<i8>()});
      case 2:
        return static_cast<u64>(i64{little_endian<i16>()});
      case 4:
        return static_cast<u64>(i64{little_endian<i32>()});
      default:
        return little_endian<u64>();
    }
  }

  bool ended() const { return ended_; }
  unsigned position() const { return position_; }
  DecodeResult end_result() const {
    return size_ == kMaxInstructionLength ? DecodeResult::kTooLong : DecodeResult::kNeedMoreBytes;
  }

 private:
  const u8* data_;
  unsigned size_;
  unsigned position_ = 0;
  bool ended_ = false;
};

/// Opcodes behind 0Fh that have a ModRM byte but no row: VMREAD and VMWRITE.
bool modrm_without_row(u8 opcode) { return opcode == 0x78 || opcode == 0x79; }

/// What prefixes and VEX say, in one place: `r`, `x`, `b` are the register extensions 0 or 8.
struct Prefixes {
  bool operand_size = false;
  bool address_size = false;
  bool lock = false;
  bool rex = false;
  bool vex = false;
  bool w = false;  ///< REX.W or VEX.W as encoded
  bool l = false;
  u8 repeat = 0;  ///< F2h or F3h, whichever came last
  u8 r = 0;
  u8 x = 0;
  u8 b = 0;
  u8 vvvv = 0;  ///< not inverted any more, 4 bits
  u8 segment = kSegmentCount;
  unsigned prefix_class = decode_tables::kClassNone;
};

constexpr u8 kNoByteRegister = 4;  // without REX, byte registers 4..7 are AH, CH, DH, BH

u8 byte_register(u8 number, bool rex) {
  return !rex && number >= kNoByteRegister ? static_cast<u8>(number - 4 + kHighByte) : number;
}

class Decoder {
 public:
  Decoder(std::span<const u8> bytes, DecodeMode mode, Instruction& out, const FeatureSet& features)
      : reader_(bytes), bits_(mode.code_bits), out_(out), features_(features) {}

  DecodeResult run() {
    out_ = Instruction{};
    const u8 opcode = read_prefixes();
    if (reader_.ended()) return reader_.end_result();
    OpcodeMap map = OpcodeMap::kOne;
    if (!read_opcode(opcode, map)) return failure();
    if (reader_.ended()) return reader_.end_result();
    const Row* found = find_row(map);
    if (reader_.ended()) return reader_.end_result();
    if (found == nullptr) return skip_unknown(map);
    const Row& row = *found;

    set_sizes(row);
    read_operands(row);
    if (reader_.ended()) return reader_.end_result();
    if (illegal_ || !allowed(row)) return invalid();
    set_flags(row);
    out_.length = static_cast<u8>(reader_.position());
    return DecodeResult::kOk;
  }

 private:
  bool code64() const { return bits_ == 64; }

  DecodeResult invalid() {
    const u8 opcode = out_.opcode;
    out_ = Instruction{};
    out_.opcode = opcode;
    out_.length = static_cast<u8>(reader_.position());
    out_.operand_size = bits_ == 16 ? 2 : 4;
    out_.address_size = static_cast<u8>(bits_ / 8);
    return DecodeResult::kInvalid;
  }
  DecodeResult failure() { return reader_.ended() ? reader_.end_result() : invalid(); }

  /// An encoding that no row claims. Processors read an illegal instruction to its end, as long as
  /// its opcode and ModRM byte say, before they refuse it: bytes that cannot be fetched and the
  /// limit of 15 come first (SDM vol. 3, 6.9, table 6-2; the lengths are those of an AMD family
  /// 19h).
  DecodeResult skip_unknown(OpcodeMap map) {
    illegal_ = true;
    if (prefixes_.vex ? map != OpcodeMap::k0F
                      : map == OpcodeMap::k0F38 || map == OpcodeMap::k0F3A) {
      set_sizes(row(0));
      read_modrm(row(0));
      if (map == OpcodeMap::k0F3A) (void)reader_.next();
      return failure();
    }
    // A VEX prefix does not change what follows an opcode of this map.
    prefixes_.vex = false;
    const std::span<const Candidate> list = decode_tables::candidates(false, map, out_.opcode);
    const Row& like = row(list.empty() ? u16{0} : list.front().row);
    set_sizes(like);
    read_operands(like);
    if (list.empty() && modrm_without_row(out_.opcode)) read_modrm(like);
    return failure();
  }

  void read_operands(const Row& row) {
    if (row.modrm) {
      read_modrm(row);
    } else {
      out_.reg = (out_.opcode & 7) | prefixes_.b;
    }
    for (const Operand& operand : row.operands) {
      if (operand.addressing == Addressing::kNone) break;
      if (!read_operand(row, operand)) illegal_ = true;
    }
  }

  /// ModRM and what of the address follows it.
  void read_modrm(const Row& row) {
    out_.modrm = reader_.next();
    out_.flags |= kInsnModrm;
    const bool register_form = out_.modrm >= 0xc0 || (row.attributes & kModIgnored) != 0;
    if (register_form) {
      out_.rm = (out_.modrm & 7) | prefixes_.b;
    } else {
      out_.flags |= kInsnMemory;
      if (!read_memory((row.attributes & kUsesSib) != 0)) illegal_ = true;
    }
    out_.reg = ((out_.modrm >> 3) & 7) | prefixes_.r;
  }

  /// Reads prefixes in any order and returns the byte behind them.
  u8 read_prefixes() {
    for (;;) {
      const u8 byte = reader_.next();
      if (code64() && (byte & 0xf0) == 0x40) {
        // Only the REX directly before the opcode counts (SDM vol. 2, 2.2.1).
        prefixes_.rex = true;
        prefixes_.w = (byte & 8) != 0;
        prefixes_.r = (byte & 4) << 1;
        prefixes_.x = (byte & 2) << 2;
        prefixes_.b = (byte & 1) << 3;
        continue;
      }
      switch (byte) {
        case 0x26:
          segment_override(kEs);
          break;
        case 0x2e:
          segment_override(kCs);
          break;
        case 0x36:
          segment_override(kSs);
          break;
        case 0x3e:
          segment_override(kDs);
          break;
        case 0x64:
          prefixes_.segment = kFs;
          break;
        case 0x65:
          prefixes_.segment = kGs;
          break;
        case 0x66:
          prefixes_.operand_size = true;
          break;
        case 0x67:
          prefixes_.address_size = true;
          break;
        case 0xf0:
          prefixes_.lock = true;
          break;
        case 0xf2:
        case 0xf3:
          prefixes_.repeat = byte;
          break;
        default:
          return byte;
      }
      prefixes_.rex = prefixes_.w = false;
      prefixes_.r = prefixes_.x = prefixes_.b = 0;
    }
  }

  /// In 64-bit mode CS, DS, ES and SS overrides are ignored (SDM vol. 1, 3.3.7.1).
  void segment_override(u8 segment) {
    if (!code64()) prefixes_.segment = segment;
  }

  /// Reads escapes or VEX and the opcode byte. False for the end.
  bool read_opcode(u8 first, OpcodeMap& map) {
    if (first == 0x0f) {
      u8 byte = reader_.next();
      map = OpcodeMap::k0F;
      if (byte == 0x38 || byte == 0x3a) {
        map = byte == 0x38 ? OpcodeMap::k0F38 : OpcodeMap::k0F3A;
        byte = reader_.next();
      }
      out_.opcode = byte;
    } else if (first == 0xc4 || first == 0xc5) {
      // Outside 64-bit mode a ModRM of register form makes it VEX, else it is LES or LDS. So it is
      // behind REX, where both are illegal (SDM vol. 2, 2.3.2): the length is that of LES and LDS.
      const u8 second = reader_.peek();
      if (reader_.ended()) return false;
      if (code64() ? !prefixes_.rex : second >= 0xc0) {
        read_vex(first, map);
      } else {
        out_.opcode = first;
      }
    } else {
      out_.opcode = first;
    }
    if (prefixes_.repeat == 0xf3) {
      prefixes_.prefix_class = decode_tables::kClassF3;
    } else if (prefixes_.repeat == 0xf2) {
      prefixes_.prefix_class = decode_tables::kClassF2;
    } else if (prefixes_.operand_size) {
      prefixes_.prefix_class = decode_tables::kClass66;
    }
    return true;
  }

  void read_vex(u8 first, OpcodeMap& map) {
    const u8 second = reader_.next();
    // SDM vol. 2, 2.3.2; LOCK is refused with the others that no row allows.
    illegal_ = prefixes_.operand_size || prefixes_.repeat != 0;
    u8 last = second;
    map = OpcodeMap::k0F;
    prefixes_.vex = true;
    if (first == 0xc4) {
      prefixes_.x = (~second & 0x40) >> 3;
      prefixes_.b = (~second & 0x20) >> 2;
      const unsigned selector = second & 0x1f;
      last = reader_.next();
      map = selector >= 1 && selector <= 3 ? static_cast<OpcodeMap>(selector) : OpcodeMap::kOne;
      prefixes_.w = (last & 0x80) != 0;
    }
    prefixes_.r = (~second & 0x80) >> 4;
    prefixes_.vvvv = (~last >> 3) & 15;
    prefixes_.l = (last & 4) != 0;
    constexpr u8 kClasses[4] = {decode_tables::kClassNone, decode_tables::kClass66,
                                decode_tables::kClassF3, decode_tables::kClassF2};
    prefixes_.prefix_class = kClasses[last & 3];
    if (!code64()) prefixes_.r = prefixes_.x = prefixes_.b = 0;
    out_.opcode = reader_.next();
  }

  /// The row of the opcode, its ModRM byte and prefixes; null if there is none. The one-byte map
  /// stands for the VEX maps that do not exist.
  const Row* find_row(OpcodeMap map) {
    const std::span<const Candidate> list =
        decode_tables::candidates(prefixes_.vex, map, out_.opcode);
    if (list.empty()) return nullptr;
    unsigned reg = 0;
    bool register_form = false;
    if (list.front().modrm) {
      out_.modrm = reader_.peek();
      if (reader_.ended()) return nullptr;
      reg = (out_.modrm >> 3) & 7;
      register_form = out_.modrm >= 0xc0;
    }
    const u64 key = decode_tables::key_bit(prefixes_.prefix_class, register_form, reg);
    const u8 conditions =
        static_cast<u8>((prefixes_.w && code64() ? decode_tables::kConditionRexW : 0) |
                        (prefixes_.b != 0 ? decode_tables::kConditionRexB : 0) |
                        (prefixes_.w ? decode_tables::kConditionVexW : 0) |
                        (prefixes_.l ? decode_tables::kConditionVexL : 0));
    for (const Candidate& c : list) {
      if ((c.keys & key) == 0) continue;
      if (c.rm >= 0 && c.rm != (out_.modrm & 7)) continue;
      if ((conditions & c.required) != c.required || (conditions & c.forbidden) != 0) continue;
      if (c.mode == (code64() ? ModeKey::kNot64 : ModeKey::kOnly64)) continue;
      if (!features_.has(c.feature)) continue;
      out_.row = c.row;
      return &dragoman::row(c.row);
    }
    return nullptr;
  }

  void set_sizes(const Row& row) {
    const bool prefix66 = prefixes_.operand_size && row.prefix != PrefixKey::k66;
    if (prefixes_.vex) {
      out_.operand_size = prefixes_.w && code64() ? 8 : 4;
    } else if (!code64()) {
      out_.operand_size = (bits_ == 16) == prefix66 ? 4 : 2;
    } else if (prefixes_.w || (row.attributes & kForce64) != 0) {
      out_.operand_size = 8;
    } else if (prefix66) {
      out_.operand_size = 2;
    } else {
      out_.operand_size = (row.attributes & kDefault64) != 0 ? 8 : 4;
    }
    if (code64()) {
      out_.address_size = prefixes_.address_size ? 4 : 8;
    } else {
      out_.address_size = (bits_ == 16) == prefixes_.address_size ? 4 : 2;
    }
    out_.segment = prefixes_.segment == kSegmentCount ? u8{kDs} : prefixes_.segment;
  }

  /// SIB, displacement and default segment. False if a vector index is needed and missing.
  bool read_memory(bool vector_index) {
    const unsigned mod = out_.modrm >> 6;
    const unsigned rm = out_.modrm & 7;
    bool valid = true;
    if (out_.address_size == 2) {
      valid = !vector_index;
      read_memory16(mod, rm);
    } else {
      unsigned base = rm;
      if (rm == 4) {
        const u8 sib = reader_.next();
        base = sib & 7;
        const u8 index = ((sib >> 3) & 7) | prefixes_.x;
        if (vector_index || index != 4) {
          out_.index = index;
          out_.scale = sib >> 6;
        }
      } else {
        valid = !vector_index;
      }
      if (mod == 0 && base == 5) {
        out_.displacement = reader_.little_endian<i32>();
        // Without SIB this is RIP-relative in 64-bit mode (SDM vol. 2, 2.2.1.6).
        if (code64() && rm == 5) out_.base = kRip;
      } else {
        out_.base = static_cast<u8>(base | prefixes_.b);
        if (mod == 1) out_.displacement = reader_.little_endian<i8>();
        if (mod == 2) out_.displacement = reader_.little_endian<i32>();
      }
    }
    if ((out_.base == kRsp || out_.base == kRbp) && prefixes_.segment == kSegmentCount) {
      out_.segment = kSs;
    }
    return valid;
  }

  /// SDM vol. 2, table 2-1.
  void read_memory16(unsigned mod, unsigned rm) {
    constexpr u8 kBase[8] = {kRbx, kRbx, kRbp, kRbp, kRsi, kRdi, kRbp, kRbx};
    constexpr u8 kIndex[8] = {kRsi,          kRdi,          kRsi,          kRdi,
                              kZeroRegister, kZeroRegister, kZeroRegister, kZeroRegister};
    if (mod == 0 && rm == 6) {
      out_.displacement = reader_.little_endian<i16>();
      return;
    }
    out_.base = kBase[rm];
    out_.index = kIndex[rm];
    if (mod == 1) out_.displacement = reader_.little_endian<i8>();
    if (mod == 2) out_.displacement = reader_.little_endian<i16>();
  }

  /// Immediates, and register numbers that depend on the operand's letter. False for #UD.
  bool read_operand(const Row& row, const Operand& operand) {
    const bool byte = operand.width == Width::kB;
    switch (operand.addressing) {
      case Addressing::kG:
      case Addressing::kZ:
        if (byte) out_.reg = byte_register(out_.reg, prefixes_.rex);
        return true;
      case Addressing::kE:
        if (byte && !out_.memory()) out_.rm = byte_register(out_.rm, prefixes_.rex);
        return true;
      case Addressing::kP:  // MMX and x87 registers ignore REX
        out_.reg &= 7;
        return true;
      case Addressing::kN:
      case Addressing::kQ:
      case Addressing::kSti:
        out_.rm &= 7;
        return true;
      case Addressing::kS:
        out_.reg &= 7;
        return out_.reg <= kGs && !((row.attributes & kDestination) != 0 && out_.reg == kCs &&
                                    row.operands[0].addressing == Addressing::kS);
      case Addressing::kC:
        return out_.reg <= 8 && ((1u << out_.reg) & 0b1'0001'1101) != 0;  // CR0 CR2 CR3 CR4 CR8
      case Addressing::kD:
        return out_.reg < 8;
      case Addressing::kI:
        read_immediate(operand.width);
        return true;
      case Addressing::kJ:
        out_.immediate = reader_.signed_value(byte ? 1 : std::min<unsigned>(out_.operand_size, 4));
        return true;
      case Addressing::kL:
        out_.immediate = reader_.next();
        return true;
      case Addressing::kO:
        out_.immediate = reader_.signed_value(out_.address_size) & out_.address_mask();
        return true;
      case Addressing::kA:
        out_.immediate =
            out_.operand_size == 2 ? reader_.little_endian<u16>() : reader_.little_endian<u32>();
        out_.immediate2 = reader_.little_endian<u16>();
        return true;
      default:
        return true;
    }
  }

  void read_immediate(Width width) {
    switch (width) {
      case Width::kB:
        // The second immediate of ENTER is its nesting level.
        if (out_.opcode == 0xc8 && !(out_.flags & kInsnModrm)) {
          out_.immediate2 = reader_.next();
        } else {
          out_.immediate = reader_.next();
        }
        break;
      case Width::kBs:
        out_.immediate = reader_.signed_value(1);
        break;
      case Width::kW:
        out_.immediate = reader_.little_endian<u16>();
        break;
      case Width::kZ:
        out_.immediate = reader_.signed_value(std::min<unsigned>(out_.operand_size, 4));
        break;
      default:
        out_.immediate = reader_.signed_value(out_.operand_size);
        break;
    }
  }

  /// Demands that need the whole instruction.
  bool allowed(const Row& row) {
    if (prefixes_.lock && !((row.attributes & kLockable) != 0 && out_.memory())) return false;
    if (!prefixes_.vex) return true;
    if ((row.attributes & kVexNds) == 0) return prefixes_.vvvv == 0;
    out_.vvvv = prefixes_.vvvv & (code64() ? 15 : 7);
    // Gathers need three different registers (SDM vol. 2, 2.4 class 12).
    return (row.attributes & kUsesSib) == 0 ||
           (out_.reg != out_.index && out_.reg != out_.vvvv && out_.index != out_.vvvv);
  }

  void set_flags(const Row& row) {
    unsigned flags = out_.flags;
    if (prefixes_.lock) flags |= kInsnLock;
    if (prefixes_.repeat == 0xf3 && row.prefix != PrefixKey::kF3) flags |= kInsnRep;
    if (prefixes_.repeat == 0xf2 && row.prefix != PrefixKey::kF2) flags |= kInsnRepne;
    if (prefixes_.rex) flags |= kInsnRex;
    if (prefixes_.w) flags |= kInsnRexW;
    if (prefixes_.vex) flags |= kInsnVex;
    if (prefixes_.l) flags |= kInsnVexL;
    if (prefixes_.segment != kSegmentCount) flags |= kInsnSegmentOverride;
    if (prefixes_.operand_size) flags |= kInsnOperandSizePrefix;
    out_.flags = static_cast<u16>(flags);
  }

  ByteReader reader_;
  unsigned bits_;
  Instruction& out_;
  const FeatureSet& features_;
  Prefixes prefixes_;
  bool illegal_ = false;  ///< #UD at the instruction's end
};

}  // namespace

DecodeResult decode(std::span<const u8> bytes, DecodeMode mode, Instruction& out,
                    const FeatureSet& features) {
  return Decoder(bytes, mode, out, features).run();
}

}  // namespace dragoman
