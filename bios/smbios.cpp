#include "bios/smbios.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace dragoman {
namespace {

/// Collects structures; strings follow the formatted part of each.
class Builder {
 public:
  void begin(u8 type, u16 handle) {
    finish();
    start_ = bytes_.size();
    open_ = true;
    append8(bytes_, type);
    append8(bytes_, 0);
    append16(bytes_, handle);
  }
  Bytes& bytes() { return bytes_; }
  /// Number of a string of the current structure; written out when the structure ends.
  u8 string(std::string text) {
    strings_.push_back(std::move(text));
    return static_cast<u8>(strings_.size());
  }
  void finish() {
    if (!open_) return;
    const std::size_t length = bytes_.size() - start_;
    patch(bytes_, start_ + 1, length, 1);
    largest_ = std::max(largest_, length);
    const std::size_t strings_start = bytes_.size();
    for (const std::string& text : strings_) append_string(bytes_, text);
    if (strings_.empty()) append8(bytes_, 0);
    append8(bytes_, 0);
    largest_ = std::max(largest_, length + (bytes_.size() - strings_start));
    strings_.clear();
    open_ = false;
    ++count_;
  }
  u16 count() const { return count_; }
  u16 largest() const { return static_cast<u16>(largest_); }

 private:
  Bytes bytes_;
  std::vector<std::string> strings_;
  std::size_t start_ = 0;
  std::size_t largest_ = 0;
  u16 count_ = 0;
  bool open_ = false;
};

constexpr u16 kBiosHandle = 0x0000;
constexpr u16 kSystemHandle = 0x0100;
constexpr u16 kBaseBoardHandle = 0x0200;
constexpr u16 kChassisHandle = 0x0300;
constexpr u16 kProcessorHandle = 0x0400;
constexpr u16 kArrayHandle = 0x1000;
constexpr u16 kMemoryDeviceHandle = 0x1100;
constexpr u16 kMappedAddressHandle = 0x1300;
constexpr u16 kBootHandle = 0x2000;
constexpr u16 kEndHandle = 0x7f00;
constexpr u16 kNoHandle = 0xfffe;

constexpr std::string_view kMaker = "Dragoman";
constexpr u64 kMemoryDeviceSize = 16 * kGiB;

void bios_information(Builder& b) {
  b.begin(0, kBiosHandle);
  Bytes& t = b.bytes();
  append8(t, b.string(std::string(kMaker)));
  append8(t, b.string("1.0"));
  append16(t, 0xe800);  // start segment
  append8(t, b.string("01/01/2024"));
  append8(t, 1);         // ROM size: (1 + 1) * 64 KiB
  append64(t, 1u << 7);  // PCI is supported
  append8(t, 1);         // ACPI is supported
  append8(t, 1u << 4);   // the table describes a virtual machine
  append8(t, 1);         // release 1.0
  append8(t, 0);
  append16(t, 0xffff);  // no embedded controller
}

void system_information(Builder& b, const BoardDescription& board) {
  b.begin(1, kSystemHandle);
  Bytes& t = b.bytes();
  append8(t, b.string(std::string(kMaker)));
  append8(t, b.string(board.name));
  append8(t, b.string(board.chipset));
  append8(t, 0);  // no serial number
  // The first three fields of a UUID are stored little endian (7.2.1).
  constexpr std::array<u8, 16> kOrder = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
  for (u8 index : kOrder) append8(t, board.uuid[index]);
  append8(t, 6);  // wake-up: power switch
  append8(t, 0);
  append8(t, 0);
}

void base_board(Builder& b, const BoardDescription& board) {
  b.begin(2, kBaseBoardHandle);
  Bytes& t = b.bytes();
  append8(t, b.string(std::string(kMaker)));
  append8(t, b.string(board.chipset));
  append8(t, 0);
  append8(t, 0);
  append8(t, 0);
  append8(t, 0x01);  // hosting board
  append8(t, 0);
  append16(t, kChassisHandle);
  append8(t, 0x0a);  // motherboard
  append8(t, 0);
}

void chassis(Builder& b) {
  b.begin(3, kChassisHandle);
  Bytes& t = b.bytes();
  append8(t, b.string(std::string(kMaker)));
  append8(t, 1);  // other
  append8(t, 0);
  append8(t, 0);
  append8(t, 0);
  append8(t, 3);  // boot-up state: safe
  append8(t, 3);  // power supply: safe
  append8(t, 3);  // thermal: safe
  append8(t, 2);  // security: unknown
  append32(t, 0);
  append8(t, 0);
  append8(t, 0);
  append8(t, 0);
  append8(t, 0);
  append8(t, 0);
}

void processor(Builder& b, const BoardDescription& board, u16 n) {
  b.begin(4, static_cast<u16>(kProcessorHandle + n));
  Bytes& t = b.bytes();
  append8(t, b.string(fmt::format("CPU {}", n)));
  append8(t, 3);  // central processor
  append8(t, 1);  // family: other
  append8(t, b.string(std::string(kMaker)));
  append32(t, board.cpu_signature);
  append32(t, board.cpu_features);
  append8(t, b.string("virtual"));
  append8(t, 0);  // voltage
  append16(t, 0);
  append16(t, board.cpu_mhz);
  append16(t, board.cpu_mhz);
  append8(t, 0x41);  // socket populated, processor enabled
  append8(t, 1);     // upgrade: other
  append16(t, 0xffff);
  append16(t, 0xffff);
  append16(t, 0xffff);
  append8(t, 0);
  append8(t, 0);
  append8(t, 0);
  append8(t, 1);  // cores
  append8(t, 1);
  append8(t, 1);         // threads
  append16(t, 1u << 2);  // 64-bit capable
  append16(t, 1);
}

u16 memory_device_count(const BoardDescription& board) {
  const u64 total = board.ram_below_4g + board.ram_above_4g;
  return static_cast<u16>((total + kMemoryDeviceSize - 1) / kMemoryDeviceSize);
}

void memory_array(Builder& b, const BoardDescription& board) {
  const u64 kib = (board.ram_below_4g + board.ram_above_4g) / kKiB;
  b.begin(16, kArrayHandle);
  Bytes& t = b.bytes();
  append8(t, 1);  // location: other
  append8(t, 3);  // system memory
  append8(t, 6);  // multi-bit error correction
  append32(t, kib < 0x80000000 ? kib : 0x80000000);
  append16(t, kNoHandle);
  append16(t, memory_device_count(board));
  append64(t, kib < 0x80000000 ? 0 : kib * kKiB);
}

void memory_device(Builder& b, u16 n, u64 bytes) {
  b.begin(17, static_cast<u16>(kMemoryDeviceHandle + n));
  Bytes& t = b.bytes();
  append16(t, kArrayHandle);
  append16(t, kNoHandle);
  append16(t, 0xffff);  // width unknown
  append16(t, 0xffff);
  append16(t, bytes / kMiB);  // at most 16 GiB, below the 32 GiB of the extended field
  append8(t, 9);              // DIMM
  append8(t, 0);
  append8(t, b.string(fmt::format("DIMM {}", n)));
  append8(t, 0);
  append8(t, 7);         // RAM
  append16(t, 1u << 1);  // other
  append16(t, 0);        // speed unknown
  append8(t, b.string(std::string(kMaker)));
  append8(t, 0);
  append8(t, 0);
  append8(t, 0);
  append8(t, 0);
  append32(t, 0);
  append16(t, 0);
  append16(t, 0);
  append16(t, 0);
  append16(t, 0);
}

void mapped_address(Builder& b, u16 n, u64 first, u64 bytes) {
  b.begin(19, static_cast<u16>(kMappedAddressHandle + n));
  Bytes& t = b.bytes();
  const u64 last_kib = (first + bytes - 1) / kKiB;
  const bool small = last_kib < 0xffffffff;
  append32(t, small ? first / kKiB : 0xffffffff);
  append32(t, small ? last_kib : 0xffffffff);
  append16(t, kArrayHandle);
  append8(t, 1);
  append64(t, small ? 0 : first);
  append64(t, small ? 0 : first + bytes - 1);
}

}  // namespace

SmbiosTables build_smbios_tables(const BoardDescription& board) {
  Builder b;
  bios_information(b);
  system_information(b, board);
  base_board(b, board);
  chassis(b);
  for (std::size_t n = 0; n < board.apic_ids.size(); ++n) {
    processor(b, board, static_cast<u16>(n));
  }
  memory_array(b, board);
  u64 left = board.ram_below_4g + board.ram_above_4g;
  for (u16 n = 0; left != 0; ++n) {
    const u64 bytes = std::min(left, kMemoryDeviceSize);
    memory_device(b, n, bytes);
    left -= bytes;
  }
  if (board.ram_below_4g != 0) mapped_address(b, 0, 0, board.ram_below_4g);
  if (board.ram_above_4g != 0) mapped_address(b, 1, 4 * kGiB, board.ram_above_4g);
  b.begin(32, kBootHandle);
  b.bytes().resize(b.bytes().size() + 6);  // reserved
  append8(b.bytes(), 0);                   // no errors detected
  b.begin(127, kEndHandle);
  b.finish();

  SmbiosTables out;
  out.structures = b.bytes();
  Bytes& a = out.anchor;  // 5.2.1
  append_text(a, "_SM_", 4);
  append8(a, 0);
  append8(a, 0x1f);
  append8(a, 2);
  append8(a, 8);
  append16(a, b.largest());
  append8(a, 0);
  append_text(a, "", 5, '\0');
  append_text(a, "_DMI_", 5);
  append8(a, 0);
  append16(a, out.structures.size());
  append32(a, 0);
  append16(a, b.count());
  append8(a, 0x28);
  relocate_smbios_tables(out, 0);
  return out;
}

void relocate_smbios_tables(SmbiosTables& tables, u32 structures_address) {
  Bytes& a = tables.anchor;
  patch(a, 0x18, structures_address, 4);
  patch(a, 0x15, 0, 1);
  patch(a, 0x15, 0u - byte_sum(std::span(a).subspan(0x10, 15)), 1);
  patch(a, 0x04, 0, 1);
  patch(a, 0x04, 0u - byte_sum(a), 1);
}

}  // namespace dragoman
