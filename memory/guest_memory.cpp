#include "memory/guest_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/address_room.h"
#include "base/assert.h"
#include "base/bits.h"

namespace dragoman {
namespace {
constexpr u64 kExtraBytes = 96 * kMiB;

constexpr u64 kHugePagePages = kHugePageBytes >> kPageShift;
/// Pages in use of a huge one that make it worth its zeroing, which takes as long as making some
/// forty small ones. One alone may be one of a few that lie far apart.
constexpr u16 kPagesForHuge = 2;
}  // namespace

Result<std::unique_ptr<GuestMemory>> GuestMemory::create(u64 ram_bytes) {
  DRAGOMAN_ASSERT(ram_bytes % kPageSize == 0);
  const u64 pool_size = ram_bytes + kExtraBytes;
  // A file, so that pages can be shown at other addresses too; where the host has none, they
  // cannot.
  int file = memfd_create("guest-memory", MFD_CLOEXEC);
  if (file >= 0 && ftruncate(file, static_cast<off_t>(pool_size)) != 0) {
    close(file);
    file = -1;
  }
  const int kind = file >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
  void* const room = reserve_room(align_up(pool_size, kHugePageBytes));
  void* const base = room == nullptr ? MAP_FAILED
                                     : mmap(room, pool_size, PROT_READ | PROT_WRITE,
                                            kind | MAP_NORESERVE | MAP_FIXED, file, 0);
  if (base == MAP_FAILED) {
    const int problem = errno;
    if (room != nullptr) munmap(room, align_up(pool_size, kHugePageBytes));
    if (file >= 0) close(file);
    return error("the host cannot reserve {} MiB for guest memory: {}; use a smaller -m",
                 ram_bytes / kMiB, std::strerror(problem));
  }
  madvise(base, ram_bytes, MADV_HUGEPAGE);  // fewer host TLB misses; failure is harmless
  auto memory = std::unique_ptr<GuestMemory>(new GuestMemory);
  memory->base_ = static_cast<u8*>(base);
  memory->file_ = file;
  memory->ram_size_ = ram_bytes;
  memory->pool_size_ = pool_size;
  memory->allocated_ = ram_bytes;
  memory->flags_.resize(pool_size >> kPageShift);
  memory->used_.resize(ram_bytes / kHugePageBytes);
  return memory;
}

GuestMemory::~GuestMemory() {
  munmap(base_, align_up(pool_size_, kHugePageBytes));
  if (file_ >= 0) close(file_);
}

u8* GuestMemory::allocate(u64 bytes) {
  bytes = align_up(bytes, kPageSize);
  DRAGOMAN_ASSERT(bytes <= pool_size_ - allocated_);
  u8* block = base_ + allocated_;
  allocated_ += bytes;
  return block;
}

void GuestMemory::first_use(u64 page) {
  flags_[page] |= kPageUsed;
  const u64 huge = page / kHugePagePages;
  if (huge >= used_.size() || ++used_[huge] != kPagesForHuge) return;
  u8* const memory = base_ + huge * kHugePageBytes;
  (void)*static_cast<volatile u8*>(memory);  // what is empty cannot be collapsed
  if (!collapse_huge_page(memory)) used_.clear();
}

void GuestMemory::clear(u64 offset, u64 length) {
  u8* const first = base_ + offset;
  u8* const end = first + length;
  u8* const first_page = base_ + align_up(offset, kPageSize);
  u8* const end_page = base_ + ((offset + length) & ~kPageMask);
  if (first_page < end_page && madvise(first_page, static_cast<u64>(end_page - first_page),
                                       file_ >= 0 ? MADV_REMOVE : MADV_DONTNEED) == 0) {
    std::fill(first, first_page, u8{0});
    std::fill(end_page, end, u8{0});
  } else {
    std::fill(first, end, u8{0});
  }
  note_write(offset, length);
}

void GuestMemory::mark_code(u64 page) {
  if (flags_[page] & kPageHasCode) return;
  flags_[page] |= kPageHasCode;
  drop_write_pointers(page, 1);
}

void GuestMemory::track(u64 first_page, u64 count) {
  for (u64 page = first_page; page < first_page + count; ++page) {
    flags_[page] |= kPageTracked | kPageDirty;
  }
  drop_write_pointers(first_page, count);
}

bool GuestMemory::take_dirty(u64 page) {
  if (!(flags_[page] & kPageDirty)) return false;
  flags_[page] &= static_cast<u8>(~kPageDirty);
  drop_write_pointers(page, 1);
  return true;
}

void GuestMemory::note_write(u64 offset, u64 length) {
  while (length != 0) {
    const u64 page = offset >> kPageShift;
    const u64 chunk = std::min(length, kPageSize - (offset & kPageMask));
    flags_[page] |= kPageDirty;
    if ((flags_[page] & kPageHasCode) && code_listener_ != nullptr) {
      code_listener_->code_written(offset, chunk);
    }
    offset += chunk;
    length -= chunk;
  }
}

void GuestMemory::drop_write_pointers(u64 first_page, u64 count) {
  for (WriteCacheListener* cache : write_caches_) cache->drop_write_pointers(first_page, count);
}

}  // namespace dragoman
