// Length and mnemonic against Capstone 4.0, in the part of the opcode space where Capstone's own
// tables are sound. Validity is left to the comparison with Zydis: Capstone 4.0 ignores mandatory
// prefixes that it has no row for (it takes F2 0F 28 for MOVAPS), and knows instruction sets that
// Dragoman does not offer.
#include <capstone/capstone.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "cpu/decode/decoder.h"
#include "cpu/disassemble/disassembler.h"
#include "tests/cpu/opcode_space.h"

namespace dragoman::test {
namespace {

constexpr u64 kAddress = 0x1000;

/// The mnemonic without prefixes.
std::string bare_mnemonic(std::string text) {
  for (bool again = true; again;) {
    again = false;
    for (const char* prefix : {"lock ", "rep ", "repe ", "repne ", "bnd ", "xacquire ", "xrelease ",
                               "es ", "cs ", "ss ", "ds ", "fs ", "gs "}) {
      if (text.starts_with(prefix)) {
        text.erase(0, std::string_view(prefix).size());
        again = true;
      }
    }
  }
  return text.substr(0, text.find(' '));
}

/// Another name for the same instruction, Capstone's first.
const std::map<std::string, std::string>& aliases() {
  static const std::map<std::string, std::string> list = {{"lcall", "call"},
                                                          {"ljmp", "jmp"},
                                                          {"pushal", "pushad"},
                                                          {"popal", "popad"},
                                                          {"pushaw", "pusha"},
                                                          {"popaw", "popa"},
                                                          {"wait", "fwait"},
                                                          {"sal", "shl"},
                                                          {"feni8087_nop", "fneni"},
                                                          {"fdisi8087_nop", "fndisi"},
                                                          {"fsetpm", "fnsetpm"},
                                                          {"fstpnce", "fstp"},
                                                          {"movabs", "mov"},
                                                          {"retfq", "retf"},
                                                          {"ud2b", "ud1"},
                                                          {"vcvtpd2psx", "vcvtpd2ps"},
                                                          {"vcvtpd2dqx", "vcvtpd2dq"},
                                                          {"vcvttpd2dqx", "vcvttpd2dq"},
                                                          {"vcvtpd2psy", "vcvtpd2ps"},
                                                          {"vcvtpd2dqy", "vcvtpd2dq"},
                                                          {"vcvttpd2dqy", "vcvttpd2dq"}};
  return list;
}

struct Explained {
  const char* reason;
  bool (*applies)(const std::string& ours, const std::string& theirs, const Encoding& e);
};

bool is_float_compare(const std::string& name) {
  return name == "cmpps" || name == "cmppd" || name == "cmpss" || name == "cmpsd" ||
         name == "vcmpps" || name == "vcmppd" || name == "vcmpss" || name == "vcmpsd";
}

const Explained kExplained[] = {
    {"Capstone folds the predicate into the name (CMPLTPS, VCMPNLEPD)",
     [](const std::string& ours, const std::string& theirs, const Encoding&) {
       return is_float_compare(ours) && theirs.find("cmp") != std::string::npos;
     }},
    {"UD0 and UD1 have a ModRM byte and Capstone gives them none (SDM vol. 2, UD: 0F B9 /r)",
     [](const std::string& ours, const std::string& theirs, const Encoding&) {
       return ours == theirs && (ours == "ud0" || ours == "ud1");
     }},
    {"Near branches ignore 66h in 64-bit mode on Intel processors (SDM vol. 2, Jcc, JMP, CALL, RET "
     "force 64 bits); Capstone reads a 16-bit displacement as AMD processors do",
     [](const std::string& ours, const std::string& theirs, const Encoding& e) {
       return e.code_bits == 64 && ours == theirs &&
              (ours.starts_with('j') || ours == "call" || ours == "ret");
     }},
    {"REX.W: Capstone leaves the name of the 32-bit form",
     [](const std::string& ours, const std::string& theirs, const Encoding& e) {
       return e.code_bits == 64 && (ours == theirs + "q" || (ours == "movq" && theirs == "movd"));
     }},
    {"CLWB is younger than Capstone's table (SDM vol. 2, CLWB: 66 0F AE /6)",
     [](const std::string& ours, const std::string& theirs, const Encoding&) {
       return ours == "clwb" && theirs.starts_with("xsaveopt");
     }},
    {"RDPID is younger than Capstone's table (SDM vol. 2, RDPID: F3 0F C7 /7)",
     [](const std::string& ours, const std::string& theirs, const Encoding&) {
       return ours == "rdpid" && theirs == "rdseed";
     }},
    {"With REX.B, 90h is XCHG R8, rAX whatever other prefixes there are (SDM vol. 2, XCHG)",
     [](const std::string& ours, const std::string& theirs, const Encoding&) {
       return ours == "xchg" && theirs == "nop";
     }},
    {"Capstone gives PAUSE up when a REX prefix precedes 90h; REX.W and REX.R change nothing",
     [](const std::string& ours, const std::string& theirs, const Encoding&) {
       return ours == "pause" && (theirs == "nop" || theirs == "xchg");
     }},
    {"VEX.W is ignored outside 64-bit mode (SDM vol. 2, PINSRB/PINSRD/PINSRQ, MOVD/MOVQ, PEXTRQ)",
     [](const std::string& ours, const std::string& theirs, const Encoding& e) {
       return e.code_bits == 32 && ((ours == "vpinsrd" && theirs == "vpinsrq") ||
                                    (ours == "vpextrd" && theirs == "vpextrq") ||
                                    (ours == "vmovd" && theirs == "vmovq"));
     }},
};

class Comparison {
 public:
  Comparison() {
    EXPECT_EQ(cs_open(CS_ARCH_X86, CS_MODE_32, &handle32_), CS_ERR_OK);
    EXPECT_EQ(cs_open(CS_ARCH_X86, CS_MODE_64, &handle64_), CS_ERR_OK);
    insn_ = cs_malloc(handle32_);
  }
  ~Comparison() {
    cs_free(insn_, 1);
    cs_close(&handle32_);
    cs_close(&handle64_);
  }
  Comparison(const Comparison&) = delete;
  Comparison& operator=(const Comparison&) = delete;

  void visit(const Encoding& e) {
    if (!capstone_is_sound(e)) return;
    Instruction insn;
    const DecodeMode mode{e.code_bits};
    if (decode(e.bytes, mode, insn) != DecodeResult::kOk) return;
    const u8* bytes = e.bytes.data();
    std::size_t size = e.bytes.size();
    u64 address = kAddress;
    if (!cs_disasm_iter(e.code_bits == 64 ? handle64_ : handle32_, &bytes, &size, &address,
                        insn_)) {
      return;
    }
    ++compared_;
    const std::string ours = bare_mnemonic(disassemble(insn, kAddress, mode));
    std::string theirs = bare_mnemonic(insn_->mnemonic);
    if (const auto alias = aliases().find(theirs); alias != aliases().end()) {
      theirs = alias->second;
    }
    if (insn.length == insn_->size && ours == theirs) return;
    for (const Explained& x : kExplained) {
      if (x.applies(ours, theirs, e)) return;
    }
    if (++differences_ > 40) return;
    std::string text;
    for (const u8 byte : e.bytes) text += fmt::format("{:02x}", byte);
    ADD_FAILURE() << int{e.code_bits} << "-bit " << text << "\n  ours:     " << ours << " ("
                  << int{insn.length} << " bytes)\n  Capstone: " << theirs << " (" << insn_->size
                  << " bytes)";
  }

  u64 compared() const { return compared_; }
  u64 differences() const { return differences_; }

 private:
  /// Capstone 4.0 picks wrong table rows in 16-bit code, where several of 66, 67, F2 and F3 come
  /// together or with REX.W (67 48 0F 28 becomes MOVAPD), and where another prefix stands between
  /// one of them and the opcode (F3 64 0F 5B becomes CVTDQ2PS); nor does it know that a REX prefix
  /// before another one is ignored.
  static bool capstone_is_sound(const Encoding& e) {
    if (e.code_bits == 16) return false;
    bool selector = false;
    bool rex = false;
    for (const u8 byte : e.bytes) {
      const bool is_selector = byte == 0x66 || byte == 0x67 || byte == 0xf2 || byte == 0xf3;
      const bool is_other = (byte & 0xe7) == 0x26 || byte == 0x64 || byte == 0x65 || byte == 0xf0;
      const bool is_rex = e.code_bits == 64 && (byte & 0xf0) == 0x40;
      if (!is_selector && !is_other && !is_rex) break;
      if (rex || (selector && !is_rex)) return false;
      if (is_rex && selector && (byte & 8) != 0) return false;
      selector = selector || is_selector;
      rex = is_rex;
    }
    return true;
  }

  csh handle32_ = 0;
  csh handle64_ = 0;
  cs_insn* insn_ = nullptr;
  u64 compared_ = 0;
  u64 differences_ = 0;
};

TEST(DecoderCapstone, LegacyOpcodes) {
  Comparison comparison;
  OpcodeSpace(sampling_step(40, 1), [&](const Encoding& e) { comparison.visit(e); }).legacy();
  EXPECT_EQ(comparison.differences(), 0u);
  EXPECT_GT(comparison.compared(), 50'000u);
}

TEST(DecoderCapstone, VexOpcodes) {
  Comparison comparison;
  OpcodeSpace(sampling_step(400, 10), [&](const Encoding& e) { comparison.visit(e); }).vex();
  EXPECT_EQ(comparison.differences(), 0u);
  EXPECT_GT(comparison.compared(), 50'000u);
}

}  // namespace
}  // namespace dragoman::test
