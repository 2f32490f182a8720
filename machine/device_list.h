// The devices of a board, in the order of their construction.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "devices/device.h"

namespace dragoman {

class DeviceList {
 public:
  DeviceList() = default;
  ~DeviceList() { clear(); }

  template <class D, class... Args>
  D& add(Args&&... args) {
    auto device = std::make_unique<D>(std::forward<Args>(args)...);
    D& reference = *device;
    devices_.push_back(std::move(device));
    return reference;
  }
  /// Devices call into those built before them, so the last goes first.
  void clear() {
    while (!devices_.empty()) devices_.pop_back();
  }
  /// Sources of signals before what they drive: the reverse of the order of construction.
  void reset() {
    for (auto it = devices_.rbegin(); it != devices_.rend(); ++it) (*it)->reset();
  }
  const std::vector<std::unique_ptr<Device>>& all() const { return devices_; }

 private:
  std::vector<std::unique_ptr<Device>> devices_;
};

}  // namespace dragoman
