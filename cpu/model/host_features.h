// What the host processor can execute, as a set of guest features: CPUID never offers more to the
// guest in the instruction groups that run on the host.
#pragma once

#include "cpu/isa/feature_set.h"

namespace dragoman {

/// Instruction-set features of the host, from its CPUID and the register state its operating system
/// has enabled (XCR0). Features that are not instructions of the host's user mode (paging, MSRs,
/// privileged instructions) are Dragoman's own and always in the set.
FeatureSet host_features();

}  // namespace dragoman
