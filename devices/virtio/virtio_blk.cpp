#include "devices/virtio/virtio_blk.h"

#include <algorithm>
#include <cstring>

#include "base/bits.h"

namespace dragoman {
namespace {

constexpr u32 kSectorBytes = 512;
constexpr u32 kStagingBytes = 1 << 20;
constexpr u32 kSegmentsMax = Virtqueue::kMaxSize - 2;  // besides header and status
constexpr u32 kMaxDiscardSectors = 1 << 22;
constexpr u32 kMaxZeroSectors = 1 << 15;  // 16 MiB at a time
constexpr u32 kHeaderBytes = 16;
constexpr u32 kIdBytes = 20;

// Features (5.2.3).
constexpr unsigned kSegMax = 2;
constexpr unsigned kGeometry = 4;
constexpr unsigned kReadOnly = 5;
constexpr unsigned kBlkSize = 6;
constexpr unsigned kFlush = 9;
constexpr unsigned kTopology = 10;
constexpr unsigned kDiscard = 13;
constexpr unsigned kWriteZeroes = 14;

enum RequestType : u32 {
  kRequestIn = 0,
  kRequestOut = 1,
  kRequestFlush = 4,
  kRequestGetId = 8,
  kRequestDiscard = 11,
  kRequestWriteZeroes = 13,
};

enum RequestStatus : u8 { kOk = 0, kIoError = 1, kUnsupported = 2 };

}  // namespace

VirtioBlk::VirtioBlk(std::string name, const PciSpaces& spaces, MsiSink& msi, Log& log,
                     std::shared_ptr<BlockImage> image, std::string serial)
    : VirtioPci(std::move(name), spaces, msi, log,
                {.pci_device = 0x1001, .type = 2, .class_code = 0x010000, .queues = 1}),
      image_(std::move(image)),
      serial_(std::move(serial)),
      staging_(kStagingBytes) {}

u32 VirtioBlk::device_features() const {
  u64 features = bit(kSegMax) | bit(kGeometry) | bit(kBlkSize) | bit(kFlush) | bit(kTopology);
  if (image_->read_only()) {
    features |= bit(kReadOnly);
  } else {
    features |= bit(kDiscard) | bit(kWriteZeroes);
  }
  return static_cast<u32>(features);
}

std::vector<u8> VirtioBlk::device_config() const {
  std::vector<u8> config(60);
  const auto put = [&](unsigned at, auto value) {
    std::memcpy(config.data() + at, &value, sizeof(value));
  };
  const u64 capacity = image_->size() / kSectorBytes;
  put(0, capacity);
  put(12, kSegmentsMax);
  put(16, static_cast<u16>(std::min<u64>(capacity / (16 * 63), 65535)));
  put(18, u8{16});
  put(19, u8{63});
  put(20, kSectorBytes);
  put(24, u8{0});   // one logical block per physical block
  put(25, u8{0});   // alignment offset
  put(26, u16{1});  // minimum and optimal I/O size in blocks; 0: none
  put(28, u32{0});
  put(34, u16{1});  // queues
  put(36, kMaxDiscardSectors);
  put(40, u32{1});  // discard segments
  put(44, u32{1});  // discard alignment
  put(48, kMaxZeroSectors);
  put(52, u32{1});
  return config;
}

void VirtioBlk::queue_notified(unsigned queue) {
  VirtioChain chain;
  while (take(queue, chain)) {
    if (chain.readable_bytes < kHeaderBytes || chain.writable_bytes < 1) {
      needs_reset("a block request lacks its header or its status byte");
      break;
    }
    give_back(queue, chain, handle(chain));
  }
  signal(queue);
}

u32 VirtioBlk::handle(const VirtioChain& chain) {
  std::array<u8, kHeaderBytes> header;
  chain.read(memory(), 0, header);
  u32 type = 0;
  u64 sector = 0;
  std::memcpy(&type, header.data(), sizeof(type));
  std::memcpy(&sector, header.data() + 8, sizeof(sector));

  const u64 room = chain.writable_bytes - 1;  // the status is the last byte
  u64 written = 0;
  u8 status = kUnsupported;
  switch (type) {
    case kRequestIn:
      status = read(chain, sector, room);
      if (status == kOk) written = room;
      break;
    case kRequestOut:
      status = write(chain, sector);
      break;
    case kRequestFlush:
      status = host_result(image_->flush());
      break;
    case kRequestGetId: {
      std::array<u8, kIdBytes> id{};
      std::copy_n(serial_.begin(), std::min<std::size_t>(serial_.size(), kIdBytes), id.begin());
      written = chain.write(memory(), 0, std::span(id).first(std::min<u64>(room, kIdBytes)));
      status = kOk;
      break;
    }
    case kRequestDiscard:
    case kRequestWriteZeroes:
      status = image_->read_only() ? u8{kUnsupported}
                                   : discard_or_zero(chain, type == kRequestWriteZeroes);
      break;
    default:
      break;
  }
  chain.write(memory(), room, {&status, 1});
  return static_cast<u32>(written + 1);
}

bool VirtioBlk::in_range(u64 sector, u64 bytes) const {
  const u64 total = image_->size() / kSectorBytes;
  return bytes % kSectorBytes == 0 && sector <= total && bytes / kSectorBytes <= total - sector;
}

u8 VirtioBlk::host_result(const Result<void>& result) {
  if (result) return kOk;
  log().write_line(std::string(name()) + ": " + result.error().message);
  return kIoError;
}

u8 VirtioBlk::read(const VirtioChain& chain, u64 sector, u64 bytes) {
  if (!in_range(sector, bytes)) return kIoError;
  for (u64 done = 0; done < bytes;) {
    const u64 n = std::min<u64>(bytes - done, kStagingBytes);
    const auto data = std::span(staging_).first(n);
    if (host_result(image_->read(sector * kSectorBytes + done, data)) != kOk) return kIoError;
    chain.write(memory(), done, data);
    done += n;
  }
  return kOk;
}

u8 VirtioBlk::write(const VirtioChain& chain, u64 sector) {
  const u64 bytes = chain.readable_bytes - kHeaderBytes;
  if (image_->read_only() || !in_range(sector, bytes)) return kIoError;
  for (u64 done = 0; done < bytes;) {
    const u64 n = std::min<u64>(bytes - done, kStagingBytes);
    const auto data = std::span(staging_).first(n);
    chain.read(memory(), kHeaderBytes + done, data);
    if (host_result(image_->write(sector * kSectorBytes + done, data)) != kOk) return kIoError;
    done += n;
  }
  return kOk;
}

/// One range of {sector, count, flags}. Discarding is a hint and changes nothing here.
u8 VirtioBlk::discard_or_zero(const VirtioChain& chain, bool zero) {
  constexpr u32 kRangeBytes = 16;
  constexpr u32 kUnmap = 1;
  if (chain.readable_bytes != kHeaderBytes + kRangeBytes) return kIoError;
  std::array<u8, kRangeBytes> range;
  chain.read(memory(), kHeaderBytes, range);
  u64 sector = 0;
  u32 count = 0;
  u32 flags = 0;
  std::memcpy(&sector, range.data(), sizeof(sector));
  std::memcpy(&count, range.data() + 8, sizeof(count));
  std::memcpy(&flags, range.data() + 12, sizeof(flags));
  // 5.2.6.2: unknown flags, and "unmap" in a discard, are unsupported.
  if ((flags & ~(zero ? kUnmap : 0u)) != 0) return kUnsupported;
  if (count > (zero ? kMaxZeroSectors : kMaxDiscardSectors)) return kIoError;
  const u64 bytes = u64{count} * kSectorBytes;
  if (!in_range(sector, bytes)) return kIoError;
  if (!zero) return kOk;
  std::fill(staging_.begin(), staging_.end(), u8{0});
  for (u64 done = 0; done < bytes;) {
    const u64 n = std::min<u64>(bytes - done, kStagingBytes);
    const auto data = std::span<const u8>(staging_).first(n);
    if (host_result(image_->write(sector * kSectorBytes + done, data)) != kOk) return kIoError;
    done += n;
  }
  return kOk;
}

}  // namespace dragoman
