// Debug exit port: a write ends the machine with a status. The customary device of test kernels
// ("isa-debug-exit", usually at port 501h or F4h).
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "devices/device.h"
#include "memory/port_map.h"

namespace dragoman {

class IsaDebugExit : public Device, public PortHandler {
 public:
  static constexpr u16 kDefaultPort = 0x501;
  static constexpr u16 kDefaultPortCount = 4;

  /// `exit` gets the status, (value << 1) | 1, and must return; the machine stops afterwards.
  /// The board maps it: `ports.add(name, Port(iobase), iosize, device, 0, widest)` with widest
  /// the largest of 1, 2, 4 that fits iosize.
  explicit IsaDebugExit(std::function<void(int)> exit);

  std::string_view name() const override { return "isa-debug-exit"; }
  void reset() override {}
  void save(std::vector<u8>&) const override {}
  Result<void> load(std::span<const u8>&) override { return {}; }
  std::string print() const override { return ""; }

  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;

 private:
  std::function<void(int)> exit_;
};

}  // namespace dragoman
