#include "devices/ide/atapi_cdrom.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace dragoman {
namespace {

constexpr u32 kSectorBytes = 2048;
constexpr u32 kBufferSectors = kIdeBufferBytes / kSectorBytes;
constexpr u32 kStagingSectors = 32;
constexpr u8 kNoMode = 0xff;

// Interrupt reason (the count register, ATA/ATAPI-6, 7.11).
constexpr u8 kReasonCommand = 0x01;  // CoD
constexpr u8 kReasonToHost = 0x02;   // IO

}  // namespace

AtapiCdrom::AtapiCdrom(std::string name, IdeDriveState& state, IdeDriveHost& host,
                       Scheduler& scheduler, Log& log, DrivePlace place,
                       std::shared_ptr<BlockImage> medium, std::string serial)
    : IdeDrive(std::move(name), state, host, scheduler, log, place),
      medium_(std::move(medium)),
      serial_(std::move(serial)),
      staging_(kStagingSectors * kSectorBytes) {
  medium_changed();
}

void AtapiCdrom::medium_changed() {
  sessions_ = medium_ != nullptr ? find_cd_sessions(*medium_) : std::vector<CdSession>(1);
}

std::size_t AtapiCdrom::session_of(u32 lba) const {
  std::size_t found = 0;
  while (found + 1 < sessions_.size() && sessions_[found + 1].start <= lba) ++found;
  return found;
}

u8 AtapiCdrom::reset_drive(bool hardware) {
  set_signature(0x14, 0xeb);
  if (hardware) {
    state_.sense_key = state_.sense_code = state_.sense_qualifier = 0;
    state_.attention = 0x29;
    state_.media_event = 0;
    state_.tray_locked = false;
    state_.multiword_mode = kNoMode;
    state_.ultra_mode = kNoMode;
    state_.retries = 5;
  }
  return 0;  // a packet device shows DRDY only after its first command (9.12)
}

void AtapiCdrom::clamp_state() {
  state_.byte_count_limit = std::max<u16>(state_.byte_count_limit, 2);
  const u32 total = sectors();
  if (state_.lba > total || state_.remaining > total - state_.lba) {
    state_.lba = 0;
    state_.remaining = 0;
  }
}

void AtapiCdrom::set_medium(std::shared_ptr<BlockImage> medium) {
  medium_ = std::move(medium);
  medium_changed();
  state_.tray_open = false;
  state_.remaining = 0;  // a transfer under way ends with what the buffer holds
  state_.media_event = medium_ != nullptr ? 2 : 3;  // new media, media removal
  if (medium_ != nullptr) state_.attention = 0x28;
}

u32 AtapiCdrom::sectors() const {
  if (medium_ == nullptr) return 0;
  const u64 count = (medium_->size() + kSectorBytes - 1) / kSectorBytes;
  return static_cast<u32>(std::min<u64>(count, 0x7fffffff));
}

void AtapiCdrom::execute(u8 command) {
  switch (command) {
    case 0x08:  // DEVICE RESET
      begin_reset();
      state_.error = 0x01;
      return finish(reset_drive(false), false);
    case 0xa0:  // PACKET
      return start_packet();
    case 0xa1:  // IDENTIFY PACKET DEVICE
      return identify();
    case 0x20:  // READ SECTORS and IDENTIFY DEVICE answer with the signature (8.15, 8.28)
    case 0xec:
      set_signature(0x14, 0xeb);
      return fail(kAtaAbrt);
    case 0x95:  // IDLE, STANDBY, SLEEP in their immediate forms
    case 0x94:
    case 0xe0:
    case 0xe1:
    case 0xe6:
      return succeed();
    case 0xe5:  // CHECK POWER MODE
      reg(IdeRegister::kCount) = 0xff;
      return succeed();
    case 0xef: {  // SET FEATURES: transfer mode only
      const u8 value = reg(IdeRegister::kCount);
      const u8 mode = value & 7;
      if (reg(IdeRegister::kFeatures) != 0x03) return fail(kAtaAbrt);
      if ((value >> 3) == 4 && mode <= 2) {
        state_.multiword_mode = mode;
        state_.ultra_mode = kNoMode;
      } else if ((value >> 3) == 8 && mode <= 5) {
        state_.ultra_mode = mode;
        state_.multiword_mode = kNoMode;
      } else if (!((value >> 3) == 1 && mode <= 4) && value > 1) {
        return fail(kAtaAbrt);
      }
      return succeed();
    }
    default:
      return fail(kAtaAbrt);
  }
}

void AtapiCdrom::start_packet() {
  if (reg(IdeRegister::kFeatures) & 0x02) return fail(kAtaAbrt);  // overlap
  u32 limit = reg(IdeRegister::kLbaMid) | static_cast<u32>(reg(IdeRegister::kLbaHigh)) << 8;
  // FFFFh means FFFEh, and an odd limit only fits a block that ends the transfer (8.23). Zero is
  // not valid with data; it is taken as the largest.
  if (limit == 0 || limit == 0xffff) limit = 0xfffe;
  state_.byte_count_limit = static_cast<u16>(std::max<u32>(limit & ~1u, 2));
  reg(IdeRegister::kCount) = kReasonCommand;
  state_.transfer = IdeTransfer::kPacket;
  state_.position = 0;
  state_.block_end = static_cast<u32>(state_.packet.size());
  state_.error = 0;
  state_.status = kAtaDrdy | kAtaDsc | kAtaDrq;  // DRQ without an interrupt, as IDENTIFY says
}

void AtapiCdrom::packet_complete() {
  state_.transfer = IdeTransfer::kNone;
  state_.error = 0;
  reg(IdeRegister::kCount) = kReasonCommand | kReasonToHost;
  finish(kAtaDrdy | kAtaDsc);
}

void AtapiCdrom::check_condition(u8 key, u8 code, u8 qualifier) {
  state_.sense_key = key;
  state_.sense_code = code;
  state_.sense_qualifier = qualifier;
  reg(IdeRegister::kCount) = kReasonCommand | kReasonToHost;
  fail(static_cast<u8>(key << 4 | kAtaAbrt));
}

void AtapiCdrom::reply(u32 count, u32 allocation) {
  count = std::min(count, allocation);
  if (count == 0) return packet_complete();
  state_.remaining = 0;
  state_.position = 0;
  state_.buffer_end = count;
  if (reg(IdeRegister::kFeatures) & 1) return request_dma(IdeTransfer::kDmaIn);
  next_block();
}

void AtapiCdrom::send_sectors(u32 lba, u32 count) {
  if (count == 0) return packet_complete();
  state_.lba = lba;
  state_.remaining = count;
  state_.position = 0;
  state_.buffer_end = 0;
  if (reg(IdeRegister::kFeatures) & 1) return request_dma(IdeTransfer::kDmaIn);
  next_block();
}

void AtapiCdrom::receive_parameters(u32 count) {
  if (count == 0) return packet_complete();
  if (count > kIdeBufferBytes) return check_condition(5, 0x1a);  // parameter list length error
  state_.remaining = 0;
  state_.position = 0;
  state_.buffer_end = count;
  if (reg(IdeRegister::kFeatures) & 1) return request_dma(IdeTransfer::kDmaOut);
  next_block();
}

/// Reads `count` sectors from state_.lba on; the image may end inside the last one.
bool AtapiCdrom::load_sectors(std::span<u8> out, u32 count) {
  if (medium_ == nullptr) {
    check_condition(2, 0x3a);
    return false;
  }
  const u64 offset = state_.lba * kSectorBytes;
  const u64 size = medium_->size();
  const u64 there = std::min<u64>(out.size(), offset < size ? size - offset : 0);
  if (auto result = medium_->read(offset, out.first(there)); !result) {
    log_.write_line(name() + ": " + result.error().message);
    check_condition(3, 0x11);  // unrecovered read error
    return false;
  }
  std::fill(out.begin() + static_cast<std::ptrdiff_t>(there), out.end(), u8{0});
  state_.lba += count;
  state_.remaining -= count;
  return true;
}

/// Offers the next DRQ block of a PIO transfer, or ends the command.
void AtapiCdrom::next_block() {
  const bool receiving = state_.packet[0] == 0x15 || state_.packet[0] == 0x55;  // MODE SELECT
  if (state_.position == state_.buffer_end) {
    if (receiving) return mode_select_data();
    if (state_.remaining == 0) return packet_complete();
    const u32 count = std::min(state_.remaining, kBufferSectors);
    if (!load_sectors(buffer(0, count * kSectorBytes), count)) return;
    state_.position = 0;
    state_.buffer_end = count * kSectorBytes;
  }
  const u32 count = std::min<u32>(state_.buffer_end - state_.position, state_.byte_count_limit);
  reg(IdeRegister::kCount) = receiving ? 0 : kReasonToHost;
  reg(IdeRegister::kLbaMid) = static_cast<u8>(count);
  reg(IdeRegister::kLbaHigh) = static_cast<u8>(count >> 8);
  offer_block(receiving ? IdeTransfer::kPioOut : IdeTransfer::kPioIn, state_.position + count);
}

void AtapiCdrom::block_done() {
  if (state_.command == 0xa1) {  // IDENTIFY PACKET DEVICE is a plain PIO command
    state_.transfer = IdeTransfer::kNone;
    state_.status = kAtaDrdy | kAtaDsc;
    return;
  }
  if (state_.transfer != IdeTransfer::kPacket) return next_block();
  state_.transfer = IdeTransfer::kNone;
  std::copy_n(state_.buffer.begin(), state_.packet.size(), state_.packet.begin());
  execute_packet();
}

void AtapiCdrom::run_dma(IdeDma& dma) {
  const auto transfer = std::exchange(state_.transfer, IdeTransfer::kNone);
  if (transfer == IdeTransfer::kDmaOut) {
    if (!dma.from_memory(buffer(0, state_.buffer_end))) return;  // waits until it is reset
    state_.position = state_.buffer_end;
    return mode_select_data();
  }
  if (state_.buffer_end != 0 && !dma.to_memory(buffer(0, state_.buffer_end))) return;
  while (state_.remaining != 0) {
    const u32 count = std::min(state_.remaining, kStagingSectors);
    const auto data = std::span(staging_).first(count * kSectorBytes);
    if (!load_sectors(data, count)) return;
    if (!dma.to_memory(data)) return;
  }
  packet_complete();
}

void AtapiCdrom::identify() {
  std::array<u16, 256> words{};
  const auto put_text = [&](unsigned word, unsigned count, std::string_view text) {
    put_ata_string({reinterpret_cast<u8*>(&words[word]), count * 2}, text);
  };
  words[0] = 0x85c0;  // ATAPI, CD-ROM, removable, DRQ within 50 us of PACKET, 12-byte packets
  put_text(10, 10, serial_);
  put_text(23, 4, "1.0");
  put_text(27, 20, "DRAGOMAN CD-ROM");
  words[49] = 0x0f00;  // DMA, LBA, IORDY
  words[53] = 0x0006;
  const auto selected = [](u8 mode) { return mode == kNoMode ? 0u : 0x100u << mode; };
  words[63] = static_cast<u16>(0x0007 | selected(state_.multiword_mode));
  words[64] = 0x0003;
  for (unsigned i = 65; i <= 68; ++i) words[i] = 120;
  words[80] = 0x0070;  // ATA/ATAPI-4 to -6
  words[82] = 0x0210;  // DEVICE RESET, PACKET
  words[83] = 0x4000;
  words[84] = 0x4000;
  words[85] = 0x0210;
  words[87] = 0x4000;
  words[88] = static_cast<u16>(0x003f | selected(state_.ultra_mode));
  put_place(words, false);
  std::memcpy(state_.buffer.data(), words.data(), 512);
  state_.remaining = 0;
  state_.position = 0;
  offer_block(IdeTransfer::kPioIn, 512);
}

}  // namespace dragoman
