#include "base/log.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

namespace dragoman {
namespace {

struct LogTest : testing::Test {
  std::string path = testing::TempDir() + "dragoman_log_test.txt";
  std::unique_ptr<Log> log = std::make_unique<Log>();

  void SetUp() override { ASSERT_TRUE(log->open(path).ok()); }
  void TearDown() override { std::remove(path.c_str()); }
  std::string text() {
    log.reset();  // closes the file
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

TEST_F(LogTest, WritesOnlyEnabledCategories) {
  ASSERT_TRUE(log->enable("int,guest_errors").ok());
  EXPECT_TRUE(log->enabled(LogCategory::kInterrupt));
  EXPECT_TRUE(log->enabled(LogCategory::kGuestErrors));
  EXPECT_FALSE(log->enabled(LogCategory::kExec));
  log->write(LogCategory::kInterrupt, "vector {:#x}", 14);
  log->write(LogCategory::kExec, "nop");
  EXPECT_EQ(text(), "vector 0xe\n");
}

TEST_F(LogTest, EnablingAddsToWhatIsEnabled) {
  ASSERT_TRUE(log->enable("int").ok());
  ASSERT_TRUE(log->enable("exec").ok());
  EXPECT_TRUE(log->enabled(LogCategory::kInterrupt));
  EXPECT_TRUE(log->enabled(LogCategory::kExec));
}

TEST_F(LogTest, UnknownCategoryIsAnErrorThatNamesItAndTheKnownOnes) {
  const auto result = log->enable("int,bogus");
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message.find("'bogus'"), std::string::npos);
  EXPECT_NE(result.error().message.find("guest_errors"), std::string::npos);
}

TEST_F(LogTest, EveryCategoryHasAName) {
  ASSERT_TRUE(
      log->enable("int,in_asm,exec,guest_errors,unimp,jit-stats,cpu,op,out_asm,mmu,page").ok());
  for (unsigned n = 0; n <= 10; ++n) EXPECT_TRUE(log->enabled(static_cast<LogCategory>(1u << n)));
}

TEST_F(LogTest, OnceReportsEachKeyOnce) {
  for (int i = 0; i < 3; ++i) {
    log->once("chip.5", "chip: register 5 is not implemented ({})", i);
    log->once("chip.6", "chip: register 6 is not implemented");
  }
  EXPECT_EQ(text(),
            "chip: register 5 is not implemented (0)\nchip: register 6 is not implemented\n");
}

TEST_F(LogTest, UnimpReportsEveryTime) {
  ASSERT_TRUE(log->enable("unimp").ok());
  for (int i = 0; i < 3; ++i) log->once("chip.5", "use {}", i);
  EXPECT_EQ(text(), "use 0\nuse 1\nuse 2\n");
}

TEST_F(LogTest, TwoLogsRememberSeparately) {
  Log other;
  ASSERT_TRUE(other.open(path + ".other").ok());
  other.once("key", "other");
  log->once("key", "this");
  std::remove((path + ".other").c_str());
  EXPECT_EQ(text(), "this\n");
}

TEST_F(LogTest, AFileThatCannotBeOpenedIsAnErrorAndOutputStaysWhereItWas) {
  const auto result = log->open("/nonexistent/folder/log");
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message.find("/nonexistent/folder/log"), std::string::npos);
  log->write_line("still here");
  EXPECT_EQ(text(), "still here\n");
}

}  // namespace
}  // namespace dragoman
