// QEMU firmware configuration device (fw_cfg), I/O port form with DMA.
// QEMU, docs/specs/fw_cfg: selector 510h, data 511h, DMA address 514h..51Bh.
#include "devices/fw_cfg.h"

#include <algorithm>
#include <array>

namespace dragoman {
namespace {

constexpr std::string_view kDmaSignature = "QEMU CFG";
constexpr u32 kIdTraditional = 1;
constexpr u32 kIdDma = 2;
constexpr std::size_t kMaxFiles = 0x3fff - FwCfg::kFirstFile;
constexpr std::size_t kMaxItemBytes = 0x7fffffff;

enum DmaControl : u32 {
  kDmaError = 1 << 0,
  kDmaRead = 1 << 1,
  kDmaSkip = 1 << 2,
  kDmaSelect = 1 << 3,
  kDmaWrite = 1 << 4,
};

void append_big_endian(std::vector<u8>& out, u64 value, unsigned bytes) {
  for (unsigned i = bytes; i-- > 0;) out.push_back(static_cast<u8>(value >> (8 * i)));
}

u64 big_endian(std::span<const u8> bytes) {
  u64 value = 0;
  for (u8 b : bytes) value = value << 8 | b;
  return value;
}

}  // namespace

FwCfg::FwCfg(std::string name, MemoryMap& dma) : StatefulDevice(std::move(name)), dma_(dma) {
  items_[kKeySignature].bytes = {'Q', 'E', 'M', 'U'};
  items_[kKeyId].bytes = {kIdTraditional | kIdDma, 0, 0, 0};
  rebuild_directory();
}

Result<void> FwCfg::add_key(u16 key, std::vector<u8> bytes) {
  if (key < kArchitectureLocal && key >= kKeyFileDirectory) {
    return error("fw_cfg key {:#x} belongs to the file directory; use a key below 0x19 or a file",
                 key);
  }
  if ((key & kWriteChannel) != 0) {
    return error("fw_cfg key {:#x} has bit 14 set, which marks writes; clear it", key);
  }
  if (bytes.size() > kMaxItemBytes) return error("fw_cfg key {:#x} is larger than 2 GiB", key);
  items_[key].bytes = std::move(bytes);
  return {};
}

Result<void> FwCfg::add_file(std::string_view file_name, std::vector<u8> bytes) {
  if (file_name.empty() || file_name.size() > kMaxNameLength) {
    return error("fw_cfg file name '{}' has {} characters; 1 to {} are possible", file_name,
                 file_name.size(), kMaxNameLength);
  }
  if (bytes.size() > kMaxItemBytes) {
    return error("fw_cfg file '{}' is larger than 2 GiB", file_name);
  }
  const auto found = std::find(file_names_.begin(), file_names_.end(), file_name);
  const auto index = static_cast<std::size_t>(found - file_names_.begin());
  if (found == file_names_.end()) {
    if (file_names_.size() >= kMaxFiles) {
      return error("no room for fw_cfg file '{}': {} files are the limit", file_name, kMaxFiles);
    }
    file_names_.emplace_back(file_name);
  }
  items_[static_cast<u16>(kFirstFile + index)] = Item{std::move(bytes), false, {}};
  rebuild_directory();
  return {};
}

Result<void> FwCfg::add_writable_file(std::string_view file_name, std::vector<u8> bytes,
                                      Written written) {
  if (auto result = add_file(file_name, std::move(bytes)); !result) return result;
  const auto found = std::find(file_names_.begin(), file_names_.end(), file_name);
  Item& item = items_[static_cast<u16>(kFirstFile + (found - file_names_.begin()))];
  item.writable = true;
  item.written = std::move(written);
  return {};
}

std::span<const u8> FwCfg::file(std::string_view file_name) const {
  const auto found = std::find(file_names_.begin(), file_names_.end(), file_name);
  if (found == file_names_.end()) return {};
  return items_.at(static_cast<u16>(kFirstFile + (found - file_names_.begin()))).bytes;
}

void FwCfg::rebuild_directory() {
  std::vector<u8> directory;
  append_big_endian(directory, file_names_.size(), 4);
  for (std::size_t n = 0; n < file_names_.size(); ++n) {
    const u16 key = static_cast<u16>(kFirstFile + n);
    append_big_endian(directory, items_[key].bytes.size(), 4);
    append_big_endian(directory, key, 2);
    append_big_endian(directory, 0, 2);
    std::array<u8, kMaxNameLength + 1> padded{};
    std::copy(file_names_[n].begin(), file_names_[n].end(), padded.begin());
    directory.insert(directory.end(), padded.begin(), padded.end());
  }
  items_[kKeyFileDirectory].bytes = std::move(directory);
}

FwCfg::Item* FwCfg::selected() {
  const auto found = items_.find(static_cast<u16>(state_.selector & ~kWriteChannel));
  return found == items_.end() ? nullptr : &found->second;
}

void FwCfg::select(u16 selector) {
  state_.selector = selector;
  state_.offset = 0;
}

u32 FwCfg::port_read(unsigned bank, u16 offset, unsigned size) {
  if (bank == kDmaBank) {  // reads give the signature, byte by byte in ascending order
    u32 value = 0;
    for (unsigned i = 0; i < size; ++i) {
      value |= u32{static_cast<u8>(kDmaSignature[(offset + i) % 8])} << (8 * i);
    }
    return value;
  }
  if (offset != 1 || size != 1) return ~u32{0};  // the selector is write-only
  const Item* item = selected();
  // Past the end of an item, or of one that does not exist, zeros are read.
  if (item == nullptr || state_.offset >= item->bytes.size()) return 0;
  return item->bytes[state_.offset++];
}

void FwCfg::port_write(unsigned bank, u16 offset, unsigned size, u32 value) {
  if (bank == kSelectorBank) {
    // Only a 16-bit write selects; writes to the data register are ignored (since revision 2.4).
    if (offset == 0 && size == 2) select(static_cast<u16>(value));
    return;
  }
  if (size != 4) {
    dma_.log().write(LogCategory::kGuestErrors,
                     "fw_cfg DMA address written with {} bytes instead of 4", size);
    return;
  }
  const u32 half = __builtin_bswap32(value);
  if (offset == 0) {
    state_.dma_address = u64{half} << 32;
  } else if (offset == 4) {  // writing the low half starts the transfer
    const u64 descriptor = state_.dma_address | half;
    state_.dma_address = 0;
    run_dma(descriptor);
  }
}

bool FwCfg::all_ram(u64 address, u64 length, bool for_writing) const {
  if (length == 0) return true;
  if (address + length - 1 < address) return false;
  for (u64 page = address >> kPageShift; page <= (address + length - 1) >> kPageShift; ++page) {
    const MemoryMap::PageView view = dma_.page(PhysicalAddress(page << kPageShift));
    if ((for_writing ? view.write : view.read) == nullptr) return false;
  }
  return true;
}

void FwCfg::run_dma(u64 descriptor) {
  std::array<u8, 16> bytes{};  // control, length (32 bits each), address; all big endian
  if (!all_ram(descriptor, bytes.size(), true)) {
    dma_.log().write(LogCategory::kGuestErrors, "fw_cfg DMA descriptor at {:#x} is not in RAM",
                     descriptor);
    return;
  }
  dma_.read_bytes(PhysicalAddress(descriptor), bytes);
  const std::span<const u8> view(bytes);
  const u32 control = static_cast<u32>(big_endian(view.subspan(0, 4)));
  const u64 length = big_endian(view.subspan(4, 4));
  const u64 address = big_endian(view.subspan(8, 8));

  if (control & kDmaSelect) select(static_cast<u16>(control >> 16));
  bool good = true;
  if (control & kDmaRead) {
    good = dma_to_guest(address, length);
  } else if (control & kDmaWrite) {
    good = dma_from_guest(address, length);
  } else if (control & kDmaSkip) {
    const Item* item = selected();
    const u64 size = item == nullptr ? 0 : item->bytes.size();
    state_.offset = static_cast<u32>(std::min(size, state_.offset + length));
  }
  const std::array<u8, 4> answer = {0, 0, 0, static_cast<u8>(good ? u32{0} : u32{kDmaError})};
  dma_.write_bytes(PhysicalAddress(descriptor), answer);
}

bool FwCfg::dma_to_guest(u64 address, u64 length) {
  // Checked page by page before anything is copied: a transfer of up to 4 GiB - 1 to something
  // that is not RAM ends at the first such page.
  if (!all_ram(address, length, true)) return false;
  const Item* item = selected();
  if (item != nullptr && state_.offset < item->bytes.size()) {
    const u64 chunk = std::min<u64>(length, item->bytes.size() - state_.offset);
    dma_.write_bytes(PhysicalAddress(address),
                     std::span(item->bytes).subspan(state_.offset, chunk));
    state_.offset += static_cast<u32>(chunk);
    address += chunk;
    length -= chunk;
  }
  constexpr std::array<u8, kPageSize> kZeros{};
  while (length != 0) {
    const u64 chunk = std::min<u64>(length, kZeros.size());
    dma_.write_bytes(PhysicalAddress(address), std::span(kZeros).first(chunk));
    address += chunk;
    length -= chunk;
  }
  return true;
}

bool FwCfg::dma_from_guest(u64 address, u64 length) {
  Item* item = selected();
  if (item == nullptr || !item->writable || state_.offset > item->bytes.size() ||
      length > item->bytes.size() - state_.offset || !all_ram(address, length, false)) {
    return false;
  }
  const std::span<u8> target = std::span(item->bytes).subspan(state_.offset, length);
  dma_.read_bytes(PhysicalAddress(address), target);
  const u64 offset = state_.offset;
  state_.offset += static_cast<u32>(length);
  if (item->written) item->written(offset, target);
  return true;
}

void FwCfg::save(std::vector<u8>& out) const {
  StatefulDevice::save(out);
  for (const auto& [key, item] : items_) {
    if (item.writable) out.insert(out.end(), item.bytes.begin(), item.bytes.end());
  }
}

Result<void> FwCfg::load(std::span<const u8>& in) {
  if (auto result = StatefulDevice::load(in); !result) return result;
  for (auto& [key, item] : items_) {
    if (!item.writable) continue;
    if (in.size() < item.bytes.size()) {
      return error("saved fw_cfg state is too short: it was cut or is of another version");
    }
    std::copy_n(in.begin(), item.bytes.size(), item.bytes.begin());
    in = in.subspan(item.bytes.size());
  }
  return {};
}

}  // namespace dragoman
