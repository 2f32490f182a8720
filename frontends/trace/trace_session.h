// -trace and the translator's side of -d in one run: hands out the observers, writes the file.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "frontends/trace/symbols.h"
#include "frontends/trace/text_log.h"
#include "frontends/trace/trace_recorder.h"
#include "machine/config.h"

namespace dragoman {

class TraceSession {
 public:
  explicit TraceSession(Log& log) : log_(log) {}

  /// Reads the symbols and proves that the file can be written.
  Result<void> open(const std::optional<TraceOptions>& options,
                    const std::vector<SymbolFile>& symbols, std::string command);
  /// Puts observers into the configuration, if anybody wants to know something.
  void observe(MachineConfig& config);
  /// To be called once the machine is there, on the thread that will run it.
  void begin(Cpu& cpu, const TranslatorOptions& options);
  /// The run is over and the machine still there: writes the file.
  Result<void> finish(const std::string& statistics);

  TraceRecorder* recorder() { return recorder_.get(); }
  Symbols& symbols() { return symbols_; }
  ObserverList& observers() { return observers_; }

 private:
  Log& log_;
  std::optional<TraceOptions> options_;
  Symbols symbols_;
  std::unique_ptr<TraceRecorder> recorder_;
  std::unique_ptr<TraceTextLog> text_log_;
  ObserverList observers_;
  std::string command_;
  TranslatorOptions translator_;
  Cpu* cpu_ = nullptr;
};

}  // namespace dragoman
