// One list of fields per state struct serves saving, loading, printing and comparing.
//
//   struct State {
//     u8 irr = 0;
//     u8 imr = 0;
//     static constexpr auto fields() {
//       return std::tuple{Field{"irr", &State::irr}, Field{"imr", &State::imr}};
//     }
//   };
//
// The default member values are the power-on values. A state struct has no padding (order or
// name it), holds only integers, bools, enums, std::array of these and nested structs with their
// own fields(), and a test proves that the list covers every byte.
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace dragoman {

template <class Owner, class T>
struct Field {
  std::string_view name;
  T Owner::*member;
};
template <class Owner, class T>
Field(const char*, T Owner::*) -> Field<Owner, T>;

template <class T>
concept HasFields = requires {
  T::fields();
};

template <class T>
struct IsStdArray : std::false_type {};
template <class T, std::size_t N>
struct IsStdArray<std::array<T, N>> : std::true_type {};

/// Calls `visit(path, leaf)` for every leaf value below `state`, in declaration order.
template <class State, class Visitor>
void visit_fields(State& state, const std::string& prefix, Visitor&& visit) {
  using Plain = std::remove_cv_t<State>;
  if constexpr (HasFields<Plain>) {
    std::apply(
        [&](const auto&... field) {
          (visit_fields(
               state.*(field.member),
               prefix.empty() ? std::string(field.name) : prefix + "." + std::string(field.name),
               visit),
           ...);
        },
        Plain::fields());
  } else if constexpr (IsStdArray<Plain>::value) {
    if constexpr (std::is_same_v<typename Plain::value_type, u8>) {
      visit(prefix, state);  // byte buffers are one leaf
    } else {
      for (std::size_t i = 0; i < state.size(); ++i) {
        visit_fields(state[i], prefix + "[" + std::to_string(i) + "]", visit);
      }
    }
  } else {
    static_assert(std::is_integral_v<Plain> || std::is_enum_v<Plain>,
                  "state fields are integers, bools, enums, arrays or structs with fields()");
    visit(prefix, state);
  }
}

/// Bytes named by the field list of `State`; equal to sizeof(State) when the list is complete.
template <class State>
std::size_t field_bytes() {
  std::size_t total = 0;
  State state{};
  visit_fields(state, "", [&](const std::string&, const auto& leaf) { total += sizeof(leaf); });
  return total;
}

/// Appends every field, little endian, to `out`.
template <class State>
void save_fields(const State& state, std::vector<u8>& out) {
  visit_fields(state, "", [&](const std::string&, const auto& leaf) {
    const auto* bytes = reinterpret_cast<const u8*>(&leaf);
    out.insert(out.end(), bytes, bytes + sizeof(leaf));
  });
}

/// Reads every field back from the front of `in` and advances it.
template <class State>
Result<void> load_fields(State& state, std::span<const u8>& in) {
  bool short_input = false;
  visit_fields(state, "", [&](const std::string&, auto& leaf) {
    if (short_input || in.size() < sizeof(leaf)) {
      short_input = true;
      return;
    }
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(leaf)>, bool>) {
      leaf = in[0] != 0;  // any other bit pattern in a bool is undefined
    } else {
      std::memcpy(&leaf, in.data(), sizeof(leaf));
    }
    in = in.subspan(sizeof(leaf));
  });
  if (short_input) return error("saved state is too short: it was cut or is of another version");
  return {};
}

/// One "name = value" line per leaf, values in hexadecimal.
template <class State>
std::string print_fields(const State& state) {
  std::string text;
  visit_fields(state, "", [&](const std::string& path, const auto& leaf) {
    using Leaf = std::remove_cvref_t<decltype(leaf)>;
    if constexpr (IsStdArray<Leaf>::value) {
      text += fmt::format("{} = <{} bytes>\n", path, sizeof(leaf));
    } else {
      text += fmt::format("{} = {:#x}\n", path, static_cast<u64>(leaf));
    }
  });
  return text;
}

}  // namespace dragoman
