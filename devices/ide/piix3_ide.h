// PIIX3 IDE function (8086:7010): two channels at the legacy addresses and a bus master.
// Intel 82371SB (PIIX3) datasheet 290550, 2.5 and 2.6.
#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "base/scheduler.h"
#include "devices/block_image.h"
#include "devices/ide/atapi_cdrom.h"
#include "devices/ide/ide_channel.h"
#include "devices/pci/pci_function.h"

namespace dragoman {

struct Piix3IdeState {
  std::array<IdeChannelState, 2> channels = {};
  static constexpr auto fields() { return std::tuple{Field{"channels", &Piix3IdeState::channels}}; }
};

/// Function 1 of the PIIX3. Ports 1F0h-1F7h and 3F6h (IRQ 14), 170h-177h and 376h (IRQ 15) are
/// decoded while command bit 0 and bit 15 of the channel's IDETIM (40h, 42h) are set, which is
/// the firmware's work; a board that boots without firmware has to write both. BAR 4 holds the
/// bus master registers. Timing values are stored and have no effect.
///
/// Interrupts and the end of BSY come kIdeCompletionDelayNs of virtual time after the data moved.
class Piix3Ide final : public StatefulPciFunction<Piix3IdeState>, private PortHandler {
 public:
  Piix3Ide(std::string name, const PciSpaces& spaces, Scheduler& scheduler, Log& log,
           IrqLine primary, IrqLine secondary);

  /// Attach drives before reset(). `channel` and `device` are 0 or 1. A disk needs an image; the
  /// CD-ROM drive may start empty. `serial` is at most 20 characters.
  void attach_disk(unsigned channel, unsigned device, std::shared_ptr<BlockImage> image,
                   std::string serial);
  AtapiCdrom& attach_cdrom(unsigned channel, unsigned device, std::shared_ptr<BlockImage> medium,
                           std::string serial);

  void reset() override;

 private:
  void config_written(u8 offset, unsigned size) override;
  void restored() override;
  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;
  void update_decode();

  Scheduler& scheduler_;
  Log& log_;
  std::array<IdeChannel, 2> channels_;
  std::array<PortRangeId, 2> command_ranges_{};
  std::array<PortRangeId, 2> control_ranges_{};
};

}  // namespace dragoman
