// VGA with the Bochs display extension as a PCI function.
// PCI layout as in QEMU's "Standard VGA" specification.
#include "devices/vga/std_vga.h"

#include <algorithm>
#include <bit>

#include "devices/vga/edid.h"

namespace dragoman {
namespace {
constexpr PciIdentity kIdentity = {
    .vendor = 0x1234, .device = 0x1111, .class_code = 0x030000, .revision = 2};
constexpr u64 kWindowFirst = 0xa0000;
constexpr u64 kWindowBytes = 0x20000;
constexpr u64 kRegisterBytes = 4 * kKiB;
constexpr u32 kCommandIo = 1;
constexpr u32 kCommandMemory = 2;
}  // namespace

StdVga::StdVga(std::string name, const PciSpaces& spaces, Scheduler& scheduler,
               std::span<const u8> rom, u64 memory_bytes)
    : StatefulPciFunction(std::move(name), spaces, kIdentity),
      scheduler_(scheduler),
      log_(spaces.memory.log()),
      pool_(spaces.memory.memory()),
      memory_(pool_.allocate(memory_bytes)),
      memory_bytes_(memory_bytes),
      edid_(make_edid()) {
  DRAGOMAN_ASSERT(std::has_single_bit(memory_bytes) && memory_bytes >= 256 * kKiB);
  add_host_memory_bar(0, memory_bytes_, memory_);
  add_memory_bar(2, kRegisterBytes, *this, kRegisterWindow);
  if (!rom.empty()) {
    const u64 rom_bytes = std::max<u64>(std::bit_ceil(rom.size()), kPageSize);
    u8* copy = pool_.allocate(rom_bytes);
    std::copy(rom.begin(), rom.end(), copy);
    add_rom_bar(rom_bytes, copy);
  }
  const std::string label(this->name());
  legacy_window_ =
      spaces.memory.add_mmio(label + " legacy window", PhysicalAddress(kWindowFirst), kWindowBytes,
                             *this, kLegacyWindow, MemoryMap::kPriorityDevice, false);
  legacy_ports_ = {
      spaces.ports.add(label + " 3b0", Port(0x3b0), 12, *this, kMonochromePorts, 1, false),
      spaces.ports.add(label + " 3c0", Port(0x3c0), 32, *this, kColourPorts, 1, false),
      // The data port is a word at an odd address, so 1D0h belongs to it.
      spaces.ports.add(label + " dispi", Port(0x1ce), 3, *this, kDispiPorts, 2, false)};
  reset();
}

void StdVga::show(const VgaScreen& screen) {
  state_ = screen.registers;
  const u64 bytes = std::min<u64>(screen.memory.size(), memory_bytes_);
  std::copy_n(screen.memory.begin(), bytes, memory_);
  pool_.note_write(pool_.offset_of(memory_), bytes);
  restored();
}

void StdVga::restored() {
  state_.dac_component = static_cast<u8>(state_.dac_component % 3);
  update_legacy_decoding();
}

void StdVga::config_written(u8 offset, unsigned size) {
  if (offset < PciRegister::kStatus && offset + size > PciRegister::kCommand) {
    update_legacy_decoding();
  }
}

void StdVga::update_legacy_decoding() {
  const u32 command = peek_config(PciRegister::kCommand, 2);
  spaces().memory.set_enabled(legacy_window_, (command & kCommandMemory) != 0);
  for (const PortRangeId range : legacy_ports_) {
    spaces().ports.set_enabled(range, (command & kCommandIo) != 0);
  }
}

u64 StdVga::mmio_read(unsigned bank, u64 offset, unsigned size) {
  if (bank == kRegisterWindow) return read_register_window(offset, size);
  u64 value = 0;
  for (unsigned i = 0; i < size; ++i) {
    value |= u64{read_window(static_cast<u32>(offset + i))} << (8 * i);
  }
  return value;
}

void StdVga::mmio_write(unsigned bank, u64 offset, unsigned size, u64 value) {
  if (bank == kRegisterWindow) return write_register_window(offset, size, value);
  for (unsigned i = 0; i < size; ++i) {
    write_window(static_cast<u32>(offset + i), static_cast<u8>(value >> (8 * i)));
  }
}

u32 StdVga::port_read(unsigned bank, u16 offset, unsigned size) {
  switch (bank) {
    case kMonochromePorts:
      return read_register(static_cast<u16>(0x3b0 + offset));
    case kColourPorts:
      return read_register(static_cast<u16>(0x3c0 + offset));
    default:
      if (offset == 0) return state_.dispi_index;
      if (offset == 1) return read_dispi(state_.dispi_index);
      return size == 1 ? read_dispi(state_.dispi_index) >> 8 : 0xffff;
  }
}

void StdVga::port_write(unsigned bank, u16 offset, unsigned, u32 value) {
  switch (bank) {
    case kMonochromePorts:
      write_register(static_cast<u16>(0x3b0 + offset), static_cast<u8>(value));
      break;
    case kColourPorts:
      write_register(static_cast<u16>(0x3c0 + offset), static_cast<u8>(value));
      break;
    default:
      if (offset == 0) state_.dispi_index = static_cast<u16>(value);
      if (offset == 1) write_dispi(state_.dispi_index, static_cast<u16>(value));
      break;
  }
}

}  // namespace dragoman
