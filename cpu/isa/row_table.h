// All rows as one constexpr array, for the table builders at compile time. Everybody else reads
// them through rows.h.
#pragma once

#include "cpu/isa/row_notation.h"

namespace dragoman::isa {

// Rows of the same encoding are tried in the order of their demands: a mandatory prefix before
// "any prefix", a fixed ModRM before an open one; see decode_tables.cpp.
inline constexpr Row kRowTable[] = {
    op(0x0FFF0B, kInvalid),
#include "cpu/isa/avx.inc"
#include "cpu/isa/mmx.inc"
#include "cpu/isa/one_byte.inc"
#include "cpu/isa/sse.inc"
#include "cpu/isa/three_byte.inc"
#include "cpu/isa/two_byte.inc"
#include "cpu/isa/vex_integer.inc"
#include "cpu/isa/x87.inc"
};

}  // namespace dragoman::isa
