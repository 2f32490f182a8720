#include "frontends/test/vector_exceptions.h"

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
        "the 80286 has moved SI, DI and CX on when a word of a string overruns its segment; here "
        "they stay at the element that faulted, as on every processor since",
        [](const VectorCase& c) {
          return c.family == VectorFamily::k286 && word_string(c.opcode) && c.test.exception &&
                 c.test.exception->number == 13 && c.difference.delivered == 13 &&
                 !c.difference.memory && (c.difference.registers & ~kStringRegisters) == 0;
        }},
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
