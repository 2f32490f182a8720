// `dragoman-test asm`: files of cases in the format of tests/asm/README.md on both engines.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace dragoman {

struct AsmOptions {
  std::vector<std::string> paths;     ///< *.asm, assembled *.bin, or folders with *.asm
  std::vector<std::string> includes;  ///< further folders for %include
  unsigned engines = 3;               ///< bit 0 interpreter, bit 1 translator
  std::string only;                   ///< run cases whose name contains this
  bool all = false;                   ///< print every failing case, not the first of each file
};

struct AsmReport {
  u64 cases = 0;  ///< runs of a case on an engine
  u64 failed = 0;
  u64 broken = 0;  ///< files that cannot be assembled or read
  std::string text;
};

/// An error only when there is nothing to run: a folder without files, no nasm on the path.
Result<AsmReport> run_asm(const AsmOptions& options);

}  // namespace dragoman
