// Test device of the PC ("pc-testdev"), the companion of bare-metal test programs: ports and memory
// that echo, and a port for each ISA interrupt line. QEMU, hw/misc/pc-testdev: the register layout.
#pragma once

#include <array>
#include <tuple>

#include "base/irq_line.h"
#include "base/log.h"
#include "devices/device.h"
#include "memory/memory_map.h"
#include "memory/port_map.h"

namespace dragoman {

struct PcTestdevState {
  std::array<u8, 0x10000> memory{};  ///< what the memory range echoes
  u32 data = 0;                      ///< what the ports echo
  u32 lines = 0;                     ///< levels of the interrupt lines, a bit each
  static constexpr auto fields() {
    return std::tuple{Field{"memory", &PcTestdevState::memory},
                      Field{"data", &PcTestdevState::data}, Field{"lines", &PcTestdevState::lines}};
  }
};

/// Ports E0h..E3h hold 32 bits in accesses of any width; E8h..EBh are the same bits reached byte by
/// byte. E4h..E7h takes the physical address of a page that the host is to forget, which changes
/// nothing a guest can see. 2000h + n drives ISA interrupt n: nonzero raises it, zero lowers it.
/// 64 KiB at FF000000h read back what was written.
class PcTestdev final : public StatefulDevice<PcTestdevState>,
                        public PortHandler,
                        private MmioHandler {
 public:
  static constexpr unsigned kIsaLines = 16;
  static constexpr unsigned kLinePorts = 24;
  static constexpr u64 kMemoryBase = 0xff000000;

  enum Bank : unsigned { kData, kForgetPage, kDataBytes, kLines };

  /// Claims its ports and its memory.
  PcTestdev(MemoryMap& memory, PortMap& ports, Log& log, std::array<IrqLine, kIsaLines> lines);

  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;

 protected:
  void restored() override;

 private:
  u64 mmio_read(unsigned bank, u64 offset, unsigned size) override;
  void mmio_write(unsigned bank, u64 offset, unsigned size, u64 value) override;
  void set_line(unsigned number, bool level);

  Log& log_;
  std::array<IrqLine, kIsaLines> lines_;
};

}  // namespace dragoman
