// Test device of the PC.
#include "devices/pc_testdev.h"

#include <algorithm>
#include <cstring>

namespace dragoman {
namespace {

/// The bits an access of `size` bytes at `offset` reaches; those beyond the register do not exist.
u32 reached(u16 offset, unsigned size) {
  const u32 bits = size >= 4 ? 0xffffffff : (1u << 8 * size) - 1;
  return bits << 8 * (offset & 3u);
}

}  // namespace

PcTestdev::PcTestdev(MemoryMap& memory, PortMap& ports, Log& log,
                     std::array<IrqLine, kIsaLines> lines)
    : StatefulDevice("pc-testdev"), log_(log), lines_(lines) {
  ports.add("pc-testdev", Port(0xe0), 4, *this, kData, 4);
  ports.add("pc-testdev-page", Port(0xe4), 4, *this, kForgetPage, 4);
  ports.add("pc-testdev-bytes", Port(0xe8), 4, *this, kDataBytes, 1);
  ports.add("pc-testdev-irq", Port(0x2000), kLinePorts, *this, kLines, 1);
  memory.add_mmio("pc-testdev", PhysicalAddress(kMemoryBase), std::size(state_.memory), *this, 0);
}

void PcTestdev::restored() {
  for (unsigned i = 0; i < kIsaLines; ++i) lines_[i].set((state_.lines >> i) & 1);
}

u32 PcTestdev::port_read(unsigned bank, u16 offset, unsigned size) {
  if (bank != kData && bank != kDataBytes) return 0;
  return (state_.data & reached(offset, size)) >> 8 * (offset & 3u);
}

void PcTestdev::port_write(unsigned bank, u16 offset, unsigned size, u32 value) {
  switch (bank) {
    case kData:
    case kDataBytes: {
      const u32 mask = reached(offset, size);
      state_.data = (state_.data & ~mask) | ((value << 8 * (offset & 3u)) & mask);
      break;
    }
    case kLines:
      set_line(offset, value != 0);
      break;
    default:
      break;
  }
}

void PcTestdev::set_line(unsigned number, bool level) {
  if (number >= kIsaLines) {
    log_.once("pc-testdev-irq", "pc-testdev has no interrupt line {}, only 0 to 15", number);
    return;
  }
  state_.lines = (state_.lines & ~(1u << number)) | (level ? 1u << number : 0);
  lines_[number].set(level);
}

u64 PcTestdev::mmio_read(unsigned, u64 offset, unsigned size) {
  u64 value = 0;
  std::memcpy(&value, &state_.memory[offset], size);
  return value;
}

void PcTestdev::mmio_write(unsigned, u64 offset, unsigned size, u64 value) {
  std::memcpy(&state_.memory[offset], &value, size);
}

}  // namespace dragoman
