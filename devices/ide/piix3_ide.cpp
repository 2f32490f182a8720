#include "devices/ide/piix3_ide.h"

#include "devices/ide/ata_disk.h"

namespace dragoman {
namespace {

constexpr PciIdentity kIdentity{.vendor = 0x8086,
                                .device = 0x7010,
                                .class_code = 0x010180,  // IDE, legacy addresses, bus master
                                .revision = 0,
                                .subsystem_vendor = 0,
                                .subsystem = 0};
constexpr std::array<u16, 2> kCommandPorts = {0x1f0, 0x170};
constexpr std::array<u16, 2> kControlPorts = {0x3f6, 0x376};
constexpr std::array<u8, 2> kTiming = {0x40, 0x42};  // IDETIM
constexpr u8 kSlaveTiming = 0x44;                    // SIDETIM
constexpr u32 kDecodeEnable = 0x8000;

enum Bank : unsigned { kCommandBank = 0, kControlBank = 2, kBusMasterBank = 4 };

DrivePlace drive_place(unsigned device) {
  return (device & 1) == 0 ? DrivePlace::kDevice0 : DrivePlace::kDevice1;
}

}  // namespace

Piix3Ide::Piix3Ide(std::string name, const PciSpaces& spaces, Scheduler& scheduler, Log& log,
                   IrqLine primary, IrqLine secondary)
    : StatefulPciFunction(std::move(name), spaces, kIdentity),
      scheduler_(scheduler),
      log_(log),
      channels_{IdeChannel("ide0", state_.channels[0], *this, primary, log),
                IdeChannel("ide1", state_.channels[1], *this, secondary, log)} {
  define_register(PciRegister::kCommand, 2, 0, 0x0005);  // I/O space and bus master only
  define_register(PciRegister::kStatus, 2, 0x0280, 0);   // medium DEVSEL#, fast back to back
  add_io_bar(4, 16, *this, kBusMasterBank, 4);
  // The PIIX3 hardwires bits 31:16 of BMIBA to zero. PCI 2.1 section 6.2.5.1 lets a function
  // implement them, and SeaBIOS sizes I/O registers on all 32 bits: it would read 4 GiB here.
  for (unsigned i = 0; i < 2; ++i) {
    define_register(kTiming[i], 2, 0, 0xffff);
    command_ranges_[i] = spaces.ports.add(fmt::format("ide{}", i), Port(kCommandPorts[i]), 8, *this,
                                          kCommandBank + i, 4, false);
    control_ranges_[i] = spaces.ports.add(fmt::format("ide{} control", i), Port(kControlPorts[i]),
                                          1, *this, kControlBank + i, 1, false);
  }
  define_register(kSlaveTiming, 1, 0, 0xff);
}

void Piix3Ide::attach_disk(unsigned channel, unsigned device, std::shared_ptr<BlockImage> image,
                           std::string serial) {
  IdeChannel& c = channels_[channel & 1];
  c.attach(device, std::make_unique<AtaDisk>(fmt::format("ide{}.{}", channel & 1, device & 1),
                                             state_.channels[channel & 1].drives[device & 1],
                                             c.drive_host(), scheduler_, log_, drive_place(device),
                                             std::move(image), std::move(serial)));
}

AtapiCdrom& Piix3Ide::attach_cdrom(unsigned channel, unsigned device,
                                   std::shared_ptr<BlockImage> medium, std::string serial) {
  IdeChannel& c = channels_[channel & 1];
  auto drive = std::make_unique<AtapiCdrom>(fmt::format("ide{}.{}", channel & 1, device & 1),
                                            state_.channels[channel & 1].drives[device & 1],
                                            c.drive_host(), scheduler_, log_, drive_place(device),
                                            std::move(medium), std::move(serial));
  AtapiCdrom& cdrom = *drive;
  c.attach(device, std::move(drive));
  return cdrom;
}

void Piix3Ide::reset() {
  StatefulPciFunction::reset();
  for (auto& channel : channels_) channel.hardware_reset();
}

void Piix3Ide::restored() {
  update_decode();
  for (auto& channel : channels_) channel.restored();
}

void Piix3Ide::config_written(u8 /*offset*/, unsigned /*size*/) { update_decode(); }

void Piix3Ide::update_decode() {
  const bool io = (peek_config(PciRegister::kCommand, 2) & 1) != 0;
  for (unsigned i = 0; i < 2; ++i) {
    const bool enabled = io && (peek_config(kTiming[i], 2) & kDecodeEnable) != 0;
    spaces().ports.set_enabled(command_ranges_[i], enabled);
    spaces().ports.set_enabled(control_ranges_[i], enabled);
  }
}

u32 Piix3Ide::port_read(unsigned bank, u16 offset, unsigned size) {
  if (bank < kControlBank) return channels_[bank].read_command_block(offset, size);
  if (bank < kBusMasterBank) return channels_[bank - kControlBank].read_alternate_status();
  u32 value = 0;
  for (unsigned i = 0; i < size; ++i) {
    const unsigned at = offset + i;
    value |= u32{channels_[at >> 3 & 1].read_bus_master(at & 7)} << (8 * i);
  }
  return value;
}

void Piix3Ide::port_write(unsigned bank, u16 offset, unsigned size, u32 value) {
  if (bank < kControlBank) return channels_[bank].write_command_block(offset, size, value);
  if (bank < kBusMasterBank) {
    return channels_[bank - kControlBank].write_control(static_cast<u8>(value));
  }
  for (unsigned i = 0; i < size; ++i) {
    const unsigned at = offset + i;
    channels_[at >> 3 & 1].write_bus_master(at & 7, static_cast<u8>(value >> (8 * i)));
  }
}

}  // namespace dragoman
