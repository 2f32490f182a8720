// `dragoman-test host`: what it finds, what it leaves out, and that a sequence repeats itself.
#include "frontends/test/host_command.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "cpu/decode/decoder.h"
#include "cpu/isa/rows.h"
#include "frontends/test/asm_command.h"
#include "frontends/test/host_worker.h"
#include "frontends/test/oracle/case_file.h"
#include "tests/frontends/process.h"

namespace dragoman {
namespace {

/// Null, after saying why, when this host cannot judge.
std::unique_ptr<HostJudge> judge(unsigned engines = 3) {
  auto made = HostJudge::create(engines, false);
  if (made) return made.take();
  fmt::print("skipped: {}\n", made.error().message);
  return nullptr;
}

TEST(HostJudge, ASequenceRepeatsItself) {
  const auto j = judge(0);
  if (j == nullptr) GTEST_SKIP();
  for (const u64 number : {u64{0}, u64{1234}, u64{98765}, u64{10'000'000'019}}) {
    const CpuCase a = j->make(7, number);
    (void)j->make(7, 5);
    const CpuCase b = j->make(7, number);
    EXPECT_EQ(a.bytes, b.bytes);
    EXPECT_EQ(a.before.regs, b.before.regs);
    EXPECT_EQ(a.before.fpu.ymm, b.before.fpu.ymm);
    ASSERT_EQ(a.memory.size(), b.memory.size());
    for (std::size_t i = 0; i < a.memory.size(); ++i) {
      EXPECT_EQ(a.memory[i].bytes, b.memory[i].bytes);
    }
    EXPECT_NE(a.before.regs, j->make(8, number).before.regs);
  }
}

TEST(HostJudge, MakesWhatTheRowsSay) {
  const bool every_mode = HostRunner().has_32_bit();
  const auto j = judge(0);
  if (j == nullptr) GTEST_SKIP();
  // Nearly all cases decode to the row they were made from; the rest are other rows of the same
  // bytes (NOP and XCHG), or are cut short by a prefix that does not fit.
  const u64 forms = j->forms().size();
  EXPECT_GT(forms, every_mode ? 2500u : 1000u);
  u64 right = 0, plain = 0;
  for (u64 i = 0; i < 4 * forms; ++i) {
    const CpuCase test = j->make(3, i);
    if (test.odd) continue;
    ++plain;
    Instruction insn;
    const DecodeMode mode{static_cast<u8>(case_bits(test.mode))};
    if (decode(test.bytes, mode, insn, j->model().features) != DecodeResult::kOk) continue;
    if (insn.length == test.bytes.size() && insn.row == test.row) ++right;
  }
  EXPECT_GT(plain, 4 * forms * 80 / 100);
  EXPECT_GT(right, plain * 97 / 100);
}

TEST(HostJudge, MakesWhatNoAssemblerMakes) {
  const auto j = judge(0);
  if (j == nullptr) GTEST_SKIP();
  std::map<DecodeResult, u64> whole, cut;
  u64 odd = 0;
  for (u64 i = 0; i < 4 * j->forms().size(); ++i) {
    const CpuCase test = j->make(3, i);
    if (!test.odd) continue;
    ++odd;
    Instruction insn;
    const DecodeMode mode{static_cast<u8>(case_bits(test.mode))};
    ++(test.cut == 0 ? whole : cut)[decode(test.bytes, mode, insn, j->model().features)];
  }
  // Legal ones with superfluous prefixes, illegal and too long ones; inside a page and at its end.
  for (const DecodeResult result :
       {DecodeResult::kOk, DecodeResult::kInvalid, DecodeResult::kTooLong}) {
    EXPECT_GT(whole[result], odd / 25) << static_cast<int>(result);
    EXPECT_GT(cut[result], odd / 100) << static_cast<int>(result);
  }
  EXPECT_EQ(whole[DecodeResult::kNeedMoreBytes] + cut[DecodeResult::kNeedMoreBytes], 0u);
}

TEST(HostJudge, TellsEveryKindOfDifference) {
  CpuCase test;
  test.bytes = {0x48, 0x01, 0xd8};  // add rax, rbx
  auto host = std::make_unique<CpuOutcome>();
  auto guest = std::make_unique<CpuOutcome>();
  const auto parts = [&] { return compare_outcomes(test, *host, *guest, false).parts; };
  EXPECT_EQ(parts(), 0u);
  guest->after.regs[kRbx] = 1;
  EXPECT_EQ(parts(), kPartRegisters);
  guest->after.flags ^= kFlagCf;
  guest->after.fpu.ymm[15][31] = 1;
  guest->after.fpu.mxcsr ^= 1;
  guest->after.fpu.status ^= 1;
  guest->after.selectors[kDs] = 1;
  guest->memory[CaseLayout::kMemoryBytes - 1] = 1;
  guest->rip = 1;
  guest->fault = kVectorGp;
  EXPECT_EQ(parts(), kPartRegisters | kPartFlags | kPartVector | kPartMxcsr | kPartX87 |
                         kPartSegments | kPartMemory | kPartRip | kPartFault);
  *guest = *host;
  host->fault = guest->fault = kVectorPf;
  guest->error = 2;
  EXPECT_EQ(parts(), kPartErrorCode);
  guest->error = 0;
  guest->finished = false;
  EXPECT_EQ(parts(), kPartUnfinished);
}

TEST(HostJudge, UndefinedFlagsCountOnlyWhenAsked) {
  CpuCase test;
  test.bytes = {0xf7, 0xe1};  // mul ecx leaves SF, ZF, AF, PF undefined
  auto host = std::make_unique<CpuOutcome>();
  auto guest = std::make_unique<CpuOutcome>();
  guest->after.flags ^= kFlagSf;
  const OutcomeDifference masked = compare_outcomes(test, *host, *guest, false);
  EXPECT_EQ(masked.parts, 0u);
  EXPECT_EQ(masked.undefined_flags, u32{kFlagSf});
  EXPECT_EQ(compare_outcomes(test, *host, *guest, true).parts, kPartFlags);
  guest->after.flags ^= kFlagSf | kFlagOf;
  EXPECT_EQ(compare_outcomes(test, *host, *guest, false).parts, kPartFlags);
}

TEST(HostJudge, PagesOfTheBenchAreAbsentToAProgram) {
  const auto j = judge();
  if (j == nullptr) GTEST_SKIP();
  CpuCase test;
  test.bytes = {0x8a, 0x00};  // mov al, [rax]
  for (u64 address = 0x200000; address < 0x400000; address += kPageSize) {
    test.before.regs[kRax] = address;
    test.before.regs[kRsp] = CaseLayout::kStack + 0x800;
    const auto verdict = j->judge(test);
    ASSERT_TRUE(verdict.judged);
    EXPECT_EQ(j->host_outcome().fault, kVectorPf);
    ASSERT_EQ(verdict.engine_mask, 0u) << fmt::format("{:#x}", address);
  }
}

TEST(HostJudge, AReproducerIsAFileOfCases) {
  const auto j = judge(1);
  if (j == nullptr) GTEST_SKIP();
  CpuCase test;
  test.bytes = {0x48, 0x01, 0xd8};
  test.before.regs[kRax] = 1;
  test.before.regs[kRbx] = 2;
  test.before.regs[kRsp] = CaseLayout::kStack + 0x800;
  EXPECT_EQ(j->judge(test).engine_mask, 0u);
  const std::string source = case_source(test, j->host_outcome(), "why");
  EXPECT_NE(source.find("; why\n"), std::string::npos);
  EXPECT_NE(source.find("expect rax, 0x3\n"), std::string::npos);
  EXPECT_NE(source.find("db 0x48, 0x01, 0xd8\n"), std::string::npos);
  test.mode = CaseMode::k16;
  EXPECT_EQ(case_source(test, j->host_outcome(), ""), "");
}

TEST(HostJudge, ReproducersPassAsFiles) {
  if (std::system("nasm -v >/dev/null 2>&1") != 0) GTEST_SKIP() << "nasm is not installed";
  const auto j = judge(1);
  if (j == nullptr) GTEST_SKIP();
  TemporaryDirectory directory;
  unsigned files = 0;
  for (u64 n = 0; files < 80; ++n) {
    const CpuCase test = j->make(5, n * 131);
    // Selectors are the mode's own in these files.
    if (operation_info(row(test.row).operation).category == Category::kSystem) continue;
    const HostJudge::Verdict verdict = j->judge(test);
    if (!verdict.judged || verdict.engine_mask != 0 || verdict.differences[0].explained != nullptr)
      continue;
    const std::string source = case_source(test, j->host_outcome(), describe_instruction(test));
    if (source.empty()) continue;
    (void)directory.write(fmt::format("case{}.asm", n * 131), source);
    ++files;
  }
  const auto report = run_asm({{directory.file("")}, {}, 1, "", true});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->cases, 80u);
  EXPECT_EQ(report->failed + report->broken, 0u) << report->text;
}

TEST(HostWorker, FindingsPassThroughAPipe) {
  Finding a{FindingKind::kDifference, 42, "key", std::string("te\0xt", 5)}, got;
  std::string bytes = pack(a) + pack({FindingKind::kCount, 7, "k", ""});
  std::string part = bytes.substr(0, 20);
  EXPECT_FALSE(unpack(part, got));
  ASSERT_TRUE(unpack(bytes, got));
  EXPECT_EQ(got.kind, FindingKind::kDifference);
  EXPECT_EQ(got.number, 42u);
  EXPECT_EQ(got.text, a.text);
  ASSERT_TRUE(unpack(bytes, got));
  EXPECT_EQ(got.number, 7u);
  EXPECT_TRUE(bytes.empty());
}

TEST(HostCommand, GoesOnWhereItStopped) {
  if (judge(0) == nullptr) GTEST_SKIP();
  TemporaryDirectory directory;
  HostOptions options;
  options.engines = 1;
  options.jobs = 2;
  options.count = 3000;
  options.resume = directory.file("progress");
  auto report = run_host(options);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->cases, 3000u);
  options.count = 5000;
  report = run_host(options);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->cases, 5000u);
  EXPECT_NE(read_file(options.resume).find("\"next\":5000"), std::string::npos);
  const char* expected = HostRunner().has_16_bit() ? "16-bit in a local descriptor table"
                                                   : "16-bit not judged: the host's kernel gives";
  EXPECT_NE(report->text.find(expected), std::string::npos) << report->text;

  // What was found before is told again at the end.
  std::string progress = read_file(options.resume);
  const std::size_t texts = progress.find("\"texts\":{");
  ASSERT_NE(texts, std::string::npos);
  progress.replace(texts, 9, "\"texts\":{\"add\":\"an older finding\"");
  options.resume = directory.write("older", progress);
  report = run_host(options);
  ASSERT_TRUE(report);
  EXPECT_NE(report->text.find("an older finding"), std::string::npos);

  options.seed = 2;
  EXPECT_FALSE(run_host(options));
  options.resume = directory.write("other", "not a record");
  EXPECT_FALSE(run_host(options));
  options.resume.clear();
  options.only = "nonsense";
  EXPECT_FALSE(run_host(options));
}

}  // namespace
}  // namespace dragoman
