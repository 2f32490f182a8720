#include "devices/block/vmdk_image.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/bits.h"
#include "devices/block/byte_order.h"
#include "devices/block/decompress.h"

namespace dragoman {
namespace {

constexpr u64 kMaxDirectory = u64{1} << 20;
constexpr u64 kMaxCachedTables = 1024;
constexpr u64 kGrainDirectoryAtEnd = ~u64{0};
constexpr u32 kRedundant = 1u << 1;
constexpr u32 kZeroGrains = 1u << 2;
constexpr u32 kCompressed = 1u << 16;

}  // namespace

struct VmdkSparse::Header {
  explicit Header(std::span<const u8> raw)
      : version(get_le(raw, 4, 4)),
        flags(static_cast<u32>(get_le(raw, 8, 4))),
        capacity(get_le(raw, 12, 8)),
        grain(get_le(raw, 20, 8)),
        descriptor(get_le(raw, 28, 8)),
        descriptor_size(get_le(raw, 36, 8)),
        table_entries(get_le(raw, 44, 4)),
        redundant_directory(get_le(raw, 48, 8)),
        directory(get_le(raw, 56, 8)),
        overhead(get_le(raw, 64, 8)),
        algorithm(get_le(raw, 77, 2)) {}

  u64 version;
  u32 flags;
  u64 capacity, grain, descriptor, descriptor_size;  // in sectors
  u64 table_entries;
  u64 redundant_directory, directory, overhead;  // in sectors
  u64 algorithm;
};

bool VmdkSparse::recognize(std::span<const u8> head) {
  return head.size() >= 512 && std::memcmp(head.data(), "KDMV", 4) == 0;
}

Result<std::unique_ptr<BlockImage>> VmdkSparse::open(std::unique_ptr<ImageFile> file) {
  std::unique_ptr<VmdkSparse> image(new VmdkSparse(std::move(file)));
  if (auto ok = image->load(); !ok) return ok.error();
  return std::unique_ptr<BlockImage>(std::move(image));
}

Result<void> VmdkSparse::load() {
  std::array<u8, 512> raw{};
  if (auto ok = file_->read(0, raw); !ok) return ok;
  if (!recognize(raw)) {
    return error("'{}' is no VMDK image; leave out format=vmdk or give the right file",
                 description());
  }
  if (get_le(raw, 56, 8) == kGrainDirectoryAtEnd && file_->size() >= 2048) {
    // Written in one stream: the header that counts is the footer.
    if (auto ok = file_->read(file_->size() - 1024, raw); !ok) return ok;
    if (!recognize(raw)) return damaged("its footer is missing");
  }
  const Header header(raw);
  if (header.version < 1 || header.version > 3) {
    return error(
        "VMDK image '{}' has version {}, known are 1 to 3; convert it with 'qemu-img "
        "convert'",
        description(), header.version);
  }
  if (header.capacity == 0 || header.capacity > u64{1} << 50 || header.grain < 1 ||
      header.grain > 2048 || (header.grain & (header.grain - 1)) != 0 ||
      header.table_entries == 0 || header.table_entries > 4096) {
    return damaged(fmt::format("{} sectors in grains of {} and tables of {}", header.capacity,
                               header.grain, header.table_entries));
  }
  if (header.descriptor != 0) {
    std::vector<u8> text(std::min<u64>(header.descriptor_size, 128) * 512);
    if (header.descriptor > file_->size() / 512)
      return damaged("its descriptor is not in the file");
    if (auto ok = file_->read(header.descriptor * 512, text); !ok) return ok;
    const std::string words(text.begin(), text.end());
    const auto parent = words.find("parentCID=");
    if (parent != std::string::npos && words.compare(parent + 10, 8, "ffffffff") != 0) {
      return error(
          "VMDK image '{}' is the difference to another image, which is not supported; "
          "merge them with 'qemu-img convert'",
          description());
    }
  }
  compressed_ = (header.flags & kCompressed) != 0;
  zero_grains_ = (header.flags & kZeroGrains) != 0;
  table_entries_ = header.table_entries;
  size_ = header.capacity * 512;
  block_bytes_ = header.grain * 512;
  if (compressed_) {
    if (header.algorithm != 1) {
      return damaged(fmt::format("compression {} is not deflate", header.algorithm));
    }
    cannot_write_ = "its grains are compressed (streamOptimized)";
  }
  return load_directory(header);
}

Result<void> VmdkSparse::load_directory(const Header& header) {
  const u64 sectors = file_->size() / 512 + 1;
  const u64 covered = header.grain * header.table_entries;
  const u64 entries = (header.capacity + covered - 1) / covered;
  const auto read_directory = [&](u64 sector, std::vector<u32>& directory) -> Result<void> {
    if (entries > kMaxDirectory || sector == 0 || sector >= sectors ||
        entries * 4 > file_->size() - std::min(file_->size(), sector * 512)) {
      return damaged(
          fmt::format("its grain directory of {} entries at sector {} is not inside the "
                      "file",
                      entries, sector));
    }
    std::vector<u8> raw(entries * 4);
    if (auto ok = file_->read(sector * 512, raw); !ok) return ok;
    directory.resize(entries);
    for (u64 i = 0; i < entries; ++i) {
      directory[i] = static_cast<u32>(get_le(raw, i * 4, 4));
      if (directory[i] >= sectors) {
        return damaged(
            fmt::format("grain table {} at sector {} is not inside the file", i, directory[i]));
      }
    }
    return {};
  };
  if (auto ok = read_directory(header.directory, directory_); !ok) return ok;
  first_grain_ = header.overhead >= sectors ? 0 : header.overhead * 512;
  if (read_only()) return {};
  if ((header.flags & kRedundant) != 0) {
    if (auto ok = read_directory(header.redundant_directory, redundant_directory_); !ok) return ok;
  }
  // Writing needs all tables in front of all grains, as every program makes them.
  const u64 table_sectors = (header.table_entries * 4 + 511) / 512;
  std::vector<u64> places;
  for (const auto* directory : {&directory_, &redundant_directory_}) {
    for (const u32 table : *directory) {
      if (table == 0 || table + table_sectors > header.overhead) {
        cannot_write_ = "its grain tables are not all in front";
      }
      places.push_back(table);
    }
  }
  std::sort(places.begin(), places.end());
  for (std::size_t i = 1; i < places.size(); ++i) {
    if (places[i] - places[i - 1] < table_sectors) cannot_write_ = "its grain tables overlap";
  }
  const u64 directory_end = (header.directory * 512 + entries * 4 + 511) / 512;
  for (const u64 place : places) {
    if (place < directory_end && place + table_sectors > header.directory) {
      cannot_write_ = "its grain tables overlap";
    }
  }
  if (first_grain_ == 0) cannot_write_ = "its tables have no known end";
  return {};
}

Result<std::vector<u32>*> VmdkSparse::grain_table(u64 index) {
  if (directory_[index] == 0) return static_cast<std::vector<u32>*>(nullptr);
  if (const auto found = tables_.find(index); found != tables_.end()) return &found->second;
  if (tables_.size() >= kMaxCachedTables) tables_.clear();
  std::vector<u8> raw(table_entries_ * 4);
  if (auto ok = file_->read(u64{directory_[index]} * 512, raw); !ok) return ok.error();
  std::vector<u32>& table = tables_[index];
  table.resize(table_entries_);
  for (u64 i = 0; i < table_entries_; ++i) table[i] = static_cast<u32>(get_le(raw, i * 4, 4));
  return &table;
}

Result<std::optional<u64>> VmdkSparse::place(u64 index) {
  auto table = grain_table(index / table_entries_);
  if (!table) return table.error();
  const u32 sector = *table == nullptr ? 0 : (**table)[index % table_entries_];
  if (sector == 0 || (sector == 1 && zero_grains_)) return std::optional<u64>();
  const u64 at = u64{sector} * 512;
  if (at >= file_->size() || (!read_only() && at < first_grain_)) {
    return damaged(fmt::format("grain {} at sector {} is not where grains are", index, sector));
  }
  return std::optional<u64>(at);
}

Result<void> VmdkSparse::read_block(u64 block_place, u64 within, std::span<u8> out) {
  if (!compressed_) return file_->read(block_place + within, out);
  if (grain_of_ != block_place) {
    // Before the data: the sector of the disk, 8 bytes, and the number of bytes, 4.
    std::array<u8, 12> head{};
    if (auto ok = file_->read(block_place, head); !ok) return ok;
    const u64 bytes = get_le(head, 8, 4);
    if (bytes == 0 || bytes > file_->size() - block_place || bytes > 2 * block_bytes_ + 4096) {
      return damaged(fmt::format("the grain at {:#x} claims {} bytes", block_place, bytes));
    }
    std::vector<u8> packed(bytes);
    if (auto ok = file_->read(block_place + 12, packed); !ok) return ok;
    // The last grain of the disk may be stored short.
    const u64 sector = get_le(head, 0, 8);
    const u64 left = sector < size_ / 512 ? size_ - sector * 512 : block_bytes_;
    grain_.assign(block_bytes_, 0);
    grain_of_ = 0;
    if (!decompress(Compression::kZlib, packed,
                    std::span(grain_).first(std::min(left, block_bytes_)))) {
      return damaged(fmt::format("the grain at {:#x} cannot be decompressed", block_place));
    }
    grain_of_ = block_place;
  }
  std::memcpy(out.data(), grain_.data() + within, out.size());
  return {};
}

Result<void> VmdkSparse::add_block(u64 index, std::span<const u8> block) {
  const u64 at = align_up(std::max(file_->size(), first_grain_), block_bytes_);
  if (at / 512 > 0xffffffff) return damaged("it cannot grow past 2 TiB");
  if (auto ok = file_->write(at, block); !ok) return ok;
  auto table = grain_table(index / table_entries_);
  if (!table) return table.error();
  std::array<u8, 4> entry{};
  put_le(entry, 0, 4, at / 512);
  for (const auto* directory : {&redundant_directory_, &directory_}) {
    if (directory->empty()) continue;
    const u64 base = u64{(*directory)[index / table_entries_]} * 512;
    if (auto ok = file_->write(base + index % table_entries_ * 4, entry); !ok) return ok;
  }
  (**table)[index % table_entries_] = static_cast<u32>(at / 512);
  return {};
}

}  // namespace dragoman
