// What the SMBus of a board has on it.
// System Management Bus Specification 2.0, chapter 5.
#pragma once

#include <optional>

#include "base/types.h"

namespace dragoman {

class SmbusDevice {
 public:
  virtual ~SmbusDevice() = default;
  /// Whether it answers to this seven-bit address.
  virtual bool answers(u8 address) const = 0;
  /// The byte at `command`, as Read Byte has it.
  virtual u8 read(u8 address, u8 command) = 0;
  /// Where Receive Byte goes on.
  virtual u8 receive(u8 address) = 0;
  /// Send Byte: sets that place. False: it does not acknowledge the data of a write.
  virtual bool send(u8 address, u8 command) = 0;
  virtual bool write(u8 address, u8 command, u8 value) = 0;
};

/// Command protocols as Intel's controllers number them.
enum class SmbusProtocol : u8 { kQuick = 0, kByte = 1, kByteData = 2, kWordData = 3 };

/// One transaction, at once. `slave` is the address in bits 7:1 and the direction (1: read) in bit
/// 0; false when nobody acknowledges it, or there is no such protocol.
bool smbus_transaction(SmbusDevice* bus, SmbusProtocol protocol, u8 slave, u8 command, u8& low,
                       u8& high);

}  // namespace dragoman
