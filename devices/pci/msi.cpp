#include "devices/pci/msi.h"

namespace dragoman {
namespace {
constexpr u8 kMsiCapability = 0x05;
constexpr u8 kCapabilityBytes = 14;
constexpr u32 kEnable = 0x0001;
constexpr u32 kMultipleMessages = 0x0070;  // enabled, where one is all there is
constexpr u32 k64Bit = 0x0080;
}  // namespace

Msi::Msi(PciFunction& function, MsiSink& sink)
    : function_(function),
      sink_(sink),
      capability_(function.add_capability(kMsiCapability, kCapabilityBytes)) {
  function.define_register(static_cast<u8>(capability_ + 2), 2, k64Bit,
                           kEnable | kMultipleMessages);
  function.define_register(static_cast<u8>(capability_ + 4), 4, 0, 0xfffffffc);
  function.define_register(static_cast<u8>(capability_ + 8), 4, 0, 0xffffffff);
  function.define_register(static_cast<u8>(capability_ + 12), 2, 0, 0xffff);
}

bool Msi::enabled() const {
  return (function_.peek_config(static_cast<u8>(capability_ + 2), 2) & kEnable) != 0;
}

void Msi::notify() {
  if (!enabled() || !function_.bus_master()) return;
  const u64 address = function_.peek_config(static_cast<u8>(capability_ + 4), 4) |
                      u64{function_.peek_config(static_cast<u8>(capability_ + 8), 4)} << 32;
  const u32 data = function_.peek_config(static_cast<u8>(capability_ + 12), 2);
  if (address >> 20 == 0xfee) {
    sink_.deliver_msi(address, data);
  } else {
    function_.spaces().memory.store<u32>(PhysicalAddress(address), data);
  }
}

}  // namespace dragoman
