// The remote serial protocol of GDB (GDB manual, appendix E) over any byte stream.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "frontends/gdb/registers.h"
#include "machine/debugger.h"

namespace dragoman {

class GdbServer {
 public:
  using Send = std::function<void(std::string_view)>;
  /// Executes a line of `monitor ...` and returns what it prints.
  using Command = std::function<std::string(const std::string&)>;

  GdbServer(Debugger& debugger, Send send, Command monitor);

  /// A debugger came: the machine stops.
  void connected();
  /// It left without a word: its breakpoints go and the machine runs on.
  void disconnected();
  /// Bytes from the debugger, in any portions. Whatever they are, the answer is a packet.
  void receive(std::span<const u8> bytes);

 private:
  void byte(u8 value);
  void packet(const std::string& text);
  void reply(std::string_view text);
  void query(std::string_view text);
  void set(std::string_view text);
  void verbose(std::string_view text);
  void read_registers();
  void write_registers(std::string_view hex);
  void read_register(std::string_view text);
  void write_register(std::string_view text);
  void read_memory(std::string_view text);
  void write_memory(std::string_view text, bool binary);
  void point(std::string_view text);
  void go(bool step);
  void go_back(bool step);
  void remote_command(std::string_view hex);
  void features(std::string_view text);
  void report_stop();
  void event(MachineEvent event);

  Debugger& debugger_;
  GdbRegisters registers_;
  Send send_;
  Command monitor_;
  std::string input_;  ///< of the packet under way, escapes undone
  unsigned checksum_ = 0;
  enum class State : u8 { kIdle, kData, kEscaped, kFirstDigit, kSecondDigit } state_ = State::kIdle;
  u8 digit_ = 0;
  std::string last_reply_;
  bool connected_ = false;
  bool acknowledges_ = true;
  bool awaiting_stop_ = false;
  bool interrupted_ = false;
  bool names_breakpoints_ = false;  ///< the debugger knows swbreak and hwbreak in stop replies
  bool physical_ = false;           ///< memory packets carry physical addresses
  std::string description_;
  std::vector<std::pair<char, DebugPoints::Watch>> points_;  ///< Z packets in force
};

}  // namespace dragoman
