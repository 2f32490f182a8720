// The board `pc`: i440FX host bridge; PIIX3 with its IDE function; PIIX4 power management.
#include <algorithm>

#include "devices/i440fx.h"
#include "devices/ide/piix3_ide.h"
#include "devices/piix3.h"
#include "devices/piix4_pm.h"
#include "devices/spd_eeprom.h"
#include "machine/chipset.h"

namespace dragoman {
namespace {

class PiixChipset final : public Chipset {
 public:
  explicit PiixChipset(const ChipsetParts& parts)
      : pci_(parts.devices.add<PciBus>("pci.0", parts.spaces.ports)),
        host_bridge_(parts.devices.add<I440fx>("i440fx", parts.spaces,
                                               std::min<u64>(parts.ram_bytes, kMaxRamBelow4G))),
        isa_bridge_(
            parts.devices.add<Piix3>("piix3", parts.spaces, parts.pic, parts.ioapic, parts.reset)),
        ide_(parts.devices.add<Piix3Ide>("piix3-ide", parts.spaces, parts.scheduler, parts.log,
                                         isa_bridge_.isa_irq(14), isa_bridge_.isa_irq(15))),
        pm_(parts.devices.add<Piix4Pm>("piix4-pm", parts.spaces, parts.scheduler,
                                       Piix4PmOutputs{IrqLine(isa_bridge_, Piix3::kSci), parts.smi,
                                                      parts.power_off, parts.sleep})) {
    pm_.set_smbus_device(parts.devices.add<SpdEeprom>("spd", parts.ram_bytes));
    pci_.attach(0, 0, host_bridge_);
    pci_.attach(1, 0, isa_bridge_);
    pci_.connect_pirqs(isa_bridge_);
    pci_.attach(1, 1, ide_);
    if (parts.usb) {
      usb_ = &parts.devices.add<Uhci>("piix3-usb", parts.spaces, parts.scheduler, parts.log,
                                      Uhci::kPiix3, u8{4});
      pci_.attach(1, 2, *usb_);
    }
    pci_.attach(1, 3, pm_);
  }

  PciBus& pci() override { return pci_; }
  unsigned first_free_slot() const override { return 2; }
  IrqLine isa_irq(unsigned irq) override { return isa_bridge_.isa_irq(irq); }
  void set_smm(bool smm) override { host_bridge_.set_smm(smm); }
  void press_power_button() override { pm_.press_power_button(); }
  Uhci* usb() override { return usb_; }

  void attach_disk(unsigned index, std::shared_ptr<BlockImage> image, std::string serial) override {
    ide_.attach_disk(index / 2, index % 2, std::move(image), std::move(serial));
  }
  AtapiCdrom& attach_cdrom(unsigned index, std::shared_ptr<BlockImage> medium,
                           std::string serial) override {
    return ide_.attach_cdrom(index / 2, index % 2, std::move(medium), std::move(serial));
  }
  std::string drive_path(unsigned index) const override {
    return fmt::format("ide@1,1/drive@{}/disk@{}", index / 2, index % 2);
  }
  std::string isa_path() const override { return "isa@1"; }

  void describe(BoardDescription& board) const override {
    board.gpe0_block = Piix4Pm::kGpePort;
    board.gpe0_length = 4;
  }

  void set_up(const BoardDescription& board) override {
    for (u8 pam = 0x59; pam <= 0x5f; ++pam) {
      host_bridge_.config_write(pam, 1, pam == 0x59 ? 0x30 : 0x33);
    }
    for (u8 i = 0; i < 4; ++i) {
      isa_bridge_.config_write(static_cast<u8>(0x60 + i), 1, board.pirq_irq[i]);
    }
    ide_.config_write(0x40, 2, 0x8000);
    ide_.config_write(0x42, 2, 0x8000);
    pm_.config_write(0x40, 4, board.pm_base | 1u);
    pm_.config_write(0x80, 1, 1);
    pm_.config_write(PciRegister::kInterruptLine, 1, board.sci_irq);
    pm_.config_write(0x90, 4, board.smbus_base | 1u);
    pm_.config_write(0xd2, 1, 9);  // SMBus host enabled, IRQ 9
  }

 private:
  PciBus& pci_;
  I440fx& host_bridge_;
  Piix3& isa_bridge_;
  Piix3Ide& ide_;
  Piix4Pm& pm_;
  Uhci* usb_ = nullptr;
};

}  // namespace

std::unique_ptr<Chipset> make_piix_chipset(const ChipsetParts& parts) {
  return std::make_unique<PiixChipset>(parts);
}

std::unique_ptr<Chipset> make_chipset(BoardType type, const ChipsetParts& parts) {
  return type == BoardType::kQ35 ? make_ich9_chipset(parts) : make_piix_chipset(parts);
}

}  // namespace dragoman
