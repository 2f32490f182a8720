// `dragoman-test vectors`: files of test vectors through the interpreter, a line per file.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "frontends/test/vector_exceptions.h"

namespace dragoman {

struct VectorsOptions {
  std::vector<std::string> paths;  ///< files, or folders with files of vectors
  std::string cpu;                 ///< a -cpu model; empty: as the set demands
  std::string metadata;            ///< empty: metadata.json beside each file
  BenchEngine engine = BenchEngine::kInterpreter;
  bool all = false;  ///< every difference instead of the first of each file
};

struct VectorCounts {
  u64 passed = 0, explained = 0, failed = 0;
  u64 tests() const { return passed + explained + failed; }
};
struct VectorReport {
  VectorCounts total;
  std::map<std::string_view, u64> explained;  ///< by name of the rule
  std::string text;                           ///< the table
};

/// An error only for files that cannot be read; differences are in the report.
Result<VectorReport> run_vectors(const VectorsOptions& options);

}  // namespace dragoman
