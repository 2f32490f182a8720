// Differences from the chips the vectors were captured from that are known and meant: each with
// the condition under which it may show, as narrow as it can be said, and its reason.
#pragma once

#include <span>
#include <string_view>

#include "frontends/test/vector_runner.h"

namespace dragoman {

/// One test that differed.
struct VectorCase {
  VectorFamily family;
  std::string_view opcode;  ///< "F6.6"
  const VectorTest& test;
  const VectorDifference& difference;
};

struct VectorExceptionRule {
  std::string_view name;
  std::string_view reason;
  bool (*applies)(const VectorCase&);
};

std::span<const VectorExceptionRule> vector_exception_rules();
/// The first rule that covers the case, or null.
const VectorExceptionRule* explain(const VectorCase& what);

}  // namespace dragoman
