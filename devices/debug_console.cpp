// Debug console (Bochs port E9h, SeaBIOS port 402h).
#include "devices/debug_console.h"

#include <utility>

namespace dragoman {

DebugConsole::DebugConsole(std::string name, CharacterBackend* backend)
    : name_(std::move(name)), backend_(backend) {}

u32 DebugConsole::port_read(unsigned, u16, unsigned) { return kReadback; }

void DebugConsole::port_write(unsigned, u16, unsigned, u32 value) {
  const u8 character = static_cast<u8>(value);
  if (backend_ != nullptr) backend_->send({&character, 1});
}

}  // namespace dragoman
