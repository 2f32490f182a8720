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
      {{"qmp_capabilities", "enable?:[QMPCapability]", ""}, &Q::capabilities},
      {{"query-commands", "", "[CommandInfo]"}, &Q::query_commands},
      {{"query-qmp-schema", "", "[SchemaInfo]"}, &Q::query_schema},
      {{"query-status", "", "StatusInfo"}, &Q::query_status},
      {{"query-version", "", "VersionInfo"}, &Q::query_version},
      {{"query-name", "", "NameInfo"}, &Q::query_name},
      {{"query-block", "", "[BlockInfo]"}, &Q::query_block},
      {{"query-cpus-fast", "", "[CpuInfoFast]"}, &Q::query_cpus},
      {{"query-kvm", "", "KvmInfo"}, &Q::query_kvm},
      {{"query-uuid", "", "UuidInfo"}, &Q::query_uuid},
      {{"query-target", "", "TargetInfo"}, &Q::query_target},
      {{"query-current-machine", "", "CurrentMachineParams"}, &Q::query_machine},
      {{"query-machines", "", "[MachineInfo]"}, &Q::query_machines},
      {{"query-memory-size-summary", "", "MemoryInfo"}, &Q::query_memory},
      {{"query-pci", "", "[PciInfo]"}, &Q::query_pci},
      {{"query-chardev", "", "[ChardevInfo]"}, &Q::query_characters},
      {{"query-mice", "", "[MouseInfo]"}, &Q::query_mice},
      {{"query-block-jobs", "", "[BlockJobInfo]"}, &Q::query_none},
      {{"query-iothreads", "", "[IOThreadInfo]"}, &Q::query_none},
      {{"query-yank", "", "[YankInstance]", true}, &Q::query_none},
      {{"stop", "", ""}, &Q::stop},
      {{"cont", "", ""}, &Q::cont},
      {{"system_reset", "", ""}, &Q::reset},
      {{"system_powerdown", "", ""}, &Q::powerdown},
      {{"inject-nmi", "", ""}, &Q::inject_nmi},
      {{"quit", "", ""}, &Q::quit},
      {{"screendump", "filename:str device?:str head?:int format?:ImageFormat", ""},
       &Q::screendump},
      {{"send-key", "keys:[KeyValue] hold-time?:int", ""}, &Q::send_key},
      {{"input-send-event", "device?:str head?:int events:[InputEvent]", ""}, &Q::input_send_event},
      {{"blockdev-change-medium",
        "device?:str id?:str filename:str format?:str force?:bool "
        "read-only-mode?:BlockdevChangeReadOnlyMode",
        ""},
       &Q::change_medium},
      {{"eject", "device?:str id?:str force?:bool", ""}, &Q::eject},
      {{"human-monitor-command", "command-line:str cpu-index?:int", "str"}, &Q::human_monitor},
      {{"pmemsave", "val:int size:int filename:str", ""}, &Q::pmemsave},
      {{"memsave", "val:int size:int filename:str cpu-index?:int", ""}, &Q::memsave},
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
  negotiated_ = out_of_band_ = in_string_ = escaped_ = too_long_ = false;
  depth_ = 0;
  input_.clear();
  say({{"QMP", {{"version", version()}, {"capabilities", {"oob"}}}}});
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
  // Every request is answered before the next one is read: out of band it is executed no sooner.
  const bool out_of_band = out_of_band_ && request.contains("exec-oob");
  const char* const verb = out_of_band ? "exec-oob" : "execute";
  for (const auto& [key, value] : request.items()) {
    if (key != verb && key != "arguments" && key != "id") {
      return refuse({kGenericError, fmt::format("QMP input member '{}' is unexpected", key)}, id);
    }
  }
  if (!request.contains(verb)) {
    return refuse({kGenericError, "QMP input lacks member 'execute'"}, id);
  }
  if (!request[verb].is_string()) {
    return refuse({kGenericError, fmt::format("QMP input member '{}' must be a string", verb)}, id);
  }
  const Json arguments = request.value("arguments", Json::object());
  if (!arguments.is_object()) {
    return refuse({kGenericError, "QMP input member 'arguments' must be an object"}, id);
  }
  const std::string name = request[verb].get<std::string>();
  if (!negotiated_ && name != "qmp_capabilities") {
    return refuse({kCommandNotFound, "Expecting capabilities negotiation with 'qmp_capabilities'"},
                  id);
  }
  if (negotiated_ && name == "qmp_capabilities") {
    return refuse(
        {kCommandNotFound, "Capabilities negotiation is already complete, command ignored"}, id);
  }
  for (const Command& c : commands()) {
    if (name != c.signature.name) continue;
    if (out_of_band && !c.signature.out_of_band) {
      return refuse({kGenericError, fmt::format("The command {} does not support OOB", name)}, id);
    }
    for (const auto& [key, value] : arguments.items()) {
      if (!qmp_takes(c.signature.arguments, key)) {
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
  bool out_of_band = false;
  if (arguments.contains("enable")) {
    if (!arguments["enable"].is_array()) {
      return {kGenericError, "Invalid parameter type for 'enable', expected: array"};
    }
    for (std::size_t i = 0; i < arguments["enable"].size(); ++i) {
      const Json& capability = arguments["enable"][i];
      if (!capability.is_string()) {
        return {kGenericError,
                fmt::format("Invalid parameter type for 'enable[{}]', expected: string", i)};
      }
      if (capability != "oob") {
        return {kGenericError, fmt::format("Parameter 'null' does not accept value '{}'",
                                           capability.get<std::string>())};
      }
      out_of_band = true;
    }
  }
  negotiated_ = true;
  out_of_band_ = out_of_band;
  return {};
}

QmpServer::Failure QmpServer::query_commands(const Json&, Json& result) {
  result = Json::array();
  for (const Command& c : commands()) result.push_back({{"name", c.signature.name}});
  return {};
}

QmpServer::Failure QmpServer::query_schema(const Json&, Json& result) {
  std::vector<QmpSignature> signatures;
  for (const Command& c : commands()) signatures.push_back(c.signature);
  result = qmp_schema(signatures);
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
