#include "cpu/execute/host/executable_arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "base/address_room.h"

namespace dragoman {
namespace {

constexpr u64 kHugePage = ExecutableMemory::kHugePage;
static_assert(kHugePage == kHugePageBytes);

}  // namespace

/// IRET is the serializing instruction that neither leaves user mode nor traps to a hypervisor as
/// CPUID does.
void ExecutableMemory::serialize() {
  u64 scratch;
  asm volatile(
      "subq $128, %%rsp\n\t"  // below the red zone
      "movq %%rsp, %0\n\t"
      "pushq $0\n\t"
      "movw %%ss, (%%rsp)\n\t"
      "pushq %0\n\t"
      "pushfq\n\t"
      "pushq $0\n\t"
      "movw %%cs, (%%rsp)\n\t"
      "leaq 1f(%%rip), %0\n\t"
      "pushq %0\n\t"
      "iretq\n"
      "1:\n\t"
      "addq $128, %%rsp"
      : "=&r"(scratch)
      :
      : "memory", "cc");
}

void ExecutableMemory::populate(const void* run_begin, u64 bytes) {
#ifdef MADV_POPULATE_WRITE
  constexpr int kWrite = MADV_POPULATE_WRITE, kRead = MADV_POPULATE_READ;
#else
  constexpr int kWrite = 23, kRead = 22;  // Linux 5.14
#endif
  const u64 first = static_cast<u64>(static_cast<const u8*>(run_begin) - run_view_) & ~kPageMask;
  const u64 size = std::min(bytes, bound_ - first);
  (void)madvise(write_view_ + first, size, kWrite);
  (void)madvise(run_view_ + first, size, kRead);
}

void ExecutableMemory::make_huge(const void* run_begin) {
  const u64 first = static_cast<u64>(static_cast<const u8*>(run_begin) - run_view_);
  (void)collapse_huge_page(run_view_ + first);
  (void)collapse_huge_page(write_view_ + first);  // maps the same page
}

ExecutableMemory::~ExecutableMemory() {
  if (write_view_ != nullptr) munmap(write_view_, bound_);
  if (run_view_ != nullptr) munmap(run_view_, bound_);
}

bool ExecutableMemory::map() {
  if (run_view_ != nullptr) return true;
  if (refused_) return false;
  // mremap of a shared anonymous mapping with old size 0 makes a second view of the same pages.
  void* const first_room = reserve_room(bound_);
  void* const second_room = reserve_room(bound_);
  void* writable = MAP_FAILED;
  if (first_room != nullptr && second_room != nullptr)
    writable = mmap(first_room, bound_, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  if (writable == MAP_FAILED) {
    if (first_room != nullptr) munmap(first_room, bound_);
    if (second_room != nullptr) munmap(second_room, bound_);
    refused_ = true;
    return false;
  }
  (void)madvise(writable, bound_,
                MADV_HUGEPAGE);  // granted where the host has them for such memory
  void* runnable = mremap(writable, 0, bound_, MREMAP_MAYMOVE | MREMAP_FIXED, second_room);
  if (runnable != MAP_FAILED && mprotect(runnable, bound_, PROT_READ | PROT_EXEC) != 0) {
    munmap(runnable, bound_);
    runnable = MAP_FAILED;
  }
  if (runnable == MAP_FAILED) {
    munmap(writable, bound_);
    refused_ = true;
    return false;
  }
  write_view_ = static_cast<u8*>(writable);
  run_view_ = static_cast<u8*>(runnable);
  return true;
}

void ExecutableMemory::write(const void* run_address, std::span<const u8> code) {
  const std::size_t offset =
      static_cast<std::size_t>(static_cast<const u8*>(run_address) - run_view_);
  std::memcpy(write_view_ + offset, code.data(), code.size());
}

const void* ExecutableArena::add(std::span<const u8> code) {
  if (!memory_.map()) return nullptr;
  constexpr std::size_t kAlignment = 16;
  if (code.size() > memory_.bound() - used_) return nullptr;
  const u8* start = memory_.run_view() + used_;
  memory_.write(start, code);
  ExecutableMemory::serialize();
  used_ = std::min((used_ + code.size() + kAlignment - 1) & ~(kAlignment - 1), memory_.bound());
  return start;
}

}  // namespace dragoman
