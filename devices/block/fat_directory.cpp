#include "devices/block/fat_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "base/bits.h"
#include "devices/block/byte_order.h"
#include "devices/block/fat_names.h"
#include "devices/block/host_file.h"

namespace dragoman {
namespace {

namespace fs = std::filesystem;

constexpr u64 kSector = 512;
constexpr u64 kPartitionStart = 63;  // in sectors: the second track
constexpr std::size_t kMostEntries = 200'000;
constexpr unsigned kMostDepth = 40;
constexpr u64 kMostFileBytes = 0xffffffff;
constexpr u64 kFat16Clusters = 65'000;
constexpr u64 kFat16Used = 60'000;     // the rest is free for what goes to a snapshot
constexpr u64 kFat32Least = 70'000;    // fewer clusters would be FAT16
constexpr u64 kFat32Most = 0x2000000;  // 1 TiB in clusters of 32 KiB

struct Node {
  FatEntry entry;
  std::string path;
  std::vector<std::size_t> children;
  std::size_t parent = 0;
  std::vector<u8> table;  // of a directory
  u64 clusters = 0;
};

/// Bytes of the disk that are not zeros: from memory, or from a file of the host.
struct Piece {
  u64 start = 0;
  u64 bytes = 0;
  std::vector<u8> memory;
  std::string path;
};

class FatImage final : public BlockImage {
 public:
  FatImage(u64 size, std::vector<Piece> pieces, std::string description)
      : size_(size), pieces_(std::move(pieces)), description_(std::move(description)) {}
  u64 size() const override { return size_; }
  bool read_only() const override { return true; }
  Result<void> write(u64, std::span<const u8>) override {
    return error(
        "the directory disk '{}' is read-only; add -snapshot to let the guest write to a "
        "temporary file",
        description_);
  }
  Result<void> flush() override { return {}; }
  const std::string& description() const override { return description_; }

  Result<void> read(u64 offset, std::span<u8> out) override {
    if (offset > size_ || out.size() > size_ - offset) {
      return error("access to {} bytes at {} is past the end of disk image '{}' ({} bytes)",
                   out.size(), offset, description_, size_);
    }
    std::fill(out.begin(), out.end(), u8{0});
    const u64 end = offset + out.size();
    auto piece = std::upper_bound(pieces_.begin(), pieces_.end(), offset,
                                  [](u64 at, const Piece& p) { return at < p.start; });
    if (piece != pieces_.begin()) --piece;
    for (; piece != pieces_.end() && piece->start < end; ++piece) {
      const u64 from = std::max(offset, piece->start);
      const u64 to = std::min(end, piece->start + piece->bytes);
      if (from >= to) continue;
      if (auto ok = read_piece(*piece, from - piece->start, out.subspan(from - offset, to - from));
          !ok) {
        return ok;
      }
    }
    return {};
  }

 private:
  Result<void> read_piece(const Piece& piece, u64 within, std::span<u8> out) {
    if (piece.path.empty()) {
      std::memcpy(out.data(), piece.memory.data() + within, out.size());
      return {};
    }
    if (open_piece_ != &piece) {
      // The file may have been replaced by a link or a FIFO since the directory was read.
      const int fd = ::open(piece.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
      if (fd < 0) {
        return error(
            "cannot read '{}' of the directory disk: {}; leave its files alone while a "
            "machine uses them",
            piece.path, errno_text(errno));
      }
      file_ = HostFile(fd);
      open_piece_ = &piece;
    }
    const i64 n = file_.read_at(within, out);  // a file that became shorter ends with zeros
    if (n < 0) {
      return error("cannot read '{}' of the directory disk: {}; check the host's disk", piece.path,
                   errno_text(static_cast<int>(-n)));
    }
    return {};
  }

  u64 size_;
  std::vector<Piece> pieces_;  // by start
  std::string description_;
  const Piece* open_piece_ = nullptr;
  HostFile file_;
};

class Builder {
 public:
  explicit Builder(std::string directory) : directory_(std::move(directory)) {
    nodes_.push_back({});
    nodes_[0].entry.directory = true;
    nodes_[0].path = directory_;
  }

  Result<void> collect(std::size_t index, unsigned depth) {
    std::error_code code;
    std::vector<fs::path> paths;
    if (depth > kMostDepth) {
      return error("directory '{}' is nested deeper than {} levels; give one further down",
                   nodes_[index].path, kMostDepth);
    }
    fs::directory_iterator it(nodes_[index].path, code);
    for (; !code && it != fs::directory_iterator(); it.increment(code)) paths.push_back(it->path());
    if (code) {
      return error("cannot read directory '{}': {}; give a readable directory in fat:DIR",
                   nodes_[index].path, code.message());
    }
    std::sort(paths.begin(), paths.end());  // the order on the disk must not depend on the host
    for (const fs::path& path : paths) {
      struct stat info {};
      if (::lstat(path.c_str(), &info) != 0) continue;
      if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) continue;
      if (nodes_.size() >= kMostEntries) {
        return error("directory '{}' holds more than {} files; give one with less in fat:DIR",
                     directory_, kMostEntries);
      }
      Node node;
      node.entry.name = path.filename().string();
      node.entry.directory = S_ISDIR(info.st_mode);
      node.entry.modified_unix = info.st_mtime;
      node.path = path.string();
      node.parent = index;
      if (!node.entry.directory) {
        if (static_cast<u64>(info.st_size) > kMostFileBytes) {
          return error(
              "file '{}' has {} bytes, more than a FAT file can have (4 GiB); move it out of "
              "the directory",
              node.path, info.st_size);
        }
        node.entry.bytes = static_cast<u32>(info.st_size);
      }
      const std::size_t number = nodes_.size();
      nodes_[index].children.push_back(number);
      const bool directory = node.entry.directory;
      nodes_.push_back(std::move(node));
      if (!directory) continue;
      if (auto ok = collect(number, depth + 1); !ok) return ok;
    }
    return {};
  }

  Result<std::unique_ptr<BlockImage>> build(unsigned wanted_bits) {
    for (Node& node : nodes_) {
      if (node.entry.directory) make_table(node);
    }
    if (!choose_layout(wanted_bits)) {
      return error("directory '{}' is too large for a FAT{} disk; give one with less in fat:DIR",
                   directory_, wanted_bits == 16 ? "16" : "32");
    }
    place_nodes();
    for (Node& node : nodes_) {
      if (node.entry.directory) make_table(node);  // now with cluster numbers
    }
    write_disk();
    std::sort(pieces_.begin(), pieces_.end(),
              [](const Piece& a, const Piece& b) { return a.start < b.start; });
    return std::unique_ptr<BlockImage>(std::make_unique<FatImage>(
        (kPartitionStart + volume_sectors_) * kSector, std::move(pieces_), "fat:" + directory_));
  }

 private:
  void make_table(Node& node) {
    node.table.clear();
    const bool root = &node == &nodes_[0];
    if (root) {
      append_plain_fat_entry(node.table, "DRAGOMAN   ", 0x08, {});
    } else {
      FatEntry self = node.entry;
      append_plain_fat_entry(node.table, ".          ", 0x10, self);
      // ".." of what lies in the root names cluster 0, also on FAT32.
      self.cluster = node.parent == 0 ? 0 : nodes_[node.parent].entry.cluster;
      append_plain_fat_entry(node.table, "..         ", 0x10, self);
    }
    FatShortNames names;
    for (const std::size_t child : node.children) {
      append_fat_entry(node.table, nodes_[child].entry, names);
    }
  }

  u64 clusters_needed(u64 cluster_bytes, bool with_root) {
    u64 total = 0;
    for (std::size_t i = with_root ? 0 : 1; i < nodes_.size(); ++i) {
      const u64 bytes =
          nodes_[i].entry.directory ? nodes_[i].table.size() + 32 : nodes_[i].entry.bytes;
      nodes_[i].clusters = (bytes + cluster_bytes - 1) / cluster_bytes;
      total += nodes_[i].clusters;
    }
    return total;
  }

  bool choose_layout(unsigned wanted_bits) {
    if (wanted_bits != 32 && nodes_[0].table.size() <= 32 * 65'000) {
      for (const u64 bytes : {8 * kKiB, 16 * kKiB, 32 * kKiB}) {
        if (clusters_needed(bytes, false) > kFat16Used) continue;
        set_layout(16, bytes, kFat16Clusters);
        return true;
      }
    }
    if (wanted_bits == 16) return false;
    const u64 needed = clusters_needed(32 * kKiB, true);
    if (needed > kFat32Most) return false;
    set_layout(32, 32 * kKiB, std::max(kFat32Least, needed + needed / 8));
    return true;
  }

  void set_layout(unsigned bits, u64 cluster_bytes, u64 clusters) {
    bits_ = bits;
    cluster_bytes_ = cluster_bytes;
    clusters_ = clusters;
    reserved_ = bits == 16 ? 1 : 32;
    fat_sectors_ = ((clusters + 2) * bits / 8 + kSector - 1) / kSector;
    root_entries_ =
        bits == 16 ? std::max<u64>(512, align_up(nodes_[0].table.size() / 32 + 1, 16)) : 0;
    data_start_ = reserved_ + 2 * fat_sectors_ + root_entries_ * 32 / kSector;
    volume_sectors_ = data_start_ + clusters * (cluster_bytes / kSector);
    // As a PC BIOS translates disks of this size.
    heads_ = 16;
    while (heads_ < 128 && (kPartitionStart + volume_sectors_) / (63 * heads_) >= 1024) heads_ *= 2;
    if ((kPartitionStart + volume_sectors_) / (63 * heads_) >= 1024) heads_ = 255;
  }

  void place_nodes() {
    u32 next = 2;
    for (std::size_t i = bits_ == 16 ? 1 : 0; i < nodes_.size(); ++i) {
      if (nodes_[i].clusters == 0) continue;
      nodes_[i].entry.cluster = next;
      next += static_cast<u32>(nodes_[i].clusters);
    }
    used_clusters_ = next - 2;
  }

  void add(u64 sector, std::vector<u8> bytes) {
    const u64 length = bytes.size();
    pieces_.push_back({(kPartitionStart + sector) * kSector, length, std::move(bytes), {}});
  }

  std::vector<u8> boot_sector() const {
    std::vector<u8> s(kSector);
    // A jump over the parameters to int 18h: there is nothing to boot from here.
    const u8 code_at = bits_ == 16 ? 0x3e : 0x5a;
    s[0] = 0xeb;
    s[1] = static_cast<u8>(code_at - 2);
    s[2] = 0x90;
    std::memcpy(&s[3], "DRAGOMAN", 8);
    put_le(s, 11, 2, kSector);
    s[13] = static_cast<u8>(cluster_bytes_ / kSector);
    put_le(s, 14, 2, reserved_);
    s[16] = 2;
    put_le(s, 17, 2, root_entries_);
    s[21] = 0xf8;
    put_le(s, 22, 2, bits_ == 16 ? fat_sectors_ : 0);
    put_le(s, 24, 2, 63);
    put_le(s, 26, 2, heads_);
    put_le(s, 28, 4, kPartitionStart);
    put_le(s, 32, 4, volume_sectors_);
    unsigned at = 36;
    if (bits_ == 32) {
      put_le(s, 36, 4, fat_sectors_);
      put_le(s, 44, 4, nodes_[0].entry.cluster);
      put_le(s, 48, 2, 1);  // FSInfo
      put_le(s, 50, 2, 6);  // copy of this sector
      at = 64;
    }
    s[at] = 0x80;
    s[at + 2] = 0x29;
    put_le(s, at + 3, 4, 0xd2a60a17);
    std::memcpy(&s[at + 7], "DRAGOMAN   ", 11);
    std::memcpy(&s[at + 18], bits_ == 16 ? "FAT16   " : "FAT32   ", 8);
    s[code_at] = 0xcd;
    s[code_at + 1u] = 0x18;
    s[510] = 0x55;
    s[511] = 0xaa;
    return s;
  }

  void put_chs(std::span<u8> out, u64 sector) const {
    const u64 cylinder = sector / (63 * heads_);
    out[0] = static_cast<u8>(cylinder > 1023 ? 254 : sector / 63 % heads_);
    out[1] = static_cast<u8>(cylinder > 1023 ? 0xff : (sector % 63 + 1) | (cylinder >> 2 & 0xc0));
    out[2] = static_cast<u8>(cylinder > 1023 ? 0xff : cylinder);
  }

  std::vector<u8> partition_table() const {
    std::vector<u8> s(kSector);
    s[0] = 0xcd;
    s[1] = 0x18;
    put_le(s, 440, 4, 0xd2a60a17);
    const std::span<u8> entry = std::span(s).subspan(446, 16);
    entry[0] = 0x80;
    put_chs(entry.subspan(1), kPartitionStart);
    entry[4] = bits_ == 32 ? 0x0c : heads_ <= 16 ? 0x06 : 0x0e;
    put_chs(entry.subspan(5), kPartitionStart + volume_sectors_ - 1);
    put_le(entry, 8, 4, kPartitionStart);
    put_le(entry, 12, 4, volume_sectors_);
    s[510] = 0x55;
    s[511] = 0xaa;
    return s;
  }

  std::vector<u8> allocation_table() const {
    const unsigned width = bits_ / 8;
    const u64 last = bits_ == 16 ? 0xffff : 0x0fffffff;
    std::vector<u8> table((used_clusters_ + 2) * width);
    put_le(table, 0, width, last & ~u64{7});  // the medium byte, F8h
    put_le(table, width, width, last);
    for (const Node& node : nodes_) {
      for (u64 i = 0; node.entry.cluster != 0 && i < node.clusters; ++i) {
        const u64 cluster = node.entry.cluster + i;
        put_le(table, cluster * width, width, i + 1 == node.clusters ? last : cluster + 1);
      }
    }
    return table;
  }

  void write_disk() {
    pieces_.push_back({0, kSector, partition_table(), {}});
    add(0, boot_sector());
    if (bits_ == 32) {
      std::vector<u8> info(kSector);
      put_le(info, 0, 4, 0x41615252);
      put_le(info, 484, 4, 0x61417272);
      put_le(info, 488, 4, clusters_ - used_clusters_);
      put_le(info, 492, 4, used_clusters_ + 2);
      put_le(info, 508, 4, 0xaa550000);
      add(1, info);
      add(6, boot_sector());
      add(7, info);
    }
    add(reserved_, allocation_table());
    add(reserved_ + fat_sectors_, allocation_table());
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      Node& node = nodes_[i];
      const u64 sector = i == 0 && bits_ == 16 ? data_start_ - root_entries_ * 32 / kSector
                                               : data_start_ + (node.entry.cluster - u64{2}) *
                                                                   (cluster_bytes_ / kSector);
      if (node.entry.directory) {
        add(sector, std::move(node.table));
      } else if (node.entry.bytes != 0) {
        pieces_.push_back({(kPartitionStart + sector) * kSector, node.entry.bytes, {}, node.path});
      }
    }
  }

  std::string directory_;
  std::vector<Node> nodes_;  // the root first
  unsigned bits_ = 16;
  u64 cluster_bytes_ = 0, clusters_ = 0, used_clusters_ = 0;
  u64 reserved_ = 0, fat_sectors_ = 0, root_entries_ = 0, data_start_ = 0, volume_sectors_ = 0;
  u64 heads_ = 16;
  std::vector<Piece> pieces_;
};

}  // namespace

Result<std::unique_ptr<BlockImage>> open_fat_directory(std::string directory) {
  unsigned bits = 0;
  for (bool more = true; more;) {
    more = true;
    if (directory.starts_with("16:")) {
      bits = 16;
      directory.erase(0, 3);
    } else if (directory.starts_with("32:")) {
      bits = 32;
      directory.erase(0, 3);
    } else if (directory.starts_with("ro:")) {
      directory.erase(0, 3);
    } else if (directory.starts_with("rw:") || directory.starts_with("floppy:")) {
      return error(
          "'fat:{}' is not available: a directory is a read-only hard disk; use fat:DIR, with "
          "-snapshot to let the guest write to a temporary file",
          directory);
    } else {
      more = false;
    }
  }
  struct stat info {};
  if (::stat(directory.c_str(), &info) != 0) {
    return error("cannot open directory '{}': {}; check the path after fat:", directory,
                 errno_text(errno));
  }
  if (!S_ISDIR(info.st_mode)) {
    return error("'{}' is not a directory; leave out fat: to use it as an image", directory);
  }
  Builder builder(directory);
  if (auto ok = builder.collect(0, 0); !ok) return ok.error();
  return builder.build(bits);
}

}  // namespace dragoman
