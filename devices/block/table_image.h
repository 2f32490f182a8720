// What VMDK, VDI and VHD have in common: a table that says where in the file each block is.
#pragma once

#include <memory>
#include <optional>

#include "devices/block/image_file.h"
#include "devices/block_image.h"

namespace dragoman {

/// A disk in blocks of equal size, each either nowhere (zeros) or at one place of the file. The
/// table's entry is written after the block, so that a kill leaves a whole image.
class TableImage : public BlockImage {
 public:
  u64 size() const override { return size_; }
  bool read_only() const override { return file_->read_only() || cannot_write_ != nullptr; }
  Result<void> read(u64 offset, std::span<u8> out) override;
  Result<void> write(u64 offset, std::span<const u8> in) override;
  Result<void> flush() override { return file_->sync(); }
  const std::string& description() const override { return file_->path(); }

 protected:
  explicit TableImage(std::unique_ptr<ImageFile> file) : file_(std::move(file)) {}

  /// Where block `index` begins in the file; nothing for a block of zeros.
  virtual Result<std::optional<u64>> place(u64 index) = 0;
  /// Reads from a block that has a place.
  virtual Result<void> read_block(u64 block_place, u64 within, std::span<u8> out) {
    return file_->read(block_place + within, out);
  }
  virtual Result<void> write_block(u64 block_place, u64 within, std::span<const u8> in) {
    return file_->write(block_place + within, in);
  }
  /// Gives block `index`, which has no place, one with the contents `block`.
  virtual Result<void> add_block(u64 index, std::span<const u8> block) = 0;

  Error damaged(std::string_view what) const;

  std::unique_ptr<ImageFile> file_;
  u64 size_ = 0;                        // of the disk in bytes
  u64 block_bytes_ = 0;                 // a multiple of 512
  const char* cannot_write_ = nullptr;  // why the format is only read, for messages
};

}  // namespace dragoman
