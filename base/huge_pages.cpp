#include "base/huge_pages.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "base/address_room.h"

namespace dragoman {
namespace {

std::size_t whole_pages(std::size_t bytes) {
  return (bytes + kHugePageBytes - 1) & ~(kHugePageBytes - 1);
}

}  // namespace

void* reserve_room(std::size_t bytes) {
  void* const room = mmap(nullptr, bytes + kHugePageBytes, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return nullptr;
  char* const first = static_cast<char*>(room);
  char* const aligned = first + (-reinterpret_cast<std::uintptr_t>(first) & (kHugePageBytes - 1));
  if (aligned != first) munmap(first, static_cast<std::size_t>(aligned - first));
  munmap(aligned + bytes, static_cast<std::size_t>(first + kHugePageBytes - aligned));
  return aligned;
}

bool collapse_huge_page(void* first) {
#ifdef MADV_COLLAPSE
  constexpr int kCollapse = MADV_COLLAPSE;
#else
  constexpr int kCollapse = 25;  // Linux 6.1
#endif
  const int kept = errno;
  const bool possible = madvise(first, kHugePageBytes, kCollapse) == 0 || errno != EINVAL;
  errno = kept;
  return possible;
}

void* allocate_huge(std::size_t bytes) { return allocate_sparse(bytes, whole_pages(bytes)); }

void* allocate_sparse(std::size_t bytes, std::size_t huge) {
  const std::size_t size = whole_pages(bytes);
  void* const room = reserve_room(size);
  if (room == nullptr || mprotect(room, size, PROT_READ | PROT_WRITE) != 0) {
    std::fprintf(stderr,
                 "dragoman: the host has no %zu MiB of address space left; raise ulimit -v\n",
                 size >> 20);
    std::_Exit(1);
  }
  // Wishes.
  if (huge != 0) (void)madvise(room, huge, MADV_HUGEPAGE);
  if (huge < size) (void)madvise(static_cast<char*>(room) + huge, size - huge, MADV_NOHUGEPAGE);
  return room;
}

void release_huge(void* memory, std::size_t bytes) { munmap(memory, whole_pages(bytes)); }

}  // namespace dragoman
