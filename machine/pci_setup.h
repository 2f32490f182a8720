// What firmware would have done to the board before a kernel starts.
#pragma once

#include "bios/board_description.h"
#include "cpu/state.h"
#include "devices/pci/pci_bus.h"
#include "memory/port_map.h"

namespace dragoman {

/// Assigns base address registers and interrupt lines, makes PCI interrupts level-triggered, lets
/// the keyboard controller translate. To be called after a reset of all devices and before
/// Chipset::set_up().
void setup_without_firmware(PciBus& bus, PortMap& ports, const BoardDescription& board);

/// Memory type ranges: RAM write-back, video memory and the PCI window uncached, ROM area
/// write-protected (SDM vol. 3, 12.11).
void set_memory_types(MsrState& msr, const BoardDescription& board, unsigned physical_bits);

}  // namespace dragoman
