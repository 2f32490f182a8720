// Intel 82077AA floppy disk controller: commands that move data.
// Datasheet: Intel 290166 (82077AA), section 5.1 and the tables of the status registers.
#include <algorithm>

#include "devices/i82077.h"

namespace dragoman {

namespace {

constexpr unsigned kDmaChannel = 2;
constexpr u64 kSectorNs = 20'000;  // much less than a disk needs to come round

constexpr u8 kAbnormal = 0x40;  // ST0
constexpr u8 kNotReady = 0x48;
constexpr u8 kEndOfCylinder = 0x80;  // ST1
constexpr u8 kDataError = 0x20;
constexpr u8 kNoData = 0x04;
constexpr u8 kNotWritable = 0x02;
constexpr u8 kMissingAddressMark = 0x01;
constexpr u8 kControlMark = 0x40;  // ST2
constexpr u8 kDataErrorInField = 0x20;
constexpr u8 kWrongCylinder = 0x10;

constexpr u8 kReadTrack = 0x02;
constexpr u8 kReadDeleted = 0x0c;
constexpr u8 kVerify = 0x16;
constexpr u8 kSize512 = 2;

// Command bytes of the transfer commands.
enum : unsigned { kC = 2, kH = 3, kR = 4, kN = 5, kEot = 6, kSc = 8 };

/// 250 and 300 kbit/s are the same disk at 300 and 360 turns per minute.
constexpr bool same_rate(u8 a, u8 b) {
  const auto plain = [](u8 rate) { return rate == 1 ? u8{2} : rate; };
  return plain(a) == plain(b);
}

}  // namespace

const I82077::Drive* I82077::ready_drive() const {
  const Drive& drive = drives_[selected()];
  return drive.image != nullptr ? &drive : nullptr;
}

void I82077::begin_data() {
  state_.phase = Phase::kBusy;
  if (is_format()) {
    state_.last_sector = state_.command[3];
    state_.sectors_left = state_.command[3];
  } else {
    state_.last_sector = state_.command[kEot];
    state_.sectors_left = opcode() == kReadTrack ? state_.command[kEot] : 0;
    if (opcode() == kVerify && (state_.command[1] & 0x80) != 0) {
      state_.sectors_left = state_.command[kSc];  // EC: SC sectors instead of up to EOT
    }
    if (opcode() == kReadTrack) state_.command[kR] = 1;
    if ((state_.configuration & 0x40) != 0) {  // implied seek
      state_.track[selected()] = std::min<u8>(state_.command[kC], 84);
      if (ready_drive() != nullptr) state_.disk_changed[selected()] = 0;
    }
  }
  schedule(kSectorNs);
}

u64 I82077::sector_offset(const Drive& drive) const {
  const FloppyGeometry& g = drive.geometry;
  const u64 track = u64{state_.track[selected()]} * g.heads + head();
  return (track * g.sectors + state_.command[kR] - 1) * 512;
}

void I82077::begin_sector() {
  auto& c = state_.command;
  const Drive* drive = ready_drive();
  if (drive == nullptr) return finish(kNotReady, 0, 0);
  const FloppyGeometry& g = drive->geometry;
  const bool readable = same_rate(g.rate, state_.data_rate) && (c[0] & 0x40) != 0 &&
                        state_.track[selected()] < g.cylinders && head() < g.heads;
  if ((is_write() || is_format()) && drive->image->read_only()) {
    return finish(kAbnormal, kNotWritable, 0);
  }
  state_.buffer_position = 0;
  if (is_format()) {
    if (c[2] != kSize512 || !readable) return finish(kAbnormal, kMissingAddressMark, 0);
    if (state_.sectors_left == 0) return finish(0, 0, 0);
    state_.buffer_size = 4;  // C, H, R, N of the sector to be written
    state_.to_host = false;
  } else {
    if (!readable) return finish(kAbnormal, kMissingAddressMark, 0);
    if (c[kC] != state_.track[selected()]) return finish(kAbnormal, kNoData, kWrongCylinder);
    if (c[kH] != head() || c[kN] != kSize512 || c[kR] == 0 || c[kR] > g.sectors) {
      return finish(kAbnormal, kNoData, 0);
    }
    if (opcode() == kReadDeleted && (c[0] & 0x20) != 0) {  // SK passes over normal sectors
      return next_sector() ? schedule(kSectorNs) : finish(kAbnormal, kEndOfCylinder, 0);
    }
    state_.buffer_size = 512;
    state_.to_host = !is_write();
    state_.buffer = {};
    if (!is_write()) {
      const u64 offset = sector_offset(*drive);
      const u64 size = drive->image->size();
      const u64 available = offset < size ? std::min<u64>(512, size - offset) : 0;
      if (available != 0 &&
          !drive->image->read(offset, std::span<u8>(state_.buffer).first(available))) {
        return finish(kAbnormal, kDataError, kDataErrorInField);
      }
    }
    if (opcode() == kVerify) return sector_done(false);
  }
  state_.phase = Phase::kTransfer;
  if (uses_dma()) {
    dma_.set_request(kDmaChannel, true);
  } else {
    set_irq(true);
  }
}

void I82077::dma_acknowledge(unsigned) {
  if (state_.phase != Phase::kTransfer || !uses_dma()) return;
  const auto rest =
      std::span<u8>(state_.buffer)
          .subspan(state_.buffer_position, state_.buffer_size - state_.buffer_position);
  const I8237Pair::Transfer moved =
      state_.to_host ? dma_.to_memory(kDmaChannel, rest) : dma_.from_memory(kDmaChannel, rest);
  state_.buffer_position += moved.bytes;
  if (!moved.terminal_count && state_.buffer_position < state_.buffer_size) return;
  dma_.set_request(kDmaChannel, false);
  sector_done(moved.terminal_count);
}

bool I82077::store_sector() {
  const Drive* drive = ready_drive();
  if (drive == nullptr || (!is_write() && !is_format())) return drive != nullptr;
  if (is_format()) {
    const u8 sector = state_.buffer[2];
    if (state_.buffer[3] != kSize512 || sector == 0 || sector > drive->geometry.sectors) {
      return true;  // an odd layout has no place in an image
    }
    state_.command[kR] = sector;
    state_.buffer.fill(state_.command[5]);
  } else {  // after an early terminal count the rest of the sector is zeros
    std::fill(state_.buffer.begin() + state_.buffer_position, state_.buffer.end(), u8{0});
  }
  const u64 offset = sector_offset(*drive);
  if (offset + 512 > drive->image->size()) return false;
  return drive->image->write(offset, state_.buffer).ok();
}

/// Moves C, H, R on (datasheet table 5-3); false after the last sector of the command.
bool I82077::next_sector() {
  auto& c = state_.command;
  if (c[kR] != c[kEot]) {
    ++c[kR];
    return true;
  }
  c[kR] = 1;
  const bool multi_track = (c[0] & 0x80) != 0;
  if (multi_track) {
    c[kH] ^= 1;
    c[1] ^= 4;
    if ((c[kH] & 1) != 0) return true;  // on to the other side
  }
  ++c[kC];
  return false;
}

void I82077::sector_done(bool terminal_count) {
  if (!uses_dma()) set_irq(false);
  if (!store_sector()) return finish(kAbnormal, kDataError, kDataErrorInField);
  if (is_format()) {
    if (--state_.sectors_left == 0 || terminal_count) return finish(0, 0, 0);
  } else if (opcode() == kReadTrack) {
    ++state_.command[kR];
    if (terminal_count) return finish(0, 0, 0);
    if (--state_.sectors_left == 0) return finish(kAbnormal, kEndOfCylinder, 0);
  } else {
    const bool deleted_wanted = opcode() == kReadDeleted;  // images hold no deleted sectors
    const bool more = next_sector();
    const bool counted = state_.sectors_left != 0 && --state_.sectors_left == 0;
    if (terminal_count || counted || deleted_wanted) {
      return finish(0, 0, deleted_wanted ? kControlMark : 0);
    }
    if (!more) {
      // VERIFY ends in good order at EOT; a transfer without TC does not.
      return opcode() == kVerify && state_.last_sector != 0 ? finish(0, 0, 0)
                                                            : finish(kAbnormal, kEndOfCylinder, 0);
    }
  }
  state_.phase = Phase::kBusy;
  schedule(kSectorNs);
}

void I82077::finish(u8 st0, u8 st1, u8 st2) {
  const auto& c = state_.command;
  dma_.set_request(kDmaChannel, false);
  const u8 status0 = static_cast<u8>(st0 | (c[1] & 7));
  if (is_format()) {  // the address bytes of FORMAT mean nothing
    enter_result(
        {status0, st1, st2, state_.track[selected()], static_cast<u8>(head()), 1, kSize512});
  } else {
    enter_result({status0, st1, st2, c[kC], c[kH], c[kR], c[kN]});
  }
  set_irq(true);
}

void I82077::read_id() {
  const Drive* drive = ready_drive();
  const unsigned unit = selected();
  u8 st0 = static_cast<u8>(state_.command[1] & 7);
  u8 st1 = 0;
  u8 sector = 1;
  if (drive == nullptr) {
    st0 |= kNotReady;
  } else if (!same_rate(drive->geometry.rate, state_.data_rate) ||
             (state_.command[0] & 0x40) == 0 || state_.track[unit] >= drive->geometry.cylinders ||
             head() >= drive->geometry.heads) {
    st0 |= kAbnormal;
    st1 = kMissingAddressMark;
  } else {
    state_.next_id[unit] = static_cast<u8>(state_.next_id[unit] % drive->geometry.sectors + 1);
    sector = state_.next_id[unit];
  }
  enter_result({st0, st1, 0, state_.track[unit], static_cast<u8>(head()), sector, kSize512});
  set_irq(true);
}

}  // namespace dragoman
