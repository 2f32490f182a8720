// ATA hard disk. ATA/ATAPI-6 (T13/1410D); CHS commands and words after ATA-3 (X3.298); native
// command queueing after ATA8-ACS (T13/1699D).
#pragma once

#include <memory>
#include <vector>

#include "devices/block_image.h"
#include "devices/ide/ide_drive.h"

namespace dragoman {

/// A fixed disk over an image. A read-only image aborts writes; errors of the host become UNC
/// (reading) or device fault (writing, flushing).
class AtaDisk final : public IdeDrive {
 public:
  AtaDisk(std::string name, IdeDriveState& state, IdeDriveHost& host, Scheduler& scheduler,
          Log& log, DrivePlace place, std::shared_ptr<BlockImage> image, std::string serial);

  void run_dma(IdeDma& dma) override;

 private:
  enum class Kind { kPio, kMultiple, kDma, kVerify };

  void execute(u8 command) override;
  void block_done() override;
  u8 reset_drive(bool hardware) override;
  void clamp_state() override;

  void execute_non_data(u8 command);
  void start_queued(bool reading);
  bool queued() const { return state_.command == 0x60 || state_.command == 0x61; }
  u8 queue_tag() const { return state_.registers[2] >> 3; }
  void read_log();
  void start_read(Kind kind, bool extended);
  void start_write(Kind kind, bool extended);
  /// Takes address and count from the task file; false after IDNF was reported.
  bool take_address(bool extended);
  u64 extended_address() const;
  bool in_range() const;
  void put_address(u64 lba);
  void load_block();
  void prepare_write_block();
  void advance(u32 sectors);
  void identify();
  void set_features();
  void flush_then_succeed();
  void read_native_max(bool extended);
  void host_failed(const Error& error, bool writing);
  u32 block_sectors() const;
  u16 cylinders(u32 heads, u32 sectors) const;

  std::shared_ptr<BlockImage> image_;
  std::string serial_;
  u64 total_sectors_;
  std::vector<u8> staging_;
};

}  // namespace dragoman
