#include "frontends/cli/accel_options.h"

#include <algorithm>
#include <charconv>

#include "frontends/cli/nearest.h"

namespace dragoman {
namespace {

struct Accelerator {
  const char* name;
  const char* help;
};
constexpr Accelerator kAccelerators[] = {
    {"jit", "hot guest code becomes host code (default)"},
    {"interp", "every instruction is interpreted"},
    {"lockstep", "interpreter and translator side by side; ends at the first difference"},
};

constexpr TranslatorOptionInfo kLockstepInfos[] = {
    {"step", "instructions between two comparisons of the processors, 1 to 100M (10000)"},
    {"check", "instructions between two comparisons of RAM, devices and disks, 1 to 1G (64M)"},
    {"flags", "all: compare every flag; defined: undefined ones only if something comes of them"},
};

/// A number of instructions: "10000", "64M". Units count in thousands.
std::optional<u64> parse_count(std::string_view text, u64 highest) {
  u64 value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  u64 scale = 0;
  if (unit.empty())
    scale = 1;
  else if (unit == "k" || unit == "K")
    scale = 1'000;
  else if (unit == "m" || unit == "M")
    scale = 1'000'000;
  else if (unit == "g" || unit == "G")
    scale = 1'000'000'000;
  if (status != std::errc() || scale == 0 || value < 1 || value > highest / scale) {
    return std::nullopt;
  }
  return value * scale;
}

/// False in the result: `name` is none of the options of lockstep itself.
Result<bool> set_lockstep_option(LockstepOptions& options, const std::string& name,
                                 const std::string& value) {
  struct Count {
    const char* name;
    u64 LockstepOptions::*member;
    u64 highest;
    const char* range;
  };
  static constexpr Count kCounts[] = {
      {"step", &LockstepOptions::step, 100'000'000, "1 to 100M, such as 10000"},
      {"check", &LockstepOptions::check, 1'000'000'000, "1 to 1G, such as 64M"},
  };
  for (const Count& count : kCounts) {
    if (name != count.name) continue;
    const auto number = parse_count(value, count.highest);
    if (!number) {
      return error("'{}={}' in -accel lockstep: give a number of instructions from {}", name, value,
                   count.range);
    }
    options.*count.member = *number;
    return true;
  }
  if (name == "flags") {
    if (value != "all" && value != "defined") {
      return error("'flags={}' in -accel lockstep: use flags=all or flags=defined", value);
    }
    options.all_flags = value == "all";
    return true;
  }
  return false;
}

}  // namespace

Result<void> parse_accel(const std::string& text, Options& options) {
  KeyValues values = KeyValues::parse(text, "accel");
  options.accel = values.take("accel").value_or("jit");
  std::vector<std::string> names;
  for (const Accelerator& accelerator : kAccelerators) names.emplace_back(accelerator.name);
  if (std::find(names.begin(), names.end(), options.accel) == names.end()) {
    const std::string nearest = nearest_word(options.accel, names);
    return error(
        "accelerator '{}' in -accel is not available{}; use -accel jit, -accel interp or "
        "-accel lockstep",
        options.accel, nearest.empty() ? "" : fmt::format(", did you mean '{}'?", nearest));
  }
  std::vector<std::string> known;
  if (options.accel != "interp") {
    for (const auto& info : translator_option_infos()) known.emplace_back(info.name);
  }
  if (options.accel == "lockstep") {
    for (const auto& info : kLockstepInfos) known.emplace_back(info.name);
  }
  while (const auto item = values.take_first()) {
    const auto& [name, value] = *item;
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      const std::string nearest = nearest_word(name, known);
      return error("-accel {} has no option '{}'{}; '-accel help' lists all", options.accel, name,
                   nearest.empty() ? "" : fmt::format(", did you mean '{}'?", nearest));
    }
    if (options.accel == "lockstep") {
      auto done = set_lockstep_option(options.lockstep, name, value);
      if (!done) return done.error();
      if (*done) continue;
    }
    if (auto ok = set_translator_option(options.translator, name, value); !ok) return ok;
  }
  return {};
}

std::string accel_help() {
  std::string text = "Accelerators for -accel:\n";
  for (const Accelerator& a : kAccelerators) text += fmt::format("  {:<12}{}\n", a.name, a.help);
  text += "Options of jit and lockstep (NAME=on or NAME=off unless the text says otherwise):\n";
  for (const auto& info : translator_option_infos())
    text += fmt::format("  {:<21} {}\n", info.name, info.help);
  text += "Options of lockstep:\n";
  for (const auto& info : kLockstepInfos)
    text += fmt::format("  {:<21} {}\n", info.name, info.help);
  return text;
}

}  // namespace dragoman
