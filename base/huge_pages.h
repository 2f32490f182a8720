// Memory for large tables that are reached at random: in huge pages of the host where it has them,
// so that reaching them costs few translations of the host's own.
#pragma once

#include <cstddef>

namespace dragoman {

/// Zeroed memory that begins where a huge page can; only what is touched costs memory. Ends the
/// program when the host has no address space left, as operator new would. `bytes` is not 0.
void* allocate_huge(std::size_t bytes);
/// The same, but where little of it is ever touched: in small pages of the host but for the first
/// `huge` bytes.
void* allocate_sparse(std::size_t bytes, std::size_t huge = 0);
/// Gives back what one of them returned for the same `bytes`.
void release_huge(void* memory, std::size_t bytes);

/// For containers.
template <class T>
struct HugeAllocator {
  using value_type = T;
  HugeAllocator() = default;
  template <class U>
  HugeAllocator(const HugeAllocator<U>&) {}
  T* allocate(std::size_t count) { return static_cast<T*>(allocate_huge(count * sizeof(T))); }
  void deallocate(T* memory, std::size_t count) { release_huge(memory, count * sizeof(T)); }
  bool operator==(const HugeAllocator&) const = default;
};

}  // namespace dragoman
