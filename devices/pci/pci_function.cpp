#include "devices/pci/pci_function.h"

#include "base/assert.h"
#include "base/bits.h"

namespace dragoman {
namespace {
constexpr int kPciPriority = MemoryMap::kPriorityRam - 1;
constexpr u32 kCommandIo = 1;
constexpr u32 kCommandMemory = 2;
constexpr u32 kCommandIntxDisable = 0x400;
constexpr u8 kStatusInterrupt = 8;      // low byte of the status register
constexpr u8 kStatusCapabilities = 16;  // low byte of the status register
}  // namespace

PciFunction::PciFunction(std::string name, const PciSpaces& spaces, const PciIdentity& identity)
    : name_(std::move(name)), spaces_(spaces) {
  define_register(PciRegister::kVendor, 2, identity.vendor, 0);
  define_register(PciRegister::kDevice, 2, identity.device, 0);
  // I/O, memory, bus master, parity response, SERR#, interrupt disable.
  define_register(PciRegister::kCommand, 2, 0, 0x0547);
  define_register(PciRegister::kStatus, 2, 0, 0);
  define_write_one_to_clear(PciRegister::kStatus, 2, 0xf900);
  define_register(PciRegister::kRevision, 1, identity.revision, 0);
  define_register(PciRegister::kClass, 1, identity.class_code & 0xff, 0);
  define_register(PciRegister::kClass + 1, 2, identity.class_code >> 8, 0);
  define_register(0x0c, 2, 0, 0xffff);  // cache line size, latency timer
  define_register(PciRegister::kHeaderType, 1, identity.multifunction ? 0x80 : 0, 0);
  define_register(PciRegister::kSubsystemVendor, 2, identity.subsystem_vendor, 0);
  define_register(PciRegister::kSubsystem, 2, identity.subsystem, 0);
  define_register(PciRegister::kInterruptLine, 1, 0, 0xff);
  define_register(PciRegister::kInterruptPin, 1, identity.interrupt_pin, 0);
  config_.bytes = defaults_;
}

void PciFunction::define_register(u8 offset, unsigned size, u32 power_on, u32 writable) {
  DRAGOMAN_ASSERT(offset + size <= 256);
  for (unsigned i = 0; i < size; ++i) {
    defaults_[offset + i] = static_cast<u8>(power_on >> (8 * i));
    writable_[offset + i] = static_cast<u8>(writable >> (8 * i));
    config_.bytes[offset + i] = defaults_[offset + i];
  }
}

void PciFunction::define_write_one_to_clear(u8 offset, unsigned size, u32 mask) {
  DRAGOMAN_ASSERT(offset + size <= 256);
  for (unsigned i = 0; i < size; ++i) {
    write_one_to_clear_[offset + i] = static_cast<u8>(mask >> (8 * i));
  }
}

void PciFunction::define_bar(unsigned index, Bar::Kind kind, u64 size, u32 type_bits,
                             bool is_64bit) {
  DRAGOMAN_ASSERT(index <= kRomBar && bars_[index].kind == Bar::kNone);
  DRAGOMAN_ASSERT(size != 0 && (size & (size - 1)) == 0);
  DRAGOMAN_ASSERT(!is_64bit || index + 1 < kRomBar);
  bars_[index].kind = kind;
  bars_[index].is_64bit = is_64bit;
  bars_[index].size = size;
  const u64 mask = ~(size - 1);
  const u32 enable = kind == Bar::kRom ? 1 : 0;
  define_register(bar_offset(index), 4, type_bits, static_cast<u32>(mask) | enable);
  if (is_64bit) define_register(bar_offset(index + 1), 4, 0, static_cast<u32>(mask >> 32));
}

void PciFunction::add_io_bar(unsigned index, u32 size, PortHandler& handler, unsigned bank,
                             unsigned widest) {
  DRAGOMAN_ASSERT(size >= 4 && size <= 256);
  define_bar(index, Bar::kIo, size, 1, false);
  bars_[index].range = spaces_.ports.add(name_ + fmt::format(" bar {}", index), Port(0),
                                         static_cast<u16>(size), handler, bank, widest, false);
}

void PciFunction::add_memory_bar(unsigned index, u64 size, MmioHandler& handler, unsigned bank,
                                 bool prefetchable, bool is_64bit) {
  DRAGOMAN_ASSERT(size >= 16);
  define_bar(index, Bar::kMemory, size, (prefetchable ? 8 : 0) | (is_64bit ? 4 : 0), is_64bit);
  bars_[index].range =
      spaces_.memory.add_mmio(name_ + fmt::format(" bar {}", index), PhysicalAddress(0), size,
                              handler, bank, kPciPriority, false);
}

void PciFunction::add_host_memory_bar(unsigned index, u64 size, u8* host) {
  DRAGOMAN_ASSERT(size >= kPageSize);
  define_bar(index, Bar::kMemory, size, 8, false);
  bars_[index].range =
      spaces_.memory.add_memory(name_ + fmt::format(" bar {}", index), PhysicalAddress(0), size,
                                host, true, true, kPciPriority);
  spaces_.memory.set_enabled(bars_[index].range, false);
}

void PciFunction::add_rom_bar(u64 size, u8* host) {
  DRAGOMAN_ASSERT(size >= 2 * kKiB);
  define_bar(kRomBar, Bar::kRom, size, 0, false);
  bars_[kRomBar].range = spaces_.memory.add_memory(name_ + " rom", PhysicalAddress(0), size, host,
                                                   true, false, kPciPriority);
  spaces_.memory.set_enabled(bars_[kRomBar].range, false);
}

u8 PciFunction::add_capability(u8 id, u8 size) {
  const unsigned offset = next_capability_;
  next_capability_ = static_cast<unsigned>(align_up(offset + size, 4));
  DRAGOMAN_ASSERT(size >= 2 && next_capability_ <= 256);
  define_register(static_cast<u8>(offset), 1, id, 0);
  define_register(static_cast<u8>(offset + 1), 1, defaults_[PciRegister::kCapabilities], 0);
  define_register(PciRegister::kCapabilities, 1, static_cast<u32>(offset), 0);
  defaults_[PciRegister::kStatus] |= kStatusCapabilities;
  config_.bytes[PciRegister::kStatus] |= kStatusCapabilities;
  return static_cast<u8>(offset);
}

u32 PciFunction::peek_config(u8 offset, unsigned size) const {
  u32 value = 0;
  for (unsigned i = 0; i < size && offset + i < 256; ++i) {
    value |= u32{config_.bytes[offset + i]} << (8 * i);
  }
  return value;
}

void PciFunction::poke_config(u8 offset, unsigned size, u32 value) {
  for (unsigned i = 0; i < size && offset + i < 256; ++i) {
    config_.bytes[offset + i] = static_cast<u8>(value >> (8 * i));
  }
}

u32 PciFunction::config_read(u8 offset, unsigned size) {
  return config_read_hook(offset, size, peek_config(offset, size));
}

void PciFunction::config_write(u8 offset, unsigned size, u32 value) {
  for (unsigned i = 0; i < size && offset + i < 256; ++i) {
    const u8 written = static_cast<u8>(value >> (8 * i));
    const u8 mask = writable_[offset + i];
    u8& byte = config_.bytes[offset + i];
    byte = static_cast<u8>((byte & ~mask) | (written & mask));
    byte &= static_cast<u8>(~(written & write_one_to_clear_[offset + i]));
  }
  const bool command = offset < PciRegister::kStatus && offset + size > PciRegister::kCommand;
  const bool bars = offset < 0x28 && offset + size > PciRegister::kBar0;
  const bool rom = offset < PciRegister::kCapabilities && offset + size > PciRegister::kRom;
  if (command || bars || rom) update_mappings();
  if (command) drive_intx();
  config_written(offset, size);
}

std::vector<PciFunction::Region> PciFunction::regions() const {
  const u32 command = peek_config(PciRegister::kCommand, 2);
  std::vector<Region> found;
  for (unsigned index = 0; index < bars_.size(); ++index) {
    const Bar& bar = bars_[index];
    if (bar.kind == Bar::kNone) continue;
    const u32 low = peek_config(bar_offset(index), 4);
    Region r{index, bar.kind == Bar::kIo, false, bar.is_64bit, bar.size, 0, false};
    if (r.io) {
      r.address = low & ~3u;
      // Ports are 16 bits wide; 0 is the reset value and all ones the sizing pattern.
      r.decoded = (command & kCommandIo) && r.address != 0 && r.address + bar.size <= 0x10000;
    } else {
      r.address = low & (bar.kind == Bar::kRom ? ~u32{0x7ff} : ~u32{0xf});
      r.prefetchable = bar.kind == Bar::kMemory && (low & 8) != 0;
      if (bar.is_64bit) r.address |= u64{peek_config(bar_offset(index + 1), 4)} << 32;
      // Address 0 is the reset value; a range that ends at 4 GiB is the sizing pattern.
      const u64 limit = bar.is_64bit ? bit(52) : bit(32) - 1;
      r.decoded = (command & kCommandMemory) && r.address != 0 && r.address <= limit &&
                  bar.size <= limit - r.address;
      if (bar.kind == Bar::kRom && !(low & 1)) r.decoded = false;
    }
    found.push_back(r);
  }
  return found;
}

void PciFunction::update_mappings() {
  for (const Region& r : regions()) {
    const u32 range = bars_[r.bar].range;
    if (r.io) {
      if (r.decoded) spaces_.ports.move(range, Port(static_cast<u16>(r.address)));
      spaces_.ports.set_enabled(range, r.decoded);
    } else {
      if (r.decoded) spaces_.memory.move(range, PhysicalAddress(r.address));
      spaces_.memory.set_enabled(range, r.decoded);
    }
  }
}

void PciFunction::connect_intx(IrqLine line) {
  intx_line_ = line;
  drive_intx();
}

void PciFunction::set_intx(bool level) {
  u8& status = config_.bytes[PciRegister::kStatus];
  status = static_cast<u8>(level ? status | kStatusInterrupt : status & ~kStatusInterrupt);
  drive_intx();
}

void PciFunction::drive_intx() const {
  const bool disabled = (peek_config(PciRegister::kCommand, 2) & kCommandIntxDisable) != 0;
  intx_line_.set(intx() && !disabled);
}

void PciFunction::reset_config() {
  config_.bytes = defaults_;
  update_mappings();
  drive_intx();
}

Result<void> PciFunction::load_config(std::span<const u8>& in) {
  PciConfigState loaded{};
  if (auto result = load_fields(loaded, in); !result) return result;
  config_ = loaded;
  // The header's fixed bits cannot come from a (perhaps damaged) saved state. Status bits and
  // chip-specific registers above the header may have been changed by the function itself.
  for (unsigned i = 0; i < 0x40; ++i) {
    u8 own = static_cast<u8>(writable_[i] | write_one_to_clear_[i]);
    if (i == PciRegister::kStatus) own |= kStatusInterrupt;
    config_.bytes[i] = static_cast<u8>((config_.bytes[i] & own) | (defaults_[i] & ~own));
  }
  update_mappings();
  drive_intx();
  return {};
}

void PciFunction::reset() {
  reset_config();
  restored();
}

Result<void> PciFunction::load(std::span<const u8>& in) {
  if (auto result = load_config(in); !result) return result;
  restored();
  return {};
}

std::string PciFunction::print() const {
  std::string text;
  for (unsigned row = 0; row < 256; row += 16) {
    text += fmt::format("config {:02x}:", row);
    for (unsigned i = 0; i < 16; ++i) text += fmt::format(" {:02x}", config_.bytes[row + i]);
    text += "\n";
  }
  return text;
}

}  // namespace dragoman
