// What the lights on the front of a PC show: that a drive is being read or written.
#pragma once

#include <memory>

#include "machine/config.h"

namespace dragoman {

/// Accesses of the guest to all drives of a kind. Outlives the images it watches.
class DriveLights {
 public:
  enum Kind { kDisk, kCdRom, kFloppy, kKinds };

  /// The same medium, with its accesses counted under the kind of `drive`.
  std::shared_ptr<BlockImage> watch(std::shared_ptr<BlockImage> image, const DriveConfig& drive);
  /// Grows with every access.
  u64 accesses(Kind kind) const { return accesses_[kind]; }

 private:
  std::array<u64, kKinds> accesses_{};
};

}  // namespace dragoman
