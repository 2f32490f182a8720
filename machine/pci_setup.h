// What firmware would have done to the chipset before a kernel starts.
#pragma once

#include "bios/board_description.h"
#include "devices/pci/pci_bus.h"
#include "memory/port_map.h"

namespace dragoman {

/// Assigns base address registers and interrupt lines, routes PIRQs, opens the power management
/// and IDE blocks, shows RAM in C0000h..FFFFFh. To be called after a reset of all devices.
void setup_without_firmware(PciBus& bus, PortMap& ports, const BoardDescription& board);

}  // namespace dragoman
