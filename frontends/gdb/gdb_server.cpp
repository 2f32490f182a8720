#include "frontends/gdb/gdb_server.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "machine/machine.h"

namespace dragoman {
namespace {

constexpr std::size_t kMostPacket = 0x4000;
constexpr std::size_t kMostMemory = (kMostPacket - 16) / 2;
constexpr std::size_t kMostPoints = 256;
constexpr u64 kMostWatched = 4096;          // bytes of one watchpoint
constexpr const char* kBadRequest = "E16";  // EINVAL
constexpr const char* kBadMemory = "E0e";   // EFAULT

constexpr char kDigits[] = "0123456789abcdef";

std::string to_hex(std::span<const u8> bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const u8 b : bytes) {
    text += kDigits[b >> 4];
    text += kDigits[b & 15];
  }
  return text;
}

int hex_digit(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

std::optional<std::vector<u8>> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::vector<u8> bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]);
    const int low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<u8>(high << 4 | low));
  }
  return bytes;
}

/// A hexadecimal number at the front of `text`, which is shortened by it and by one `end`.
std::optional<u64> take_number(std::string_view& text, char end = '\0') {
  u64 value = 0;
  const auto [rest, status] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (status != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  if (end == '\0') return value;
  if (text.empty() || text.front() != end) return std::nullopt;
  text.remove_prefix(1);
  return value;
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// Signal numbers of the protocol.
enum Signal : unsigned { kSigInt = 2, kSigIll = 4, kSigTrap = 5, kSigFpe = 8, kSigSegv = 11 };

Signal signal_of(u8 vector) {
  switch (vector) {
    case kVectorDe:
    case kVectorMf:
    case kVectorXm:
      return kSigFpe;
    case kVectorUd:
    case kVectorNm:
      return kSigIll;
    case kVectorDb:
    case kVectorBp:
      return kSigTrap;
    default:
      return kSigSegv;
  }
}

}  // namespace

GdbServer::GdbServer(Debugger& debugger, Send send, Command monitor)
    : debugger_(debugger),
      registers_(debugger.cpu()),
      send_(std::move(send)),
      monitor_(std::move(monitor)) {
  debugger_.add_listener([this](MachineEvent e) { event(e); });
}

void GdbServer::connected() {
  connected_ = true;
  acknowledges_ = true;
  awaiting_stop_ = interrupted_ = names_breakpoints_ = physical_ = false;
  state_ = State::kIdle;
  input_.clear();
  debugger_.pause();
}

void GdbServer::disconnected() {
  if (!connected_) return;
  connected_ = false;
  awaiting_stop_ = false;
  points_.clear();
  debugger_.clear_points();
  debugger_.resume();
}

void GdbServer::receive(std::span<const u8> bytes) {
  for (const u8 b : bytes) byte(b);
}

void GdbServer::byte(u8 value) {
  const char c = static_cast<char>(value);
  switch (state_) {
    case State::kIdle:
      if (c == '$') {
        input_.clear();
        checksum_ = 0;
        state_ = State::kData;
      } else if (c == '-') {
        if (acknowledges_ && !last_reply_.empty()) send_(last_reply_);
      } else if (value == 3 && !debugger_.paused()) {
        interrupted_ = true;
        debugger_.pause();
      }
      return;
    case State::kData:
    case State::kEscaped:
      if (c == '#') {
        state_ = State::kFirstDigit;
        return;
      }
      if (c == '$') {  // the end of the one before was lost
        input_.clear();
        checksum_ = 0;
        state_ = State::kData;
        return;
      }
      checksum_ += value;
      if (c == '}' && state_ == State::kData) {
        state_ = State::kEscaped;
        return;
      }
      if (input_.size() < 2 * kMostPacket) {
        input_ += state_ == State::kEscaped ? static_cast<char>(value ^ 0x20) : c;
      }
      state_ = State::kData;
      return;
    case State::kFirstDigit:
      digit_ = value;
      state_ = State::kSecondDigit;
      return;
    case State::kSecondDigit: {
      state_ = State::kIdle;
      const int high = hex_digit(static_cast<char>(digit_));
      const int low = hex_digit(c);
      const bool good =
          high >= 0 && low >= 0 && static_cast<unsigned>(high * 16 + low) == (checksum_ & 0xff);
      if (acknowledges_) send_(good ? "+" : "-");
      if (!good) return;
      if (input_.size() > kMostPacket) return reply(kBadRequest);
      packet(std::string(input_));
      return;
    }
  }
}

void GdbServer::reply(std::string_view text) {
  last_reply_ = "$";
  unsigned sum = 0;
  for (const char c : text) {
    if (c == '#' || c == '$' || c == '}' || c == '*') {
      last_reply_ += '}';
      last_reply_ += static_cast<char>(c ^ 0x20);
      sum += '}' + static_cast<u8>(c ^ 0x20);
    } else {
      last_reply_ += c;
      sum += static_cast<u8>(c);
    }
  }
  last_reply_ += '#';
  last_reply_ += kDigits[(sum >> 4) & 15];
  last_reply_ += kDigits[sum & 15];
  send_(last_reply_);
}

void GdbServer::packet(const std::string& text) {
  if (text.empty()) return reply("");
  std::string_view rest(text);
  const char kind = rest.front();
  rest.remove_prefix(1);
  switch (kind) {
    case '?':
      debugger_.pause();
      return report_stop();
    case 'g':
      return read_registers();
    case 'G':
      return write_registers(rest);
    case 'p':
      return read_register(rest);
    case 'P':
      return write_register(rest);
    case 'm':
      return read_memory(rest);
    case 'M':
      return write_memory(rest, false);
    case 'X':
      return write_memory(rest, true);
    case 'C':
    case 'S':
      // Signals mean nothing to a machine; an address may follow.
      if (!take_number(rest)) return reply(kBadRequest);
      if (!rest.empty() && rest.front() == ';') rest.remove_prefix(1);
      [[fallthrough]];
    case 'c':
    case 's': {
      if (!rest.empty()) {
        const auto address = take_number(rest);
        if (!address) return reply(kBadRequest);
        Cpu& cpu = debugger_.cpu();
        const u64 base = cpu.code64() ? 0 : cpu.state.segments[kCs].base;
        cpu.state.rip() = cpu.code64() ? *address : static_cast<u32>(*address - base);
        debugger_.registers_changed();
      }
      return go(kind == 's' || kind == 'S');
    }
    case 'b':
      if (rest != "s" && rest != "c") return reply("");
      return go_back(rest == "s");
    case 'Z':
    case 'z':
      return point(text);
    case 'H':
    case 'T':
      return reply("OK");
    case 'D':
      points_.clear();
      debugger_.clear_points();
      reply("OK");
      connected_ = false;
      debugger_.resume();
      connected_ = true;  // the stream is still there; another packet starts over
      return;
    case 'k':
      debugger_.quit();
      return;
    case 'q':
      return query(rest);
    case 'Q':
      return set(rest);
    case 'v':
      return verbose(rest);
    default:
      return reply("");
  }
}

// --- Queries ------------------------------------------------------------------------------------

void GdbServer::query(std::string_view text) {
  if (text.starts_with("Supported")) {
    names_breakpoints_ = text.find("swbreak+") != std::string_view::npos;
    return reply(
        fmt::format("PacketSize={:x};qXfer:features:read+;QStartNoAckMode+;"
                    "vContSupported+{}{}",
                    kMostPacket, names_breakpoints_ ? ";swbreak+;hwbreak+" : "",
                    debugger_.can_reverse() ? ";ReverseStep+;ReverseContinue+" : ""));
  }
  if (take_prefix(text, "Xfer:features:read:")) return features(text);
  if (take_prefix(text, "Rcmd,")) return remote_command(text);
  if (text == "C") return reply("QC1");
  if (text == "fThreadInfo") return reply("m1");
  if (text == "sThreadInfo") return reply("l");
  if (text.starts_with("ThreadExtraInfo,")) {
    const std::string name =
        fmt::format("CPU 0, {}-bit code, CPL {}", debugger_.cpu().decode_mode().code_bits,
                    debugger_.cpu().cpl());
    return reply(to_hex({reinterpret_cast<const u8*>(name.data()), name.size()}));
  }
  if (text == "Attached" || text.starts_with("Attached:")) return reply("1");
  if (text.starts_with("Symbol:")) return reply("OK");
  if (text == "qemu.PhyMemMode") return reply(physical_ ? "1" : "0");
  reply("");
}

void GdbServer::set(std::string_view text) {
  if (text == "StartNoAckMode") {
    reply("OK");
    acknowledges_ = false;
    return;
  }
  if (take_prefix(text, "qemu.PhyMemMode:")) {
    if (text != "0" && text != "1") return reply(kBadRequest);
    physical_ = text == "1";
    return reply("OK");
  }
  reply("");
}

void GdbServer::features(std::string_view text) {
  if (!take_prefix(text, "target.xml:")) return reply("E00");
  const auto from = take_number(text, ',');
  const auto length = take_number(text);
  if (!from || !length) return reply(kBadRequest);
  if (*from == 0 || description_.empty()) {
    description_ = GdbRegisters::description(GdbRegisters::architecture(debugger_.cpu()));
  }
  if (*from >= description_.size()) return reply("l");
  const std::size_t most = std::min<std::size_t>(*length, kMostPacket / 2);
  const std::string part = description_.substr(*from, most);
  reply((*from + part.size() == description_.size() ? "l" : "m") + part);
}

void GdbServer::verbose(std::string_view text) {
  if (text == "Cont?") return reply("vCont;c;C;s;S");
  if (take_prefix(text, "Cont;")) {
    // There is one thread: the first action is its.
    if (text.empty()) return reply(kBadRequest);
    switch (text.front()) {
      case 'c':
      case 'C':
        return go(false);
      case 's':
      case 'S':
        return go(true);
      default:
        return reply(kBadRequest);
    }
  }
  if (text.starts_with("Kill")) {
    reply("OK");
    debugger_.quit();
    return;
  }
  reply("");
}

void GdbServer::remote_command(std::string_view hex) {
  const auto bytes = from_hex(hex);
  if (!bytes) return reply(kBadRequest);
  const std::string line(bytes->begin(), bytes->end());
  const std::string output = monitor_ ? monitor_(line) : "no monitor\n";
  constexpr std::size_t kPiece = kMostPacket / 4;
  for (std::size_t at = 0; at < output.size(); at += kPiece) {
    const std::string piece = output.substr(at, kPiece);
    reply("O" + to_hex({reinterpret_cast<const u8*>(piece.data()), piece.size()}));
  }
  reply("OK");
}

// --- Registers and memory -----------------------------------------------------------------------

void GdbServer::read_registers() {
  std::string text;
  for (unsigned i = 0; i < GdbRegisters::count(); ++i) text += to_hex(registers_.read(i));
  reply(text);
}

void GdbServer::write_registers(std::string_view hex) {
  const auto bytes = from_hex(hex);
  if (!bytes) return reply(kBadRequest);
  // What did not change is not written: some registers are there twice, wide and narrow.
  std::vector<std::vector<u8>> before;
  for (unsigned i = 0; i < GdbRegisters::count(); ++i) before.push_back(registers_.read(i));
  std::size_t at = 0;
  bool good = true;
  for (unsigned i = 0; i < GdbRegisters::count(); ++i) {
    const std::size_t size = GdbRegisters::size(i);
    if (at + size > bytes->size()) break;
    if (!std::equal(before[i].begin(), before[i].end(), bytes->begin() + static_cast<long>(at))) {
      good = registers_.write(i, bytes->data() + at) && good;
    }
    at += size;
  }
  debugger_.registers_changed();
  reply(good ? "OK" : kBadRequest);
}

void GdbServer::read_register(std::string_view text) {
  const auto number = take_number(text);
  if (!number || *number >= GdbRegisters::count()) return reply(kBadRequest);
  reply(to_hex(registers_.read(static_cast<unsigned>(*number))));
}

void GdbServer::write_register(std::string_view text) {
  const auto number = take_number(text, '=');
  const auto bytes = from_hex(text);
  if (!number || !bytes || *number >= GdbRegisters::count() ||
      bytes->size() != GdbRegisters::size(static_cast<unsigned>(*number))) {
    return reply(kBadRequest);
  }
  const bool good = registers_.write(static_cast<unsigned>(*number), bytes->data());
  debugger_.registers_changed();
  reply(good ? "OK" : kBadRequest);
}

void GdbServer::read_memory(std::string_view text) {
  const auto address = take_number(text, ',');
  const auto length = take_number(text);
  if (!address || !length) return reply(kBadRequest);
  std::vector<u8> bytes(std::min<u64>(*length, kMostMemory));
  if (physical_) {
    debugger_.read_physical(*address, bytes);
  } else {
    bytes.resize(debugger_.read_linear(*address, bytes));
  }
  if (bytes.empty() && *length != 0) return reply(kBadMemory);
  reply(to_hex(bytes));
}

void GdbServer::write_memory(std::string_view text, bool binary) {
  const auto address = take_number(text, ',');
  const auto length = take_number(text, ':');
  if (!address || !length) return reply(kBadRequest);
  std::vector<u8> bytes(text.begin(), text.end());
  if (!binary) {
    auto decoded = from_hex(text);
    if (!decoded) return reply(kBadRequest);
    bytes = std::move(*decoded);
  }
  if (bytes.size() != *length) return reply(kBadRequest);
  if (physical_) {
    debugger_.write_physical(*address, bytes);
  } else if (debugger_.write_linear(*address, bytes) != bytes.size()) {
    return reply(kBadMemory);
  }
  reply("OK");
}

// --- Running ------------------------------------------------------------------------------------

void GdbServer::point(std::string_view text) {
  const bool insert = text.front() == 'Z';
  text.remove_prefix(1);
  if (text.empty() || text.front() < '0' || text.front() > '4') return reply("");
  const char kind = text.front();
  text.remove_prefix(1);
  if (!take_prefix(text, ",")) return reply(kBadRequest);
  const auto address = take_number(text, ',');
  const auto length = take_number(text);
  if (!address || !length) return reply(kBadRequest);
  // What follows may be conditions and commands, which were not offered.
  const bool execute = kind <= '1';
  DebugPoints::Watch watch{*address, execute ? 1 : *length, kind != '2', kind != '3'};
  if (!execute && (watch.bytes == 0 || watch.bytes > kMostWatched ||
                   watch.address + watch.bytes < watch.address)) {
    return reply(kBadRequest);
  }
  const std::pair key{kind, watch};
  const auto found = std::find(points_.begin(), points_.end(), key);
  if (insert == (found != points_.end())) return reply("OK");  // said twice
  if (insert) {
    if (points_.size() >= kMostPoints) return reply(kBadRequest);
    points_.push_back(key);
    execute ? debugger_.add_breakpoint(*address) : debugger_.add_watch(watch);
  } else {
    points_.erase(found);
    (void)(execute ? debugger_.remove_breakpoint(*address) : debugger_.remove_watch(watch));
  }
  reply("OK");
}

void GdbServer::go(bool step) {
  if (debugger_.machine().powered_off()) return reply("W00");
  awaiting_stop_ = true;
  interrupted_ = false;
  step ? debugger_.step() : debugger_.resume();
}

void GdbServer::go_back(bool step) {
  awaiting_stop_ = true;
  interrupted_ = false;
  if (auto ok = debugger_.reverse(step); !ok) {
    awaiting_stop_ = false;
    reply("E.dragoman: " + ok.error().message);
  }
}

void GdbServer::report_stop() {
  const Debugger::Stop& stop = debugger_.stop();
  unsigned signal = interrupted_ ? kSigInt : kSigTrap;
  std::string more = "thread:1;";
  switch (stop.cause) {
    case DebugPoints::Cause::kException:
      signal = signal_of(stop.vector);
      break;
    case DebugPoints::Cause::kWatch: {
      const bool both = stop.watch.on_read && stop.watch.on_write;
      more += fmt::format("{}:{:x};",
                          both                 ? "awatch"
                          : stop.watch.on_read ? "rwatch"
                                               : "watch",
                          stop.watch.address);
      break;
    }
    case DebugPoints::Cause::kBreakpoint: {
      if (!names_breakpoints_) break;
      const bool soft = std::any_of(points_.begin(), points_.end(), [&](const auto& p) {
        return p.first == '0' && p.second.address == stop.address;
      });
      more += soft ? "swbreak:;" : "hwbreak:;";
      break;
    }
    case DebugPoints::Cause::kBegin:
      more += "replaylog:begin;";
      break;
    default:
      break;
  }
  interrupted_ = false;
  reply(fmt::format("T{:02x}{}", signal, more));
}

void GdbServer::event(MachineEvent event) {
  if (!connected_ || !awaiting_stop_) return;
  if (event == MachineEvent::kStop) {
    awaiting_stop_ = false;
    report_stop();
  } else if (event == MachineEvent::kShutdown) {
    awaiting_stop_ = false;
    reply("W00");
  }
}

}  // namespace dragoman
