// The log of one machine: the `-d` categories and the once-only reports of things the guest
// asked for that are not implemented.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/types.h"

namespace dragoman {

enum class LogCategory : u32 {
  kInterrupt = 1 << 0,      ///< `-d int`: exceptions and interrupts as they are delivered
  kInAsm = 1 << 1,          ///< `-d in_asm`: guest code as it is first decoded
  kExec = 1 << 2,           ///< `-d exec`: every executed instruction
  kGuestErrors = 1 << 3,    ///< `-d guest_errors`: things a correct guest would not do
  kUnimplemented = 1 << 4,  ///< `-d unimp`: unimplemented registers, reported on every use
  kJitStats = 1 << 5,       ///< `-d jit-stats`: statistics of the translator at the end of a run
  kCpu = 1 << 6,            ///< `-d cpu`: registers before every executed instruction
  kOp = 1 << 7,             ///< `-d op`: the plan of each translation
  kOutAsm = 1 << 8,         ///< `-d out_asm`: host code of each translation
  kMmu = 1 << 9,            ///< `-d mmu`: shadow page tables: entries made and dropped
  kPage = 1 << 10,          ///< `-d page`: page walks that failed, and pages of devices
};

/// Where a machine writes what it has to say. Each machine owns one; there is no global log.
class Log {
 public:
  Log() = default;
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  /// Enables the categories in a comma-separated list such as "int,guest_errors".
  Result<void> enable(std::string_view categories);
  /// Sends output to `path` (truncated) instead of stderr.
  Result<void> open(const std::string& path);

  bool enabled(LogCategory category) const { return (mask_ & static_cast<u32>(category)) != 0; }

  template <class... Args>
  void write(LogCategory category, fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(category)) write_line(fmt::format(format, std::forward<Args>(args)...));
  }

  /// Reports `message` unless a report with the same `key` was made before. For guest-visible
  /// things that Dragoman does not implement: said once, always, whatever `-d` says.
  template <class... Args>
  void once(std::string_view key, fmt::format_string<Args...> format, Args&&... args) {
    if (first_time(key)) write_line(fmt::format(format, std::forward<Args>(args)...));
  }

  /// Writes one line unconditionally.
  void write_line(std::string_view line);

 private:
  bool first_time(std::string_view key);

  u32 mask_ = 0;
  std::FILE* file_ = nullptr;
  std::set<std::string, std::less<>> reported_;
};

}  // namespace dragoman
