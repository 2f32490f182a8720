#include "devices/ahci/ahci.h"

#include <utility>

#include "base/bits.h"
#include "devices/ide/ata_disk.h"

namespace dragoman {
namespace {

constexpr PciIdentity kIdentity{.vendor = 0x8086,
                                .device = 0x2922,
                                .class_code = 0x010601,  // Serial ATA, AHCI 1.0
                                .revision = 2,
                                .interrupt_pin = 1};
constexpr u64 kAbarBytes = 0x800;
constexpr u8 kMap = 0x90;  // MAP: SMS, bits 7:6
constexpr u8 kPcs = 0x92;  // PCS: port enable and presence

// Generic host control (AHCI 1.3.1, 3.1).
enum Register : u32 {
  kCap = 0x00,
  kGhc = 0x04,
  kIs = 0x08,
  kPi = 0x0c,
  kVs = 0x10,
  kPort0 = 0x100
};
constexpr u32 kPortMask = (1u << Ahci::kPorts) - 1;
/// 64-bit addresses, queueing, PxCMD.CLO, generation 2, AHCI only, 32 slots.
constexpr u32 kCapabilities =
    1u << 31 | 1u << 30 | 1u << 24 | 2u << 20 | 1u << 18 | 31u << 8 | (Ahci::kPorts - 1);
constexpr u32 kVersion = 0x00010200;  // what the ICH9 says; CAP2 and BOHC came with 1.2, as zero
constexpr u32 kHbaReset = 1u << 0;
constexpr u32 kInterruptEnable = 1u << 1;
constexpr u32 kAhciEnable = 1u << 31;

}  // namespace

Ahci::Ahci(std::string name, const PciSpaces& spaces, MsiSink& msi, Scheduler& scheduler, Log& log,
           bool multifunction)
    : StatefulPciFunction(std::move(name), spaces,
                          [&] {
                            PciIdentity identity = kIdentity;
                            identity.multifunction = multifunction;
                            return identity;
                          }()),
      scheduler_(scheduler),
      log_(log),
      msi_(*this, msi) {
  define_register(PciRegister::kStatus, 2, 0x0290, 0);  // with a list of capabilities
  add_memory_bar(5, kAbarBytes, *this, 0);
  define_register(kMap, 1, 0x40, 0);
  for (unsigned i = 0; i < kPorts; ++i) {
    ports_.push_back(std::make_unique<AhciPort>(fmt::format("{}.{}", this->name(), i),
                                                state_.ports[i], static_cast<AhciHost&>(*this),
                                                log));
  }
  define_register(kPcs, 2, 0x8000, kPortMask);
}

void Ahci::attach_disk(unsigned port, std::shared_ptr<BlockImage> image, std::string serial) {
  AhciPort& p = *ports_.at(port);
  p.attach(std::make_unique<AtaDisk>(fmt::format("{}.{}", name(), port), state_.ports[port].drive,
                                     p.drive_host(), scheduler_, log_, DrivePlace::kSata,
                                     std::move(image), std::move(serial)));
}

AtapiCdrom& Ahci::attach_cdrom(unsigned port, std::shared_ptr<BlockImage> medium,
                               std::string serial) {
  AhciPort& p = *ports_.at(port);
  auto drive = std::make_unique<AtapiCdrom>(
      fmt::format("{}.{}", name(), port), state_.ports[port].drive, p.drive_host(), scheduler_,
      log_, DrivePlace::kSata, std::move(medium), std::move(serial));
  AtapiCdrom& cdrom = *drive;
  p.attach(std::move(drive));
  return cdrom;
}

void Ahci::reset() {
  StatefulPciFunction::reset();
  for (auto& port : ports_) port->reset(true);
  port_interrupt_changed();
}

void Ahci::restored() {
  for (auto& port : ports_) port->restored();
  state_.interrupts &= kPortMask;
  port_interrupt_changed();
}

bool Ahci::enter() { return !std::exchange(inside_, true); }

void Ahci::config_written(u8 offset, unsigned /*size*/) {
  port_interrupt_changed();  // by the pin or by messages
  if (offset >= PciRegister::kStatus || !enter()) return;
  for (auto& port : ports_) port->kick();
  leave();
  port_interrupt_changed();
}

/// IS collects ports whose PxIS and PxIE meet, until software clears it (10.7.2). The pin follows
/// it; a message is sent for each port that comes.
void Ahci::port_interrupt_changed() {
  const u32 before = state_.interrupts;
  for (unsigned i = 0; i < kPorts; ++i) {
    if (ports_[i]->interrupting()) state_.interrupts |= 1u << i;
  }
  set_intx(state_.interrupt_enable && state_.interrupts != 0 && !msi_.enabled());
  if (state_.interrupt_enable && (state_.interrupts & ~before) != 0) msi_.notify();
}

u32 Ahci::read_register(u32 offset) const {
  if (offset >= kPort0) {
    const u32 port = (offset - kPort0) / AhciPort::kRegisterBytes;
    return port < kPorts ? ports_[port]->read(offset % AhciPort::kRegisterBytes) : 0;
  }
  switch (offset) {
    case kCap:
      return kCapabilities;
    case kGhc:
      return kAhciEnable | (state_.interrupt_enable ? kInterruptEnable : 0);
    case kIs:
      return state_.interrupts;
    case kPi:
      return kPortMask;
    case kVs:
      return kVersion;
    default:
      return 0;  // no command completion coalescing, no enclosure management
  }
}

void Ahci::write_register(u32 offset, u32 value, u32 mask) {
  if (offset >= kPort0) {
    const u32 port = (offset - kPort0) / AhciPort::kRegisterBytes;
    if (port < kPorts) ports_[port]->write(offset % AhciPort::kRegisterBytes, value, mask);
    return;
  }
  if (offset == kGhc) {
    if (value & mask & kHbaReset) return hba_reset();
    const bool before = state_.interrupt_enable;
    if (mask & kInterruptEnable) state_.interrupt_enable = (value & kInterruptEnable) != 0;
    if (state_.interrupt_enable && !before && state_.interrupts != 0) msi_.notify();
  } else if (offset == kIs) {
    state_.interrupts &= ~(value & mask);
  }
  port_interrupt_changed();
}

/// 10.4.3: everything but what the firmware has set up.
void Ahci::hba_reset() {
  state_.interrupt_enable = false;
  state_.interrupts = 0;
  for (auto& port : ports_) port->reset(false);
  port_interrupt_changed();
}

u64 Ahci::mmio_read(unsigned /*bank*/, u64 offset, unsigned size) {
  u64 value = 0;
  for (unsigned i = 0; i < size; ++i) {
    const u32 at = static_cast<u32>(offset + i);
    value |= u64{read_register(at & ~3u) >> (8 * (at & 3)) & 0xff} << (8 * i);
  }
  return value;
}

void Ahci::mmio_write(unsigned /*bank*/, u64 offset, unsigned size, u64 value) {
  if (!enter()) {
    log_.write(LogCategory::kGuestErrors, "{}: a command moves data into the registers", name());
    return;
  }
  for (unsigned done = 0; done < size;) {
    const u32 at = static_cast<u32>(offset + done);
    const unsigned shift = 8 * (at & 3);
    const unsigned n = std::min(size - done, 4 - (at & 3));
    const u32 mask = static_cast<u32>(size_mask(n)) << shift;
    write_register(at & ~3u, static_cast<u32>(value >> (8 * done)) << shift, mask);
    done += n;
  }
  leave();
}

}  // namespace dragoman
