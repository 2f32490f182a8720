// What QMP's query-qmp-schema tells: the commands, events and types of this program, in the form of
// QEMU's documentation ("Client JSON Protocol introspection", docs/devel/qapi-code-gen).
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

namespace dragoman {

/// Types are written in short: `name:type name?:type` are the members of an object, with `?` those
/// that may be missing; `[type]` is a list. Names of types are those of qmp_schema.cpp.
struct QmpSignature {
  const char* name;
  const char* arguments;  ///< members
  const char* returns;    ///< a type, or "" for an object without members
  bool out_of_band = false;
};

/// The members' names of QmpSignature::arguments contain `name`.
bool qmp_takes(const char* arguments, std::string_view name);

nlohmann::ordered_json qmp_schema(std::span<const QmpSignature> commands);

}  // namespace dragoman
