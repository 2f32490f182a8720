#include "devices/block/raw_image.h"

#include "base/bits.h"

namespace dragoman {

Result<std::unique_ptr<RawImage>> RawImage::open(const std::string& path, Access access) {
  auto file = HostImageFile::open(path, access);
  if (!file) return file.error();
  return std::make_unique<RawImage>(file.take());
}

RawImage::RawImage(std::unique_ptr<ImageFile> file)
    : file_(std::move(file)), size_(align_up(file_->size(), 512)) {}

Result<void> RawImage::read(u64 offset, std::span<u8> out) {
  if (offset > size_ || out.size() > size_ - offset) {
    return error("read of {} bytes at {} is past the end of disk image '{}' ({} bytes)", out.size(),
                 offset, description(), size_);
  }
  return file_->read(offset, out);
}

Result<void> RawImage::write(u64 offset, std::span<const u8> in) {
  if (!read_only() && (offset > size_ || in.size() > size_ - offset)) {
    return error("write of {} bytes at {} is past the end of disk image '{}' ({} bytes)", in.size(),
                 offset, description(), size_);
  }
  return file_->write(offset, in);
}

}  // namespace dragoman
