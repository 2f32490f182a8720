// The rows sorted by opcode for the decoder, built at compile time.
#pragma once

#include <span>

#include "cpu/isa/row.h"

namespace dragoman::decode_tables {

/// The mandatory prefix in effect: F2 or F3, whichever came last, before 66.
enum PrefixClass : u8 { kClassNone, kClass66, kClassF3, kClassF2 };

/// One row that an opcode may mean. `keys` has bit (prefix class * 16 + register form * 8 + reg)
/// set where the row's prefix, mod and reg demands are met.
struct Candidate {
  u64 keys;
  u16 row;
  i8 rm;  ///< ModRM.rm of the register form, or -1
  ModeKey mode;
  Feature feature;
  bool modrm;
  u8 forbidden;  ///< ConditionBit combinations that rule the row out
  u8 required;
};

/// Facts about an encoding that a candidate may demand to be true or false.
enum ConditionBit : u8 {
  kConditionRexW = 1 << 0,  ///< REX.W or VEX.W in 64-bit mode
  kConditionRexB = 1 << 1,
  kConditionVexW = 1 << 2,  ///< VEX.W in any mode
  kConditionVexL = 1 << 3,
};

constexpr u64 key_bit(unsigned prefix_class, bool register_form, unsigned reg) {
  return u64{1} << (prefix_class * 16 + (register_form ? 8 : 0) + reg);
}

/// Candidates of an opcode in the order in which they are to be tried.
std::span<const Candidate> candidates(bool vex, OpcodeMap map, u8 opcode);

}  // namespace dragoman::decode_tables
