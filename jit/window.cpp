// Code of user programs, and of kernels at low addresses, accesses memory through a LinearWindow:
// whose pages it shows, and what becomes of accesses it does not serve.
#include <algorithm>
#include <utility>

#include "jit/translator.h"

namespace dragoman {
namespace {

/// What changing the owner costs the old one when it comes back, in guest instructions: so many
/// pass before it changes again, for every page that is shown.
constexpr u64 kInstructionsPerPage = 250'000;
constexpr u64 kLeastInstructions = 20'000'000, kMostInstructions = 200'000'000;

/// Pages around one that faults that are shown with it when they follow each other in the pool.
constexpr u64 kAround = 16;

/// Linear address of the access.
u64 linear_address(const Site& site, const CpuState& state) {
  const Instruction& insn = site.insn();
  switch (site.window) {
    case WindowAccess::kPush:
      return state.regs[kRsp] - insn.operand_size;
    case WindowAccess::kPop:
      return state.regs[kRsp];
    case WindowAccess::kLeave:
      return state.regs[kRbp];
    default:
      break;
  }
  u64 address = insn.segment >= kFs ? state.segments[insn.segment].base : 0;
  if (has_absolute_offset(insn)) return address + insn.immediate;
  address += static_cast<u64>(static_cast<i64>(insn.displacement));
  if (insn.base == kRip) {
    address += site.rip + insn.length;
  } else if (insn.base != kZeroRegister) {
    address += state.regs[insn.base];
  }
  if (insn.index != kZeroRegister) address += state.regs[insn.index] << insn.scale;
  return address;
}

}  // namespace

/// It goes to whoever runs for some time, and not to programs that take turns soon.
bool Translator::may_take_window(const ShadowTable& table) {
  const u64 now = cpu_.state.instructions;
  if (window_candidate_ != &table) {
    window_candidate_ = &table;
    candidate_since_ = now;
  }
  if (now - candidate_since_ < options_.instructions_before_window) return false;
  if (window_ == nullptr || window_->owner() == nullptr || options_.instructions_before_window == 0)
    return true;
  const u64 wait =
      std::clamp(window_->pages() * kInstructionsPerPage, kLeastInstructions, kMostInstructions);
  return now - window_taken_ >= wait;
}

bool Translator::show_in_window(Cpu& cpu) {
  ShadowTable& table = *cpu.frame.shadow;
  if (!options_.windows || !TranslatorAccess::filled(cpu, table)) return false;
  if (window_ == nullptr || window_->owner() != &table) {
    if (!may_take_window(table)) return false;
    if (!window_tried_) {
      window_tried_ = true;
      window_ = LinearWindow::create(cpu.memory().memory(), cpu.frame.window_table);
      if (window_ == nullptr)
        cpu.log().once("translator",
                       "The process has no address space left for a window to user memory: "
                       "programs run slower.");
    }
    if (window_ == nullptr) return false;
    window_taken_ = cpu.state.instructions;
    window_->give_to(&table);
    receive_host_faults();
  }
  window_->check([&](u64 page) {
    u64 page_bytes = 0;
    return TranslatorAccess::window_page(cpu, page, page_bytes);
  });
  return true;
}

/// Shows the page of an access that its owner's page tables allow, with those around it that follow
/// each other in the pool too. False when it has to be looked at.
bool Translator::show_page(const Site& site, u64 linear, PageShown& done) {
  const u64 page = linear >> kPageShift;
  const AccessType type = site.write ? AccessType::kWrite : AccessType::kRead;
  if (cpu_.direct(linear, 1, type) == nullptr) {
    done.faults = TranslatorAccess::faults(cpu_, linear, type);
    return false;
  }
  u64 page_bytes = 0;
  const auto view = TranslatorAccess::window_page(cpu_, page, page_bytes);
  if (!view || (site.write && !view->writable)) return false;
  if (window_->find(page) == view) return true;
  const auto follows = [&](u64 other) {
    if (window_->part(other << kPageShift) == WindowPart::kNone || window_->find(other))
      return false;
    u64 ignored = 0;
    const auto seen = TranslatorAccess::window_page(cpu_, other, ignored);
    return seen && seen->writable == view->writable &&
           seen->pool_page - view->pool_page == static_cast<u32>(other - page);
  };
  const u64 block = page & ~(kAround - 1);
  u64 first = page, end = page + 1;
  while (first > block && follows(first - 1)) --first;
  while (end < block + kAround && follows(end)) ++end;
  const LinearWindow::Page at{view->pool_page - static_cast<u32>(page - first), view->writable};
  if (!window_->show(first, at, end - first, page_bytes)) return false;
  return done.shown = true;
}

/// The guest's last page fault behind a window is long past; there is one now.
bool Translator::seldom_faults() {
  constexpr u64 kInstructions = 100'000;  ///< that run in the time of two faults of the host
  const u64 now = entry_instructions_ + static_cast<u64>(entry_budget_ - cpu_.frame.budget);
  return now - std::exchange(last_guest_fault_, now) >= kInstructions;
}

const u8* Translator::window_access(Site& site) {
  running_ = site.region;
  const u64 linear = linear_address(site, cpu_.state);
  const u64 last = linear + site.bytes - 1;
  // What faults for another reason may not set A or D bits.
  const bool may_be_shown =
      window_->serves(site.part, linear) && window_->part(last) == window_->part(linear);
  const bool whole = !site.aligned || (linear & (site.bytes - 1u)) == 0;
  PageShown done;
  const bool there = may_be_shown && whole && show_page(site, linear, done) &&
                     (linear >> kPageShift == last >> kPageShift || show_page(site, last, done));
  const bool again = there && done.shown && cpu_.frame.block_invalidated == 0 &&
                     cpu_.frame.window_table == cpu_.frame.shadow;
  if (!again) {
    ++window_refusals_;
    // Page faults of the guest say nothing about the next time, unless there is one after another:
    // with the host's beside them they cost more than looking pages up.
    if (whole && !(done.faults && seldom_faults())) note_outside_window(site);
    if (site.recipe.kind != FlagRecipe::kNone)
      cpu_.frame.flags = packed_flags(flags_by_recipe(site.recipe, cpu_.state));
  }
  running_ = nullptr;
  return again ? site.region->entry + site.again : nullptr;
}

/// Accesses that keep missing look in both parts from now on, or at last each page up.
void Translator::note_outside_window(Site& site) {
  constexpr u8 kMany = 8;
  const Instruction& insn = site.insn();
  if (site.window == WindowAccess::kOperand && insn.base < 16 && insn.index < 16 &&
      !(site.block->paired >> site.index & 1)) {
    site.paired = window_->serves(site.part, cpu_.state.regs[insn.base]) ||
                  window_->serves(site.part, cpu_.state.regs[insn.index]);
  }
  if (++site.refused != kMany) return;
  TranslatedRegion& region = *site.region;
  RecordList<Site>& sites = cache_.records(region.chunk).sites;
  for (u32 i = 0; i < region.sites; ++i) {
    const Site& other = sites[region.first_site + i];
    if (other.window == WindowAccess::kNone || other.refused == 0) continue;
    u32& missed = other.paired ? other.block->paired
                  : other.part == WindowPart::kEither || !window_->has_either()
                      ? other.block->outside
                      : other.block->mixed;
    missed |= 1u << other.index;
  }
  TranslatedRegion* const plain = region.plain;
  retire(region, RetireCause::kSuperseded);
  if (plain != nullptr && !plain->dead && !plain->counts) count_runs(*plain);
}

/// In a signal handler.
bool Translator::host_fault(HostFault& fault) {
  const Site* const site = cache_.site_of_fault(fault.rip);
  if (site == nullptr) return false;
  ++window_faults_;
  if (site->flags_in_host) cpu_.frame.flags = packed_flags(fault.flags);
  fault.rip = static_cast<const u8*>(cpu_.frame.window_stub);
  fault.scratch = reinterpret_cast<u64>(site);
  return true;
}

}  // namespace dragoman
