// Debug console: one write-only port whose bytes appear on the host (Bochs port E9h; SeaBIOS
// port 402h, SeaBIOS "Debugging" documentation). Reading it tells firmware that it exists.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "devices/character.h"
#include "devices/device.h"
#include "memory/port_map.h"

namespace dragoman {

class DebugConsole : public Device, public PortHandler {
 public:
  static constexpr u16 kPortCount = 1;
  static constexpr u8 kReadback = 0xe9;  ///< both ports answer reads with this value

  /// `backend` may be null; otherwise it must outlive the device.
  DebugConsole(std::string name, CharacterBackend* backend);

  std::string_view name() const override { return name_; }
  void reset() override {}
  void save(std::vector<u8>&) const override {}
  Result<void> load(std::span<const u8>&) override { return {}; }
  std::string print() const override { return ""; }

  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;

 private:
  std::string name_;
  CharacterBackend* backend_;
};

}  // namespace dragoman
