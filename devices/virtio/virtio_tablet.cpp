#include "devices/virtio/virtio_tablet.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string_view>

namespace dragoman {
namespace {

constexpr unsigned kEventQueue = 0;
constexpr u64 kEventBytes = 8;

// virtio_input_config (5.8.4): what the driver selects and what it reads.
enum Select : u8 {
  kIdName = 0x01,
  kIdSerial = 0x02,
  kIdDevices = 0x03,
  kEventBits = 0x11,
  kAbsInfo = 0x12,
};
constexpr u64 kConfigHead = 8;
constexpr u64 kConfigBytes = kConfigHead + 128;

// Linux event types and codes.
constexpr u16 kSyn = 0, kKey = 1, kRelative = 2, kAbsolute = 3;
constexpr u16 kAbsX = 0, kAbsY = 1, kWheel = 8;
constexpr std::array<u16, 2> kAxes = {kAbsX, kAbsY};
constexpr std::array<u16, 1> kWheels = {kWheel};
constexpr std::array<u16, 5> kButtons = {0x110, 0x111, 0x112, 0x113, 0x114};

std::vector<u8> bits(std::span<const u16> codes) {
  std::vector<u8> map;
  for (const u16 code : codes) {
    if (map.size() <= code / 8u) map.resize(code / 8u + 1);
    map[code / 8u] |= static_cast<u8>(1u << code % 8);
  }
  return map;
}

std::vector<u8> words(std::initializer_list<u32> values) {
  std::vector<u8> bytes(4 * values.size());
  std::memcpy(bytes.data(), values.begin(), bytes.size());
  return bytes;
}

}  // namespace

VirtioTablet::VirtioTablet(std::string name, const PciSpaces& spaces, MsiSink& msi, Log& log)
    : VirtioPci(std::move(name), spaces, msi, log,
                {.pci_device = 0x1052, .type = 18, .class_code = 0x098000, .queues = 2}) {}

/// What the selected part of the configuration holds; empty when there is no such part.
std::vector<u8> VirtioTablet::answer() const {
  const u8 select = state_.config_bytes[0];
  const u8 part = state_.config_bytes[1];
  const auto text = [](std::string_view words) {
    return std::vector<u8>(words.begin(), words.end());
  };
  switch (select) {
    case kIdName:
      return part == 0 ? text("Dragoman tablet") : std::vector<u8>();
    case kIdSerial:
      return part == 0 ? text("1") : std::vector<u8>();
    case kIdDevices:  // bus (virtual), vendor, product, version: 16 bits each
      return part == 0 ? words({0x06u | 0x1af4u << 16, 0x0002u | 0x0001u << 16})
                       : std::vector<u8>();
    case kEventBits:
      if (part == kKey) return bits(kButtons);
      if (part == kRelative) return bits(kWheels);
      if (part == kAbsolute) return bits(kAxes);
      return {};
    case kAbsInfo:  // least, most, fuzz, flat, resolution
      return part <= kAbsY ? words({0, kMost, 0, 0, 0}) : std::vector<u8>();
    default:
      return {};
  }
}

std::vector<u8> VirtioTablet::device_config() const {
  const std::vector<u8> found = answer();
  std::vector<u8> config(kConfigBytes);
  config[0] = state_.config_bytes[0];
  config[1] = state_.config_bytes[1];
  config[2] = static_cast<u8>(found.size());
  std::copy(found.begin(), found.end(), config.begin() + kConfigHead);
  return config;
}

void VirtioTablet::device_config_written(u64 offset, u8 value) {
  if (offset < 2) state_.config_bytes[offset] = value;
}

void VirtioTablet::queue_notified(unsigned queue) {
  if (queue == kEventQueue) {
    report();
    return;
  }
  // Status events, such as lights to switch: there are none on a tablet.
  VirtioChain chain;
  while (take(queue, chain)) give_back(queue, chain, 0);
  signal(queue);
}

void VirtioTablet::move_to(u32 x, u32 y) {
  x_ = std::min(x, kMost);
  y_ = std::min(y, kMost);
  report();
}

void VirtioTablet::buttons(u8 held) {
  held_ = held;
  report();
}

void VirtioTablet::wheel(int steps) {
  steps_ += steps;
  report();
}

std::vector<VirtioTablet::Event> VirtioTablet::changes() const {
  std::vector<Event> events;
  if (x_ != told_x_) events.push_back({kAbsolute, kAbsX, x_});
  if (y_ != told_y_) events.push_back({kAbsolute, kAbsY, y_});
  for (unsigned i = 0; i < kButtons.size(); ++i) {
    if (((held_ ^ told_held_) >> i & 1) != 0) {
      events.push_back({kKey, kButtons[i], u32{held_} >> i & 1});
    }
  }
  if (steps_ != 0) events.push_back({kRelative, kWheel, static_cast<u32>(steps_)});
  if (!events.empty()) events.push_back({kSyn, 0, 0});
  return events;
}

/// Tells the driver what has changed, all of it or, with too few buffers, nothing yet.
void VirtioTablet::report() {
  if (!running()) return;
  const std::vector<Event> events = changes();
  if (events.empty() || available(kEventQueue) < events.size()) return;
  guarded([&] {
    open_batch(kEventQueue);
    for (const Event& event : events) {
      VirtioChain chain;
      if (!take(kEventQueue, chain)) return;
      std::array<u8, kEventBytes> bytes{};
      std::memcpy(&bytes[0], &event.type, 2);
      std::memcpy(&bytes[2], &event.code, 2);
      std::memcpy(&bytes[4], &event.value, 4);
      give_back(kEventQueue, chain, static_cast<u32>(chain.write(memory(), 0, bytes)));
    }
    told_x_ = x_;
    told_y_ = y_;
    told_held_ = held_;
    steps_ = 0;
    signal(kEventQueue);
  });
}

}  // namespace dragoman
