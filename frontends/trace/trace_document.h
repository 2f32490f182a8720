// The trace as data: schema.md describes it. Everything that is written to a file comes from here.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "frontends/trace/symbols.h"
#include "frontends/trace/trace_recorder.h"

namespace dragoman {

/// What surrounds the recording.
struct TraceContext {
  Cpu* cpu = nullptr;
  const Symbols* symbols = nullptr;
  std::string command;                                 ///< how the program was started
  std::string statistics;                              ///< Translation::describe_statistics()
  std::vector<std::pair<std::string, bool>> switches;  ///< of -accel jit
};

/// Version of the schema.
inline constexpr int kTraceSchema = 1;

nlohmann::json trace_document(const TraceRecorder& recorder, const TraceContext& context);
/// Trace events of the JSON array format that Perfetto and chrome://tracing read.
nlohmann::json trace_events(const TraceRecorder& recorder, const TraceContext& context);

}  // namespace dragoman
