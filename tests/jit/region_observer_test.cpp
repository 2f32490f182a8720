// What an observer of the translator is told, and that counting runs changes nothing for the guest.
#include "jit/region_observer.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "jit/plan_text.h"
#include "tests/jit/translator_bench.h"

namespace dragoman {
namespace {

using L = BenchLayout;

struct Seen {
  RegionRequest request;
  std::vector<CodeRange> ranges;
  std::size_t code = 0;
  std::vector<std::size_t> blocks;  // instructions of each
  std::vector<std::string> plan;
  std::shared_ptr<RegionCounters> counters;
};

class Witness final : public RegionObserver {
 public:
  void translated(const RegionRecord& r) override {
    Seen& seen = regions[r.id];
    seen = {r.request, {r.ranges.begin(), r.ranges.end()}, r.code.size(), {}, {}, r.counters};
    for (const PlannedBlock& b : r.plan->blocks) {
      seen.blocks.push_back(b.instructions.size());
      for (const PlannedInstruction& p : b.instructions) seen.plan.push_back(plan_line(*r.plan, p));
    }
  }
  void linked(u64 from, u64 to, u64 rip) override { links.push_back({from, to, rip}); }
  void retired(u64 id, RetireCause cause) override { gone[id] = cause; }
  void cache_emptied() override { ++times_emptied; }

  std::map<u64, Seen> regions;
  std::vector<std::array<u64, 3>> links;
  std::map<u64, RetireCause> gone;
  unsigned times_emptied = 0;
};

/// A machine that counts, and its witness.
struct Watched {
  explicit Watched(u64 cache_bytes = 16 * kMiB, void (*change)(TranslatorOptions&) = nullptr)
      : machine(false) {
    options.cache_bytes = cache_bytes;
    options.counters = true;
    options.runs_before_superblock = 1000;
    options.sampling = false;
    if (change != nullptr) change(options);
    machine.translator = std::make_unique<Translator>(*machine.cpu, options);
    machine.translator->set_observer(&witness);
  }
  ~Watched() { machine.translator.reset(); }
  Witness witness;
  TranslatorOptions options;
  BenchMachine machine;
};

/// mov ecx, rounds; loop: mov [rsi], ecx; add rax, [rsi+8]; dec ecx; jnz loop; hlt
std::vector<u8> counting_loop(u32 rounds) {
  Bytes code;
  code({0xb9}).number(rounds, 4);
  const u64 loop = code.size();
  code({0x89, 0x0e, 0x48, 0x03, 0x46, 0x08, 0xff, 0xc9});
  code.branch({0x0f, 0x85}, loop);
  code({0xf4});
  return code;
}

void run_loop(BenchMachine& m, u32 rounds) {
  m.code(L::kCode, counting_loop(rounds));
  m.cpu->state.regs[kRsi] = L::kData;
  m.cpu->state.rip() = L::kCode;
  m.cpu->state.activity = Activity::kRunning;
  while (m.cpu->run(100'000) != RunExit::kHalted) {
  }
}

TEST(RegionObserver, EveryInstructionHasItsCodeInAscendingRanges) {
  Watched watched;
  run_loop(watched.machine, 5000);
  ASSERT_FALSE(watched.witness.regions.empty());
  for (const auto& [id, region] : watched.witness.regions) {
    ASSERT_FALSE(region.ranges.empty());
    EXPECT_EQ(region.ranges.front().begin, 0u);
    EXPECT_EQ(region.ranges.back().part, CodePart::kLeave);
    std::set<std::pair<int, int>> owners;
    for (std::size_t i = 0; i < region.ranges.size(); ++i) {
      const CodeRange& range = region.ranges[i];
      EXPECT_LE(range.begin, region.code);
      if (i != 0) {
        EXPECT_GT(range.begin, region.ranges[i - 1].begin);
      }
      if (range.part == CodePart::kInstruction) owners.insert({range.block, range.instruction});
    }
    for (std::size_t b = 0; b < region.blocks.size(); ++b) {
      for (std::size_t k = 0; k < region.blocks[b]; ++k) {
        EXPECT_TRUE(owners.contains({static_cast<int>(b), static_cast<int>(k)}))
            << "region " << id << " block " << b << " instruction " << k;
      }
    }
  }
}

TEST(RegionObserver, ProbesHaveRareParts) {
  Watched watched;
  run_loop(watched.machine, 100);
  unsigned rare = 0;
  for (const auto& [id, region] : watched.witness.regions) {
    for (const CodeRange& range : region.ranges)
      rare += range.part == CodePart::kRare && range.instruction >= 0 ? 1 : 0;
  }
  EXPECT_GT(rare, 0u);
}

TEST(RegionObserver, CountersAddUpToTheRoundsOfALoop) {
  Watched watched;
  constexpr u32 kRounds = 5000;
  run_loop(watched.machine, kRounds);
  // The loop's block begins with the store; it ran once each round, in the interpreter at first.
  u64 rounds = 0;
  bool superblock = false;
  for (const auto& [id, region] : watched.witness.regions) {
    ASSERT_NE(region.counters, nullptr);
    superblock |= region.request.hot;
    if (region.request.rip != L::kCode + 5) continue;
    for (std::size_t b = 0; b < region.blocks.size(); ++b) rounds += region.counters->blocks[b];
  }
  EXPECT_TRUE(superblock);
  EXPECT_LE(rounds, kRounds);
  EXPECT_GE(rounds, kRounds - 20);
}

/// mov ecx, rounds; loop: rax = cl & 3 ? rbx : rdx; jmp rax; a: dec ecx; jnz loop; hlt; b: nop; jmp
/// a
std::vector<u8> jumping_loop(u32 rounds) {
  Bytes code;
  code({0xb9}).number(rounds, 4);
  const u64 loop = code.size();
  code({0x48, 0x89, 0xd8, 0xf6, 0xc1, 0x03, 0x48, 0x0f, 0x44, 0xc2, 0xff, 0xe0, 0xff, 0xc9});
  code.branch({0x0f, 0x85}, loop);
  code({0xf4, 0x90, 0xeb, 0xf4});
  return code;
}
constexpr u64 kJumpA = L::kCode + 17, kJumpB = L::kCode + 26;

void run_jumping_loop(BenchMachine& m, u32 rounds) {
  m.code(L::kCode, jumping_loop(rounds));
  m.cpu->state.regs[kRbx] = kJumpA;
  m.cpu->state.regs[kRdx] = kJumpB;
  m.cpu->state.rip() = L::kCode;
  while (m.cpu->run(100'000) != RunExit::kHalted) {
  }
}

void expect_sampled_targets(Watched& watched) {
  constexpr u32 kRounds = 100'000;
  run_jumping_loop(watched.machine, kRounds);
  std::map<u64, u64> times;
  u64 counted = 0;
  for (const auto& [id, region] : watched.witness.regions) {
    for (const RegionCounters::Exit& exit : region.counters->exits) {
      if (exit.kind != ExitKind::kState) continue;
      counted += exit.count;
      for (const auto& target : exit.targets) times[target.rip] += exit.times(target);
    }
  }
  EXPECT_GT(counted, kRounds * 9 / 10);
  EXPECT_EQ(times.size(), 2u);
  EXPECT_NEAR(static_cast<double>(times[kJumpA]), 0.75 * static_cast<double>(counted), 5000);
  EXPECT_NEAR(static_cast<double>(times[kJumpB]), 0.25 * static_cast<double>(counted), 5000);
}

TEST(RegionObserver, SamplesWhereIndirectJumpsGo) {
  Watched in_place;
  expect_sampled_targets(in_place);
  Watched shared(16 * kMiB, [](TranslatorOptions& o) { o.returns = false; });
  expect_sampled_targets(shared);
}

TEST(RegionObserver, ExitsCountWithoutLinksToo) {
  Watched watched(16 * kMiB, [](TranslatorOptions& o) { o.links = o.superblocks = false; });
  constexpr u32 kRounds = 10'000;
  run_jumping_loop(watched.machine, kRounds);
  u64 direct = 0;
  for (const auto& [id, region] : watched.witness.regions) {
    for (const RegionCounters::Exit& exit : region.counters->exits)
      direct += exit.rip == kJumpA ? exit.count : 0;
  }
  EXPECT_NEAR(static_cast<double>(direct), kRounds / 4, kRounds / 50);
}

TEST(RegionObserver, TheOnlyTargetHasTheWholeCount) {
  RegionCounters::Exit exit;
  for (exit.count = 1; exit.count <= 1000; ++exit.count) {
    if (--exit.until_sample < 0) exit.sample(0x1234);
  }
  exit.count = 1000;
  ASSERT_EQ(exit.targets.size(), 1u);
  EXPECT_EQ(exit.times(exit.targets[0]), 1000u);
}

TEST(RegionObserver, FrequentTargetsAreNotLostAmongMany) {
  RegionCounters::Exit exit;
  u64 others = 0;
  for (exit.count = 1; exit.count <= 1'000'000; ++exit.count) {
    if (--exit.until_sample < 0) exit.sample(exit.count % 3 == 0 ? 0x1000 : 0x2000 + others++);
  }
  EXPECT_LE(exit.targets.size(), 16u);
  u64 frequent = 0;
  for (const auto& target : exit.targets) {
    if (target.rip == 0x1000) frequent = exit.times(target);
  }
  EXPECT_NEAR(static_cast<double>(frequent), 333'333, 40'000);
}

TEST(RegionObserver, CountingChangesNothingForTheGuest) {
  BenchMachine plain(true);
  Watched watched;
  for (BenchMachine* m : {&plain, &watched.machine}) run_loop(*m, 3000);
  EXPECT_EQ(plain.cpu->state.regs, watched.machine.cpu->state.regs);
  EXPECT_EQ(plain.cpu->state.instructions, watched.machine.cpu->state.instructions);
  EXPECT_EQ(plain.cpu->rflags(), watched.machine.cpu->rflags());
}

TEST(RegionObserver, ChangedCodeRetiresAndASuperblockTakesOver) {
  Watched watched;
  run_loop(watched.machine, 5000);
  unsigned superseded = 0;
  for (const auto& [id, cause] : watched.witness.gone)
    superseded += cause == RetireCause::kSuperseded ? 1 : 0;
  EXPECT_GT(superseded, 0u);
  const std::size_t before = watched.witness.gone.size();
  run_loop(watched.machine, 4000);  // another constant: the bytes change
  unsigned changed = 0;
  for (const auto& [id, cause] : watched.witness.gone)
    changed += cause == RetireCause::kBytesChanged ? 1 : 0;
  EXPECT_GT(changed, 0u);
  EXPECT_GT(watched.witness.gone.size(), before);
}

TEST(RegionObserver, PlansTellOfProbesFlagsAndWays) {
  Watched watched;
  run_loop(watched.machine, 5000);
  std::string all;
  for (const auto& [id, region] : watched.witness.regions) {
    for (const std::string& line : region.plan) all += line + "\n";
  }
  for (const char* part : {"copied", "memory: write of 4 bytes", "memory: read of 8 bytes",
                           "sets pf af zf sf of, wanted later", "reads cf pf af zf sf of",
                           "back to block", "interpreted"})
    EXPECT_NE(all.find(part), std::string::npos) << part << " in\n" << all;
}

TEST(RegionObserver, FlagNames) {
  EXPECT_EQ(flag_names(0), "-");
  EXPECT_EQ(flag_names(kFlagCf | kFlagOf), "cf of");
  EXPECT_EQ(flag_names(kArithmeticFlags), "cf pf af zf sf of");
}

TEST(RegionObserver, NamesWhatLiesInTheFrame) {
  Watched watched;
  const Cpu& cpu = *watched.machine.cpu;
  const auto offset = [&](const void* member) {
    return static_cast<const u8*>(member) - reinterpret_cast<const u8*>(&cpu.frame);
  };
  EXPECT_EQ(frame_member_name(cpu, offset(&cpu.frame.budget)), "budget");
  EXPECT_EQ(frame_member_name(cpu, offset(&cpu.frame.high[1])), "r14");
  EXPECT_EQ(frame_member_name(cpu, offset(&cpu.frame.deltas[3])), "deltas[3]");
  EXPECT_EQ(frame_member_name(cpu, offset(&cpu.state.regs[kRip])), "rip");
}

}  // namespace
}  // namespace dragoman
