// What `-trace` was given.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace dragoman {

enum class TraceFormat : u8 {
  kHtml,    ///< one page for a browser
  kJson,    ///< the same as data, see schema.md
  kChrome,  ///< trace events, for Perfetto and chrome://tracing
};

/// Guest addresses, both inclusive.
struct TraceRange {
  u64 first = 0, last = ~u64{0};
};

struct TraceOptions {
  std::string path;
  TraceFormat format = TraceFormat::kHtml;
  u64 limit = 2000;              ///< translations in the file
  bool hottest = true;           ///< which: those that ran most, or the first
  std::vector<TraceRange> only;  ///< translations that begin in one of these; empty: all
  u32 rings = 0b1111;            ///< privilege levels, as a set of bits
  std::vector<u64> spaces;       ///< values of CR3 without its low 12 bits; empty: all
  u64 events = 4000;             ///< single events kept: the first half and the newest half
  bool counters = true;          ///< translations count their runs
  bool samples = true;           ///< the host's program counter is looked at

  bool wants(u64 rip, unsigned ring, u64 cr3) const;
};

/// "out.html,limit=500,first,range=0x1000-0x2fff,ring=0,cr3=0x1234000". The format follows the
/// name (.trace.json is kChrome) unless format= says otherwise.
Result<TraceOptions> parse_trace_options(std::string_view text);

/// A file of symbols: "System.map" or "program.elf,base=0x400000".
struct SymbolFile {
  std::string path;
  i64 slide = 0;     ///< added to the addresses in the file
  bool find = true;  ///< slide unknown: found out where possible
};
Result<SymbolFile> parse_symbol_file(std::string_view text);

}  // namespace dragoman
