#include "frontends/trace/trace_recorder.h"

#include <algorithm>

#include "jit/translator.h"

namespace dragoman {
namespace {

/// Translations kept while the run goes on, as a multiple of those that will be written: one that
/// is cold now may be hot later.
constexpr u64 kSpare = 8;
constexpr u64 kLeastKept = 16'384;
constexpr u64 kMostGenerations = 1 << 18;

/// Guest code of a block, as it is in memory now.
std::vector<u8> block_bytes(Cpu& cpu, const Block& block) {
  const u8* pool = cpu.memory().memory().base();
  const u64 first = block.first_bytes();
  std::vector<u8> bytes(pool + block.offset, pool + block.offset + first);
  if (block.crosses()) {
    const u8* second = pool + block.second_offset;
    bytes.insert(bytes.end(), second, second + (block.bytes - first));
  }
  return bytes;
}

}  // namespace

u64 RecordedRegion::guest_bytes() const {
  u64 total = 0;
  for (const auto& block : bytes) total += block.size();
  return total;
}

u64 RecordedRegion::executed() const {
  if (counters == nullptr) return 0;
  i64 total = 0;
  const auto behind = [&](i16 block, i16 instruction) -> i64 {
    if (block < 0 || instruction < 0) return 0;
    const auto& b = plan.blocks[static_cast<std::size_t>(block)];
    return static_cast<i64>(b.instructions.size()) - instruction - 1;
  };
  for (std::size_t i = 0; i < plan.blocks.size() && i < counters->blocks.size(); ++i) {
    const u64 times = counters->blocks[i];
    total += static_cast<i64>(times * plan.blocks[i].instructions.size());
    const PlannedBlock& b = plan.blocks[i];
    // A block with one way in took control from the middle of its parent.
    if (b.parent >= 0) {
      total -= static_cast<i64>(times) *
               behind(static_cast<i16>(b.parent), static_cast<i16>(b.parent_index));
    }
  }
  for (const auto& exit : counters->exits)
    total -= static_cast<i64>(exit.count) * behind(exit.block, exit.instruction);
  return total > 0 ? static_cast<u64>(total) : 0;
}

template <class Key>
std::vector<std::pair<Key, u64>> BoundedCounts<Key>::most(std::size_t number) const {
  std::vector<std::pair<Key, u64>> all(counts_.begin(), counts_.end());
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  if (all.size() > number) all.resize(number);
  return all;
}
template class BoundedCounts<u64>;

void TraceRecorder::attach(Cpu& cpu) {
  cpu_ = &cpu;
  start_ns_ = cpu.wiring().clock->now_ns();
  if (options_.samples) (void)sampler_.start();
}

TraceTime TraceRecorder::now() const {
  if (cpu_ == nullptr) return {};
  return {cpu_->wiring().clock->now_ns() - start_ns_, cpu_->state.instructions};
}

RecordedRegion* TraceRecorder::find(u64 id) {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

// --- Translations ---------------------------------------------------------------------------

void TraceRecorder::translated(const RegionRecord& record) {
  if (cpu_ == nullptr) return;
  count(TimelineCount::kTranslated);
  ++(record.request.narrow ? totals_.narrow
     : record.request.hot  ? totals_.superblocks
                           : totals_.blocks);
  totals_.guest_instructions += record.plan->instructions;
  totals_.host_bytes += record.code.size();
  for (const PlannedBlock& b : record.plan->blocks) totals_.guest_bytes += b.block->bytes;
  const auto place = [&](u64 first, u64 bytes) {
    // What lay there before was emptied to make room.
    placed_.erase(placed_.lower_bound(first), placed_.lower_bound(first + bytes));
    placed_[first] = {first + bytes, record.id};
  };
  place(record.place.main, record.place.main_bytes);
  place(record.place.rare, record.place.rare_bytes);

  Cpu& cpu = *record.cpu;
  const u64 rip = record.request.rip;
  const u64 linear = cpu.code64() ? rip : static_cast<u32>(cpu.state.segments[kCs].base + rip);
  const u64 physical = cpu.peek_translate(linear);
  const u32 mode_key = TranslatorAccess::current_mode_key(cpu);
  unsigned generation = 1;
  const Key key{rip, physical, mode_key, record.request.narrow, record.request.hot};
  if (const auto seen = generations_.find(key); seen != generations_.end()) {
    generation = ++seen->second;
  } else if (generations_.size() < kMostGenerations) {
    generations_[key] = 1;
  }
  if (!options_.wants(rip, cpu.cpl(), cpu.state.cr3)) {
    ++totals_.filtered;
    return;
  }
  if (!options_.hottest && regions_.size() >= options_.limit) {
    ++totals_.forgotten;
    return;
  }
  const u64 most = std::max(kLeastKept, options_.limit * kSpare);
  if (regions_.size() >= most) drop_cold(most / 2);

  auto r = std::make_unique<RecordedRegion>();
  r->id = record.id;
  r->request = record.request;
  r->runs = record.runs;
  r->plan = *record.plan;
  for (PlannedBlock& b : r->plan.blocks) {
    std::vector<Instruction>& copy = r->instructions.emplace_back();
    copy.reserve(b.instructions.size());
    for (PlannedInstruction& p : b.instructions) {
      copy.push_back(*p.insn);
      p.insn = &copy.back();
    }
    r->bytes.push_back(block_bytes(cpu, *b.block));
    b.block = nullptr;
  }
  r->code.assign(record.code.begin(), record.code.end());
  r->ranges.assign(record.ranges.begin(), record.ranges.end());
  r->exits.assign(record.exits.begin(), record.exits.end());
  r->place = record.place;
  r->entry = record.entry;
  r->counters = record.counters;
  r->physical = physical;
  r->cr3 = cpu.state.cr3;
  r->mode_key = mode_key;
  r->cpl = static_cast<u8>(cpu.cpl());
  r->generation = generation;
  r->made = now();
  by_id_[r->id] = r.get();
  regions_.push_back(std::move(r));
}

void TraceRecorder::linked(u64 from, u64 to, u64 rip) {
  ++totals_.links;
  RecordedRegion* region = find(from);
  if (region == nullptr) return;
  for (RecordedRegion::Link& link : region->links) {
    if (link.rip != rip) continue;
    link.to = to;  // the newest
    return;
  }
  region->links.push_back({to, rip});
}

void TraceRecorder::retired(u64 id, RetireCause cause) {
  ++(cause == RetireCause::kBytesChanged ? totals_.bytes_changed
     : cause == RetireCause::kSuperseded ? totals_.superseded
                                         : totals_.full);
  count(TimelineCount::kRetired);
  RecordedRegion* region = find(id);
  if (region == nullptr) return;
  region->retired_at = now();
  region->retired = cause;
}

void TraceRecorder::cache_emptied() {
  if (cpu_ == nullptr) return;
  ++totals_.emptied;
  take_samples();
  placed_.clear();
  for (const auto& region : regions_) {
    if (!region->retired_at) region->retired_at = now();
  }
}

/// Keeps the translations that executed most.
void TraceRecorder::drop_cold(std::size_t keep) {
  take_samples();
  if (regions_.size() <= keep) return;
  std::vector<std::pair<u64, u64>> heat;  // executed, id
  for (const auto& region : regions_)
    heat.emplace_back(region->executed() + 1000 * region->samples, region->id);
  std::nth_element(heat.begin(), heat.begin() + static_cast<std::ptrdiff_t>(keep), heat.end(),
                   std::greater<>());
  const auto limit = heat[keep];
  totals_.forgotten += static_cast<u64>(std::erase_if(regions_, [&](const auto& region) {
    const bool cold = std::pair(region->executed() + 1000 * region->samples, region->id) <= limit;
    if (cold) by_id_.erase(region->id);
    return cold;
  }));
}

void TraceRecorder::take_samples() {
  sampler_.take([this](u64 address) {
    ++totals_.samples;
    auto at = placed_.upper_bound(address);
    if (at == placed_.begin()) return;
    --at;
    if (address >= at->second.end) return;
    ++totals_.samples_in_code;
    if (RecordedRegion* region = find(at->second.id)) ++region->samples;
  });
}

void TraceRecorder::finish() {
  sampler_.stop();
  take_samples();
  const TraceTime end = now();
  if (cpu_ != nullptr) spend_until_now(cpu_->state.activity != Activity::kRunning);
  totals_.executed = end.instructions;
  totals_.ns = end.ns;
  if (!options_.hottest) return;
  drop_cold(options_.limit);
  std::stable_sort(regions_.begin(), regions_.end(), [](const auto& a, const auto& b) {
    return std::pair(a->samples, a->executed()) > std::pair(b->samples, b->executed());
  });
}

// --- The processor --------------------------------------------------------------------------

void TraceRecorder::slice_began() {
  if (sampler_.waiting() > HostSampler::kRing / 2) take_samples();
  const bool real = cpu_->real_mode() || cpu_->v86();
  const bool user = !real && cpu_->cpl() == 3;
  // It waited until now, or ran in the mode the slice before began in.
  const Activity activity = cpu_->state.activity;
  spend_until_now(activity == Activity::kHalted || activity == Activity::kMwait);
  mode_ = real             ? TimelineCount::kTimeReal
          : user           ? TimelineCount::kTimeUser
          : cpu_->code64() ? TimelineCount::kTimeKernel
                           : TimelineCount::kTimeProtected;
  // The first time a mode is seen begins a phase of the boot.
  struct Phase {
    bool reached;
    const char* name;
  };
  const bool paging = (cpu_->state.cr0 & kCr0Pg) != 0;
  const bool high = paging && cpu_->state.rip() >> 63 != 0;
  const std::array<Phase, 6> phases = {{{real, "firmware or boot loader, real mode"},
                                        {!real && !paging, "protected mode, paging off"},
                                        {paging, "paging on"},
                                        {cpu_->code64(), "64-bit mode"},
                                        {high, "kernel in the upper half of addresses"},
                                        {user, "first user program"}}};
  for (unsigned i = static_cast<unsigned>(phases.size()); i > level_; --i) {
    if (!phases[i - 1].reached) continue;
    level_ = i;
    timeline_.add_phase(now(), phases[i - 1].name);
    break;
  }
}

void TraceRecorder::spend_until_now(bool halted) {
  const u64 ns = now().ns;
  timeline_.spend(spent_ns_, ns, halted ? TimelineCount::kTimeHalted : mode_);
  spent_ns_ = ns;
}

void TraceRecorder::event_taken(const FaultRecord& record) {
  const TimelineCount what = record.kind == EventKind::kExternal || record.kind == EventKind::kNmi
                                 ? TimelineCount::kInterrupts
                             : record.kind == EventKind::kSoftware
                                 ? TimelineCount::kSoftwareInterrupts
                             : record.vector == kVectorPf ? TimelineCount::kPageFaults
                                                          : TimelineCount::kExceptions;
  const TraceTime time = now();
  timeline_.count(time.ns, what);
  timeline_.add_event(time, record);
}

void TraceRecorder::page_walked(const ShadowFill& fill) {
  count(TimelineCount::kWalks);
  if (!fill.direct) ++totals_.outside;
  ++(fill.fetch ? totals_.fills_fetch : fill.writable ? totals_.fills_write : totals_.fills_read);
  ++(fill.page_bytes <= kPageSize  ? totals_.fills_small
     : fill.page_bytes <= 4 * kMiB ? totals_.fills_large
                                   : totals_.fills_giant);
  if (fill.global) ++totals_.fills_global;
  if (fill.user) ++totals_.fills_user;
  pages_.add(fill.linear & ~kPageMask);
}

void TraceRecorder::page_walk_failed(u64, u32) {
  count(TimelineCount::kFailedWalks);
  ++totals_.failed_walks;
}

void TraceRecorder::shadow_flushed(ShadowFlush what, u64) {
  if (cpu_ == nullptr) return;
  count(TimelineCount::kFlushes);
  ++totals_.flushes[static_cast<std::size_t>(what)];
  if (what == ShadowFlush::kAddressSpace || what == ShadowFlush::kKept)
    spaces_.add(cpu_->state.cr3 & ~kPageMask);
}

void TraceRecorder::device_accessed(u64 physical, unsigned, bool write) {
  count(write ? TimelineCount::kDeviceWrites : TimelineCount::kDeviceReads);
  ++(write ? totals_.device_writes : totals_.device_reads);
  devices_.add(physical);
}

void TraceRecorder::port_accessed(u16 port, unsigned, bool write) {
  count(write ? TimelineCount::kPortWrites : TimelineCount::kPortReads);
  ++(write ? totals_.port_writes : totals_.port_reads);
  ports_.add(port);
}

}  // namespace dragoman
