#include "jit/options.h"

#include <array>
#include <charconv>

namespace dragoman {
namespace {

constexpr TranslatorOptionInfo kInfos[] = {
    {"cache", "memory for code and what is known of it, 1M to 1G (384M)"},
    {"threshold", "runs of a block before it is translated, 1 to 1000000 (3)"},
    {"superblock_threshold", "counted runs of a block before it heads a superblock (1000)"},
    {"window_threshold",
     "instructions of a program before it gets the window, 0 to 4000000000 (3000000)"},
    {"links", "jumps from block to block without a look-up"},
    {"liveness", "flags nobody reads are not saved"},
    {"probes", "one look at the shadow page table for nearby accesses"},
    {"called_probes", "code of the first tier looks pages up by calls of shared code"},
    {"windows",
     "user programs access memory that the host's page tables show at their own addresses"},
    {"returns", "RET and indirect jumps look their target up in place, not in shared code"},
    {"strings", "string instructions in page-sized pieces, and without REP in host code"},
    {"vectors", "MMX, SSE and AVX rows in host registers"},
    {"x87", "x87 and MMX rows in host registers"},
    {"superblocks", "hot loops and paths as one translation"},
    {"sampling", "runs are counted only around blocks found running often, not from the start"},
    {"calls", "superblocks go into functions they call"},
    {"spaces", "shadow tables of other CR3 values are kept"},
    {"legacy", "16- and 32-bit code too"},
    {"counters", "translated code counts its runs, as -trace wants (off)"},
    {"perfmap", "/tmp/perf-PID.map names translated code for perf (off)"},
};

constexpr std::pair<std::string_view, bool TranslatorOptions::*> kSwitches[] = {
    {"links", &TranslatorOptions::links},
    {"liveness", &TranslatorOptions::flag_liveness},
    {"probes", &TranslatorOptions::shared_probes},
    {"called_probes", &TranslatorOptions::called_probes},
    {"windows", &TranslatorOptions::windows},
    {"returns", &TranslatorOptions::returns},
    {"strings", &TranslatorOptions::strings},
    {"vectors", &TranslatorOptions::vectors},
    {"x87", &TranslatorOptions::x87},
    {"superblocks", &TranslatorOptions::superblocks},
    {"sampling", &TranslatorOptions::sampling},
    {"calls", &TranslatorOptions::calls},
    {"spaces", &TranslatorOptions::address_spaces},
    {"legacy", &TranslatorOptions::legacy},
    {"counters", &TranslatorOptions::counters},
    {"perfmap", &TranslatorOptions::perfmap},
};

std::optional<u64> parse_number(std::string_view text, bool units) {
  u64 value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{}) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  if (unit.empty()) return value;
  if (!units || unit.size() != 1 || value > kGiB) return std::nullopt;
  switch (unit[0] | 0x20) {
    case 'k':
      return value * kKiB;
    case 'm':
      return value * kMiB;
    case 'g':
      return value * kGiB;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::span<const TranslatorOptionInfo> translator_option_infos() { return kInfos; }

Result<void> set_translator_option(TranslatorOptions& options, std::string_view name,
                                   std::string_view value) {
  for (const auto& [word, member] : kSwitches) {
    if (name != word) continue;
    if (value != "on" && value != "off")
      return error("'{}={}' of -accel jit: the value is on or off", name, value);
    options.*member = value == "on";
    return {};
  }
  if (name == "cache") {
    const auto bytes = parse_number(value, true);
    if (!bytes || *bytes < kMiB || *bytes > kGiB)
      return error("'cache={}' of -accel jit: give a size from 1M to 1G, such as 64M", value);
    options.cache_bytes = *bytes;
    return {};
  }
  if (name == "threshold" || name == "superblock_threshold") {
    const auto runs = parse_number(value, false);
    if (!runs || *runs < 1 || *runs > 1000000)
      return error("'{}={}' of -accel jit: give a number from 1 to 1000000", name, value);
    (name == "threshold" ? options.runs_before_translation : options.runs_before_superblock) =
        static_cast<u32>(*runs);
    return {};
  }
  if (name == "window_threshold") {
    const auto instructions = parse_number(value, false);
    if (!instructions || *instructions > 4'000'000'000)
      return error("'window_threshold={}' of -accel jit: give a number from 0 to 4000000000",
                   value);
    options.instructions_before_window = static_cast<u32>(*instructions);
    return {};
  }
  std::string known;
  for (const TranslatorOptionInfo& info : kInfos) {
    known += known.empty() ? "" : ", ";
    known += info.name;
  }
  return error("-accel jit has no option '{}'; it has {}", name, known);
}

}  // namespace dragoman
