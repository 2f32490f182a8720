#include "jit/translator.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/assert.h"
#include "cpu/execute/dispatch.h"
#include "cpu/execute/host/x87.h"
#include "cpu/isa/rows.h"
#include "jit/emit/emit.h"
#include "jit/flag_recipe.h"
#include "jit/region_observer.h"

namespace dragoman {
namespace {

constexpr u32 kMxcsrMasks = 0x1f80;

/// An exit that was linked so often in one context and then in another looks its target up.
constexpr u8 kMostLinks = 4;

/// A third of the memory for translations goes into the decoded blocks they are made from, which a
/// working guest needs at least some of.
constexpr u64 kLeastBlockBytes = 8 * kMiB;
constexpr u64 block_share(u64 bytes) { return bytes / 3; }

/// From the list of a region's links.
template <class Wanted>
void remove_if(ExitRecord*& first, Wanted&& wanted) {
  for (ExitRecord** at = &first; *at != nullptr;) {
    if (wanted(**at)) {
      *at = (*at)->next;
    } else {
      at = &(*at)->next;
    }
  }
}

u32 code_limit(const Cpu& cpu) { return cpu.code64() ? 0 : cpu.state.segments[kCs].limit; }

}  // namespace

/// What generated code calls, and comes back from.
struct TranslatorCalls {
  /// What is called may write code.
  struct ComesBack {
    CodeCache& cache;
    ~ComesBack() { cache.serialize(); }
  };
  static void enter_cpp(Translator& t, const Site& site) {
    Cpu& cpu = t.cpu_;
    const i64 executed = t.entry_budget_ - cpu.frame.budget + site.uncharged;
    cpu.state.instructions = t.entry_instructions_ + static_cast<u64>(executed);
    TranslatorAccess::set_position(cpu, &site.insn(), site.rip);
    cpu.state.rip() = site.rip + site.insn().length;
  }

  /// Host address for an access, or null when it cannot be done in place.
  static u8* memory(Translator* t, const Site* site, u64 linear) {
    const ComesBack back{t->cache_};
    Cpu& cpu = t->cpu_;
    ++t->slow_accesses_;
    t->running_ = site->region;
    u8* host =
        cpu.direct(linear, site->bytes, site->write ? AccessType::kWrite : AccessType::kRead);
    if (site->writes_later && host != nullptr) {
      // Where the page cannot be written yet, each instruction looks for itself.
      const auto rights = TranslatorAccess::prepare_write(cpu, linear, site->bytes);
      if (rights == TranslatorAccess::WriteRights::kRefused) t->note_refused(*site);
      if (rights != TranslatorAccess::WriteRights::kReady) host = nullptr;
    }
    if (host == nullptr && site->write)
      host = TranslatorAccess::beside_code(cpu, linear, site->bytes);
    t->running_ = nullptr;
    // A and D bits were set where the running code lies: it ends with this instruction.
    if (cpu.frame.block_invalidated != 0) host = nullptr;
    cpu.frame.delta = reinterpret_cast<u64>(host) - linear;
    // What follows then wants the flags in memory.
    if (host == nullptr && site->recipe.kind != FlagRecipe::kNone)
      cpu.frame.flags = packed_flags(flags_by_recipe(site->recipe, cpu.state));
    return host;
  }

  /// The same for an access whose probe is a call that returns to `back`.
  static u8* access(Translator* t, const u8* back, u64 linear) {
    const Site& site = t->cache_.site_of_call(back);
    t->cpu_.frame.site = &site;
    return memory(t, &site, linear);
  }

  /// Executes one instruction by its handler.
  static HandlerOutcome interpret(Translator* t, const Site* site) {
    const ComesBack back{t->cache_};
    Cpu& cpu = t->cpu_;
    const Instruction& insn = site->insn();
    const Row& r = row(insn.row);
    enter_cpp(*t, *site);
    t->take_flags();
    t->take_x87();
    ++t->interpreted_[static_cast<std::size_t>(r.operation)];
    t->running_ = site->region;
    // An instruction whose own bytes have changed since it began is still what it was.
    const Handler handler =
        cpu.frame.block_invalidated != 0 ? select_handler(cpu, insn) : insn.handler;
    const bool went_on = handler(cpu, insn);
    t->running_ = nullptr;
    TranslatorAccess::clear_position(cpu);
    cpu.frame.flags = packed_flags(cpu.state.lazy);
    const bool disturbed =
        std::exchange(cpu.frame.block_invalidated, 0) != 0 || TranslatorAccess::attention(cpu);
    if (went_on && !disturbed && !ends_block(r) &&
        (cpu.state.fpu.mxcsr & kMxcsrMasks) == kMxcsrMasks &&
        ((site->units & Site::kX87) == 0 || x87_masked(cpu.state.fpu)))
      return HandlerOutcome::kGoOn;

    cpu.frame.budget -= site->uncharged;
    if (cpu.fault_pending()) return HandlerOutcome::kLeave;
    bool counts = false;
    if (TranslatorAccess::take_restart(cpu, counts)) {
      if (counts) --cpu.frame.budget;
      return HandlerOutcome::kLeave;
    }
    --cpu.frame.budget;
    const unsigned next = site->index + 1u;
    if (went_on && next < site->block->count) {
      // Events are seen where the interpreter would see them: behind the block.
      t->finish_ = site->block;
      t->finish_from_ = next;
      return HandlerOutcome::kLeave;
    }
    if (disturbed || cpu.state.activity != Activity::kRunning) return HandlerOutcome::kLeave;
    if (RegionCounters* const counters = site->region->counters.get()) {
      ++counters->handled.count;
      if (--counters->handled.until_sample < 0) counters->handled.sample(cpu.state.rip());
    }
    return HandlerOutcome::kDispatch;
  }

  /// Where to go on with an access that could not be done through the window, or null: its
  /// instruction's handler has to execute it.
  static const u8* window(Translator* t, Site* site) {
    const ComesBack back{t->cache_};
    return t->window_access(*site);
  }

  /// Where a region goes on whose pages may have moved since it ran last.
  static const u8* guard(Translator* t, TranslatedRegion* region) {
    const ComesBack back{t->cache_};
    return t->guard(*region);
  }

  /// The host's x87 registers are to become the guest's, from TranslatorFrame::x87_image.
  static void x87(Translator* t) {
    TranslatorFrame& f = t->cpu_.frame;
    const FpuState& fpu = t->cpu_.state.fpu;
    if (f.x87_live != 0 || !x87_masked(fpu)) return;
    fill_x87_image(fpu, f.x87_image);
    f.x87_image.mxcsr = f.host_mxcsr;
    f.x87_opcode = f.x87_data = 0;
    f.x87_live = 1;
  }

  /// Where an indirect branch of a region that counts goes this time.
  static void sample(Translator*, RegionCounters::Exit* exit, u64 target) { exit->sample(target); }
};

Translator::Translator(Cpu& cpu, const TranslatorOptions& options)
    : cpu_(cpu),
      options_(options),
      cache_(options.cache_bytes - block_share(options.cache_bytes)),
      storage_(make_emitter_storage()),
      interpreted_(static_cast<std::size_t>(Operation::kCount)) {
  cpu_.jump_table.clear();
  TranslatorAccess::blocks(cpu_).set_bound(
      std::max(block_share(options.cache_bytes), kLeastBlockBytes));
  if (place_stubs()) cpu_.set_translation(this, options.runs_before_translation);
}

Translator::~Translator() {
  cpu_.set_translation(nullptr);
  cpu_.frame.window_table = nullptr;
}

bool Translator::place_stubs() {
  StubTargets targets;
  targets.translator = this;
  targets.memory = reinterpret_cast<const void*>(&TranslatorCalls::memory);
  targets.access = reinterpret_cast<const void*>(&TranslatorCalls::access);
  targets.interpret = reinterpret_cast<const void*>(&TranslatorCalls::interpret);
  targets.window = reinterpret_cast<const void*>(&TranslatorCalls::window);
  targets.guard = reinterpret_cast<const void*>(&TranslatorCalls::guard);
  targets.x87 = reinterpret_cast<const void*>(&TranslatorCalls::x87);
  targets.sample = reinterpret_cast<const void*>(&TranslatorCalls::sample);
  state_exit_.kind = ExitKind::kState;
  no_target_exit_.kind = ExitKind::kNoTarget;
  targets.state_exit = &state_exit_;
  targets.no_target_exit = &no_target_exit_;
  bool all = true;
  const auto place = [&](const std::vector<u8>& code) {
    const void* const at = cache_.add_stub(code);
    all = all && at != nullptr;
    return at;
  };
  TranslatorFrame& f = cpu_.frame;
  const void* enter = place(emit_enter_stub(cpu_));
  f.exit_stub = place(emit_exit_stub(cpu_));
  f.miss_stub = place(emit_miss_stub(cpu_, targets));
  f.dispatch_stub = place(emit_dispatch_stub(cpu_));
  f.memory_stub = place(emit_memory_stub(cpu_, targets));
  const ProbeCode probes = emit_probe_stubs(cpu_, targets);
  const auto* const first_probe = static_cast<const u8*>(place(probes.code));
  for (std::size_t i = 0; i < f.probe_stubs.size(); ++i)
    f.probe_stubs[i] = first_probe + probes.offsets[i];
  f.vectors_stub = place(emit_vectors_stub(cpu_));
  f.x87_stub = place(emit_x87_stub(cpu_, targets));
  f.window_stub = place(emit_window_stub(cpu_, targets));
  f.guard_stub = place(emit_guard_stub(cpu_, targets));
  f.interpret_stub = place(emit_interpret_stub(cpu_, targets));
  if (options_.counters) sample_stub_ = place(emit_sample_stub(cpu_, targets));
  enter_ = reinterpret_cast<Enter>(reinterpret_cast<u64>(enter));
  return all;
}

// --- Finding and making ---------------------------------------------------------------------

Translator::BlockTranslations& Translator::translations_of(Block& block) {
  if (block.translated == nullptr) {
    auto translations = std::make_unique<BlockTranslations>();
    translations->owner = static_cast<u32>(owners_.size());
    block.translated = translations.get();
    owners_.emplace_back(&block, std::move(translations));
  }
  return *static_cast<BlockTranslations*>(block.translated);
}

void Translator::disown(Block& block) {
  const std::size_t index = static_cast<BlockTranslations*>(block.translated)->owner;
  block.translated = nullptr;
  if (index + 1 != owners_.size()) {
    owners_[index] = std::move(owners_.back());
    owners_[index].second->owner = static_cast<u32>(index);
  }
  owners_.pop_back();
}

TranslatedRegion* Translator::find(const Block& block, u64 rip, bool narrow) const {
  const auto* translations = static_cast<const BlockTranslations*>(block.translated);
  if (translations == nullptr) return nullptr;
  const u32 limit = code_limit(cpu_);
  if (!narrow && translations->newest != nullptr && translations->newest_rip == rip &&
      translations->newest_limit == limit)
    return translations->newest;
  for (auto* region = translations->heads; region != nullptr; region = region->next_head) {
    if (region->rip == rip && region->narrow == narrow && region->limit == limit) return region;
  }
  return nullptr;
}

/// A block that has run a fair part of what makes a superblock, or has one.
bool Translator::runs_often(const Block& block) const {
  const i32 whole = static_cast<i32>(options_.runs_before_superblock);
  const auto* translations = static_cast<const BlockTranslations*>(block.translated);
  if (translations == nullptr) return false;
  for (auto* region = translations->heads; region != nullptr; region = region->next_head) {
    const i32 left = cpu_.run_counters[region->counter];
    if (region->counter != 0 && (left == kNoSuperblock || left <= whole - whole / 6)) return true;
  }
  return false;
}

void Translator::translate(Cpu&, Block& block, u64 rip) {
  (void)translate(block, {rip, false, false});
}

TranslatedRegion* Translator::translate(Block& block, const RegionRequest& request) {
  if (!cpu_.code64() && !options_.legacy) return nullptr;
  plan_memory_.release();
  const bool in_window = (TranslatorAccess::current_mode_key(cpu_) & kModeKeyWindow) != 0;
  const RegionPlan plan = plan_region(
      cpu_, block, request, options_, in_window ? window_.get() : nullptr,
      [this](const Block& member) { return runs_often(member); }, plan_memory_);
  make_room(plan);
  CodeCache::Records& records = *cache_.current().records;
  const std::size_t sites = records.sites.size();
  const std::size_t exits = records.exits.size();
  TranslatedRegion& region = records.regions.emplace_back();
  region.head = &block;
  region.rip = request.rip;
  region.narrow = request.narrow;
  region.hot = request.hot;
  region.limit = code_limit(cpu_);
  region.chunk = cache_.current_index();
  std::pmr::polymorphic_allocator<> lists(&records.memory);
  if (!plan.pages.empty()) {
    region.pages = {lists.allocate_object<GuardedPage>(plan.pages.size()), plan.pages.size()};
    std::copy(plan.pages.begin(), plan.pages.end(), region.pages.begin());
  }
  region.id = ++region_ids_;
  if (plan.counted) {
    const u32 counters = static_cast<u32>(cpu_.run_counters.size());
    region.counter = next_counter_ = next_counter_ + 1 < counters ? next_counter_ + 1 : 1;
    runs_left(region) = static_cast<i32>(options_.runs_before_superblock);
  }
  region.first_exit = static_cast<u32>(exits);
  region.first_site = static_cast<u32>(sites);
  if (options_.counters) {
    region.counters = std::make_shared<RegionCounters>();
    region.counters->sample_stub = sample_stub_;
  }
  EmittedCode emitted;
  if (!emit_region(cpu_, plan, options_, region, cache_, *storage_,
                   observer_ != nullptr ? &emitted : nullptr)) {
    records.regions.shrink(records.regions.size() - 1);
    records.sites.shrink(sites);
    records.exits.shrink(exits);
    cpu_.log().once("translator",
                    "The translator could not encode the block at {:x} or has no room for it; it "
                    "stays interpreted.",
                    request.rip);
    return nullptr;
  }
  region.exits = static_cast<u32>(records.exits.size() - exits);
  region.sites = static_cast<u32>(records.sites.size() - sites);
  if (plan.counted) {
    std::memcpy(region.uncounted_entry.data(), region.entry, region.uncounted_entry.size());
    if (!options_.sampling) count_runs(region);
  }
  if (plan.blocks.size() > 1) {
    Block** const members = lists.allocate_object<Block*>(plan.blocks.size() - 1);
    std::size_t count = 0;
    for (const PlannedBlock& b : plan.blocks) {
      auto& superblocks = translations_of(*b.block).superblocks;
      if (b.block == region.head || (!superblocks.empty() && superblocks.back() == &region))
        continue;
      members[count++] = b.block;
      superblocks.push_back(&region);
    }
    region.members = {members, count};
  }
  if (!request.hot) {
    BlockTranslations& translations = translations_of(block);
    region.next_head = std::exchange(translations.heads, &region);
    if (!request.narrow) {
      translations.newest = &region;
      translations.newest_rip = region.rip;
      translations.newest_limit = region.limit;
    }
  }
  ++translated_count_;
  translated_instructions_ += plan.instructions;
  if (options_.perfmap) write_perf_map(region);
  if (observer_ != nullptr) report(region, plan, request, emitted);
  return &region;
}

void Translator::report(const TranslatedRegion& region, const RegionPlan& plan,
                        const RegionRequest& request, const EmittedCode& emitted) const {
  RegionRecord record;
  record.id = region.id;
  record.cpu = &cpu_;
  record.plan = &plan;
  record.request = request;
  record.runs = request.hot ? options_.runs_before_superblock : region.head->runs;
  record.code = emitted.code;
  record.place = emitted.place;
  record.entry = emitted.place.offset_of(reinterpret_cast<u64>(region.entry));
  record.ranges = emitted.ranges;
  record.exits = emitted.exits;
  record.counters = region.counters;
  observer_->translated(record);
}

/// Empties the oldest part of the cache when the region may not fit into the current one.
void Translator::make_room(const RegionPlan& plan) {
  constexpr u64 kMostBytesPerInstruction = 400;
  const CodeCache::Chunk& chunk = cache_.current();
  const u64 wanted = 512 + plan.instructions * kMostBytesPerInstruction;
  if (cache_.room(std::min(wanted, (chunk.end - chunk.begin) / 2))) return;
  if (cache_.chunk(cache_.next_index()).records != nullptr) {
    empty_chunk(cache_.next_index());
    ++times_full_;
  }
  cache_.advance();
}

/// Forgets all regions of a chunk. Records of theirs are about to go, so nothing may point at them.
void Translator::empty_chunk(unsigned index) {
  const CodeCache::Chunk& chunk = cache_.chunk(index);
  CodeCache::Records& records = *chunk.records;
  const std::span<const u8> code = cache_.code_of(chunk);
  for (std::size_t i = 0; i < records.regions.size(); ++i) {
    retire(records.regions[i], RetireCause::kMadeRoom);
    cpu_.jump_table.drop(records.regions[i].rip, code.data(), code.size());
  }
  std::vector<TranslatedRegion*> targets;
  for (std::size_t i = 0; i < records.exits.size(); ++i) {
    const ExitRecord& exit = records.exits[i];
    if (exit.linked != nullptr && !exit.linked->dead) targets.push_back(exit.linked);
  }
  std::sort(targets.begin(), targets.end());
  targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
  for (TranslatedRegion* target : targets) {
    remove_if(target->incoming, [index](const ExitRecord& e) { return e.region->chunk == index; });
  }
}

void Translator::write_perf_map(const TranslatedRegion& region) {
  if (perf_map_ == nullptr) {
    perf_map_.reset(std::fopen(fmt::format("/tmp/perf-{}.map", getpid()).c_str(), "a"));
    if (perf_map_ == nullptr) {
      options_.perfmap = false;
      return;
    }
    std::setvbuf(perf_map_.get(), nullptr, _IOLBF, 0);  // perf may read it at any time
  }
  fmt::print(perf_map_.get(), "{:x} {:x} guest:{:x}{}\n", reinterpret_cast<u64>(region.entry),
             region.bytes, region.rip,
             region.narrow ? ":narrow"
             : region.hot  ? ":hot"
                           : "");
}

// --- Running --------------------------------------------------------------------------------

bool Translator::run(Cpu& cpu, Block& block, u64 budget) {
  const u64 rip = cpu.state.rip();
  const u32 context = cpu.fetch_context();
  if (pending_exit_ != nullptr && (pending_exit_->rip != rip || pending_context_ != context))
    pending_exit_ = nullptr;
  const bool narrow = pending_exit_ != nullptr && pending_exit_->kind == ExitKind::kNarrow;
  // Host code has addresses built in: the same bytes at another address are another translation.
  TranslatedRegion* region = find(block, rip, narrow);
  if (region == nullptr) {
    if (!narrow && ++block.runs < options_.runs_before_translation) {
      pending_exit_ = nullptr;
      return false;
    }
    region = translate(block, {rip, narrow, false});  // which may forget the exit to make room
  }
  ExitRecord* const from = std::exchange(pending_exit_, nullptr);
  if (region == nullptr) return false;
  // find_block() has just found the same two pages.
  if (block.crosses()) region->context = context;
  if (from != nullptr && options_.links) link(*from, *region);
  if (!narrow) cpu.jump_table.set(rip ^ cpu.frame.jump_key, region->entry);

  TranslatorFrame& f = cpu.frame;
  entry_instructions_ = cpu.state.instructions;
  entry_budget_ = static_cast<i64>(budget);
  f.budget = entry_budget_;
  f.flags = packed_flags(cpu.state.lazy);
  ++entered_count_;
  LeftBy left(0);
  {
    const HostFaultScope faults(options_.windows ? this : nullptr);
    cache_.serialize();
    left = LeftBy(enter_(&f, region->entry));
  }
  const ExitKind kind = left.kind();
  ++exits_[static_cast<std::size_t>(kind)];
  take_flags();
  take_x87();
  const u64 executed = static_cast<u64>(entry_budget_ - f.budget);
  host_instructions_ += executed;
  cpu.state.instructions = entry_instructions_ + executed;
  if (kind == ExitKind::kHot) {
    TranslatedRegion& hot = *left.region();
    cpu.state.rip() = hot.rip;
    if (!hot.dead) promote(*hot.head, hot);
    return true;
  }
  if (kind == ExitKind::kRetired) note_running(*left.region());
  if (kind < ExitKind::kNoTarget) {
    cpu.state.rip() = left.rip();
    if (kind == ExitKind::kRetired) cpu.look_for_window();
    if (ExitRecord* const exit = left.record(); exit != nullptr && exit->jump != nullptr) {
      pending_exit_ = exit;
      pending_context_ = cpu.fetch_context();
    }
  }
  if (finish_ != nullptr) {
    TranslatorAccess::finish_block(cpu, *std::exchange(finish_, nullptr), finish_from_);
    return true;
  }
  return executed != 0 || kind != ExitKind::kRetired;
}

/// From the frame into the processor's state; its registers are there already.
void Translator::take_flags() {
  const u64 packed = cpu_.frame.flags;
  if (is_noted_recipe(packed)) {
    cpu_.state.lazy = flags_by_recipe(cache_.recipe(noted_recipe_number(packed)), cpu_.state);
  } else {
    set_arithmetic_flags(cpu_.state.lazy,
                         static_cast<u32>(packed >> 8 & 0xd5) | ((packed & 1) ? u32{kFlagOf} : 0));
  }
}

/// The same for x87 registers, which the way into C++ has saved.
void Translator::take_x87() {
  TranslatorFrame& f = cpu_.frame;
  if (f.x87_live == 0) return;
  f.x87_live = 0;
  FpuState& fpu = cpu_.state.fpu;
  take_x87_image(f.x87_image, fpu);
  if (f.x87_opcode != 0) {
    fpu.fip = f.x87_ip;
    fpu.fcs = cpu_.state.segments[kCs].selector;
    fpu.opcode = static_cast<u16>(f.x87_opcode);
  }
  if (f.x87_data != 0) {
    fpu.fdp = f.x87_dp;
    fpu.fds = (f.x87_data & TranslatorFrame::kX87Selector)
                  ? static_cast<u16>(f.x87_data)
                  : cpu_.state.segments[f.x87_data & 7].selector;
  }
}

// --- Linking and forgetting -----------------------------------------------------------------

void Translator::link(ExitRecord& exit, TranslatedRegion& target) {
  if (exit.region->dead || target.dead) return;
  const u8* const jump = exit.jump;
  if (exit.kind == ExitKind::kOtherPage) {
    // Linked in another context: that may be over, or another program's that has the same pages.
    if (exit.linked != nullptr) {
      ++exit.links;
      remove_if(exit.linked->incoming, [&exit](const ExitRecord& e) { return &e == &exit; });
    }
    write_context(exit, pending_context_);
    cache_.write_jump(jump, target.entry);
    if (exit.links == kMostLinks) cache_.write_jump(exit.other(), exit.other() + kOtherPageLookUp);
  } else {
    if (exit.linked != nullptr) return;
    if (exit.kind == ExitKind::kKnownPage && exit.page != target.head->offset >> kPageShift) return;
    cache_.write_jump(jump, target.entry);
  }
  exit.linked = &target;
  exit.next = std::exchange(target.incoming, &exit);
  ++linked_count_;
  if (observer_ != nullptr) observer_->linked(exit.region->id, target.id, exit.rip);
  if (exit.kind == ExitKind::kNarrow) ++narrow_count_;
}

/// Of kOtherPage: the fetch context in which the jump is taken.
void Translator::write_context(const ExitRecord& exit, u32 context) {
  std::array<u8, 4> id;
  std::memcpy(id.data(), &context, 4);
  cache_.write(exit.jump + kOtherPageContext, id);
}

void Translator::unlink(ExitRecord& exit) {
  exit.linked = nullptr;
  cache_.write_jump(exit.jump, exit.exit());
  if (exit.kind == ExitKind::kOtherPage) {
    write_context(exit, kNoContext);
    cache_.write_jump(exit.other(), exit.exit());
  }
}

/// Takes a region out of use. It may be running, and others may be on their way to it.
void Translator::retire(TranslatedRegion& region, RetireCause cause) {
  if (region.dead) return;
  region.dead = true;
  if (region.counts) leave_profile(region);
  if (observer_ != nullptr) observer_->retired(region.id, cause);
  cache_.write_jump(region.entry, region.at(region.retired));
  while (region.incoming != nullptr) unlink(*std::exchange(region.incoming, region.incoming->next));
  if (auto* of_head = static_cast<BlockTranslations*>(region.head->translated)) {
    TranslatedRegion** at = &of_head->heads;
    while (*at != nullptr && *at != &region) at = &(*at)->next_head;
    if (*at != nullptr) *at = region.next_head;
    if (of_head->newest == &region) of_head->newest = nullptr;
  }
  for (const Block* member : region.members) {
    if (auto* translations = static_cast<BlockTranslations*>(member->translated))
      std::erase(translations->superblocks, &region);
  }
  if (&region == running_) cpu_.frame.block_invalidated = 1;
  if (pending_exit_ != nullptr && pending_exit_->region == &region) pending_exit_ = nullptr;
  if (region.better != nullptr) retire(*region.better);
  if (region.plain != nullptr) take_out_superblock(region);
}

/// A page that is only read although code goes on to write there, or has code on it: where that is
/// so time and again, the instruction looks for itself from now on.
void Translator::note_refused(const Site& site) {
  constexpr u8 kMany = 16;
  if (++const_cast<Site&>(site).refused != kMany) return;
  site.block->reads_only |= 1u << site.index;
  retire(*site.region, RetireCause::kSuperseded);
}

void Translator::forget(Block& block) {
  auto* translations = static_cast<BlockTranslations*>(block.translated);
  if (translations == nullptr) return;
  // A superblock that begins here goes with the region it took the place of.
  while (translations->heads != nullptr) retire(*translations->heads);
  while (!translations->superblocks.empty()) retire(*translations->superblocks.back());
  disown(block);
}

void Translator::forget_all() {
  if (observer_ != nullptr) observer_->cache_emptied();
  for (auto& [block, translations] : owners_) {
    block->translated = nullptr;
    block->runs = 0;
  }
  owners_.clear();
  profiles_.clear();
  pending_exit_ = nullptr;
  cpu_.jump_table.clear();
  cache_.clear();
}

}  // namespace dragoman
