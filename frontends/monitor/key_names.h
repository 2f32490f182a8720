// Keys by the names control programs use.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "devices/ps2_keyboard.h"

namespace dragoman {

std::optional<Key> key_by_name(std::string_view name);
std::vector<std::string_view> key_names();
/// Name of the key with this code of scan code set 1, 80h added where E0h goes before it; empty if
/// there is none.
std::string_view key_name_of_number(i64 number);

}  // namespace dragoman
