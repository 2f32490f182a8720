// Serial presence detect: what memory modules say of themselves, in a 24C02 EEPROM on each.
// JEDEC Standard 21-C, annex 4.1.2.5 (SPD for synchronous DRAM); PC SDRAM SPD Specification 1.2B
// (Intel, 1999).
#pragma once

#include <array>
#include <string>
#include <vector>

#include "devices/device.h"
#include "devices/smbus.h"

namespace dragoman {

struct SpdEepromState {
  std::array<u8, 8> places{};  ///< of the next Receive Byte, by module
  static constexpr auto fields() { return std::tuple{Field{"places", &SpdEepromState::places}}; }
};

/// Modules of SDRAM (PC133) at addresses 50h to 57h that together have the board's memory; what
/// eight modules of at most 1 GiB cannot hold is on none. They are write-protected, as in most PCs.
class SpdEeprom : public StatefulDevice<SpdEepromState>, public SmbusDevice {
 public:
  static constexpr u8 kFirstAddress = 0x50;
  static constexpr unsigned kSlots = 8;

  SpdEeprom(std::string name, u64 ram_bytes);

  bool answers(u8 address) const override;
  u8 read(u8 address, u8 command) override;
  u8 receive(u8 address) override;
  bool send(u8 address, u8 command) override;
  bool write(u8, u8, u8) override { return false; }

 private:
  std::vector<std::array<u8, 256>> modules_;
};

}  // namespace dragoman
