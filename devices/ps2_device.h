// The two-wire link of an IBM PS/2 keyboard or mouse, one byte at a time.
// Document: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
// Controller".
#pragma once

#include <algorithm>
#include <array>
#include <functional>

#include "base/fields.h"
#include "base/types.h"

namespace dragoman {

/// What a keyboard controller sees of a device on its port.
class Ps2Device {
 public:
  virtual ~Ps2Device() = default;
  /// A byte waits to be sent to the host.
  virtual bool has_byte() const = 0;
  /// The next byte; 0 when none waits.
  virtual u8 take_byte() = 0;
  /// A byte from the host.
  virtual void write_byte(u8 value) = 0;
  /// Called whenever has_byte() may have become true.
  void set_listener(std::function<void()> listener) { listener_ = std::move(listener); }

 protected:
  void announce() {
    if (listener_) listener_();
  }

 private:
  std::function<void()> listener_;
};

/// The first-in first-out buffer inside such a device.
template <std::size_t kSize>
struct Ps2Queue {
  std::array<u8, kSize> bytes{};
  u8 first = 0;
  u8 count = 0;
  static constexpr auto fields() {
    return std::tuple{Field{"bytes", &Ps2Queue::bytes}, Field{"first", &Ps2Queue::first},
                      Field{"count", &Ps2Queue::count}};
  }
  std::size_t room() const { return kSize - count; }
  void push(u8 value) {
    if (count >= kSize) return;
    bytes[(first + count) % kSize] = value;
    ++count;
  }
  u8 pop() {
    if (count == 0) return 0;
    const u8 value = bytes[first];
    first = static_cast<u8>((first + 1) % kSize);
    --count;
    return value;
  }
  void clear() { count = 0; }
  /// Brings a damaged saved state into range.
  void repair() {
    first = static_cast<u8>(first % kSize);
    count = static_cast<u8>(std::min<std::size_t>(count, kSize));
  }
};

}  // namespace dragoman
