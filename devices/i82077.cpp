// Intel 82077AA floppy disk controller: registers, seeks, control commands.
// Datasheet: Intel 290166 (82077AA).
#include "devices/i82077.h"

#include <algorithm>

namespace dragoman {

namespace {

constexpr unsigned kDmaChannel = 2;
constexpr u8 kDorNotReset = 0x04;
constexpr u8 kDorDmaGate = 0x08;
constexpr u8 kMsrReady = 0x80;
constexpr u8 kMsrToHost = 0x40;
constexpr u8 kMsrNonDma = 0x20;
constexpr u8 kMsrBusy = 0x10;
constexpr u8 kLastCylinder = 84;  // where the head meets its stop

// Virtual times: much shorter than a real drive needs, long enough for a driver to arm itself.
constexpr u64 kResetNs = 20'000;
constexpr u64 kStepNs = 20'000;

/// Bytes of each command including its opcode, 0 = invalid (datasheet table 5-1).
constexpr u8 length_of(u8 command) {
  switch (command & 0x1f) {
    case 0x02:
    case 0x05:
    case 0x06:
    case 0x09:
    case 0x0c:
    case 0x16:
      return 9;
    case 0x03:
    case 0x0f:
      return 3;
    case 0x04:
    case 0x07:
    case 0x0a:
    case 0x12:
      return 2;
    case 0x0d:
      return 6;
    case 0x13:
      return 4;
    default:
      return 1;
  }
}

}  // namespace

FloppyGeometry floppy_geometry(u64 bytes) {
  // In order of size.
  constexpr std::array<FloppyGeometry, 14> kFormats{{{40, 1, 8, 2, 1},
                                                     {40, 1, 9, 2, 1},
                                                     {40, 2, 8, 2, 1},
                                                     {40, 2, 9, 2, 1},
                                                     {80, 2, 8, 2, 4},
                                                     {80, 2, 9, 2, 4},
                                                     {80, 2, 10, 2, 4},
                                                     {80, 2, 15, 0, 2},
                                                     {80, 2, 18, 0, 4},
                                                     {80, 2, 20, 0, 4},
                                                     {80, 2, 21, 0, 4},
                                                     {82, 2, 21, 0, 4},
                                                     {80, 2, 22, 0, 4},
                                                     {80, 2, 36, 3, 5}}};
  for (const FloppyGeometry& format : kFormats) {
    if (bytes == format.bytes()) return format;
  }
  // Cut images of boot disks are common: take the 3.5" high-density shape if it is enough.
  for (const std::size_t i : {8, 12, 13}) {
    if (bytes <= kFormats[i].bytes()) return kFormats[i];
  }
  return kFormats.back();
}

I82077::I82077(Scheduler& scheduler, Log& log, PortMap& ports, I8237Pair& dma, IrqLine irq6)
    : StatefulDevice("i82077"),
      scheduler_(scheduler),
      log_(log),
      dma_(dma),
      irq_(irq6),
      event_timer_(scheduler, "i82077", [this] { event(); }) {
  ports.add("i82077", Port(0x3f0), 6, *this, 0);
  ports.add("i82077 dir", Port(0x3f7), 1, *this, 1);
  dma_.attach(kDmaChannel, *this);
}

void I82077::set_media(unsigned drive, BlockImage* image) {
  if (drive > 1) return;
  drives_[drive].image = image;
  if (image != nullptr) drives_[drive].geometry = floppy_geometry(image->size());
  state_.disk_changed[drive] = 1;
}

u8 I82077::drive_type(unsigned drive) const {
  return drive < 2 && drives_[drive].image != nullptr ? drives_[drive].geometry.drive_type : 4;
}

void I82077::reset() {
  state_ = I82077State{};
  restored();
}

void I82077::restored() {
  state_.buffer_size = std::min<u32>(state_.buffer_size, 512);
  state_.buffer_position = std::min(state_.buffer_position, state_.buffer_size);
  state_.command_length = std::min<u8>(state_.command_length, 16);
  state_.command_position = std::min<u8>(state_.command_position, state_.command_length);
  state_.result_length = std::min<u8>(state_.result_length, 16);
  state_.result_position = std::min(state_.result_position, state_.result_length);
  if (state_.phase > Phase::kResult) state_.phase = Phase::kCommand;
  if (state_.event_at != Scheduler::kNever) {
    event_timer_.arm_at(state_.event_at);
  } else {
    event_timer_.cancel();
  }
  irq_.set(state_.irq && (state_.dor & kDorDmaGate) != 0);
  dma_.set_request(kDmaChannel, state_.phase == Phase::kTransfer && uses_dma());
}

void I82077::set_irq(bool level) {
  state_.irq = level;
  irq_.set(level && (state_.dor & kDorDmaGate) != 0);  // AT mode: DMAGATE enables the pins
}

void I82077::schedule(u64 delay_ns) {
  state_.event_at = scheduler_.now() + delay_ns;
  event_timer_.arm_at(state_.event_at);
}

void I82077::software_reset() {
  state_.event_at = Scheduler::kNever;
  event_timer_.cancel();
  dma_.set_request(kDmaChannel, false);
  set_irq(false);
  state_.phase = Phase::kCommand;
  state_.command_position = 0;
  state_.command_length = 0;
  state_.seeking = 0;
  state_.seek_status = {};
  state_.reset_done = false;
  if (!state_.locked) {  // LOCK keeps the parameters of CONFIGURE over a software reset
    state_.configuration = 0x20;
    state_.pretrack = 0;
  }
  state_.perpendicular &= 0x3c;
}

void I82077::write_dor(u8 value) {
  const bool was_running = (state_.dor & kDorNotReset) != 0;
  const bool running = (value & kDorNotReset) != 0;
  state_.dor = value;
  if (!running) {
    software_reset();
  } else if (!was_running) {
    state_.reset_done = true;
    schedule(kResetNs);
  }
  set_irq(state_.irq);
}

void I82077::event() {
  state_.event_at = Scheduler::kNever;
  if (state_.reset_done) {
    state_.reset_done = false;
    if ((state_.configuration & 0x10) == 0) {  // drive polling is on: each drive "became ready"
      for (u8 i = 0; i < 4; ++i) state_.seek_status[i] = static_cast<u8>(0xc0 | i);
      set_irq(true);
    }
    return;
  }
  if (state_.seeking != 0) {
    for (u8 i = 0; i < 4; ++i) {
      if (((state_.seeking >> i) & 1) != 0) state_.seek_status[i] |= static_cast<u8>(0x20 | i);
    }
    state_.seeking = 0;
    set_irq(true);
  }
  if (state_.phase == Phase::kBusy) begin_sector();
}

u8 I82077::main_status() const {
  if ((state_.dor & kDorNotReset) == 0 || state_.reset_done) return 0;
  u8 status = state_.seeking;
  switch (state_.phase) {
    case Phase::kCommand:
      status |= kMsrReady;
      if (state_.command_position != 0) status |= kMsrBusy;
      break;
    case Phase::kBusy:
      status |= kMsrBusy;
      break;
    case Phase::kTransfer:
      status |= kMsrBusy;
      if (!uses_dma()) {
        status |= kMsrReady | kMsrNonDma;
        if (state_.to_host) status |= kMsrToHost;
      }
      break;
    case Phase::kResult:
      status |= kMsrReady | kMsrToHost | kMsrBusy;
      break;
  }
  return status;
}

u32 I82077::port_read(unsigned bank, u16 offset, unsigned) {
  const unsigned drive = state_.dor & 3;
  if (bank == 1) {  // DIR: only the disk change line of a spinning drive; active until a step
    const bool motor = ((state_.dor >> (4 + drive)) & 1) != 0;
    return motor && drive < 2 && state_.disk_changed[drive] != 0 ? 0x80 : 0x00;
  }
  switch (offset) {
    case 2:
      return state_.dor;
    case 3:
      return state_.tdr;
    case 4:
      return main_status();
    case 5:
      return read_fifo();
    default:
      return 0xff;  // status registers A and B do not exist in AT mode
  }
}

void I82077::port_write(unsigned bank, u16 offset, unsigned, u32 value) {
  const u8 byte = static_cast<u8>(value);
  if (bank == 1) {
    state_.data_rate = byte & 3;
    return;
  }
  switch (offset) {
    case 2:
      write_dor(byte);
      break;
    case 3:
      state_.tdr = byte & 3;
      break;
    case 4:  // DSR: rate, and a reset that ends by itself
      state_.data_rate = byte & 3;
      if ((byte & 0x80) != 0 && (state_.dor & kDorNotReset) != 0) {
        software_reset();
        state_.reset_done = true;
        schedule(kResetNs);
      }
      break;
    case 5:
      write_fifo(byte);
      break;
    default:
      break;
  }
}

u8 I82077::read_fifo() {
  if (state_.phase == Phase::kResult) {
    set_irq(false);
    const u8 value = state_.result[state_.result_position];
    if (++state_.result_position >= state_.result_length) {
      state_.phase = Phase::kCommand;
      state_.command_position = 0;
    }
    return value;
  }
  if (state_.phase == Phase::kTransfer && state_.to_host && !uses_dma()) {
    const u8 value = state_.buffer[state_.buffer_position];
    if (++state_.buffer_position >= state_.buffer_size) sector_done(false);
    return value;
  }
  return 0xff;
}

void I82077::write_fifo(u8 value) {
  if ((main_status() & (kMsrReady | kMsrToHost)) != kMsrReady) return;
  if (state_.phase == Phase::kTransfer) {
    state_.buffer[state_.buffer_position] = value;
    if (++state_.buffer_position >= state_.buffer_size) sector_done(false);
    return;
  }
  if (state_.command_position == 0) {
    state_.command = {};
    state_.command_length = length_of(value);
  }
  state_.command[state_.command_position++] = value;
  if (state_.command_position >= state_.command_length) {
    state_.command_position = 0;
    execute();
  }
}

void I82077::enter_result(std::initializer_list<u8> bytes) {
  std::copy(bytes.begin(), bytes.end(), state_.result.begin());
  state_.result_length = static_cast<u8>(bytes.size());
  state_.result_position = 0;
  state_.phase = Phase::kResult;
}

void I82077::invalid_command() { enter_result({0x80}); }

u8 I82077::status3() const {
  const Drive& drive = drives_[selected()];
  u8 status = static_cast<u8>(0x28 | (state_.command[1] & 7));  // ready, two-sided as wired
  if (state_.track[selected()] == 0 && selected() < 2) status |= 0x10;
  if (drive.image != nullptr && drive.image->read_only()) status |= 0x40;
  return status;
}

void I82077::sense_interrupt() {
  for (u8 i = 0; i < 4; ++i) {
    if (state_.seek_status[i] == 0 || ((state_.seeking >> i) & 1) != 0) continue;
    const u8 status = state_.seek_status[i];
    state_.seek_status[i] = 0;
    set_irq(false);
    enter_result({status, state_.track[i]});
    return;
  }
  invalid_command();  // nothing to tell
}

void I82077::start_seek(u8 target) {
  const unsigned drive = selected();
  const u8 bounded = std::min(target, kLastCylinder);
  if (drives_[drive].image != nullptr) state_.disk_changed[drive] = 0;  // a step clears the line
  state_.track[drive] = bounded;
  state_.seeking |= static_cast<u8>(1u << drive);
  state_.seek_status[drive] = static_cast<u8>(head() << 2);
  schedule(kStepNs);
}

void I82077::execute() {
  const auto& c = state_.command;
  switch (opcode()) {
    case 0x02:  // READ TRACK
    case 0x05:  // WRITE DATA
    case 0x06:  // READ DATA
    case 0x09:  // WRITE DELETED DATA
    case 0x0c:  // READ DELETED DATA
    case 0x0d:  // FORMAT TRACK
    case 0x16:  // VERIFY
      begin_data();
      break;
    case 0x03:  // SPECIFY
      state_.specify1 = c[1];
      state_.specify2 = c[2];
      break;
    case 0x04:  // SENSE DRIVE STATUS
      enter_result({status3()});
      break;
    case 0x07:  // RECALIBRATE: gives up after 79 steps, which never happens; no drive, no track 0
      state_.command[1] &= 3;
      start_seek(0);
      if (selected() > 1) state_.seek_status[selected()] = 0x50;
      break;
    case 0x08:
      sense_interrupt();
      break;
    case 0x0a:
      read_id();
      break;
    case 0x0e:  // DUMPREG
      enter_result({state_.track[0], state_.track[1], state_.track[2], state_.track[3],
                    state_.specify1, state_.specify2, state_.last_sector,
                    static_cast<u8>((state_.locked ? 0x80 : 0) | (state_.perpendicular & 0x3f)),
                    state_.configuration, state_.pretrack});
      break;
    case 0x0f:  // SEEK; with bit 7 relative, with bit 6 inwards
      if ((c[0] & 0x80) == 0) {
        start_seek(c[2]);
      } else {
        const int from = state_.track[selected()];
        start_seek(static_cast<u8>(
            std::clamp((c[0] & 0x40) != 0 ? from + c[2] : from - c[2], 0, int{kLastCylinder})));
      }
      break;
    case 0x10:  // VERSION: enhanced controller
      enter_result({0x90});
      break;
    case 0x12:  // PERPENDICULAR MODE: the drive bits change only with OW set
      state_.perpendicular = static_cast<u8>(
          (c[1] & 0x80) != 0 ? c[1] & 0x3f : (state_.perpendicular & 0x3c) | (c[1] & 3));
      break;
    case 0x13:  // CONFIGURE
      state_.configuration = c[2] & 0x7f;
      state_.pretrack = c[3];
      break;
    case 0x14:  // LOCK and UNLOCK
      state_.locked = (c[0] & 0x80) != 0;
      enter_result({static_cast<u8>(state_.locked ? 0x10 : 0x00)});
      break;
    case 0x11:  // SCAN EQUAL, LOW OR EQUAL, HIGH OR EQUAL
    case 0x19:
    case 0x1d:
      log_.once("i82077 scan", "i82077: the scan commands are not implemented");
      invalid_command();
      break;
    default:  // among them PART ID (18h), which only the later 82078 knows
      invalid_command();
      break;
  }
}

}  // namespace dragoman
