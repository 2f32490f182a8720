// Intel 8042 keyboard controller with PS/2 mouse port.
// Documents: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
// Controller"; IBM PC/AT Technical Reference for the translation table.
#pragma once

#include "base/irq_line.h"
#include "base/log.h"
#include "base/scheduler.h"
#include "devices/device.h"
#include "devices/ps2_device.h"
#include "memory/port_map.h"

namespace dragoman {

struct I8042State {
  u64 transfer_at = Scheduler::kNever;  // end of the byte now coming in from a device
  std::array<u8, 32> ram{};             // controller RAM; byte 0 is the command byte
  Ps2Queue<16> responses{};             // the controller's own answers waiting for the buffer
  u8 status = 0;                        // OBF, SYS, A2, AUX OBF (the rest is computed)
  u8 output_port = 0x03;                // bits as last written; 0 reset#, 1 A20
  u8 output_buffer = 0;
  u8 pending_command = 0;     // command that waits for its data byte
  bool break_prefix = false;  // translation saw F0h
  bool password_loading = false;
  static constexpr auto fields() {
    return std::tuple{Field{"transfer_at", &I8042State::transfer_at},
                      Field{"ram", &I8042State::ram},
                      Field{"responses", &I8042State::responses},
                      Field{"status", &I8042State::status},
                      Field{"output_port", &I8042State::output_port},
                      Field{"output_buffer", &I8042State::output_buffer},
                      Field{"pending_command", &I8042State::pending_command},
                      Field{"break_prefix", &I8042State::break_prefix},
                      Field{"password_loading", &I8042State::password_loading}};
  }
};

class I8042 : public StatefulDevice<I8042State>, public PortHandler {
 public:
  /// Claims ports 60h and 64h. `a20` carries output port bit 1; `reset` is pulsed for a processor
  /// reset, which the board must put off until the port access has ended.
  I8042(Scheduler& scheduler, Log& log, PortMap& ports, Ps2Device& keyboard, Ps2Device& mouse,
        IrqLine irq1, IrqLine irq12, IrqLine a20, IrqLine reset);
  ~I8042() override;

  void reset() override;
  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;

 private:
  void restored() override;
  u8 command_byte() const { return state_.ram[0]; }
  void set_command_byte(u8 value);
  void command(u8 value);
  void data(u8 value);
  void set_output_port(u8 value);
  void respond(u8 value) { state_.responses.push(value); }
  /// Puts `value` into the output buffer.
  void fill(u8 value, bool from_mouse);
  bool keyboard_ready() const;
  bool mouse_ready() const;
  /// Refills an empty output buffer: own answers at once, device bytes after their time on the
  /// wire.
  void pump();
  void transfer_done();
  void update_irqs();

  Scheduler& scheduler_;
  Log& log_;
  Ps2Device& keyboard_;
  Ps2Device& mouse_;
  IrqLine irq1_;
  IrqLine irq12_;
  IrqLine a20_;
  IrqLine reset_;
  Timer transfer_;
};

}  // namespace dragoman
