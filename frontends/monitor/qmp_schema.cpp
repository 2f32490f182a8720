#include "frontends/monitor/qmp_schema.h"

#include <string>
#include <vector>

#include "frontends/monitor/key_names.h"

namespace dragoman {
namespace {

using Json = nlohmann::ordered_json;

/// `=a b` is an enumeration; `members | tag: a=type b=type` an object with variants. QKeyCode is
/// made of the names of the keys.
constexpr struct {
  const char* name;
  const char* text;
} kTypes[] = {
    {"Empty", ""},
    {"QMPCapability", "=oob"},
    {"CommandInfo", "name:str"},
    {"RunState", "=debug paused prelaunch running shutdown"},
    {"StatusInfo", "running:bool singlestep:bool status:RunState"},
    {"VersionTriple", "major:int minor:int micro:int"},
    {"VersionInfo", "qemu:VersionTriple package:str"},
    {"NameInfo", "name?:str"},
    {"UuidInfo", "UUID:str"},
    {"KvmInfo", "enabled:bool present:bool"},
    {"SysEmuTarget", "=x86_64"},
    {"TargetInfo", "arch:SysEmuTarget"},
    {"CurrentMachineParams", "wakeup-suspend-support:bool"},
    {"MemoryInfo", "base-memory:int plugged-memory?:int"},
    {"CpuInstanceProperties", "socket-id?:int core-id?:int thread-id?:int"},
    {"CpuInfoFast",
     "cpu-index:int qom-path:str thread-id:int props?:CpuInstanceProperties target:SysEmuTarget"
     " | target: x86_64=Empty"},
    {"BlockdevDetectZeroesOptions", "=off"},
    {"BlockdevCacheInfo", "writeback:bool direct:bool no-flush:bool"},
    {"ImageInfo", "filename:str format:str virtual-size:int"},
    {"BlockDeviceInfo",
     "file:str ro:bool drv:str backing_file_depth:int encrypted:bool "
     "detect_zeroes:BlockdevDetectZeroesOptions bps:int bps_rd:int bps_wr:int iops:int iops_rd:int "
     "iops_wr:int image:ImageInfo cache:BlockdevCacheInfo write_threshold:int"},
    {"BlockInfo",
     "device:str type:str removable:bool locked:bool inserted?:BlockDeviceInfo tray_open?:bool"},
    {"BlockJobInfo", "type:str device:str"},
    {"IOThreadInfo", "id:str thread-id:int"},
    {"ImageFormat", "=ppm png"},
    {"BlockdevChangeReadOnlyMode", "=retain read-only read-write"},
    {"KeyValueKind", "=number qcode"},
    {"IntWrapper", "data:int"},
    {"QKeyCodeWrapper", "data:QKeyCode"},
    {"KeyValue", "type:KeyValueKind | type: number=IntWrapper qcode=QKeyCodeWrapper"},
    {"PciDeviceClass", "desc?:str class:int"},
    {"PciDeviceId", "device:int vendor:int subsystem?:int subsystem-vendor?:int"},
    {"PciMemoryRegion", "bar:int type:str address:int size:int prefetch?:bool mem_type_64?:bool"},
    {"PciDeviceInfo",
     "bus:int slot:int function:int class_info:PciDeviceClass id:PciDeviceId irq?:int irq_pin:int "
     "qdev_id:str regions:[PciMemoryRegion]"},
    {"PciInfo", "bus:int devices:[PciDeviceInfo]"},
    {"ChardevInfo", "label:str filename:str frontend-open:bool"},
    {"MachineInfo",
     "name:str is-default?:bool cpu-max:int hotpluggable-cpus:bool numa-mem-supported:bool "
     "deprecated:bool"},
    {"MouseInfo", "name:str index:int current:bool absolute:bool"},
    {"InputButton", "=left middle right wheel-up wheel-down side extra"},
    {"InputAxis", "=x y"},
    {"InputKeyEvent", "key:KeyValue down:bool"},
    {"InputBtnEvent", "button:InputButton down:bool"},
    {"InputMoveEvent", "axis:InputAxis value:int"},
    {"InputKeyEventWrapper", "data:InputKeyEvent"},
    {"InputBtnEventWrapper", "data:InputBtnEvent"},
    {"InputMoveEventWrapper", "data:InputMoveEvent"},
    {"InputEventKind", "=key btn rel abs"},
    {"InputEvent",
     "type:InputEventKind | type: key=InputKeyEventWrapper btn=InputBtnEventWrapper "
     "rel=InputMoveEventWrapper abs=InputMoveEventWrapper"},
    {"YankInstanceType", "=chardev"},
    {"YankInstanceChardev", "id:str"},
    {"YankInstance", "type:YankInstanceType | type: chardev=YankInstanceChardev"},
    {"ShutdownCause",
     "=host-error host-qmp-quit host-qmp-system-reset host-signal host-ui guest-shutdown "
     "guest-reset guest-panic"},
    {"SchemaMetaType", "=builtin enum array object command event"},
    {"JSONType", "=string int boolean value"},
    {"SchemaInfoBuiltin", "json-type:JSONType"},
    {"SchemaInfoEnumMember", "name:str"},
    {"SchemaInfoEnum", "members:[SchemaInfoEnumMember] values:[str]"},
    {"SchemaInfoArray", "element-type:str"},
    {"SchemaInfoObjectMember", "name:str type:str default?:any"},
    {"SchemaInfoObjectVariant", "case:str type:str"},
    {"SchemaInfoObject",
     "members:[SchemaInfoObjectMember] tag?:str variants?:[SchemaInfoObjectVariant]"},
    {"SchemaInfoCommand", "arg-type:str ret-type:str allow-oob?:bool"},
    {"SchemaInfoEvent", "arg-type:str"},
    {"SchemaInfo",
     "name:str meta-type:SchemaMetaType | meta-type: builtin=SchemaInfoBuiltin enum=SchemaInfoEnum "
     "array=SchemaInfoArray object=SchemaInfoObject command=SchemaInfoCommand "
     "event=SchemaInfoEvent"},
};

constexpr std::pair<const char*, const char*> kBuiltin[] = {
    {"str", "string"}, {"int", "int"}, {"bool", "boolean"}, {"any", "value"}};

constexpr std::pair<const char*, const char*> kEvents[] = {
    {"STOP", ""},
    {"RESUME", ""},
    {"POWERDOWN", ""},
    {"RESET", "guest:bool reason:ShutdownCause"},
    {"SHUTDOWN", "guest:bool reason:ShutdownCause"},
    {"DEVICE_TRAY_MOVED", "device:str id:str tray-open:bool"},
};

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> found;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (end > 0) found.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return found;
}

/// Types get numbers in place of names, as in QEMU: clients look for members, not for names.
class Schema {
 public:
  /// Name of a type in the answer; describes it when it is met for the first time.
  std::string type(std::string_view name) {
    if (name.starts_with('[')) {
      const std::string element = type(name.substr(1, name.size() - 2));
      const std::string array = "[" + element + "]";
      if (!known(array))
        add({{"name", array}, {"element-type", element}, {"meta-type", "array"}}, array);
      return array;
    }
    for (const auto& [builtin, json] : kBuiltin) {
      if (name != builtin) continue;
      if (!known(builtin))
        add({{"name", builtin}, {"json-type", json}, {"meta-type", "builtin"}}, builtin);
      return builtin;
    }
    if (name.empty()) name = "Empty";
    const std::string number = number_of(name);
    if (known(number)) return number;
    described_.push_back(number);  // before what is inside, which may contain it
    if (name == "QKeyCode") {
      enumeration(number, key_names());
      return number;
    }
    for (const auto& t : kTypes) {
      if (name != t.name) continue;
      if (t.text[0] == '=') {
        enumeration(number, words(t.text + 1));
      } else {
        object(number, t.text);
      }
    }
    return number;
  }

  /// An object without a name in kTypes, of the members `text`.
  std::string members_of(std::string_view text) {
    if (text.empty()) return type("Empty");
    const std::string number = number_of(text);
    if (!known(number)) {
      described_.push_back(number);
      object(number, text);
    }
    return number;
  }

  void add(Json info) { all_.push_back(std::move(info)); }
  Json take() { return std::move(all_); }

 private:
  void add(Json info, const std::string& name) {
    described_.push_back(name);
    add(std::move(info));
  }
  bool known(const std::string& name) const {
    return std::find(described_.begin(), described_.end(), name) != described_.end();
  }
  std::string number_of(std::string_view name) {
    const auto found = std::find(numbered_.begin(), numbered_.end(), name);
    const auto number = found - numbered_.begin();
    if (found == numbered_.end()) numbered_.emplace_back(name);
    return std::to_string(number);
  }
  void enumeration(const std::string& number, const std::vector<std::string_view>& values) {
    Json members = Json::array();
    Json names = Json::array();
    for (const std::string_view value : values) {
      members.push_back({{"name", value}});
      names.push_back(value);
    }
    add({{"name", number}, {"members", members}, {"meta-type", "enum"}, {"values", names}});
  }
  void object(const std::string& number, std::string_view text) {
    Json info = {{"name", number}};
    const std::size_t bar = text.find(" | ");
    Json members = Json::array();
    for (const std::string_view word : words(text.substr(0, bar))) {
      const std::size_t colon = word.find(':');
      const bool optional = word[colon - 1] == '?';
      Json member = {{"name", word.substr(0, colon - (optional ? 1 : 0))}};
      if (optional) member["default"] = nullptr;
      member["type"] = type(word.substr(colon + 1));
      members.push_back(std::move(member));
    }
    info["members"] = std::move(members);
    info["meta-type"] = "object";
    if (bar != std::string_view::npos) {
      const auto variants = words(text.substr(bar + 3));
      info["tag"] = variants[0].substr(0, variants[0].size() - 1);
      info["variants"] = Json::array();
      for (std::size_t i = 1; i < variants.size(); ++i) {
        const std::size_t equals = variants[i].find('=');
        info["variants"].push_back({{"case", variants[i].substr(0, equals)},
                                    {"type", type(variants[i].substr(equals + 1))}});
      }
    }
    add(std::move(info));
  }

  Json all_ = Json::array();
  std::vector<std::string> described_;
  std::vector<std::string> numbered_;
};

}  // namespace

bool qmp_takes(const char* arguments, std::string_view name) {
  for (const std::string_view word : words(arguments)) {
    std::string_view member = word.substr(0, word.find(':'));
    if (member.ends_with('?')) member.remove_suffix(1);
    if (member == name) return true;
  }
  return false;
}

Json qmp_schema(std::span<const QmpSignature> commands) {
  Schema schema;
  for (const QmpSignature& c : commands) {
    const std::string arguments = schema.members_of(c.arguments);
    const std::string returns = schema.type(c.returns);
    Json info = {{"name", c.name}, {"ret-type", returns}, {"meta-type", "command"}};
    if (c.out_of_band) info["allow-oob"] = true;
    info["arg-type"] = arguments;
    schema.add(std::move(info));
  }
  for (const auto& [name, data] : kEvents) {
    schema.add({{"name", name}, {"arg-type", schema.members_of(data)}, {"meta-type", "event"}});
  }
  return schema.take();
}

}  // namespace dragoman
