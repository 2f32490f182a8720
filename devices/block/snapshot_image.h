// The `-snapshot` overlay: writes go to a temporary file, the image below stays untouched.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "devices/block/host_file.h"
#include "devices/block_image.h"

namespace dragoman {

/// Copy-on-write over another image, in clusters of 4 KiB. The temporary file is sparse and has no
/// name, so that it is gone when the machine is, however it ends.
class SnapshotImage final : public BlockImage {
 public:
  /// Puts the overlay over `below` (which is only read). The file goes to `directory`, or, when
  /// that is empty, to $TMPDIR or /var/tmp.
  static Result<std::unique_ptr<SnapshotImage>> create(std::unique_ptr<BlockImage> below,
                                                       std::string directory = {});

  u64 size() const override { return below_->size(); }
  bool read_only() const override { return false; }
  Result<void> read(u64 offset, std::span<u8> out) override;
  Result<void> write(u64 offset, std::span<const u8> in) override;
  /// Nothing outlives the machine, so nothing has to reach the disk.
  Result<void> flush() override { return {}; }
  const std::string& description() const override { return description_; }

 private:
  SnapshotImage(std::unique_ptr<BlockImage> below, HostFile file);
  bool written(u64 cluster) const { return (written_[cluster / 64] >> (cluster % 64) & 1) != 0; }
  Result<void> check_range(u64 offset, u64 length) const;

  std::unique_ptr<BlockImage> below_;
  HostFile file_;
  std::vector<u64> written_;  // one bit per cluster that lives in the overlay
  std::string description_;
};

}  // namespace dragoman
