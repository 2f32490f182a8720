// A USB tablet: an absolute pointer with five buttons and a wheel, which every system with USB
// knows how to drive. Device Class Definition for Human Interface Devices 1.11; HID Usage
// Tables 1.12.
#pragma once

#include "base/scheduler.h"
#include "devices/absolute_pointer.h"
#include "devices/device.h"
#include "devices/usb/usb_device.h"

namespace dragoman {

struct UsbTabletState {
  /// What the pointer was when something about it changed.
  struct Report {
    u16 x = 0, y = 0;
    u8 buttons = 0;
    u8 wheel = 0;  ///< signed, steps since the report before
    static constexpr auto fields() {
      using R = Report;
      return std::tuple{Field{"x", &R::x}, Field{"y", &R::y}, Field{"buttons", &R::buttons},
                        Field{"wheel", &R::wheel}};
    }
  };
  static constexpr unsigned kReports = 16;

  u64 last_poll = 0;    ///< when the host asked last; with `polled`
  u64 last_report = 0;  ///< when it got something
  UsbControlState control;
  std::array<Report, kReports> waiting{};  ///< the first `count` are due, oldest first
  Report now;
  u8 count = 0;
  bool polled = false;
  u8 idle = 0;  ///< in 4 ms: how often a report is repeated; 0: never
  u8 told = 0;  ///< buttons in the report the host got last
  std::array<u8, 6> reserved{};

  static constexpr auto fields() {
    using S = UsbTabletState;
    return std::tuple{Field{"last_poll", &S::last_poll},
                      Field{"last_report", &S::last_report},
                      Field{"control", &S::control},
                      Field{"waiting", &S::waiting},
                      Field{"now", &S::now},
                      Field{"count", &S::count},
                      Field{"polled", &S::polled},
                      Field{"idle", &S::idle},
                      Field{"told", &S::told},
                      Field{"reserved", &S::reserved}};
  }
};

class UsbTablet final : public StatefulDevice<UsbTabletState>,
                        public UsbDevice,
                        public AbsolutePointer {
 public:
  UsbTablet(std::string name, Scheduler& scheduler);

  /// The driver polls, or has the bus asleep and wants to be woken up.
  bool ready() const override;
  void move_to(u32 x, u32 y) override;
  void buttons(u8 held) override;
  void wheel(int steps) override;

 private:
  using Report = UsbTabletState::Report;

  void restored() override;
  std::vector<u8> descriptor(u8 type, u8 index) const override;
  bool special_request(const UsbSetup& request, std::vector<u8>& data) override;
  UsbHandshake interrupt_in(std::span<u8> room, unsigned& count) override;
  void configuration_changed() override;
  void enqueue(const Report& report);

  Scheduler& scheduler_;
};

}  // namespace dragoman
