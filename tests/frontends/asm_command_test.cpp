// `dragoman-test asm` on files written here.
#include "frontends/test/asm_command.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/frontends/process.h"

namespace dragoman {
namespace {

bool have_nasm() { return std::system("nasm -v >/dev/null 2>&1") == 0; }

constexpr const char* kGood = R"(
%define MODE u64
%include "case.inc"
case "add wraps to zero"
        given rax, -1
        given rcx, 1
        expect rax, 0
        expect rflags, CF | ZF | AF | PF, ARITH
begin
        add rax, rcx
done
case "a vector register, the rest stays"
        vectors
        given_ymm 1, 1, 2, 3, 4
        given_ymm 2, 10, 20, 30, 40
        expect_ymm 1, 11, 22, 33, 44
begin
        vpaddq ymm1, ymm1, ymm2
done
case "x87"
        vectors
        given_x87 0, 0x8000000000000000, 0x3fff
        given ftw, 1
        expect_x87 0, 0x8000000000000000, 0xbfff
begin
        fchs
done
end_of_cases
)";

TEST(AsmCommand, RunsCasesOnBothEngines) {
  if (!have_nasm()) GTEST_SKIP() << "nasm is not installed";
  TemporaryDirectory directory;
  const auto report = run_asm({{directory.write("good.asm", kGood)}, {}, 3, "", false});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->text.find("expected"), std::string::npos) << report->text;
  EXPECT_EQ(report->cases, 6u);
  EXPECT_EQ(report->failed, 0u);
  EXPECT_EQ(report->broken, 0u);
}

TEST(AsmCommand, TellsWhatIsWrong) {
  if (!have_nasm()) GTEST_SKIP() << "nasm is not installed";
  TemporaryDirectory directory;
  std::string wrong = kGood;
  wrong.replace(wrong.find("expect rax, 0"), 13, "expect rax, 5");
  wrong.replace(wrong.find("33, 44"), 6, "33, 45");
  (void)directory.write("wrong.asm", wrong);
  (void)directory.write("broken.asm", "%define MODE u64\n%include \"case.inc\"\n  nonsense here\n");
  AsmOptions options{{directory.file("")}, {}, 1, "", true};
  auto report = run_asm(options);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->cases, 3u);
  EXPECT_EQ(report->failed, 2u);
  EXPECT_EQ(report->broken, 1u);
  EXPECT_NE(report->text.find("rax: expected 5, actual 0"), std::string::npos) << report->text;
  EXPECT_NE(report->text.find("ymm 1: expected"), std::string::npos) << report->text;
  options.only = "x87";
  report = run_asm(options);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->cases, 1u);
  EXPECT_EQ(report->failed, 0u);
}

TEST(AsmCommand, NothingToRunIsAnError) {
  TemporaryDirectory directory;
  EXPECT_FALSE(run_asm({{directory.file("")}, {}, 3, "", false}));
  EXPECT_FALSE(run_asm({{directory.file("absent.asm")}, {}, 3, "", false}));
  const auto report = run_asm({{directory.write("bad.bin", "junk")}, {}, 3, "", false});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->broken, 1u);
}

}  // namespace
}  // namespace dragoman
