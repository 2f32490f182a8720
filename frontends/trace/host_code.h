// Host code in readable form: disassembled, with the names of what it reaches and a topic to
// explain.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace dragoman {

class Cpu;
struct RecordedRegion;
class Symbols;

struct HostLine {
  u32 offset = 0;  ///< from the region's first byte
  unsigned bytes = 0;
  std::string text;
  std::string note;        ///< what an address or number stands for, or ""
  std::string_view topic;  ///< key of an explanation, or ""
};

class HostCode {
 public:
  /// `cpu` is the one the code was made for. Both outlive this.
  HostCode(const Cpu& cpu, const Symbols& symbols);
  ~HostCode();

  /// The code of one range, to the begin of the next.
  std::vector<HostLine> lines(const RecordedRegion& region, std::size_t range) const;

 private:
  struct Library;
  std::string note_target(const RecordedRegion& region, u32 target) const;
  std::string note_constant(const RecordedRegion& region, u64 address) const;

  const Cpu& cpu_;
  const Symbols& symbols_;
  std::unique_ptr<Library> library_;
};

}  // namespace dragoman
