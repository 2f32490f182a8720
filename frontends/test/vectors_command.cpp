#include "frontends/test/vectors_command.h"

#include <algorithm>
#include <filesystem>
#include <optional>

namespace dragoman {
namespace {

namespace fs = std::filesystem;

bool vector_file_name(const std::string& name) {
  if (name.ends_with("metadata.json")) return false;
  for (const std::string_view ending :
       {".MOO", ".moo", ".MOO.gz", ".moo.gz", ".json", ".json.gz"}) {
    if (name.ends_with(ending)) return true;
  }
  return false;
}

Result<std::vector<std::string>> expand(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code failure;
    if (!fs::is_directory(path, failure)) {
      files.push_back(path);
      continue;
    }
    std::vector<std::string> found;
    fs::directory_iterator it(path, failure);
    for (; !failure && it != fs::directory_iterator(); it.increment(failure)) {
      if (vector_file_name(it->path().string())) found.push_back(it->path().string());
    }
    if (failure) return error("cannot list '{}': {}", path, failure.message());
    if (found.empty()) return error("'{}' holds no files of vectors (.MOO, .json, .gz)", path);
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

/// Runners and metadata of the sets met so far.
class Sets {
 public:
  explicit Sets(const VectorsOptions& options) : options_(options) {}

  Result<const VectorMetadata*> metadata(const std::string& file) {
    fs::path path = options_.metadata;
    if (path.empty()) path = fs::path(file).parent_path() / "metadata.json";
    const auto known = metadata_.find(path.string());
    if (known != metadata_.end()) return &known->second;
    VectorMetadata& slot = metadata_[path.string()];
    std::error_code failure;
    if (options_.metadata.empty() && !fs::exists(path, failure)) {
      masks_missing_ = true;
      return &slot;
    }
    const auto text = read_maybe_compressed(path.string());
    if (!text) return text.error();
    auto parsed = parse_vector_metadata({reinterpret_cast<const char*>(text->data()), text->size()},
                                        path.string());
    if (!parsed) return parsed.error();
    slot = parsed.take();
    return &slot;
  }

  Result<VectorRunner*> runner(VectorFamily family) {
    const auto known = runners_.find(family);
    if (known != runners_.end()) return &known->second;
    auto made = VectorRunner::create(
        family, options_.cpu.empty() ? vector_model(family) : options_.cpu, options_.engine);
    if (!made) return made.error();
    return &runners_.emplace(family, made.take()).first->second;
  }
  u64 blocks_translated() const {
    u64 blocks = 0;
    for (const auto& [family, runner] : runners_) blocks += runner.blocks_translated();
    return blocks;
  }

  bool masks_missing() const { return masks_missing_; }

 private:
  const VectorsOptions& options_;
  bool masks_missing_ = false;
  std::map<std::string, VectorMetadata> metadata_;
  std::map<VectorFamily, VectorRunner> runners_;
};

constexpr std::string_view kHead =
    "opcode   instruction  status        tests  passed  explained  failed\n";

}  // namespace

Result<VectorReport> run_vectors(const VectorsOptions& options) {
  const auto files = expand(options.paths);
  if (!files) return files.error();
  Sets sets(options);
  VectorReport report;
  report.text = kHead;
  for (const std::string& path : *files) {
    const auto metadata = sets.metadata(path);
    if (!metadata) return metadata.error();
    const auto file = read_vector_file(path);
    if (!file) return file.error();
    const auto family = vector_family(file->cpu.empty() ? (*metadata)->cpu : file->cpu);
    if (!family) return error("'{}': {}", path, family.error().message);
    const auto runner = sets.runner(*family);
    if (!runner) return runner.error();

    const std::string opcode = vector_opcode(path);
    const VectorOpcode* facts = (*metadata)->find(opcode);
    const std::string_view status = facts != nullptr ? std::string_view(facts->status) : "";
    VectorCounts counts;
    std::string lines;
    for (const VectorTest& test : file->tests) {
      const VectorDifference difference =
          (*runner)->run(*file, test, facts != nullptr ? facts->defined_flags : 0xffffffff);
      if (!difference) {
        ++counts.passed;
        continue;
      }
      const VectorExceptionRule* rule = explain({*family, opcode, test, difference});
      if (rule != nullptr) {
        ++counts.explained;
        ++report.explained[rule->name];
        continue;
      }
      if (options.all || counts.failed == 0) {
        lines += fmt::format("    {} ({}): {}\n", test.index, test.name, difference.text);
      }
      ++counts.failed;
    }
    const std::string& mnemonic = file->mnemonic;
    const std::string instruction =
        !mnemonic.empty() || file->tests.empty()
            ? mnemonic
            : file->tests[0].name.substr(0, file->tests[0].name.find(' '));
    report.text +=
        fmt::format("{:<8} {:<12} {:<12} {:>6}  {:>6}  {:>9}  {:>6}\n", opcode, instruction, status,
                    counts.tests(), counts.passed, counts.explained, counts.failed);
    report.text += lines;
    report.total.passed += counts.passed;
    report.total.explained += counts.explained;
    report.total.failed += counts.failed;
  }
  report.text += fmt::format("{:<8} {:<12} {:<12} {:>6}  {:>6}  {:>9}  {:>6}\n", "all", "", "",
                             report.total.tests(), report.total.passed, report.total.explained,
                             report.total.failed);
  if (report.total.failed != 0 && sets.masks_missing()) {
    report.text +=
        "\nSome files have no metadata.json beside them, so flags that their chip leaves undefined "
        "were compared too: name it with --metadata FILE.\n";
  }
  if (options.engine == BenchEngine::kTranslator) {
    report.text += fmt::format("\n{} blocks translated\n", sets.blocks_translated());
  }
  if (!report.explained.empty()) {
    report.text += "\nExplained differences:\n";
    for (const VectorExceptionRule& rule : vector_exception_rules()) {
      const auto met = report.explained.find(rule.name);
      if (met == report.explained.end()) continue;
      report.text += fmt::format("{:>6}  {}: {}\n", met->second, rule.name, rule.reason);
    }
  }
  return report;
}

}  // namespace dragoman
