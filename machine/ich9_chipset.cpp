// The board `q35`: 82G33 memory controller hub; ICH9 with its LPC bridge and AHCI adapter.
#include <algorithm>

#include "devices/ahci/ahci.h"
#include "devices/i82g33.h"
#include "devices/ich9_lpc.h"
#include "devices/ich9_smbus.h"
#include "devices/spd_eeprom.h"
#include "machine/chipset.h"

namespace dragoman {
namespace {

/// Where the firmware of this board puts memory-mapped configuration space and the chipset's
/// registers: RAM ends below the one, PCI memory begins behind it.
constexpr u32 kConfigurationSpace = 0xb0000000;
constexpr u32 kConfigurationBytes = 0x10000000;
constexpr u32 kRcba = 0xfed1c000;
constexpr u32 kRcbaBytes = 0x4000;

class Ich9Chipset final : public Chipset {
 public:
  explicit Ich9Chipset(const ChipsetParts& parts)
      : pci_(parts.devices.add<PciBus>("pci.0", parts.spaces.ports, Ich9Lpc::wiring)),
        host_bridge_(parts.devices.add<I82g33>(
            "82g33", parts.spaces, pci_, std::min<u64>(parts.ram_bytes, kConfigurationSpace))),
        lpc_(parts.devices.add<Ich9Lpc>(
            "ich9-lpc", parts.spaces, parts.scheduler, parts.pic, parts.ioapic,
            Ich9LpcOutputs{parts.reset, parts.smi, parts.power_off, parts.sleep})),
        ahci_(parts.devices.add<Ahci>("ich9-ahci", parts.spaces, parts.msi, parts.scheduler,
                                      parts.log, true)),
        smbus_(parts.devices.add<Ich9Smbus>("ich9-smbus", parts.spaces)),
        ram_bytes_(parts.ram_bytes) {
    pci_.attach(0, 0, host_bridge_);
    if (parts.usb) {
      usb_ = &parts.devices.add<Uhci>("ich9-usb", parts.spaces, parts.scheduler, parts.log,
                                      Uhci::kIch9, u8{1});
      pci_.attach(29, 0, *usb_);
    }
    pci_.attach(31, 0, lpc_);
    pci_.connect_pirqs(lpc_);
    pci_.attach(31, 2, ahci_);
    smbus_.set_device(parts.devices.add<SpdEeprom>("spd", parts.ram_bytes));
    pci_.attach(31, 3, smbus_);
  }

  PciBus& pci() override { return pci_; }
  unsigned first_free_slot() const override { return 1; }
  IrqLine isa_irq(unsigned irq) override { return lpc_.isa_irq(irq); }
  void set_smm(bool smm) override { host_bridge_.set_smm(smm); }
  void press_power_button() override { lpc_.press_power_button(); }
  Uhci* usb() override { return usb_; }

  void attach_disk(unsigned index, std::shared_ptr<BlockImage> image, std::string serial) override {
    ahci_.attach_disk(index, std::move(image), std::move(serial));
  }
  AtapiCdrom& attach_cdrom(unsigned index, std::shared_ptr<BlockImage> medium,
                           std::string serial) override {
    return ahci_.attach_cdrom(index, std::move(medium), std::move(serial));
  }
  std::string drive_path(unsigned index) const override {
    return fmt::format("ahci@1f,2/drive@{}/disk@0", index);
  }
  std::string isa_path() const override { return "isa@1f"; }

  void describe(BoardDescription& board) const override {
    board.chipset = "Q35 + ICH9";
    split_ram(board, ram_bytes_, kConfigurationSpace);
    board.configuration_space = kConfigurationSpace;
    board.pci_window_first = kConfigurationSpace + kConfigurationBytes;
    board.chipset_registers = kRcba;
    board.chipset_register_bytes = kRcbaBytes;
    board.pirqs = 8;
    board.pirq_wiring = Ich9Lpc::wiring;
    board.pirq_input = 16;
    board.sci_is_inta_of_slot1 = false;
    board.isa_bridge = 0x001f0000;
    board.pm_bytes = 0x80;
    board.working_type = 0;
    board.soft_off_type = Ich9Lpc::kSoftOff;
    board.smbus_base = 0;
    board.gpe0_block = static_cast<u16>(board.pm_base + 0x20);
    board.gpe0_length = 16;
  }

  void set_up(const BoardDescription& board) override {
    host_bridge_.config_write(0x60, 4, kConfigurationSpace | 1);
    for (u8 pam = 0x90; pam <= 0x96; ++pam) {
      host_bridge_.config_write(pam, 1, pam == 0x90 ? 0x30 : 0x33);
    }
    for (u8 i = 0; i < 4; ++i) {
      lpc_.config_write(static_cast<u8>(0x60 + i), 1, board.pirq_irq[i]);
      lpc_.config_write(static_cast<u8>(0x68 + i), 1, board.pirq_irq[i + 4]);
    }
    lpc_.config_write(0x40, 4, board.pm_base | 1u);
    lpc_.config_write(0x44, 1, 0x80);  // SCI on IRQ 9
    lpc_.config_write(0xf0, 4, kRcba | 1);
    smbus_.config_write(0x40, 1, 1);
  }

 private:
  PciBus& pci_;
  I82g33& host_bridge_;
  Ich9Lpc& lpc_;
  Ahci& ahci_;
  Ich9Smbus& smbus_;
  Uhci* usb_ = nullptr;
  u64 ram_bytes_;
};

}  // namespace

std::unique_ptr<Chipset> make_ich9_chipset(const ChipsetParts& parts) {
  return std::make_unique<Ich9Chipset>(parts);
}

}  // namespace dragoman
