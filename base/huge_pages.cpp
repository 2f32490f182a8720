#include "base/huge_pages.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace dragoman {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::size_t whole_pages(std::size_t bytes) { return (bytes + kHugePage - 1) & ~(kHugePage - 1); }

}  // namespace

void* allocate_huge(std::size_t bytes) {
  const std::size_t size = whole_pages(bytes);
  void* const room = mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) {
    std::fprintf(stderr,
                 "dragoman: the host has no %zu MiB of address space left; raise ulimit -v\n",
                 size >> 20);
    std::_Exit(1);
  }
  char* const first = static_cast<char*>(room);
  char* const aligned = first + (-reinterpret_cast<std::uintptr_t>(first) & (kHugePage - 1));
  if (aligned != first) munmap(first, static_cast<std::size_t>(aligned - first));
  munmap(aligned + size, static_cast<std::size_t>(first + kHugePage - aligned));
  (void)madvise(aligned, size, MADV_HUGEPAGE);  // a wish
  return aligned;
}

void release_huge(void* memory, std::size_t bytes) { munmap(memory, whole_pages(bytes)); }

}  // namespace dragoman
