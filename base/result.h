// Errors of the host side (files, options, images) as values with a sentence for the user.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/assert.h"

namespace dragoman {

/// What went wrong, with which value, and what to do about it: one sentence for stderr.
struct Error {
  std::string message;
};

template <class... Args>
Error error(fmt::format_string<Args...> format, Args&&... args) {
  return Error{fmt::format(format, std::forward<Args>(args)...)};
}

/// Either a value or an Error.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : value_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return value_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() {
    DRAGOMAN_ASSERT(ok());
    return std::get<0>(value_);
  }
  const T& value() const {
    DRAGOMAN_ASSERT(ok());
    return std::get<0>(value_);
  }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T take() { return std::move(value()); }
  const Error& error() const {
    DRAGOMAN_ASSERT(!ok());
    return std::get<1>(value_);
  }

 private:
  std::variant<T, Error> value_;
};

/// Success without a value, or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    DRAGOMAN_ASSERT(error_.has_value());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace dragoman
