// The NVM command set and the movement of data. NVM Express 1.4, chapter 6 and 4.3.
#include <algorithm>

#include "devices/nvme/nvme.h"
#include "devices/nvme/nvme_status.h"

namespace dragoman {
namespace {

constexpr u64 kSectorBytes = 512;
constexpr u32 kMaxTransfer = 512 * kKiB;  // MDTS
constexpr u32 kEntriesPerPage = kPageSize / 8;
constexpr u32 kAllNamespaces = 0xffffffff;

enum Opcode : u8 {
  kFlush = 0x00,
  kWrite = 0x01,
  kRead = 0x02,
  kWriteZeroes = 0x08,
  kDatasetManagement = 0x09,
};

}  // namespace

Nvme::Status Nvme::io(const Command& command) {
  const bool all = command.opcode == kFlush && command.nsid == kAllNamespaces;
  if (command.nsid != 1 && !all) return nvme::kInvalidNamespace;
  switch (command.opcode) {
    case kFlush:
      return flush();
    case kWrite:
      return read_write(command, true);
    case kRead:
      return read_write(command, false);
    case kWriteZeroes:
      return write_zeroes(command);
    case kDatasetManagement:
      return dataset_management(command);
    default:
      return nvme::kInvalidOpcode;
  }
}

bool Nvme::in_range(u64 lba, u64 count) const { return lba <= sectors_ && count <= sectors_ - lba; }

Nvme::Status Nvme::host_failed(const Error& error, bool writing) {
  log_.write_line(std::string(name()) + ": " + error.message);
  return writing ? nvme::kWriteFault : nvme::kUnrecoveredRead;
}

Nvme::Status Nvme::flush() {
  if (auto result = image_->flush(); !result) return host_failed(result.error(), true);
  return nvme::kSuccess;
}

Nvme::Status Nvme::read_write(const Command& command, bool writing) {
  constexpr u32 kForceUnitAccess = 1u << 30;
  constexpr u8 kVolatileWriteCache = 0x06;
  const u64 lba = command.word(10) | u64{command.word(11)} << 32;
  const u64 count = (command.word(12) & 0xffff) + 1;
  if (count * kSectorBytes > kMaxTransfer) return nvme::kInvalidField;
  if (!in_range(lba, count)) return nvme::kLbaOutOfRange;
  if (writing && image_->read_only()) return nvme::kWriteProtected;
  staging_.resize(count * kSectorBytes);
  if (!writing) {
    if (auto result = image_->read(lba * kSectorBytes, staging_); !result) {
      return host_failed(result.error(), false);
    }
    ++state_.reads;
    state_.sectors_read += count;
    return to_host(command, staging_);
  }
  if (const Status status = from_host(command, staging_); status != nvme::kSuccess) return status;
  if (auto result = image_->write(lba * kSectorBytes, staging_); !result) {
    return host_failed(result.error(), true);
  }
  ++state_.writes;
  state_.sectors_written += count;
  const bool cached = (state_.features[kVolatileWriteCache] & 1) != 0;
  return cached && !(command.word(12) & kForceUnitAccess) ? Status{nvme::kSuccess} : flush();
}

Nvme::Status Nvme::write_zeroes(const Command& command) {
  u64 lba = command.word(10) | u64{command.word(11)} << 32;
  u64 count = (command.word(12) & 0xffff) + 1;
  if (!in_range(lba, count)) return nvme::kLbaOutOfRange;
  if (image_->read_only()) return nvme::kWriteProtected;
  staging_.assign(std::min<u64>(count * kSectorBytes, kMaxTransfer), 0);
  while (count != 0) {
    const u64 n = std::min<u64>(count, staging_.size() / kSectorBytes);
    const auto zeros = std::span<const u8>(staging_).first(n * kSectorBytes);
    if (auto result = image_->write(lba * kSectorBytes, zeros); !result) {
      return host_failed(result.error(), true);
    }
    lba += n;
    count -= n;
  }
  return nvme::kSuccess;
}

/// Ranges of sectors that are no longer wanted: checked, and kept as they are.
Nvme::Status Nvme::dataset_management(const Command& command) {
  constexpr u32 kRangeBytes = 16;
  const u32 ranges = (command.word(10) & 0xff) + 1;
  staging_.resize(u64{ranges} * kRangeBytes);
  if (const Status status = from_host(command, staging_); status != nvme::kSuccess) return status;
  for (u32 i = 0; i < ranges; ++i) {
    u64 lba = 0;
    u32 count = 0;
    std::copy_n(staging_.data() + kRangeBytes * i + 4, 4, reinterpret_cast<u8*>(&count));
    std::copy_n(staging_.data() + kRangeBytes * i + 8, 8, reinterpret_cast<u8*>(&lba));
    if (!in_range(lba, count)) return nvme::kLbaOutOfRange;
  }
  return nvme::kSuccess;
}

/// The first entry may begin inside its page, the others name whole pages. The second is a page, or
/// a list if there are more; a list that does not hold all of them ends with the next list.
Nvme::Status Nvme::collect(const Command& command, u32 bytes, std::vector<Piece>& pieces) {
  pieces.clear();
  if (command.prp1 & 3) return nvme::kInvalidPrpOffset;
  const auto add = [&](u64 address) {
    const u32 n = std::min<u32>(bytes, static_cast<u32>(kPageSize - (address & kPageMask)));
    pieces.push_back({address, n});
    bytes -= n;
  };
  add(command.prp1);
  if (bytes == 0) return nvme::kSuccess;
  if (bytes <= kPageSize) {
    if (command.prp2 & kPageMask) return nvme::kInvalidPrpOffset;
    add(command.prp2);
    return nvme::kSuccess;
  }
  u64 list = command.prp2;
  if (list & 7) return nvme::kInvalidPrpOffset;
  while (bytes != 0) {
    const u64 entry = spaces().memory.load<u64>(PhysicalAddress(list));
    const bool last = (list & kPageMask) == 8 * (kEntriesPerPage - 1);
    if (entry & kPageMask) return nvme::kInvalidPrpOffset;
    if (last && bytes > kPageSize) {
      // Followed from the start of the next list. Each list has at least one page of data, as a
      // list of one entry is only possible at the end of a page, where the command has put it.
      list = entry;
      const u64 first = spaces().memory.load<u64>(PhysicalAddress(list));
      if (first & kPageMask) return nvme::kInvalidPrpOffset;
      add(first);
      list += 8;
      continue;
    }
    add(entry);
    list += 8;
  }
  return nvme::kSuccess;
}

Nvme::Status Nvme::to_host(const Command& command, std::span<const u8> data) {
  const Status status = collect(command, static_cast<u32>(data.size()), pieces_);
  if (status != nvme::kSuccess) return status;
  for (const Piece& piece : pieces_) {
    spaces().memory.write_bytes(PhysicalAddress(piece.address), data.first(piece.bytes));
    data = data.subspan(piece.bytes);
  }
  return nvme::kSuccess;
}

Nvme::Status Nvme::from_host(const Command& command, std::span<u8> data) {
  const Status status = collect(command, static_cast<u32>(data.size()), pieces_);
  if (status != nvme::kSuccess) return status;
  for (const Piece& piece : pieces_) {
    spaces().memory.read_bytes(PhysicalAddress(piece.address), data.first(piece.bytes));
    data = data.subspan(piece.bytes);
  }
  return nvme::kSuccess;
}

}  // namespace dragoman
