#include "devices/ide/ide_drive.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace dragoman {

IdeDrive::IdeDrive(std::string name, IdeDriveState& state, IdeDriveHost& host, Scheduler& scheduler,
                   Log& log, DrivePlace place)
    : state_(state),
      host_(host),
      log_(log),
      place_(place),
      name_(std::move(name)),
      scheduler_(scheduler),
      timer_(scheduler, name_, [this] { complete(); }) {}

u8 IdeDrive::read_register(IdeRegister reg, bool hob) const {
  switch (reg) {
    case IdeRegister::kFeatures:
      return state_.error;
    case IdeRegister::kDevice:
      return state_.device;
    case IdeRegister::kCommand:
      return state_.status;
    default: {
      const auto& file = hob ? state_.previous : state_.registers;
      return file[static_cast<u8>(reg)];
    }
  }
}

void IdeDrive::write_register(IdeRegister reg, u8 value) {
  if (reg == IdeRegister::kDevice) {
    state_.device = value;  // must follow the selection even while this drive is busy
    return;
  }
  if (state_.status & kAtaBsy) return;  // ATA/ATAPI-6, 7.1: registers are not written while BSY
  const unsigned i = static_cast<u8>(reg);
  state_.previous[i] = state_.registers[i];
  state_.registers[i] = value;
}

void IdeDrive::write_command(u8 command) {
  constexpr u8 kDeviceReset = 0x08;  // the one command a busy packet device takes
  if ((state_.status & kAtaBsy) && command != kDeviceReset) {
    log_.write(LogCategory::kGuestErrors, "{}: command {:#x} while busy", name_, command);
    return;
  }
  state_.interrupt = false;
  host_.interrupt_changed();
  state_.command = command;
  state_.transfer = IdeTransfer::kNone;
  execute(command);
}

u32 IdeDrive::read_data(unsigned size) {
  if (state_.transfer != IdeTransfer::kPioIn || !(state_.status & kAtaDrq)) return ~u32{0};
  const u32 count = std::min<u32>(size, state_.block_end - state_.position);
  u32 value = 0;
  std::memcpy(&value, state_.buffer.data() + state_.position, count);
  state_.position += count;
  if (state_.position == state_.block_end) block_done();
  return value;
}

void IdeDrive::write_data(unsigned size, u32 value) {
  const bool takes =
      state_.transfer == IdeTransfer::kPioOut || state_.transfer == IdeTransfer::kPacket;
  if (!takes || !(state_.status & kAtaDrq)) return;
  const u32 count = std::min<u32>(size, state_.block_end - state_.position);
  std::memcpy(state_.buffer.data() + state_.position, &value, count);
  state_.position += count;
  if (state_.position == state_.block_end) block_done();
}

void IdeDrive::end_block() {
  state_.position = state_.block_end;
  block_done();
}

void IdeDrive::begin_reset() {
  timer_.cancel();
  state_.deadline = Scheduler::kNever;
  state_.queue_done = 0;
  state_.queue_error_tag = kNoQueueError;
  state_.transfer = IdeTransfer::kNone;
  state_.interrupt = false;
  state_.status = kAtaBsy;
  host_.interrupt_changed();
}

void IdeDrive::end_reset(bool hardware, bool interrupt) {
  begin_reset();
  state_.device = 0;
  state_.error = 0x01;  // diagnostic code: this device passed, and so did device 1
  finish(reset_drive(hardware), interrupt);
}

void IdeDrive::restored() {
  state_.buffer_end = std::min(state_.buffer_end, kIdeBufferBytes);
  state_.block_end = std::min(state_.block_end, kIdeBufferBytes);
  state_.position = std::min(state_.position, state_.block_end);
  if (state_.transfer > IdeTransfer::kDmaOut || state_.position == state_.block_end) {
    // A block in progress has bytes left; anything else is no data port transfer.
    if (!wants_dma()) state_.transfer = IdeTransfer::kNone;
  }
  if (state_.queue_error_tag > 31) state_.queue_error_tag = kNoQueueError;
  clamp_state();
  timer_.cancel();
  if (state_.deadline != Scheduler::kNever) timer_.arm_at(state_.deadline);
}

void IdeDrive::finish(u8 status, bool interrupt) {
  state_.status = kAtaBsy;
  state_.pending_status = status;
  state_.pending_interrupt = interrupt;
  state_.deadline = scheduler_.now() + kIdeCompletionDelayNs;
  timer_.arm_at(state_.deadline);
}

void IdeDrive::complete() {
  state_.deadline = Scheduler::kNever;
  if (!(state_.status & kAtaBsy)) return host_.queue_ended(std::exchange(state_.queue_done, 0));
  state_.status = state_.pending_status;
  if (state_.pending_interrupt) {
    state_.interrupt = true;
    host_.interrupt_changed();
  }
  host_.busy_ended();
}

void IdeDrive::fail(u8 error, u8 extra_status) {
  state_.transfer = IdeTransfer::kNone;
  state_.error = error;
  finish(static_cast<u8>(kAtaDrdy | kAtaDsc | kAtaErr | extra_status));
}

void IdeDrive::succeed() {
  state_.transfer = IdeTransfer::kNone;
  state_.error = 0;
  finish(kAtaDrdy | kAtaDsc);
}

void IdeDrive::succeed_queued(u8 tag) {
  state_.transfer = IdeTransfer::kNone;
  state_.error = 0;
  state_.status = kAtaDrdy | kAtaDsc;
  state_.queue_done |= u32{1} << tag;
  report_queue_later();
}

void IdeDrive::fail_queued(u8 tag, u8 error) {
  state_.transfer = IdeTransfer::kNone;
  state_.error = error;
  state_.status = kAtaDrdy | kAtaDsc | kAtaErr;
  state_.queue_error_tag = tag;
  state_.queue_error_code = error;
  state_.queue_error_lba = state_.lba;
  report_queue_later();
}

/// Commands that end soon after each other are reported together.
void IdeDrive::report_queue_later() {
  if (state_.deadline != Scheduler::kNever) return;
  state_.deadline = scheduler_.now() + kIdeCompletionDelayNs;
  timer_.arm_at(state_.deadline);
}

void IdeDrive::offer_block(IdeTransfer transfer, u32 end) {
  state_.transfer = transfer;
  state_.block_end = end;
  state_.error = 0;
  finish(kAtaDrdy | kAtaDsc | kAtaDrq);
}

void IdeDrive::request_dma(IdeTransfer transfer) {
  state_.transfer = transfer;
  state_.error = 0;
  state_.status = kAtaDrdy | kAtaDsc | kAtaDrq;
  host_.dma_requested();
}

void IdeDrive::set_signature(u8 mid, u8 high) {
  state_.previous = {};
  reg(IdeRegister::kCount) = 1;
  reg(IdeRegister::kLbaLow) = 1;
  reg(IdeRegister::kLbaMid) = mid;
  reg(IdeRegister::kLbaHigh) = high;
}

void IdeDrive::put_place(std::span<u16> words, bool queueing) const {
  if (place_ != DrivePlace::kSata) {
    words[93] = place_ == DrivePlace::kDevice0 ? 0x600b : 0x6b00;  // 80-wire cable, jumper
    return;
  }
  words[76] = 0x0006;  // 1.5 and 3 Gbit/s
  words[80] |= 0x0180;
  if (!queueing) return;
  words[75] = 31;  // queue depth - 1
  words[76] |= 0x0100;
}

void IdeDrive::put_checksum() {
  u8 sum = 0;
  for (unsigned i = 0; i < 511; ++i) sum = static_cast<u8>(sum + state_.buffer[i]);
  state_.buffer[511] = static_cast<u8>(-sum);
}

void put_ata_string(std::span<u8> words, std::string_view text) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[i ^ 1] = i < text.size() ? static_cast<u8>(text[i]) : u8{' '};
  }
}

}  // namespace dragoman
