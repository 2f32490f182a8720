// From what the user wrote (`-serial SPEC`) to a character back end.
#include "devices/character/open_character.h"

#include <utility>

#include "devices/character/backends.h"

namespace dragoman {
namespace {

constexpr std::string_view kForms =
    "null, stdio, mon:stdio, file:PATH, pty, tcp:HOST:PORT[,server][,nowait]";

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

Result<TcpCharacter::Options> parse_tcp(std::string_view spec, std::string_view rest) {
  TcpCharacter::Options options;
  const std::size_t comma = rest.find(',');
  const std::string_view address = rest.substr(0, comma);
  std::string_view words = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
  while (!words.empty()) {
    const std::size_t end = words.find(',');
    const std::string_view word = words.substr(0, end);
    words = end == std::string_view::npos ? "" : words.substr(end + 1);
    if (word == "server" || word == "server=on") {
      options.server = true;
    } else if (word == "nowait" || word == "wait=off") {
      options.wait = false;
    } else if (word != "wait" && word != "wait=on" && word != "server=off") {
      return error("unknown option '{}' in '{}'; tcp: knows server and nowait", word, spec);
    }
  }
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == address.size()) {
    return error("no port in '{}'; write tcp:HOST:PORT[,server][,nowait]", spec);
  }
  std::string_view host = address.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);  // [::1]:4444
  }
  if (!host.empty()) options.host = host;
  options.port = address.substr(colon + 1);
  return options;
}

Result<OpenedCharacter> open_tcp(std::string_view spec, std::string_view rest) {
  auto parsed = parse_tcp(spec, rest);
  if (!parsed) return parsed.error();
  const TcpCharacter::Options options = parsed.take();
  auto opened = TcpCharacter::open(options);
  if (!opened) return opened.error();
  OpenedCharacter result;
  if (options.server) {
    result.notice = fmt::format("listening on {}:{}{}", options.host, opened.value()->local_port(),
                                options.wait ? ", waiting for a connection" : "");
  }
  result.backend = opened.take();
  return result;
}

Error unknown_form(std::string_view spec) {
  return error("unknown character device '{}'; known forms are {}", spec, kForms);
}

}  // namespace

Result<void> check_character(std::string_view spec) {
  std::string_view rest = spec;
  take_prefix(rest, "mon:");
  for (const std::string_view form : {"null", "none", "stdio", "pty"}) {
    if (rest == form) return {};
  }
  if (take_prefix(rest, "file:")) {
    if (rest.empty()) return error("no path in '{}'; write file:PATH", spec);
    return {};
  }
  if (!take_prefix(rest, "tcp:")) return unknown_form(spec);
  if (auto parsed = parse_tcp(spec, rest); !parsed) return parsed.error();
  return {};
}

Result<OpenedCharacter> open_character(std::string_view spec) {
  std::string_view rest = spec;
  const bool multiplexed = take_prefix(rest, "mon:");
  OpenedCharacter result;
  if (rest == "null" || rest == "none") {
    result.backend = std::make_unique<NullCharacter>();
  } else if (rest == "stdio") {
    result.backend = std::make_unique<StdioCharacter>();
  } else if (rest == "pty") {
    std::string slave_name;
    auto pty = PtyCharacter::open(slave_name);
    if (!pty) return pty.error();
    result.backend = pty.take();
    result.notice = "character device redirected to " + slave_name;
  } else if (take_prefix(rest, "file:")) {
    if (rest.empty()) return error("no path in '{}'; write file:PATH", spec);
    auto file = FileCharacter::open(std::string(rest));
    if (!file) return file.error();
    result.backend = file.take();
  } else if (take_prefix(rest, "tcp:")) {
    auto tcp = open_tcp(spec, rest);
    if (!tcp) return tcp.error();
    result = tcp.take();
  } else {
    return unknown_form(spec);
  }
  result.multiplexed = multiplexed;
  return result;
}

}  // namespace dragoman
