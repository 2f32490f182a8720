#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace dragoman {

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "dragoman: internal error: %s does not hold (%s:%d); please report it\n",
               condition, file, line);
  std::abort();
}

}  // namespace dragoman
