#include "frontends/test/vector_exceptions.h"

#include <algorithm>
#include <array>

namespace dragoman {
namespace {

constexpr u32 bit_of(VectorReg reg) { return 1u << static_cast<unsigned>(reg); }
constexpr u32 kStringRegisters =
    bit_of(VectorReg::kSi) | bit_of(VectorReg::kDi) | bit_of(VectorReg::kCx);

/// INS, OUTS, MOVS, CMPS, STOS, LODS and SCAS of words.
bool word_string(std::string_view opcode) {
  for (const std::string_view name : {"6D", "6F", "A5", "A7", "AB", "AD", "AF"}) {
    if (opcode == name) return true;
  }
  return false;
}

/// Captures that contradict themselves or thousands of others of the same kind. In the first, the
/// upper byte of every word is missing, in those of the initial interrupt vector too; in the others
/// an interrupt pushes SS where every other one pushes CS.
bool defective_capture(const VectorCase& c) {
  struct Capture {
    std::string_view opcode;
    u32 index;
  };
  constexpr std::array kCaptures = {Capture{"C6", 1982}, Capture{"CD", 2044}, Capture{"CE", 1193},
                                    Capture{"FF.3", 1141}};
  return std::any_of(kCaptures.begin(), kCaptures.end(), [&](const Capture& capture) {
    return c.opcode == capture.opcode && c.test.index == capture.index;
  });
}

/// CMPS and SCAS of words, which also differ in flags and in those that the exception pushes: REP
/// restores them when an element faults.
bool compares_words(std::string_view opcode) { return opcode == "A7" || opcode == "AF"; }

constexpr std::array kRules = {
    VectorExceptionRule{
        "segment wrap",
        "on the 8086 a word at offset FFFFh has its upper byte at offset 0; here it is beyond the "
        "limit of the segment and faults, as on every processor since",
        [](const VectorCase& c) {
          return c.family == VectorFamily::k8086 &&
                 (c.difference.delivered == 12 || c.difference.delivered == 13);
        }},
    VectorExceptionRule{
        "string progress",
        "the 80286 has moved SI, DI and CX on when a word of a string overruns its segment, and "
        "keeps the flags of the comparison before; here they are those the element began with, as "
        "the later manuals say",
        [](const VectorCase& c) {
          return c.family == VectorFamily::k286 && word_string(c.opcode) && c.test.exception &&
                 c.test.exception->number == 13 && c.difference.delivered == 13 &&
                 (!c.difference.memory || compares_words(c.opcode)) &&
                 (c.difference.registers & ~kStringRegisters &
                  ~(compares_words(c.opcode) ? bit_of(VectorReg::kFlags) : 0)) == 0;
        }},
    VectorExceptionRule{
        "missed overflow",
        "the 80286 does not notice some overflows of a byte IDIV and leaves 80h in AL; here they "
        "raise a divide error, as its manual says",
        [](const VectorCase& c) {
          return c.family == VectorFamily::k286 && c.opcode == "F6.7" && !c.test.exception &&
                 c.difference.delivered == 0 && c.test.final.reg(VectorReg::kAx) &&
                 (*c.test.final.reg(VectorReg::kAx) & 0xff) == 0x80;
        }},
    VectorExceptionRule{
        "flags of AAM 0",
        "the flags are undefined when AAM raises a divide error; the 80286 changes SF, ZF and PF, "
        "here they stay",
        [](const VectorCase& c) {
          return c.family == VectorFamily::k286 && c.opcode == "D4" && c.test.exception &&
                 c.test.exception->number == 0 && c.difference.delivered == 0 &&
                 (c.difference.registers & ~bit_of(VectorReg::kFlags)) == 0;
        }},
    VectorExceptionRule{
        "defective capture",
        "the capture is in error: bytes are missing, or the stack holds SS for CS",
        [](const VectorCase& c) { return c.family == VectorFamily::k286 && defective_capture(c); }},
};

}  // namespace

std::span<const VectorExceptionRule> vector_exception_rules() { return kRules; }

const VectorExceptionRule* explain(const VectorCase& what) {
  for (const VectorExceptionRule& rule : kRules) {
    if (rule.applies(what)) return &rule;
  }
  return nullptr;
}

}  // namespace dragoman
