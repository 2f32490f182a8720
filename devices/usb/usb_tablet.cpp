#include "devices/usb/usb_tablet.h"

#include <algorithm>
#include <string_view>

namespace dragoman {
namespace {

constexpr u64 kMillisecond = 1'000'000;
// A driver that listens polls every 8 ms; one that has not for so long has stopped.
constexpr u64 kForgotten = 500 * kMillisecond;

enum DescriptorType : u8 {
  kDeviceDescriptor = 1,
  kConfigurationDescriptor = 2,
  kStringDescriptor = 3,
  kHidDescriptor = 0x21,
  kReportDescriptor = 0x22,
};
// Class requests (HID 1.11, 7.2).
enum HidRequest : u8 { kGetReport = 1, kGetIdle = 2, kSetIdle = 10 };
constexpr u8 kClassToInterface = 0x21, kClassFromInterface = 0xa1, kFromInterface = 0x81;
constexpr u8 kInputReport = 1;

// Number 1 of vendor 1209h (pid.codes) is for devices that are nobody's product.
constexpr u8 kDevice[] = {
    18, kDeviceDescriptor, 0x10, 0x01, 0, 0, 0, 64, 0x09, 0x12, 0x01, 0x00, 0x00, 0x01, 1, 2, 3, 1};

// Items of the report descriptor (HID 1.11, 6.2.2).
constexpr u8 kReport[] = {
    0x05, 0x01,        // usage page: generic desktop
    0x09, 0x02,        // usage: mouse
    0xa1, 0x01,        // collection: application
    0x09, 0x01,        //   usage: pointer
    0xa1, 0x00,        //   collection: physical
    0x05, 0x09,        //     usage page: buttons
    0x19, 0x01,        //     first is 1
    0x29, 0x05,        //     last is 5
    0x15, 0x00,        //     from 0
    0x25, 0x01,        //     to 1
    0x95, 0x05,        //     five fields
    0x75, 0x01,        //     of a bit
    0x81, 0x02,        //     input: variable, absolute
    0x95, 0x01,        //     one field
    0x75, 0x03,        //     of three bits
    0x81, 0x01,        //     input: constant
    0x05, 0x01,        //     usage page: generic desktop
    0x09, 0x30,        //     usage: X
    0x09, 0x31,        //     usage: Y
    0x15, 0x00,        //     from 0
    0x26, 0xff, 0x7f,  //     to 32767
    0x35, 0x00,        //     which is as much
    0x46, 0xff, 0x7f,  //     in physical units
    0x75, 0x10,        //     of 16 bits
    0x95, 0x02,        //     two fields
    0x81, 0x02,        //     input: variable, absolute
    0x09, 0x38,        //     usage: wheel
    0x15, 0x81,        //     from -127
    0x25, 0x7f,        //     to 127
    0x35, 0x00,        //     no physical
    0x45, 0x00,        //     units
    0x75, 0x08,        //     of 8 bits
    0x95, 0x01,        //     one field
    0x81, 0x06,        //     input: variable, relative
    0xc0,              //   end
    0xc0,              // end
};
constexpr u8 kReportBytes = 6;

constexpr u8 kHid[] = {9, kHidDescriptor, 0x11, 0x01, 0, 1, kReportDescriptor, sizeof(kReport), 0};
// Bus-powered, may wake the host up, 100 mA; HID without a boot protocol, for that has relative
// movement only; endpoint 81h, interrupt, 8 bytes, every 8 ms.
constexpr u8 kConfiguration[] = {9, kConfigurationDescriptor, 34, 0, 1, 1, 0, 0xa0, 50};
constexpr u8 kInterface[] = {9, 4, 0, 0, 1, 3, 0, 0, 0};
constexpr u8 kEndpoint[] = {7, 5, 0x81, 3, 8, 0, 8};

constexpr std::string_view kStrings[] = {"Dragoman", "Dragoman USB tablet", "1"};

void append(std::vector<u8>& to, std::span<const u8> part) {
  to.insert(to.end(), part.begin(), part.end());
}

}  // namespace

UsbTablet::UsbTablet(std::string name, Scheduler& scheduler)
    : StatefulDevice(std::move(name)), UsbDevice(state_.control), scheduler_(scheduler) {}

void UsbTablet::restored() {
  repair();
  state_.count = std::min<u8>(state_.count, UsbTabletState::kReports);
}

void UsbTablet::configuration_changed() {
  state_.polled = false;
  state_.count = 0;
  state_.told = 0;
  state_.idle = 0;
}

bool UsbTablet::ready() const {
  if (!configured()) return false;
  return may_wake() || (state_.polled && scheduler_.now() - state_.last_poll < kForgotten);
}

std::vector<u8> UsbTablet::descriptor(u8 type, u8 index) const {
  std::vector<u8> bytes;
  if (type == kDeviceDescriptor && index == 0) {
    append(bytes, kDevice);
  } else if (type == kConfigurationDescriptor && index == 0) {
    append(bytes, kConfiguration);
    append(bytes, kInterface);
    append(bytes, kHid);
    append(bytes, kEndpoint);
  } else if (type == kStringDescriptor && index == 0) {
    bytes = {4, kStringDescriptor, 0x09, 0x04};  // English (United States)
  } else if (type == kStringDescriptor && index <= std::size(kStrings)) {
    bytes = {0, kStringDescriptor};
    for (const char c : kStrings[index - 1]) append(bytes, std::array{static_cast<u8>(c), u8{0}});
    bytes[0] = static_cast<u8>(bytes.size());
  }
  return bytes;
}

bool UsbTablet::special_request(const UsbSetup& request, std::vector<u8>& data) {
  if (!configured() || request.index != 0) return false;
  if (request.type == kFromInterface && (request.value & 0xff) == 0) {  // GET_DESCRIPTOR
    if (request.value >> 8 == kHidDescriptor) data.assign(std::begin(kHid), std::end(kHid));
    if (request.value >> 8 == kReportDescriptor) {
      data.assign(std::begin(kReport), std::end(kReport));
    }
    return !data.empty();
  }
  if (request.type == kClassFromInterface && request.request == kGetReport &&
      request.value >> 8 == kInputReport) {
    const Report& now = state_.now;
    data = {now.buttons,
            static_cast<u8>(now.x),
            static_cast<u8>(now.x >> 8),
            static_cast<u8>(now.y),
            static_cast<u8>(now.y >> 8),
            0};
    return true;
  }
  if (request.type == kClassFromInterface && request.request == kGetIdle) {
    data = {state_.idle};
    return true;
  }
  if (request.type == kClassToInterface && request.request == kSetIdle) {
    state_.idle = static_cast<u8>(request.value >> 8);
    state_.last_report = scheduler_.now();
    return true;
  }
  return false;
}

UsbHandshake UsbTablet::interrupt_in(std::span<u8> room, unsigned& count) {
  const u64 now = scheduler_.now();
  state_.last_poll = now;
  state_.polled = true;
  Report report = state_.now;
  report.wheel = 0;
  if (state_.count != 0) {
    report = state_.waiting[0];
    std::copy(state_.waiting.begin() + 1, state_.waiting.begin() + state_.count,
              state_.waiting.begin());
    --state_.count;
    state_.told = report.buttons;
  } else if (state_.idle == 0 || now - state_.last_report < 4 * kMillisecond * state_.idle) {
    return UsbHandshake::kNak;
  }
  state_.last_report = now;
  const std::array<u8, kReportBytes> bytes{report.buttons,
                                           static_cast<u8>(report.x),
                                           static_cast<u8>(report.x >> 8),
                                           static_cast<u8>(report.y),
                                           static_cast<u8>(report.y >> 8),
                                           report.wheel};
  count = static_cast<unsigned>(std::min(room.size(), bytes.size()));
  std::copy_n(bytes.begin(), count, room.begin());
  return UsbHandshake::kAck;
}

/// Movements that nobody has fetched become one, but never across a button: what is pressed is
/// pressed where the pointer was then.
void UsbTablet::enqueue(const Report& report) {
  state_.now = report;
  if (!ready()) return;
  auto& waiting = state_.waiting;
  const unsigned count = state_.count;
  const u8 before = count >= 2 ? waiting[count - 2].buttons : state_.told;
  const bool only_moved =
      count != 0 && waiting[count - 1].buttons == report.buttons && before == report.buttons;
  if (count == 0 || (!only_moved && count < UsbTabletState::kReports)) {
    waiting[count] = report;
    ++state_.count;
  } else {
    const int wheel = static_cast<i8>(waiting[count - 1].wheel) + static_cast<i8>(report.wheel);
    waiting[count - 1] = report;
    waiting[count - 1].wheel = static_cast<u8>(std::clamp(wheel, -127, 127));
  }
  state_.now.wheel = 0;
  wake();
}

void UsbTablet::move_to(u32 x, u32 y) {
  Report report = state_.now;
  report.x = static_cast<u16>(std::min(x, kMost));
  report.y = static_cast<u16>(std::min(y, kMost));
  report.wheel = 0;
  if (report.x != state_.now.x || report.y != state_.now.y) enqueue(report);
}

void UsbTablet::buttons(u8 held) {
  Report report = state_.now;
  report.buttons = held & 0x1f;
  report.wheel = 0;
  if (report.buttons != state_.now.buttons) enqueue(report);
}

void UsbTablet::wheel(int steps) {
  Report report = state_.now;
  report.wheel = static_cast<u8>(std::clamp(steps, -127, 127));
  if (steps != 0) enqueue(report);
}

}  // namespace dragoman
