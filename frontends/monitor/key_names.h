// Keys by the names control programs use.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "devices/ps2_keyboard.h"

namespace dragoman {

std::optional<Key> key_by_name(std::string_view name);
std::vector<std::string_view> key_names();

}  // namespace dragoman
