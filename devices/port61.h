// System control port B (61h) and the NMI sources behind it, as in the PIIX3.
// Datasheet: Intel 290550 (PIIX3) section 2.5.1 (NMI status and control).
#pragma once

#include <functional>

#include "base/irq_line.h"
#include "base/scheduler.h"
#include "devices/device.h"
#include "devices/i8254.h"
#include "memory/port_map.h"

namespace dragoman {

struct Port61State {
  u8 control = 0;      // bits 3:0: IOCHK# disable, SERR# disable, speaker data, timer 2 gate
  bool serr = false;   // SERR# was seen
  bool iochk = false;  // IOCHK# was seen
  bool nmi_masked = true;
  static constexpr auto fields() {
    return std::tuple{Field{"control", &Port61State::control}, Field{"serr", &Port61State::serr},
                      Field{"iochk", &Port61State::iochk},
                      Field{"nmi_masked", &Port61State::nmi_masked}};
  }
};

class Port61 : public StatefulDevice<Port61State>, public PortHandler {
 public:
  /// Claims port 61h. A rising edge of `nmi` is an NMI.
  Port61(Scheduler& scheduler, PortMap& ports, I8254& timer, IrqLine nmi);

  /// Bit 7 of port 70h (see Mc146818); masked at power-on.
  void set_nmi_masked(bool masked);
  void report_serr();
  void report_iochk();
  /// Bit 1: OUT 2 of the timer reaches the speaker.
  bool speaker_data() const;
  /// Called after the port was written.
  void set_listener(std::function<void()> changed) { changed_ = std::move(changed); }

  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;

 private:
  void restored() override;
  void update_nmi();

  Scheduler& scheduler_;
  I8254& timer_;
  IrqLine nmi_;
  std::function<void()> changed_;
};

}  // namespace dragoman
