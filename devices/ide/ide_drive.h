// One ATA or ATAPI device, on a channel of parallel ATA or behind a Serial ATA port: the task file,
// data blocks and completion rules that disks and CD-ROM drives share. ATA/ATAPI-6 (T13/1410D),
// chapters 7 (registers) and 9 (protocols); queued commands after ATA8-ACS (T13/1699D), 4.14.
#pragma once

#include <array>
#include <span>
#include <string>

#include "base/fields.h"
#include "base/log.h"
#include "base/scheduler.h"
#include "base/types.h"

namespace dragoman {

/// Status register (ATA/ATAPI-6, 7.15).
enum AtaStatus : u8 {
  kAtaErr = 0x01,
  kAtaDrq = 0x08,
  kAtaDsc = 0x10,
  kAtaDf = 0x20,
  kAtaDrdy = 0x40,
  kAtaBsy = 0x80,
};

/// Error register (ATA/ATAPI-6, 7.9).
enum AtaError : u8 {
  kAtaAbrt = 0x04,
  kAtaIdnf = 0x10,
  kAtaUnc = 0x40,
};

/// Where a drive is attached.
enum class DrivePlace : u8 { kDevice0, kDevice1, kSata };

/// What the drive is in the middle of.
enum class IdeTransfer : u8 { kNone, kPioIn, kPioOut, kPacket, kDmaIn, kDmaOut };

/// Registers of the command block by their port offset (ATA/ATAPI-6, table 10).
enum class IdeRegister : u8 {
  kFeatures = 1,  // error when read
  kCount = 2,     // interrupt reason of ATAPI
  kLbaLow = 3,
  kLbaMid = 4,   // byte count low of ATAPI
  kLbaHigh = 5,  // byte count high of ATAPI
  kDevice = 6,
  kCommand = 7,  // status when read
};

inline constexpr u32 kIdeBufferBytes = 8192;
inline constexpr u8 kIdeMaxMultiple = 16;  // sectors per block of READ/WRITE MULTIPLE
inline constexpr u8 kNoQueueError = 0xff;
/// Virtual time from the end of a command (or of a data block) until BSY clears and INTRQ rises.
/// The data itself has moved by then. Long enough that a driver has left the code that issued the
/// command, short against any real drive.
inline constexpr u64 kIdeCompletionDelayNs = 3000;

/// Guest-visible state of one drive; disk and CD-ROM share it and use their own parts.
struct IdeDriveState {
  u64 lba = 0;                       ///< next sector (512 or 2048 bytes) to move
  u64 deadline = Scheduler::kNever;  ///< when the pending status (or the queue's) appears
  u64 queue_error_lba = 0;           ///< first sector of the queued command that failed
  u32 queue_done = 0;                ///< tags of queued commands that have ended unreported
  u32 remaining = 0;                 ///< sectors still to move
  u32 position = 0;                  ///< next byte of the buffer at the data port
  u32 block_end = 0;                 ///< end of the present DRQ block in the buffer
  u32 buffer_end = 0;                ///< end of valid data in the buffer
  u16 byte_count_limit = 0;          ///< of a PACKET command
  std::array<u8, 8> registers = {};  ///< features to LBA high, by register number
  std::array<u8, 8> previous = {};   ///< their older halves (48-bit commands)
  u8 device = 0;                     ///< device register
  u8 error = 0x01;                   ///< error register; 01h: diagnostic passed
  u8 status = 0;                     ///< status register
  u8 pending_status = 0;             ///< status at the deadline
  bool pending_interrupt = false;    ///< INTRQ at the deadline
  bool interrupt = false;            ///< INTRQ of this drive
  IdeTransfer transfer = IdeTransfer::kNone;
  u8 command = 0;     ///< last command
  u8 addressing = 0;  ///< 0 CHS, 1 LBA28, 2 LBA48
  // ATA disk
  u8 heads = 16;  ///< INITIALIZE DEVICE PARAMETERS
  u8 sectors_per_track = 63;
  u8 multiple = 0;  ///< SET MULTIPLE MODE, 0 off
  bool write_cache = true;
  bool look_ahead = true;
  u8 multiword_mode = 0xff;  ///< selected mode, ffh none
  u8 ultra_mode = 0xff;
  u8 power = 0xff;                     ///< CHECK POWER MODE answer; 1 means asleep
  u8 queue_error_tag = kNoQueueError;  ///< of the failed command, until its log is read
  u8 queue_error_code = 0;             ///< its error register
  // ATAPI drive
  u8 sense_key = 0;
  u8 sense_code = 0;
  u8 sense_qualifier = 0;
  u8 attention = 0x29;  ///< pending unit attention code (29h power-on, 28h medium)
  u8 media_event = 0;   ///< pending media event (MMC-3, table 45)
  bool tray_locked = false;
  bool tray_open = false;
  u8 retries = 5;                  ///< mode page 01h
  std::array<u8, 12> packet = {};  ///< command packet
  std::array<u8, 3> reserved = {};
  std::array<u8, kIdeBufferBytes> buffer = {};

  static constexpr auto fields() {
    using S = IdeDriveState;
    return std::tuple{Field{"lba", &S::lba},
                      Field{"deadline", &S::deadline},
                      Field{"queue_error_lba", &S::queue_error_lba},
                      Field{"queue_done", &S::queue_done},
                      Field{"remaining", &S::remaining},
                      Field{"position", &S::position},
                      Field{"block_end", &S::block_end},
                      Field{"buffer_end", &S::buffer_end},
                      Field{"byte_count_limit", &S::byte_count_limit},
                      Field{"registers", &S::registers},
                      Field{"previous", &S::previous},
                      Field{"device", &S::device},
                      Field{"error", &S::error},
                      Field{"status", &S::status},
                      Field{"pending_status", &S::pending_status},
                      Field{"pending_interrupt", &S::pending_interrupt},
                      Field{"interrupt", &S::interrupt},
                      Field{"transfer", &S::transfer},
                      Field{"command", &S::command},
                      Field{"addressing", &S::addressing},
                      Field{"heads", &S::heads},
                      Field{"sectors_per_track", &S::sectors_per_track},
                      Field{"multiple", &S::multiple},
                      Field{"write_cache", &S::write_cache},
                      Field{"look_ahead", &S::look_ahead},
                      Field{"multiword_mode", &S::multiword_mode},
                      Field{"ultra_mode", &S::ultra_mode},
                      Field{"power", &S::power},
                      Field{"queue_error_tag", &S::queue_error_tag},
                      Field{"queue_error_code", &S::queue_error_code},
                      Field{"sense_key", &S::sense_key},
                      Field{"sense_code", &S::sense_code},
                      Field{"sense_qualifier", &S::sense_qualifier},
                      Field{"attention", &S::attention},
                      Field{"media_event", &S::media_event},
                      Field{"tray_locked", &S::tray_locked},
                      Field{"tray_open", &S::tray_open},
                      Field{"retries", &S::retries},
                      Field{"packet", &S::packet},
                      Field{"reserved", &S::reserved},
                      Field{"buffer", &S::buffer}};
  }
};

/// The controller's side of a DMA command. Calls fail when the descriptor table ends early.
class IdeDma {
 public:
  virtual ~IdeDma() = default;
  [[nodiscard]] virtual bool to_memory(std::span<const u8> data) = 0;
  [[nodiscard]] virtual bool from_memory(std::span<u8> data) = 0;
};

/// The channel or port as a drive sees it.
class IdeDriveHost {
 public:
  virtual ~IdeDriveHost() = default;
  /// INTRQ of a drive may have changed.
  virtual void interrupt_changed() = 0;
  /// DMARQ: a drive waits for the bus master.
  virtual void dma_requested() = 0;
  /// BSY has ended: the status is that of a command, of one of its data blocks or of a reset.
  virtual void busy_ended() {}
  /// Queued commands have ended (Serial ATA only): those in `tags` well; one failed if the status
  /// shows ERR, and the others are forgotten then.
  virtual void queue_ended(u32 /*tags*/) {}
};

/// Common half of both kinds of drives.
class IdeDrive {
 public:
  /// `state` belongs to the controller.
  IdeDrive(std::string name, IdeDriveState& state, IdeDriveHost& host, Scheduler& scheduler,
           Log& log, DrivePlace place);
  virtual ~IdeDrive() = default;
  IdeDrive(const IdeDrive&) = delete;
  IdeDrive& operator=(const IdeDrive&) = delete;

  /// Command block registers. `hob` selects the older halves (device control bit 7).
  u8 read_register(IdeRegister reg, bool hob) const;
  void write_register(IdeRegister reg, u8 value);
  /// The data port, 2 or 4 bytes.
  u32 read_data(unsigned size);
  void write_data(unsigned size, u32 value);
  /// The bytes of the present DRQ block, for controllers that move it as a whole, and its end.
  std::span<u8> block() {
    return std::span(state_.buffer).subspan(state_.position, state_.block_end - state_.position);
  }
  void end_block();
  /// Command register, except EXECUTE DEVICE DIAGNOSTIC (both drives take part in that).
  void write_command(u8 command);

  bool offers_block() const {
    return (state_.status & kAtaDrq) && state_.transfer >= IdeTransfer::kPioIn &&
           state_.transfer <= IdeTransfer::kPacket;
  }

  IdeTransfer transfer() const { return state_.transfer; }
  u8 status() const { return state_.status; }

  bool interrupt() const { return state_.interrupt; }
  void acknowledge_interrupt() { state_.interrupt = false; }
  bool wants_dma() const {
    return state_.transfer == IdeTransfer::kDmaIn || state_.transfer == IdeTransfer::kDmaOut;
  }
  bool dma_writes_memory() const { return state_.transfer == IdeTransfer::kDmaIn; }
  /// The bus master starts: moves everything the command asks for.
  virtual void run_dma(IdeDma& dma) = 0;

  /// SRST set: busy until it is cleared.
  void begin_reset();
  /// End of SRST, of a hardware reset (`hardware`) or EXECUTE DEVICE DIAGNOSTIC (`interrupt`).
  void end_reset(bool hardware, bool interrupt);
  /// The state was loaded: clamps it and re-arms the timer.
  void restored();
  const std::string& name() const { return name_; }

 protected:
  virtual void execute(u8 command) = 0;
  /// The guest has moved the last byte of a DRQ block.
  virtual void block_done() = 0;
  /// Signature in the task file (ATA/ATAPI-6, 9.12) and, after a hardware reset, defaults.
  /// Returns the status to show.
  virtual u8 reset_drive(bool hardware) = 0;
  virtual void clamp_state() = 0;

  /// Shows `status` after the completion delay, BSY until then.
  void finish(u8 status, bool interrupt = true);
  /// Ends the command with ERR and the given error bits.
  void fail(u8 error, u8 extra_status = 0);
  /// Ends the command without error.
  void succeed();
  /// The same for a queued command: the task file is free at once, the tag is reported later. After
  /// an error no queued command is taken until its log has been read.
  void succeed_queued(u8 tag);
  void fail_queued(u8 tag, u8 error);
  /// DRQ block of the buffer's bytes from `position` on.
  void offer_block(IdeTransfer transfer, u32 end);
  void request_dma(IdeTransfer transfer);

  u8& reg(IdeRegister r) { return state_.registers[static_cast<u8>(r)]; }
  u8 previous(IdeRegister r) const { return state_.previous[static_cast<u8>(r)]; }
  void set_signature(u8 mid, u8 high);
  /// Identify words about the cable, Serial ATA and `queueing` (native command queueing).
  void put_place(std::span<u16> words, bool queueing) const;
  /// The last byte of the 512 at the start of the buffer makes their sum zero.
  void put_checksum();
  std::span<u8> buffer(u32 first, u32 count) {
    return std::span(state_.buffer).subspan(first, count);
  }

  IdeDriveState& state_;
  IdeDriveHost& host_;
  Log& log_;
  const DrivePlace place_;

 private:
  void complete();
  void report_queue_later();

  std::string name_;
  Scheduler& scheduler_;
  Timer timer_;
};

/// Puts `text`, padded with spaces, into identify words: first character in the high byte.
void put_ata_string(std::span<u8> words, std::string_view text);

}  // namespace dragoman
