// A case as a source file of tests/asm, with what the host processor made of it as expectation.
#pragma once

#include <string>

#include "frontends/test/oracle/cpu_case.h"

namespace dragoman {

/// NASM source in the format of tests/asm/README.md. Empty for 16-bit cases: that format has no
/// protected 16-bit user mode. `comment`: lines for the head of the file.
std::string case_source(const CpuCase& test, const CpuOutcome& host, const std::string& comment);

}  // namespace dragoman
