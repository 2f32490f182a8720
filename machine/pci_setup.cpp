#include "machine/pci_setup.h"

#include <algorithm>

#include "base/bits.h"

namespace dragoman {
namespace {

constexpr u32 kCommandIo = 1;
constexpr u32 kCommandMemory = 2;
constexpr u32 kCommandMaster = 4;

/// Next free addresses of the windows the ACPI tables describe.
struct Windows {
  u32 io = 0xc000;
  u64 memory;
};

void assign_bars(PciFunction& function, Windows& windows) {
  for (unsigned index = 0; index < 6; ++index) {
    const u8 offset = static_cast<u8>(PciRegister::kBar0 + 4 * index);
    const u32 before = function.config_read(offset, 4);
    function.config_write(offset, 4, 0xffffffff);
    const u32 probe = function.config_read(offset, 4);
    function.config_write(offset, 4, before);
    if (probe == 0) continue;
    if (probe & 1) {
      const u32 size = (~(probe & ~u32{3}) & 0xffff) + 1;
      windows.io = static_cast<u32>(align_up(windows.io, size));
      function.config_write(offset, 4, windows.io);
      windows.io += size;
    } else {
      const u32 size = ~(probe & ~u32{15}) + 1;
      windows.memory = align_up(windows.memory, std::max<u64>(size, kPageSize));
      function.config_write(offset, 4, static_cast<u32>(windows.memory));
      windows.memory += size;
      if ((probe & 6) == 4) {
        function.config_write(static_cast<u8>(offset + 4), 4, 0);
        ++index;
      }
    }
  }
}

}  // namespace

void setup_without_firmware(PciBus& bus, PortMap& ports, const BoardDescription& board) {
  Windows windows;
  windows.memory = std::max<u64>(board.pci_window_first, 0xe0000000);
  for (unsigned slot = 0; slot < 32; ++slot) {
    for (unsigned number = 0; number < 8; ++number) {
      PciFunction* function = bus.function(slot, number);
      if (function == nullptr) continue;
      assign_bars(*function, windows);
      const u32 command = function->config_read(PciRegister::kCommand, 2);
      function->config_write(PciRegister::kCommand, 2,
                             command | kCommandIo | kCommandMemory | kCommandMaster);
      if (const unsigned pin = function->interrupt_pin(); pin != 0) {
        const unsigned pirq = board.pirq_wiring(slot, pin - 1);
        function->config_write(PciRegister::kInterruptLine, 1, board.pirq_irq[pirq]);
      }
    }
  }
  // Keyboard controller: IRQ 1 on, scan codes translated to set 1, mouse off, self-test passed.
  ports.write(Port(0x64), 1, 0x60);
  ports.write(Port(0x60), 1, 0x65);
  // Channel 4 of the DMA pair is the cascade of the first controller.
  ports.write(Port(0xd6), 1, 0xc0);
  ports.write(Port(0xd4), 1, 0x00);
  // PCI interrupts and the SCI are level-triggered (ELCR).
  u16 level = static_cast<u16>(1u << board.sci_irq);
  for (const u8 irq : board.pirq_irq) level = static_cast<u16>(level | 1u << irq);
  ports.write(Port(0x4d0), 1, level & 0xff);
  ports.write(Port(0x4d1), 1, level >> 8);
}

void set_memory_types(MsrState& msr, const BoardDescription& board, unsigned physical_bits) {
  constexpr u64 kUncached = 0x00, kWriteProtected = 0x05, kWriteBack = 0x06;
  constexpr u64 kEightTimes = 0x0101010101010101;
  msr.mtrr_fixed.fill(kWriteProtected * kEightTimes);  // C0000h..FFFFFh
  msr.mtrr_fixed[0] = kWriteBack * kEightTimes;        // 00000h..7FFFFh
  msr.mtrr_fixed[1] = kWriteBack * kEightTimes;        // 80000h..9FFFFh
  msr.mtrr_fixed[2] = kUncached * kEightTimes;         // A0000h..BFFFFh
  const u64 size = (u64{1} << 32) - board.pci_window_first;
  msr.mtrr_variable.fill(0);
  msr.mtrr_variable[0] = board.pci_window_first | kUncached;
  msr.mtrr_variable[1] = (bit(physical_bits) - size) | bit(11);
  msr.mtrr_def_type = bit(11) | bit(10) | kWriteBack;
}

}  // namespace dragoman
