// The first bytes of an instruction, written from its row, for the tests that go through all rows.
#pragma once

#include <vector>

#include "cpu/isa/rows.h"

namespace dragoman {

/// Prefixes and opcode, up to ModRM; `l` is VEX.L, the third operand of VEX is register 3.
inline void append_opcode(std::vector<u8>& out, const Row& r, bool l) {
  const auto byte = [&](unsigned v) { out.push_back(static_cast<u8>(v)); };
  const unsigned pp = r.prefix == PrefixKey::k66   ? 1
                      : r.prefix == PrefixKey::kF3 ? 2
                      : r.prefix == PrefixKey::kF2 ? 3
                                                   : 0;
  const bool w = (r.attributes & (kVexW1 | kRexWSelects)) != 0;
  if (r.vex) {
    const unsigned map = r.map == OpcodeMap::k0F ? 1 : r.map == OpcodeMap::k0F38 ? 2 : 3;
    const unsigned vvvv = (r.attributes & kVexNds) ? 3 : 0;
    byte(0xc4);
    byte(0xe0 | map);
    byte((w ? 0x80u : 0u) | (~vvvv & 15) << 3 | (l ? 4u : 0u) | pp);
  } else {
    if (pp != 0) byte(pp == 1 ? 0x66 : pp == 2 ? 0xf3 : 0xf2);
    if (w) byte(0x48);
    if (r.map != OpcodeMap::kOne) byte(0x0f);
    if (r.map == OpcodeMap::k0F38) byte(0x38);
    if (r.map == OpcodeMap::k0F3A) byte(0x3a);
  }
  byte(r.opcode_mask == 0xff ? r.opcode : r.opcode | 1u);
}

}  // namespace dragoman
