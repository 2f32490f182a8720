#include "base/log.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace dragoman {
namespace {

struct CategoryName {
  std::string_view name;
  LogCategory category;
};

constexpr std::array kCategoryNames = {
    CategoryName{"int", LogCategory::kInterrupt},
    CategoryName{"in_asm", LogCategory::kInAsm},
    CategoryName{"exec", LogCategory::kExec},
    CategoryName{"guest_errors", LogCategory::kGuestErrors},
    CategoryName{"unimp", LogCategory::kUnimplemented},
    CategoryName{"jit-stats", LogCategory::kJitStats},
    CategoryName{"cpu", LogCategory::kCpu},
    CategoryName{"op", LogCategory::kOp},
    CategoryName{"out_asm", LogCategory::kOutAsm},
    CategoryName{"mmu", LogCategory::kMmu},
    CategoryName{"page", LogCategory::kPage},
};

}  // namespace

Log::~Log() {
  if (file_ != nullptr) std::fclose(file_);
}

Result<void> Log::enable(std::string_view categories) {
  while (!categories.empty()) {
    const std::size_t comma = categories.find(',');
    const std::string_view name = categories.substr(0, comma);
    categories = comma == std::string_view::npos ? "" : categories.substr(comma + 1);
    bool found = false;
    for (const CategoryName& entry : kCategoryNames) {
      if (entry.name == name) {
        mask_ |= static_cast<u32>(entry.category);
        found = true;
      }
    }
    if (!found) {
      return error(
          "unknown log category '{}' in -d; known are int, in_asm, exec, guest_errors, unimp, "
          "jit-stats, cpu, op, out_asm, mmu, page",
          name);
    }
  }
  return {};
}

Result<void> Log::open(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) {
    return error("cannot write the log file '{}': {}; choose another path with -D", path,
                 std::strerror(errno));
  }
  if (file_ != nullptr) std::fclose(file_);
  file_ = file;
  return {};
}

void Log::write_line(std::string_view line) {
  std::FILE* out = file_ != nullptr ? file_ : stderr;
  std::fwrite(line.data(), 1, line.size(), out);
  std::fputc('\n', out);
  if (file_ == nullptr) std::fflush(out);
}

bool Log::first_time(std::string_view key) {
  if (enabled(LogCategory::kUnimplemented)) return true;
  if (reported_.contains(key)) return false;
  reported_.emplace(key);
  return true;
}

}  // namespace dragoman
