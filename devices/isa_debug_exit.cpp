// Debug exit port.
#include "devices/isa_debug_exit.h"

#include <utility>

namespace dragoman {

IsaDebugExit::IsaDebugExit(std::function<void(int)> exit) : exit_(std::move(exit)) {}

u32 IsaDebugExit::port_read(unsigned, u16, unsigned) { return 0; }

void IsaDebugExit::port_write(unsigned, u16, unsigned, u32 value) {
  if (exit_) exit_(static_cast<int>((value << 1) | 1));
}

}  // namespace dragoman
