// VMware disk images (VMDK): one sparse extent, or a descriptor that names several.
// Document: VMware, Virtual Disk Format 5.0.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "devices/block/table_image.h"

namespace dragoman {

/// A hosted sparse extent: read and write; compressed ones (streamOptimized) are only read.
class VmdkSparse final : public TableImage {
 public:
  static Result<std::unique_ptr<BlockImage>> open(std::unique_ptr<ImageFile> file);
  /// Whether the beginning of a file is that of a sparse extent.
  static bool recognize(std::span<const u8> head);

 private:
  struct Header;
  explicit VmdkSparse(std::unique_ptr<ImageFile> file) : TableImage(std::move(file)) {}
  Result<void> load();
  Result<void> load_directory(const Header& header);
  Result<std::vector<u32>*> grain_table(u64 index);
  Result<std::optional<u64>> place(u64 index) override;
  Result<void> read_block(u64 block_place, u64 within, std::span<u8> out) override;
  Result<void> add_block(u64 index, std::span<const u8> block) override;

  bool compressed_ = false;
  bool zero_grains_ = false;  // an entry of 1 is a grain of zeros
  u64 table_entries_ = 0;     // of a grain table
  u64 first_grain_ = 0;       // byte offset; everything before is tables
  std::vector<u32> directory_;
  std::vector<u32> redundant_directory_;
  std::unordered_map<u64, std::vector<u32>> tables_;
  u64 grain_of_ = 0;  // place of the grain that grain_ holds
  std::vector<u8> grain_;
};

/// Whether the beginning of a file is that of a VMDK descriptor.
bool is_vmdk_descriptor(std::span<const u8> head);

/// Opens what the descriptor in `file` names. Extents are files in its own folder.
Result<std::unique_ptr<BlockImage>> open_vmdk_descriptor(std::unique_ptr<ImageFile> file);

}  // namespace dragoman
