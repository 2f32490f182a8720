#include "base/upper_half.h"

#include <atomic>

extern "C" {
// Outside of every object, as a process has one address space.
int dragoman_upper_half = dragoman::kNoUpperHalf;
}

namespace dragoman {

bool UpperHalf::exists() { return std::atomic_ref(dragoman_upper_half).load() != kNoUpperHalf; }
bool UpperHalf::take() {
  int free = kFreeUpperHalf;
  return std::atomic_ref(dragoman_upper_half).compare_exchange_strong(free, kTakenUpperHalf);
}
void UpperHalf::give_back() { std::atomic_ref(dragoman_upper_half).store(kFreeUpperHalf); }

}  // namespace dragoman
