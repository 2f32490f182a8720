// MPU-401 MIDI interface in UART mode, as on a Sound Blaster 16.
// Sound Blaster Series Hardware Programming Guide (Creative, 1996), chapter 5, "MIDI in UART mode";
// Roland "MPU-401 Technical Reference Manual" for the ports and the acknowledge.
#pragma once

#include <array>
#include <string>
#include <tuple>

#include "base/irq_line.h"
#include "base/log.h"
#include "base/scheduler.h"
#include "devices/device.h"
#include "devices/sound/midi.h"
#include "memory/port_map.h"

namespace dragoman {

struct Mpu401State {
  u8 answer = 0;         ///< what the data port reads as
  bool waiting = false;  ///< it has not been read
  bool uart = false;
  std::array<u8, 1> reserved{};
  static constexpr auto fields() {
    using S = Mpu401State;
    return std::tuple{Field{"answer", &S::answer}, Field{"waiting", &S::waiting},
                      Field{"uart", &S::uart}, Field{"reserved", &S::reserved}};
  }
};

/// Two ports: data, and status or command. Of the commands there are FFh (reset) and 3Fh (UART
/// mode), as on the card. Bytes leave at once: to the guest the wire is infinitely fast. Nothing is
/// connected to MIDI IN, so what can be read, and interrupts, are acknowledges.
class Mpu401 : public StatefulDevice<Mpu401State>, public PortHandler {
 public:
  static constexpr u16 kPortCount = 2;

  /// `output` may be null (nothing connected); otherwise it outlives the device.
  Mpu401(std::string name, Scheduler& scheduler, Log& log, IrqLine irq, MidiOutput* output);

  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;

 private:
  void restored() override { irq_.set(state_.waiting); }
  void command(u8 value);
  void set_waiting(bool waiting);

  Scheduler& scheduler_;
  Log& log_;
  IrqLine irq_;
  MidiOutput* output_;
};

}  // namespace dragoman
