#include "devices/block/qcow2_scan.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/bits.h"
#include "devices/block/byte_order.h"

namespace dragoman {
namespace {

constexpr u64 kMaxSnapshotL1Entries = u64{1} << 24;  // of all snapshots together
constexpr u64 kLostTail = u64{1} << 16;              // clusters a power failure may have cut off

class Scan {
 public:
  Scan(ImageFile& file, const Qcow2Header& header, bool beyond_end)
      : file_(file), header_(header), in_file_(header.clusters_of(file.size())) {
    limit_ = in_file_ + (beyond_end ? kLostTail : 0);
  }

  Result<std::vector<u16>> run(const std::vector<u64>& refcount_table) {
    if (limit_ > Qcow2Header::kMaxClusters) {
      return error(
          "qcow2 image '{}' has more than 2^26 clusters; convert it with larger clusters "
          "('-o cluster_size=2M') or attach it read-only",
          file_.path());
    }
    references_.resize(in_file_);
    if (auto ok = table(0, header_.cluster_bytes()); !ok) return ok.error();
    if (auto ok = table(header_.l1_offset, u64{header_.l1_entries} * 8); !ok) return ok.error();
    if (auto ok = table(header_.refcount_table_offset,
                        header_.refcount_table_clusters * header_.cluster_bytes());
        !ok) {
      return ok.error();
    }
    for (const u64 block : refcount_table) {
      if (block == 0) continue;
      if (auto ok = table(block, header_.cluster_bytes()); !ok) return ok.error();
    }
    if (auto ok = l1(header_.l1_offset, header_.l1_entries, true); !ok) return ok.error();
    if (auto ok = snapshots(); !ok) return ok.error();
    for (const auto& [offset, times] : l2_tables_) {
      if (auto ok = l2(offset, times); !ok) return ok.error();
    }
    for (const u64 cluster : tables_) {
      if (references_[cluster] != 1) {
        return bad(fmt::format("two tables share cluster {}", cluster));
      }
    }
    return std::move(references_);
  }

 private:
  Error bad(std::string_view what) const {
    return error(
        "qcow2 image '{}' is damaged: {}; repair it with 'qemu-img check -r all' or attach "
        "it read-only",
        file_.path(), what);
  }

  Result<void> refer(u64 cluster, u64 times) {
    if (cluster >= limit_) {
      return bad(fmt::format("a table names cluster {} of {}", cluster, in_file_));
    }
    if (cluster >= references_.size()) references_.resize(cluster + 1);
    references_[cluster] = static_cast<u16>(std::min<u64>(references_[cluster] + times, 0xffff));
    return {};
  }

  /// A table that nothing else may share.
  Result<void> table(u64 offset, u64 bytes) {
    const u64 cluster = header_.cluster_bytes();
    if (offset % cluster != 0 || offset > file_.size()) {
      return bad(fmt::format("a table at {:#x} is not inside the file", offset));
    }
    const u64 first = offset / cluster;
    for (u64 i = 0; i < header_.clusters_of(bytes); ++i) {
      if (auto ok = refer(first + i, 1); !ok) return ok;
      tables_.push_back(first + i);
    }
    return {};
  }

  Result<void> l1(u64 offset, u64 entries, bool active) {
    std::vector<u8> raw(entries * 8);
    if (auto ok = file_.read(offset, raw); !ok) return ok;
    for (u64 i = 0; i < entries; ++i) {
      const u64 place = get_be(raw, i * 8, 8) & Qcow2Entry::kOffsetMask;
      if (place == 0) continue;
      if (place % header_.cluster_bytes() != 0 || place >= file_.size()) {
        return bad(fmt::format("the L2 table at {:#x} is not inside the file", place));
      }
      if (++l2_tables_[place] > 1 && active) {
        return bad(fmt::format("the L2 table at {:#x} is used twice", place));
      }
      if (auto ok = refer(place / header_.cluster_bytes(), 1); !ok) return ok;
    }
    return {};
  }

  Result<void> snapshots() {
    u64 at = header_.snapshots_offset;
    u64 l1_entries = 0;
    std::array<u8, 40> raw{};
    for (u32 i = 0; i < header_.snapshots; ++i) {
      if (at >= file_.size()) return bad("its table of snapshots is cut off");
      if (auto ok = file_.read(at, raw); !ok) return ok;
      const u64 offset = get_be(raw, 0, 8);
      const u64 entries = get_be(raw, 8, 4);
      l1_entries += entries;
      if (l1_entries > kMaxSnapshotL1Entries ||
          entries * 8 > align_up(file_.size(), header_.cluster_bytes())) {
        return bad(fmt::format("the L1 table of snapshot {} has {} entries", i, entries));
      }
      if (auto ok = table(offset, entries * 8); !ok) return ok;
      if (auto ok = l1(offset, entries, false); !ok) return ok;
      at = align_up(at + 40 + get_be(raw, 12, 2) + get_be(raw, 14, 2) + get_be(raw, 36, 4), 8);
    }
    if (header_.snapshots == 0) return {};
    return table(header_.snapshots_offset, at - header_.snapshots_offset);
  }

  Result<void> l2(u64 offset, u64 times) {
    const u32 bits = header_.cluster_bits;
    const u64 cluster = header_.cluster_bytes();
    std::vector<u8> raw(cluster);
    if (auto ok = file_.read(offset, raw); !ok) return ok;
    for (u64 i = 0; i < header_.l2_entries(); ++i) {
      const Qcow2Entry entry{get_be(raw, i * 8, 8)};
      if (entry.raw == 0) continue;
      if (entry.compressed()) {
        const u64 first = entry.compressed_offset(bits);
        const u64 last = first + entry.compressed_bytes(bits) - 1;
        for (u64 c = first >> bits; c <= last >> bits; ++c) {
          if (auto ok = refer(c, times); !ok) return ok;
        }
      } else if (entry.offset() != 0) {
        if (entry.offset() % cluster != 0) {
          return bad(fmt::format("cluster at {:#x} is not aligned", entry.offset()));
        }
        if (auto ok = refer(entry.offset() / cluster, times); !ok) return ok;
      }
    }
    return {};
  }

  ImageFile& file_;
  const Qcow2Header& header_;
  u64 in_file_;
  u64 limit_ = 0;
  std::vector<u16> references_;
  std::vector<u64> tables_;
  std::unordered_map<u64, u64> l2_tables_;  // offset to number of L1 entries that name it
};

}  // namespace

Result<std::vector<u16>> count_qcow2_references(ImageFile& file, const Qcow2Header& header,
                                                const std::vector<u64>& refcount_table,
                                                bool beyond_end) {
  return Scan(file, header, beyond_end).run(refcount_table);
}

}  // namespace dragoman
