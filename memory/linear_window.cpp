#include "memory/linear_window.h"

#include <sys/mman.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "memory/shadow_table.h"

namespace dragoman {
namespace {

/// Mappings that may be in use; Linux gives a process 65,530 (vm.max_map_count).
constexpr u64 kMostMappings = 24'000;
/// Changed pages that are taken out one by one: a system call each, against one for all.
constexpr std::size_t kMostChanges = 64;
static_assert(UpperHalf::kFirst + LinearWindow::kIndexReach + 4 * LinearWindow::kReach <=
              LinearWindow::kHighFirst);
constexpr std::size_t kMostStale = 2048;

void* reserve(void* at, u64 bytes, int placement) {
  return mmap(at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | placement, -1, 0);
}

/// Takes this part of the address space if nothing is there.
bool reserve_free(u64 at, u64 bytes) {
  void* const wanted = reinterpret_cast<void*>(at);
  void* const got = reserve(wanted, bytes, MAP_FIXED_NOREPLACE);
  if (got == MAP_FAILED) return false;
  if (got != wanted) munmap(got, bytes);  // a kernel that does not know the flag
  return got == wanted;
}

/// What accesses off the low part can reach, from where the host lets programs map something.
constexpr u64 kRoomEnd = 64 * kGiB, kRoom = kRoomEnd - LinearWindow::kLowFirst;
static_assert(LinearWindow::kLowEnd + LinearWindow::kReach + LinearWindow::kIndexReach <= kRoomEnd);

/// The host shows programs a page of its kernel, as old ones did (vsyscall=emulate).
bool kernel_page_is_readable() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with("[vsyscall]")) return line.find(" r") != std::string::npos;
  }
  return !maps.eof();
}

}  // namespace

std::unique_ptr<LinearWindow> LinearWindow::create(GuestMemory& memory, const ShadowTable*& gate) {
  gate = nullptr;
  if (memory.file() < 0) return nullptr;
  if (!UpperHalf::take()) return nullptr;
  auto window = std::unique_ptr<LinearWindow>(new LinearWindow(memory, gate));
  window->low_ = reserve_free(kLowFirst, kRoom);
  window->either_ = window->low_ && !kernel_page_is_readable();
  return window;
}

LinearWindow::~LinearWindow() {
  give_to(nullptr);
  UpperHalf::give_back();
  if (low_) munmap(reinterpret_cast<void*>(kLowFirst), kRoom);
}

void LinearWindow::give_to(ShadowTable* owner) {
  if (owner == owner_) return;
  if (owner_ != nullptr) owner_->set_window(nullptr);
  hide_all();
  owner_ = owner;
  gate_ = nullptr;
  if (owner_ != nullptr) owner_->set_window(this);
}

LinearWindow::Region* LinearWindow::region(u64 linear_page) const {
  const auto found = regions_.find(linear_page >> kRegionShift);
  return found != regions_.end() ? found->second.get() : nullptr;
}

std::optional<LinearWindow::Page> LinearWindow::find(u64 linear_page) const {
  const Region* const r = region(linear_page);
  const u32 entry = r != nullptr ? r->list[linear_page & (kRegionPages - 1)] : 0;
  if (entry == 0) return std::nullopt;
  return Page{(entry & ~kWritable) - 1, (entry & kWritable) != 0};
}

bool LinearWindow::show(u64 linear_page, Page first, u64 count, u64 page_bytes) {
  if (mappings_ >= kMostMappings) hide_all();
  ++fills_;
  ++mappings_;
  const int protection = PROT_READ | (first.writable ? PROT_WRITE : 0);
  if (mmap(host(linear_page), count << kPageShift, protection,
           MAP_SHARED | MAP_FIXED | MAP_POPULATE, memory_.file(),
           static_cast<off_t>(u64{first.pool_page} << kPageShift)) == MAP_FAILED) {
    hide_all();
    return false;
  }
  if (page_bytes > 2 * kMiB) giant_ = true;
  for (u64 i = 0; i < count; ++i) {
    const u64 page = linear_page + i;
    std::unique_ptr<Region>& r = regions_[page >> kRegionShift];
    if (r == nullptr) r = std::make_unique<Region>();
    if (r->list[page & (kRegionPages - 1)] != 0) forget(page);
    if (page_bytes == 2 * kMiB) r->large = true;
    const u32 pool_page = first.pool_page + static_cast<u32>(i);
    r->list[page & (kRegionPages - 1)] = (pool_page + 1) | (first.writable ? kWritable : 0);
    ++pages_;
    const auto [place, added] = places_.try_emplace(pool_page, page);
    if (!added) place->second = kSeveral;
  }
  return true;
}

/// The records of a page that is shown; its place in the host is another matter.
void LinearWindow::forget(u64 linear_page) {
  Region& r = *region(linear_page);
  u32& entry = r.list[linear_page & (kRegionPages - 1)];
  const auto place = places_.find((entry & ~kWritable) - 1);
  if (place != places_.end() && place->second == linear_page) places_.erase(place);
  entry = 0;
  --pages_;
}

void LinearWindow::hide(u64 linear_page, u64 count) {
  (void)reserve(host(linear_page), count << kPageShift, MAP_FIXED);
}

void LinearWindow::hide_all() {
  if (pages_ != 0) {
    (void)reserve(reinterpret_cast<void*>(kHighFirst), kHighEnd - kHighFirst, MAP_FIXED);
    if (low_) (void)reserve(reinterpret_cast<void*>(kLowFirst), kLowEnd - kLowFirst, MAP_FIXED);
  }
  regions_.clear();
  places_.clear();
  pages_ = mappings_ = 0;
  stale_.clear();
  all_stale_ = giant_ = false;
}

// One INVLPG invalidates all of a large page (SDM vol. 3, 4.10.4.1).
void LinearWindow::note_page(u64 linear_page) {
  if (all_stale_) return;
  if (giant_) return note_all();
  const Region* const r = region(linear_page);
  if (r == nullptr) return;
  const u64 first = linear_page & ~(kRegionPages - 1);
  for (u64 page = r->large ? first : linear_page;
       page <= (r->large ? first | (kRegionPages - 1) : linear_page); ++page) {
    if (r->list[page & (kRegionPages - 1)] == 0) continue;
    gate_ = nullptr;
    if (stale_.size() == kMostStale) return note_all();
    stale_.push_back(page);
  }
}

void LinearWindow::note_all() {
  if (pages_ == 0) return;
  gate_ = nullptr;
  all_stale_ = true;
  stale_.clear();
}

void LinearWindow::drop_writes(const u8* first, u64 bytes) {
  const u64 pool_page = memory_.offset_of(first) >> kPageShift;
  const u64 count = bytes >> kPageShift;
  const auto protect = [&](u64 linear_page) {
    u32& entry = region(linear_page)->list[linear_page & (kRegionPages - 1)];
    if (!(entry & kWritable)) return;
    entry &= ~kWritable;
    ++mappings_;
    if (mprotect(host(linear_page), kPageSize, PROT_READ) != 0) hide(linear_page, 1);
  };
  const auto everywhere = [&](auto&& wanted) {
    for (const auto& [number, r] : regions_) {
      for (u64 i = 0; i < kRegionPages; ++i) {
        if (r->list[i] != 0 && wanted((r->list[i] & ~kWritable) - 1))
          protect(number << kRegionShift | i);
      }
    }
  };
  if (count > pages_) return everywhere([&](u64 page) { return page - pool_page < count; });
  for (u64 i = 0; i < count; ++i) {
    const auto place = places_.find(static_cast<u32>(pool_page + i));
    if (place == places_.end()) continue;
    if (place->second == kSeveral) {
      everywhere([&](u64 page) { return page == pool_page + i; });
    } else {
      protect(place->second);
    }
  }
}

void LinearWindow::finish_check() {
  std::sort(changed_.begin(), changed_.end());
  changed_.erase(std::unique(changed_.begin(), changed_.end()), changed_.end());
  if (changed_.size() > kMostChanges && changed_.size() > pages_ / 4) {
    hide_all();
  } else {
    for (std::size_t i = 0; i < changed_.size();) {
      std::size_t end = i + 1;
      while (end < changed_.size() && changed_[end] == changed_[end - 1] + 1) ++end;
      hide(changed_[i], end - i);
      ++mappings_;
      for (; i < end; ++i) forget(changed_[i]);
    }
  }
  changed_.clear();
  stale_.clear();
  all_stale_ = false;
  gate_ = owner_;
}

}  // namespace dragoman
