// qcow2 disk images, versions 2 and 3: read and write.
// Document: the format description "qcow2" in the documentation of the QEMU project.
#pragma once

#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

#include "devices/block/qcow2_header.h"
#include "devices/block/qcow2_refcounts.h"
#include "devices/block/qcow2_scan.h"
#include "devices/block_image.h"

namespace dragoman {

/// Killed at any moment, the file has no error: at most clusters of the request in flight stay
/// counted but unused, and the next opening for writing frees them. After a power failure of the
/// host the dirty bit (version 3) makes the next opening count anew; version 2 waits for the disk
/// between counting and using instead. What was flushed is there in both cases.
class Qcow2Image final : public BlockImage {
 public:
  /// `backing` holds what the image itself does not; null for none. The caller has looked at
  /// header.backing_file.
  static Result<std::unique_ptr<Qcow2Image>> open(std::unique_ptr<ImageFile> file,
                                                  Qcow2Header header,
                                                  std::unique_ptr<BlockImage> backing);
  ~Qcow2Image() override;

  u64 size() const override { return header_.size; }
  bool read_only() const override { return file_->read_only(); }
  Result<void> read(u64 offset, std::span<u8> out) override;
  Result<void> write(u64 offset, std::span<const u8> in) override;
  Result<void> flush() override;
  const std::string& description() const override { return file_->path(); }

 private:
  using Table = std::vector<u64>;
  struct Cached {
    Table entries;
    std::list<u64>::iterator age;
  };

  Qcow2Image(std::unique_ptr<ImageFile> file, Qcow2Header header,
             std::unique_ptr<BlockImage> backing);
  Result<void> load();
  Result<void> check_range(u64 offset, u64 length) const;
  /// The table of L1 entry `index`; null when there is none.
  Result<Table*> l2_table(u64 index);
  Table& keep(u64 index, Table table);
  /// The same, made and unshared if need be, so that it may be written.
  Result<Table*> writable_l2_table(u64 index);
  Result<void> read_cluster_part(Qcow2Entry entry, u64 guest_offset, std::span<u8> out);
  Result<void> read_compressed(Qcow2Entry entry, u64 within, std::span<u8> out);
  Result<void> read_backing(u64 guest_offset, std::span<u8> out);
  bool in_place(Qcow2Entry entry) const;
  /// Writes as much of `in` as one run of new clusters takes; returns how much.
  Result<u64> write_new(u64 offset, std::span<const u8> in);
  void release(Qcow2Entry entry);
  Result<void> mark_dirty();

  std::unique_ptr<ImageFile> file_;
  Qcow2Header header_;
  std::unique_ptr<BlockImage> backing_;
  Qcow2Refcounts refcounts_;
  std::vector<u64> l1_;
  std::unordered_map<u64, Cached> tables_;  // by L1 index
  std::list<u64> ages_;                     // L1 indices, latest first
  std::vector<u8> decompressed_;
  u64 decompressed_entry_ = 0;  // raw entry whose contents decompressed_ holds; 0 for none
  bool marked_dirty_ = false;
  bool failed_ = false;  // a write to the tables failed: leave the dirty bit set
};

}  // namespace dragoman
