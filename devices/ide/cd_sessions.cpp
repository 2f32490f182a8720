#include "devices/ide/cd_sessions.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "base/bits.h"

namespace dragoman {
namespace {

constexpr u64 kSectorBytes = 2048;
constexpr u32 kDescriptor = 16;    // system area before the first descriptor (ECMA-119, 6.2.1)
constexpr std::size_t kMost = 99;  // tracks of a disc
constexpr u32 kRunOut = 150;       // two seconds that many writers add
constexpr u32 kFirstGap = 11400;   // lead-out and lead-in behind the first session (MMC-3, 4.2.3.7)
constexpr u32 kLaterGap = 6900;    // behind the others
constexpr u32 kBlock = 32;         // sectors of a DVD's block, twice

/// Sectors that the volume at `start` says it has, if one is there.
std::optional<u32> volume_sectors(BlockImage& image, u64 start) {
  const u64 offset = (start + kDescriptor) * kSectorBytes;
  std::array<u8, kSectorBytes> sector{};
  if (offset + sector.size() > image.size() || !image.read(offset, sector)) return {};
  constexpr u8 kPrimary[] = {1, 'C', 'D', '0', '0', '1', 1};
  if (std::memcmp(sector.data(), kPrimary, sizeof(kPrimary)) != 0) return {};
  u32 count = 0;
  std::memcpy(&count, sector.data() + 80, sizeof(count));
  return count;
}

}  // namespace

std::vector<CdSession> find_cd_sessions(BlockImage& image) {
  const u64 total = std::min<u64>((image.size() + kSectorBytes - 1) / kSectorBytes, 0x7fffffff);
  std::vector<CdSession> sessions{{0, static_cast<u32>(total)}};
  while (sessions.size() < kMost) {
    CdSession& last = sessions.back();
    const auto count = volume_sectors(image, last.start);
    if (!count || *count <= kDescriptor) break;
    const u64 gap = sessions.size() == 1 ? kFirstGap : kLaterGap;
    std::optional<u64> next;
    // Writers of later sessions count their sectors from the start of the disc or from their own.
    for (const u64 end : {u64{last.start} + *count, u64{*count}}) {
      if (next || end <= u64{last.start} + kDescriptor || end >= total) continue;
      for (const u64 at : {end, align_up(end, kBlock), align_up(end + kRunOut, kBlock),
                           end + kRunOut, end + gap, end + kRunOut + gap}) {
        if (at >= total || !volume_sectors(image, at)) continue;
        last.end = static_cast<u32>(end);
        next = at;
        break;
      }
    }
    if (!next) break;
    sessions.push_back({static_cast<u32>(*next), static_cast<u32>(total)});
  }
  return sessions;
}

}  // namespace dragoman
