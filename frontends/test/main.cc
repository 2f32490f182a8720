// The program `dragoman-test`: judges of the processor that come from outside.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "frontends/test/vectors_command.h"

int main(int argc, char** argv) {
  using namespace dragoman;
  constexpr int kOk = 0, kDifferent = 1, kHostError = 2;
  CLI::App app{"Tests the processor of Dragoman against captures of real ones.", "dragoman-test"};
  app.require_subcommand(1);
  VectorsOptions options;
  CLI::App* vectors = app.add_subcommand(
      "vectors",
      "Runs public single-instruction vectors (MOO or JSON, also gzip'ed) and prints what "
      "differs.\n"
      "Exit status: 0 nothing unexplained, 1 differences, 2 an option or a file that cannot be "
      "used.");
  vectors->add_option("file", options.paths, "Files of vectors, or folders with such files")
      ->required();
  vectors->add_option("--cpu", options.cpu, "CPU model to run on (default: that of the set)");
  vectors->add_option("--metadata", options.metadata,
                      "Masks of undefined flags (default: metadata.json beside each file)");
  vectors->add_flag("--all", options.all, "Print every difference, not the first of each file");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {  // or --help
    return app.exit(problem) == 0 ? kOk : kHostError;
  }

  const auto report = run_vectors(options);
  if (!report) {
    fmt::print(stderr, "dragoman-test: {}\n", report.error().message);
    return kHostError;
  }
  fmt::print("{}", report->text);
  return report->total.failed == 0 ? kOk : kDifferent;
}
