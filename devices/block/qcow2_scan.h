// Counts who refers to which cluster of a qcow2 image.
#pragma once

#include <vector>

#include "devices/block/qcow2_header.h"

namespace dragoman {

/// References to every cluster of the file, found by walking all tables and internal snapshots.
/// An Error when a table lies outside of the file or over another one. `refcount_table` holds the
/// offsets of the refcount blocks. Clusters behind the end of the file are let pass when
/// `beyond_end`: after a power failure the file may be shorter than the tables say.
Result<std::vector<u16>> count_qcow2_references(ImageFile& file, const Qcow2Header& header,
                                                const std::vector<u64>& refcount_table,
                                                bool beyond_end);

/// What an L2 entry says. Bits as in the format description.
struct Qcow2Entry {
  static constexpr u64 kCopied = u64{1} << 63;
  static constexpr u64 kCompressed = u64{1} << 62;
  static constexpr u64 kZero = 1;
  static constexpr u64 kOffsetMask = 0x00fffffffffffe00;

  u64 raw = 0;

  bool compressed() const { return (raw & kCompressed) != 0; }
  bool zero() const { return !compressed() && (raw & kZero) != 0; }
  /// Of the cluster; 0 for none.
  u64 offset() const { return raw & kOffsetMask; }
  u64 compressed_offset(u32 cluster_bits) const {
    return raw & ((u64{1} << (62 - (cluster_bits - 8))) - 1);
  }
  u64 compressed_bytes(u32 cluster_bits) const {
    const unsigned shift = 62 - (cluster_bits - 8);
    const u64 sectors = (raw >> shift & ((u64{1} << (cluster_bits - 8)) - 1)) + 1;
    return sectors * 512 - compressed_offset(cluster_bits) % 512;
  }
};

}  // namespace dragoman
