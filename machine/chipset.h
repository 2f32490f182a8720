// The part in which boards differ: host bridge, PCI bus, ISA bridge, power management and the disk
// controller that belongs to them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/irq_line.h"
#include "base/log.h"
#include "base/scheduler.h"
#include "bios/board_description.h"
#include "devices/block_image.h"
#include "devices/ide/atapi_cdrom.h"
#include "devices/pci/msi_sink.h"
#include "devices/pci/pci_bus.h"
#include "devices/usb/uhci.h"
#include "machine/config.h"
#include "machine/device_list.h"

namespace dragoman {

/// What a chipset is built from and into.
struct ChipsetParts {
  DeviceList& devices;
  const PciSpaces& spaces;
  MsiSink& msi;
  Scheduler& scheduler;
  Log& log;
  u64 ram_bytes;
  bool usb;  ///< with the USB controller
  IrqSink& pic;
  IrqSink& ioapic;
  std::function<void(bool hard)> reset;  ///< true: the whole board, false: INIT
  std::function<void()> smi;
  std::function<void()> power_off;
  std::function<void(unsigned type)> sleep;
};

class Chipset {
 public:
  virtual ~Chipset() = default;

  virtual PciBus& pci() = 0;
  /// First PCI slot for devices that are added.
  virtual unsigned first_free_slot() const = 0;
  /// Wire for an ISA device.
  virtual IrqLine isa_irq(unsigned irq) = 0;
  /// The processor entered or left SMM.
  virtual void set_smm(bool smm) = 0;
  virtual void press_power_button() = 0;
  /// Null without one.
  virtual Uhci* usb() = 0;

  /// Drives of if=ide, by their index (see ide_units_per_bus()). Before the first reset.
  virtual void attach_disk(unsigned index, std::shared_ptr<BlockImage> image,
                           std::string serial) = 0;
  virtual AtapiCdrom& attach_cdrom(unsigned index, std::shared_ptr<BlockImage> medium,
                                   std::string serial) = 0;
  /// Open Firmware paths below the PCI bus: of such a drive, of the ISA bus.
  virtual std::string drive_path(unsigned index) const = 0;
  virtual std::string isa_path() const = 0;

  /// What the firmware tables say about these chips.
  virtual void describe(BoardDescription& board) const = 0;
  /// What firmware would have done to them after a reset: shows RAM in C0000h..FFFFFh, routes
  /// PIRQs, opens the port blocks that describe() promises.
  virtual void set_up(const BoardDescription& board) = 0;
};

std::unique_ptr<Chipset> make_piix_chipset(const ChipsetParts& parts);
std::unique_ptr<Chipset> make_ich9_chipset(const ChipsetParts& parts);
std::unique_ptr<Chipset> make_chipset(BoardType type, const ChipsetParts& parts);

}  // namespace dragoman
