#include "memory/shadow_table.h"

#include "base/address_room.h"
#include "base/huge_pages.h"

namespace dragoman {

void* ShadowTable::operator new(std::size_t bytes, Use use) {
  static_assert(sizeof(entries_) % kHugePageBytes == 0);
  return allocate_sparse(bytes, use == Use::kDense ? sizeof(entries_) : 0);
}
void ShadowTable::operator delete(void* table, std::size_t bytes) { release_huge(table, bytes); }
void ShadowTable::operator delete(void* table, Use) { release_huge(table, sizeof(ShadowTable)); }

ShadowTable::ShadowTable() {
  for (u64 slot = 0; slot < kOddlyEmpty; ++slot) entries_[slot] = empty(slot);
}

}  // namespace dragoman
