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

/// What `-machine` knows.
QmpServer::Failure QmpServer::query_machines(const Json&, Json& result) {
  result = Json::array();
  for (const char* const name : {"pc", "q35"}) {
    Json machine = {{"hotpluggable-cpus", false},
                    {"name", name},
                    {"numa-mem-supported", false},
                    {"cpu-max", 1},
                    {"deprecated", false}};
    if (std::string_view(name) == "pc") machine["is-default"] = true;
    result.push_back(std::move(machine));
  }
  return {};
}

namespace {
/// PCI Code and ID Assignment Specification, 1; what a PC has.
const char* class_name(u16 code) {
  static constexpr std::pair<u16, const char*> kNames[] = {
      {0x0101, "IDE controller"},   {0x0106, "SATA controller"},     {0x0108, "NVMe controller"},
      {0x0100, "SCSI controller"},  {0x0200, "Ethernet controller"}, {0x0300, "VGA controller"},
      {0x0401, "Audio controller"}, {0x0600, "Host bridge"},         {0x0601, "ISA bridge"},
      {0x0680, "Bridge"},           {0x0c03, "USB controller"},      {0x0c05, "SMBus"}};
  for (const auto& [known, name] : kNames) {
    if (known == code) return name;
  }
  return nullptr;
}
}  // namespace

QmpServer::Failure QmpServer::query_pci(const Json&, Json& result) {
  Json devices = Json::array();
  const PciBus& bus = monitor_.debugger().machine().board().pci();
  for (unsigned number = 0; number < 256; ++number) {
    const PciFunction* const f = bus.function_at(number);
    if (f == nullptr) continue;
    const auto word = [f](u8 offset) { return f->peek_config(offset, 2); };
    const auto code = static_cast<u16>(word(PciRegister::kClass + 1));
    Json device = {{"irq_pin", f->interrupt_pin()}, {"bus", 0}, {"qdev_id", ""}};
    if (f->interrupt_pin() != 0) device["irq"] = f->peek_config(PciRegister::kInterruptLine, 1);
    device["slot"] = number >> 3;
    device["class_info"] = {{"class", code}};
    if (const char* const name = class_name(code)) device["class_info"]["desc"] = name;
    device["id"] = {{"device", word(PciRegister::kDevice)},
                    {"subsystem-vendor", word(PciRegister::kSubsystemVendor)},
                    {"vendor", word(PciRegister::kVendor)},
                    {"subsystem", word(PciRegister::kSubsystem)}};
    device["function"] = number & 7;
    device["regions"] = Json::array();
    for (const PciFunction::Region& r : f->regions()) {
      Json region = Json::object();
      if (!r.io) region = {{"prefetch", r.prefetchable}, {"mem_type_64", r.is_64bit}};
      region["bar"] = r.bar;
      region["size"] = r.size;
      region["address"] = r.decoded ? static_cast<i64>(r.address) : -1;
      region["type"] = r.io ? "io" : "memory";
      device["regions"].push_back(std::move(region));
    }
    devices.push_back(std::move(device));
  }
  result = Json::array({{{"bus", 0}, {"devices", std::move(devices)}}});
  return {};
}

QmpServer::Failure QmpServer::query_characters(const Json&, Json& result) {
  result = Json::array();
  for (const CharacterInfo& c : monitor_.host().characters) {
    result.push_back({{"frontend-open", true}, {"filename", c.filename}, {"label", c.label}});
  }
  return {};
}

QmpServer::Failure QmpServer::query_mice(const Json&, Json& result) {
  const bool tablet = monitor_.debugger().machine().board().tablet() != nullptr;
  result = Json::array();
  if (tablet) {
    result.push_back(
        {{"index", 1}, {"name", "Dragoman tablet"}, {"current", true}, {"absolute", true}});
  }
  result.push_back(
      {{"index", 0}, {"name", "Dragoman mouse"}, {"current", !tablet}, {"absolute", false}});
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
