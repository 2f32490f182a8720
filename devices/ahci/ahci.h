// AHCI host bus adapter of the ICH9 (82801IR, 8086:2922): six Serial ATA ports. Serial ATA
// AHCI 1.3.1, chapter 3; Intel I/O Controller Hub 9 datasheet (316972), chapter 15.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/scheduler.h"
#include "devices/ahci/ahci_port.h"
#include "devices/block_image.h"
#include "devices/ide/atapi_cdrom.h"
#include "devices/pci/msi.h"
#include "devices/pci/pci_function.h"

namespace dragoman {

struct AhciState {
  static constexpr unsigned kPorts = 6;
  std::array<AhciPortState, kPorts> ports = {};
  u32 interrupts = 0;             ///< IS
  bool interrupt_enable = false;  ///< GHC.IE
  std::array<u8, 3> reserved = {};

  static constexpr auto fields() {
    using S = AhciState;
    return std::tuple{Field{"ports", &S::ports}, Field{"interrupts", &S::interrupts},
                      Field{"interrupt_enable", &S::interrupt_enable},
                      Field{"reserved", &S::reserved}};
  }
};

/// BAR 5 holds the registers. The adapter has only its AHCI face: CAP.SAM is set, GHC.AE is always
/// on, and there are no task file ports. 32 commands a port, native command queueing, 64-bit
/// addresses. A device's status comes kIdeCompletionDelayNs after the data moved.
class Ahci final : public StatefulPciFunction<AhciState>, private MmioHandler, private AhciHost {
 public:
  static constexpr unsigned kPorts = AhciState::kPorts;

  Ahci(std::string name, const PciSpaces& spaces, MsiSink& msi, Scheduler& scheduler, Log& log,
       bool multifunction = false);

  /// Attach drives before reset(). A disk needs an image; the CD-ROM drive may start empty.
  /// `serial` is at most 20 characters.
  void attach_disk(unsigned port, std::shared_ptr<BlockImage> image, std::string serial);
  AtapiCdrom& attach_cdrom(unsigned port, std::shared_ptr<BlockImage> medium, std::string serial);

  void reset() override;

 private:
  void config_written(u8 offset, unsigned size) override;
  void restored() override;
  u64 mmio_read(unsigned bank, u64 offset, unsigned size) override;
  void mmio_write(unsigned bank, u64 offset, unsigned size, u64 value) override;

  MemoryMap& memory() override { return spaces().memory; }
  bool may_master() const override { return bus_master(); }
  void port_interrupt_changed() override;
  bool enter() override;
  void leave() override { inside_ = false; }

  u32 read_register(u32 offset) const;
  void write_register(u32 offset, u32 value, u32 mask);
  void hba_reset();

  Scheduler& scheduler_;
  Log& log_;
  Msi msi_;
  std::vector<std::unique_ptr<AhciPort>> ports_;
  bool inside_ = false;
};

}  // namespace dragoman
