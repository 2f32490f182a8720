// "Did you mean": the known word that looks most like a given one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dragoman {

/// The word of `known` with the smallest edit distance to `word`, or "" when none is near.
std::string nearest_word(std::string_view word, const std::vector<std::string>& known);

}  // namespace dragoman
