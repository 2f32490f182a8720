// Sessions: whose time the machine goes by, and whether it can go back in it.
#include <ctime>

#include "frontends/cli/options.h"
#include "frontends/cli/session.h"

namespace dragoman {

Result<void> Session::parse_time() {
  config_.rtc_unix_seconds = static_cast<u64>(std::time(nullptr));
  if (options_.accel == "lockstep" && options_.icount.empty()) options_.icount = "shift=3";
  if (!options_.icount.empty()) {
    KeyValues values = KeyValues::parse(options_.icount, "shift");
    const std::string shift = values.take("shift").value_or("3");
    for (const char* accepted : {"align", "sleep"}) (void)values.take(accepted);
    if (auto ok = values.expect_empty("-icount", "shift"); !ok) return ok;
    if (shift == "auto") {
      config_.icount_shift = 3;
    } else if (shift.size() == 1 && shift[0] >= '0' && shift[0] <= '9') {
      config_.icount_shift = static_cast<unsigned>(shift[0] - '0');
    } else if (shift == "10") {
      config_.icount_shift = 10;
    } else {
      return error("'shift={}' in -icount: use 0 to 10 (2^N ns for each instruction)", shift);
    }
    config_.rtc_unix_seconds = 946684800;  // 2000-01-01: repeatable unless -rtc says otherwise
  }
  if (!options_.rtc.empty()) {
    KeyValues values = KeyValues::parse(options_.rtc, "base");
    const std::string base = values.take("base").value_or("utc");
    (void)values.take("clock");
    (void)values.take("driftfix");
    if (auto ok = values.expect_empty("-rtc", "base, clock"); !ok) return ok;
    if (base == "localtime") {
      const std::time_t now = std::time(nullptr);
      std::tm local{};
      localtime_r(&now, &local);
      config_.rtc_unix_seconds = static_cast<u64>(timegm(&local));
    } else if (base != "utc") {
      std::tm date{};
      const char* end = strptime(base.c_str(), "%Y-%m-%dT%H:%M:%S", &date);
      if (end == nullptr) end = strptime(base.c_str(), "%Y-%m-%d", &date);
      if (end == nullptr || *end != '\0') {
        return error("'base={}' in -rtc: use utc, localtime or a date such as 2026-01-31T12:00:00",
                     base);
      }
      config_.rtc_unix_seconds = static_cast<u64>(timegm(&date));
    }
  }
  return {};
}

Result<void> Session::parse_rewind() {
  const std::string& text = options_.rewind;
  // Whoever debugs a run that can be repeated gets what makes it useful.
  const bool useful = config_.icount_shift && !options_.gdb.empty() && options_.accel != "lockstep";
  if (text == "off" || (text.empty() && !useful)) return {};
  HistoryConfig history;
  if (!text.empty() && text != "on") {
    KeyValues values = KeyValues::parse(text, "size");
    if (const auto size = values.take("size")) {
      auto bytes = parse_memory_size(*size);
      if (!bytes) return error("'size={}' in -rewind: {}", *size, bytes.error().message);
      history.most_bytes = *bytes;
    }
    if (auto ok = values.expect_empty("-rewind", "on, off, size"); !ok) return ok;
  }
  if (options_.accel == "lockstep") {
    return error("-rewind does not go with -accel lockstep; use -accel jit or interp");
  }
  if (!config_.icount_shift) {
    return error("-rewind needs a run that can be repeated; add -icount shift=3");
  }
  config_.history = history;
  return {};
}

}  // namespace dragoman
