// The human monitor on a stream of characters: prompt, line editing, history, completion.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "devices/character.h"
#include "frontends/monitor/monitor.h"

namespace dragoman {

/// Edits lines as terminals in raw mode need it: Backspace, Ctrl-U, Ctrl-W, arrows up and down for
/// the history, Tab for completion. Programs that send whole lines see echo and prompt, as they do
/// with other PC emulators.
class MonitorTerminal final : public CharacterReceiver {
 public:
  MonitorTerminal(Monitor& monitor, std::function<void(std::string_view)> send)
      : monitor_(monitor), send_(std::move(send)) {}

  /// Prints the greeting and the prompt.
  void greet();
  /// Prints the prompt again, as after a change of focus.
  void prompt();

  unsigned can_receive() override { return kMostLine; }
  void receive(std::span<const u8> bytes) override;

 private:
  static constexpr unsigned kMostLine = 4096;
  void byte(u8 value);
  void escape(u8 value);
  void show_line(std::string line);
  void complete();
  void execute();

  Monitor& monitor_;
  std::function<void(std::string_view)> send_;
  std::string line_;
  std::vector<std::string> history_;
  std::size_t history_at_ = 0;
  unsigned escape_ = 0;
  bool last_return_ = false;
};

}  // namespace dragoman
