// VirtualBox disk images (VDI 1.1), dynamic and fixed: read and write.
// Document: public descriptions of the VDI 1.1 header.
#pragma once

#include <vector>

#include "devices/block/table_image.h"

namespace dragoman {

class VdiImage final : public TableImage {
 public:
  static Result<std::unique_ptr<BlockImage>> open(std::unique_ptr<ImageFile> file);
  /// Whether the beginning of a file, 512 bytes, is that of a VDI image.
  static bool recognize(std::span<const u8> head);

 private:
  explicit VdiImage(std::unique_ptr<ImageFile> file) : TableImage(std::move(file)) {}
  Result<void> load();
  Result<std::optional<u64>> place(u64 index) override;
  Result<void> add_block(u64 index, std::span<const u8> block) override;

  u64 map_offset_ = 0;
  u64 data_offset_ = 0;
  u32 next_block_ = 0;    // number in the file that the next new block gets
  u32 allocated_ = 0;     // blocks in use, as the header counts them
  std::vector<u32> map_;  // block of the disk to block of the file
};

}  // namespace dragoman
