// Length, validity, mnemonic and operands of every encoding against Zydis.
#include <Zydis/Zydis.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "cpu/decode/decoder.h"
#include "cpu/disassemble/disassembler.h"
#include "cpu/isa/rows.h"
#include "cpu/state.h"
#include "tests/cpu/opcode_space.h"

namespace dragoman::test {
namespace {

constexpr u64 kAddress = 0x1000;

struct Zydis {
  ZydisDecoder decoder;
  ZydisDecodedInstruction insn;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

  explicit Zydis(unsigned bits) {
    const auto mode = bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
                      : bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                                   : ZYDIS_MACHINE_MODE_LEGACY_16;
    const auto width = bits == 64   ? ZYDIS_STACK_WIDTH_64
                       : bits == 32 ? ZYDIS_STACK_WIDTH_32
                                    : ZYDIS_STACK_WIDTH_16;
    ZydisDecoderInit(&decoder, mode, width);
    // ISA extensions that Dragoman does not have.
    for (const auto off : {ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET, ZYDIS_DECODER_MODE_KNC,
                           ZYDIS_DECODER_MODE_WBNOINVD, ZYDIS_DECODER_MODE_CLDEMOTE}) {
      ZydisDecoderEnableMode(&decoder, off, ZYAN_FALSE);
    }
  }

  bool decode(const Encoding& e) {
    return ZYAN_SUCCESS(
               ZydisDecoderDecodeFull(&decoder, e.bytes.data(), e.bytes.size(), &insn, operands)) &&
           known_extension();
  }

  /// False for extensions that Dragoman does not offer: they are #UD.
  bool known_extension() const {
    switch (insn.meta.isa_ext) {
      case ZYDIS_ISA_EXT_AMD3DNOW:
      case ZYDIS_ISA_EXT_AMD_INVLPGB:
      case ZYDIS_ISA_EXT_AMX_BF16:
      case ZYDIS_ISA_EXT_AMX_INT8:
      case ZYDIS_ISA_EXT_AMX_TILE:
      case ZYDIS_ISA_EXT_AVX512EVEX:
      case ZYDIS_ISA_EXT_AVX512VEX:
      case ZYDIS_ISA_EXT_AVX_VNNI:
      case ZYDIS_ISA_EXT_CET:
      case ZYDIS_ISA_EXT_CLZERO:
      case ZYDIS_ISA_EXT_ENQCMD:
      case ZYDIS_ISA_EXT_FMA4:
      case ZYDIS_ISA_EXT_GFNI:
      case ZYDIS_ISA_EXT_HRESET:
      case ZYDIS_ISA_EXT_KEYLOCKER:
      case ZYDIS_ISA_EXT_KEYLOCKER_WIDE:
      case ZYDIS_ISA_EXT_KNC:
      case ZYDIS_ISA_EXT_KNCE:
      case ZYDIS_ISA_EXT_KNCV:
      case ZYDIS_ISA_EXT_MCOMMIT:
      case ZYDIS_ISA_EXT_MONITORX:
      case ZYDIS_ISA_EXT_MOVDIR:
      case ZYDIS_ISA_EXT_MPX:
      case ZYDIS_ISA_EXT_PADLOCK:
      case ZYDIS_ISA_EXT_PCONFIG:
      case ZYDIS_ISA_EXT_PT:
      case ZYDIS_ISA_EXT_RDPRU:
      case ZYDIS_ISA_EXT_RTM:
      case ZYDIS_ISA_EXT_SERIALIZE:
      case ZYDIS_ISA_EXT_SGX:
      case ZYDIS_ISA_EXT_SGX_ENCLV:
      case ZYDIS_ISA_EXT_SMX:
      case ZYDIS_ISA_EXT_SNP:
      case ZYDIS_ISA_EXT_SSE4A:
      case ZYDIS_ISA_EXT_SVM:
      case ZYDIS_ISA_EXT_TBM:
      case ZYDIS_ISA_EXT_TDX:
      case ZYDIS_ISA_EXT_TSX_LDTRK:
      case ZYDIS_ISA_EXT_UINTR:
      case ZYDIS_ISA_EXT_VMFUNC:
      case ZYDIS_ISA_EXT_VTX:
      case ZYDIS_ISA_EXT_WAITPKG:
      case ZYDIS_ISA_EXT_XOP:
        return false;
      default:
        return true;
    }
  }

  std::string mnemonic() const {
    static const std::map<std::string, std::string> kNames = {{"jnb", "jae"},
                                                              {"jz", "je"},
                                                              {"jnz", "jne"},
                                                              {"jnbe", "ja"},
                                                              {"jnl", "jge"},
                                                              {"jnle", "jg"},
                                                              {"setnb", "setae"},
                                                              {"setz", "sete"},
                                                              {"setnz", "setne"},
                                                              {"setnbe", "seta"},
                                                              {"setnl", "setge"},
                                                              {"setnle", "setg"},
                                                              {"cmovnb", "cmovae"},
                                                              {"cmovz", "cmove"},
                                                              {"cmovnz", "cmovne"},
                                                              {"cmovnbe", "cmova"},
                                                              {"cmovnl", "cmovge"},
                                                              {"cmovnle", "cmovg"},
                                                              {"xlat", "xlatb"},
                                                              {"fstp1", "fstp"},
                                                              {"fcom2", "fcom"},
                                                              {"fcomp3", "fcomp"},
                                                              {"fxch4", "fxch"},
                                                              {"fcomp5", "fcomp"},
                                                              {"fxch7", "fxch"},
                                                              {"fstp8", "fstp"},
                                                              {"fstp9", "fstp"},
                                                              {"fstpnce", "fstp"},
                                                              {"prefetchwt1", "prefetch"},
                                                              {"feni8087_nop", "fneni"},
                                                              {"fdisi8087_nop", "fndisi"},
                                                              {"fsetpm287_nop", "fnsetpm"}};
    const std::string name = ZydisMnemonicGetString(insn.mnemonic);
    if (insn.mnemonic == ZYDIS_MNEMONIC_RET && (insn.opcode == 0xca || insn.opcode == 0xcb)) {
      return "retf";
    }
    const auto found = kNames.find(name);
    return found == kNames.end() ? name : found->second;
  }

  /// The instruction in the style of our disassembler, without prefixes.
  std::string text() const {
    std::string result = mnemonic();
    if (insn.meta.category == ZYDIS_CATEGORY_STRINGOP ||
        insn.meta.category == ZYDIS_CATEGORY_IOSTRINGOP || insn.mnemonic == ZYDIS_MNEMONIC_XLAT) {
      return result;
    }
    bool first = true;
    for (unsigned i = 0; i < insn.operand_count_visible; ++i) {
      result += first ? " " : ", ";
      result += operand(operands[i]);
      first = false;
    }
    // We print the implicit XMM0, as the manual does.
    switch (insn.mnemonic) {
      case ZYDIS_MNEMONIC_SHA256RNDS2:
      case ZYDIS_MNEMONIC_PBLENDVB:
      case ZYDIS_MNEMONIC_BLENDVPS:
      case ZYDIS_MNEMONIC_BLENDVPD:
        result += ", xmm0";
        break;
      default:
        break;
    }
    return result;
  }

  std::string operand(const ZydisDecodedOperand& o) const {
    switch (o.type) {
      case ZYDIS_OPERAND_TYPE_REGISTER:
        return ZydisRegisterGetString(o.reg.value);
      case ZYDIS_OPERAND_TYPE_POINTER:
        return fmt::format("0x{:x}:0x{:x}", o.ptr.segment, o.ptr.offset);
      case ZYDIS_OPERAND_TYPE_IMMEDIATE: {
        if (o.imm.is_relative) {
          ZyanU64 target = 0;
          ZydisCalcAbsoluteAddress(&insn, &o, kAddress, &target);
          // Outside 64-bit mode Zydis forgets to cut the target to the operand size.
          if (insn.machine_mode != ZYDIS_MACHINE_MODE_LONG_64) {
            target &= ~u64{0} >> (64 - insn.operand_width);
          }
          return fmt::format("0x{:x}", target);
        }
        const unsigned bits =
            o.imm.is_signed ? std::max<unsigned>(o.size, insn.operand_width) : o.size;
        return fmt::format("0x{:x}",
                           bits >= 64 ? o.imm.value.u : o.imm.value.u & ((u64{1} << bits) - 1));
      }
      case ZYDIS_OPERAND_TYPE_MEMORY:
        return memory(o);
      default:
        return "?";
    }
  }

  std::string memory(const ZydisDecodedOperand& o) const {
    std::string text;
    switch (o.mem.type == ZYDIS_MEMOP_TYPE_AGEN ? 0 : o.size) {
      case 8:
        text = "byte ptr ";
        break;
      case 16:
        text = "word ptr ";
        break;
      case 32:
        text = "dword ptr ";
        break;
      case 48:
        text = "fword ptr ";
        break;
      case 64:
        text = "qword ptr ";
        break;
      case 80:
        text = "tbyte ptr ";
        break;
      case 128:
        text = "xmmword ptr ";
        break;
      case 256:
        text = "ymmword ptr ";
        break;
      default:
        break;
    }
    if (insn.attributes & ZYDIS_ATTRIB_HAS_SEGMENT) {
      text += fmt::format("{}:", ZydisRegisterGetString(o.mem.segment));
    }
    text += '[';
    const auto name = [](ZydisRegister r) { return std::string(ZydisRegisterGetString(r)); };
    const u64 mask = ~u64{0} >> (64 - insn.address_width);
    const u64 displacement = static_cast<u64>(o.mem.disp.value);
    if (o.mem.base == ZYDIS_REGISTER_RIP || o.mem.base == ZYDIS_REGISTER_EIP) {
      return text + fmt::format("0x{:x}]", (kAddress + insn.length + displacement) & mask);
    }
    if (o.mem.base == ZYDIS_REGISTER_NONE && o.mem.index == ZYDIS_REGISTER_NONE) {
      return text + fmt::format("0x{:x}]", displacement & mask);
    }
    if (o.mem.base != ZYDIS_REGISTER_NONE) text += name(o.mem.base);
    if (o.mem.index != ZYDIS_REGISTER_NONE) {
      if (o.mem.base != ZYDIS_REGISTER_NONE) text += '+';
      text += name(o.mem.index);
      if (o.mem.scale > 1) text += fmt::format("*{}", o.mem.scale);
    }
    if (o.mem.disp.value < 0) text += fmt::format("-0x{:x}", -displacement);
    if (o.mem.disp.value > 0) text += fmt::format("+0x{:x}", displacement);
    return text + ']';
  }
};

std::string without_prefixes(std::string text) {
  for (bool again = true; again;) {
    again = false;
    for (const char* prefix :
         {"lock ", "rep ", "repe ", "repne ", "es ", "cs ", "ss ", "ds ", "fs ", "gs "}) {
      if (text.starts_with(prefix)) {
        text.erase(0, std::string_view(prefix).size());
        again = true;
      }
    }
  }
  return text;
}

/// Differences in text that are not errors of ours. Length and validity must agree everywhere.
struct Explained {
  const char* reason;
  bool (*applies)(const std::string& ours, const std::string& theirs, const Encoding& e);
};

const Explained kExplained[] = {
    {"ENDBR is a NOP in Zydis without CET; we print its name (SDM vol. 2, ENDBR64)",
     [](const std::string& ours, const std::string& theirs, const Encoding&) {
       return ours.starts_with("endbr") && theirs.starts_with("nop ");
     }},
    {"Reserved NOPs: Zydis shows one or the other register for 0F 18, 1A and 1B (the manual, "
     "appendix A, shows Ev)",
     [](const std::string& ours, const std::string& theirs, const Encoding&) {
       return ours.starts_with("nop ") && theirs.starts_with("nop ");
     }},
    {"Zydis 4.0 takes R13D as base of a SIB byte with mod 0, base 101b, REX.B and 67h; it is "
     "disp32 without base whatever REX.B says (SDM vol. 2, table 2-5)",
     [](const std::string&, const std::string& theirs, const Encoding& e) {
       return e.code_bits == 64 && theirs.find("[r13d") != std::string::npos;
     }},
    {"MOVSXD r16 reads 16 bits (SDM vol. 2, MOVSXD: 63 /r MOVSXD r16, r/m16)",
     [](const std::string& ours, const std::string& theirs, const Encoding&) {
       return ours.starts_with("movsxd ") && theirs.starts_with("movsxd ");
     }},
    {"LSL r64, r32: only 16 bits are read, we print the register in the operand size like LAR",
     [](const std::string& ours, const std::string& theirs, const Encoding&) {
       return ours.starts_with("lsl ") && theirs.starts_with("lsl ");
     }},
    {"SYSRET and SYSEXIT with REX.W carry a q suffix here",
     [](const std::string& ours, const std::string& theirs, const Encoding&) {
       return (ours == "sysretq" && theirs == "sysret") ||
              (ours == "sysexitq" && theirs == "sysexit");
     }},
    {"F3 with REX.B before 90h is XCHG R8, rAX, since PAUSE is F3 90 alone (AMD APM vol. 3, NOP)",
     [](const std::string& ours, const std::string& theirs, const Encoding&) {
       return ours.starts_with("xchg r8") && theirs == "pause";
     }},
    {"FUCOMP: Zydis prints the implied ST(0), but not for FUCOM, FCOM and FCOMP",
     [](const std::string& ours, const std::string& theirs, const Encoding&) {
       return ours.starts_with("fucomp st") && theirs.starts_with("fucomp st0, ");
     }},
};

std::string hex_bytes(const Encoding& e) {
  std::string text = fmt::format("{}-bit ", e.code_bits);
  for (const u8 byte : e.bytes) text += fmt::format("{:02x}", byte);
  return text;
}

class Decoders {
 public:
  Zydis& zydis(unsigned bits) { return bits == 64 ? z64_ : bits == 32 ? z32_ : z16_; }

 private:
  Zydis z16_{16}, z32_{32}, z64_{64};
};

constexpr unsigned kShown = 40;

class Comparison {
 public:
  void visit(const Encoding& e) {
    Instruction insn;
    const DecodeMode mode{e.code_bits};
    const DecodeResult result = decode(e.bytes, mode, insn);
    Zydis& zydis = decoders_.zydis(e.code_bits);
    const bool theirs_ok = zydis.decode(e);
    if ((result == DecodeResult::kOk) != theirs_ok) {
      report(e, result == DecodeResult::kOk ? disassemble(insn, kAddress, mode) : "invalid",
             theirs_ok ? zydis.text() : "invalid");
      return;
    }
    if (!theirs_ok) return;
    ++valid_;
    const std::string ours = without_prefixes(disassemble(insn, kAddress, mode));
    const std::string theirs = zydis.text();
    if (insn.length != zydis.insn.length) {
      report(e, fmt::format("{} ({} bytes)", ours, insn.length),
             fmt::format("{} ({} bytes)", theirs, zydis.insn.length));
    } else if (ours != theirs) {
      for (const Explained& x : kExplained) {
        if (x.applies(ours, theirs, e)) return;
      }
      report(e, ours, theirs);
    } else {
      compare_details(e, insn, zydis);
    }
  }

  u64 valid() const { return valid_; }
  u64 differences() const { return differences_; }

 private:
  /// What the text does not show: prefixes in effect and the segment of the memory operand.
  void compare_details(const Encoding& e, const Instruction& insn, const Zydis& zydis) {
    const bool lock = (zydis.insn.attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0;
    if (insn.has(kInsnLock) != lock) report(e, "LOCK wrong", zydis.text());
    const bool repeated = (zydis.insn.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
                                                    ZYDIS_ATTRIB_HAS_REPNE)) != 0;
    const bool ours = (row(insn.row).attributes & kRepeatable) != 0 &&
                      (insn.has(kInsnRep) || insn.has(kInsnRepne));
    if (ours != repeated) report(e, "REP wrong", zydis.text());
    if (!insn.memory() || insn.base == kRip) return;
    for (unsigned i = 0; i < zydis.insn.operand_count_visible; ++i) {
      const ZydisDecodedOperand& o = zydis.operands[i];
      if (o.type != ZYDIS_OPERAND_TYPE_MEMORY || o.mem.type == ZYDIS_MEMOP_TYPE_AGEN) continue;
      const int segment = o.mem.segment - ZYDIS_REGISTER_ES;
      if (segment != insn.segment) {
        report(e, fmt::format("segment {}", insn.segment), zydis.text());
      }
    }
  }

  void report(const Encoding& e, const std::string& ours, const std::string& theirs) {
    if (++differences_ > kShown) return;
    ADD_FAILURE() << hex_bytes(e) << "\n  ours:  " << ours << "\n  Zydis: " << theirs;
  }

  Decoders decoders_;
  u64 valid_ = 0;
  u64 differences_ = 0;
};

TEST(DecoderZydis, LegacyOpcodes) {
  Comparison comparison;
  OpcodeSpace(sampling_step(40, 1), [&](const Encoding& e) { comparison.visit(e); }).legacy();
  EXPECT_EQ(comparison.differences(), 0u);
  EXPECT_GT(comparison.valid(), 300'000u);
}

TEST(DecoderZydis, VexOpcodes) {
  Comparison comparison;
  OpcodeSpace(sampling_step(400, 10), [&](const Encoding& e) { comparison.visit(e); }).vex();
  EXPECT_EQ(comparison.differences(), 0u);
  EXPECT_GT(comparison.valid(), 300'000u);
}

/// An encoding of a row, made from its columns.
Encoding encoding_of(const Row& r) {
  Encoding e;
  e.code_bits = r.mode == ModeKey::kNot64 ? 32 : 64;
  std::size_t n = 0;
  const u32 a = r.attributes;
  const bool w = (a & (kRexWSelects | kVexW1)) != 0;
  u8 pp = 0;
  switch (r.prefix) {
    case PrefixKey::k66:
      pp = 1;
      break;
    case PrefixKey::kF3:
      pp = 2;
      break;
    case PrefixKey::kF2:
      pp = 3;
      break;
    default:
      break;
  }
  if (r.vex) {
    const unsigned vvvv = (a & kVexNds) != 0 ? 5 : 0;
    e.bytes[n++] = 0xc4;
    e.bytes[n++] = static_cast<u8>(0xe0 | static_cast<unsigned>(r.map));
    e.bytes[n++] =
        static_cast<u8>((w ? 0x80 : 0) | ((~vvvv & 15) << 3) | ((a & kVexL1) != 0 ? 4 : 0) | pp);
  } else {
    constexpr u8 kPrefixes[4] = {0, 0x66, 0xf3, 0xf2};
    if (pp != 0) e.bytes[n++] = kPrefixes[pp];
    if (w) e.bytes[n++] = 0x48;
    if (r.map != OpcodeMap::kOne) e.bytes[n++] = 0x0f;
    if (r.map == OpcodeMap::k0F38) e.bytes[n++] = 0x38;
    if (r.map == OpcodeMap::k0F3A) e.bytes[n++] = 0x3a;
  }
  e.bytes[n++] = r.opcode_mask == 0xff ? r.opcode : static_cast<u8>(r.opcode + 1);
  if (!r.modrm) return e;
  const unsigned reg = r.reg >= 0 ? static_cast<unsigned>(r.reg) : 2;
  const bool sib = (a & kUsesSib) != 0;
  const unsigned rm = sib ? 4 : r.rm >= 0 ? static_cast<unsigned>(r.rm) : 1;
  const unsigned mod = r.mod == ModKey::kRegister ? 3 : 0;
  e.bytes[n++] = static_cast<u8>(mod << 6 | reg << 3 | rm);
  if (sib) e.bytes[n++] = 0x18;
  return e;
}

/// Every row can be reached, and its attributes and the flags of its operation agree with Zydis:
/// which operand is written, which flags are read and changed. Ours may say "read" where Zydis does
/// not (partial writes, flags kept by a zero shift count), never the other way round.
TEST(DecoderZydis, RowFacts) {
  Decoders decoders;
  for (std::size_t index = 1; index < rows().size(); ++index) {
    const Row& r = rows()[index];
    const Encoding e = encoding_of(r);
    Zydis& zydis = decoders.zydis(e.code_bits);
    Instruction insn;
    ASSERT_EQ(decode(e.bytes, {e.code_bits}, insn), DecodeResult::kOk)
        << hex_bytes(e) << " " << operation_info(r.operation).mnemonic;
    ASSERT_EQ(insn.row, index) << hex_bytes(e);
    ASSERT_TRUE(zydis.decode(e)) << hex_bytes(e);
    const OperationInfo& info = operation_info(r.operation);
    const std::string text = disassemble(insn, kAddress, {e.code_bits});
    if (zydis.insn.operand_count_visible > 0 && info.category != Category::kX87 &&
        info.category != Category::kString) {
      const auto actions = zydis.operands[0].actions;
      const bool written = (actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
      const bool read = (actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
      EXPECT_EQ((r.attributes & kDestination) != 0, written) << text;
      EXPECT_FALSE(read && (r.attributes & kWriteOnly) != 0) << text;
    }
    const ZydisAccessedFlags& flags = *zydis.insn.cpu_flags;
    const u32 tested = flags.tested & kArithmeticFlags;
    u32 changed = (flags.modified | flags.set_0 | flags.set_1 | flags.undefined) & kArithmeticFlags;
    // Zydis forgets that these clear OF, AF, SF and PF (SDM vol. 2, PTEST and VTESTPD/VTESTPS).
    if (r.operation == Operation::kVptest || r.operation == Operation::kVtestps ||
        r.operation == Operation::kVtestpd) {
      changed = kArithmeticFlags;
    }
    EXPECT_EQ(tested & ~info.flags_read, 0u) << text;
    EXPECT_EQ((info.flags_written | info.flags_undefined) & kArithmeticFlags, changed) << text;
    EXPECT_EQ(info.flags_written & info.flags_undefined, 0u) << text;
  }
}

}  // namespace
}  // namespace dragoman::test
