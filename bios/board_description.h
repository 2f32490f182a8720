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

struct BoardDescription {
  std::string name = "Dragoman PC";
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
  /// ISA interrupts that PIRQA..PIRQD are routed to at start (PIIX3 registers 60h..63h).
  std::array<u8, 4> pirq_irq = {10, 10, 11, 11};

  // Power management (PIIX4 function 3).
  u16 pm_base = 0x600;
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

/// Splits the RAM size given by the user at the PCI hole.
inline void split_ram(BoardDescription& board, u64 ram_bytes) {
  board.ram_below_4g = ram_bytes < kMaxRamBelow4G ? ram_bytes : kMaxRamBelow4G;
  board.ram_above_4g = ram_bytes - board.ram_below_4g;
}

/// PIRQ (0..3 for A..D) that pin `pin` (0..3 for INTA#..INTD#) of PCI slot `slot` is wired to on
/// an i440FX/PIIX3 board.
constexpr unsigned pirq_of_slot(unsigned slot, unsigned pin) { return (slot + pin + 3) & 3; }

}  // namespace dragoman
