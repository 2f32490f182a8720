#include "frontends/test/oracle/cpu_case.h"

#include <algorithm>

namespace dragoman {

void CpuCase::fill(std::span<u8> out) const {
  using L = CaseLayout;
  std::fill(out.begin(), out.end(), u8{0});
  for (const Bytes& piece : memory) {
    const bool data = piece.address >= L::kData && piece.address < L::kData + L::kDataBytes;
    const u64 start = data ? L::kData : L::kStack;
    const u64 size = data ? L::kDataBytes : L::kStackBytes;
    const u64 first = data ? 0 : L::kDataBytes;
    for (u64 i = 0; i < piece.bytes.size(); ++i) {
      const u64 at = piece.address - start + i;  // wraps below the start
      if (at < size) out[first + at] = piece.bytes[i];
    }
  }
}

}  // namespace dragoman
