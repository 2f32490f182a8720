#include "machine/recorded_io.h"

#include <algorithm>

namespace dragoman {

Result<void> RecordedImage::write(u64 offset, std::span<const u8> in) {
  const bool inside = offset <= size() && in.size() <= size() - offset;
  if (pieces_ != nullptr && inside && !in.empty()) {
    const u64 last = (offset + in.size() - 1) / kCluster;
    for (u64 number = offset / kCluster; number <= last; ++number) {
      if (pieces_->contains(number)) continue;
      std::vector<u8> before(std::min(kCluster, size() - number * kCluster));
      if (auto ok = image_->read(number * kCluster, before); !ok) return ok;
      (*pieces_)[number] = std::move(before);
    }
  }
  return image_->write(offset, in);
}

Result<void> RecordedImage::put_back(const DiskPieces& pieces) {
  for (const auto& [number, bytes] : pieces) {
    if (auto ok = image_->write(number * kCluster, bytes); !ok) return ok;
  }
  return {};
}

}  // namespace dragoman
