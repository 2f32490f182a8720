// Proves that a device's field list covers its whole State and that saving loses nothing.
#pragma once

#include <gtest/gtest.h>

#include <span>
#include <type_traits>
#include <vector>

#include "base/fields.h"
#include "base/types.h"

namespace dragoman {

/// Gives every byte of every listed field its own value (bools become 0 and 1 by turns).
template <class State>
void fill_with_distinct_bytes(State& state) {
  u32 counter = 1;
  visit_fields(state, "", [&](const std::string&, auto& leaf) {
    using Leaf = std::remove_cvref_t<decltype(leaf)>;
    if constexpr (std::is_same_v<Leaf, bool>) {
      leaf = (counter++ & 1) != 0;
    } else {
      auto* bytes = reinterpret_cast<u8*>(&leaf);
      for (std::size_t i = 0; i < sizeof(leaf); ++i) {
        bytes[i] = static_cast<u8>(counter % 251 + 1);  // 251 is prime: no short period, never 0
        ++counter;
      }
    }
  });
}

/// The list names every byte of State (no field forgotten, no padding), and
/// fill -> save -> load -> save gives the same bytes.
template <class State>
void check_state_list() {
  EXPECT_EQ(field_bytes<State>(), sizeof(State))
      << "a member is missing from fields() (or listed twice), or State has padding";

  State original{};
  fill_with_distinct_bytes(original);
  std::vector<u8> saved;
  save_fields(original, saved);
  EXPECT_EQ(saved.size(), field_bytes<State>());

  State copy{};
  std::span<const u8> input(saved);
  const auto result = load_fields(copy, input);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_TRUE(input.empty());
  std::vector<u8> saved_again;
  save_fields(copy, saved_again);
  EXPECT_EQ(saved, saved_again);

  // A cut state is refused, not half believed.
  if (!saved.empty()) {
    State cut{};
    std::span<const u8> short_input(saved.data(), saved.size() - 1);
    EXPECT_FALSE(load_fields(cut, short_input).ok());
  }
}

}  // namespace dragoman
