#include "frontends/monitor/monitor_terminal.h"

#include <algorithm>

#include "frontends/cli/version.h"

namespace dragoman {
namespace {

constexpr std::string_view kPrompt = "(dragoman) ";
constexpr std::size_t kMostHistory = 200;

enum Control : u8 {
  kCtrlC = 3,
  kBackspace = 8,
  kTab = 9,
  kCtrlL = 12,
  kCtrlU = 21,
  kCtrlW = 23,
  kEscapeKey = 27,
  kDelete = 127,
};

/// Lines end with CR LF on terminals in raw mode.
std::string with_returns(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') out += '\r';
    out += c;
  }
  return out;
}

}  // namespace

void MonitorTerminal::greet() {
  send_("Dragoman " DRAGOMAN_VERSION " monitor - type 'help' for more information\r\n");
  prompt();
}

void MonitorTerminal::prompt() {
  send_(kPrompt);
  send_(line_);
}

void MonitorTerminal::receive(std::span<const u8> bytes) {
  for (const u8 b : bytes) byte(b);
}

void MonitorTerminal::byte(u8 value) {
  if (escape_ != 0) return escape(value);
  const bool after_return = std::exchange(last_return_, value == '\r');
  switch (value) {
    case '\n':
      if (after_return) return;
      [[fallthrough]];
    case '\r':
      return execute();
    case kEscapeKey:
      escape_ = 1;
      return;
    case kBackspace:
    case kDelete:
      if (!line_.empty()) {
        line_.pop_back();
        send_("\b \b");
      }
      return;
    case kCtrlU:
    case kCtrlC:
      return show_line("");
    case kCtrlW: {
      std::string shorter = line_;
      while (!shorter.empty() && shorter.back() == ' ') shorter.pop_back();
      while (!shorter.empty() && shorter.back() != ' ') shorter.pop_back();
      return show_line(shorter);
    }
    case kCtrlL:
      send_("\x1b[2J\x1b[H");
      return prompt();
    case kTab:
      return complete();
    default:
      if (value < 0x20 || line_.size() >= kMostLine) return;
      line_ += static_cast<char>(value);
      send_({reinterpret_cast<const char*>(&value), 1});
  }
}

void MonitorTerminal::escape(u8 value) {
  if (escape_ == 1) {
    escape_ = value == '[' || value == 'O' ? 2 : 0;
    return;
  }
  if ((value >= '0' && value <= '9') || value == ';') return;
  escape_ = 0;
  if (value == 'A' && history_at_ > 0) {
    show_line(history_[--history_at_]);
  } else if (value == 'B' && history_at_ < history_.size()) {
    ++history_at_;
    show_line(history_at_ == history_.size() ? "" : history_[history_at_]);
  }
}

void MonitorTerminal::show_line(std::string line) {
  send_("\r\x1b[K");
  line_ = std::move(line);
  prompt();
}

void MonitorTerminal::complete() {
  const std::vector<std::string> words = Monitor::complete(line_, monitor_.drive_names());
  if (words.empty()) return;
  const std::size_t begin =
      line_.find_last_of(' ') == std::string::npos ? 0 : line_.find_last_of(' ') + 1;
  std::string common = words.front();
  for (const std::string& word : words) {
    const auto [end, unused] = std::mismatch(
        common.begin(), common.end(), word.begin(),
        word.begin() + static_cast<std::ptrdiff_t>(std::min(word.size(), common.size())));
    common.erase(end, common.end());
  }
  std::string added =
      common.size() > line_.size() - begin ? common.substr(line_.size() - begin) : "";
  if (words.size() == 1) added += ' ';
  if (!added.empty()) {
    line_ += added;
    send_(added);
    return;
  }
  std::string list = "\r\n";
  for (const std::string& word : words) list += word + "  ";
  send_(list + "\r\n");
  prompt();
}

void MonitorTerminal::execute() {
  send_("\r\n");
  const std::string line = std::exchange(line_, {});
  if (line.find_first_not_of(' ') != std::string::npos &&
      (history_.empty() || history_.back() != line)) {
    history_.push_back(line);
    if (history_.size() > kMostHistory) history_.erase(history_.begin());
  }
  history_at_ = history_.size();
  send_(with_returns(monitor_.execute(line)));
  prompt();
}

}  // namespace dragoman
