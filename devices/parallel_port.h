// Parallel printer port in standard (SPP, output only) mode.
// IBM PC/AT Technical Reference, "Printer Adapter"; register reads as in the SMSC FDC37C93x.
#pragma once

#include <array>
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

struct ParallelPortState {
  u64 acknowledged_at = Scheduler::kNever;  ///< virtual ns of the end of the nACK pulse
  u8 data = 0;
  u8 control = 0;
  bool interrupt = false;
  std::array<u8, 5> reserved{};

  static constexpr auto fields() {
    using S = ParallelPortState;
    return std::make_tuple(Field{"acknowledged_at", &S::acknowledged_at}, Field{"data", &S::data},
                           Field{"control", &S::control}, Field{"interrupt", &S::interrupt},
                           Field{"reserved", &S::reserved});
  }
};

/// A printer port with a printer that prints into a host character stream: a byte leaves when the
/// guest strobes it, and nACK (with IRQ, when enabled) follows after a few microseconds.
class ParallelPort : public StatefulDevice<ParallelPortState>, public PortHandler {
 public:
  static constexpr u16 kPortCount = 3;

  /// `backend` may be null; otherwise it must outlive the device.
  ParallelPort(std::string name, Scheduler& scheduler, IrqLine irq, CharacterBackend* backend);

  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;

 protected:
  void restored() override;

 private:
  u8 read_status();
  void write_control(u8 value);
  void set_interrupt(bool level);

  Scheduler& scheduler_;
  IrqLine irq_;
  CharacterBackend* backend_;
  Timer acknowledge_timer_;
};

}  // namespace dragoman
