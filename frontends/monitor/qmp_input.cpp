// QMP's keys and pointers.
#include "frontends/monitor/key_names.h"
#include "frontends/monitor/qmp_server.h"

namespace dragoman {
namespace {

const char* const kGenericError = "GenericError";

constexpr std::pair<std::string_view, u8> kButtons[] = {  // bits of MouseInput::buttons()
    {"left", 1},
    {"right", 2},
    {"middle", 4},
    {"side", 8},
    {"extra", 16}};

}  // namespace

/// One of KeyValue, which stands at `path` of the arguments.
QmpServer::Failure QmpServer::read_key(const Json& key, const std::string& path,
                                       std::string& name) {
  const auto bad = [&](const char* member, const char* type) {
    return Failure{kGenericError, fmt::format("Invalid parameter type for '{}{}', expected: {}",
                                              path, member, type)};
  };
  if (!key.is_object()) return bad("", "object");
  for (const char* member : {"type", "data"}) {
    if (!key.contains(member))
      return {kGenericError, fmt::format("Parameter '{}.{}' is missing", path, member)};
  }
  if (!key["type"].is_string()) return bad(".type", "string");
  if (key["type"] == "number") {
    if (!key["data"].is_number_integer()) return bad(".data", "integer");
    name = key_name_of_number(key["data"].get<i64>());
    if (!name.empty()) return {};
    return {kGenericError,
            fmt::format("Parameter 'data' does not accept value '{}'", key["data"].get<i64>())};
  }
  if (key["type"] != "qcode") {
    return {kGenericError, fmt::format("Parameter 'type' does not accept value '{}'",
                                       key["type"].get<std::string>())};
  }
  if (!key["data"].is_string()) return bad(".data", "string");
  name = key["data"].get<std::string>();
  if (key_by_name(name)) return {};
  return {kGenericError, fmt::format("Parameter 'data' does not accept value '{}'", name)};
}

QmpServer::Failure QmpServer::send_key(const Json& arguments, Json&) {
  if (!arguments.contains("keys")) return {kGenericError, "Parameter 'keys' is missing"};
  if (!arguments["keys"].is_array()) {
    return {kGenericError, "Invalid parameter type for 'keys', expected: array"};
  }
  if (arguments.contains("hold-time") && !arguments["hold-time"].is_number_integer()) {
    // Keys are struck, however long they are to be held.
    return {kGenericError, "Invalid parameter type for 'hold-time', expected: integer"};
  }
  std::vector<std::string> names;
  for (std::size_t i = 0; i < arguments["keys"].size(); ++i) {
    names.emplace_back();
    const Failure failure =
        read_key(arguments["keys"][i], fmt::format("keys[{}]", i), names.back());
    if (failure.kind != nullptr) return failure;
  }
  if (auto done = monitor_.send_keys(names); !done) return {kGenericError, done.error().message};
  return {};
}

/// All events are read before the first one takes effect.
QmpServer::Failure QmpServer::input_send_event(const Json& arguments, Json&) {
  struct Event {
    std::string kind, name;  ///< of the key, button or axis
    bool down = false;
    i64 value = 0;
  };
  if (!arguments.contains("events")) return {kGenericError, "Parameter 'events' is missing"};
  if (!arguments["events"].is_array())
    return {kGenericError, "Invalid parameter type for 'events', expected: array"};
  std::vector<Event> events;
  for (std::size_t i = 0; i < arguments["events"].size(); ++i) {
    const Json& given = arguments["events"][i];
    std::string path = fmt::format("events[{}]", i);
    const auto bad = [&](std::string_view member, std::string_view type) {
      return Failure{kGenericError, fmt::format("Invalid parameter type for '{}{}', expected: {}",
                                                path, member, type)};
    };
    const auto missing = [&](std::string_view member) {
      return Failure{kGenericError, fmt::format("Parameter '{}.{}' is missing", path, member)};
    };
    const auto unknown = [&](std::string_view member, std::string_view value) {
      return Failure{kGenericError,
                     fmt::format("Parameter '{}' does not accept value '{}'", member, value)};
    };
    if (!given.is_object()) return bad("", "object");
    if (!given.contains("type")) return missing("type");
    if (!given["type"].is_string()) return bad(".type", "string");
    Event event;
    event.kind = given["type"].get<std::string>();
    const bool key = event.kind == "key", button = event.kind == "btn";
    if (!key && !button && event.kind != "rel" && event.kind != "abs")
      return unknown("type", event.kind);
    if (!given.contains("data")) return missing("data");
    const Json& data = given["data"];
    if (!data.is_object()) return bad(".data", "object");
    path += ".data";
    const char* const what = key ? "key" : button ? "button" : "axis";
    const char* const how = key || button ? "down" : "value";
    for (const char* member : {what, how}) {
      if (!data.contains(member)) return missing(member);
    }
    if (key) {
      const Failure failure = read_key(data["key"], path + ".key", event.name);
      if (failure.kind != nullptr) return failure;
    } else {
      if (!data[what].is_string()) return bad(fmt::format(".{}", what), "string");
      event.name = data[what].get<std::string>();
      bool known = button ? event.name == "wheel-up" || event.name == "wheel-down"
                          : event.name == "x" || event.name == "y";
      for (const auto& [name, bit] : kButtons) known |= button && event.name == name;
      if (!known) return unknown(what, event.name);
    }
    if (key || button) {
      if (!data[how].is_boolean()) return bad(".down", "boolean");
      event.down = data[how].get<bool>();
    } else {
      if (!data[how].is_number_integer()) return bad(".value", "integer");
      event.value = data[how].get<i64>();
    }
    events.push_back(std::move(event));
  }
  if (arguments.contains("device")) {
    if (!arguments["device"].is_string())
      return {kGenericError, "Invalid parameter type for 'device', expected: string"};
    return {"DeviceNotFound", fmt::format("Device '{}' not found",  // the only screen has no name
                                          arguments["device"].get<std::string>())};
  }
  Debugger& debugger = monitor_.debugger();
  if (debugger.paused() || debugger.machine().powered_off())
    return {kGenericError, "VM not running"};
  PcBoard& board = debugger.machine().board();
  AbsolutePointer* const tablet = board.tablet();
  for (const Event& event : events) {
    if (event.kind == "abs" && tablet == nullptr)
      return {kGenericError, "Input handler not found for event type abs"};
  }

  std::array<int, 2> moved{};
  bool placed = false;
  const auto move = [&] {
    if (std::exchange(placed, false)) tablet->move_to(tablet_at_[0], tablet_at_[1]);
    if (moved[0] != 0 || moved[1] != 0) board.mouse().move(moved[0], moved[1], 0);
    moved = {};
  };
  for (const Event& event : events) {
    const std::size_t axis = event.name == "y" ? 1 : 0;
    if (event.kind == "key") {
      board.keyboard().key(*key_by_name(event.name), event.down);
    } else if (event.kind == "rel") {
      moved[axis] = static_cast<int>(std::clamp<i64>(
          moved[axis] + std::clamp<i64>(event.value, -10000, 10000), -10000, 10000));
    } else if (event.kind == "abs") {
      tablet_at_[axis] = static_cast<u32>(std::clamp<i64>(event.value, 0, AbsolutePointer::kMost));
      placed = true;
    } else if (event.name.starts_with("wheel")) {
      move();
      if (!event.down) continue;
      const int steps = event.name == "wheel-up" ? 1 : -1;
      tablet != nullptr && tablet->ready() ? tablet->wheel(steps)
                                           : board.mouse().move(0, 0, -steps);
    } else {
      move();
      for (const auto& [name, bit] : kButtons) {
        if (event.name == name)
          buttons_ = static_cast<u8>(event.down ? buttons_ | bit : buttons_ & ~bit);
      }
      tablet != nullptr && tablet->ready() ? tablet->buttons(buttons_)
                                           : board.mouse().buttons(buttons_);
    }
  }
  move();
  return {};
}

}  // namespace dragoman
