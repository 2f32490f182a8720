// ATAPI CD-ROM drive. ATA/ATAPI-6 (T13/1410D) for the PACKET protocol, MMC-3 (T10/1363-D) and
// SPC-2 (T10/1236-D) for the commands in the packets.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "devices/block_image.h"
#include "devices/ide/cd_sessions.h"
#include "devices/ide/ide_drive.h"

namespace dragoman {

/// A CD-ROM drive with discs of 2048-byte sectors, a data track for each session. Images larger
/// than a CD show as DVD-ROM.
class AtapiCdrom final : public IdeDrive {
 public:
  AtapiCdrom(std::string name, IdeDriveState& state, IdeDriveHost& host, Scheduler& scheduler,
             Log& log, DrivePlace place, std::shared_ptr<BlockImage> medium, std::string serial);

  void run_dma(IdeDma& dma) override;

  /// Changes the disc (null: none) and closes the tray. The guest learns it by a unit attention
  /// and a media event. A lock by the guest does not hold back the user.
  void set_medium(std::shared_ptr<BlockImage> medium);
  const BlockImage* medium() const { return medium_.get(); }
  bool tray_open() const { return state_.tray_open; }
  bool tray_locked() const { return state_.tray_locked; }
  /// The user pressed the button while the tray is locked: the guest hears of it (MMC-3, 6.5).
  void request_eject() { state_.media_event = 1; }
  /// Called with the tray's new place when the guest moves it; empty: nobody cares.
  void set_tray_listener(std::function<void(bool open)> listener) {
    tray_listener_ = std::move(listener);
  }

 private:
  void execute(u8 command) override;
  void block_done() override;
  u8 reset_drive(bool hardware) override;
  void clamp_state() override;

  // The PACKET protocol (atapi_cdrom.cpp).
  void start_packet();
  void packet_complete();
  void check_condition(u8 key, u8 code, u8 qualifier = 0);
  /// Sends `count` bytes of the buffer, at most `allocation`.
  void reply(u32 count, u32 allocation);
  void send_sectors(u32 lba, u32 count);
  void receive_parameters(u32 count);
  void next_block();
  bool load_sectors(std::span<u8> out, u32 count);
  void identify();

  // Commands (atapi_commands.cpp).
  void execute_packet();
  bool ready();
  void request_sense();
  void inquiry();
  void mode_sense(bool ten);
  void mode_select_data();
  void start_stop();
  void read(u32 count);
  void read_cd();
  void read_capacity();
  void read_header();
  void read_toc();
  void get_configuration();
  void get_event_status();
  void read_disc_information();
  void read_track_information();
  void mechanism_status();
  /// Appends one mode page to the buffer at `at`; the bytes added, 0 when there is no such page.
  u32 put_mode_page(u8 page, u8 control, u32 at);

  u32 sectors() const;
  void medium_changed();
  /// The session that has this sector.
  std::size_t session_of(u32 lba) const;
  bool disc_readable() const { return medium_ != nullptr && !state_.tray_open; }
  u8 packet(unsigned i) const { return state_.packet[i]; }
  u32 packet16(unsigned i) const { return static_cast<u32>(packet(i) << 8 | packet(i + 1)); }
  u32 packet32(unsigned i) const { return packet16(i) << 16 | packet16(i + 2); }
  void put16(u32 at, u32 value);
  void put32(u32 at, u32 value);
  /// A sector address as LBA or, with `msf`, as minutes, seconds and frames.
  void put_position(u32 at, u32 lba, bool msf);

  std::shared_ptr<BlockImage> medium_;
  std::vector<CdSession> sessions_;  // of the medium; never empty
  std::function<void(bool open)> tray_listener_;
  std::string serial_;
  std::vector<u8> staging_;
};

}  // namespace dragoman
