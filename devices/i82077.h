// Intel 82077AA floppy disk controller with two drives.
// Datasheet: Intel 290166 (82077AA).
#pragma once

#include <array>

#include "base/irq_line.h"
#include "base/log.h"
#include "base/scheduler.h"
#include "devices/block_image.h"
#include "devices/device.h"
#include "devices/i8237.h"
#include "memory/port_map.h"

namespace dragoman {

struct I82077State {
  enum class Phase : u8 { kCommand, kBusy, kTransfer, kResult };

  u64 event_at = Scheduler::kNever;  // end of the seek, reset or search under way
  u32 buffer_position = 0;
  u32 buffer_size = 0;  // bytes of `buffer` to move in this phase
  std::array<u8, 512> buffer{};
  std::array<u8, 16> command{};
  std::array<u8, 16> result{};
  std::array<u8, 4> track{};        // present cylinder numbers
  std::array<u8, 4> seek_status{};  // ST0 to report, 0 = none
  std::array<u8, 4> disk_changed{1, 1, 1, 1};
  std::array<u8, 4> next_id{};  // READ ID: sector that comes by next
  u8 command_length = 0;
  u8 command_position = 0;
  u8 result_length = 0;
  u8 result_position = 0;
  Phase phase = Phase::kCommand;
  u8 dor = 0;
  u8 tdr = 0;
  u8 data_rate = 2;
  u8 specify1 = 0;
  u8 specify2 = 0;          // bit 0: no DMA
  u8 configuration = 0x20;  // EFIFO set
  u8 pretrack = 0;
  u8 perpendicular = 0;
  u8 last_sector = 0;  // EOT or SC of the last command, for DUMPREG
  bool locked = false;
  bool irq = false;
  bool reset_done = false;  // the event under way is the end of a reset
  bool to_host = false;     // direction of the transfer
  u8 sectors_left = 0;      // FORMAT TRACK, READ TRACK
  u8 seeking = 0;           // drives whose seek is under way, one bit each
  std::array<u8, 4> reserved{};
  static constexpr auto fields() {
    using S = I82077State;
    return std::tuple{Field{"event_at", &S::event_at},
                      Field{"buffer_position", &S::buffer_position},
                      Field{"buffer_size", &S::buffer_size},
                      Field{"buffer", &S::buffer},
                      Field{"command", &S::command},
                      Field{"result", &S::result},
                      Field{"track", &S::track},
                      Field{"seek_status", &S::seek_status},
                      Field{"disk_changed", &S::disk_changed},
                      Field{"next_id", &S::next_id},
                      Field{"command_length", &S::command_length},
                      Field{"command_position", &S::command_position},
                      Field{"result_length", &S::result_length},
                      Field{"result_position", &S::result_position},
                      Field{"phase", &S::phase},
                      Field{"dor", &S::dor},
                      Field{"tdr", &S::tdr},
                      Field{"data_rate", &S::data_rate},
                      Field{"specify1", &S::specify1},
                      Field{"specify2", &S::specify2},
                      Field{"configuration", &S::configuration},
                      Field{"pretrack", &S::pretrack},
                      Field{"perpendicular", &S::perpendicular},
                      Field{"last_sector", &S::last_sector},
                      Field{"locked", &S::locked},
                      Field{"irq", &S::irq},
                      Field{"reset_done", &S::reset_done},
                      Field{"to_host", &S::to_host},
                      Field{"sectors_left", &S::sectors_left},
                      Field{"seeking", &S::seeking},
                      Field{"reserved", &S::reserved}};
  }
};

/// Shape of a floppy disk.
struct FloppyGeometry {
  u8 cylinders;
  u8 heads;
  u8 sectors;
  u8 rate;        ///< data rate bits as in the CCR: 0 = 500, 1 = 300, 2 = 250, 3 = 1000 kbit/s
  u8 drive_type;  ///< as in CMOS byte 10h: 1 = 360K, 2 = 1.2M, 3 = 720K, 4 = 1.44M, 5 = 2.88M
  u64 bytes() const { return u64{512} * cylinders * heads * sectors; }
};
/// The format an image of `bytes` has, or the smallest that holds it.
FloppyGeometry floppy_geometry(u64 bytes);

class I82077 : public StatefulDevice<I82077State>, public PortHandler, public IsaDmaClient {
 public:
  /// Claims ports 3F0h-3F5h and 3F7h (3F6h belongs to the disk controller); uses DMA channel 2.
  I82077(Scheduler& scheduler, Log& log, PortMap& ports, I8237Pair& dma, IrqLine irq6);

  /// Puts a disk into drive 0 or 1, null takes it out. The image must outlive its stay.
  void set_media(unsigned drive, BlockImage* image);
  /// Type for CMOS byte 10h: that of the disk inside, 1.44M when empty.
  u8 drive_type(unsigned drive) const;

  void dma_acknowledge(unsigned channel) override;
  void reset() override;
  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;

 private:
  using Phase = I82077State::Phase;
  struct Drive {
    BlockImage* image = nullptr;
    FloppyGeometry geometry{80, 2, 18, 0, 4};
  };

  void restored() override;
  void write_dor(u8 value);
  void software_reset();
  void set_irq(bool level);
  u8 main_status() const;
  u8 read_fifo();
  void write_fifo(u8 value);
  void execute();
  void enter_result(std::initializer_list<u8> bytes);
  void invalid_command();
  void sense_interrupt();
  void start_seek(u8 target);
  void schedule(u64 delay_ns);
  void event();

  // Data transfer commands.
  unsigned selected() const { return state_.command[1] & 3; }
  unsigned head() const { return (state_.command[1] >> 2) & 1; }
  u8 opcode() const { return state_.command[0] & 0x1f; }
  bool is_write() const { return opcode() == 0x05 || opcode() == 0x09; }
  bool is_format() const { return opcode() == 0x0d; }
  bool uses_dma() const { return (state_.specify2 & 1) == 0; }
  const Drive* ready_drive() const;
  void begin_data();
  void begin_sector();
  void sector_done(bool terminal_count);
  bool store_sector();
  bool next_sector();
  void finish(u8 st0, u8 st1, u8 st2);
  void read_id();
  u64 sector_offset(const Drive& drive) const;
  u8 status3() const;

  Scheduler& scheduler_;
  Log& log_;
  I8237Pair& dma_;
  IrqLine irq_;
  Timer event_timer_;
  std::array<Drive, 4> drives_{};
};

}  // namespace dragoman
