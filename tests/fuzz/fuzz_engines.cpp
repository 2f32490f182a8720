// Random programs on interpreter and translator: both must end in the same state, whatever the
// program does. A difference is made small and written to a file.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <span>
#include <type_traits>

#include "tests/fuzz/fuzz_machine.h"
#include "tests/fuzz/program_maker.h"

namespace dragoman {
namespace {

/// Removes what the difference does not need.
class Minimizer {
 public:
  explicit Minimizer(FuzzPair& pair) : pair_(pair) {}

  FuzzProgram shrink(FuzzProgram program) {
    for (bool smaller = true; smaller && tries_ < kMaxTries;) {
      smaller = false;
      // Large pieces first.
      for (std::size_t size = std::max<std::size_t>(1, program.parts.size() / 2); size != 0;
           size /= 2) {
        for (std::size_t from = 0; from < program.parts.size(); from += size) {
          FuzzProgram less = program;
          bool changed = false;
          for (std::size_t i = from; i < std::min(from + size, program.parts.size()); ++i) {
            if (less.removed(less.parts[i])) continue;
            less.remove(less.parts[i]);
            less.limit += less.parts[i].bytes;  // NOPs count as instructions
            changed = true;
          }
          if (changed && keep(program, less)) smaller = true;
        }
      }
      const auto simpler = [&](auto&& change) {
        FuzzProgram less = program;
        change(less);
        if (less.print() != program.print() && keep(program, less)) smaller = true;
      };
      simpler([](FuzzProgram& p) { p.schedule = 0; });
      simpler([](FuzzProgram& p) { p.rounds = 1; });
      simpler([](FuzzProgram& p) { p.rounds = std::min(p.rounds, 2u); });
      simpler([](FuzzProgram& p) { p.flags = 2; });
      simpler([](FuzzProgram& p) { p.flags &= 0xcff; });
      simpler([](FuzzProgram& p) { p.cr0_bits = p.cr4_bits = 0; });
      simpler([](FuzzProgram& p) { p.selectors = {}; });
      simpler([](FuzzProgram& p) { p.mxcsr = 0x1f80, p.fpu_control = 0x37f; });
      for (unsigned i = 0; i < 16; ++i) simpler([&](FuzzProgram& p) { p.regs[i] = 0; });
      for (u32 limit = program.limit / 2; limit > 1; limit /= 2) {
        simpler([&](FuzzProgram& p) { p.limit = std::min(p.limit, limit); });
      }
    }
    for (unsigned i = 0; i < 64 && program.limit > 1; ++i) {  // to the first wrong instruction
      FuzzProgram less = program;
      --less.limit;
      if (!keep(program, less)) break;
    }
    return program;
  }

 private:
  static constexpr unsigned kMaxTries = 20000;
  bool keep(FuzzProgram& program, const FuzzProgram& less) {
    if (++tries_ > kMaxTries || pair_.run(less).empty()) return false;
    program = less;
    return true;
  }
  FuzzPair& pair_;
  unsigned tries_ = 0;
};

struct Options {
  u64 count = 0;
  double seconds = 0;
  u64 seed = 1;
  std::string resume;
  std::string mode;
  std::string translator;
  std::string replay;
  std::string directory = ".";
  unsigned failures = 1;
  bool no_minimize = false;
};

int fail(const std::string& text) {
  fmt::print(stderr, "fuzz_engines: {}\n", text);
  return 2;
}

Result<TranslatorOptions> translator_options(const std::string& text) {
  TranslatorOptions options;
  options.cache_bytes = kMiB;  // so that it fills up now and then
  options.runs_before_translation = 1;
  options.runs_before_superblock = 3;
  options.sampling = false;
  options.instructions_before_window = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string item = text.substr(at, end - at);
    const std::size_t equals = std::min(item.find('='), item.size());
    const std::string value = equals < item.size() ? item.substr(equals + 1) : "";
    Result<void> set = set_translator_option(options, item.substr(0, equals), value);
    if (!set.ok()) return set.error();
    at = end + 1;
  }
  return options;
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

int replay(FuzzPair& pair, const std::string& path) {
  const std::string text = read_file(path);
  if (text.empty()) return fail(fmt::format("'{}' cannot be read or is empty", path));
  Result<FuzzProgram> program = FuzzProgram::parse(text);
  if (!program.ok()) return fail(fmt::format("{}: {}", path, program.error().message));
  const std::string difference = pair.run(program.value());
  fmt::print("{}\n{}", fuzz_mode_name(program.value().mode), program.value().disassembly());
  fmt::print("{}", difference.empty() ? "both engines agree\n" : difference);
  return difference.empty() ? 0 : 1;
}

int run(const Options& o) {
  Result<TranslatorOptions> options = translator_options(o.translator);
  if (!options.ok()) return fail(options.error().message);
  FuzzPair pair(options.value());
  if (!o.replay.empty()) return replay(pair, o.replay);
  FuzzProgramMaker maker(pair.model().features);
  FuzzMode mode = FuzzMode::kCount;
  for (unsigned i = 0; i < static_cast<unsigned>(FuzzMode::kCount); ++i) {
    if (fuzz_mode_name(static_cast<FuzzMode>(i)) == o.mode) mode = static_cast<FuzzMode>(i);
  }
  if (!o.mode.empty() && mode == FuzzMode::kCount) {
    std::string known;
    for (unsigned i = 0; i < static_cast<unsigned>(FuzzMode::kCount); ++i) {
      known += fmt::format(" {}", fuzz_mode_name(static_cast<FuzzMode>(i)));
    }
    return fail(fmt::format("there is no mode '{}'; there are{}", o.mode, known));
  }
  u64 number = 0;
  if (!o.resume.empty()) number = std::strtoull(read_file(o.resume).c_str(), nullptr, 10);
  const u64 first = number;
  const auto begin = std::chrono::steady_clock::now();
  const auto spent = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  const auto save_position = [&] {
    if (o.resume.empty()) return;
    std::ofstream(o.resume) << number << '\n';
  };
  u64 instructions = 0;
  unsigned found = 0;
  std::map<std::string_view, u64> modes;
  for (;; ++number) {
    if (o.count != 0 && number - first >= o.count) break;
    if (number % 256 == 0) {
      if (o.seconds > 0 && spent() >= o.seconds) break;
      if (number % 65536 == 0) save_position();
    }
    const u64 seed = o.seed * 0x9e3779b97f4a7c15 + number;
    FuzzProgram program = o.mode.empty() ? maker.make(seed) : maker.make(seed, mode);
    std::string difference = pair.run(program);
    instructions += pair.instructions();
    ++modes[fuzz_mode_name(program.mode)];
    if (difference.empty()) continue;
    ++found;
    fmt::print("program {} of seed {} differs:\n{}", number, o.seed, difference);
    // On machines without a past, so that the file will do the same.
    FuzzPair fresh(options.value());
    if (fresh.run(program).empty()) {
      fmt::print("not when run alone: it needs the programs before it (--seed {}, {} programs)\n",
                 o.seed, number + 1);
    } else if (!o.no_minimize) {
      program = Minimizer(fresh).shrink(program);
      difference = fresh.run(program);
      fmt::print("made smaller ({}):\n{}{}", fuzz_mode_name(program.mode), program.disassembly(),
                 difference);
    }
    const std::string path = fmt::format("{}/fuzz-{}-{}.txt", o.directory, o.seed, number);
    std::ofstream out(path);
    out << program.print();
    out.close();
    if (!out) return fail(fmt::format("'{}' cannot be written; see --directory", path));
    fmt::print("run it again with --replay {}\n", path);
    std::fflush(stdout);
    if (found >= o.failures) {
      ++number;
      break;
    }
  }
  save_position();
  const u64 done = number - first;
  fmt::print(
      "{} programs, {} instructions, {} blocks translated, {} differences, {:.0f} programs/s\n",
      done, instructions, pair.blocks_translated(), found,
      static_cast<double>(done) / std::max(spent(), 1e-3));
  if (pair.unspecified() != 0)
    fmt::print("{} of them wrote their own page tables and differed, as they may\n",
               pair.unspecified());
  for (const auto& [name, n] : modes) fmt::print("  {:10} {}\n", name, n);
  return found == 0 ? 0 : 1;
}

/// The options of the command line, each with a value but for the last two.
struct OptionInfo {
  std::string_view name, help;
};
constexpr OptionInfo kOptions[] = {
    {"--count", "programs to run (100000 unless --seconds is given)"},
    {"--seconds", "time to run (no limit)"},
    {"--seed", "another sequence of programs (1)"},
    {"--resume", "file with the number of the next program, kept up to date"},
    {"--mode", "one mode only, such as user64"},
    {"--jit-options", "as after -accel jit: superblocks=off,..."},
    {"--replay", "run the program in this file"},
    {"--directory", "where differing programs are written (.)"},
    {"--failures", "stop after so many differences (1)"},
    {"--no-minimize", "leave differing programs as they are (no value)"},
    {"--help", "this (no value)"},
};

int main_with(std::span<char*> arguments) {
  Options o;
  const auto number = [](const std::string& text, auto& out) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || !(value >= 0) || value > 1e18) return false;
    out = static_cast<std::remove_reference_t<decltype(out)>>(value);
    return true;
  };
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string_view name = arguments[i];
    if (name == "--help") {
      fmt::print("Random programs on interpreter and translator, compared.\n");
      for (const OptionInfo& info : kOptions) fmt::print("  {:14} {}\n", info.name, info.help);
      return 0;
    }
    if (name == "--no-minimize") {
      o.no_minimize = true;
      continue;
    }
    const bool known = std::any_of(std::begin(kOptions), std::end(kOptions),
                                   [&](const OptionInfo& info) { return info.name == name; });
    if (!known) return fail(fmt::format("there is no option '{}'; see --help", name));
    if (++i == arguments.size()) return fail(fmt::format("{} needs a value; see --help", name));
    const std::string value = arguments[i];
    bool good = true;
    if (name == "--count") good = number(value, o.count);
    if (name == "--seconds") good = number(value, o.seconds);
    if (name == "--seed") good = number(value, o.seed);
    if (name == "--failures") good = number(value, o.failures);
    if (name == "--resume") o.resume = value;
    if (name == "--mode") o.mode = value;
    if (name == "--jit-options") o.translator = value;
    if (name == "--replay") o.replay = value;
    if (name == "--directory") o.directory = value;
    if (!good) return fail(fmt::format("'{} {}' needs a number", name, value));
  }
  if (o.count == 0 && o.seconds <= 0) o.count = 100000;
  return run(o);
}

}  // namespace
}  // namespace dragoman

int main(int argc, char** argv) {
  return dragoman::main_with({argv, static_cast<std::size_t>(argc)});
}
