#include "devices/block/vdi_image.h"

#include <algorithm>
#include <array>

#include "base/bits.h"
#include "devices/block/byte_order.h"

namespace dragoman {
namespace {

constexpr u32 kSignature = 0xbeda107f;
constexpr u32 kNoBlock = 0xffffffff;
constexpr u32 kZeroBlock = 0xfffffffe;
constexpr u64 kMaxBlocks = u64{1} << 24;  // 16 TiB in blocks of 1 MiB
constexpr u64 kAllocatedAt = 0x184;

}  // namespace

bool VdiImage::recognize(std::span<const u8> head) {
  return head.size() >= 512 && get_le(head, 0x40, 4) == kSignature;
}

Result<std::unique_ptr<BlockImage>> VdiImage::open(std::unique_ptr<ImageFile> file) {
  std::unique_ptr<VdiImage> image(new VdiImage(std::move(file)));
  if (auto ok = image->load(); !ok) return ok.error();
  return std::unique_ptr<BlockImage>(std::move(image));
}

Result<void> VdiImage::load() {
  std::array<u8, 512> head{};
  if (auto ok = file_->read(0, head); !ok) return ok;
  if (!recognize(head)) {
    return error("'{}' is no VDI image; leave out format=vdi or give the right file",
                 description());
  }
  const u64 version = get_le(head, 0x44, 4);
  const u64 type = get_le(head, 0x4c, 4);
  if (version != 0x10001 || (type != 1 && type != 2)) {
    return error(
        "VDI image '{}' has version {}.{} and type {}, known are version 1.1, dynamic and "
        "fixed; convert it with 'qemu-img convert'",
        description(), version >> 16, version & 0xffff, type);
  }
  const auto parent = std::span(head).subspan(0x1b8, 16);
  if (std::any_of(parent.begin(), parent.end(), [](u8 b) { return b != 0; })) {
    return error(
        "VDI image '{}' is the difference to another image, which is not supported; merge "
        "them with 'qemu-img convert' or VirtualBox",
        description());
  }
  map_offset_ = get_le(head, 0x154, 4);
  data_offset_ = get_le(head, 0x158, 4);
  size_ = get_le(head, 0x170, 8);
  block_bytes_ = get_le(head, 0x178, 4);
  const u64 blocks = get_le(head, 0x180, 4);
  allocated_ = static_cast<u32>(get_le(head, kAllocatedAt, 4));
  if (get_le(head, 0x168, 4) != 512 || block_bytes_ < 4096 || block_bytes_ > 64 * kMiB ||
      (block_bytes_ & (block_bytes_ - 1)) != 0 || get_le(head, 0x17c, 4) != 0) {
    return damaged(fmt::format("blocks of {} bytes", block_bytes_));
  }
  if (size_ == 0 || blocks > kMaxBlocks || size_ > blocks * block_bytes_) {
    return damaged(fmt::format("a disk of {} bytes in {} blocks", size_, blocks));
  }
  size_ = size_ / 512 * 512;
  if (map_offset_ < 0x200 || map_offset_ + blocks * 4 > data_offset_ || data_offset_ % 512 != 0 ||
      data_offset_ > align_up(file_->size(), 512)) {
    return damaged(
        fmt::format("a block map at {:#x} and data at {:#x}", map_offset_, data_offset_));
  }
  std::vector<u8> raw(blocks * 4);
  if (auto ok = file_->read(map_offset_, raw); !ok) return ok;
  map_.resize(blocks);
  const u64 in_file =
      (file_->size() - std::min(file_->size(), data_offset_) + block_bytes_ - 1) / block_bytes_;
  std::vector<bool> used(in_file);
  for (u64 i = 0; i < blocks; ++i) {
    map_[i] = static_cast<u32>(get_le(raw, i * 4, 4));
    if (map_[i] >= kZeroBlock) continue;
    if (map_[i] >= in_file || used[map_[i]]) {
      return damaged(
          fmt::format("block {} is at {} of {}, outside or used twice", i, map_[i], in_file));
    }
    used[map_[i]] = true;
    next_block_ = std::max(next_block_, map_[i] + 1);
  }
  const u32 counted = static_cast<u32>(std::count(used.begin(), used.end(), true));
  if (counted != allocated_ && !file_->read_only()) {
    // A machine was killed between the map and the count.
    allocated_ = counted;
    std::array<u8, 4> count{};
    put_le(count, 0, 4, allocated_);
    return file_->write(kAllocatedAt, count);
  }
  return {};
}

Result<std::optional<u64>> VdiImage::place(u64 index) {
  const u32 block = map_[index];
  if (block >= kZeroBlock) return std::optional<u64>();
  return std::optional<u64>(data_offset_ + block * block_bytes_);
}

Result<void> VdiImage::add_block(u64 index, std::span<const u8> block) {
  if (auto ok = file_->write(data_offset_ + next_block_ * block_bytes_, block); !ok) return ok;
  std::array<u8, 4> number{};
  put_le(number, 0, 4, ++allocated_);
  if (auto ok = file_->write(kAllocatedAt, number); !ok) return ok;
  put_le(number, 0, 4, next_block_);
  if (auto ok = file_->write(map_offset_ + index * 4, number); !ok) return ok;
  map_[index] = next_block_++;
  return {};
}

}  // namespace dragoman
