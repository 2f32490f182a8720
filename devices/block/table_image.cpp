#include "devices/block/table_image.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace dragoman {

Error TableImage::damaged(std::string_view what) const {
  return error("disk image '{}' is damaged: {}; use a copy or convert it with 'qemu-img convert'",
               description(), what);
}

Result<void> TableImage::read(u64 offset, std::span<u8> out) {
  if (offset > size_ || out.size() > size_ - offset) {
    return error("read of {} bytes at {} is past the end of disk image '{}' ({} bytes)", out.size(),
                 offset, description(), size_);
  }
  while (!out.empty()) {
    const u64 within = offset % block_bytes_;
    const u64 run = std::min<u64>(out.size(), block_bytes_ - within);
    auto at = place(offset / block_bytes_);
    if (!at) return at.error();
    if (*at) {
      if (auto ok = read_block(**at, within, out.first(run)); !ok) return ok;
    } else {
      std::fill_n(out.begin(), run, u8{0});
    }
    out = out.subspan(run);
    offset += run;
  }
  return {};
}

Result<void> TableImage::write(u64 offset, std::span<const u8> in) {
  if (cannot_write_ != nullptr) {
    return error(
        "disk image '{}' cannot be written to: {}; use -snapshot or convert it with "
        "'qemu-img convert -O qcow2'",
        description(), cannot_write_);
  }
  if (file_->read_only()) {
    return error("disk image '{}' is attached read-only; attach it writable to change it",
                 description());
  }
  if (offset > size_ || in.size() > size_ - offset) {
    return error("write of {} bytes at {} is past the end of disk image '{}' ({} bytes)", in.size(),
                 offset, description(), size_);
  }
  while (!in.empty()) {
    const u64 within = offset % block_bytes_;
    const u64 run = std::min<u64>(in.size(), block_bytes_ - within);
    auto at = place(offset / block_bytes_);
    if (!at) return at.error();
    if (*at) {
      if (auto ok = write_block(**at, within, in.first(run)); !ok) return ok;
    } else {
      std::vector<u8> block(block_bytes_);
      std::memcpy(block.data() + within, in.data(), run);
      if (auto ok = add_block(offset / block_bytes_, block); !ok) return ok;
    }
    in = in.subspan(run);
    offset += run;
  }
  return {};
}

}  // namespace dragoman
