// What QMP tells about the machine.
#include <unistd.h>

#include <cstdio>

#include "frontends/cli/version.h"
#include "frontends/monitor/qmp_server.h"

namespace dragoman {

QmpServer::Json QmpServer::version() {
  unsigned major = 0, minor = 0, micro = 0;
  (void)std::sscanf(DRAGOMAN_VERSION, "%u.%u.%u", &major, &minor, &micro);
  return {{"qemu", {{"micro", micro}, {"minor", minor}, {"major", major}}},
          {"package", "Dragoman " DRAGOMAN_VERSION}};
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
  result = version();
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
    Json drive = {{"device", d.name}, {"locked", d.locked}, {"removable", d.removable()}};
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

QmpServer::Failure QmpServer::query_kvm(const Json&, Json& result) {
  result = {{"enabled", false}, {"present", false}};
  return {};
}

QmpServer::Failure QmpServer::query_uuid(const Json&, Json& result) {
  std::string text;
  const std::array<u8, 16>& uuid = monitor_.host().uuid;
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", uuid[i]);
  }
  result["UUID"] = text;
  return {};
}

QmpServer::Failure QmpServer::query_target(const Json&, Json& result) {
  result["arch"] = "x86_64";
  return {};
}

QmpServer::Failure QmpServer::query_machine(const Json&, Json& result) {
  result["wakeup-suspend-support"] = false;
  return {};
}

QmpServer::Failure QmpServer::query_memory(const Json&, Json& result) {
  result = {{"base-memory", monitor_.host().ram_bytes}, {"plugged-memory", 0}};
  return {};
}

/// Lists of what there never is.
QmpServer::Failure QmpServer::query_none(const Json&, Json& result) {
  result = Json::array();
  return {};
}

}  // namespace dragoman
