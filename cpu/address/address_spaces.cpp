#include "cpu/address/address_spaces.h"

#include <algorithm>

namespace dragoman {

u32 FetchContexts::find_slow(const FetchMode& mode) {
  const unsigned first = first_way(mode);
  for (unsigned i = first; i < first + kWays; ++i) {
    if (entries_[i].mode == mode && entries_[i].id != 0) {
      use(i);
      return entries_[i].id;
    }
  }
  return 0;
}

void FetchContexts::add(const FetchMode& mode, u32 id) {
  const unsigned first = first_way(mode);
  unsigned way = next_way_[first / kWays];
  if (first + way == newest_) way = (way + 1) % kWays;  // a pair that alternates keeps both
  next_way_[first / kWays] = static_cast<u8>((way + 1) % kWays);
  entries_[first + way] = {mode, id};
  use(first + way);
}

ShadowTable* AddressSpaces::make_table(ShadowView view) {
  const auto use = view == kViewUser || view == kViewChecked ? ShadowTable::Use::kSparse
                                                             : ShadowTable::Use::kDense;
  return tables_.emplace_back(new (use) ShadowTable).get();
}

bool AddressSpaces::Space::drop_page(u64 linear_page, bool global_only) {
  bool fetches = executed.may_hold(linear_page);
  each([&](ShadowTable& table) { fetches |= table.flush_page(linear_page, global_only); });
  if (fetches) new_incarnation();
  return fetches;
}

void AddressSpaces::select(u16 pcid) {
  if (current_->pcid == pcid) return;
  current_->used = ++clock_;
  current_->log_position = log_end_;
  Space* chosen = nullptr;
  for (Space& space : spaces_) {
    if (space.kept && space.pcid == pcid) chosen = &space;
  }
  if (chosen == nullptr) {
    // Never used ones have the oldest stamp of all.
    chosen = std::min_element(spaces_.begin(), spaces_.end(),
                              [](const Space& a, const Space& b) { return a.used < b.used; });
    chosen->pcid = pcid;
    chosen->kept = true;
    chosen->flush_pending = true;
  }
  current_ = chosen;
  catch_up(*chosen);
  flush_supervisor(/*global_too=*/false);
}

void AddressSpaces::flush_supervisor(bool global_too) {
  supervisor_.each([global_too](ShadowTable& table) { table.flush(global_too); });
  if (global_too || supervisor_ran_local_) supervisor_.new_incarnation();
  supervisor_ran_local_ = false;
}

void AddressSpaces::catch_up(Space& space) {
  if (space.flush_pending || space.flush_all_pending) {
    space.each([&](ShadowTable& table) { table.flush(space.flush_all_pending); });
    space.new_incarnation();
  }
  if (!space.flush_all_pending) {
    if (log_end_ - space.log_position > kLogged) {
      space.each([](ShadowTable& table) { table.flush_global(); });
      space.new_incarnation();
    } else {
      for (u64 i = space.log_position; i != log_end_; ++i) {
        (void)space.drop_page(log_[i % kLogged], /*global_only=*/true);
      }
    }
  }
  if (space.writes_pending) {
    const auto asks_again = [this](const u8* host) {
      const u8 flags = memory_.flags(memory_.offset_of(host) >> kPageShift);
      return (flags & kPageHasCode) || ((flags & kPageTracked) && !(flags & kPageDirty));
    };
    space.each([&](ShadowTable& table) { table.drop_writes_if(asks_again); });
  }
  space.flush_pending = space.flush_all_pending = space.writes_pending = false;
  space.log_position = log_end_;
}

void AddressSpaces::flush_current() {
  current_->flush_pending = true;
  current_->log_position = log_end_;
  catch_up(*current_);
  flush_supervisor(/*global_too=*/false);
}

void AddressSpaces::flush_pcid(u16 pcid) {
  if (current_->pcid == pcid) return flush_current();
  for (Space& space : spaces_) {
    if (space.kept && space.pcid == pcid) space.flush_pending = true;
  }
}

void AddressSpaces::flush_all_but_global() {
  for (Space& space : spaces_) space.flush_pending = true;
  flush_current();
}

void AddressSpaces::flush_all() {
  for (Space& space : spaces_) space.flush_all_pending = true;
  global_pages_.clear();
  catch_up(*current_);
  flush_supervisor(/*global_too=*/true);
}

bool AddressSpaces::flush_page(u64 linear_page) {
  if (global_pages_.may_hold(linear_page)) log_[log_end_++ % kLogged] = linear_page;
  const bool user = current_->drop_page(linear_page, /*global_only=*/false);
  return supervisor_.drop_page(linear_page, /*global_only=*/false) || user;
}

void AddressSpaces::flush_page_of(u16 pcid, u64 linear_page) {
  for (Space& space : spaces_) {
    if (space.kept && space.pcid == pcid) (void)space.drop_page(linear_page, false);
  }
  if (current_->pcid == pcid) (void)supervisor_.drop_page(linear_page, false);
}

void AddressSpaces::drop_writes(const u8* first, u64 bytes) {
  for (Space& space : spaces_) space.writes_pending = true;
  current_->writes_pending = false;
  current_->each([&](ShadowTable& table) { table.drop_writes(first, bytes); });
  supervisor_.each([&](ShadowTable& table) { table.drop_writes(first, bytes); });
}

u32 AddressSpaces::new_context(Space& space, const FetchMode& mode) {
  const u32 id = next_context_++;
  space.contexts.add(mode, id);
  return id;
}

void AddressSpaces::forget_contexts() {
  for (Space& space : spaces_) space.contexts.clear();
  supervisor_.contexts.clear();
  next_context_ = 1;
}

}  // namespace dragoman
