#include "devices/smbus.h"

namespace dragoman {

bool smbus_transaction(SmbusDevice* bus, SmbusProtocol protocol, u8 slave, u8 command, u8& low,
                       u8& high) {
  const u8 address = slave >> 1;
  const bool read = (slave & 1) != 0;
  if (bus == nullptr || !bus->answers(address)) return false;
  switch (protocol) {
    case SmbusProtocol::kQuick:
      return true;
    case SmbusProtocol::kByte:
      if (!read) return bus->send(address, command);
      low = bus->receive(address);
      return true;
    case SmbusProtocol::kByteData:
      if (!read) return bus->write(address, command, low);
      low = bus->read(address, command);
      return true;
    case SmbusProtocol::kWordData:
      if (!read) {
        return bus->write(address, command, low) &&
               bus->write(address, static_cast<u8>(command + 1), high);
      }
      low = bus->read(address, command);
      high = bus->receive(address);
      return true;
    default:
      return false;  // an EEPROM has no blocks with a length in front
  }
}

}  // namespace dragoman
