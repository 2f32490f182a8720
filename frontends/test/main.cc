// The program `dragoman-test`: judges of the processor that come from outside.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "frontends/test/asm_command.h"
#include "frontends/test/host_command.h"
#include "frontends/test/vectors_command.h"

namespace {

constexpr int kOk = 0, kDifferent = 1, kHostError = 2;

int fail(const std::string& message) {
  fmt::print(stderr, "dragoman-test: {}\n", message);
  return kHostError;
}

/// "interpreter", "translator" or "both" as bits.
const std::map<std::string, unsigned> kEngineNames = {
    {"interpreter", 1}, {"translator", 2}, {"both", 3}};

}  // namespace

int main(int argc, char** argv) {
  using namespace dragoman;
  CLI::App app{"Tests the processor of Dragoman against real ones, their captures and the manual.",
               "dragoman-test"};
  app.require_subcommand(1);
  app.footer(
      "Exit status: 0 no difference, 1 differences, 2 an option or a file that cannot be used.");

  VectorsOptions vector_options;
  CLI::App* vectors = app.add_subcommand(
      "vectors",
      "Runs public single-instruction vectors (MOO or JSON, also gzip'ed) and prints what "
      "differs.\n"
      "Exit status: 0 nothing unexplained, 1 differences, 2 an option or a file that cannot be "
      "used.");
  vectors->add_option("file", vector_options.paths, "Files of vectors, or folders with such files")
      ->required();
  vectors->add_option("--cpu", vector_options.cpu,
                      "CPU model to run on (default: that of the set)");
  vectors
      ->add_option("--engine", vector_options.engine,
                   "interpreter (default) or translator; the 8086's are interpreted on both")
      ->transform(CLI::CheckedTransformer(std::map<std::string, BenchEngine>{
          {"interpreter", BenchEngine::kInterpreter}, {"translator", BenchEngine::kTranslator}}));
  vectors->add_option("--metadata", vector_options.metadata,
                      "Masks of undefined flags (default: metadata.json beside each file)");
  vectors->add_flag("--all", vector_options.all,
                    "Print every difference, not the first of each file");

  HostOptions host_options;
  CLI::App* host = app.add_subcommand(
      "host",
      "Runs generated instructions with generated states on this computer's processor, the "
      "interpreter and the translator, and compares everything.");
  host->add_option("--count", host_options.count, "Length of the sequence of cases (100000)");
  host->add_option("--seed", host_options.seed, "Which sequence (1)");
  host->add_option("--jobs", host_options.jobs, "Processes (default: one per host processor)");
  host->add_option("--engine", host_options.engines, "interpreter, translator or both")
      ->transform(CLI::CheckedTransformer(kEngineNames));
  host->add_flag("--undefined", host_options.undefined,
                 "Also compare flags and results that the manual leaves undefined");
  host->add_option("--resume", host_options.resume,
                   "Remember in this file how far the sequence got, and go on from there");
  host->add_option("--save", host_options.save,
                   "Write a reproducer of each kind of difference into this folder, as a file for "
                   "'dragoman-test asm'");
  host->add_option("--only", host_options.only, "Instructions of this mnemonic only");
  host->add_option("--case", host_options.single, "One case by its number, printed in full");

  AsmOptions asm_options;
  CLI::App* assembly = app.add_subcommand(
      "asm", "Runs files of cases (tests/asm/README.md) on both engines. Needs nasm on the path.");
  assembly
      ->add_option("file", asm_options.paths, "Files *.asm, assembled *.bin, or folders with *.asm")
      ->required();
  assembly->add_option("-I,--include", asm_options.includes, "Further folders for %include");
  assembly->add_option("--engine", asm_options.engines, "interpreter, translator or both")
      ->transform(CLI::CheckedTransformer(kEngineNames));
  assembly->add_option("--only", asm_options.only, "Cases whose name contains this");
  assembly->add_flag("--all", asm_options.all, "Print every failing case, not the first of a file");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {  // or --help
    return app.exit(problem) == 0 ? kOk : kHostError;
  }

  if (host->parsed()) {
    const auto report = run_host(host_options);
    if (!report) return fail(report.error().message);
    fmt::print("{}", report->text);
    return report->differences == 0 ? kOk : kDifferent;
  }
  if (assembly->parsed()) {
    const auto report = run_asm(asm_options);
    if (!report) return fail(report.error().message);
    fmt::print("{}", report->text);
    return report->failed + report->broken == 0 ? kOk : kDifferent;
  }
  const auto report = run_vectors(vector_options);
  if (!report) return fail(report.error().message);
  fmt::print("{}", report->text);
  return report->total.failed == 0 ? kOk : kDifferent;
}
