#include "frontends/monitor/qmp_server.h"

#include <fcntl.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "frontends/cli/version.h"
#include "frontends/monitor/key_names.h"
#include "frontends/output_file.h"

namespace dragoman {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostInput = 1 << 20;
constexpr int kDeepest = 64;

const char* const kGenericError = "GenericError";
const char* const kCommandNotFound = "CommandNotFound";

Json version_object() {
  unsigned major = 0, minor = 0, micro = 0;
  (void)std::sscanf(DRAGOMAN_VERSION, "%u.%u.%u", &major, &minor, &micro);
  return {{"qemu", {{"micro", micro}, {"minor", minor}, {"major", major}}},
          {"package", "Dragoman " DRAGOMAN_VERSION}};
}

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
      {"stop", &Q::stop, ""},
      {"cont", &Q::cont, ""},
      {"system_reset", &Q::reset, ""},
      {"system_powerdown", &Q::powerdown, ""},
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
  say({{"QMP", {{"version", version_object()}, {"capabilities", Json::array()}}}});
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
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
      }
    } else if (c == '"' && depth_ > 0) {
      in_string_ = true;
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

QmpServer::Failure QmpServer::query_status(const Json&, Json& result) {
  Debugger& debugger = monitor_.debugger();
  const char* status = "running";
  if (debugger.machine().powered_off()) {
    status = "shutdown";
  } else if (debugger.paused()) {
    status = debugger.machine().instructions() == 0               ? "prelaunch"
             : debugger.stop().cause == DebugPoints::Cause::kNone ? "paused"
                                                                  : "debug";
  }
  result = {{"status", status},
            {"singlestep", false},
            {"running", std::string_view(status) == "running"}};
  return {};
}

QmpServer::Failure QmpServer::query_version(const Json&, Json& result) {
  result = version_object();
  return {};
}

QmpServer::Failure QmpServer::query_name(const Json&, Json& result) {
  result["name"] = monitor_.host().name;
  return {};
}

QmpServer::Failure QmpServer::query_block(const Json&, Json& result) {
  result = Json::array();
  if (!monitor_.host().drives) return {};
  for (const DriveInfo& d : monitor_.host().drives()) {
    Json drive = {{"device", d.name}, {"locked", false}, {"removable", d.removable()}};
    if (!d.file.empty()) {
      drive["inserted"] = {
          {"ro", d.read_only},
          {"drv", d.format},
          {"file", d.file},
          {"encrypted", false},
          {"backing_file_depth", 0},
          {"detect_zeroes", "off"},
          {"write_threshold", 0},
          {"cache", {{"writeback", true}, {"direct", false}, {"no-flush", false}}},
          {"image", {{"virtual-size", d.bytes}, {"filename", d.file}, {"format", d.format}}}};
      // Nothing is throttled: all limits are 0.
      for (const char* limit : {"bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"}) {
        drive["inserted"][limit] = 0;
      }
    }
    if (d.removable()) drive["tray_open"] = d.tray_open;
    drive["type"] = "unknown";
    result.push_back(std::move(drive));
  }
  return {};
}

QmpServer::Failure QmpServer::query_cpus(const Json&, Json& result) {
  result = Json::array({{{"thread-id", getpid()},
                         {"props", {{"core-id", 0}, {"thread-id", 0}, {"socket-id", 0}}},
                         {"qom-path", "/machine/unattached/device[0]"},
                         {"cpu-index", 0},
                         {"target", "x86_64"}}});
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
  const std::string format = read.optional_text("format");
  if (!read.problem().empty()) return {kGenericError, read.problem()};
  if (!format.empty() && format != "ppm" && format != "png") {
    return {kGenericError, fmt::format("Parameter 'format' does not accept value '{}'", format)};
  }
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
  std::vector<std::string> names;
  for (const Json& key : arguments["keys"]) {
    if (!key.is_object() || !key.contains("type") || !key.contains("data")) {
      return {kGenericError, "Parameter 'type' is missing"};
    }
    if (key["type"] != "qcode" || !key["data"].is_string()) {
      return {kGenericError, "Parameter 'type' does not accept anything but 'qcode' here"};
    }
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
  const std::string drive = read.text(arguments.contains("id") ? "id" : "device");
  const std::string file = read.text("filename");
  if (!read.problem().empty()) return {kGenericError, read.problem()};
  if (!monitor_.host().change) return {kGenericError, "media cannot be changed here"};
  if (auto done = monitor_.host().change(drive, file); !done) {
    const Failure failure = drive_failure(done.error());
    const std::string cause = cannot_read(file);
    if (failure.kind != kGenericError || cause.empty()) return failure;
    return {kGenericError, fmt::format("Could not open '{}': {}", file, cause)};
  }
  return {};
}

QmpServer::Failure QmpServer::eject(const Json& arguments, Json&) {
  ArgumentReader read(arguments);
  const std::string drive = read.text(arguments.contains("id") ? "id" : "device");
  const bool force = read.optional_flag("force");
  if (!read.problem().empty()) return {kGenericError, read.problem()};
  if (!monitor_.host().eject) return {kGenericError, "media cannot be changed here"};
  if (auto done = monitor_.host().eject(drive, force); !done) return drive_failure(done.error());
  return {};
}

QmpServer::Failure QmpServer::human_monitor(const Json& arguments, Json& result) {
  ArgumentReader read(arguments);
  const std::string command = read.text("command-line");
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
