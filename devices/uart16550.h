// 16550A universal asynchronous receiver/transmitter with FIFOs.
// Datasheet: National Semiconductor PC16550D (June 1995), sections 8.1-8.9; IRQ gating by OUT2 as
// in the SMSC FDC37C93x Super I/O.
#pragma once

#include <array>
#include <span>
#include <string>
#include <tuple>

#include "base/fields.h"
#include "base/irq_line.h"
#include "base/scheduler.h"
#include "base/types.h"
#include "devices/character.h"
#include "devices/device.h"
#include "memory/port_map.h"

namespace dragoman {

struct Uart16550State {
  u64 transmit_interrupt_at = Scheduler::kNever;  ///< virtual ns of the next THRE interrupt
  u64 receive_timeout_at = Scheduler::kNever;     ///< virtual ns of the character timeout
  std::array<u8, 16> fifo{};                      ///< received characters, oldest at fifo_first
  std::array<u8, 16> fifo_errors{};               ///< LSR bits 2-4 that arrived with each
  u16 divisor = 12;                               ///< 9600 baud; undefined after reset on the chip
  u8 fifo_first = 0;
  u8 fifo_count = 0;
  u8 receive_buffer = 0;  ///< what an RBR read gives when nothing was received since
  u8 interrupt_enable = 0;
  u8 fifo_control = 0;
  u8 line_control = 0;
  u8 modem_control = 0;
  u8 line_errors = 0;   ///< LSR bits 1-4: OE, PE, FE, BI
  u8 modem_deltas = 0;  ///< MSR bits 0-3
  u8 scratch = 0;
  bool transmit_interrupt = false;  ///< THRE interrupt pending (cleared by IIR read, THR write)
  bool timeout_interrupt = false;   ///< character timeout pending
  std::array<u8, 2> reserved{};     ///< keeps the struct free of padding

  static constexpr auto fields() {
    using S = Uart16550State;
    return std::make_tuple(
        Field{"transmit_interrupt_at", &S::transmit_interrupt_at},
        Field{"receive_timeout_at", &S::receive_timeout_at}, Field{"fifo", &S::fifo},
        Field{"fifo_errors", &S::fifo_errors}, Field{"divisor", &S::divisor},
        Field{"fifo_first", &S::fifo_first}, Field{"fifo_count", &S::fifo_count},
        Field{"receive_buffer", &S::receive_buffer},
        Field{"interrupt_enable", &S::interrupt_enable}, Field{"fifo_control", &S::fifo_control},
        Field{"line_control", &S::line_control}, Field{"modem_control", &S::modem_control},
        Field{"line_errors", &S::line_errors}, Field{"modem_deltas", &S::modem_deltas},
        Field{"scratch", &S::scratch}, Field{"transmit_interrupt", &S::transmit_interrupt},
        Field{"timeout_interrupt", &S::timeout_interrupt}, Field{"reserved", &S::reserved});
  }
};

/// One serial port: eight I/O ports, one interrupt line, one host character stream.
///
/// Characters leave for the host at once, and LSR shows THRE and TEMT all the time: to a polling
/// guest the line is infinitely fast. Only the THRE *interrupt* takes time, one bit time, so that
/// it never arrives inside the guest's own OUT and a driver that refills the FIFO from its
/// interrupt handler is not held there for ever.
class Uart16550 : public StatefulDevice<Uart16550State>,
                  public PortHandler,
                  public CharacterReceiver {
 public:
  static constexpr u16 kPortCount = 8;

  /// `backend` may be null (nothing connected); otherwise it must outlive the device.
  /// The board maps the ports: `ports.add(name, Port(0x3f8), Uart16550::kPortCount, uart)`.
  Uart16550(std::string name, Scheduler& scheduler, IrqLine irq, CharacterBackend* backend);
  ~Uart16550() override;

  void reset() override;
  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;

  unsigned can_receive() override;
  void receive(std::span<const u8> bytes) override;
  /// A break condition on the line: a zero character with the BI bit.
  void receive_break();

 protected:
  void restored() override;

 private:
  bool fifos_enabled() const;
  bool loopback() const;
  unsigned trigger_level() const;
  u64 bit_time_ns() const;
  u8 word_mask() const;  ///< bits of a character that the line carries
  u64 character_time_ns() const;

  u8 read_receive_buffer();
  u8 read_interrupt_identification();
  u8 read_line_status();
  u8 read_modem_status();
  u8 interrupt_identification() const;
  u8 modem_lines() const;

  void write_transmit(u8 value);
  void write_interrupt_enable(u8 value);
  void write_fifo_control(u8 value);
  void write_modem_control(u8 value);

  void show_modem_lines();

  void push(u8 character, u8 errors);
  void reveal_errors();
  void clear_receive_fifo();
  void arm_timeout();
  void cancel_timeout();
  void update_irq();

  IrqLine irq_;
  CharacterBackend* backend_;
  Scheduler& scheduler_;
  Timer transmit_timer_;
  Timer timeout_timer_;
};

}  // namespace dragoman
