#include "frontends/test/asm_command.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "frontends/test/asm_bench.h"

extern char** environ;
// frontends/test/case.inc, so that a case can be assembled anywhere.
extern "C" const char dragoman_case_inc[];
extern "C" const char dragoman_case_inc_end[];
asm(".pushsection .rodata\n"
    ".global dragoman_case_inc\n"
    "dragoman_case_inc:\n"
    ".incbin \"" DRAGOMAN_CASE_INC
    "\"\n"
    ".global dragoman_case_inc_end\n"
    "dragoman_case_inc_end:\n"
    ".popsection");

namespace dragoman {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 8> kModeNames = {"r16", "v86", "p16", "p32",
                                                   "u32", "c32", "k64", "u64"};

/// A folder that goes with the object.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::error_code failure;
    std::string name = fs::temp_directory_path(failure) / "dragoman-asm-XXXXXX";
    if (!failure && mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~ScratchFolder() {
    std::error_code failure;
    if (!path_.empty()) fs::remove_all(path_, failure);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Result<std::vector<fs::path>> expand(const std::vector<std::string>& paths) {
  std::vector<fs::path> files;
  for (const std::string& path : paths) {
    std::error_code failure;
    if (!fs::is_directory(path, failure)) {
      if (!fs::exists(path, failure)) return error("there is no file '{}'", path);
      files.emplace_back(path);
      continue;
    }
    std::vector<fs::path> found;
    fs::directory_iterator it(path, failure);
    for (; !failure && it != fs::directory_iterator(); it.increment(failure)) {
      if (it->path().extension() == ".asm") found.push_back(it->path());
    }
    if (failure) return error("cannot list '{}': {}", path, failure.message());
    if (found.empty()) return error("'{}' holds no files *.asm", path);
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

/// Runs nasm. Its messages, or nothing when it went well; an Error when there is no nasm.
Result<std::string> assemble(const AsmOptions& options, const fs::path& source,
                             const fs::path& scratch, const fs::path& binary) {
  const std::string own = source.has_parent_path() ? source.parent_path().string() + "/" : "./";
  std::vector<std::string> words = {"nasm", "-w-number-overflow", "-f", "bin",
                                    "-o",   binary.string(),      "-I", own};
  for (const std::string& folder : options.includes) {
    words.insert(words.end(), {"-I", folder + "/"});
  }
  words.insert(words.end(), {"-I", scratch.string() + "/", source.string()});
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const fs::path messages = scratch / "messages";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, messages.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t child = -1;
  const int problem = posix_spawnp(&child, "nasm", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (problem != 0) {
    return error(
        "nasm cannot be run ({}): install it (Debian: apt install nasm), or give "
        "assembled *.bin files",
        std::strerror(problem));
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return std::string();
  const std::string text = read_text(messages);
  return text.empty() ? std::string("nasm failed without a message\n") : text;
}

std::string indented(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    out += "    " + text.substr(at, end - at) + "\n";
    at = end + 1;
  }
  return out;
}

}  // namespace

Result<AsmReport> run_asm(const AsmOptions& options) {
  const auto files = expand(options.paths);
  if (!files) return files.error();
  ScratchFolder scratch;
  if (scratch.path().empty()) return error("cannot make a temporary folder");
  {
    std::ofstream out(scratch.path() / "case.inc", std::ios::binary);
    out.write(dragoman_case_inc, dragoman_case_inc_end - dragoman_case_inc);
  }
  std::array<std::optional<AsmBench>, 2> benches;
  if (options.engines & 1) benches[0].emplace(BenchEngine::kInterpreter);
  if (options.engines & 2) benches[1].emplace(BenchEngine::kTranslator);

  AsmReport report;
  report.text = fmt::format("{:<28} {:<4} {:>6} {:>12} {:>12}\n", "file", "mode", "cases",
                            "interpreter", "translator");
  std::array<u64, 2> passed_total{};
  u64 cases_total = 0;
  for (const fs::path& path : *files) {
    fs::path binary = path;
    std::string problem;
    if (path.extension() != ".bin") {
      binary = scratch.path() / "case.bin";
      auto messages = assemble(options, path, scratch.path(), binary);
      if (!messages) return messages.error();
      problem = messages.take();
    }
    AsmFile file;
    if (problem.empty()) {
      const std::string bytes = read_text(binary);
      file = parse_asm_file({reinterpret_cast<const u8*>(bytes.data()), bytes.size()});
      problem = file.problem;
    }
    if (!problem.empty()) {
      ++report.broken;
      report.text +=
          fmt::format("{:<28} cannot be run:\n{}", path.filename().string(), indented(problem));
      continue;
    }
    u64 cases = 0;
    std::array<u64, 2> passed{};
    std::string details;
    for (unsigned e = 0; e < 2; ++e) {
      if (!benches[e]) continue;
      cases = 0;
      bool told = false;
      for (const AsmCase& test : file.cases) {
        if (test.name.find(options.only) == std::string::npos) continue;
        ++cases;
        const std::string differences = benches[e]->run(file, test);
        if (differences.empty()) {
          ++passed[e];
          continue;
        }
        if (told && !options.all) continue;
        told = true;
        details += fmt::format("  {} on the {}:\n{}", test.name,
                               e == 0 ? "interpreter" : "translator", indented(differences));
      }
      report.cases += cases;
      report.failed += cases - passed[e];
      passed_total[e] += passed[e];
    }
    cases_total += cases;
    const auto column = [&](unsigned e, u64 good) {
      return benches[e] ? fmt::format("{}", good) : std::string("-");
    };
    report.text +=
        fmt::format("{:<28} {:<4} {:>6} {:>12} {:>12}\n", path.filename().string(),
                    kModeNames[file.mode], cases, column(0, passed[0]), column(1, passed[1]));
    report.text += details;
  }
  report.text += fmt::format("{:<28} {:<4} {:>6} {:>12} {:>12}\n", "all", "", cases_total,
                             benches[0] ? fmt::format("{}", passed_total[0]) : "-",
                             benches[1] ? fmt::format("{}", passed_total[1]) : "-");
  return report;
}

}  // namespace dragoman
