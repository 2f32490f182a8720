// One IDE channel of the PIIX3: two drives, the device control register and the bus master.
// Intel 82371SB (PIIX3) datasheet 290550, 2.6; Programming Interface for Bus Master IDE 1.0.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "base/irq_line.h"
#include "base/log.h"
#include "devices/ide/ide_drive.h"
#include "devices/pci/pci_function.h"

namespace dragoman {

struct IdeChannelState {
  std::array<IdeDriveState, 2> drives = {};
  u32 descriptor_table = 0;   ///< BMIDTP
  u8 selected = 0;            ///< DEV
  u8 control = 0;             ///< device control: nIEN, SRST, HOB
  u8 bus_master_command = 0;  ///< BMICOM
  u8 bus_master_status = 0;   ///< BMISTA
  bool line = false;          ///< level of the interrupt request
  std::array<u8, 7> reserved = {};

  static constexpr auto fields() {
    using S = IdeChannelState;
    return std::tuple{Field{"drives", &S::drives},
                      Field{"descriptor_table", &S::descriptor_table},
                      Field{"selected", &S::selected},
                      Field{"control", &S::control},
                      Field{"bus_master_command", &S::bus_master_command},
                      Field{"bus_master_status", &S::bus_master_status},
                      Field{"line", &S::line},
                      Field{"reserved", &S::reserved}};
  }
};

class IdeChannel final : private IdeDriveHost, private IdeDma {
 public:
  IdeChannel(std::string name, IdeChannelState& state, PciFunction& function, IrqLine irq,
             Log& log);

  IdeDriveHost& drive_host() { return *this; }
  void attach(unsigned index, std::unique_ptr<IdeDrive> drive) {
    drives_[index & 1] = std::move(drive);
  }

  u32 read_command_block(unsigned offset, unsigned size);
  void write_command_block(unsigned offset, unsigned size, u32 value);
  u8 read_alternate_status() const;
  void write_control(u8 value);
  u8 read_bus_master(unsigned offset) const;
  void write_bus_master(unsigned offset, u8 value);

  /// Power-on and RESET#.
  void hardware_reset();
  void restored();

 private:
  void interrupt_changed() override;
  void dma_requested() override;
  bool to_memory(std::span<const u8> data) override;
  bool from_memory(std::span<u8> data) override;

  IdeDrive* selected() const { return drives_[state_.selected].get(); }
  u8 read_byte(unsigned offset) const;
  void write_byte(unsigned offset, u8 value);
  void diagnose();
  void start_bus_master();
  void run_bus_master();
  /// Makes sure that bytes are left in the present descriptor; false at the end of the table.
  bool next_descriptor();
  void bus_master_error(std::string_view what);

  std::string name_;
  IdeChannelState& state_;
  PciFunction& function_;
  IrqLine irq_;
  Log& log_;
  std::array<std::unique_ptr<IdeDrive>, 2> drives_;

  // Walk through the descriptor table; only used within one run_bus_master().
  bool running_ = false;
  u32 next_entry_ = 0;
  u32 entries_read_ = 0;
  u32 region_ = 0;
  u32 region_left_ = 0;
  bool last_entry_ = false;
};

}  // namespace dragoman
