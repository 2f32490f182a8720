#include "frontends/test/host_worker.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "cpu/isa/rows.h"
#include "frontends/test/oracle/case_file.h"

namespace dragoman {
namespace {

constexpr unsigned kMostMinimised = 100;

void append(std::string& out, u64 value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}
void append(std::string& out, const std::string& text) {
  append(out, text.size());
  out += text;
}

void tell(int pipe, const Finding& finding) {
  const std::string bytes = pack(finding);
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t n = write(pipe, bytes.data() + at, bytes.size() - at);
    if (n <= 0) return;  // the parent is gone
    at += static_cast<std::size_t>(n);
  }
}

std::string mnemonic_of(const CpuCase& test) {
  return std::string(operation_info(row(test.row).operation).mnemonic);
}

/// Writes the case as a file of tests/asm, one for each kind of difference; a sentence about it.
std::string save_case(const HostOptions& options, HostJudge& judge, const CpuCase& test, u32 parts,
                      const std::string& comment) {
  (void)judge.judge(test);
  const std::string source = case_source(test, judge.host_outcome(), comment);
  if (source.empty()) return "  (not saved: tests/asm has no 16-bit user mode)\n";
  std::string kind = outcome_parts(parts);
  std::erase(kind, ',');
  std::replace(kind.begin(), kind.end(), ' ', '_');
  const std::filesystem::path path =
      std::filesystem::path(options.save) /
      fmt::format("host_{}_{}_{}.asm", mnemonic_of(test), case_bits(test.mode), kind);
  if (std::filesystem::exists(path)) return fmt::format("  saved before as {}\n", path.string());
  std::ofstream out(path);
  out << source;
  out.close();
  return out ? fmt::format("  saved as {}\n", path.string())
             : fmt::format("  cannot write {}\n", path.string());
}

std::string flag_names(u32 flags) {
  std::string out;
  if (flags & kFlagOf) out += " of";
  if (flags & kFlagSf) out += " sf";
  if (flags & kFlagZf) out += " zf";
  if (flags & kFlagAf) out += " af";
  if (flags & kFlagPf) out += " pf";
  if (flags & kFlagCf) out += " cf";
  return out;
}

}  // namespace

std::string pack(const Finding& finding) {
  std::string body;
  append(body, static_cast<u64>(finding.kind));
  append(body, finding.number);
  append(body, finding.key);
  append(body, finding.text);
  std::string out;
  append(out, body);
  return out;
}

bool unpack(std::string& bytes, Finding& finding) {
  std::size_t at = 0;
  const auto number = [&] {
    u64 value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof(value));
    at += sizeof(value);
    return value;
  };
  const auto text = [&] {
    const u64 size = number();
    std::string value = bytes.substr(at, size);
    at += size;
    return value;
  };
  if (bytes.size() < sizeof(u64) || bytes.size() - sizeof(u64) < number()) return false;
  finding.kind = static_cast<FindingKind>(number());
  finding.number = number();
  finding.key = text();
  finding.text = text();
  bytes.erase(0, at);
  return true;
}

std::vector<u32> chosen_forms(const HostJudge& judge, const std::string& only) {
  std::vector<u32> forms;
  for (u32 i = 0; i < judge.forms().size(); ++i) {
    const Row& r = row(judge.forms()[i].row);
    if (only.empty() || operation_info(r.operation).mnemonic == only) forms.push_back(i);
  }
  return forms;
}

void run_worker(const HostOptions& options, u64 first, u64 step, u64 end, WorkerProgress& progress,
                int pipe) {
  auto made = HostJudge::create(options.engines, options.undefined);
  if (!made) {
    tell(pipe, {FindingKind::kProblem, 0, "", made.error().message});
    return;
  }
  HostJudge& judge = **made;
  const std::vector<u32> forms = chosen_forms(judge, options.only);
  if (forms.empty()) return;
  std::map<std::string, u64> different;
  std::map<std::string, u64> undefined;
  for (u64 n = first; n < end; n += step) {
    const u64 number = options.single >= 0 ? n : case_number(n, forms, judge.forms().size());
    progress.current.store(number, std::memory_order_relaxed);
    const CpuCase test = judge.make(options.seed, number);
    const HostJudge::Verdict verdict = judge.judge(test);
    ++progress.by_mode[static_cast<unsigned>(test.mode)];
    const u64 form = number % judge.forms().size();
    if (form < WorkerProgress::kMaxForms) progress.seen[form] = 1;
    if (verdict.engine_mask != 0) ++progress.different;
    bool explained = false;
    for (unsigned e = 0; e < HostJudge::kEngines; ++e) {
      const OutcomeDifference& d = verdict.differences[e];
      explained = explained || d.explained != nullptr;
      if (d.undefined_flags != 0 || d.undefined_result) {
        ++undefined[fmt::format("{} {}:{}{}", HostJudge::engine_name(e), mnemonic_of(test),
                                flag_names(d.undefined_flags),
                                d.undefined_result ? " result" : "")];
      }
      if (d.parts == 0) continue;
      const std::string key =
          fmt::format("{} ({}-bit), {}: {}", mnemonic_of(test), case_bits(test.mode),
                      HostJudge::engine_name(e), outcome_parts(d.parts));
      if (++different[key] > 1 || different.size() > kMostMinimised) continue;
      const CpuCase small = judge.minimise(test, e, d.parts);
      std::string text = judge.describe(small, e);
      if (!options.save.empty()) {
        text += save_case(options, judge, small, d.parts,
                          fmt::format("{}\nfound by dragoman-test host --seed {} --case {}, judged "
                                      "by {}",
                                      key, options.seed, number, judge.model().brand));
      }
      tell(pipe, {FindingKind::kDifference, number, key, text});
    }
    if (options.single >= 0) {
      std::string text = fmt::format("case {}: {}\n", number, describe_instruction(test));
      text += describe_difference(test, judge.host_outcome(), judge.host_outcome(),
                                  kPartX87 | kPartVector | kPartFault | kPartRip | kPartFlags);
      text += verdict.engine_mask == 0 ? "  equal\n" : "";
      tell(pipe, {FindingKind::kText, number, "", text});
    }
    if (explained) ++progress.explained;
    progress.done.fetch_add(1, std::memory_order_relaxed);
  }
  progress.blocks = judge.blocks_translated();
  for (const auto& [key, count] : different) tell(pipe, {FindingKind::kCount, count, key, ""});
  for (const auto& [key, count] : undefined) tell(pipe, {FindingKind::kUndefined, count, key, ""});
}

}  // namespace dragoman
