// Bytes that can be read, but for the first one: code that must not touch the host's flags looks
// with them whether an address is high enough for the window. Where it is not, the host faults.
#pragma once

#include "base/types.h"
#include "memory/linear_window.h"

namespace dragoman {

class AddressGuard {
 public:
  /// The index is an address shifted right by so many bits.
  static constexpr unsigned kShift = 46;
  static_assert(LinearWindow::kHighFirst == u64{1} << kShift);

  AddressGuard();
  ~AddressGuard();
  AddressGuard(const AddressGuard&) = delete;
  AddressGuard& operator=(const AddressGuard&) = delete;

  /// The byte of index 0, or null when the host had no address space for them.
  const u8* bytes() const { return bytes_; }

 private:
  u8* room_ = nullptr;
  const u8* bytes_ = nullptr;
};

}  // namespace dragoman
