#include "devices/block/qcow2_header.h"

#include <array>
#include <vector>

#include "base/bits.h"
#include "devices/block/byte_order.h"

namespace dragoman {
namespace {

constexpr u64 kMaxL1Bytes = 32 * kMiB;
constexpr u64 kMaxRefcountTableBytes = 8 * kMiB;
constexpr u32 kMaxSnapshots = 65536;
constexpr u64 kMaxBackingName = 1023;
constexpr u32 kExtensionBackingFormat = 0xe2792aca;

constexpr u64 kExternalData = 4;
constexpr u64 kCompressionType = 8;
constexpr u64 kExtendedL2 = 16;

Error bad(const ImageFile& file, std::string_view what) {
  return error("qcow2 image '{}' is damaged: {}; 'qemu-img check' tells more, or use a copy",
               file.path(), what);
}

Result<void> check_features(const ImageFile& file, const Qcow2Header& header, bool compression) {
  const u64 bits = header.incompatible;
  const char* remedy = "convert it with 'qemu-img convert -O qcow2'";
  if (bits & kExternalData) {
    return error("qcow2 image '{}' keeps its data in another file, which is not supported; {}",
                 file.path(), remedy);
  }
  if (bits & kExtendedL2) {
    return error("qcow2 image '{}' has subclusters (extended_l2), which are not supported; {}",
                 file.path(), remedy);
  }
  if ((bits & Qcow2Header::kCorrupt) && !file.read_only()) {
    return error(
        "qcow2 image '{}' is marked as corrupt; repair it with 'qemu-img check -r all' or attach "
        "it read-only",
        file.path());
  }
  const u64 known =
      Qcow2Header::kDirty | Qcow2Header::kCorrupt | (compression ? kCompressionType : 0);
  if (bits & ~known) {
    return error(
        "qcow2 image '{}' has features that are not supported (incompatible bits {:#x}); {}",
        file.path(), bits & ~known, remedy);
  }
  return {};
}

/// The extensions after the fixed fields: only the format of the backing file matters here.
void read_extensions(std::span<const u8> cluster, u64 at, Qcow2Header& header) {
  while (at + 8 <= cluster.size()) {
    const u64 type = get_be(cluster, at, 4);
    const u64 length = get_be(cluster, at + 4, 4);
    at += 8;
    if (type == 0 || length > cluster.size() - at) return;
    if (type == kExtensionBackingFormat) {
      header.backing_format.assign(cluster.begin() + static_cast<long>(at),
                                   cluster.begin() + static_cast<long>(at + length));
    }
    at += align_up(length, 8);
  }
}

}  // namespace

Result<Qcow2Header> Qcow2Header::read(ImageFile& file) {
  std::array<u8, 112> raw{};
  if (auto ok = file.read(0, raw); !ok) return ok.error();
  if (get_be(raw, 0, 4) != 0x514649fb) {
    return error("'{}' is no qcow2 image; leave out format=qcow2 or give the right file",
                 file.path());
  }
  Qcow2Header header;
  header.version = static_cast<u32>(get_be(raw, 4, 4));
  if (header.version != 2 && header.version != 3) {
    return error(
        "qcow2 image '{}' has version {}, known are 2 and 3; convert it with 'qemu-img "
        "convert -O qcow2'",
        file.path(), header.version);
  }
  if (file.size() < (header.version == 2 ? 72u : 104u)) return bad(file, "its header is cut off");
  header.cluster_bits = static_cast<u32>(get_be(raw, 20, 4));
  if (header.cluster_bits < 9 || header.cluster_bits > 21) {
    return bad(file,
               fmt::format("cluster size 2^{} is not between 2^9 and 2^21", header.cluster_bits));
  }
  header.size = get_be(raw, 24, 8);
  header.l1_entries = static_cast<u32>(get_be(raw, 36, 4));
  header.l1_offset = get_be(raw, 40, 8);
  header.refcount_table_offset = get_be(raw, 48, 8);
  header.refcount_table_clusters = static_cast<u32>(get_be(raw, 56, 4));
  header.snapshots = static_cast<u32>(get_be(raw, 60, 4));
  header.snapshots_offset = get_be(raw, 64, 8);
  u64 header_length = 72;
  if (header.version == 3) {
    header.incompatible = get_be(raw, 72, 8);
    header.autoclear = get_be(raw, 88, 8);
    header.refcount_order = static_cast<u32>(get_be(raw, 96, 4));
    header_length = get_be(raw, 100, 4);
    if (header_length < 104 || header_length > header.cluster_bytes()) {
      return bad(file, fmt::format("its header claims {} bytes", header_length));
    }
    const bool has_compression = header_length > 104;
    if (auto ok = check_features(file, header, has_compression); !ok) return ok.error();
    if (has_compression && raw[104] > 1) {
      return error(
          "qcow2 image '{}' uses compression {}, known are zlib and zstd; convert it with "
          "'qemu-img convert -O qcow2'",
          file.path(), raw[104]);
    }
    header.zstd = has_compression && raw[104] == 1;
    if (header.refcount_order > 6) {
      return bad(file, fmt::format("refcounts of 2^{} bits", header.refcount_order));
    }
  }
  if (get_be(raw, 32, 4) != 0) {
    return error(
        "qcow2 image '{}' is encrypted, which is not supported; convert it with 'qemu-img "
        "convert' to one that is not",
        file.path());
  }

  // Every table must lie in the file, whose last cluster may be short.
  const u64 cluster = header.cluster_bytes();
  const u64 end = align_up(file.size(), cluster);
  const auto inside = [&](u64 offset, u64 bytes) {
    return offset % cluster == 0 && offset >= cluster && offset <= end && bytes <= end - offset;
  };
  if (header.size % 512 != 0) header.size = align_up(header.size, 512);
  if (header.size == 0) return bad(file, "its disk has no bytes");
  const u64 needed = ((header.size - 1) >> header.cluster_bits) / header.l2_entries() + 1;
  if (header.size > u64{1} << 62 || header.l1_entries < needed) {
    return bad(file, fmt::format("its L1 table has {} entries, a disk of {} bytes needs {}",
                                 header.l1_entries, header.size, needed));
  }
  if (u64{header.l1_entries} * 8 > kMaxL1Bytes) {
    return bad(file, fmt::format("an L1 table of {} entries", header.l1_entries));
  }
  if (!inside(header.l1_offset, u64{header.l1_entries} * 8)) {
    return bad(file, fmt::format("its L1 table at {:#x} is not inside the file", header.l1_offset));
  }
  const u64 table_bytes = u64{header.refcount_table_clusters} * cluster;
  if (table_bytes == 0 || table_bytes > kMaxRefcountTableBytes ||
      !inside(header.refcount_table_offset, table_bytes)) {
    return bad(file, fmt::format("its refcount table at {:#x} is not inside the file",
                                 header.refcount_table_offset));
  }
  if (header.snapshots > kMaxSnapshots ||
      (header.snapshots != 0 && !inside(header.snapshots_offset, u64{header.snapshots} * 40))) {
    return bad(file,
               fmt::format("its table of {} snapshots is not inside the file", header.snapshots));
  }

  const u64 backing_offset = get_be(raw, 8, 8);
  const u64 backing_length = get_be(raw, 16, 4);
  if (backing_offset != 0) {
    std::vector<u8> first(cluster);
    if (auto ok = file.read(0, first); !ok) return ok.error();
    if (backing_length > kMaxBackingName || backing_offset > cluster ||
        backing_length > cluster - backing_offset) {
      return bad(file, "the name of its backing file is outside of the header");
    }
    header.backing_file.assign(first.begin() + static_cast<long>(backing_offset),
                               first.begin() + static_cast<long>(backing_offset + backing_length));
    read_extensions(std::span(first).first(backing_offset), align_up(header_length, 8), header);
  }
  return header;
}

Result<void> Qcow2Header::write_features(ImageFile& file) const {
  if (version < 3) return {};
  std::array<u8, 8> raw{};
  put_be(raw, 0, 8, autoclear);
  if (auto ok = file.write(88, raw); !ok) return ok;
  put_be(raw, 0, 8, incompatible);
  return file.write(72, raw);
}

Result<void> Qcow2Header::write_refcount_table_place(ImageFile& file) const {
  std::array<u8, 12> raw{};
  put_be(raw, 0, 8, refcount_table_offset);
  put_be(raw, 8, 4, refcount_table_clusters);
  return file.write(48, raw);
}

}  // namespace dragoman
