// Address space of the host, to be mapped over.
#pragma once

#include <cstddef>

namespace dragoman {

/// Size of a huge page of the host.
inline constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

/// `bytes` (a multiple of the page size) of address space without access that begin where a huge
/// page can; munmap() gives them back. Null when the host has none.
void* reserve_room(std::size_t bytes);

/// Asks the host to make one huge page of the kHugePageBytes of memory at `first`, which is aligned
/// to them, whatever it does by itself for such memory. False when this host never does (before
/// Linux 6.1) or there is nothing to make it of: an empty file's pages cannot be collapsed.
bool collapse_huge_page(void* first);

}  // namespace dragoman
