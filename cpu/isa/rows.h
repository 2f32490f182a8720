// The table of all instruction rows; Instruction::row is an index into it.
#pragma once

#include <span>

#include "cpu/isa/row.h"

namespace dragoman {

/// All rows. The order is fixed at build time but means nothing.
std::span<const Row> rows();

/// Row `index`, which must be below rows().size(). Row 0 is the invalid instruction.
const Row& row(u16 index);

/// Facts of an operation.
inline const OperationInfo& operation_info(Operation operation) {
  return kOperations[static_cast<std::size_t>(operation)];
}

}  // namespace dragoman
