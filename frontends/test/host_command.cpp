#include "frontends/test/host_command.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <thread>

#include "cpu/isa/rows.h"
#include "frontends/test/host_worker.h"

namespace dragoman {
namespace {

namespace fs = std::filesystem;

/// Cases between two writes of the file for --resume.
constexpr u64 kRound = 500'000;
/// More than this and something else is wrong than an instruction.
constexpr unsigned kMostEnded = 20;
/// A worker that judges nothing for this long is in an endless loop.
constexpr int kStallSeconds = 30;
/// More of them are a whole mode, which nobody reads by name.
constexpr std::size_t kMostNames = 100;

/// Everything that survives between runs of one sequence.
struct Total {
  u64 next = 0;
  u64 different = 0, explained = 0, blocks = 0;
  std::array<u64, kCaseModes> by_mode{};
  std::set<u64> seen;
  std::map<std::string, u64> counts;     ///< differences by key
  std::map<std::string, u64> undefined;  ///< by key
  std::map<std::string, std::string> texts;
  std::string other;  ///< crashes, endless loops, single cases
};

Result<Total> load(const HostOptions& options) {
  Total total;
  std::error_code failure;
  if (options.resume.empty() || !fs::exists(options.resume, failure)) return total;
  std::ifstream in(options.resume);
  const nlohmann::json json = nlohmann::json::parse(in, nullptr, false);
  const auto number = [&](const char* name) {
    return json.is_object() && json.contains(name) && json[name].is_number_unsigned()
               ? std::optional<u64>(json[name].get<u64>())
               : std::nullopt;
  };
  const auto seed = number("seed"), next = number("next");
  if (!seed || !next) {
    return error("'{}' does not remember a run: name another file for --resume", options.resume);
  }
  if (*seed != options.seed) {
    return error("'{}' remembers a run with --seed {}: give that seed or another file",
                 options.resume, *seed);
  }
  total.next = *next;
  total.different = number("different").value_or(0);
  total.explained = number("explained").value_or(0);
  static constexpr std::array<const char*, kCaseModes> kNames = {"64-bit", "32-bit", "16-bit"};
  for (unsigned m = 0; m < kCaseModes; ++m) total.by_mode[m] = number(kNames[m]).value_or(0);
  if (json.contains("forms") && json["forms"].is_array()) {
    for (const auto& form : json["forms"]) {
      if (form.is_number_unsigned()) total.seen.insert(form.get<u64>());
    }
  }
  total.blocks = number("blocks").value_or(0);
  const auto counts = [&](const char* name, std::map<std::string, u64>& out) {
    if (!json.contains(name) || !json[name].is_object()) return;
    for (const auto& [key, count] : json[name].items()) {
      if (count.is_number_unsigned()) out[key] = count.get<u64>();
    }
  };
  counts("counts", total.counts);
  counts("undefined", total.undefined);
  if (json.contains("texts") && json["texts"].is_object()) {
    for (const auto& [key, text] : json["texts"].items()) {
      if (text.is_string()) total.texts[key] = text.get<std::string>();
    }
  }
  if (json.contains("other") && json["other"].is_string()) {
    total.other = json["other"].get<std::string>();
  }
  return total;
}

Result<void> store(const HostOptions& options, const Total& total) {
  if (options.resume.empty()) return {};
  const nlohmann::json json = {
      {"seed", options.seed},         {"next", total.next},         {"different", total.different},
      {"explained", total.explained}, {"64-bit", total.by_mode[0]}, {"32-bit", total.by_mode[1]},
      {"16-bit", total.by_mode[2]},   {"forms", total.seen},        {"blocks", total.blocks},
      {"counts", total.counts},       {"texts", total.texts},       {"undefined", total.undefined},
      {"other", total.other}};
  const std::string fresh = options.resume + ".new";
  std::ofstream out(fresh);
  out << json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  out.close();
  std::error_code failure;
  if (out) fs::rename(fresh, options.resume, failure);
  if (!out || failure) {
    return error("cannot write '{}' for --resume: {}", options.resume,
                 failure ? failure.message() : "the disk may be full or the folder missing");
  }
  return {};
}

/// A child process with its share of a round.
struct Worker {
  pid_t child = -1;
  int pipe = -1;
  u64 first = 0, step = 1, end = 0;
  WorkerProgress* progress = nullptr;
  std::string received;
  u64 last_done = 0;
  std::chrono::steady_clock::time_point last_change;
};

class Round {
 public:
  Round(const HostOptions& options, Total& total) : options_(options), total_(total) {}

  /// True when so many cases ended their processes that the rest was left out.
  bool stopped() const { return ended_ > kMostEnded; }

  Result<void> run(u64 first, u64 end, unsigned jobs) {
    workers_.resize(jobs);
    for (unsigned i = 0; i < jobs; ++i) {
      Worker& w = workers_[i];
      void* shared = mmap(nullptr, sizeof(WorkerProgress), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
      if (shared == MAP_FAILED) return error("no memory to share with a child process");
      w.progress = new (shared) WorkerProgress;
      w.first = first + i;
      w.step = jobs;
      w.end = end;
      if (const auto started = start(w); !started) return started;
    }
    while (std::any_of(workers_.begin(), workers_.end(), [](auto& w) { return w.child > 0; })) {
      listen();
    }
    for (Worker& w : workers_) {
      total_.different += w.progress->different;
      total_.explained += w.progress->explained;
      total_.blocks += w.progress->blocks;
      for (unsigned m = 0; m < kCaseModes; ++m) total_.by_mode[m] += w.progress->by_mode[m];
      for (u64 f = 0; f < w.progress->seen.size(); ++f) {
        if (w.progress->seen[f] != 0) total_.seen.insert(f);
      }
      munmap(w.progress, sizeof(WorkerProgress));
    }
    if (!problem_.empty()) return error("{}", problem_);
    return {};
  }

 private:
  Result<void> start(Worker& w) {
    int ends[2];
    if (pipe(ends) != 0) return error("no pipe to a child process: {}", std::strerror(errno));
    w.child = fork();
    if (w.child < 0) return error("no child process: {}", std::strerror(errno));
    if (w.child == 0) {
      close(ends[0]);
      run_worker(options_, w.first, w.step, w.end, *w.progress, ends[1]);
      _exit(0);
    }
    close(ends[1]);
    w.pipe = ends[0];
    w.last_change = std::chrono::steady_clock::now();
    return {};
  }

  void listen() {
    std::vector<pollfd> waiting;
    for (const Worker& w : workers_) {
      if (w.child > 0) waiting.push_back({w.pipe, POLLIN, 0});
    }
    (void)poll(waiting.data(), waiting.size(), 1000);
    std::size_t index = 0;
    for (Worker& w : workers_) {
      if (w.child <= 0) continue;
      if (waiting[index++].revents != 0) {
        std::array<char, 65536> buffer;
        const ssize_t n = read(w.pipe, buffer.data(), buffer.size());
        if (n > 0) {
          w.received.append(buffer.data(), static_cast<std::size_t>(n));
          take(w);
        } else {
          finish(w);
          continue;
        }
      }
      const u64 done = w.progress->done.load(std::memory_order_relaxed);
      const auto now = std::chrono::steady_clock::now();
      if (done != w.last_done) {
        w.last_done = done;
        w.last_change = now;
      } else if (now - w.last_change > std::chrono::seconds(kStallSeconds)) {
        kill(w.child, SIGKILL);
      }
    }
  }

  void take(Worker& w) {
    Finding finding;
    while (unpack(w.received, finding)) {
      switch (finding.kind) {
        case FindingKind::kDifference:
          total_.texts.emplace(finding.key, fmt::format("{} (--seed {} --case {})\n", finding.text,
                                                        options_.seed, finding.number));
          break;
        case FindingKind::kCount:
          total_.counts[finding.key] += finding.number;
          break;
        case FindingKind::kUndefined:
          total_.undefined[finding.key] += finding.number;
          break;
        case FindingKind::kText:
          total_.other += finding.text;
          break;
        case FindingKind::kProblem:
          problem_ = finding.text;
          break;
      }
    }
  }

  void finish(Worker& w) {
    close(w.pipe);
    int status = 0;
    waitpid(w.child, &status, 0);
    w.child = -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
    // Whatever it was, the case under way did it; the others of this share go on behind it.
    const u64 number = w.progress->current.load(std::memory_order_relaxed);
    const bool stalled = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    total_.other += fmt::format(
        "case {} {} (--seed {} --case {})\n", number,
        stalled ? std::string("does not end")
                : fmt::format("ended its process, {} {}", WIFSIGNALED(status) ? "signal" : "status",
                              WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)),
        options_.seed, number);
    ++total_.different;
    w.first += (w.progress->done.load() - done_before(w) + 1) * w.step;
    skipped_[&w] = w.progress->done.load();
    w.received.clear();
    if (++ended_ > kMostEnded) {
      if (ended_ == kMostEnded + 1) {
        total_.other += fmt::format(
            "More than {} cases ended their processes: the sequence stops here. Look at one of "
            "them "
            "with --case\n",
            kMostEnded);
      }
    } else if (w.first < w.end) {
      if (const auto again = start(w); !again) problem_ = again.error().message;
    }
  }
  u64 done_before(const Worker& w) const {
    const auto found = skipped_.find(&w);
    return found == skipped_.end() ? 0 : found->second;
  }

  const HostOptions& options_;
  Total& total_;
  std::vector<Worker> workers_;
  std::string problem_;                   ///< why a child could not judge
  unsigned ended_ = 0;                    ///< processes that did not reach their end
  std::map<const Worker*, u64> skipped_;  ///< cases done when a share was taken up again
};

std::string mnemonics(const std::vector<CaseForm>& forms) {
  std::set<std::string_view> names;
  for (const CaseForm& form : forms) {
    names.insert(operation_info(row(form.row).operation).mnemonic);
  }
  if (names.size() > kMostNames) return fmt::format("{} mnemonics", names.size());
  std::string out;
  for (const std::string_view name : names)
    out += fmt::format("{}{}", out.empty() ? "" : " ", name);
  return out;
}

std::string describe(const HostOptions& options, const HostJudge& judge, const Total& total,
                     u64 wanted_forms) {
  const CpuModel& model = judge.model();
  std::string out =
      fmt::format("host       {}, {} (family {}, model {}, stepping {})\n", model.vendor,
                  model.brand, model.family, model.model, model.stepping);
  out += fmt::format(
      "engines    {}{}{}\n", options.engines & 1 ? "interpreter" : "",
      options.engines == 3 ? ", " : "",
      options.engines & 2 ? fmt::format("translator ({} blocks translated)", total.blocks) : "");
  const HostRunner& host = judge.host();
  out += fmt::format(
      "code       64-bit; 32-bit {}; 16-bit {}\n",
      host.has_32_bit() ? "in the kernel's compatibility segment"
                        : "not judged: the host's kernel has no compatibility segment",
      host.has_16_bit() ? "in a local descriptor table (modify_ldt)"
                        : "not judged: the host's kernel gives no local descriptors (modify_ldt)");
  out += fmt::format("cases      {} of seed {}: 64-bit {}, 32-bit {}, 16-bit {}\n",
                     total.by_mode[0] + total.by_mode[1] + total.by_mode[2], options.seed,
                     total.by_mode[0], total.by_mode[1], total.by_mode[2]);
  out +=
      fmt::format("coverage   {} of {} pairs of row and mode\n", total.seen.size(), wanted_forms);
  for (const auto& [reason, forms] : judge.omitted()) {
    out += fmt::format("left out   {:>4}  {}: {}\n", forms.size(), reason, mnemonics(forms));
  }
  out += fmt::format("explained  {} cases in which two right processors may differ\n",
                     total.explained);
  if (options.undefined) {
    out += "undefined  flags and results compared as well\n";
  } else if (total.undefined.empty()) {
    out += "undefined  flags and results are not judged, but equal everywhere\n";
  } else {
    out += "undefined  flags and results are not judged; different:\n";
    for (const auto& [key, count] : total.undefined) {
      out += fmt::format("           {:>8}  {}\n", count, key);
    }
  }
  if (options.single >= 0) out.clear();  // only the case was asked for
  out += total.other;
  if (!total.texts.empty()) out += "\n";
  for (const auto& [key, text] : total.texts) out += text + "\n";
  for (const auto& [key, count] : total.counts) {
    out += fmt::format("{:>8}  {}\n", count, key);
  }
  out += fmt::format("{} cases differ\n", total.different);
  return out;
}

}  // namespace

Result<HostReport> run_host(const HostOptions& options) {
  if (options.engines == 0 || options.engines > 3) return error("no engine to judge");
  if (!options.save.empty() && !fs::is_directory(options.save)) {
    return error("'{}' is no folder to save reproducers in: make it first", options.save);
  }
  auto total = load(options);
  if (!total) return total.error();
  // Only asked what it would judge; the judging happens in children, which need its addresses.
  auto judge = HostJudge::create(0, options.undefined);
  if (!judge) return judge.error();
  const u64 forms = chosen_forms(**judge, options.only).size();
  judge->reset();
  if (forms == 0) {
    return error("no instruction of the mnemonic '{}' can be judged by this host", options.only);
  }
  unsigned jobs = options.jobs;
  if (jobs == 0) jobs = std::max(1u, std::thread::hardware_concurrency());
  u64 end = options.count;
  if (options.single >= 0) {
    total->next = static_cast<u64>(options.single);
    end = total->next + 1;
    jobs = 1;
  }
  const bool show_progress = end - std::min(end, total->next) > kRound && isatty(STDERR_FILENO);
  while (total->next < end) {
    const u64 stop = std::min(end, total->next + kRound);
    Round round(options, *total);
    if (const auto ran = round.run(total->next, stop, jobs); !ran) return ran.error();
    if (round.stopped()) break;  // what is remembered for --resume ends before this round
    total->next = stop;
    if (const auto stored = store(options, *total); !stored) return stored.error();
    if (show_progress) {
      fmt::print(stderr, "\r{} of {} cases, {} differ{}", stop, end, total->different,
                 stop == end ? "\n" : "");
    }
  }
  judge = HostJudge::create(0, options.undefined);
  if (!judge) return judge.error();
  HostReport report;
  report.cases = total->by_mode[0] + total->by_mode[1] + total->by_mode[2];
  report.differences = total->different;
  report.text = describe(options, **judge, *total, forms);
  return report;
}

}  // namespace dragoman
