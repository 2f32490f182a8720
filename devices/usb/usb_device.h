// A full-speed USB function on a cable: control endpoint 0 with the standard requests.
// Universal Serial Bus Specification 1.1: chapter 8 (transactions), chapter 9 (device framework).
#pragma once

#include <array>
#include <functional>
#include <span>
#include <vector>

#include "base/fields.h"
#include "base/types.h"

namespace dragoman {

/// What a device says to a token (8.5.1, 8.5.2).
enum class UsbHandshake : u8 { kAck, kNak, kStall };

/// The eight bytes of a SETUP packet (9.3).
struct UsbSetup {
  u8 type = 0;
  u8 request = 0;
  u16 value = 0;
  u16 index = 0;
  u16 length = 0;
  bool to_host() const { return (type & 0x80) != 0; }
};

/// Part of the State of the device.
struct UsbControlState {
  enum Stage : u8 { kIdle, kData, kStatus, kHalted };

  std::array<u8, 8> setup{};
  std::array<u8, 256> data{};  ///< of the data stage
  u16 length = 0;              ///< bytes in `data`
  u16 at = 0;                  ///< those already moved
  Stage stage = kIdle;
  u8 address = 0;
  u8 configuration = 0;
  u8 features = 0;  ///< bit 1: may wake the host up; bit 2: endpoint 1 is halted

  static constexpr auto fields() {
    using S = UsbControlState;
    return std::tuple{Field{"setup", &S::setup},
                      Field{"data", &S::data},
                      Field{"length", &S::length},
                      Field{"at", &S::at},
                      Field{"stage", &S::stage},
                      Field{"address", &S::address},
                      Field{"configuration", &S::configuration},
                      Field{"features", &S::features}};
  }
};

/// A function with one configuration, one interface and one interrupt endpoint, 81h.
class UsbDevice {
 public:
  virtual ~UsbDevice() = default;

  u8 address() const { return control_.address; }
  /// The hub's port is reset: back to the default state (9.1.1.3).
  void bus_reset();

  // Transactions. Data toggles are not looked at: nothing gets lost on this cable.
  UsbHandshake setup(std::span<const u8> packet);
  UsbHandshake out(unsigned endpoint, std::span<const u8> data);
  /// `room` is what the host takes; `count` is what it gets.
  UsbHandshake in(unsigned endpoint, std::span<u8> room, unsigned& count);

  /// The device wants a suspended bus to resume (only called if the host allowed that).
  void set_wake(std::function<void()> wake) { wake_ = std::move(wake); }

 protected:
  explicit UsbDevice(UsbControlState& control) : control_(control) {}

  bool configured() const { return control_.configuration != 0; }
  bool may_wake() const { return (control_.features & 2) != 0; }
  void wake();
  /// Brings what a damaged saved state may hold into range.
  void repair();

  /// Descriptor of that type and index (9.4.3), empty: there is none.
  virtual std::vector<u8> descriptor(u8 type, u8 index) const = 0;
  /// A request of class or vendor, or one to the interface that chapter 9 does not define. To the
  /// host: fills in `data`. False: the device does not know it.
  virtual bool special_request(const UsbSetup& request, std::vector<u8>& data) = 0;
  /// An interrupt IN token: what there is to say, at most `room`; NAK if nothing.
  virtual UsbHandshake interrupt_in(std::span<u8> room, unsigned& count) = 0;
  /// The configuration was selected anew, or the device is not configured any more.
  virtual void configuration_changed() = 0;

 private:
  UsbSetup request() const;
  bool standard_request(const UsbSetup& request, std::vector<u8>& data);
  bool feature(const UsbSetup& request, bool on);
  UsbHandshake halt();

  UsbControlState& control_;
  std::function<void()> wake_;
};

}  // namespace dragoman
