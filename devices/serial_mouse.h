// A mouse on a serial port that speaks the Microsoft protocol with the IntelliMouse's wheel.
// Documents: Microsoft "Mouse Programmer's Reference" (1991), appendix "Serial mouse"; Plug and
// Play External COM Device Specification 1.00, section 2.1, for DTR and RTS.
#pragma once

#include <array>
#include <tuple>

#include "base/scheduler.h"
#include "devices/character.h"
#include "devices/device.h"

namespace dragoman {

struct SerialMouseState {
  u64 next_byte_at = Scheduler::kNever;  ///< virtual ns at which the oldest byte has arrived
  i32 dx = 0;                            ///< movement not reported yet, right and down positive
  i32 dy = 0;
  i32 dz = 0;                 ///< wheel, towards the user positive
  std::array<u8, 4> queue{};  ///< bytes on their way, oldest first
  u8 queued = 0;
  u8 buttons = 0;  ///< bits 0..2: left, right, middle
  u8 reported_buttons = 0;
  bool data_terminal_ready = false;
  bool request_to_send = false;
  std::array<u8, 3> reserved{};
  static constexpr auto fields() {
    using S = SerialMouseState;
    return std::tuple{Field{"next_byte_at", &S::next_byte_at},
                      Field{"dx", &S::dx},
                      Field{"dy", &S::dy},
                      Field{"dz", &S::dz},
                      Field{"queue", &S::queue},
                      Field{"queued", &S::queued},
                      Field{"buttons", &S::buttons},
                      Field{"reported_buttons", &S::reported_buttons},
                      Field{"data_terminal_ready", &S::data_terminal_ready},
                      Field{"request_to_send", &S::request_to_send},
                      Field{"reserved", &S::reserved}};
  }
};

/// The far end of a Uart16550. The mouse lives on the current of DTR and RTS: when both are there
/// it says "MZ", then it reports what moved in packets of four bytes, at 1200 bits a second with
/// seven data bits, whatever the port is programmed to. Drivers of mice without a wheel take the
/// first three bytes: only a packet's first has bit 6. What the port has no room for is lost.
class SerialMouse : public StatefulDevice<SerialMouseState>, public CharacterBackend {
 public:
  SerialMouse(std::string name, Scheduler& scheduler);

  /// Relative movement: right and down positive, the wheel towards the user positive.
  void move(int dx, int dy, int dz);
  /// Bits 0..2: left, right, middle.
  void buttons(u8 mask);
  /// Somebody has switched it on.
  bool powered() const { return state_.data_terminal_ready && state_.request_to_send; }

  void send(std::span<const u8>) override {}  // it does not listen
  void set_receiver(CharacterReceiver* receiver) override { receiver_ = receiver; }
  void set_modem_lines(bool data_terminal_ready, bool request_to_send) override;

 private:
  void restored() override;
  /// Starts a packet if there is something to report and the line is free.
  void report();
  void arrived();

  Scheduler& scheduler_;
  CharacterReceiver* receiver_ = nullptr;
  Timer line_;
};

}  // namespace dragoman
