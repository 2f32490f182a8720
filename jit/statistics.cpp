// What was translated and how it ran, in words: -d jit-stats.
#include <algorithm>

#include "cpu/isa/rows.h"
#include "jit/translator.h"

namespace dragoman {

std::string Translator::describe_statistics() const {
  std::string text = fmt::format(
      "translator: {} regions ({} superblocks) of {} instructions, {} bytes of host code now, {} "
      "links ({} narrow), "
      "part of the cache emptied {} times\n"
      "executed: {} instructions in host code, {} in all; host code entered {} times; "
      "{} memory accesses looked up in C++\n",
      translated_count_, superblock_count_, translated_instructions_, code_bytes(), linked_count_,
      narrow_count_, times_full_, host_instructions_, cpu_.state.instructions, entered_count_,
      slow_accesses_);
  text +=
      fmt::format("guards of several pages: {} looked at in C++, {} failed; {} fetch contexts\n",
                  guard_count_, guard_failures_, TranslatorAccess::contexts_made(cpu_));
  static constexpr std::array<std::string_view, static_cast<std::size_t>(ExitKind::kCount)> kExits =
      {"start or loop", "known page", "other page", "narrow", "hot", "no target", "fault or event"};
  text += "left at:";
  for (std::size_t i = 0; i < kExits.size(); ++i)
    text += fmt::format(" {} {};", kExits[i], exits_[i]);
  text += "\n";
  if (window_ != nullptr) {
    text += fmt::format(
        "window of user programs: {} pages shown now, {} times some were added, {} times compared "
        "with the guest's tables, {} host faults, {} accesses outside\n",
        window_->pages(), window_->fills(), window_->checks(), window_faults_, window_refusals_);
  }
  std::vector<std::pair<u64, std::size_t>> most;
  u64 total = 0;
  for (std::size_t i = 0; i < interpreted_.size(); ++i) {
    total += interpreted_[i];
    if (interpreted_[i] != 0) most.emplace_back(interpreted_[i], i);
  }
  const u64 all = std::max<u64>(cpu_.state.instructions, 1);
  text += fmt::format("by handlers called from host code: {} ({:.3f} %)\n", total,
                      100.0 * static_cast<double>(total) / static_cast<double>(all));
  std::sort(most.rbegin(), most.rend());
  for (std::size_t i = 0; i < std::min<std::size_t>(most.size(), 40); ++i) {
    text +=
        fmt::format("  {:<14} {:>12}\n",
                    operation_info(static_cast<Operation>(most[i].second)).mnemonic, most[i].first);
  }
  return text;
}

}  // namespace dragoman
