// The words of one line of the monitor.
#pragma once

#include <cctype>
#include <string>
#include <utility>

#include "frontends/monitor/monitor.h"

namespace dragoman {

/// How x, xp and print show values: /4xw is four of them, hexadecimal, 32 bits each.
struct DumpFormat {
  u64 count = 1;
  char kind = 'x';
  unsigned bytes = 4;
};

struct Monitor::Arguments {
  explicit Arguments(std::string line) : text(std::move(line)) {}

  std::string text;
  std::string usage;
  std::size_t at = 0;

  void skip() {
    while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at])) != 0) ++at;
  }
  bool done() {
    skip();
    return at == text.size();
  }
  /// The next word; quotes keep blanks inside. Empty at the end.
  std::string word() {
    skip();
    std::string out;
    char quote = '\0';
    for (; at < text.size(); ++at) {
      const char c = text[at];
      if (quote != '\0') {
        if (c == quote) {
          quote = '\0';
        } else {
          out += c;
        }
      } else if (c == '"' || c == '\'') {
        quote = c;
      } else if (std::isspace(static_cast<unsigned char>(c)) != 0) {
        break;
      } else {
        out += c;
      }
    }
    return out;
  }
  /// The last `characters` of the word just taken come again.
  void skip_back(std::size_t characters) { at -= std::min(at, characters); }
  std::string rest() {
    skip();
    return text.substr(std::exchange(at, text.size()));
  }
  /// A format such as /4xw, if one comes next.
  Result<DumpFormat> format(DumpFormat format) {
    skip();
    if (at == text.size() || text[at] != '/') return format;
    ++at;
    u64 count = 0;
    bool counted = false;
    for (; at < text.size() && std::isspace(static_cast<unsigned char>(text[at])) == 0; ++at) {
      const char c = text[at];
      if (c >= '0' && c <= '9') {
        if (count > 1'000'000) return error("the count in the format is too large");
        count = count * 10 + static_cast<unsigned>(c - '0');
        counted = true;
      } else if (c == 'x' || c == 'd' || c == 'u' || c == 'o' || c == 'c' || c == 'i') {
        format.kind = c;
      } else if (c == 'b' || c == 'h' || c == 'w' || c == 'g') {
        format.bytes = c == 'b' ? 1 : c == 'h' ? 2 : c == 'w' ? 4 : 8;
      } else {
        return error("'{}' in the format is not known; use x d u o c i and b h w g, as in /4xw", c);
      }
    }
    if (counted) format.count = count;
    return format;
  }
};

}  // namespace dragoman
