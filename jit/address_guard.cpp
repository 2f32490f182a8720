#include "jit/address_guard.h"

#include <sys/mman.h>

namespace dragoman {
namespace {
constexpr u64 kReadable = u64{1} << (64 - AddressGuard::kShift);
constexpr u64 kRoom = kPageSize + kReadable;
}  // namespace

AddressGuard::AddressGuard() {
  void* const room = mmap(nullptr, kRoom, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) return;
  room_ = static_cast<u8*>(room);
  if (mprotect(room_ + kPageSize, kReadable, PROT_READ) == 0) bytes_ = room_ + kPageSize - 1;
}

AddressGuard::~AddressGuard() {
  if (room_ != nullptr) munmap(room_, kRoom);
}

}  // namespace dragoman
