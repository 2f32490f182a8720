#include "frontends/trace/trace_session.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "frontends/trace/trace_document.h"
#include "frontends/trace/trace_page.h"

namespace dragoman {
namespace {

Error cannot_write(const std::string& path) {
  return error("cannot write the trace '{}': {}; choose another path with -trace", path,
               std::strerror(errno));
}

Result<void> write_file(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return cannot_write(path);
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const bool closed = std::fclose(file) == 0;
  if (!written || !closed) return cannot_write(path);
  return {};
}

}  // namespace

Result<void> TraceSession::open(const std::optional<TraceOptions>& options,
                                const std::vector<SymbolFile>& symbols, std::string command) {
  command_ = std::move(command);
  for (const SymbolFile& file : symbols) {
    if (auto ok = symbols_.add(file); !ok) return ok;
  }
  options_ = options;
  if (!options_) return {};
  // Appending leaves an older trace alone until there is a new one.
  std::FILE* file = std::fopen(options_->path.c_str(), "ab");
  if (file == nullptr) return cannot_write(options_->path);
  std::fclose(file);
  return {};
}

void TraceSession::observe(MachineConfig& config) {
  if (TraceTextLog::wanted(log_)) {
    text_log_ = std::make_unique<TraceTextLog>(log_, symbols_);
    observers_.add(*text_log_);
  }
  if (options_) {
    recorder_ = std::make_unique<TraceRecorder>(*options_);
    observers_.add(*recorder_);
    config.translator.counters = options_->counters;
  }
  if (observers_.empty()) return;
  config.cpu_observer = &observers_;
  config.region_observer = &observers_;
}

void TraceSession::begin(Cpu& cpu, const TranslatorOptions& options) {
  cpu_ = &cpu;
  translator_ = options;
  if (recorder_ != nullptr) recorder_->attach(cpu);
}

Result<void> TraceSession::finish(const std::string& statistics) {
  if (recorder_ == nullptr || cpu_ == nullptr) return {};
  recorder_->finish();
  symbols_.set_system_call_entry(cpu_->state.msr.lstar);
  TraceContext context;
  context.cpu = cpu_;
  context.symbols = &symbols_;
  context.command = command_;
  context.statistics = statistics;
  context.switches = {
      {"links", translator_.links},          {"liveness", translator_.flag_liveness},
      {"probes", translator_.shared_probes}, {"called_probes", translator_.called_probes},
      {"returns", translator_.returns},      {"strings", translator_.strings},
      {"vectors", translator_.vectors},      {"superblocks", translator_.superblocks},
      {"spaces", translator_.address_spaces}};
  if (options_->format == TraceFormat::kChrome)
    return write_file(options_->path, json_text(trace_events(*recorder_, context)));
  const TraceDocument document(*recorder_, context);
  if (options_->format == TraceFormat::kJson) return write_file(options_->path, document.text());
  auto page = trace_page(document);
  if (!page) return page.error();
  return write_file(options_->path, *page);
}

}  // namespace dragoman
