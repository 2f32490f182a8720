// Functions that take any bytes and must end well, for libFuzzer and for the replay in ./check.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>

#include "base/types.h"

namespace dragoman {

struct FuzzTarget {
  std::string_view name;
  void (*run)(std::span<const u8> input);
  std::size_t most_bytes;  ///< longer inputs are cut: they would only be slow
};

/// The one list of targets.
std::span<const FuzzTarget> fuzz_targets();
/// Null when there is none of that name.
const FuzzTarget* find_fuzz_target(std::string_view name);

/// Ends the process when something that holds for every input does not.
#define FUZZ_CHECK(condition)                                                             \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)

/// Takes values off the front of the input; zeros when it is used up.
class FuzzInput {
 public:
  explicit FuzzInput(std::span<const u8> bytes) : bytes_(bytes) {}

  bool empty() const { return bytes_.empty(); }
  u8 byte() { return number<u8>(); }
  template <class T>
  T number() {
    T value{};
    const auto piece = take(sizeof(T));
    if (!piece.empty()) std::memcpy(&value, piece.data(), piece.size());
    return value;
  }
  /// A number of 1, 2, 4 or 8 bytes.
  u64 sized(unsigned bytes) {
    u64 value = 0;
    const auto piece = take(bytes);
    if (!piece.empty()) std::memcpy(&value, piece.data(), piece.size());
    return value;
  }
  /// At most `bytes`, fewer at the end.
  std::span<const u8> take(std::size_t bytes) {
    const auto piece = bytes_.first(bytes < bytes_.size() ? bytes : bytes_.size());
    bytes_ = bytes_.subspan(piece.size());
    return piece;
  }
  std::span<const u8> rest() { return take(bytes_.size()); }

 private:
  std::span<const u8> bytes_;
};

}  // namespace dragoman
