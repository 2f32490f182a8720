// Checks for our own bugs. No guest input may ever reach a failing one.
#pragma once

namespace dragoman {

[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

}  // namespace dragoman

#define DRAGOMAN_ASSERT(condition) \
  ((condition) ? void() : ::dragoman::assertion_failed(#condition, __FILE__, __LINE__))
