#include "devices/block/qcow2_image.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/bits.h"
#include "devices/block/byte_order.h"
#include "devices/block/decompress.h"

namespace dragoman {
namespace {

constexpr u64 kCachedTableBytes = 16 * kMiB;
constexpr u64 kMostNewBytes = 4 * kMiB;  // written as one run

std::vector<u8> to_bytes(std::span<const u64> entries) {
  std::vector<u8> raw(entries.size() * 8);
  for (std::size_t i = 0; i < entries.size(); ++i) put_be(raw, i * 8, 8, entries[i]);
  return raw;
}

}  // namespace

Qcow2Image::Qcow2Image(std::unique_ptr<ImageFile> file, Qcow2Header header,
                       std::unique_ptr<BlockImage> backing)
    : file_(std::move(file)),
      header_(std::move(header)),
      backing_(std::move(backing)),
      refcounts_(*file_, header_) {}

Result<std::unique_ptr<Qcow2Image>> Qcow2Image::open(std::unique_ptr<ImageFile> file,
                                                     Qcow2Header header,
                                                     std::unique_ptr<BlockImage> backing) {
  std::unique_ptr<Qcow2Image> image(
      new Qcow2Image(std::move(file), std::move(header), std::move(backing)));
  if (auto ok = image->load(); !ok) return ok.error();
  return image;
}

Result<void> Qcow2Image::load() {
  std::vector<u8> raw(u64{header_.l1_entries} * 8);
  if (auto ok = file_->read(header_.l1_offset, raw); !ok) return ok;
  l1_.resize(header_.l1_entries);
  for (std::size_t i = 0; i < l1_.size(); ++i) {
    l1_[i] = get_be(raw, i * 8, 8) & Qcow2Entry::kOffsetMask;
  }
  if (read_only()) return {};
  const bool dirty = (header_.incompatible & Qcow2Header::kDirty) != 0;
  if (auto ok = refcounts_.read_table(); !ok) return ok;
  auto references = count_qcow2_references(*file_, header_, refcounts_.table(), dirty);
  if (!references) return references.error();
  // Bitmaps are not walked, so what they use must not be taken for lost.
  const bool reclaim = (dirty || header_.version == 2) && header_.autoclear == 0;
  marked_dirty_ = dirty;
  return refcounts_.load(*references, reclaim, dirty);
}

Qcow2Image::~Qcow2Image() {
  if (read_only()) return;
  const bool released = refcounts_.has_released();
  if (!flush() || (released && !flush()) || !marked_dirty_ || failed_) return;
  header_.incompatible &= ~Qcow2Header::kDirty;
  if (header_.write_features(*file_)) (void)file_->sync();
}

Result<void> Qcow2Image::mark_dirty() {
  if (marked_dirty_) return {};
  header_.incompatible |= header_.version >= 3 ? Qcow2Header::kDirty : 0;
  header_.autoclear = 0;  // nobody keeps bitmaps and the like up to date here
  if (auto ok = header_.write_features(*file_); !ok) return ok;
  marked_dirty_ = true;
  return file_->sync();
}

Result<void> Qcow2Image::check_range(u64 offset, u64 length) const {
  if (offset <= size() && length <= size() - offset) return {};
  return error("access to {} bytes at {} is past the end of disk image '{}' ({} bytes)", length,
               offset, description(), size());
}

Qcow2Image::Table& Qcow2Image::keep(u64 index, Table table) {
  while (tables_.size() * header_.cluster_bytes() >= kCachedTableBytes && tables_.size() > 2) {
    tables_.erase(ages_.back());
    ages_.pop_back();
  }
  ages_.push_front(index);
  Cached& cached = tables_[index];
  cached = {std::move(table), ages_.begin()};
  return cached.entries;
}

Result<Qcow2Image::Table*> Qcow2Image::l2_table(u64 index) {
  if (l1_[index] == 0) return static_cast<Table*>(nullptr);
  if (const auto found = tables_.find(index); found != tables_.end()) {
    ages_.splice(ages_.begin(), ages_, found->second.age);
    return &found->second.entries;
  }
  if (l1_[index] % header_.cluster_bytes() != 0 || l1_[index] >= file_->size()) {
    return error(
        "qcow2 image '{}' is damaged: L2 table {} at {:#x} is not inside the file; "
        "'qemu-img check' tells more",
        description(), index, l1_[index]);
  }
  std::vector<u8> raw(header_.cluster_bytes());
  if (auto ok = file_->read(l1_[index], raw); !ok) return ok.error();
  Table table(header_.l2_entries());
  for (std::size_t i = 0; i < table.size(); ++i) {
    table[i] = get_be(raw, i * 8, 8);
    if (header_.version < 3 && (table[i] & Qcow2Entry::kCompressed) == 0) {
      table[i] &= ~Qcow2Entry::kZero;
    }
  }
  return &keep(index, std::move(table));
}

Result<Qcow2Image::Table*> Qcow2Image::writable_l2_table(u64 index) {
  auto table = l2_table(index);
  if (!table) return table;
  const u64 old = l1_[index];
  if (*table != nullptr && refcounts_.count(old >> header_.cluster_bits) == 1) return table;
  auto run = refcounts_.allocate(1);
  if (!run) return run.error();
  // A table shared with a snapshot is copied; its clusters stay shared.
  Table entries = *table != nullptr ? **table : Table(header_.l2_entries());
  for (u64& entry : entries) entry &= ~Qcow2Entry::kCopied;
  const u64 place = run->first << header_.cluster_bits;
  if (auto ok = file_->write(place, to_bytes(entries)); !ok) return ok.error();
  if (auto ok = file_->sync(); !ok) return ok.error();
  const u64 l1_entry = place | Qcow2Entry::kCopied;
  if (auto ok = file_->write(header_.l1_offset + index * 8, to_bytes({&l1_entry, 1})); !ok) {
    return ok.error();
  }
  l1_[index] = place;
  if (old != 0) refcounts_.release(old >> header_.cluster_bits);
  if (*table == nullptr) return &keep(index, std::move(entries));
  **table = std::move(entries);
  return table;
}

Result<void> Qcow2Image::read_backing(u64 guest_offset, std::span<u8> out) {
  const u64 there = backing_ == nullptr || guest_offset >= backing_->size()
                        ? 0
                        : std::min<u64>(out.size(), backing_->size() - guest_offset);
  std::fill(out.begin() + static_cast<long>(there), out.end(), u8{0});
  if (there == 0) return {};
  return backing_->read(guest_offset, out.first(there));
}

Result<void> Qcow2Image::read_compressed(Qcow2Entry entry, u64 within, std::span<u8> out) {
  if (decompressed_entry_ != entry.raw) {
    std::vector<u8> packed(entry.compressed_bytes(header_.cluster_bits));
    if (auto ok = file_->read(entry.compressed_offset(header_.cluster_bits), packed); !ok) {
      return ok;
    }
    decompressed_.resize(header_.cluster_bytes());
    decompressed_entry_ = 0;
    const Compression kind = header_.zstd ? Compression::kZstd : Compression::kDeflate;
    if (!decompress(kind, packed, decompressed_)) {
      return error(
          "qcow2 image '{}' is damaged: the compressed cluster at {:#x} cannot be read; "
          "'qemu-img check' tells more",
          description(), entry.compressed_offset(header_.cluster_bits));
    }
    decompressed_entry_ = entry.raw;
  }
  std::memcpy(out.data(), decompressed_.data() + within, out.size());
  return {};
}

Result<void> Qcow2Image::read_cluster_part(Qcow2Entry entry, u64 guest_offset, std::span<u8> out) {
  const u64 within = guest_offset % header_.cluster_bytes();
  if (entry.compressed()) return read_compressed(entry, within, out);
  if (entry.zero()) {
    std::fill(out.begin(), out.end(), u8{0});
    return {};
  }
  if (entry.offset() == 0) return read_backing(guest_offset, out);
  if (entry.offset() % header_.cluster_bytes() != 0) {
    return error(
        "qcow2 image '{}' is damaged: the cluster at {:#x} is not aligned; 'qemu-img "
        "check' tells more",
        description(), entry.offset());
  }
  return file_->read(entry.offset() + within, out);
}

Result<void> Qcow2Image::read(u64 offset, std::span<u8> out) {
  if (auto ok = check_range(offset, out.size()); !ok) return ok;
  while (!out.empty()) {
    const u64 run =
        std::min<u64>(out.size(), header_.cluster_bytes() - offset % header_.cluster_bytes());
    const u64 cluster = offset >> header_.cluster_bits;
    auto table = l2_table(cluster / header_.l2_entries());
    if (!table) return table.error();
    const Qcow2Entry entry{*table != nullptr ? (**table)[cluster % header_.l2_entries()] : 0};
    if (auto ok = read_cluster_part(entry, offset, out.first(run)); !ok) return ok;
    out = out.subspan(run);
    offset += run;
  }
  return {};
}

bool Qcow2Image::in_place(Qcow2Entry entry) const {
  return !entry.compressed() && !entry.zero() && entry.offset() != 0 &&
         refcounts_.count(entry.offset() >> header_.cluster_bits) == 1;
}

void Qcow2Image::release(Qcow2Entry entry) {
  const u32 bits = header_.cluster_bits;
  if (entry.compressed()) {
    const u64 first = entry.compressed_offset(bits);
    const u64 last = first + entry.compressed_bytes(bits) - 1;
    for (u64 c = first >> bits; c <= last >> bits; ++c) refcounts_.release(c);
  } else if (entry.offset() != 0) {
    refcounts_.release(entry.offset() >> bits);
  }
}

Result<u64> Qcow2Image::write_new(u64 offset, std::span<const u8> in) {
  const u64 cluster_bytes = header_.cluster_bytes();
  const u64 within = offset % cluster_bytes;
  const u64 first = offset >> header_.cluster_bits;
  const u64 slot = first % header_.l2_entries();
  if (auto ok = mark_dirty(); !ok) return ok.error();
  auto table = writable_l2_table(first / header_.l2_entries());
  if (!table) return table.error();
  Table& entries = **table;

  u64 wanted = 0;
  bool plain = backing_ == nullptr;  // the old contents are zeros that nobody ever wrote
  const u64 most = std::min(header_.clusters_of(within + in.size()),
                            std::max<u64>(1, kMostNewBytes >> header_.cluster_bits));
  while (wanted < most && slot + wanted < entries.size() &&
         !in_place(Qcow2Entry{entries[slot + wanted]})) {
    plain &= entries[slot + wanted] == 0;
    ++wanted;
  }
  auto run = refcounts_.allocate(wanted);
  if (!run) return run.error();
  const u64 bytes = std::min<u64>(in.size(), run->count * cluster_bytes - within);
  const u64 place = run->first << header_.cluster_bits;
  plain &= run->fresh;
  if (plain) {
    if (auto ok = file_->write(place + within, in.first(bytes)); !ok) return ok.error();
  } else {
    // Whole clusters: the old contents around the new bytes.
    std::vector<u8> whole(run->count * cluster_bytes);
    const u64 base = first << header_.cluster_bits;
    const auto fill = [&](u64 from, u64 to) -> Result<void> {
      const u64 end = std::min(to, size() - base);
      if (from >= end) return {};
      return read(base + from, std::span(whole).subspan(from, end - from));
    };
    if (auto ok = fill(0, within); !ok) return ok.error();
    if (auto ok = fill(within + bytes, whole.size()); !ok) return ok.error();
    std::memcpy(whole.data() + within, in.data(), bytes);
    if (auto ok = file_->write(place, whole); !ok) return ok.error();
  }
  // Before the table points there: old contents must not get lost, and in version 2 nothing else
  // would repair the refcounts.
  if (!plain || header_.version == 2) {
    if (auto ok = file_->sync(); !ok) return ok.error();
  }
  std::vector<u64> changed(run->count);
  for (u64 i = 0; i < run->count; ++i) {
    changed[i] = (place + i * cluster_bytes) | Qcow2Entry::kCopied;
  }
  // The fills above may have aged the table out of the cache.
  table = l2_table(first / header_.l2_entries());
  if (!table) return table.error();
  const u64 table_place = l1_[first / header_.l2_entries()];
  if (auto ok = file_->write(table_place + slot * 8, to_bytes(changed)); !ok) return ok.error();
  for (u64 i = 0; i < run->count; ++i) {
    release(Qcow2Entry{(**table)[slot + i]});
    (**table)[slot + i] = changed[i];
  }
  return bytes;
}

Result<void> Qcow2Image::write(u64 offset, std::span<const u8> in) {
  if (read_only()) {
    return error("disk image '{}' is attached read-only; attach it writable to change it",
                 description());
  }
  if (auto ok = check_range(offset, in.size()); !ok) return ok;
  while (!in.empty()) {
    const u64 within = offset % header_.cluster_bytes();
    u64 run = std::min<u64>(in.size(), header_.cluster_bytes() - within);
    const u64 cluster = offset >> header_.cluster_bits;
    auto table = l2_table(cluster / header_.l2_entries());
    if (!table) return table.error();
    const Qcow2Entry entry{*table != nullptr ? (**table)[cluster % header_.l2_entries()] : 0};
    // The table may be shared while the cluster is not: then the count of both says so.
    if (*table != nullptr && in_place(entry)) {
      if (auto ok = file_->write(entry.offset() + within, in.first(run)); !ok) return ok;
    } else {
      auto written = write_new(offset, in);
      if (!written) {
        failed_ = true;
        return written.error();
      }
      run = *written;
    }
    in = in.subspan(run);
    offset += run;
  }
  return {};
}

Result<void> Qcow2Image::flush() {
  if (read_only()) return {};
  if (auto ok = file_->sync(); !ok) return ok;
  // Now no table on the disk names them any more.
  return refcounts_.write_released();
}

}  // namespace dragoman
