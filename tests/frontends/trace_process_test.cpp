// -trace and -d of a whole machine: what the processor did is in them, not only what was
// translated.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "base/types.h"
#include "tests/frontends/process.h"

namespace dragoman {
namespace {

using Json = nlohmann::json;

Finished run_built_in(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(),
                   {"-m", "32", "-icount", "shift=3", "-serial", "stdio", "-expect", "> "});
  arguments.insert(arguments.end(), {"-timeout", "60"});
  return run_dragoman(arguments, 80);
}

TEST(TraceProcess, TimelineHasWhatHappened) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("trace.json");
  const Finished run = run_built_in({"-trace", path});
  ASSERT_EQ(run.code, 0) << run.err;
  const Json trace = Json::parse(read_file(path));
  const Json& timeline = trace["timeline"];
  std::map<std::string, u64> sums;
  for (const Json& slot : timeline["slots"]) {
    for (std::size_t i = 0; i < timeline["counts"].size(); ++i) {
      sums[timeline["counts"][i]] += slot[i].get<u64>();
    }
  }
  // Firmware and a boot sector: interrupts of the timer, BIOS calls, devices.
  EXPECT_GT(sums["real mode"], 0u);
  EXPECT_GT(sums["interrupts"], 0u);
  EXPECT_GT(sums["software interrupts"], 0u);
  EXPECT_GT(sums["port writes"], 0u);
  EXPECT_GT(sums["translations"], 0u);
  EXPECT_FALSE(timeline["phases"].empty());
  EXPECT_FALSE(timeline["events"].empty());
  EXPECT_FALSE(timeline["vectors"].empty());
}

TEST(TraceProcess, TextLogHasEveryCategory) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("log");
  const Finished run = run_built_in({"-d", "in_asm,op,out_asm,int,mmu,page", "-D", path});
  ASSERT_EQ(run.code, 0) << run.err;
  const std::string log = read_file(path);
  for (const char* word :
       {"f000:000000000000fff0 jmp", "OP: #", "OUT: #", "int vector=", "MMU: "}) {
    EXPECT_NE(log.find(word), std::string::npos) << word;
  }
}

}  // namespace
}  // namespace dragoman
