#include "frontends/monitor/qmp_server.h"

#include <fcntl.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "devices/block/open_image.h"
#include "frontends/monitor/key_names.h"
#include "frontends/output_file.h"

namespace dragoman {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostInput = 1 << 20;
constexpr int kDeepest = 64;

const char* const kGenericError = "GenericError";
const char* const kCommandNotFound = "CommandNotFound";

/// Arguments by name and type; the first problem is kept.
class ArgumentReader {
 public:
  explicit ArgumentReader(const Json& arguments) : arguments_(arguments) {}

  std::string text(const char* name) {
    const Json* value = required(name, "string", &Json::is_string);
    return value != nullptr ? value->get<std::string>() : "";
  }
  std::string optional_text(const char* name) {
    return arguments_.contains(name) ? text(name) : "";
  }
  u64 number(const char* name) {
    const Json* value = required(name, "integer", &Json::is_number_integer);
    return value == nullptr              ? 0
           : value->is_number_unsigned() ? value->get<u64>()
                                         : static_cast<u64>(value->get<i64>());
  }
  bool optional_flag(const char* name) {
    if (!arguments_.contains(name)) return false;
    const Json* value = required(name, "boolean", &Json::is_boolean);
    return value != nullptr && value->get<bool>();
  }
  /// One processor is all there is.
  void optional_cpu_index() {
    if (arguments_.contains("cpu-index") && number("cpu-index") != 0 && problem_.empty())
      problem_ = "Parameter 'cpu-index' expects a CPU number";
  }
  std::string optional_choice(const char* name, std::initializer_list<std::string_view> values) {
    const std::string value = optional_text(name);
    const bool known = std::find(values.begin(), values.end(), value) != values.end();
    if (arguments_.contains(name) && !known && problem_.empty())
      problem_ = fmt::format("Parameter '{}' does not accept value '{}'", name, value);
    return value;
  }
  /// A drive, by either of its names.
  std::string drive() {
    if (arguments_.contains("device") != arguments_.contains("id"))
      return text(arguments_.contains("id") ? "id" : "device");
    if (problem_.empty()) problem_ = "Need exactly one of 'device' and 'id'";
    return "";
  }
  const std::string& problem() const { return problem_; }

 private:
  const Json* required(const char* name, const char* type, bool (Json::*is)() const noexcept) {
    if (!arguments_.contains(name)) {
      if (problem_.empty()) problem_ = fmt::format("Parameter '{}' is missing", name);
      return nullptr;
    }
    const Json& value = arguments_.at(name);
    if (!(value.*is)()) {
      if (problem_.empty()) {
        problem_ = fmt::format("Invalid parameter type for '{}', expected: {}", name, type);
      }
      return nullptr;
    }
    return &value;
  }
  const Json& arguments_;
  std::string problem_;
};

Json stamped(const char* event) {
  timeval now{};
  gettimeofday(&now, nullptr);
  return {{"timestamp", {{"seconds", now.tv_sec}, {"microseconds", now.tv_usec}}},
          {"event", event}};
}

/// QMP's own way of writing: a blank behind commas and colons outside strings.
std::string spaced(const std::string& compact) {
  std::string out;
  bool in_string = false;
  for (std::size_t i = 0; i < compact.size(); ++i) {
    const char c = compact[i];
    out += c;
    if (in_string) {
      if (c == '\\' && i + 1 < compact.size()) {
        out += compact[++i];
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == ',' || c == ':') {
      out += ' ';
    }
  }
  return out;
}

}  // namespace

QmpServer::QmpServer(Monitor& monitor, Send send) : monitor_(monitor), send_(std::move(send)) {
  monitor_.debugger().add_listener([this](MachineEvent e) { event(e); });
}

const std::vector<QmpServer::Command>& QmpServer::commands() {
  using Q = QmpServer;
  static const std::vector<Command> list = {
      {"qmp_capabilities", &Q::capabilities, "enable"},
      {"query-commands", &Q::query_commands, ""},
      {"query-status", &Q::query_status, ""},
      {"query-version", &Q::query_version, ""},
      {"query-name", &Q::query_name, ""},
      {"query-block", &Q::query_block, ""},
      {"query-cpus-fast", &Q::query_cpus, ""},
      {"query-kvm", &Q::query_kvm, ""},
      {"query-uuid", &Q::query_uuid, ""},
      {"query-target", &Q::query_target, ""},
      {"query-current-machine", &Q::query_machine, ""},
      {"query-memory-size-summary", &Q::query_memory, ""},
      {"query-block-jobs", &Q::query_none, ""},
      {"query-iothreads", &Q::query_none, ""},
      {"stop", &Q::stop, ""},
      {"cont", &Q::cont, ""},
      {"system_reset", &Q::reset, ""},
      {"system_powerdown", &Q::powerdown, ""},
      {"inject-nmi", &Q::inject_nmi, ""},
      {"quit", &Q::quit, ""},
      {"screendump", &Q::screendump, "filename device head format"},
      {"send-key", &Q::send_key, "keys hold-time"},
      {"blockdev-change-medium", &Q::change_medium,
       "device id filename format force read-only-mode"},
      {"eject", &Q::eject, "device id force"},
      {"human-monitor-command", &Q::human_monitor, "command-line cpu-index"},
      {"pmemsave", &Q::pmemsave, "val size filename"},
      {"memsave", &Q::memsave, "val size filename cpu-index"},
  };
  return list;
}

// --- Messages -----------------------------------------------------------------------------------

void QmpServer::say(const Json& message) {
  send_(spaced(message.dump(-1, ' ', true, Json::error_handler_t::replace)) + "\r\n");
}

void QmpServer::refuse(const Failure& failure, const Json* id) {
  Json message = {{"error", {{"class", failure.kind}, {"desc", failure.text}}}};
  if (id != nullptr) message["id"] = *id;
  say(message);
}

void QmpServer::connected() {
  connected_ = true;
  negotiated_ = in_string_ = escaped_ = too_long_ = false;
  depth_ = 0;
  input_.clear();
  say({{"QMP", {{"version", version()}, {"capabilities", Json::array()}}}});
}

void QmpServer::event(MachineEvent event) {
  if (!connected_ || !negotiated_) return;
  static constexpr const char* kNames[] = {"STOP", "RESUME", "RESET", "POWERDOWN", "SHUTDOWN"};
  Json message = stamped(kNames[static_cast<std::size_t>(event)]);
  switch (event) {
    case MachineEvent::kStop:
    case MachineEvent::kResume:
    case MachineEvent::kPowerdown:
      break;
    case MachineEvent::kReset: {
      const bool host = std::exchange(reset_by_host_, false);
      message["data"] = {{"guest", !host},
                         {"reason", host ? "host-qmp-system-reset" : "guest-reset"}};
      break;
    }
    case MachineEvent::kShutdown: {
      const StopReason* reason = monitor_.debugger().machine().stopping();
      const char* why = "guest-shutdown";
      if (reason != nullptr && reason->cause == StopCause::kRequested) {
        why = reason->message == "quit"     ? "host-qmp-quit"
              : reason->message == "signal" ? "host-signal"
                                            : "host-ui";
      } else if (reason != nullptr && reason->cause == StopCause::kReset) {
        why = "guest-reset";
      } else if (reason != nullptr && reason->cause == StopCause::kTripleFault) {
        why = "guest-panic";
      } else if (reason != nullptr && reason->cause == StopCause::kHostError) {
        why = "host-error";
      }
      const bool guest = std::string_view(why).starts_with("guest");
      message["data"] = {{"guest", guest}, {"reason", why}};
      break;
    }
  }
  say(message);
}

void QmpServer::tray_moved(const std::string& drive, bool open) {
  if (!connected_ || !negotiated_) return;
  Json message = stamped("DEVICE_TRAY_MOVED");
  message["data"] = {{"device", drive}, {"id", drive}, {"tray-open", open}};
  say(message);
}

/// Requests are JSON objects one behind the other; lines do not matter.
void QmpServer::receive(std::span<const u8> bytes) {
  for (const u8 b : bytes) {
    const char c = static_cast<char>(b);
    if (too_long_) {
      if (c == '\n') too_long_ = false;
      continue;
    }
    if (depth_ == 0 && (c == ' ' || c == '\t' || c == '\r' || c == '\n')) {
      if (c == '\n' && !input_.empty()) line(std::exchange(input_, {}));
      if (input_.empty()) continue;
    }
    input_ += c;
    if (in_string_) {
      // What JSON writes otherwise: strings may stand between single quotes, as QEMU has it.
      if (escaped_) {
        escaped_ = false;
        if (c == '\'') input_.replace(input_.size() - 2, 2, "'");
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == quote_) {
        in_string_ = false;
        input_.back() = '"';
      } else if (c == '"') {
        input_.back() = '\\';
        input_ += c;
      }
    } else if ((c == '"' || c == '\'') && depth_ > 0) {
      in_string_ = true;
      quote_ = c;
      input_.back() = '"';
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if ((c == '}' || c == ']') && depth_ > 0 && --depth_ == 0) {
      line(std::exchange(input_, {}));
    }
    if (input_.size() > kMostInput || depth_ > kDeepest) {
      input_.clear();
      depth_ = 0;
      in_string_ = escaped_ = false;
      too_long_ = true;
      refuse({kGenericError, "JSON parse error, the request is too long or nested too deeply"},
             nullptr);
    }
  }
}

void QmpServer::line(const std::string& text) {
  const Json request = Json::parse(text, nullptr, false);
  if (request.is_discarded()) {
    refuse({kGenericError, "JSON parse error, invalid request"}, nullptr);
  } else {
    execute(request);
  }
}

void QmpServer::execute(const Json& request) {
  if (!request.is_object()) {
    return refuse({kGenericError, "QMP input must be a JSON object"}, nullptr);
  }
  const Json* id = request.contains("id") ? &request["id"] : nullptr;
  if (negotiated_ && !request.contains("execute") && request.contains("exec-oob") &&
      request["exec-oob"].is_string()) {
    return refuse({kGenericError, fmt::format("The command {} does not support OOB",
                                              request["exec-oob"].get<std::string>())},
                  id);
  }
  for (const auto& [key, value] : request.items()) {
    if (key != "execute" && key != "arguments" && key != "id") {
      return refuse({kGenericError, fmt::format("QMP input member '{}' is unexpected", key)}, id);
    }
  }
  if (!request.contains("execute")) {
    return refuse({kGenericError, "QMP input lacks member 'execute'"}, id);
  }
  if (!request["execute"].is_string()) {
    return refuse({kGenericError, "QMP input member 'execute' must be a string"}, id);
  }
  const Json arguments = request.value("arguments", Json::object());
  if (!arguments.is_object()) {
    return refuse({kGenericError, "QMP input member 'arguments' must be an object"}, id);
  }
  const std::string name = request["execute"].get<std::string>();
  if (!negotiated_ && name != "qmp_capabilities") {
    return refuse({kCommandNotFound, "Expecting capabilities negotiation with 'qmp_capabilities'"},
                  id);
  }
  if (negotiated_ && name == "qmp_capabilities") {
    return refuse(
        {kCommandNotFound, "Capabilities negotiation is already complete, command ignored"}, id);
  }
  for (const Command& c : commands()) {
    if (name != c.name) continue;
    const std::string known = fmt::format(" {} ", c.arguments);
    for (const auto& [key, value] : arguments.items()) {
      if (key.empty() || known.find(" " + key + " ") == std::string::npos) {
        return refuse({kGenericError, fmt::format("Parameter '{}' is unexpected", key)}, id);
      }
    }
    Json result = Json::object();
    const Failure failure = (this->*c.handler)(arguments, result);
    if (failure.kind != nullptr) {
      refuse(failure, id);
    } else {
      Json message = {{"return", result}};
      if (id != nullptr) message["id"] = *id;
      say(message);
    }
    return;
  }
  refuse({kCommandNotFound, fmt::format("The command {} has not been found", name)}, id);
}

// --- Commands -----------------------------------------------------------------------------------

QmpServer::Failure QmpServer::capabilities(const Json& arguments, Json&) {
  if (arguments.contains("enable")) {
    if (!arguments["enable"].is_array()) {
      return {kGenericError, "Invalid parameter type for 'enable', expected: array"};
    }
    for (const Json& capability : arguments["enable"]) {
      if (!capability.is_string()) {
        return {kGenericError, "Invalid parameter type for 'enable[0]', expected: string"};
      }
      return {kGenericError,
              fmt::format("Capability {} not available", capability.get<std::string>())};
    }
  }
  negotiated_ = true;
  return {};
}

QmpServer::Failure QmpServer::query_commands(const Json&, Json& result) {
  result = Json::array();
  for (const Command& c : commands()) result.push_back({{"name", c.name}});
  return {};
}

QmpServer::Failure QmpServer::stop(const Json&, Json&) {
  monitor_.debugger().pause();
  return {};
}

QmpServer::Failure QmpServer::cont(const Json&, Json&) {
  monitor_.debugger().resume();
  return {};
}

QmpServer::Failure QmpServer::reset(const Json&, Json&) {
  reset_by_host_ = true;
  monitor_.debugger().system_reset();
  return {};
}

QmpServer::Failure QmpServer::powerdown(const Json&, Json&) {
  monitor_.debugger().press_power_button();
  return {};
}

QmpServer::Failure QmpServer::inject_nmi(const Json&, Json&) {
  monitor_.debugger().inject_nmi();
  return {};
}

QmpServer::Failure QmpServer::quit(const Json&, Json&) {
  monitor_.debugger().quit();
  return {};
}

namespace {
/// Why the host does not open a file to read it, or "": clients look for its words.
std::string cannot_read(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return std::strerror(errno);
  ::close(file);
  return "";
}
}  // namespace

QmpServer::Failure QmpServer::screendump(const Json& arguments, Json&) {
  ArgumentReader read(arguments);
  const std::string path = read.text("filename");
  const std::string format = read.optional_choice("format", {"ppm", "png"});
  const std::string device = read.optional_text("device");
  if (arguments.contains("head")) (void)read.number("head");
  if (!read.problem().empty()) return {kGenericError, read.problem()};
  // The only screen has no name.
  if (arguments.contains("device"))
    return {"DeviceNotFound", fmt::format("Device '{}' not found", device)};
  if (arguments.contains("head"))
    return {kGenericError, "'head' must be specified together with 'device'"};
  if (auto done = monitor_.screendump(path, format == "png"); !done) {
    auto probe = OutputFile::open(path);  // gone again without having been there
    return {kGenericError,
            probe ? done.error().message
                  : fmt::format("failed to open file '{}': {}", path, probe.error().message)};
  }
  return {};
}

QmpServer::Failure QmpServer::send_key(const Json& arguments, Json&) {
  if (!arguments.contains("keys")) return {kGenericError, "Parameter 'keys' is missing"};
  if (!arguments["keys"].is_array()) {
    return {kGenericError, "Invalid parameter type for 'keys', expected: array"};
  }
  if (arguments.contains("hold-time")) {
    ArgumentReader read(arguments);
    (void)read.number("hold-time");  // keys are struck
    if (!read.problem().empty()) return {kGenericError, read.problem()};
  }
  std::vector<std::string> names;
  for (std::size_t i = 0; i < arguments["keys"].size(); ++i) {
    const Json& key = arguments["keys"][i];
    const auto bad = [&](const char* member, const char* type) {
      return Failure{
          kGenericError,
          fmt::format("Invalid parameter type for 'keys[{}]{}', expected: {}", i, member, type)};
    };
    if (!key.is_object()) return bad("", "object");
    for (const char* member : {"type", "data"}) {
      if (!key.contains(member))
        return {kGenericError, fmt::format("Parameter 'keys[{}].{}' is missing", i, member)};
    }
    if (!key["type"].is_string()) return bad(".type", "string");
    if (key["type"] == "number") {
      if (!key["data"].is_number_integer()) return bad(".data", "integer");
      const std::string_view name = key_name_of_number(key["data"].get<i64>());
      if (name.empty()) {
        return {kGenericError,
                fmt::format("Parameter 'data' does not accept value '{}'", key["data"].get<i64>())};
      }
      names.emplace_back(name);
      continue;
    }
    if (key["type"] != "qcode") {
      return {kGenericError, fmt::format("Parameter 'type' does not accept value '{}'",
                                         key["type"].get<std::string>())};
    }
    if (!key["data"].is_string()) return bad(".data", "string");
    names.push_back(key["data"].get<std::string>());
    if (!key_by_name(names.back())) {
      return {kGenericError,
              fmt::format("Parameter 'data' does not accept value '{}'", names.back())};
    }
  }
  if (auto done = monitor_.send_keys(names); !done) return {kGenericError, done.error().message};
  return {};
}

QmpServer::Failure QmpServer::drive_failure(const Error& cause) {
  return {cause.message.ends_with("' not found") ? "DeviceNotFound" : kGenericError, cause.message};
}

QmpServer::Failure QmpServer::change_medium(const Json& arguments, Json&) {
  ArgumentReader read(arguments);
  const std::string drive = read.drive();
  const std::string file = read.text("filename");
  const std::string format = read.optional_text("format");
  (void)read.optional_choice("read-only-mode", {"retain", "read-only", "read-write"});
  const bool force = read.optional_flag("force");
  if (!read.problem().empty()) return {kGenericError, read.problem()};
  if (!monitor_.host().change) return {kGenericError, "media cannot be changed here"};
  if (!format.empty() && !parse_image_format(format))
    return {kGenericError, fmt::format("Unknown driver '{}'", format)};
  if (auto done = monitor_.host().change(drive, file, force); !done) {
    const Failure failure = drive_failure(done.error());
    const std::string cause = cannot_read(file);
    if (failure.kind != kGenericError || cause.empty()) return failure;
    return {kGenericError, fmt::format("Could not open '{}': {}", file, cause)};
  }
  return {};
}

QmpServer::Failure QmpServer::eject(const Json& arguments, Json&) {
  ArgumentReader read(arguments);
  const std::string drive = read.drive();
  const bool force = read.optional_flag("force");
  if (!read.problem().empty()) return {kGenericError, read.problem()};
  if (!monitor_.host().eject) return {kGenericError, "media cannot be changed here"};
  if (auto done = monitor_.host().eject(drive, force); !done) return drive_failure(done.error());
  return {};
}

QmpServer::Failure QmpServer::human_monitor(const Json& arguments, Json& result) {
  ArgumentReader read(arguments);
  const std::string command = read.text("command-line");
  read.optional_cpu_index();
  if (!read.problem().empty()) return {kGenericError, read.problem()};
  std::string text;
  for (const char c : monitor_.execute(command)) {
    if (c == '\n') text += '\r';
    text += c;
  }
  result = text;
  return {};
}

QmpServer::Failure QmpServer::pmemsave(const Json& arguments, Json& result) {
  return save_memory("pmemsave", arguments, result);
}

QmpServer::Failure QmpServer::memsave(const Json& arguments, Json& result) {
  return save_memory("memsave", arguments, result);
}

QmpServer::Failure QmpServer::save_memory(const char* command, const Json& arguments, Json&) {
  ArgumentReader read(arguments);
  const u64 address = read.number("val");
  const u64 size = read.number("size");
  const std::string path = read.text("filename");
  read.optional_cpu_index();
  if (!read.problem().empty()) return {kGenericError, read.problem()};
  if (path.find('"') != std::string::npos) {
    return {kGenericError, "the file name must not contain quotes"};
  }
  const std::string problem =
      monitor_.execute(fmt::format("{} {:#x} {:#x} \"{}\"", command, address, size, path));
  if (!problem.empty()) return {kGenericError, problem.substr(0, problem.find('\n'))};
  return {};
}

}  // namespace dragoman
