#include "devices/usb/usb_device.h"

#include <algorithm>

namespace dragoman {
namespace {

using Stage = UsbControlState::Stage;

// bmRequestType (table 9-2): kind and recipient.
constexpr u8 kKind = 0x60, kRecipient = 0x1f;
enum Recipient : u8 { kDevice, kInterface, kEndpoint };

// bRequest (table 9-4).
enum Request : u8 {
  kGetStatus = 0,
  kClearFeature = 1,
  kSetFeature = 3,
  kSetAddress = 5,
  kGetDescriptor = 6,
  kGetConfiguration = 8,
  kSetConfiguration = 9,
  kGetInterface = 10,
  kSetInterface = 11,
};
// Feature selectors (table 9-6).
constexpr u16 kEndpointHalt = 0, kRemoteWakeup = 1;
constexpr u8 kMayWake = 2, kEndpointHalted = 4;
constexpr u8 kInterruptEndpoint = 0x81;

}  // namespace

UsbSetup UsbDevice::request() const {
  const auto& s = control_.setup;
  const auto word = [&s](unsigned at) { return static_cast<u16>(s[at] | s[at + 1] << 8); };
  return {s[0], s[1], word(2), word(4), word(6)};
}

void UsbDevice::bus_reset() {
  control_ = UsbControlState{};
  configuration_changed();
}

void UsbDevice::repair() {
  control_.length = std::min<u16>(control_.length, static_cast<u16>(control_.data.size()));
  control_.at = std::min(control_.at, control_.length);
  control_.stage = std::min(control_.stage, Stage::kHalted);
  control_.address &= 0x7f;
}

void UsbDevice::wake() {
  if (may_wake() && wake_) wake_();
}

/// Endpoint 0 stays halted until the next SETUP (8.5.2).
UsbHandshake UsbDevice::halt() {
  control_.stage = Stage::kHalted;
  return UsbHandshake::kStall;
}

UsbHandshake UsbDevice::setup(std::span<const u8> packet) {
  if (packet.size() != control_.setup.size()) return halt();
  std::copy(packet.begin(), packet.end(), control_.setup.begin());
  control_.at = control_.length = 0;
  const UsbSetup wanted = request();
  if (wanted.to_host()) {
    std::vector<u8> data;
    const bool known =
        (wanted.type & kKind) == 0 ? standard_request(wanted, data) : special_request(wanted, data);
    // A SETUP is always acknowledged; what is not known stalls the stages that follow.
    if (!known) {
      control_.stage = Stage::kHalted;
      return UsbHandshake::kAck;
    }
    const std::size_t count =
        std::min({data.size(), std::size_t{wanted.length}, control_.data.size()});
    std::copy_n(data.begin(), count, control_.data.begin());
    control_.length = static_cast<u16>(count);
    control_.stage = wanted.length != 0 ? Stage::kData : Stage::kStatus;
    return UsbHandshake::kAck;
  }
  control_.length = std::min<u16>(wanted.length, static_cast<u16>(control_.data.size()));
  if (wanted.length > control_.data.size()) {
    control_.stage = Stage::kHalted;
  } else {
    control_.stage = wanted.length != 0 ? Stage::kData : Stage::kStatus;
  }
  return UsbHandshake::kAck;
}

UsbHandshake UsbDevice::out(unsigned endpoint, std::span<const u8> data) {
  if (endpoint != 0) return UsbHandshake::kStall;
  const bool to_host = request().to_host();
  if (control_.stage == Stage::kIdle || control_.stage == Stage::kHalted) return halt();
  if (to_host) {  // the status stage; the host may have had enough of the data before its end
    control_.stage = Stage::kIdle;
    return UsbHandshake::kAck;
  }
  if (control_.stage != Stage::kData || data.size() > std::size_t{control_.length} - control_.at) {
    return halt();
  }
  std::copy(data.begin(), data.end(), control_.data.begin() + control_.at);
  control_.at = static_cast<u16>(control_.at + data.size());
  if (control_.at == control_.length) control_.stage = Stage::kStatus;
  return UsbHandshake::kAck;
}

UsbHandshake UsbDevice::in(unsigned endpoint, std::span<u8> room, unsigned& count) {
  count = 0;
  if (endpoint == 1) {
    if (!configured() || (control_.features & kEndpointHalted) != 0) return UsbHandshake::kStall;
    return interrupt_in(room, count);
  }
  if (endpoint != 0) return UsbHandshake::kStall;
  const UsbSetup wanted = request();
  if (control_.stage == Stage::kData && wanted.to_host()) {
    count = std::min<unsigned>(static_cast<unsigned>(room.size()), control_.length - control_.at);
    std::copy_n(control_.data.begin() + control_.at, count, room.begin());
    control_.at = static_cast<u16>(control_.at + count);
    return UsbHandshake::kAck;
  }
  if (control_.stage != Stage::kStatus) return halt();
  if (wanted.to_host()) {  // of no data, done already
    control_.stage = Stage::kIdle;
    return UsbHandshake::kAck;
  }
  // A request without data or with data from the host takes effect in its status stage: a new
  // address must not be heard before (9.4.6).
  std::vector<u8> data(control_.data.begin(), control_.data.begin() + control_.length);
  const bool known =
      (wanted.type & kKind) == 0 ? standard_request(wanted, data) : special_request(wanted, data);
  if (!known) return halt();
  control_.stage = Stage::kIdle;
  return UsbHandshake::kAck;
}

bool UsbDevice::feature(const UsbSetup& wanted, bool on) {
  u8 bit = 0;
  if ((wanted.type & kRecipient) == kDevice && wanted.value == kRemoteWakeup) bit = kMayWake;
  if ((wanted.type & kRecipient) == kEndpoint && wanted.value == kEndpointHalt) {
    if (wanted.index == kInterruptEndpoint && configured()) {
      bit = kEndpointHalted;
    } else if ((wanted.index & 0x7f) == 0) {
      return true;  // endpoint 0 does not stay halted
    }
  }
  control_.features = static_cast<u8>(on ? control_.features | bit : control_.features & ~bit);
  return bit != 0;
}

bool UsbDevice::standard_request(const UsbSetup& wanted, std::vector<u8>& data) {
  const u8 recipient = wanted.type & kRecipient;
  const bool interface_0 = recipient == kInterface && wanted.index == 0 && configured();
  switch (wanted.request) {
    case kGetStatus:
      if (recipient == kDevice) {
        data = {static_cast<u8>(may_wake() ? 2 : 0), 0};
      } else if (recipient == kEndpoint && wanted.index == kInterruptEndpoint && configured()) {
        data = {static_cast<u8>((control_.features & kEndpointHalted) != 0 ? 1 : 0), 0};
      } else if (interface_0 || (recipient == kEndpoint && (wanted.index & 0x7f) == 0)) {
        data = {0, 0};
      }
      return wanted.to_host() && !data.empty();
    case kClearFeature:
    case kSetFeature:
      return !wanted.to_host() && feature(wanted, wanted.request == kSetFeature);
    case kSetAddress:
      if (wanted.to_host() || wanted.value > 127) return false;
      control_.address = static_cast<u8>(wanted.value);
      return true;
    case kGetDescriptor:
      if (!wanted.to_host()) return false;
      if (recipient == kInterface) return special_request(wanted, data);
      data = descriptor(static_cast<u8>(wanted.value >> 8), static_cast<u8>(wanted.value));
      return !data.empty();
    case kGetConfiguration:
      data = {control_.configuration};
      return wanted.to_host();
    case kSetConfiguration:
      if (wanted.to_host() || (wanted.value & 0xff) > 1) return false;
      control_.configuration = static_cast<u8>(wanted.value);
      control_.features &= static_cast<u8>(~kEndpointHalted);
      configuration_changed();
      return true;
    case kGetInterface:
      data = {0};
      return wanted.to_host() && interface_0;
    case kSetInterface:
      return !wanted.to_host() && interface_0 && wanted.value == 0;
    default:
      return false;
  }
}

}  // namespace dragoman
