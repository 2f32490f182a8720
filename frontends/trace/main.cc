// The program `dragoman-trace`: what the translator makes of a file of bare code.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

#include "frontends/cli/session.h"
#include "frontends/cli/version.h"
#include "frontends/trace/snippet.h"

namespace dragoman {
namespace {

constexpr std::array<std::string_view, 16> kRegisters = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                                         "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                                         "r12", "r13", "r14", "r15"};

Result<u64> number_of(std::string_view option, std::string_view text) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  const std::string_view digits = hex ? text.substr(2) : text;
  u64 value = 0;
  const auto [end, problem] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, hex ? 16 : 10);
  if (problem != std::errc{} || end != digits.data() + digits.size() || digits.empty())
    return error("'{}' in {} is not a number; write 4096 or 0x1000", text, option);
  return value;
}

Result<void> take_registers(const std::string& text, SnippetOptions& options) {
  KeyValues values = KeyValues::parse(text, "");
  while (const auto item = values.take_first()) {
    if (item->first.empty())
      return error("'{}' in --set has no value; write {}=0x1000", item->second, item->second);
    const auto at = std::find(kRegisters.begin(), kRegisters.end(), item->first);
    if (at == kRegisters.end())
      return error("'{}' in --set is no general register; use rax ... r15", item->first);
    auto value = number_of("--set", item->second);
    if (!value) return value.error();
    options.registers.emplace_back(static_cast<unsigned>(at - kRegisters.begin()), *value);
  }
  return {};
}

Result<void> take_switches(const std::vector<std::string>& texts, SnippetOptions& options) {
  for (const std::string& text : texts) {
    KeyValues values = KeyValues::parse(text, "");
    while (const auto item = values.take_first()) {
      if (auto ok = set_translator_option(options.translator, item->first, item->second); !ok)
        return ok;
    }
  }
  return {};
}

int run(int argc, char** argv) {
  CLI::App app("Dragoman " DRAGOMAN_VERSION
               ": shows what the translator makes of a file of bare x86 code.");
  app.name("dragoman-trace");
  SnippetOptions options;
  std::string base, trace, registers, instructions;
  std::vector<std::string> symbols, switches;
  app.add_option("FILE", options.file, "Code without any header, as nasm -f bin makes it")
      ->required();
  app.add_option("--mode", options.bits, "16 (real mode), 32 or 64 (default)")
      ->check(CLI::IsMember({16, 32, 64}));
  app.add_option("--base", base, "Address of the first byte (0x7c00, 0x100000, 0x400000)");
  app.add_option("-o,--output", trace,
                 "FILE.html, .json or .trace.json, with the options of dragoman -trace; "
                 "without it the text of -d op,out_asm goes to standard output");
  app.add_option("--run", instructions,
                 "Execute so many instructions from the first byte on, as a machine would, instead "
                 "of translating all that can be reached");
  app.add_option("--set", registers, "Registers at the start: rcx=1000,rsi=0x200000; others are 0");
  app.add_option("--jit", switches, "Options of the translator: links=off,probes=off ...");
  app.add_option("--symbols", symbols, "Names: a System.map or an ELF file");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return kExitOk;
  } catch (const CLI::ParseError& problem) {
    fmt::print(stderr, "dragoman-trace: {}; 'dragoman-trace -h' lists all options\n",
               problem.what());
    return kExitUsage;
  }
  for (int i = 0; i < argc; ++i) options.command += (i == 0 ? "" : " ") + std::string(argv[i]);
  const auto take = [&]() -> Result<void> {
    if (!base.empty()) {
      auto value = number_of("--base", base);
      if (!value) return value.error();
      options.base = *value;
    }
    if (!instructions.empty()) {
      auto value = number_of("--run", instructions);
      if (!value) return value.error();
      options.run = *value;
    }
    if (!trace.empty()) {
      auto parsed = parse_trace_options(trace);
      if (!parsed) return parsed.error();
      options.trace = parsed.take();
    }
    for (const std::string& text : symbols) {
      auto file = parse_symbol_file(text);
      if (!file) return file.error();
      options.symbols.push_back(file.take());
    }
    if (auto ok = take_registers(registers, options); !ok) return ok;
    return take_switches(switches, options);
  };
  if (auto ok = take(); !ok) {
    fmt::print(stderr, "dragoman-trace: {}\n", ok.error().message);
    return kExitUsage;
  }
  if (auto done = trace_snippet(options); !done) {
    fmt::print(stderr, "dragoman-trace: {}\n", done.error().message);
    return kExitHostError;
  }
  return kExitOk;
}

}  // namespace
}  // namespace dragoman

int main(int argc, char** argv) { return dragoman::run(argc, argv); }
