#include "frontends/monitor/monitor.h"

#include <algorithm>
#include <cstring>

#include "cpu/decode/early_decoder.h"
#include "cpu/disassemble/disassembler.h"
#include "frontends/cli/nearest.h"
#include "frontends/monitor/expression.h"
#include "frontends/monitor/key_names.h"
#include "frontends/monitor/monitor_arguments.h"
#include "frontends/monitor/screen_file.h"
#include "frontends/output_file.h"

namespace dragoman {

// cpu/model/msr.cpp
bool read_msr(Cpu& cpu, u32 index, u64& value);
bool write_msr(Cpu& cpu, u32 index, u64 value);

namespace {

constexpr u64 kMostUnits = 4096;             // of one x command
constexpr u64 kMostSaved = u64{4} << 30;     // bytes of one memsave
constexpr std::size_t kSavePiece = 1 << 16;  // bytes
constexpr std::size_t kMostKeys = 16;

std::string line(std::string text) { return std::move(text) + "\n"; }

}  // namespace

const std::vector<Monitor::Command>& Monitor::commands() {
  using M = Monitor;
  static const std::vector<Command> list = {
      {"help", "?", "[COMMAND]", "list the commands, or explain one", &M::help},
      {"info", "", "[TOPIC]", "show what is known about a topic", &M::info},
      {"stop", "", "", "hold the machine", &M::stop},
      {"cont", "c", "", "let it run on", &M::cont},
      {"step", "stepi", "", "execute one instruction and stop", &M::step},
      {"reverse_step", "", "", "go back by one instruction (-rewind)", &M::reverse_step},
      {"reverse_continue", "", "", "go back to the last breakpoint or the beginning",
       &M::reverse_continue},
      {"system_reset", "", "", "press the reset button", &M::reset},
      {"system_powerdown", "", "", "press the power button", &M::powerdown},
      {"quit", "q", "", "end the program", &M::quit},
      {"nmi", "", "", "send a non-maskable interrupt", &M::nmi},
      {"x", "", "[/FMT] ADDRESS",
       "show memory at a linear address; /FMT is count, format "
       "(x d u o c i), size (b h w g)",
       &M::examine},
      {"xp", "", "[/FMT] ADDRESS", "show memory at a physical address", &M::examine_physical},
      {"print", "p", "[/FMT] EXPRESSION", "evaluate an expression; $rip and so on are registers",
       &M::print},
      {"gva2gpa", "", "ADDRESS", "physical address of a linear one", &M::gva2gpa},
      {"memsave", "", "ADDRESS SIZE FILE", "write linear memory into a file", &M::memsave},
      {"pmemsave", "", "ADDRESS SIZE FILE", "write physical memory into a file", &M::pmemsave},
      {"sendkey", "", "KEYS", "strike keys, such as ctrl-alt-delete", &M::sendkey},
      {"mouse_move", "", "DX DY [DZ]", "move the mouse", &M::mouse_move},
      {"mouse_button", "", "STATE", "hold mouse buttons: 1 left, 2 middle, 4 right, 0 none",
       &M::mouse_button},
      {"screendump", "", "FILE", "write the screen as PNG (name ends in .png) or PPM",
       &M::screendump_command},
      {"change", "", "[-f] DRIVE FILE", "put another medium into a drive", &M::change},
      {"eject", "", "[-f] DRIVE", "take the medium out of a drive", &M::eject},
      {"catch", "", "[VECTOR...|all|none]", "stop before these exceptions are delivered",
       &M::catch_exceptions},
      {"rdmsr", "", "INDEX", "read a model-specific register", &M::rdmsr},
      {"wrmsr", "", "INDEX VALUE", "write a model-specific register", &M::wrmsr},
      {"i", "", "[/FMT] PORT", "read an I/O port (size b, h or w)", &M::read_port},
      {"o", "", "[/FMT] PORT VALUE", "write an I/O port (size b, h or w)", &M::write_port},
  };
  return list;
}

std::string Monitor::execute(const std::string& text) {
  Arguments a(text);
  const std::string name = a.word();
  if (name.empty()) return "";
  const std::string_view stem = std::string_view(name).substr(0, name.find('/'));
  for (const Command& c : commands()) {
    if (stem.empty() || (stem != c.name && stem != c.alias)) continue;
    if (stem.size() != name.size()) {
      if (!std::string_view(c.usage).starts_with("[/FMT]")) continue;
      a.skip_back(name.size() - stem.size());  // x/4xw is x /4xw
    }
    a.usage = fmt::format("usage: {} {}\n", c.name, c.usage);
    return (this->*c.handler)(a);
  }
  std::vector<std::string> known;
  for (const Command& c : commands()) known.emplace_back(c.name);
  const std::string nearest = nearest_word(name, known);
  return fmt::format("unknown command: '{}'{}; 'help' lists all\n", name,
                     nearest.empty() ? "" : fmt::format(", did you mean '{}'?", nearest));
}

std::vector<std::string> Monitor::drive_names() const {
  std::vector<std::string> names;
  for (const DriveInfo& d : host_.drives ? host_.drives() : std::vector<DriveInfo>{}) {
    names.push_back(d.name);
  }
  return names;
}

std::vector<std::string> Monitor::complete(const std::string& text,
                                           const std::vector<std::string>& drives) {
  std::vector<std::string> words;
  const std::size_t blank = text.find_last_of(' ');
  const std::string last = blank == std::string::npos ? text : text.substr(blank + 1);
  const std::string first = text.substr(0, text.find(' '));
  const auto take = [&](std::string_view word, std::string_view start, std::string_view before) {
    if (word.starts_with(start)) words.push_back(std::string(before) + std::string(word));
  };
  if (blank == std::string::npos || first == "help" || first == "info") {
    const bool topics = blank != std::string::npos && first == "info";
    for (const Command& c : topics ? info_commands() : commands()) take(c.name, last, "");
  } else if (first == "sendkey") {
    const std::size_t dash = last.rfind('-');
    const std::size_t begin = dash == std::string::npos ? 0 : dash + 1;
    for (const std::string_view key : key_names()) {
      take(key, std::string_view(last).substr(begin), std::string_view(last).substr(0, begin));
    }
  } else if (first == "change" || first == "eject") {
    for (const std::string& drive : drives) take(drive, last, "");
  } else if (first == "catch") {
    for (const char* word : {"all", "none"}) take(word, last, "");
  }
  return words;
}

std::string Monitor::help(Arguments& a) {
  const std::string topic = a.word();
  const auto entry = [](const Command& c, const char* prefix) {
    return fmt::format("{}{}{}{} {} -- {}\n", prefix, c.name, *c.alias != '\0' ? "|" : "", c.alias,
                       c.usage, c.help);
  };
  std::string text;
  for (const Command& c : commands()) {
    if (topic.empty() || topic == c.name || topic == c.alias) text += entry(c, "");
  }
  if (topic.empty() || topic == "info") {
    for (const Command& c : info_commands()) text += entry(c, "info ");
  }
  return text.empty() ? fmt::format("unknown command: '{}'\n", topic) : text;
}

std::string Monitor::info(Arguments& a) {
  const std::string topic = a.word();
  if (topic.empty()) {
    Arguments all("info");
    return help(all);
  }
  for (const Command& c : info_commands()) {
    if (topic == c.name) return (this->*c.handler)(a);
  }
  return fmt::format("info knows nothing of '{}'; 'help info' lists what it knows\n", topic);
}

// --- Running ------------------------------------------------------------------------------------

std::string Monitor::stop(Arguments&) {
  debugger_.pause();
  return "";
}

std::string Monitor::cont(Arguments&) {
  debugger_.resume();
  return "";
}

std::string Monitor::step(Arguments&) {
  debugger_.pause();
  debugger_.step();
  return "";
}

std::string Monitor::reverse_step(Arguments&) {
  if (debugger_.can_reverse()) debugger_.pause();
  if (auto ok = debugger_.reverse(true); !ok) return line(ok.error().message);
  return "";
}

std::string Monitor::reverse_continue(Arguments&) {
  if (debugger_.can_reverse()) debugger_.pause();
  if (auto ok = debugger_.reverse(false); !ok) return line(ok.error().message);
  return "";
}

std::string Monitor::reset(Arguments&) {
  debugger_.system_reset();
  return "";
}

std::string Monitor::powerdown(Arguments&) {
  debugger_.press_power_button();
  return "";
}

std::string Monitor::quit(Arguments&) {
  debugger_.quit();
  return "";
}

std::string Monitor::nmi(Arguments&) {
  debugger_.inject_nmi();
  return "";
}

std::string Monitor::catch_exceptions(Arguments& a) {
  if (a.done()) {
    std::string text = "caught exceptions:";
    for (unsigned v = 0; v < 32; ++v) {
      if ((debugger_.points().caught_vectors >> v) & 1) text += fmt::format(" {}", v);
    }
    return line(text);
  }
  u32 mask = 0;
  while (!a.done()) {
    const std::string word = a.word();
    if (word == "none") continue;
    if (word == "all") {
      mask = ~u32{0};
      continue;
    }
    auto vector = evaluate(word, debugger_.cpu());
    if (!vector) return line(vector.error().message);
    if (*vector >= 32) return line("exceptions have vectors 0 to 31, such as 13 (#GP) or 14 (#PF)");
    mask |= 1u << *vector;
  }
  debugger_.catch_vectors(mask);
  return "";
}

// --- Memory and values --------------------------------------------------------------------------

namespace {

std::string format_value(u64 value, char format, unsigned bytes) {
  if (bytes < 8) value &= (u64{1} << (8 * bytes)) - 1;
  switch (format) {
    case 'd':
      return fmt::format("{}", static_cast<i64>(value << (64 - 8 * bytes)) >> (64 - 8 * bytes));
    case 'u':
      return fmt::format("{}", value);
    case 'o':
      return fmt::format("{:#o}", value);
    case 'c': {
      const u8 c = static_cast<u8>(value);
      if (c == '\n') return "'\\n'";
      if (c == '\r') return "'\\r'";
      if (c == '\'' || c == '\\') return fmt::format("'\\{}'", static_cast<char>(c));
      return c >= 32 && c < 127 ? fmt::format("'{}'", static_cast<char>(c))
                                : fmt::format("'\\x{:02x}'", c);
    }
    default:
      return fmt::format("0x{:0{}x}", value, bytes * 2);
  }
}

}  // namespace

std::string Monitor::examine(Arguments& a) { return dump(a, false); }
std::string Monitor::examine_physical(Arguments& a) { return dump(a, true); }

std::string Monitor::dump(Arguments& a, bool physical) {
  auto format = a.format({1, 'x', 4});
  if (!format) return line(format.error().message);
  if (format->count > kMostUnits) {
    return fmt::format("a count of {} is more than {} at a time\n", format->count, kMostUnits);
  }
  Cpu& cpu = debugger_.cpu();
  u64 address = next_address_;
  if (!a.done()) {
    auto value = evaluate(a.rest(), cpu);
    if (!value) return line(value.error().message);
    address = *value;
  }
  const auto read = [&](u64 at, std::span<u8> out) {
    if (!physical) return debugger_.read_linear(at, out);
    debugger_.read_physical(at, out);
    return out.size();
  };
  const auto name = [&](u64 at) { return fmt::format("{:016x}:", at); };
  std::string text;
  if (format->kind == 'i') {
    for (u64 i = 0; i < format->count; ++i) {
      std::array<u8, 15> bytes{};
      const std::size_t got = read(address, bytes);
      Instruction insn;
      if (got == 0) {
        text += fmt::format("cannot access memory at {:#x}\n", address);
        break;
      }
      if (decode_for(cpu.model(), {bytes.data(), got}, cpu.decode_mode(), insn) !=
          DecodeResult::kOk) {
        text += fmt::format("{}  .byte 0x{:02x}\n", name(address), bytes[0]);
        address += 1;
        continue;
      }
      text += fmt::format("{}  {}\n", name(address), disassemble(insn, address, cpu.decode_mode()));
      address += insn.length;
    }
    next_address_ = address;
    return text;
  }
  const unsigned bytes = format->kind == 'c' ? 1 : format->bytes;
  const unsigned per_line = bytes == 1 ? 8 : 16 / bytes;
  for (u64 i = 0; i < format->count; ++i) {
    std::array<u8, 8> unit{};
    if (read(address, {unit.data(), bytes}) != bytes) {
      if (i % per_line != 0) text += '\n';
      text += fmt::format("cannot access memory at {:#x}\n", address);
      break;
    }
    u64 value = 0;
    std::memcpy(&value, unit.data(), 8);
    if (i % per_line == 0) text += name(address);
    text += ' ' + format_value(value, format->kind, bytes);
    if (i % per_line == per_line - 1 || i + 1 == format->count) text += '\n';
    address += bytes;
  }
  next_address_ = address;
  return text;
}

std::string Monitor::print(Arguments& a) {
  auto format = a.format({1, 'x', 8});
  if (!format) return line(format.error().message);
  if (a.done()) return a.usage;
  auto value = evaluate(a.rest(), debugger_.cpu());
  if (!value) return line(value.error().message);
  if (format->kind == 'x') return fmt::format("{:#x}\n", *value);
  return line(format_value(*value, format->kind, 8));
}

std::string Monitor::gva2gpa(Arguments& a) {
  if (a.done()) return a.usage;
  auto address = evaluate(a.rest(), debugger_.cpu());
  if (!address) return line(address.error().message);
  const u64 physical = debugger_.cpu().peek_translate(*address);
  if (physical == ~u64{0}) return "not mapped\n";
  return fmt::format("gpa: {:#x}\n", physical);
}

std::string Monitor::memsave(Arguments& a) { return save_memory(a, false); }
std::string Monitor::pmemsave(Arguments& a) { return save_memory(a, true); }

std::string Monitor::save_memory(Arguments& a, bool physical) {
  if (a.done()) return a.usage;
  auto address = evaluate(a.word(), debugger_.cpu());
  auto size = evaluate(a.word(), debugger_.cpu());
  const std::string path = a.word();
  if (!address) return line(address.error().message);
  if (!size) return line(size.error().message);
  if (path.empty()) return a.usage;
  if (*size > kMostSaved) return fmt::format("{} bytes are more than 4 GiB at a time\n", *size);
  const auto failure = [&](const Error& cause) {
    return fmt::format("cannot write '{}': {}\n", path, cause.message);
  };
  auto file = OutputFile::open(path);
  if (!file) return failure(file.error());
  std::vector<u8> piece;
  for (u64 done = 0; done < *size; done += piece.size()) {
    piece.resize(std::min<u64>(kSavePiece, *size - done));
    if (physical) {
      debugger_.read_physical(*address + done, piece);
    } else if (debugger_.read_linear(*address + done, piece) != piece.size()) {
      return fmt::format("not all of {:#x}..{:#x} is mapped; '{}' was not written\n", *address,
                         *address + *size, path);
    }
    if (auto ok = file->write(piece); !ok) return failure(ok.error());
  }
  if (auto ok = file->commit(); !ok) return failure(ok.error());
  return "";
}

std::string Monitor::rdmsr(Arguments& a) {
  if (a.done()) return a.usage;
  auto index = evaluate(a.word(), debugger_.cpu());
  if (!index) return line(index.error().message);
  u64 value = 0;
  if (*index > 0xffffffff || !read_msr(debugger_.cpu(), static_cast<u32>(*index), value)) {
    debugger_.cpu().clear_fault();
    return fmt::format("there is no MSR {:#x}\n", *index);
  }
  return fmt::format("{:#x}\n", value);
}

std::string Monitor::wrmsr(Arguments& a) {
  if (a.done()) return a.usage;
  auto index = evaluate(a.word(), debugger_.cpu());
  auto value = evaluate(a.word(), debugger_.cpu());
  if (!index) return line(index.error().message);
  if (!value) return line(value.error().message);
  if (*index > 0xffffffff || !write_msr(debugger_.cpu(), static_cast<u32>(*index), *value)) {
    debugger_.cpu().clear_fault();
    return fmt::format("MSR {:#x} does not take {:#x}\n", *index, *value);
  }
  debugger_.registers_changed();
  return "";
}

std::string Monitor::read_port(Arguments& a) {
  auto format = a.format({1, 'x', 1});
  if (!format) return line(format.error().message);
  if (a.done()) return a.usage;
  auto port = evaluate(a.word(), debugger_.cpu());
  if (!port) return line(port.error().message);
  if (*port > 0xffff || format->bytes > 4) return a.usage;
  const u64 value = debugger_.read_port(static_cast<u16>(*port), format->bytes);
  return fmt::format("port{}[{:#06x}] = {}\n",
                     format->bytes == 1   ? 'b'
                     : format->bytes == 2 ? 'w'
                                          : 'l',
                     *port, format_value(value, format->kind, format->bytes));
}

std::string Monitor::write_port(Arguments& a) {
  auto format = a.format({1, 'x', 1});
  if (!format) return line(format.error().message);
  if (a.done()) return a.usage;
  auto port = evaluate(a.word(), debugger_.cpu());
  auto value = evaluate(a.word(), debugger_.cpu());
  if (!port) return line(port.error().message);
  if (!value) return line(value.error().message);
  if (*port > 0xffff || format->bytes > 4) return a.usage;
  debugger_.write_port(static_cast<u16>(*port), format->bytes, static_cast<u32>(*value));
  return "";
}

// --- Keyboard, mouse, screen, media
// ---------------------------------------------------------------

Result<void> Monitor::send_keys(const std::vector<std::string>& names) {
  std::vector<Key> keys;
  for (const std::string& name : names) {
    const auto key = key_by_name(name);
    if (!key) {
      std::vector<std::string> known;
      for (const std::string_view k : key_names()) known.emplace_back(k);
      const std::string nearest = nearest_word(name, known);
      return error("unknown key '{}'{}", name,
                   nearest.empty() ? "; keys are a to z, 0 to 9, ret, spc, ctrl, alt, f1 ..."
                                   : fmt::format("; did you mean '{}'?", nearest));
    }
    keys.push_back(*key);
  }
  if (keys.size() > kMostKeys)
    return error("{} keys at once are more than {}", keys.size(), kMostKeys);
  Ps2Keyboard& keyboard = debugger_.machine().board().keyboard();
  for (const Key key : keys) keyboard.key(key, true);
  std::reverse(keys.begin(), keys.end());
  for (const Key key : keys) keyboard.key(key, false);
  return {};
}

std::string Monitor::sendkey(Arguments& a) {
  const std::string text = a.word();
  if (text.empty()) return a.usage;
  std::vector<std::string> names(1);
  for (const char c : text) {
    if (c == '-') {
      names.emplace_back();
    } else {
      names.back() += c;
    }
  }
  if (auto sent = send_keys(names); !sent) return line(sent.error().message);
  return "";
}

std::string Monitor::mouse_move(Arguments& a) {
  if (a.done()) return a.usage;
  std::array<int, 3> by{};
  for (std::size_t i = 0; i < by.size() && !(i == 2 && a.done()); ++i) {
    auto value = evaluate(a.word(), debugger_.cpu());
    if (!value) return line(value.error().message);
    by[i] = std::clamp<int>(static_cast<int>(static_cast<i64>(*value)), -10000, 10000);
  }
  debugger_.machine().board().mouse().move(by[0], by[1], by[2]);
  return "";
}

std::string Monitor::mouse_button(Arguments& a) {
  if (a.done()) return a.usage;
  auto state = evaluate(a.word(), debugger_.cpu());
  if (!state) return line(state.error().message);
  // Bit 1 is the middle button here, bit 2 in the mouse.
  const u64 s = *state;
  debugger_.machine().board().mouse().buttons(
      static_cast<u8>((s & 1) | (s & 2) << 1 | (s & 4) >> 1));
  return "";
}

Result<void> Monitor::screendump(const std::string& path, bool png) {
  PcBoard& board = debugger_.machine().board();
  if (board.vga() == nullptr) return error("there is no graphics card (-vga none)");
  const VgaRenderer card = board.vga()->renderer();
  Size size = card.size();
  constexpr unsigned kLeast = 16;  // registers that nobody has written give less
  if (size.width < kLeast || size.height < kLeast ||
      u64{size.width} * size.height > (u64{1} << 26)) {
    size = {640, 400};  // no mode yet: black
    return write_picture(path, png, size, std::vector<u32>(640 * 400));
  }
  std::vector<u32> pixels(std::size_t{size.width} * size.height);
  card.draw(pixels, size.width, board.scheduler().now());
  return write_picture(path, png, size, pixels);
}

std::string Monitor::screendump_command(Arguments& a) {
  const std::string path = a.word();
  if (path.empty()) return a.usage;
  if (auto done = screendump(path, path.ends_with(".png")); !done) {
    return line(done.error().message);
  }
  return "";
}

std::string Monitor::change(Arguments& a) {
  std::string drive = a.word();
  const bool force = drive == "-f";
  if (force) drive = a.word();
  const std::string file = a.word();
  if (file.empty()) return a.usage;
  if (!host_.change) return "media cannot be changed here\n";
  if (auto done = host_.change(drive, file, force); !done) return line(done.error().message);
  return "";
}

std::string Monitor::eject(Arguments& a) {
  std::string drive = a.word();
  const bool force = drive == "-f";
  if (force) drive = a.word();
  if (drive.empty()) return a.usage;
  if (!host_.eject) return "media cannot be changed here\n";
  if (auto done = host_.eject(drive, force); !done) return line(done.error().message);
  return "";
}

}  // namespace dragoman
