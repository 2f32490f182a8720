// What firmware would have done to the chipset before a kernel starts.
#pragma once

#include "bios/board_description.h"
#include "cpu/state.h"
#include "devices/pci/pci_bus.h"
#include "memory/port_map.h"

namespace dragoman {

/// Assigns base address registers and interrupt lines, routes PIRQs, opens the power management
/// and IDE blocks, shows RAM in C0000h..FFFFFh, lets the keyboard controller translate. To be
/// called after a reset of all devices.
void setup_without_firmware(PciBus& bus, PortMap& ports, const BoardDescription& board);

/// Memory type ranges: RAM write-back, video memory and the PCI window uncached, ROM area
/// write-protected (SDM vol. 3, 12.11).
void set_memory_types(MsrState& msr, const BoardDescription& board, unsigned physical_bits);

}  // namespace dragoman
