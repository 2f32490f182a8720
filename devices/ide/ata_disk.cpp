#include "devices/ide/ata_disk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/bits.h"

namespace dragoman {
namespace {

constexpr u32 kSectorBytes = 512;
constexpr u32 kStagingSectors = 128;
constexpr u64 kMaxLba28 = 0x0fffffff;
constexpr u8 kAsleep =
    1;  // power: not an answer of CHECK POWER MODE, an asleep drive answers nothing
constexpr u8 kActive = 0xff;
constexpr u8 kIdle = 0x80;
constexpr u8 kStandby = 0x00;
constexpr u8 kNoMode = 0xff;
constexpr u8 kDefaultHeads = 16;
constexpr u8 kDefaultSectors = 63;

}  // namespace

AtaDisk::AtaDisk(std::string name, IdeDriveState& state, IdeDriveHost& host, Scheduler& scheduler,
                 Log& log, DrivePlace place, std::shared_ptr<BlockImage> image, std::string serial)
    : IdeDrive(std::move(name), state, host, scheduler, log, place),
      image_(std::move(image)),
      serial_(std::move(serial)),
      total_sectors_(std::min<u64>(image_->size() / kSectorBytes, bit(48) - 1)),
      staging_(kStagingSectors * kSectorBytes) {}

u8 AtaDisk::reset_drive(bool hardware) {
  set_signature(0, 0);
  state_.power = kActive;
  if (hardware) {
    state_.heads = kDefaultHeads;
    state_.sectors_per_track = kDefaultSectors;
    state_.multiple = 0;
    state_.write_cache = true;
    state_.look_ahead = true;
    state_.multiword_mode = kNoMode;
    state_.ultra_mode = kNoMode;
  }
  return kAtaDrdy | kAtaDsc;
}

void AtaDisk::clamp_state() {
  state_.heads = std::clamp<u8>(state_.heads, 1, 16);
  state_.sectors_per_track = std::max<u8>(state_.sectors_per_track, 1);
  state_.multiple = std::min(state_.multiple, kIdeMaxMultiple);
  state_.remaining = std::min<u32>(state_.remaining, 65536);
  if (state_.lba > total_sectors_ || state_.remaining > total_sectors_ - state_.lba) {
    state_.lba = 0;
    state_.remaining = 0;
    if (state_.transfer != IdeTransfer::kPioIn) state_.transfer = IdeTransfer::kNone;
  }
}

void AtaDisk::execute(u8 command) {
  if (state_.power == kAsleep) return;  // only a reset wakes it (ATA/ATAPI-6, 8.40)
  if (place_ == DrivePlace::kSata) {
    if (queued()) return start_queued(command == 0x60);
    // Any other command ends those in the queue, and itself with an error (ATA8-ACS, 4.14.1).
    if (std::exchange(state_.queue_done, 0) != 0) return fail(kAtaAbrt);
    if (command == 0x2f) return read_log();
  }
  switch (command) {
    case 0x20:  // READ SECTORS
    case 0x21:
      return start_read(Kind::kPio, false);
    case 0x24:  // READ SECTORS EXT
      return start_read(Kind::kPio, true);
    case 0x25:  // READ DMA EXT
      return start_read(Kind::kDma, true);
    case 0x29:  // READ MULTIPLE EXT
      return start_read(Kind::kMultiple, true);
    case 0x40:  // READ VERIFY SECTORS
    case 0x41:
      return start_read(Kind::kVerify, false);
    case 0x42:  // READ VERIFY SECTORS EXT
      return start_read(Kind::kVerify, true);
    case 0xc4:  // READ MULTIPLE
      return start_read(Kind::kMultiple, false);
    case 0xc8:  // READ DMA
    case 0xc9:
      return start_read(Kind::kDma, false);
    case 0x30:  // WRITE SECTORS
    case 0x31:
      return start_write(Kind::kPio, false);
    case 0x34:  // WRITE SECTORS EXT
      return start_write(Kind::kPio, true);
    case 0x35:  // WRITE DMA EXT
    case 0x3d:  // WRITE DMA FUA EXT
      return start_write(Kind::kDma, true);
    case 0x39:  // WRITE MULTIPLE EXT
    case 0xce:  // WRITE MULTIPLE FUA EXT
      return start_write(Kind::kMultiple, true);
    case 0xc5:  // WRITE MULTIPLE
      return start_write(Kind::kMultiple, false);
    case 0xca:  // WRITE DMA
    case 0xcb:
      return start_write(Kind::kDma, false);
    default:
      return execute_non_data(command);
  }
}

void AtaDisk::execute_non_data(u8 command) {
  if ((command & 0xf0) == 0x10) return succeed();  // RECALIBRATE
  switch (command) {
    case 0x27:  // READ NATIVE MAX ADDRESS EXT
      return read_native_max(true);
    case 0xf8:  // READ NATIVE MAX ADDRESS
      return read_native_max(false);
    case 0x70:  // SEEK
      if (take_address(false)) succeed();
      return;
    case 0x91: {  // INITIALIZE DEVICE PARAMETERS
      const u8 sectors = reg(IdeRegister::kCount);
      if (sectors == 0) return fail(kAtaAbrt);
      state_.sectors_per_track = sectors;
      state_.heads = static_cast<u8>((state_.device & 0x0f) + 1);
      return succeed();
    }
    case 0x94:  // STANDBY IMMEDIATE, STANDBY and their old codes
    case 0x96:
    case 0xe0:
    case 0xe2:
      state_.power = kStandby;
      return succeed();
    case 0x95:  // IDLE IMMEDIATE, IDLE
    case 0x97:
    case 0xe1:
    case 0xe3:
      state_.power = kIdle;
      return succeed();
    case 0x98:  // CHECK POWER MODE
    case 0xe5:
      reg(IdeRegister::kCount) = state_.power;
      return succeed();
    case 0x99:  // SLEEP
    case 0xe6:
      state_.power = kAsleep;
      return succeed();
    case 0xa1:  // IDENTIFY PACKET DEVICE: not one, and the signature says so (8.16)
      set_signature(0, 0);
      return fail(kAtaAbrt);
    case 0xc6: {  // SET MULTIPLE MODE
      const u8 count = reg(IdeRegister::kCount);
      if (count > kIdeMaxMultiple || (count & (count - 1)) != 0) return fail(kAtaAbrt);
      state_.multiple = count;
      return succeed();
    }
    case 0xe7:  // FLUSH CACHE
    case 0xea:  // FLUSH CACHE EXT
      return flush_then_succeed();
    case 0xec:  // IDENTIFY DEVICE
      return identify();
    case 0xef:
      return set_features();
    default:
      // NOP aborts by definition; so do the feature sets IDENTIFY does not offer (SMART,
      // SECURITY, DEVICE CONFIGURATION, SET MAX, PACKET ...).
      return fail(kAtaAbrt);
  }
}

u64 AtaDisk::extended_address() const {
  u64 lba = 0;
  for (unsigned i = 0; i < 3; ++i) {
    lba |= u64{state_.registers[3 + i]} << (8 * i) | u64{state_.previous[3 + i]} << (24 + 8 * i);
  }
  return lba;
}

bool AtaDisk::in_range() const {
  return state_.lba < total_sectors_ && state_.remaining <= total_sectors_ - state_.lba;
}

bool AtaDisk::take_address(bool extended) {
  const u32 low = reg(IdeRegister::kLbaLow);
  const u32 mid = reg(IdeRegister::kLbaMid);
  const u32 high = reg(IdeRegister::kLbaHigh);
  u32 count = reg(IdeRegister::kCount);
  bool found = true;
  if (extended) {
    state_.addressing = 2;
    count |= u32{previous(IdeRegister::kCount)} << 8;
    if (count == 0) count = 65536;
    state_.lba = extended_address();
  } else {
    if (count == 0) count = 256;
    if (state_.device & 0x40) {
      state_.addressing = 1;
      state_.lba = low | mid << 8 | high << 16 | (state_.device & 0x0fu) << 24;
    } else {
      state_.addressing = 0;
      const u32 cylinder = mid | high << 8;
      const u32 head = state_.device & 0x0f;
      found = low >= 1 && low <= state_.sectors_per_track && head < state_.heads;
      state_.lba =
          (u64{cylinder} * state_.heads + head) * state_.sectors_per_track + (found ? low - 1 : 0);
    }
  }
  state_.remaining = state_.command == 0x70 ? 1 : count;  // SEEK has no count
  if (!found || !in_range()) {
    state_.remaining = 0;
    fail(kAtaIdnf);
    return false;
  }
  state_.power = kActive;
  return true;
}

void AtaDisk::put_address(u64 lba) {
  const auto put = [&](u64 value) {
    reg(IdeRegister::kLbaLow) = static_cast<u8>(value);
    reg(IdeRegister::kLbaMid) = static_cast<u8>(value >> 8);
    reg(IdeRegister::kLbaHigh) = static_cast<u8>(value >> 16);
  };
  if (state_.addressing == 0) {
    const u64 track = lba / state_.sectors_per_track;
    const u64 cylinder = track / state_.heads;
    put((lba % state_.sectors_per_track + 1) | cylinder << 8);
    state_.device = static_cast<u8>((state_.device & 0xf0) | (track % state_.heads));
    return;
  }
  put(lba);
  if (state_.addressing == 1) {
    state_.device = static_cast<u8>((state_.device & 0xf0) | (lba >> 24 & 0x0f));
  } else {
    state_.previous[3] = static_cast<u8>(lba >> 24);
    state_.previous[4] = static_cast<u8>(lba >> 32);
    state_.previous[5] = static_cast<u8>(lba >> 40);
  }
}

/// Moves on: the task file shows the last sector moved and how many remain.
void AtaDisk::advance(u32 sectors) {
  state_.lba += sectors;
  state_.remaining -= sectors;
  if (queued()) return;  // the task file holds the tag and is free for the next command
  put_address(state_.lba - 1);
  reg(IdeRegister::kCount) = static_cast<u8>(state_.remaining);
  if (state_.addressing == 2) state_.previous[2] = static_cast<u8>(state_.remaining >> 8);
}

u32 AtaDisk::block_sectors() const {
  switch (state_.command) {
    case 0x29:
    case 0x39:
    case 0xc4:
    case 0xc5:
    case 0xce:
      return std::max<u32>(state_.multiple, 1);
    default:
      return 1;
  }
}

void AtaDisk::start_read(Kind kind, bool extended) {
  if (kind == Kind::kMultiple && state_.multiple == 0) return fail(kAtaAbrt);
  if (!take_address(extended)) return;
  if (kind == Kind::kDma) return request_dma(IdeTransfer::kDmaIn);
  if (kind == Kind::kVerify) {
    while (state_.remaining != 0) {
      const u32 n = std::min(state_.remaining, kStagingSectors);
      const auto data = std::span(staging_).first(n * kSectorBytes);
      if (auto result = image_->read(state_.lba * kSectorBytes, data); !result) {
        return host_failed(result.error(), false);
      }
      advance(n);
    }
    return succeed();
  }
  load_block();
}

void AtaDisk::load_block() {
  const u32 n = std::min(state_.remaining, block_sectors());
  auto result = image_->read(state_.lba * kSectorBytes, buffer(0, n * kSectorBytes));
  if (!result) return host_failed(result.error(), false);
  advance(n);
  state_.position = 0;
  offer_block(IdeTransfer::kPioIn, n * kSectorBytes);
}

void AtaDisk::start_write(Kind kind, bool extended) {
  if (kind == Kind::kMultiple && state_.multiple == 0) return fail(kAtaAbrt);
  if (image_->read_only()) return fail(kAtaAbrt);
  if (!take_address(extended)) return;
  if (kind == Kind::kDma) return request_dma(IdeTransfer::kDmaOut);
  // The first block is asked for at once and without an interrupt (ATA/ATAPI-6, 9.6).
  prepare_write_block();
  state_.error = 0;
  state_.status = kAtaDrdy | kAtaDsc | kAtaDrq;
}

void AtaDisk::prepare_write_block() {
  state_.transfer = IdeTransfer::kPioOut;
  state_.position = 0;
  state_.block_end = std::min(state_.remaining, block_sectors()) * kSectorBytes;
}

void AtaDisk::block_done() {
  if (state_.transfer == IdeTransfer::kPioIn) {
    if (state_.remaining != 0) return load_block();
    state_.transfer = IdeTransfer::kNone;
    state_.status = kAtaDrdy | kAtaDsc;
    return;
  }
  const u32 n = std::min(state_.block_end / kSectorBytes, state_.remaining);
  auto result = image_->write(state_.lba * kSectorBytes, buffer(0, n * kSectorBytes));
  if (!result) return host_failed(result.error(), true);
  advance(n);
  if (state_.remaining != 0) {
    prepare_write_block();
    return finish(kAtaDrdy | kAtaDsc | kAtaDrq);
  }
  if (!state_.write_cache || state_.command == 0xce) return flush_then_succeed();
  succeed();
}

void AtaDisk::run_dma(IdeDma& dma) {
  const bool reading = state_.transfer == IdeTransfer::kDmaIn;
  while (state_.remaining != 0) {
    const u32 n = std::min(state_.remaining, kStagingSectors);
    const auto data = std::span(staging_).first(n * kSectorBytes);
    const u64 offset = state_.lba * kSectorBytes;
    if (reading) {
      if (auto result = image_->read(offset, data); !result) {
        return host_failed(result.error(), false);
      }
    }
    if (!(reading ? dma.to_memory(data) : dma.from_memory(data))) {
      // The bus master stopped early: the drive keeps waiting with DRQ until it is reset or
      // given another command.
      state_.transfer = IdeTransfer::kNone;
      return;
    }
    if (!reading) {
      if (auto result = image_->write(offset, data); !result) {
        return host_failed(result.error(), true);
      }
    }
    advance(n);
  }
  const bool forced =
      state_.command == 0x3d || (state_.command == 0x61 && (state_.device & 0x80) != 0);  // FUA
  if (!reading && (!state_.write_cache || forced)) return flush_then_succeed();
  queued() ? succeed_queued(queue_tag()) : succeed();
}

/// READ and WRITE FPDMA QUEUED (ATA8-ACS, 7.59 and 7.140): the tag is in count 7:3, the count in
/// features. Data moves at once; that is an order like any other.
void AtaDisk::start_queued(bool reading) {
  if (state_.queue_error_tag != kNoQueueError) return;  // the queue has stopped
  const u8 tag = queue_tag();
  if (state_.queue_done >> tag & 1) return fail_queued(tag, kAtaAbrt);
  const u32 count = state_.registers[1] | u32{state_.previous[1]} << 8;
  state_.addressing = 2;
  state_.lba = extended_address();
  state_.remaining = count == 0 ? 65536 : count;
  state_.power = kActive;
  if (!in_range()) return fail_queued(tag, kAtaIdnf);
  if (!reading && image_->read_only()) return fail_queued(tag, kAtaAbrt);
  request_dma(reading ? IdeTransfer::kDmaIn : IdeTransfer::kDmaOut);
}

/// READ LOG EXT: the directory and what is known about a failed queued command (ATA8-ACS, 7.30,
/// A.7). Reading the latter lets the queue go on.
void AtaDisk::read_log() {
  const u8 address = reg(IdeRegister::kLbaLow);
  const u32 page = reg(IdeRegister::kLbaMid) | u32{previous(IdeRegister::kLbaMid)} << 8;
  const u32 count = reg(IdeRegister::kCount) | u32{previous(IdeRegister::kCount)} << 8;
  constexpr u8 kDirectory = 0x00;
  constexpr u8 kQueueError = 0x10;
  if (page != 0 || count != 1) return fail(kAtaAbrt);
  auto& log = state_.buffer;
  std::fill_n(log.begin(), kSectorBytes, u8{0});
  if (address == kDirectory) {
    log[0] = 1;                // version
    log[2 * kQueueError] = 1;  // pages of that log
  } else if (address == kQueueError) {
    const bool valid = state_.queue_error_tag != kNoQueueError;
    log[0] = valid ? state_.queue_error_tag : 0x80;  // NQ: not about a queued command
    if (valid) {
      log[2] = kAtaDrdy | kAtaDsc | kAtaErr;
      log[3] = state_.queue_error_code;
      for (unsigned i = 0; i < 3; ++i) {
        log[4 + i] = static_cast<u8>(state_.queue_error_lba >> (8 * i));
        log[8 + i] = static_cast<u8>(state_.queue_error_lba >> (24 + 8 * i));
      }
      log[7] = 0x40;
    }
    state_.queue_error_tag = kNoQueueError;
    put_checksum();
  } else {
    return fail(kAtaAbrt);
  }
  state_.remaining = 0;
  state_.position = 0;
  offer_block(IdeTransfer::kPioIn, kSectorBytes);
}

void AtaDisk::host_failed(const Error& error, bool writing) {
  log_.write_line(name() + ": " + error.message);
  if (queued()) return fail_queued(queue_tag(), writing ? kAtaAbrt : kAtaUnc);
  put_address(state_.lba);  // the first sector in error
  if (writing) {
    fail(kAtaAbrt, kAtaDf);
  } else {
    fail(kAtaUnc);
  }
}

void AtaDisk::flush_then_succeed() {
  if (auto result = image_->flush(); !result) {
    log_.write_line(name() + ": " + result.error().message);
    return queued() ? fail_queued(queue_tag(), kAtaAbrt) : fail(kAtaAbrt, kAtaDf);
  }
  queued() ? succeed_queued(queue_tag()) : succeed();
}

void AtaDisk::read_native_max(bool extended) {
  const u64 last = total_sectors_ == 0 ? 0 : total_sectors_ - 1;
  state_.addressing = extended ? 2 : 1;
  put_address(extended ? last : std::min(last, kMaxLba28 - 1));
  succeed();
}

void AtaDisk::set_features() {
  const u8 count = reg(IdeRegister::kCount);
  switch (reg(IdeRegister::kFeatures)) {
    case 0x02:
    case 0x82:
      state_.write_cache = reg(IdeRegister::kFeatures) == 0x02;
      if (!state_.write_cache) return flush_then_succeed();
      return succeed();
    case 0x03: {  // transfer mode (table 45)
      const u8 mode = count & 7;
      switch (count >> 3) {
        case 0:  // PIO default, with or without IORDY
          return mode <= 1 ? succeed() : fail(kAtaAbrt);
        case 1:  // PIO with flow control
          return mode <= 4 ? succeed() : fail(kAtaAbrt);
        case 4:
          if (mode > 2) return fail(kAtaAbrt);
          state_.multiword_mode = mode;
          state_.ultra_mode = kNoMode;
          return succeed();
        case 8:
          if (mode > 5) return fail(kAtaAbrt);
          state_.ultra_mode = mode;
          state_.multiword_mode = kNoMode;
          return succeed();
        default:
          return fail(kAtaAbrt);
      }
    }
    case 0x55:
    case 0xaa:
      state_.look_ahead = reg(IdeRegister::kFeatures) == 0xaa;
      return succeed();
    case 0x66:  // keep or revert to power-on defaults at a software reset: nothing to revert
    case 0xcc:
      return succeed();
    default:
      return fail(kAtaAbrt);
  }
}

u16 AtaDisk::cylinders(u32 heads, u32 sectors) const {
  const u64 capacity = std::min<u64>(total_sectors_, 16383u * 16 * 63);  // ATA/ATAPI-6, annex B
  return static_cast<u16>(std::clamp<u64>(capacity / (u64{heads} * sectors), 1, 65535));
}

void AtaDisk::identify() {
  std::array<u16, 256> words{};
  const auto put_text = [&](unsigned word, unsigned count, std::string_view text) {
    put_ata_string({reinterpret_cast<u8*>(&words[word]), count * 2}, text);
  };
  words[0] = 0x0040;  // fixed disk
  words[1] = std::min<u16>(cylinders(kDefaultHeads, kDefaultSectors), 16383);
  words[3] = kDefaultHeads;
  words[4] = kSectorBytes * kDefaultSectors;  // obsolete: unformatted bytes per track, sector
  words[5] = kSectorBytes;
  words[6] = kDefaultSectors;
  put_text(10, 10, serial_);
  words[20] = 3;  // dual-ported buffer with look-ahead
  words[21] = kIdeBufferBytes / kSectorBytes;
  words[22] = 4;
  put_text(23, 4, "1.0");
  put_text(27, 20, "DRAGOMAN HARDDISK");
  words[47] = 0x8000 | kIdeMaxMultiple;
  words[49] = 0x2f00;  // standby timer values, IORDY, LBA, DMA
  words[50] = 0x4000;
  words[51] = 0x0200;
  words[52] = 0x0200;
  words[53] = 0x0007;  // words 54-58, 64-70 and 88 are valid
  const u32 current_cylinders = cylinders(state_.heads, state_.sectors_per_track);
  words[54] = static_cast<u16>(current_cylinders);
  words[55] = state_.heads;
  words[56] = state_.sectors_per_track;
  const u32 current = current_cylinders * state_.heads * state_.sectors_per_track;
  words[57] = static_cast<u16>(current);
  words[58] = static_cast<u16>(current >> 16);
  words[59] = state_.multiple != 0 ? 0x0100 | state_.multiple : 0;
  const u32 lba28 = static_cast<u32>(std::min(total_sectors_, kMaxLba28));
  words[60] = static_cast<u16>(lba28);
  words[61] = static_cast<u16>(lba28 >> 16);
  const auto selected = [](u8 mode) { return mode == kNoMode ? 0u : 0x100u << mode; };
  words[63] = static_cast<u16>(0x0007 | selected(state_.multiword_mode));
  words[64] = 0x0003;                                  // PIO modes 3 and 4
  for (unsigned i = 65; i <= 68; ++i) words[i] = 120;  // cycle times in ns
  words[80] = 0x0070;                                  // ATA/ATAPI-4 to -6
  words[82] = 0x4068;  // NOP, look-ahead, write cache, power management
  words[83] = 0x7400;  // FLUSH CACHE EXT, FLUSH CACHE, 48-bit addresses
  const bool queueing = place_ == DrivePlace::kSata;
  words[48] = queueing ? 0x4000 : 1;     // ATA8-ACS: no trusted computing; before: 32-bit data port
  const u16 logs = queueing ? 0x20 : 0;  // READ LOG EXT
  words[84] = static_cast<u16>(0x4040 | logs);  // FUA writes
  words[85] =
      static_cast<u16>(0x4008 | (state_.write_cache ? 0x20 : 0) | (state_.look_ahead ? 0x40 : 0));
  words[86] = 0x3400;
  words[87] = static_cast<u16>(0x4040 | logs);
  words[88] = static_cast<u16>(0x003f | selected(state_.ultra_mode));
  put_place(words, queueing);
  for (unsigned i = 0; i < 4; ++i) words[100 + i] = static_cast<u16>(total_sectors_ >> (16 * i));
  words[106] = 0x4000;
  words[255] = 0x00a5;
  std::memcpy(state_.buffer.data(), words.data(), kSectorBytes);
  put_checksum();
  state_.remaining = 0;
  state_.position = 0;
  offer_block(IdeTransfer::kPioIn, kSectorBytes);
}

}  // namespace dragoman
