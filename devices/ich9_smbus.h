// SMBus controller of the Intel ICH9 (8086:2930): the host side.
// I/O Controller Hub 9 datasheet (316972), chapter 19.
#pragma once

#include <array>
#include <string>

#include "devices/pci/pci_function.h"
#include "devices/smbus.h"

namespace dragoman {

struct Ich9SmbusState {
  std::array<u8, 32> registers{};
  bool in_use = false;  ///< INUSE_STS, a semaphore of software

  static constexpr auto fields() {
    using S = Ich9SmbusState;
    return std::tuple{Field{"registers", &S::registers}, Field{"in_use", &S::in_use}};
  }
};

/// Slot 31 function 3. BAR 4 holds the registers, while HOSTC (config 40h) bit 0 is set.
/// Transactions end at once, with their interrupt if one is asked for. Not built: the slave side,
/// alerts, blocks (nothing on the bus has any), the memory BAR.
class Ich9Smbus : public StatefulPciFunction<Ich9SmbusState>, private PortHandler {
 public:
  Ich9Smbus(std::string name, const PciSpaces& spaces);

  /// What hangs on the bus; it outlives the function.
  void set_device(SmbusDevice& device) { device_ = &device; }

 private:
  void restored() override;
  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;
  void transfer();
  void update_interrupt();

  SmbusDevice* device_ = nullptr;
};

}  // namespace dragoman
