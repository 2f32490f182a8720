// `dragoman-test host`: generated instructions on the host processor and on both engines.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace dragoman {

struct HostOptions {
  u64 count = 100'000;
  u64 seed = 1;
  unsigned jobs = 0;       ///< processes; 0: one per host processor
  unsigned engines = 3;    ///< bit 0 interpreter, bit 1 translator
  bool undefined = false;  ///< also compare what the manual leaves undefined
  std::string resume;      ///< file that remembers how far a sequence got
  std::string save;        ///< folder for reproducers as tests/asm files
  std::string only;        ///< a mnemonic
  i64 single = -1;         ///< one case by its number, printed in full
};

struct HostReport {
  u64 cases = 0;
  u64 differences = 0;  ///< cases in which an engine differs
  std::string text;
};

/// Runs the cases in child processes, so that whatever an instruction does to its process is a
/// finding and not the end. An error when the host cannot judge or a file cannot be used.
Result<HostReport> run_host(const HostOptions& options);

}  // namespace dragoman
