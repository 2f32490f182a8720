#include "devices/block/memory_image.h"

#include <cstring>

#include "base/bits.h"

namespace dragoman {

MemoryImage::MemoryImage(std::vector<u8> bytes, bool read_only, std::string description)
    : bytes_(std::move(bytes)), read_only_(read_only), description_(std::move(description)) {
  bytes_.resize(align_up(bytes_.size(), 512));
}

Result<void> MemoryImage::check_range(u64 offset, u64 length) const {
  if (offset <= size() && length <= size() - offset) return {};
  return error("access to {} bytes at {} is past the end of image '{}' ({} bytes)", length, offset,
               description_, size());
}

Result<void> MemoryImage::read(u64 offset, std::span<u8> out) {
  if (auto result = check_range(offset, out.size()); !result) return result;
  if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
  return {};
}

Result<void> MemoryImage::write(u64 offset, std::span<const u8> in) {
  if (read_only_) return error("image '{}' is read-only", description_);
  if (auto result = check_range(offset, in.size()); !result) return result;
  if (!in.empty()) std::memcpy(bytes_.data() + offset, in.data(), in.size());
  return {};
}

}  // namespace dragoman
