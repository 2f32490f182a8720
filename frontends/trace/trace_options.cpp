#include "frontends/trace/trace_options.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "frontends/cli/nearest.h"
#include "frontends/cli/options.h"

namespace dragoman {
namespace {

constexpr u64 kMostTranslations = 100'000;
constexpr u64 kMostEvents = 1'000'000;

/// Decimal, or hexadecimal with 0x.
std::optional<u64> number_of(std::string_view text) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  if (hex) text.remove_prefix(2);
  u64 value = 0;
  const auto [end, problem] =
      std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<bool> switch_of(std::string_view key, std::string_view value) {
  if (value == "on") return true;
  if (value == "off") return false;
  return error("'{}={}' in -trace: use on or off", key, value);
}

Result<TraceFormat> format_of(std::string_view name) {
  if (name == "html") return TraceFormat::kHtml;
  if (name == "json") return TraceFormat::kJson;
  if (name == "chrome" || name == "perfetto") return TraceFormat::kChrome;
  return error("'format={}' in -trace: use html, json or chrome", name);
}

std::optional<TraceFormat> format_by_name(std::string_view path) {
  if (path.ends_with(".html") || path.ends_with(".htm")) return TraceFormat::kHtml;
  if (path.ends_with(".trace.json") || path.ends_with(".perfetto.json"))
    return TraceFormat::kChrome;
  if (path.ends_with(".json")) return TraceFormat::kJson;
  return std::nullopt;
}

/// "A-B", hexadecimal with or without 0x, or decimal numbers; "A+N" is N bytes.
std::optional<TraceRange> range_of(std::string_view text) {
  const std::size_t at = text.find_first_of("-+");
  if (at == std::string_view::npos) return std::nullopt;
  const auto first = number_of(text.substr(0, at));
  const auto second = number_of(text.substr(at + 1));
  if (!first || !second) return std::nullopt;
  TraceRange range{*first, *second};
  if (text[at] == '+') {
    if (*second == 0 || *second - 1 > ~*first) return std::nullopt;
    range.last = *first + *second - 1;
  }
  if (range.last < range.first) return std::nullopt;
  return range;
}

}  // namespace

bool TraceOptions::wants(u64 rip, unsigned ring, u64 cr3) const {
  if ((rings >> ring & 1) == 0) return false;
  const auto covers = [&](const TraceRange& r) { return rip >= r.first && rip <= r.last; };
  if (!only.empty() && std::none_of(only.begin(), only.end(), covers)) return false;
  const u64 space = cr3 & ~kPageMask;
  return spaces.empty() || std::find(spaces.begin(), spaces.end(), space) != spaces.end();
}

Result<TraceOptions> parse_trace_options(std::string_view text) {
  KeyValues values = KeyValues::parse(text, "file");
  TraceOptions options;
  options.path = values.take("file").value_or("");
  if (options.path.empty())
    return error("-trace {} names no file; write it first, such as -trace out.html", text);
  const auto by_name = format_by_name(options.path);
  if (by_name) options.format = *by_name;
  bool format_given = false;
  bool rings_given = false;
  while (const auto item = values.take_first()) {
    const auto& [key, value] = *item;
    if (key == "format") {
      auto format = format_of(value);
      if (!format) return format.error();
      options.format = *format;
      format_given = true;
    } else if (key == "limit" || key == "events") {
      const u64 most = key == "limit" ? kMostTranslations : kMostEvents;
      const auto number = number_of(value);
      if (!number || *number < 1 || *number > most)
        return error("'{}={}' in -trace: give a number from 1 to {}", key, value, most);
      (key == "limit" ? options.limit : options.events) = *number;
    } else if ((key == "first" || key == "hottest") && value == "on") {
      options.hottest = key == "hottest";
    } else if (key == "range") {
      const auto range = range_of(value);
      if (!range)
        return error(
            "'range={}' in -trace: give the first and the last address, such as "
            "range=0x1000-0x1fff, or range=0x1000+0x1000",
            value);
      options.only.push_back(*range);
    } else if (key == "ring") {
      const auto ring = number_of(value);
      if (!ring || *ring > 3)
        return error("'ring={}' in -trace: give a privilege level, 0 to 3", value);
      options.rings = (rings_given ? options.rings : 0) | 1u << *ring;
      rings_given = true;
    } else if (key == "cr3") {
      const auto cr3 = number_of(value);
      if (!cr3) return error("'cr3={}' in -trace: give a value of CR3, such as 0x1234000", value);
      options.spaces.push_back(*cr3 & ~kPageMask);
    } else if (key == "counters" || key == "samples") {
      auto on = switch_of(key, value);
      if (!on) return on.error();
      (key == "counters" ? options.counters : options.samples) = *on;
    } else {
      return error(
          "unknown property '{}={}' in -trace; known are format, limit, first, hottest, range, "
          "ring, cr3, events, counters, samples",
          key, value);
    }
  }
  if (!by_name && !format_given) {
    const std::size_t dot = options.path.find_last_of("./");
    const bool ending = dot != std::string::npos && options.path[dot] == '.';
    const std::string nearest =
        ending ? nearest_word(options.path.substr(dot), {".html", ".json"}) : "";
    return error(
        "the name '{}' in -trace does not tell the format{}; let it end in .html (a page), .json "
        "(data) or .trace.json (for Perfetto), or add ,format=html, json or chrome",
        options.path,
        nearest.empty()
            ? ""
            : fmt::format(" (did you mean '{}'?)", options.path.substr(0, dot) + nearest));
  }
  return options;
}

Result<SymbolFile> parse_symbol_file(std::string_view text) {
  KeyValues values = KeyValues::parse(text, "file");
  SymbolFile file;
  file.path = values.take("file").value_or("");
  if (file.path.empty()) return error("-trace-symbols {} names no file", text);
  if (const auto slide = values.take("slide")) {
    const bool down = slide->starts_with("-");
    const auto number = number_of(std::string_view(*slide).substr(down ? 1 : 0));
    if (!number)
      return error("'slide={}' in -trace-symbols: give a distance, such as slide=0x400000", *slide);
    file.slide = static_cast<i64>(down ? 0 - *number : *number);
    file.find = false;
  }
  if (auto ok = values.expect_empty("-trace-symbols", "slide"); !ok) return ok.error();
  return file;
}

}  // namespace dragoman
