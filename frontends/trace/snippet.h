// A piece of bare code given to the translator without a machine around it: `dragoman-trace`.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "frontends/trace/trace_session.h"
#include "machine/instruction_bench.h"

namespace dragoman {

struct SnippetOptions {
  std::string file;
  unsigned bits = 64;       ///< 16: real mode; 32: flat, no paging; 64: flat, paged one to one
  std::optional<u64> base;  ///< address of the first byte; the default fits the mode
  u64 run = 0;              ///< instructions to execute; 0: everything reachable is translated
  std::vector<std::pair<unsigned, u64>> registers;  ///< values at the start
  TranslatorOptions translator;
  std::optional<TraceOptions> trace;  ///< absent: as text on standard output
  std::vector<SymbolFile> symbols;
  std::string command;
};

/// Translates (or runs) the code and writes the trace.
Result<void> trace_snippet(const SnippetOptions& options);

}  // namespace dragoman
