// Which regions become heads of superblocks, and how those take their place.
#include <algorithm>

#include "jit/region_observer.h"
#include "jit/translator.h"

namespace dragoman {

/// A region that was about to run when the budget was used up: chance picks it as often as it takes
/// time. One picked several times lately is worth a superblock, and is looked at more closely.
void Translator::note_running(TranslatedRegion& region) {
  constexpr u32 kLately = 2048;  // samples
  constexpr u8 kOften = 2;
  ++samples_;
  for (std::size_t i = profiles_.size(); i-- > 0;) {
    if (samples_ - profiles_[i].begun > kMostProfileSamples) end_profile(i);
  }
  if (region.counting == 0 || region.counts || region.better != nullptr || region.dead) return;
  if (samples_ - region.first_sample > kLately) {
    region.first_sample = samples_;
    region.samples = 0;
  }
  if (++region.samples >= kOften && profiles_.size() < kMostProfiles) begin_profile(region);
}

void Translator::count_runs(TranslatedRegion& region) {
  region.counts = true;
  runs_left(region) = static_cast<i32>(options_.runs_before_superblock);
  cache_.write_jump(region.entry, region.at(region.counting));
}

void Translator::count_no_more(TranslatedRegion& region) {
  region.counts = false;
  region.samples = 0;
  runs_left(region) = static_cast<i32>(options_.runs_before_superblock);
  cache_.write(region.entry, region.uncounted_entry);
}

/// Runs are counted in the region and in loops and paths through it: what it leaves to, comes from
/// and returns to.
void Translator::begin_profile(TranslatedRegion& middle) {
  constexpr std::size_t kMostRegions = 64;
  Profile& profile = profiles_.emplace_back();
  profile.begun = samples_;
  std::vector<TranslatedRegion*>& found = profile.regions;
  const auto add = [&](TranslatedRegion* region) {
    if (region == nullptr || region->dead || region->counting == 0 || region->counts ||
        region->better != nullptr || found.size() >= kMostRegions)
      return;
    count_runs(*region);
    found.push_back(region);
  };
  add(&middle);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const TranslatedRegion& region = *found[i];
    RecordList<ExitRecord>& exits = cache_.records(region.chunk).exits;
    for (u32 e = 0; e < region.exits; ++e) add(exits[region.first_exit + e].linked);
    for (const ExitRecord* exit = region.incoming; exit != nullptr; exit = exit->next)
      add(exit->region);
    const u64 behind = region.rip + region.head->bytes;
    if ((behind ^ region.rip) >> kPageShift != 0) continue;
    const Block* next = TranslatorAccess::blocks(cpu_).find(
        region.head->offset + region.head->bytes, region.head->key);
    if (next != nullptr && next->translated != nullptr)
      add(static_cast<const BlockTranslations*>(next->translated)->newest);
  }
}

void Translator::end_profile(std::size_t index) {
  const Profile profile = std::move(profiles_[index]);
  profiles_.erase(profiles_.begin() + static_cast<std::ptrdiff_t>(index));
  for (TranslatedRegion* region : profile.regions) count_no_more(*region);
}

/// It is about to go, or has become a superblock.
void Translator::leave_profile(TranslatedRegion& region) {
  for (Profile& profile : profiles_) std::erase(profile.regions, &region);
}

/// The second tier: the block again, with the blocks it goes to and back from.
void Translator::promote(Block& block, TranslatedRegion& region) {
  const unsigned chunk = region.chunk;
  const u64 times_full = times_full_;
  TranslatedRegion* const better = translate(block, {region.rip, false, true});
  if (times_full_ != times_full && cache_.current_index() == chunk) {
    // The region itself had to make room. There is nothing to come back to where pages do not hold.
    if (better != nullptr) retire(*better);
    return;
  }
  runs_left(region) = kNoSuperblock;  // once is enough, also when nothing comes of it
  if (better == nullptr) return;
  better->context = cpu_.fetch_context();
  if (observer_ != nullptr) observer_->retired(region.id, RetireCause::kSuperseded);
  better->plain = &region;
  region.better = better;
  cache_.write_jump(region.entry, better->entry);
  leave_profile(region);
  ++superblock_count_;
}

/// True when the pages of a region are where they were when it was made.
const u8* Translator::guard(TranslatedRegion& region) {
  ++guard_count_;
  for (const GuardedPage& page : region.pages) {
    const ShadowTable::Fetch* fetch = TranslatorAccess::fetch_quietly(cpu_, page.linear);
    if (fetch == nullptr || fetch->delta != page.delta) {
      ++guard_failures_;
      return region.plain != nullptr ? region.plain->at(region.plain->uncounted)
                                     : region.at(region.retired);
    }
    TranslatorAccess::note_executed(cpu_, *fetch);
  }
  region.context = cpu_.fetch_context();
  return region.at(region.body);
}

/// The region it was to replace is entered itself again.
void Translator::take_out_superblock(TranslatedRegion& better) {
  TranslatedRegion& plain = *std::exchange(better.plain, nullptr);
  plain.better = nullptr;
  if (plain.dead) return;
  count_no_more(plain);
  if (!options_.sampling) count_runs(plain);
}

}  // namespace dragoman
