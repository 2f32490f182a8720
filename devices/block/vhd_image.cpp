#include "devices/block/vhd_image.h"

#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "devices/block/byte_order.h"

namespace dragoman {
namespace {

constexpr u32 kNoBlock = 0xffffffff;
constexpr u64 kMaxBlocks = u64{1} << 22;  // 2 TiB, the largest VHD, in blocks of 512 KiB
constexpr u64 kFixed = 2;
constexpr u64 kDynamic = 3;

/// A fixed image: the disk's bytes with the footer behind them.
class FixedVhd final : public BlockImage {
 public:
  FixedVhd(std::unique_ptr<ImageFile> file, u64 size) : file_(std::move(file)), size_(size) {}
  u64 size() const override { return size_; }
  bool read_only() const override { return file_->read_only(); }
  Result<void> read(u64 offset, std::span<u8> out) override {
    if (auto ok = check(offset, out.size()); !ok) return ok;
    return file_->read(offset, out);
  }
  Result<void> write(u64 offset, std::span<const u8> in) override {
    if (auto ok = check(offset, in.size()); !ok) return ok;
    return file_->write(offset, in);
  }
  Result<void> flush() override { return file_->sync(); }
  const std::string& description() const override { return file_->path(); }

 private:
  Result<void> check(u64 offset, u64 length) const {
    if (offset <= size_ && length <= size_ - offset) return {};
    return error("access to {} bytes at {} is past the end of disk image '{}' ({} bytes)", length,
                 offset, description(), size_);
  }
  std::unique_ptr<ImageFile> file_;
  u64 size_;
};

}  // namespace

bool VhdImage::recognize(std::span<const u8> footer) {
  if (footer.size() < kFooterBytes || std::memcmp(footer.data(), "conectix", 8) != 0) return false;
  u32 sum = 0;
  for (unsigned i = 0; i < kFooterBytes; ++i) {
    if (i < 64 || i >= 68) sum += footer[i];
  }
  return get_be(footer, 64, 4) == static_cast<u32>(~sum);
}

Result<std::unique_ptr<BlockImage>> VhdImage::open(std::unique_ptr<ImageFile> file) {
  std::unique_ptr<VhdImage> image(new VhdImage(std::move(file)));
  ImageFile& f = *image->file_;
  auto& footer = image->footer_;
  const u64 last = f.size() < kFooterBytes ? 0 : f.size() - kFooterBytes;
  if (auto ok = f.read(last, footer); !ok) return ok.error();
  if (!recognize(footer)) {
    // Killed while a block was added: the copy at the beginning of a dynamic image remains.
    if (auto ok = f.read(0, footer); !ok) return ok.error();
    if (!recognize(footer)) {
      return error("'{}' is no VHD image; leave out format=vpc or give the right file", f.path());
    }
  }
  const u64 type = get_be(footer, 60, 4);
  image->size_ = get_be(footer, 48, 8);
  if (image->size_ == 0 || image->size_ % 512 != 0) {
    return image->damaged(fmt::format("a disk of {} bytes", image->size_));
  }
  if (type == kFixed) {
    if (image->size_ > last) {
      return image->damaged(
          fmt::format("a disk of {} bytes in a file of {}", image->size_, f.size()));
    }
    return std::unique_ptr<BlockImage>(
        std::make_unique<FixedVhd>(std::move(image->file_), image->size_));
  }
  if (type != kDynamic) {
    return error(
        "VHD image '{}' has type {}, known are 2 (fixed) and 3 (dynamic); merge it with its "
        "parent or convert it with 'qemu-img convert'",
        f.path(), type);
  }
  if (auto ok = image->load(get_be(footer, 16, 8)); !ok) return ok.error();
  return std::unique_ptr<BlockImage>(std::move(image));
}

Result<void> VhdImage::load(u64 header_offset) {
  std::array<u8, 1024> header{};
  if (header_offset < 512 || header_offset > file_->size()) {
    return damaged(fmt::format("its dynamic header is at {:#x}", header_offset));
  }
  if (auto ok = file_->read(header_offset, header); !ok) return ok;
  if (std::memcmp(header.data(), "cxsparse", 8) != 0) return damaged("it has no dynamic header");
  table_offset_ = get_be(header, 16, 8);
  const u64 entries = get_be(header, 28, 4);
  block_bytes_ = get_be(header, 32, 4);
  if (block_bytes_ < 4096 || block_bytes_ > 64 * kMiB || (block_bytes_ & (block_bytes_ - 1)) != 0) {
    return damaged(fmt::format("blocks of {} bytes", block_bytes_));
  }
  if (entries > kMaxBlocks || size_ > entries * block_bytes_ || table_offset_ % 512 != 0 ||
      table_offset_ < 512 || table_offset_ > file_->size() ||
      entries * 4 > file_->size() - table_offset_) {
    return damaged(fmt::format("a table of {} entries at {:#x} for a disk of {} bytes", entries,
                               table_offset_, size_));
  }
  bitmap_bytes_ = align_up(block_bytes_ / 512 / 8, 512);
  std::vector<u8> raw(entries * 4);
  if (auto ok = file_->read(table_offset_, raw); !ok) return ok;
  const u64 meta_end = std::max(align_up(table_offset_ + entries * 4, 512), header_offset + 1024);
  end_ = meta_end;
  table_.resize(entries);
  std::vector<u64> places;
  for (u64 i = 0; i < entries; ++i) {
    table_[i] = static_cast<u32>(get_be(raw, i * 4, 4));
    if (table_[i] == kNoBlock) continue;
    const u64 at = u64{table_[i]} * 512;
    const u64 bytes = bitmap_bytes_ + block_bytes_;
    if (at < meta_end || at > file_->size() || bytes > file_->size() - at) {
      return damaged(fmt::format("block {} at {:#x} is not inside the file", i, at));
    }
    places.push_back(at);
    end_ = std::max(end_, at + bytes);
  }
  std::sort(places.begin(), places.end());
  for (std::size_t i = 1; i < places.size(); ++i) {
    if (places[i] - places[i - 1] < bitmap_bytes_ + block_bytes_) {
      return damaged(fmt::format("two blocks share the place {:#x}", places[i]));
    }
  }
  std::array<u8, kFooterBytes> last{};
  if (file_->read_only()) return {};
  if (auto ok = file_->read(end_, last); !ok) return ok;
  if (last == footer_) return {};
  return file_->write(end_, footer_);
}

Result<std::optional<u64>> VhdImage::place(u64 index) {
  if (table_[index] == kNoBlock) return std::optional<u64>();
  return std::optional<u64>(u64{table_[index]} * 512);
}

Result<void> VhdImage::load_bitmap(u64 block_place) {
  if (bitmap_of_ == block_place) return {};
  bitmap_of_ = 0;
  bitmap_.resize(bitmap_bytes_);
  if (auto ok = file_->read(block_place, bitmap_); !ok) return ok;
  bitmap_of_ = block_place;
  return {};
}

Result<void> VhdImage::read_block(u64 block_place, u64 within, std::span<u8> out) {
  if (auto ok = load_bitmap(block_place); !ok) return ok;
  if (auto ok = file_->read(block_place + bitmap_bytes_ + within, out); !ok) return ok;
  for (u64 i = 0; i < out.size();) {
    const u64 sector = (within + i) / 512;
    const u64 run = std::min<u64>(512 - (within + i) % 512, out.size() - i);
    if ((bitmap_[sector / 8] & (0x80 >> sector % 8)) == 0) {
      std::fill_n(out.begin() + static_cast<long>(i), run, u8{0});
    }
    i += run;
  }
  return {};
}

Result<void> VhdImage::write_block(u64 block_place, u64 within, std::span<const u8> in) {
  if (auto ok = load_bitmap(block_place); !ok) return ok;
  if (auto ok = file_->write(block_place + bitmap_bytes_ + within, in); !ok) return ok;
  bool changed = false;
  for (u64 sector = within / 512; sector * 512 < within + in.size(); ++sector) {
    u8& byte = bitmap_[sector / 8];
    changed |= (byte & (0x80 >> sector % 8)) == 0;
    byte = static_cast<u8>(byte | 0x80 >> sector % 8);
  }
  return changed ? file_->write(block_place, bitmap_) : Result<void>();
}

Result<void> VhdImage::add_block(u64 index, std::span<const u8> block) {
  if (end_ / 512 >= kNoBlock) return damaged("it cannot grow past 2 TiB");
  // The new footer first: the old one lies where the block will be.
  const u64 at = end_;
  const u64 new_end = at + bitmap_bytes_ + block.size();
  if (auto ok = file_->write(new_end, footer_); !ok) return ok;
  if (auto ok = file_->write(at + bitmap_bytes_, block); !ok) return ok;
  const std::vector<u8> bitmap(bitmap_bytes_, 0xff);
  if (auto ok = file_->write(at, bitmap); !ok) return ok;
  std::array<u8, 4> entry{};
  put_be(entry, 0, 4, at / 512);
  if (auto ok = file_->write(table_offset_ + index * 4, entry); !ok) return ok;
  table_[index] = static_cast<u32>(at / 512);
  end_ = new_end;
  return {};
}

}  // namespace dragoman
