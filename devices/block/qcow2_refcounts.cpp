#include "devices/block/qcow2_refcounts.h"

#include <algorithm>
#include <array>

#include "base/bits.h"
#include "devices/block/byte_order.h"

namespace dragoman {
namespace {

constexpr u16 kSaturated = 0xffff;

/// Refcount number `i` of a block; refcounts below 8 bits fill bytes from bit 0 up.
u64 get_refcount(std::span<const u8> block, u64 i, u32 order) {
  if (order >= 3) return get_be(block, i << (order - 3), 1u << (order - 3));
  const u64 bit_at = i << order;
  return block[bit_at / 8] >> (bit_at % 8) & ((1u << (1u << order)) - 1);
}

void put_refcount(std::span<u8> block, u64 i, u32 order, u64 value) {
  if (order >= 3) {
    put_be(block, i << (order - 3), 1u << (order - 3), value);
    return;
  }
  const u64 bit_at = i << order;
  const unsigned mask = ((1u << (1u << order)) - 1) << (bit_at % 8);
  u8& byte = block[bit_at / 8];
  byte = static_cast<u8>((byte & ~mask) | (value << (bit_at % 8) & mask));
}

}  // namespace

Error Qcow2Refcounts::full() const {
  return error(
      "qcow2 image '{}' cannot grow further (2^26 clusters); convert it with larger "
      "clusters: 'qemu-img convert -O qcow2 -o cluster_size=2M'",
      file_.path());
}

Result<void> Qcow2Refcounts::read_table() {
  const u64 cluster = header_.cluster_bytes();
  std::vector<u8> raw(header_.refcount_table_clusters * cluster);
  if (auto ok = file_.read(header_.refcount_table_offset, raw); !ok) return ok;
  const u64 end = align_up(file_.size(), cluster);
  table_.resize(raw.size() / 8);
  for (std::size_t i = 0; i < table_.size(); ++i) {
    table_[i] = get_be(raw, i * 8, 8);
    if (table_[i] % cluster != 0 || table_[i] >= end ||
        (table_[i] != 0 && i * per_block() >= Qcow2Header::kMaxClusters)) {
      return error(
          "qcow2 image '{}' is damaged: refcount block {} at {:#x} is not inside the file; "
          "repair it with 'qemu-img check -r all' or attach it read-only",
          file_.path(), i, table_[i]);
    }
  }
  return {};
}

Result<void> Qcow2Refcounts::load(const std::vector<u16>& references, bool reclaim, bool repair) {
  std::vector<u8> raw(header_.cluster_bytes());
  counts_.assign(references.size(), 0);
  for (u64 i = 0; i < table_.size(); ++i) {
    if (table_[i] == 0) continue;
    if (auto ok = file_.read(table_[i], raw); !ok) return ok;
    counts_.resize(std::max<u64>(counts_.size(), (i + 1) * per_block()));
    for (u64 n = 0; n < per_block(); ++n) {
      counts_[i * per_block() + n] =
          static_cast<u16>(std::min<u64>(get_refcount(raw, n, header_.refcount_order), kSaturated));
    }
  }
  std::vector<std::pair<u64, u64>> wrong;  // runs of clusters
  u64 changed = 0;
  for (u64 c = 0; c < counts_.size(); ++c) {
    const u16 wanted = c < references.size() ? references[c] : u16{0};
    if (counts_[c] == wanted || counts_[c] == kSaturated) continue;
    if (counts_[c] < wanted && !repair) {
      return error(
          "qcow2 image '{}' is damaged: cluster {} is used {} times and counted {} times; "
          "repair it with 'qemu-img check -r all' or attach it read-only",
          file_.path(), c, wanted, counts_[c]);
    }
    if (counts_[c] > wanted && !reclaim) continue;
    counts_[c] = wanted;
    ++changed;
    if (!wrong.empty() && wrong.back().first + wrong.back().second == c) {
      ++wrong.back().second;
    } else {
      wrong.emplace_back(c, 1);
    }
  }
  if (changed == 0) return {};
  for (const auto& [first, count] : wrong) {
    for (u64 c = first; c < first + count; ++c) {
      const u64 index = c / per_block();
      if (index < table_.size() && table_[index] != 0) continue;
      if (auto ok = create_block(index); !ok) return ok;
    }
    if (auto ok = write_entries(first, count); !ok) return ok;
  }
  return file_.sync();
}

Result<void> Qcow2Refcounts::set(u64 first, u64 count, u16 value) {
  if (counts_.size() < first + count) counts_.resize(first + count);
  std::fill_n(counts_.begin() + static_cast<long>(first), count, value);
  return write_entries(first, count);
}

Result<void> Qcow2Refcounts::write_entries(u64 first, u64 count) {
  const u32 order = header_.refcount_order;
  std::vector<u8> raw;
  while (count != 0) {
    const u64 index = first / per_block();
    const u64 within = first % per_block();
    const u64 run = std::min(count, per_block() - within);
    // Small refcounts share bytes with neighbours, whose values are known here.
    const u64 unit = order < 3 ? u64{8} >> order : 1;
    const u64 low = within / unit * unit;
    const u64 high = align_up(within + run, unit);
    raw.assign((high - low) << order >> 3, 0);
    for (u64 i = low; i < high; ++i) {
      put_refcount(raw, i - low, order, this->count(index * per_block() + i));
    }
    if (auto ok = file_.write(table_[index] + (low << order >> 3), raw); !ok) return ok;
    first += run;
    count -= run;
  }
  return {};
}

Result<void> Qcow2Refcounts::write_block(u64 index) {
  std::vector<u8> raw(header_.cluster_bytes());
  for (u64 i = 0; i < per_block(); ++i) {
    put_refcount(raw, i, header_.refcount_order, count(index * per_block() + i));
  }
  return file_.write(table_[index], raw);
}

Result<void> Qcow2Refcounts::create_block(u64 index) {
  if ((index + 1) * per_block() > Qcow2Header::kMaxClusters) return full();
  if (index >= table_.size()) return grow_table(index);
  // The block lies among the clusters it counts, so that one write makes both known.
  u64 place = index * per_block();
  while (place < (index + 1) * per_block() && count(place) != 0) ++place;
  if (place == (index + 1) * per_block()) {
    return error("qcow2 image '{}' lacks refcounts; repair it with 'qemu-img check -r all'",
                 file_.path());
  }
  counts_.resize(std::max<u64>(counts_.size(), place + 1));
  counts_[place] = 1;
  table_[index] = place * header_.cluster_bytes();
  if (auto ok = write_block(index); !ok) return ok;
  if (auto ok = file_.sync(); !ok) return ok;
  std::array<u8, 8> entry{};
  put_be(entry, 0, 8, table_[index]);
  return file_.write(header_.refcount_table_offset + index * 8, entry);
}

Result<void> Qcow2Refcounts::grow_table(u64 index) {
  const u64 cluster = header_.cluster_bytes();
  const u64 old_offset = header_.refcount_table_offset;
  const u64 old_clusters = header_.refcount_table_clusters;
  // Blocks and the new table follow each other, counted by those blocks themselves.
  u64 blocks = 1;
  u64 table_clusters = 0;
  for (;; ++blocks) {
    const u64 entries = std::max<u64>(table_.size() * 2, index + blocks);
    table_clusters = header_.clusters_of(entries * 8);
    if (blocks + table_clusters <= blocks * per_block()) break;
  }
  const u64 first = index * per_block();
  const u64 used = blocks + table_clusters;
  if (first + used > Qcow2Header::kMaxClusters) return full();
  counts_.resize(std::max<u64>(counts_.size(), first + used));
  for (u64 c = first; c < first + used; ++c) {
    if (counts_[c] != 0) return full();  // only an image whose counts were lost has such
    counts_[c] = 1;
  }
  table_.resize(table_clusters * cluster / 8);
  for (u64 i = 0; i < blocks; ++i) {
    table_[index + i] = (first + i) * cluster;
    if (auto ok = write_block(index + i); !ok) return ok;
  }
  std::vector<u8> raw(table_.size() * 8);
  for (std::size_t i = 0; i < table_.size(); ++i) put_be(raw, i * 8, 8, table_[i]);
  if (auto ok = file_.write((first + blocks) * cluster, raw); !ok) return ok;
  if (auto ok = file_.sync(); !ok) return ok;
  header_.refcount_table_offset = (first + blocks) * cluster;
  header_.refcount_table_clusters = static_cast<u32>(table_clusters);
  if (auto ok = header_.write_refcount_table_place(file_); !ok) return ok;
  for (u64 i = 0; i < old_clusters; ++i) release(old_offset / cluster + i);
  return {};
}

Result<Qcow2Refcounts::Run> Qcow2Refcounts::allocate(u64 most) {
  for (;;) {
    while (hint_ < counts_.size() && counts_[hint_] != 0) ++hint_;
    const u64 index = hint_ / per_block();
    if (index < table_.size() && table_[index] != 0) break;
    if (auto ok = create_block(index); !ok) return ok.error();
  }
  Run run{hint_, 1, false};
  const u64 block_end = (hint_ / per_block() + 1) * per_block();
  while (run.count < most && run.first + run.count < block_end &&
         count(run.first + run.count) == 0) {
    ++run.count;
  }
  if (run.first + run.count > Qcow2Header::kMaxClusters) return full();
  run.fresh = run.first * header_.cluster_bytes() >= file_.size();
  if (auto ok = set(run.first, run.count, 1); !ok) return ok.error();
  hint_ = run.first + run.count;
  return run;
}

Result<void> Qcow2Refcounts::write_released() {
  for (const u64 cluster : released_) {
    const u64 now = count(cluster);
    if (now == 0 || now == kSaturated) continue;
    if (auto ok = set(cluster, 1, static_cast<u16>(now - 1)); !ok) return ok;
    if (now == 1) hint_ = std::min(hint_, cluster);
  }
  released_.clear();
  return {};
}

}  // namespace dragoman
