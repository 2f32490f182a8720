// What the firmware tables say about a board, as plain values. The board fills it in from the
// devices it has really built, so that the tables never promise hardware that is not there.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/types.h"

namespace dragoman {

/// RAM below 4 GiB ends here at the latest: the rest belongs to PCI, as on an i440FX board.
inline constexpr u64 kMaxRamBelow4G = 0xc0000000;

/// PIRQ (0 for A) that pin `pin` (0..3 for INTA#..INTD#) of PCI slot `slot` is wired to on an
/// i440FX/PIIX3 board.
constexpr unsigned pirq_of_slot(unsigned slot, unsigned pin) { return (slot + pin + 3) & 3; }

struct BoardDescription {
  std::string name = "Dragoman PC";
  std::string chipset = "i440FX";
  std::array<u8, 16> uuid{};

  // Memory (see split_ram()).
  u64 ram_below_4g = 0;
  u64 ram_above_4g = 0;
  /// PCI memory window below 4 GiB: from here (at or above the end of low RAM) ...
  u32 pci_window_first = kMaxRamBelow4G;
  /// ... to here, inclusive; the I/O APIC follows.
  u32 pci_window_last = 0xfebfffff;
  /// PCI memory window above 4 GiB; none when the size is 0.
  u64 pci_window64_first = 0;
  u64 pci_window64_size = 0;
  /// Memory-mapped configuration space of 256 buses; 0: none.
  u32 configuration_space = 0;
  /// Registers of the chipset in memory; none when the size is 0.
  u32 chipset_registers = 0;
  u32 chipset_register_bytes = 0;

  // Processors. Local APIC ids in the order of the processors; the first is the boot processor.
  std::vector<u8> apic_ids = {0};
  u32 cpu_signature = 0;  ///< CPUID.1:EAX
  u32 cpu_features = 0;   ///< CPUID.1:EDX
  u32 cpu_mhz = 2000;
  u32 local_apic_address = 0xfee00000;
  bool io_apic = true;
  u8 io_apic_id = 0;
  u32 io_apic_address = 0xfec00000;

  // Interrupts.
  u8 sci_irq = 9;
  unsigned pirqs = 4;  ///< PIRQA..; from the fifth on their route registers begin at 68h
  /// ISA interrupts that they are routed to at start (registers 60h.. of the ISA bridge).
  std::array<u8, 8> pirq_irq = {10, 10, 11, 11, 10, 10, 11, 11};
  unsigned (*pirq_wiring)(unsigned slot, unsigned pin) = pirq_of_slot;
  /// Input of the I/O APIC that PIRQA is wired to, the others follow; 0: they reach it under the
  /// ISA interrupts they are routed to.
  u8 pirq_input = 0;
  /// INTA# of slot 1 is the SCI, whatever the routes say (PIIX4 function 3).
  bool sci_is_inta_of_slot1 = true;
  u32 isa_bridge = 0x00010000;  ///< slot in the high half, function in the low half

  // Power management (PIIX4 function 3 or the LPC bridge of an ICH9).
  u16 pm_base = 0x600;
  u16 pm_bytes = 0x40;
  u8 working_type = 5;     ///< SLP_TYP of S0 ...
  u8 soft_off_type = 0;    ///< ... and of S5
  u16 smbus_base = 0x700;  ///< 0: none
  /// General purpose event block: port and length in bytes; length 0: none.
  u16 gpe0_block = 0;
  u8 gpe0_length = 0;
  bool reset_register = true;  ///< port CF9h, value 06h

  // Devices.
  bool hpet = true;
  u32 hpet_address = 0xfed00000;
  bool rtc = true;
  bool ps2_keyboard = true;
  bool ps2_mouse = true;
  bool floppy = false;
  std::vector<u16> serial_ports = {0x3f8};  ///< of 3F8h, 2F8h, 3E8h, 2E8h
  std::vector<u16> parallel_ports = {};     ///< of 378h, 278h
  bool vga = true;
  bool msi = true;     ///< message-signalled interrupts reach the local APICs
  bool fw_cfg = true;  ///< the QEMU firmware configuration device at 510h
};

/// The interrupt of the I/O APIC that a PCI pin arrives at.
inline u8 io_apic_input(const BoardDescription& board, unsigned slot, unsigned pin) {
  const unsigned pirq = board.pirq_wiring(slot, pin);
  if (board.pirq_input != 0) return static_cast<u8>(board.pirq_input + pirq);
  return board.pirq_irq[pirq];
}

/// Splits the RAM size given by the user at the PCI hole, which begins at `limit` at the latest.
inline void split_ram(BoardDescription& board, u64 ram_bytes, u64 limit = kMaxRamBelow4G) {
  board.ram_below_4g = ram_bytes < limit ? ram_bytes : limit;
  board.ram_above_4g = ram_bytes - board.ram_below_4g;
}

}  // namespace dragoman
