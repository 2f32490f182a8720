// Where the sessions of a disc lie that is there as one image.
// ECMA-119, 8.4 (primary volume descriptor); MMC-3, 6.25 (what a drive says of sessions).
#pragma once

#include <vector>

#include "devices/block_image.h"

namespace dragoman {

struct CdSession {
  u32 start = 0;  ///< sector of its only track, from which its volume descriptors are counted
  u32 end = 0;    ///< its lead-out
};

/// An image says nothing of sessions, but each one begins with a volume descriptor of its own
/// behind the end of the one before, where writers put it: at once, at the next full block of 32
/// sectors, or behind run-out and gap. At least one; the last ends with the image.
std::vector<CdSession> find_cd_sessions(BlockImage& image);

}  // namespace dragoman
