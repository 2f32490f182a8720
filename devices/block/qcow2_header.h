// The header of a qcow2 image, versions 2 and 3.
// Document: the format description "qcow2" in the documentation of the QEMU project.
#pragma once

#include <string>

#include "devices/block/image_file.h"

namespace dragoman {

/// Fields in host order. Offsets are bytes in the file.
struct Qcow2Header {
  static constexpr u64 kDirty = 1;    ///< incompatible: refcounts may be wrong
  static constexpr u64 kCorrupt = 2;  ///< incompatible: must not be written to
  static constexpr u64 kBitmaps = 1;  ///< autoclear: bitmaps describe the present contents
  static constexpr u64 kMaxClusters = u64{1} << 26;  ///< of a file we write to (bounds memory)

  u32 version = 3;
  u32 cluster_bits = 16;
  u64 size = 0;  ///< of the disk
  u32 l1_entries = 0;
  u64 l1_offset = 0;
  u64 refcount_table_offset = 0;
  u32 refcount_table_clusters = 0;
  u32 snapshots = 0;
  u64 snapshots_offset = 0;
  u64 incompatible = 0;
  u64 autoclear = 0;
  u32 refcount_order = 4;  ///< a refcount has 1 << refcount_order bits
  bool zstd = false;       ///< compressed clusters are zstd, else raw deflate
  std::string backing_file;
  std::string backing_format;

  u64 cluster_bytes() const { return u64{1} << cluster_bits; }
  u64 l2_entries() const { return cluster_bytes() / 8; }
  u64 clusters_of(u64 bytes) const {
    return (bytes >> cluster_bits) + (bytes % cluster_bytes() != 0);
  }

  /// Reads and checks the header: all tables lie inside the file and sizes fit together.
  static Result<Qcow2Header> read(ImageFile& file);
  /// Writes the feature fields; version 2 has none.
  Result<void> write_features(ImageFile& file) const;
  /// Writes the place of the refcount table, in one piece.
  Result<void> write_refcount_table_place(ImageFile& file) const;
};

}  // namespace dragoman
