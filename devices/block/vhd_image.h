// Virtual PC disk images (VHD), fixed and dynamic: read and write.
// Document: Microsoft, Virtual Hard Disk Image Format Specification 1.0.
#pragma once

#include <array>
#include <vector>

#include "devices/block/table_image.h"

namespace dragoman {

/// A dynamic image; each block has a bitmap of the sectors that were written before its data.
class VhdImage final : public TableImage {
 public:
  static constexpr u64 kFooterBytes = 512;

  /// Fixed or dynamic.
  static Result<std::unique_ptr<BlockImage>> open(std::unique_ptr<ImageFile> file);
  /// Whether 512 bytes are a footer, which a dynamic image has also at its beginning.
  static bool recognize(std::span<const u8> footer);

 private:
  explicit VhdImage(std::unique_ptr<ImageFile> file) : TableImage(std::move(file)) {}
  Result<void> load(u64 header_offset);
  Result<std::optional<u64>> place(u64 index) override;
  Result<void> read_block(u64 block_place, u64 within, std::span<u8> out) override;
  Result<void> write_block(u64 block_place, u64 within, std::span<const u8> in) override;
  Result<void> add_block(u64 index, std::span<const u8> block) override;
  Result<void> load_bitmap(u64 block_place);

  std::array<u8, kFooterBytes> footer_{};
  u64 table_offset_ = 0;
  u64 bitmap_bytes_ = 0;
  u64 end_ = 0;             // of the last block, where the footer goes
  std::vector<u32> table_;  // in sectors
  u64 bitmap_of_ = 0;       // the block whose bitmap bitmap_ is
  std::vector<u8> bitmap_;
};

}  // namespace dragoman
