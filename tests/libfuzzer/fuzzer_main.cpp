// The entry points libFuzzer calls. The program's name, fuzz_<target>, says which target it runs;
// all names are links to one file.
#include <unistd.h>

#include <algorithm>

#include "tests/libfuzzer/fuzz_target.h"

namespace {
const dragoman::FuzzTarget* g_target = nullptr;
}

extern "C" int LLVMFuzzerInitialize(int*, char*** argv) {
  std::string_view name = (*argv)[0];
  name.remove_prefix(name.rfind('/') + 1);
  if (name.starts_with("fuzz_")) name.remove_prefix(5);
  g_target = dragoman::find_fuzz_target(name);
  if (g_target == nullptr) {
    std::fprintf(stderr, "'%.*s' is no target; call this program by a name such as fuzz_decoder:\n",
                 static_cast<int>(name.size()), name.data());
    for (const auto& target : dragoman::fuzz_targets()) {
      std::fprintf(stderr, "  fuzz_%.*s\n", static_cast<int>(target.name.size()),
                   target.name.data());
    }
    std::exit(2);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const dragoman::u8* data, std::size_t size) {
  g_target->run({data, std::min(size, g_target->most_bytes)});
  return 0;
}
