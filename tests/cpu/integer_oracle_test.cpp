// Integer, string and near branch instructions against the host processor, on both engines: for
// every row that is valid in user mode, encodings made from its columns run on both sides with the
// same registers, flags and memory. `dragoman-test host` does the same for all rows.
//
// Flags and results the manual leaves undefined must be those of the host (cpu/README.md), but for
// decimal adjustment on AMD's processors: 16- and 32-bit code is compared without them there.
//
// DRAGOMAN_ORACLE_SECONDS runs longer, DRAGOMAN_ORACLE_SEED starts elsewhere.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <map>

#include "cpu/execute/undefined_flags.h"
#include "cpu/isa/rows.h"
#include "frontends/test/oracle/host_judge.h"

namespace dragoman {
namespace {

void run_rows(CaseMode mode) {
  const bool compare_undefined = kHostFlagStyle == FlagStyle::kIntel || mode == CaseMode::k64;
  auto made = HostJudge::create(3, compare_undefined);
  if (!made) GTEST_SKIP() << made.error().message;
  HostJudge& judge = **made;
  const char* seconds_text = std::getenv("DRAGOMAN_ORACLE_SECONDS");
  const char* seed_text = std::getenv("DRAGOMAN_ORACLE_SEED");
  const double seconds = seconds_text != nullptr ? std::atof(seconds_text) : 0;
  const u64 seed = seed_text != nullptr ? std::strtoull(seed_text, nullptr, 0) : 1;
  const auto start = std::chrono::steady_clock::now();
  std::map<std::string, unsigned> failures;
  unsigned rows_tried = 0;
  for (u64 first_variation = 0;; first_variation += 60) {
    for (u64 form = 0; form < judge.forms().size(); ++form) {
      const Row& r = row(judge.forms()[form].row);
      const OperationInfo& info = operation_info(r.operation);
      if (judge.forms()[form].mode != mode ||
          (info.category != Category::kInteger && info.category != Category::kString &&
           info.category != Category::kBranch)) {
        continue;
      }
      unsigned intended = 0;
      for (u64 i = 0; i < 60; ++i) {
        const CpuCase test = judge.make(seed, (first_variation + i) * judge.forms().size() + form);
        const HostJudge::Verdict verdict = judge.judge(test);
        intended += verdict.intended ? 1 : 0;
        for (unsigned e = 0; e < HostJudge::kEngines; ++e) {
          if (!((verdict.engine_mask >> e) & 1) || ++failures[std::string(info.mnemonic)] > 3) {
            continue;
          }
          ADD_FAILURE() << judge.describe(judge.minimise(test, e, verdict.differences[e].parts), e);
        }
      }
      if (first_variation != 0) continue;
      ++rows_tried;
      EXPECT_GT(intended, 30u) << info.mnemonic << fmt::format(" opcode {:02x}", r.opcode);
    }
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    if (spent.count() >= seconds || failures.size() > 20) break;
  }
  EXPECT_GT(rows_tried, mode == CaseMode::k16 ? 0u : 300u);
  for (const auto& [name, count] : failures) {
    if (count > 3) ADD_FAILURE() << name << ": " << count << " differences";
  }
}

TEST(IntegerOracle, EveryRow64) { run_rows(CaseMode::k64); }

TEST(IntegerOracle, EveryRow32) {
  if (!HostRunner().has_32_bit()) GTEST_SKIP() << "the kernel gives no 32-bit segments";
  run_rows(CaseMode::k32);
}

TEST(IntegerOracle, EveryRow16) {
  if (!HostRunner().has_16_bit()) GTEST_SKIP() << "the kernel gives no 16-bit segments";
  run_rows(CaseMode::k16);
}

}  // namespace
}  // namespace dragoman
