// The refcounts of a qcow2 image: which clusters of the file are in use, and by how many.
#pragma once

#include <vector>

#include "devices/block/qcow2_header.h"

namespace dragoman {

/// All refcounts in memory, written through. Every write leaves the file consistent: a refcount is
/// in the file before the first reference, and goes down only after the last one.
class Qcow2Refcounts {
 public:
  struct Run {
    u64 first = 0;
    u64 count = 0;
    bool fresh = false;  ///< lies past the end of the file, so that it reads as zeros
  };

  /// Both outlive the object; growing the table changes the header.
  Qcow2Refcounts(ImageFile& file, Qcow2Header& header) : file_(file), header_(header) {}

  /// The offsets of the refcount blocks; 0 for none. Checked to lie in the file.
  Result<void> read_table();
  const std::vector<u64>& table() const { return table_; }
  /// Reads the blocks. Afterwards counts and `references` (found in the tables of the image) are
  /// made equal: what nobody refers to is freed if `reclaim`; a count that is too low is an Error
  /// unless `repair`.
  Result<void> load(const std::vector<u16>& references, bool reclaim, bool repair);

  u64 count(u64 cluster) const { return cluster < counts_.size() ? counts_[cluster] : 0; }
  /// Takes 1 to `most` free neighbouring clusters.
  Result<Run> allocate(u64 most);
  /// One reference less, from the next write_released() on: what the cluster held must stay until
  /// the tables that no longer name it have reached the disk.
  void release(u64 cluster) { released_.push_back(cluster); }
  bool has_released() const { return !released_.empty(); }
  Result<void> write_released();

 private:
  u64 per_block() const { return header_.cluster_bytes() * 8 >> header_.refcount_order; }
  Result<void> set(u64 first, u64 count, u16 value);
  Result<void> write_entries(u64 first, u64 count);
  Result<void> create_block(u64 index);
  Result<void> grow_table(u64 index);
  Result<void> write_block(u64 index);
  Error full() const;

  ImageFile& file_;
  Qcow2Header& header_;
  std::vector<u64> table_;
  std::vector<u16> counts_;  // 65535 stands for that and more
  std::vector<u64> released_;
  u64 hint_ = 0;  // no cluster below is free
};

}  // namespace dragoman
