// The trace as data: schema.md describes it. Everything that is written to a file comes from here.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

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

/// The trace region by region: all of it at once would take many times the memory of its text.
class TraceDocument {
 public:
  /// Both outlive this.
  TraceDocument(const TraceRecorder& recorder, const TraceContext& context);
  ~TraceDocument();

  /// Everything but `regions`.
  nlohmann::json frame() const;
  std::size_t regions() const { return recorder_.regions().size(); }
  nlohmann::json region(std::size_t number) const;
  /// The whole document.
  std::string text() const;

 private:
  class Writer;
  const TraceRecorder& recorder_;
  const TraceContext& context_;
  std::unique_ptr<Writer> writer_;
};

/// One line of JSON, whatever bytes its strings hold.
std::string json_text(const nlohmann::json& value);

/// Trace events of the JSON array format that Perfetto and chrome://tracing read.
nlohmann::json trace_events(const TraceRecorder& recorder, const TraceContext& context);

}  // namespace dragoman
