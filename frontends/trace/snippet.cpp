#include "frontends/trace/snippet.h"

#include <algorithm>
#include <set>

#include "bios/file.h"
#include "cpu/isa/rows.h"
#include "jit/translator.h"

namespace dragoman {
namespace {

constexpr u64 kMostBytes = 16 * kMiB;
constexpr u64 kRam = 32 * kMiB, kMostRam = kGiB;
constexpr u64 kAbove = kMiB;  // behind the code: stack, then the tables of 64-bit mode
constexpr u64 kStackBelow = 64 * kKiB;
constexpr u8 kHlt = 0xf4;  // stands behind the code, so that nothing runs on into zeroes
constexpr unsigned kHlts = 16;
constexpr std::size_t kMostBlocks = 20'000;

u64 default_base(unsigned bits) { return bits == 16 ? 0x7c00 : bits == 32 ? kMiB : 4 * kMiB; }

/// Addresses control can go to from a translation, as far as its code says.
void add_successors(const RecordedRegion& region, std::vector<u64>& to) {
  for (const PlannedBlock& b : region.plan.blocks) {
    for (const PlannedInstruction& p : b.instructions) {
      const Row& r = row(p.insn->row);
      if (r.operands[0].addressing == Addressing::kJ) {
        const u64 target = p.next_rip + p.insn->immediate;
        to.push_back(region.plan.code_bits == 64 ? target : static_cast<u32>(target));
      }
    }
    const PlannedInstruction& last = b.instructions.back();
    if (last.how != Emission::kJump && last.how != Emission::kReturn) to.push_back(last.next_rip);
  }
}

/// Has everything that can be reached from `base` translated: each block's first instruction runs
/// once, from the same state each time.
void explore(InstructionBench& bench, const TraceRecorder& recorder, u64 base, u64 bytes) {
  const CpuState start = bench.state();
  std::vector<u64> waiting{base};
  std::set<u64> seen;
  while (!waiting.empty() && seen.size() < kMostBlocks) {
    const u64 at = waiting.back();
    waiting.pop_back();
    if (at - base >= bytes || !seen.insert(at).second) continue;
    const std::size_t before = recorder.regions().size();
    const u64 instructions = bench.state().instructions;
    bench.state() = start;
    bench.state().instructions = instructions;
    bench.state().rip() = at;
    bench.state_changed();
    (void)bench.run(1);
    for (std::size_t i = before; i < recorder.regions().size(); ++i)
      add_successors(*recorder.regions()[i], waiting);
    std::sort(waiting.begin(), waiting.end(), std::greater<>());
  }
}

}  // namespace

Result<void> trace_snippet(const SnippetOptions& options) {
  auto code = read_whole_file(options.file, "code", kMostBytes);
  if (!code) return code.error();
  const u64 base = options.base.value_or(default_base(options.bits));
  const u64 limit = options.bits == 16 ? 64 * kKiB : kMostRam - kAbove;
  if (base >= limit || code->size() + kHlts > limit - base) {
    return error("{} bytes at --base {:#x} do not fit into {}; use a lower --base", code->size(),
                 base, options.bits == 16 ? "64 KiB of real mode" : "1 GiB of memory");
  }
  auto model = parse_cpu_model("max");
  if (!model) return model.error();
  const u64 ram = std::max(kRam, (base + code->size() + 2 * kAbove) & ~(kAbove - 1));
  auto created = InstructionBench::create(*model, ram);
  if (!created) return created.error();
  InstructionBench& bench = **created;

  Log log;
  MachineConfig config;
  config.translator = options.translator;
  config.translator.legacy |= options.bits != 64;
  config.translator.sampling = false;  // one long slice has no ends to take samples at
  const bool exploring = options.run == 0;
  if (exploring) config.translator.runs_before_translation = 1;
  TraceSession session(log);
  // The recorder also finds the way through the code, so there is one in any case.
  TraceOptions unwritten;
  unwritten.path = "/dev/null";
  unwritten.hottest = false;
  unwritten.limit = kMostBlocks;
  unwritten.samples = false;
  unwritten.counters = options.trace && !exploring;
  TraceOptions wanted = options.trace.value_or(unwritten);
  if (exploring) {
    wanted.hottest = wanted.counters = wanted.samples = false;
    wanted.limit = std::max<u64>(wanted.limit, kMostBlocks);
  }
  if (!options.trace) {
    if (auto ok = log.open("/dev/stdout"); !ok) return ok;
    if (auto ok = log.enable("op,out_asm"); !ok) return ok;
  }
  if (auto ok = session.open(wanted, options.symbols, options.command); !ok) return ok;
  session.observe(config);

  bench.enter(options.bits == 16   ? BenchMode::kReal
              : options.bits == 32 ? BenchMode::kProtected32
                                   : BenchMode::kLong64);
  bench.write(base, *code);
  for (unsigned i = 0; i < kHlts; ++i) bench.write(base + code->size() + i, kHlt);
  CpuState& state = bench.state();
  state.cr4 |= kCr4Osfxsr | kCr4Osxmmexcpt;  // SSE and AVX, as a kernel sets them up
  if (bench.cpu().has(Feature::kXsave)) {
    state.cr4 |= kCr4Osxsave;
    state.xcr0 = bench.cpu().model().xcr0_mask();
  }
  state.rip() = base;
  state.regs[kRsp] = options.bits == 16 ? (base >= 0x1000 ? base : 0xfffe) : ram - kStackBelow;
  for (const auto& [number, value] : options.registers) state.regs[number] = value;
  bench.state_changed();
  bench.cpu().observer = config.cpu_observer;
  bench.translate(config.translator, config.region_observer);
  session.begin(bench.cpu(), config.translator);
  if (exploring) {
    explore(bench, *session.recorder(), base, code->size());
  } else {
    (void)bench.run(options.run);
  }
  auto done = options.trace ? session.finish("") : Result<void>{};
  bench.cpu().observer = nullptr;
  bench.translate(config.translator);  // the observers go first
  return done;
}

}  // namespace dragoman
