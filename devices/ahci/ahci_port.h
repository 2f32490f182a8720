// One port of an AHCI host bus adapter with the Serial ATA device behind it: command list, received
// FISes, physical region descriptors. Serial ATA AHCI 1.3.1, chapters 3.3, 4, 5 and 6; FIS layouts
// after Serial ATA 3.0, 10.3.
#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "devices/ide/ide_drive.h"
#include "memory/memory_map.h"

namespace dragoman {

struct AhciPortState {
  IdeDriveState drive = {};
  u64 command_list = 0;  ///< PxCLB, PxCLBU
  u64 received_fis = 0;  ///< PxFB, PxFBU
  u64 table = 0;         ///< command table of the command under way
  u32 interrupts = 0;    ///< PxIS without the bits that mirror PxSERR
  u32 interrupt_enable = 0;
  u32 command = 0;       ///< PxCMD: ST, FRE and what is only stored
  u32 task_file = 0x7f;  ///< PxTFD
  u32 signature = ~u32{0};
  u32 link_status = 0;   ///< PxSSTS
  u32 link_control = 0;  ///< PxSCTL
  u32 link_error = 0;    ///< PxSERR
  u32 active = 0;        ///< PxSACT
  u32 issued = 0;        ///< PxCI
  u32 region_used = 0;   ///< bytes used of the present region
  u32 moved = 0;         ///< bytes moved for the command under way (PRDBC)
  u16 regions = 0;       ///< entries of its descriptor table
  u16 region = 0;        ///< the present one
  u8 slot = 31;          ///< of the command under way, else of the last one; 31 at the start
  bool busy = false;     ///< a command is with the device
  bool packet = false;   ///< it brings an ATAPI command
  bool queued = false;   ///< it is READ or WRITE FPDMA QUEUED
  bool halted = false;   ///< an error was reported; waits until ST is cleared
  bool srst = false;     ///< the device is in software reset
  bool awaits_signature = false;  ///< the next FIS ends a reset
  std::array<u8, 5> reserved = {};

  static constexpr auto fields() {
    using S = AhciPortState;
    return std::tuple{Field{"drive", &S::drive},
                      Field{"command_list", &S::command_list},
                      Field{"received_fis", &S::received_fis},
                      Field{"table", &S::table},
                      Field{"interrupts", &S::interrupts},
                      Field{"interrupt_enable", &S::interrupt_enable},
                      Field{"command", &S::command},
                      Field{"task_file", &S::task_file},
                      Field{"signature", &S::signature},
                      Field{"link_status", &S::link_status},
                      Field{"link_control", &S::link_control},
                      Field{"link_error", &S::link_error},
                      Field{"active", &S::active},
                      Field{"issued", &S::issued},
                      Field{"region_used", &S::region_used},
                      Field{"moved", &S::moved},
                      Field{"regions", &S::regions},
                      Field{"region", &S::region},
                      Field{"slot", &S::slot},
                      Field{"busy", &S::busy},
                      Field{"packet", &S::packet},
                      Field{"queued", &S::queued},
                      Field{"halted", &S::halted},
                      Field{"srst", &S::srst},
                      Field{"awaits_signature", &S::awaits_signature},
                      Field{"reserved", &S::reserved}};
  }
};

/// The adapter as a port sees it.
class AhciHost {
 public:
  virtual ~AhciHost() = default;
  virtual MemoryMap& memory() = 0;
  /// The function may read and write memory by itself.
  virtual bool may_master() const = 0;
  virtual void port_interrupt_changed() = 0;
  /// Brackets of everything that moves data: in between, registers of the adapter are not written,
  /// because a region may name them. enter() is false when already inside.
  virtual bool enter() = 0;
  virtual void leave() = 0;
};

/// Registers are read and written as doublewords by their offset from the port's block.
class AhciPort final : private IdeDriveHost, private IdeDma {
 public:
  static constexpr u32 kRegisterBytes = 0x80;

  AhciPort(std::string name, AhciPortState& state, AhciHost& host, Log& log);

  IdeDriveHost& drive_host() { return *this; }
  void attach(std::unique_ptr<IdeDrive> drive) { drive_ = std::move(drive); }
  bool present() const { return drive_ != nullptr; }

  u32 read(u32 offset) const;
  /// Bytes outside `mask` were not written. Called between enter() and leave().
  void write(u32 offset, u32 value, u32 mask);
  /// PxIS and PxIE have a bit in common.
  bool interrupting() const { return (interrupt_status() & state_.interrupt_enable) != 0; }

  /// HBA reset (registers that it leaves keep their values) or, `all`, power-on and RESET#.
  void reset(bool all);
  /// Commands may wait for bus mastering.
  void kick();
  void restored();

 private:
  void interrupt_changed() override {}
  void dma_requested() override;
  void busy_ended() override;
  void queue_ended(u32 tags) override;
  bool to_memory(std::span<const u8> data) override;
  bool from_memory(std::span<u8> data) override;

  u32 interrupt_status() const;
  u32 command_register() const;
  void write_command(u32 value);
  void write_link_control(u32 value);
  void link_up();
  bool can_issue() const;
  void issue();
  void start(unsigned slot);
  void control_fis(u8 control, bool clear_busy);
  void command_fis(std::span<const u8> fis);
  void continue_command();
  void end_command();
  void set_status(u8 status, u8 error);
  void halt(u32 interrupt);
  void post(u64 offset, std::span<u8> fis, u32 interrupt);
  void post_register_fis();
  void post_pio_setup(bool to_host, u8 before, u32 count);
  void put_task_file(std::span<u8> fis) const;
  /// Goes through the regions for `bytes` bytes; `copy` gets (address, bytes done, length).
  template <class Copy>
  bool transfer(u64 bytes, Copy copy);

  std::string name_;
  AhciPortState& state_;
  AhciHost& host_;
  Log& log_;
  std::unique_ptr<IdeDrive> drive_;
};

}  // namespace dragoman
