// Distinct types for the address spaces of a PC, so that one cannot be passed for another.
// Words follow the manuals: effective -> linear -> physical address.
#pragma once

#include <compare>

#include "base/types.h"

namespace dragoman {

/// An address in one of the machine's address spaces. `Tag` only tells the spaces apart.
template <class Tag, class Value>
struct Address {
  Value value = 0;

  constexpr Address() = default;
  constexpr explicit Address(Value v) : value(v) {}

  constexpr auto operator<=>(const Address&) const = default;
  constexpr Address operator+(Value n) const { return Address(static_cast<Value>(value + n)); }
  constexpr Address operator-(Value n) const { return Address(static_cast<Value>(value - n)); }
  /// Distance in bytes, modulo the width of the space.
  constexpr Value operator-(Address other) const { return static_cast<Value>(value - other.value); }
  constexpr Value page() const { return static_cast<Value>(value >> kPageShift); }
  constexpr Value page_offset() const { return static_cast<Value>(value & kPageMask); }
};

/// Linear address: after segmentation, before paging (SDM vol. 3, 3.1).
using LinearAddress = Address<struct LinearTag, u64>;
/// Guest-physical address: after paging, as devices and DMA see it.
using PhysicalAddress = Address<struct PhysicalTag, u64>;
/// I/O port number.
using Port = Address<struct PortTag, u16>;

}  // namespace dragoman
