#include "devices/block/fat_names.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <string_view>

#include "devices/block/byte_order.h"

namespace dragoman {
namespace {

constexpr u8 kReadOnly = 0x01;
constexpr u8 kDirectory = 0x10;
constexpr u8 kArchive = 0x20;
constexpr u8 kLongName = 0x0f;
constexpr unsigned kUnitsPerEntry = 13;
constexpr std::size_t kMostUnits = 255;

bool plain_character(char c) {
  constexpr std::string_view kOthers = "$%'-_@~`!(){}^#&";
  return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         kOthers.find(c) != std::string_view::npos;
}

/// The name in upper case, with '_' for what a short name cannot hold. `exact` tells whether that
/// changed anything.
std::string short_part(std::string_view text, std::size_t most, bool& exact) {
  std::string out;
  for (char c : text) {
    if (c == ' ' || c == '.') {
      exact = false;
      continue;
    }
    if (c >= 'a' && c <= 'z') {
      exact = false;
      c = static_cast<char>(c - 'a' + 'A');
    }
    if (!plain_character(c)) {
      exact = false;
      c = '_';
    }
    if (out.size() == most) {
      exact = false;
      break;
    }
    out += c;
  }
  return out;
}

/// UTF-8 to UTF-16; bytes that are not UTF-8 become U+FFFD.
std::vector<u16> to_utf16(std::string_view text) {
  std::vector<u16> units;
  for (std::size_t i = 0; i < text.size();) {
    const u8 first = static_cast<u8>(text[i]);
    const unsigned length = first < 0x80    ? 1
                            : first >= 0xf0 ? 4
                            : first >= 0xe0 ? 3
                            : first >= 0xc2 ? 2
                                            : 0;
    u32 point = length <= 1 ? first : first & (0x7f >> length);
    bool good = length != 0 && i + length <= text.size() && first < 0xf5;
    for (unsigned n = 1; good && n < length; ++n) {
      const u8 next = static_cast<u8>(text[i + n]);
      good = (next & 0xc0) == 0x80;
      point = point << 6 | (next & 0x3f);
    }
    if (!good || point > 0x10ffff) {
      units.push_back(0xfffd);
      ++i;
      continue;
    }
    if (point >= 0x10000) {
      units.push_back(static_cast<u16>(0xd800 + ((point - 0x10000) >> 10)));
      units.push_back(static_cast<u16>(0xdc00 + (point & 0x3ff)));
    } else {
      units.push_back(static_cast<u16>(point));
    }
    i += length;
  }
  if (units.size() > kMostUnits) units.resize(kMostUnits);
  return units;
}

/// The name as stored, when no long name is needed.
bool fits_short(const std::string& name) {
  bool exact = true;
  const auto dot = name.find('.');
  const std::string base = short_part(name.substr(0, dot), 8, exact);
  if (dot != std::string::npos) (void)short_part(name.substr(dot + 1), 3, exact);
  return exact && !base.empty() && dot != name.size() - 1;
}

u8 checksum(const std::string& short_name) {
  u8 sum = 0;
  for (const char c : short_name) {
    sum = static_cast<u8>((sum >> 1 | sum << 7) + static_cast<u8>(c));
  }
  return sum;
}

}  // namespace

std::string FatShortNames::take(const std::string& name) {
  bool exact = true;
  const auto dot = name.rfind('.');
  const bool has_extension = dot != std::string::npos && dot != 0;
  std::string base = short_part(name.substr(0, has_extension ? dot : std::string::npos), 8, exact);
  std::string extension = has_extension ? short_part(name.substr(dot + 1), 3, exact) : "";
  extension.resize(3, ' ');
  if (base.empty()) base = "_";
  std::string stored = base;
  stored.resize(8, ' ');
  stored += extension;
  if (fits_short(name) && used_.insert(stored).second) return stored;
  for (u64 number = 1;; ++number) {
    const std::string tail = "~" + std::to_string(number);
    stored = base.substr(0, 8 - tail.size()) + tail;
    stored.resize(8, ' ');
    stored += extension;
    if (used_.insert(stored).second) return stored;
  }
}

void append_plain_fat_entry(std::vector<u8>& directory, const std::string& stored_name,
                            u8 attributes, const FatEntry& entry) {
  std::array<u8, 32> raw{};
  std::copy_n(stored_name.begin(), 11, raw.begin());
  raw[11] = attributes;
  const std::time_t seconds = entry.modified_unix;
  std::tm date{};
  gmtime_r(&seconds, &date);
  // Dates begin in 1980 and end in 2107.
  const int year = std::clamp(date.tm_year - 80, 0, 127);
  const int day = year << 9 | (date.tm_mon + 1) << 5 | date.tm_mday;
  const int time = date.tm_hour << 11 | date.tm_min << 5 | date.tm_sec / 2;
  put_le(raw, 14, 2, static_cast<u64>(time));
  put_le(raw, 16, 2, static_cast<u64>(day));
  put_le(raw, 18, 2, static_cast<u64>(day));
  put_le(raw, 22, 2, static_cast<u64>(time));
  put_le(raw, 24, 2, static_cast<u64>(day));
  put_le(raw, 20, 2, entry.cluster >> 16);
  put_le(raw, 26, 2, entry.cluster & 0xffff);
  put_le(raw, 28, 4, entry.bytes);
  directory.insert(directory.end(), raw.begin(), raw.end());
}

void append_fat_entry(std::vector<u8>& directory, const FatEntry& entry, FatShortNames& names) {
  const std::string stored = names.take(entry.name);
  if (!fits_short(entry.name)) {
    std::vector<u16> units = to_utf16(entry.name);
    const unsigned count =
        static_cast<unsigned>((units.size() + kUnitsPerEntry - 1) / kUnitsPerEntry);
    if (units.size() % kUnitsPerEntry != 0) units.push_back(0);
    units.resize(count * kUnitsPerEntry, 0xffff);
    // The last part comes first.
    for (unsigned part = count; part-- > 0;) {
      std::array<u8, 32> raw{};
      raw[0] = static_cast<u8>((part + 1) | (part + 1 == count ? 0x40 : 0));
      raw[11] = kLongName;
      raw[13] = checksum(stored);
      for (unsigned i = 0; i < kUnitsPerEntry; ++i) {
        const unsigned at = i < 5 ? 1 + 2 * i : i < 11 ? 14 + 2 * (i - 5) : 28 + 2 * (i - 11);
        put_le(raw, at, 2, units[part * kUnitsPerEntry + i]);
      }
      directory.insert(directory.end(), raw.begin(), raw.end());
    }
  }
  append_plain_fat_entry(directory, stored,
                         static_cast<u8>(entry.directory ? kDirectory : kArchive | kReadOnly),
                         entry);
}

}  // namespace dragoman
