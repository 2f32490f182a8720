#include "bios/e820.h"

namespace dragoman {
namespace {
constexpr u64 kExtendedBiosData = 0x9fc00;  // last KiB of conventional memory
constexpr u64 kConventionalEnd = 0xa0000;
constexpr u64 kBiosArea = 0xf0000;
}  // namespace

E820Map fitted_ram_map(const BoardDescription& board) {
  E820Map map{{0, board.ram_below_4g, E820Type::kRam}};
  if (board.ram_above_4g != 0) map.push_back({4 * kGiB, board.ram_above_4g, E820Type::kRam});
  return map;
}

E820Map direct_boot_map(const BoardDescription& board, u64 reserved_top) {
  E820Map map{
      {0, kExtendedBiosData, E820Type::kRam},
      {kExtendedBiosData, kConventionalEnd - kExtendedBiosData, E820Type::kReserved},
      {kBiosArea, kMiB - kBiosArea, E820Type::kReserved},
  };
  const u64 top = board.ram_below_4g - reserved_top;
  if (top > kMiB) map.push_back({kMiB, top - kMiB, E820Type::kRam});
  if (reserved_top != 0) map.push_back({top, reserved_top, E820Type::kReserved});
  if (board.configuration_space != 0) {
    map.push_back({board.configuration_space, 256 * kMiB, E820Type::kReserved});
  }
  if (board.ram_above_4g != 0) map.push_back({4 * kGiB, board.ram_above_4g, E820Type::kRam});
  return map;
}

Bytes e820_bytes(const E820Map& map) {
  Bytes out;
  for (const E820Entry& entry : map) {
    append64(out, entry.first);
    append64(out, entry.bytes);
    append32(out, static_cast<u32>(entry.type));
  }
  return out;
}

}  // namespace dragoman
