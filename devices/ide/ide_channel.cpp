#include "devices/ide/ide_channel.h"

#include <algorithm>

namespace dragoman {
namespace {

// Device control register (ATA/ATAPI-6, 7.8).
constexpr u8 kNoInterrupt = 0x02;
constexpr u8 kSoftwareReset = 0x04;
constexpr u8 kHighOrderByte = 0x80;

// Bus master registers (PIIX3, 2.6).
constexpr u8 kStart = 0x01;
constexpr u8 kToMemory = 0x08;
constexpr u8 kActive = 0x01;
constexpr u8 kError = 0x02;
constexpr u8 kInterrupt = 0x04;
constexpr u8 kDriveCapable = 0x60;

constexpr u32 kMaxDescriptors = 65536 / 8;  // a table does not cross a 64 KiB boundary
constexpr u8 kFloating = 0x7f;  // an empty channel: DD7 is pulled down (ATA/ATAPI-6, 5.2)

}  // namespace

IdeChannel::IdeChannel(std::string name, IdeChannelState& state, PciFunction& function, IrqLine irq,
                       Log& log)
    : name_(std::move(name)), state_(state), function_(function), irq_(irq), log_(log) {}

u8 IdeChannel::read_byte(unsigned offset) const {
  const auto reg = static_cast<IdeRegister>(offset);
  const bool hob = (state_.control & kHighOrderByte) != 0;
  if (selected() != nullptr) return selected()->read_register(reg, hob);
  const IdeDrive* other = drives_[state_.selected ^ 1].get();
  // Device 0 answers for an absent device 1, status and error as zero (ATA/ATAPI-6, 9.16.1).
  if (other == nullptr || state_.selected == 0) return kFloating;
  if (reg == IdeRegister::kCommand || reg == IdeRegister::kFeatures) return 0;
  return other->read_register(reg, hob);
}

u8 IdeChannel::read_alternate_status() const { return read_byte(7); }

u32 IdeChannel::read_command_block(unsigned offset, unsigned size) {
  if (offset == 0) {
    return selected() != nullptr ? selected()->read_data(std::max(size, 2u)) : ~u32{0};
  }
  u32 value = 0;
  for (unsigned i = 0; i < size; ++i) {
    value |= u32{read_byte((offset + i) & 7)} << (8 * i);
    if (offset + i == 7 && selected() != nullptr) {
      selected()->acknowledge_interrupt();
      interrupt_changed();
    }
  }
  return value;
}

void IdeChannel::write_command_block(unsigned offset, unsigned size, u32 value) {
  if (offset == 0) {
    if (selected() != nullptr) selected()->write_data(std::max(size, 2u), value);
    return;
  }
  for (unsigned i = 0; i < size && offset + i < 8; ++i) {
    write_byte(offset + i, static_cast<u8>(value >> (8 * i)));
  }
}

void IdeChannel::write_byte(unsigned offset, u8 value) {
  constexpr u8 kDiagnostic = 0x90;
  state_.control &= static_cast<u8>(~kHighOrderByte);
  const auto reg = static_cast<IdeRegister>(offset);
  if (reg == IdeRegister::kCommand) {
    if (value == kDiagnostic) {
      diagnose();
    } else if (selected() != nullptr) {
      selected()->write_command(value);
    }
    return;
  }
  if (reg == IdeRegister::kDevice) state_.selected = value >> 4 & 1;
  for (auto& drive : drives_) {
    if (drive != nullptr) drive->write_register(reg, value);
  }
  if (reg == IdeRegister::kDevice) interrupt_changed();  // INTRQ is the selected drive's
}

/// EXECUTE DEVICE DIAGNOSTIC: both drives take part, device 0 (or a lone device 1) reports.
void IdeChannel::diagnose() {
  state_.selected = 0;
  bool reported = false;
  for (auto& drive : drives_) {
    if (drive == nullptr) continue;
    drive->end_reset(false, !reported);
    reported = true;
  }
}

void IdeChannel::write_control(u8 value) {
  const bool was_reset = (state_.control & kSoftwareReset) != 0;
  const bool is_reset = (value & kSoftwareReset) != 0;
  state_.control = value;
  for (auto& drive : drives_) {
    if (drive == nullptr) continue;
    if (is_reset && !was_reset) drive->begin_reset();
    if (was_reset && !is_reset) drive->end_reset(false, false);
  }
  if (is_reset) state_.selected = 0;
  interrupt_changed();  // nIEN
}

void IdeChannel::interrupt_changed() {
  const IdeDrive* drive = selected();
  const bool level = drive != nullptr && drive->interrupt() && (state_.control & kNoInterrupt) == 0;
  if (level && !state_.line) state_.bus_master_status |= kInterrupt;  // set by the rising edge
  state_.line = level;
  irq_.set(level);
}

u8 IdeChannel::read_bus_master(unsigned offset) const {
  switch (offset) {
    case 0:
      return state_.bus_master_command;
    case 2:
      return state_.bus_master_status;
    case 4:
    case 5:
    case 6:
    case 7:
      return static_cast<u8>(state_.descriptor_table >> (8 * (offset - 4)));
    default:
      return 0;
  }
}

void IdeChannel::write_bus_master(unsigned offset, u8 value) {
  switch (offset) {
    case 0: {
      const bool was_started = (state_.bus_master_command & kStart) != 0;
      state_.bus_master_command = value & (kStart | kToMemory);
      if ((value & kStart) == 0) {
        state_.bus_master_status &= static_cast<u8>(~kActive);
      } else if (!was_started) {
        state_.bus_master_status |= kActive;
        run_bus_master();
      }
      break;
    }
    case 2:
      state_.bus_master_status = static_cast<u8>(
          (state_.bus_master_status & ~kDriveCapable & ~(value & (kError | kInterrupt))) |
          (value & kDriveCapable));
      break;
    case 4:
    case 5:
    case 6:
    case 7: {
      const unsigned shift = 8 * (offset - 4);
      state_.descriptor_table =
          ((state_.descriptor_table & ~(u32{0xff} << shift)) | u32{value} << shift) & ~u32{3};
      break;
    }
    default:
      break;
  }
}

void IdeChannel::dma_requested() {
  if ((state_.bus_master_status & kActive) != 0) run_bus_master();
}

void IdeChannel::run_bus_master() {
  IdeDrive* drive = selected();
  // A region may name registers that lead back here.
  if (drive == nullptr || !drive->wants_dma() || running_ || !function_.bus_master()) return;
  if (drive->dma_writes_memory() != ((state_.bus_master_command & kToMemory) != 0)) {
    return bus_master_error("the direction does not fit the command");
  }
  running_ = true;
  next_entry_ = state_.descriptor_table;
  entries_read_ = 0;
  region_left_ = 0;
  last_entry_ = false;
  drive->run_dma(*this);
  running_ = false;
  // Interrupt without active: the table was used up exactly; with active: it had more.
  if (last_entry_ && region_left_ == 0) state_.bus_master_status &= static_cast<u8>(~kActive);
}

void IdeChannel::bus_master_error(std::string_view what) {
  log_.write(LogCategory::kGuestErrors, "{}: bus master: {}", name_, what);
  state_.bus_master_status = static_cast<u8>((state_.bus_master_status & ~kActive) | kError);
}

bool IdeChannel::next_descriptor() {
  if (region_left_ != 0) return true;
  if (last_entry_) {
    // Shorter than the command: active ends without an interrupt (PIIX3, 3.4, table 7).
    log_.write(LogCategory::kGuestErrors, "{}: bus master: descriptors end before the data", name_);
    state_.bus_master_status &= static_cast<u8>(~kActive);
    return false;
  }
  if (entries_read_ == kMaxDescriptors) {
    bus_master_error("the descriptor table has no end");
    return false;
  }
  MemoryMap& memory = function_.spaces().memory;
  if (memory.page(PhysicalAddress(next_entry_)).read == nullptr) {
    bus_master_error("the descriptor table is not in memory");  // master abort
    return false;
  }
  region_ = memory.load<u32>(PhysicalAddress(next_entry_)) & ~u32{1};
  const u32 second = memory.load<u32>(PhysicalAddress(next_entry_ + 4));
  region_left_ = second & 0xfffe;
  if (region_left_ == 0) region_left_ = 0x10000;
  last_entry_ = (second & 0x80000000) != 0;
  ++entries_read_;
  next_entry_ = (next_entry_ & 0xffff0000) | ((next_entry_ + 8) & 0xffff);
  return true;
}

bool IdeChannel::to_memory(std::span<const u8> data) {
  while (!data.empty()) {
    if (!next_descriptor()) return false;
    const u32 n = static_cast<u32>(std::min<u64>(data.size(), region_left_));
    function_.spaces().memory.write_bytes(PhysicalAddress(region_), data.first(n));
    region_ += n;
    region_left_ -= n;
    data = data.subspan(n);
  }
  return true;
}

bool IdeChannel::from_memory(std::span<u8> data) {
  while (!data.empty()) {
    if (!next_descriptor()) return false;
    const u32 n = static_cast<u32>(std::min<u64>(data.size(), region_left_));
    function_.spaces().memory.read_bytes(PhysicalAddress(region_), data.first(n));
    region_ += n;
    region_left_ -= n;
    data = data.subspan(n);
  }
  return true;
}

void IdeChannel::hardware_reset() {
  for (auto& drive : drives_) {
    if (drive != nullptr) drive->end_reset(true, false);
  }
}

void IdeChannel::restored() {
  state_.selected &= 1;
  for (auto& drive : drives_) {
    if (drive != nullptr) drive->restored();
  }
  irq_.set(state_.line);
}

}  // namespace dragoman
