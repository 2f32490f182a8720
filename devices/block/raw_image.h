// A disk or CD image whose bytes are the bytes of a host file or host block device.
#pragma once

#include <memory>
#include <string>

#include "devices/block/image_file.h"
#include "devices/block_image.h"

namespace dragoman {

/// A raw image. The file is locked while it is open.
class RawImage final : public BlockImage {
 public:
  using Access = ImageAccess;

  /// Opens `path`. The error sentence says what is wrong with the file and what to do.
  static Result<std::unique_ptr<RawImage>> open(const std::string& path, Access access);
  explicit RawImage(std::unique_ptr<ImageFile> file);

  /// The length of the file rounded up to 512 bytes. What the file lacks of its last sector
  /// reads as zeros; writing to that sector extends the file.
  u64 size() const override { return size_; }
  bool read_only() const override { return file_->read_only(); }
  Result<void> read(u64 offset, std::span<u8> out) override;
  Result<void> write(u64 offset, std::span<const u8> in) override;
  Result<void> flush() override { return file_->sync(); }
  const std::string& description() const override { return file_->path(); }

 private:
  std::unique_ptr<ImageFile> file_;
  u64 size_;
};

}  // namespace dragoman
