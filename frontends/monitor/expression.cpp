#include "frontends/monitor/expression.h"

#include <cctype>
#include <charconv>
#include <optional>
#include <string>

namespace dragoman {
namespace {

constexpr unsigned kDeepest = 100;

std::optional<u64> register_value(std::string_view name, const Cpu& cpu) {
  const CpuState& s = cpu.state;
  static constexpr std::string_view kGprs[] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
  for (unsigned i = 0; i < 8; ++i) {
    if (name.size() == 2 && name == kGprs[i]) {
      return i == 4 || i == 5 ? s.regs[i] : s.regs[i] & 0xffff;  // $sp is as wide as the mode
    }
    if (name.size() == 3 && name.substr(1) == kGprs[i]) {
      if (name[0] == 'r') return s.regs[i];
      if (name[0] == 'e') return static_cast<u32>(s.regs[i]);
    }
  }
  for (unsigned i = 8; i < 16; ++i) {
    if (name == "r" + std::to_string(i)) return s.regs[i];
  }
  const u64 base = cpu.decode_mode().code_bits == 64 ? 0 : s.segments[kCs].base;
  if (name == "pc") return s.rip() + base;
  if (name == "rip" || name == "eip" || name == "ip") return s.rip();
  if (name == "eflags" || name == "rflags") return cpu.rflags();
  static constexpr std::string_view kSegments[] = {"es", "cs", "ss", "ds", "fs", "gs"};
  for (unsigned i = 0; i < 6; ++i) {
    if (!name.starts_with(kSegments[i])) continue;
    const std::string_view rest = name.substr(2);
    if (rest.empty()) return s.segments[i].selector;
    if (rest == "_base") return s.segments[i].base;
    if (rest == "_limit") return s.segments[i].limit;
  }
  if (name == "cr0") return s.cr0;
  if (name == "cr2") return s.cr2;
  if (name == "cr3") return s.cr3;
  if (name == "cr4") return s.cr4;
  if (name == "efer") return s.efer;
  return std::nullopt;
}

class Parser {
 public:
  Parser(std::string_view text, const Cpu& cpu) : text_(text), cpu_(cpu) {}

  Result<u64> all() {
    const u64 value = sum();
    skip();
    if (problem_.empty() && at_ != text_.size()) {
      problem_ = fmt::format("'{}' is not understood in '{}'", text_.substr(at_), text_);
    }
    if (!problem_.empty()) return Error{problem_};
    return value;
  }

 private:
  void skip() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool take(char c) {
    skip();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void fail(std::string text) {
    if (problem_.empty()) problem_ = std::move(text);
    at_ = text_.size();
  }

  u64 sum() {
    u64 value = product();
    for (;;) {
      if (take('+')) {
        value += product();
      } else if (take('-')) {
        value -= product();
      } else if (take('|')) {
        value |= product();
      } else if (take('^')) {
        value ^= product();
      } else {
        return value;
      }
    }
  }
  u64 product() {
    u64 value = unit();
    for (;;) {
      if (take('*')) {
        value *= unit();
      } else if (take('&')) {
        value &= unit();
      } else if (const bool divide = take('/'); divide || take('%')) {
        const u64 by = unit();
        if (by == 0) {
          fail("division by zero");
          return 0;
        }
        value = divide ? value / by : value % by;
      } else {
        return value;
      }
    }
  }
  u64 unit() {
    if (++depth_ > kDeepest) {
      fail("the expression is nested too deeply");
      return 0;
    }
    const u64 value = primary();
    --depth_;
    return value;
  }
  u64 primary() {
    if (take('+')) return unit();
    if (take('-')) return u64{0} - unit();
    if (take('~')) return ~unit();
    if (take('(')) {
      const u64 value = sum();
      if (!take(')')) fail(fmt::format("')' is missing in '{}'", text_));
      return value;
    }
    skip();
    std::size_t end = at_;
    const bool is_register = at_ < text_.size() && text_[at_] == '$';
    if (is_register) ++end;
    while (end < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[end])) != 0 || text_[end] == '_')) {
      ++end;
    }
    const std::string_view word = text_.substr(at_, end - at_);
    at_ = end;
    if (is_register) {
      const auto value = register_value(word.substr(1), cpu_);
      if (!value) fail(fmt::format("unknown register '{}'", word));
      return value.value_or(0);
    }
    std::string_view digits = word;
    int base = 10;
    if (digits.starts_with("0x") || digits.starts_with("0X")) {
      digits.remove_prefix(2);
      base = 16;
    }
    u64 value = 0;
    const auto [rest, status] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (status != std::errc() || rest != digits.data() + digits.size()) {
      fail(word.empty() ? "a number is missing; write 0x7c00, 1024 or $rip"
                        : fmt::format("'{}' is not a number; write 0x7c00, 1024 or $rip", word));
    }
    return value;
  }

  std::string_view text_;
  const Cpu& cpu_;
  std::size_t at_ = 0;
  unsigned depth_ = 0;
  std::string problem_;
};

}  // namespace

Result<u64> evaluate(std::string_view text, const Cpu& cpu) { return Parser(text, cpu).all(); }

}  // namespace dragoman
