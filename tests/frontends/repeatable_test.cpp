// Runs with -icount repeat exactly: the same serial log, number of instructions and memory.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/frontends/process.h"

namespace dragoman {
namespace {

struct Outcome {
  std::string serial;
  std::string state;  ///< "instructions N hash H"
  bool operator==(const Outcome&) const = default;
};

Outcome run_once(std::vector<std::string> arguments) {
  const TemporaryDirectory directory;
  const std::string log = directory.file("serial");
  arguments.insert(arguments.end(), {"-icount", "shift=3", "-serial", "file:" + log, "-state-hash",
                                     "-timeout", kHangTimeout});
  const Finished run = run_dragoman(arguments);
  EXPECT_EQ(run.code, 0) << run.err;
  const std::size_t at = run.err.find("instructions ");
  EXPECT_NE(at, std::string::npos) << run.err;
  Outcome outcome{read_file(log), at == std::string::npos ? "" : run.err.substr(at)};
  EXPECT_FALSE(outcome.serial.empty());
  return outcome;
}

TEST(Repeatable, FirmwareAndBuiltInImage) {
  const std::vector<std::string> arguments = {"-m",      "64", "-device", "virtio-rng-pci",
                                              "-expect", "> "};
  const Outcome first = run_once(arguments);
  EXPECT_EQ(run_once(arguments), first);
  // Another memory size must not give the same hash: the hash sees the machine.
  EXPECT_NE(run_once({"-m", "65", "-expect", "> "}).state, first.state);
}

/// The newest kernel installed on this host, or "".
std::string installed_kernel() {
  std::vector<std::string> found;
  if (const char* given = std::getenv("DRAGOMAN_TEST_KERNEL")) return given;
  std::error_code problem;
  for (const auto& entry : std::filesystem::directory_iterator("/boot", problem)) {
    if (entry.path().filename().string().starts_with("vmlinuz-")) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found.empty() ? "" : found.back();
}

TEST(Repeatable, LinuxUntilItLooksForItsRootDisk) {
  const std::string kernel = installed_kernel();
  if (kernel.empty() || access(kernel.c_str(), R_OK) != 0) {
    GTEST_SKIP() << "no readable /boot/vmlinuz-*; install a kernel or set DRAGOMAN_TEST_KERNEL";
  }
  const std::vector<std::string> arguments = {"-m",         "256",     "-kernel",
                                              kernel,       "-append", "console=ttyS0 panic=-1",
                                              "-no-reboot", "-expect", "Kernel panic"};
  const Outcome first = run_once(arguments);
  EXPECT_EQ(run_once(arguments), first);
  EXPECT_NE(first.serial.find("Linux version"), std::string::npos);
}

}  // namespace
}  // namespace dragoman
