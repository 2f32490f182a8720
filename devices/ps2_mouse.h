// IBM PS/2 mouse with the IntelliMouse wheel (id 3) and five-button (id 4) extensions.
// Document: IBM PS/2 Hardware Interface Technical Reference, "Mouse"; Microsoft IntelliMouse notes.
#pragma once

#include "base/log.h"
#include "base/scheduler.h"
#include "devices/device.h"
#include "devices/ps2_device.h"

namespace dragoman {

struct Ps2MouseState {
  u64 next_sample_at = 0;  // stream mode: no packet before this time
  i32 dx = 0;              // movement not reported yet, right and up positive
  i32 dy = 0;
  i32 dz = 0;
  Ps2Queue<16> queue{};
  std::array<u8, 2> last_rates{};  // for the extension knocks, latest last
  u8 buttons = 0;                  // bits 0..4: left, right, middle, 4th, 5th
  u8 reported_buttons = 0;
  u8 id = 0;
  u8 sample_rate = 100;
  u8 resolution = 2;
  u8 pending_command = 0;
  u8 last_sent = 0;
  bool reporting = false;
  bool remote = false;
  bool wrap = false;
  bool scaling_2_1 = false;
  std::array<u8, 5> reserved{};
  static constexpr auto fields() {
    return std::tuple{Field{"next_sample_at", &Ps2MouseState::next_sample_at},
                      Field{"dx", &Ps2MouseState::dx},
                      Field{"dy", &Ps2MouseState::dy},
                      Field{"dz", &Ps2MouseState::dz},
                      Field{"queue", &Ps2MouseState::queue},
                      Field{"last_rates", &Ps2MouseState::last_rates},
                      Field{"buttons", &Ps2MouseState::buttons},
                      Field{"reported_buttons", &Ps2MouseState::reported_buttons},
                      Field{"id", &Ps2MouseState::id},
                      Field{"sample_rate", &Ps2MouseState::sample_rate},
                      Field{"resolution", &Ps2MouseState::resolution},
                      Field{"pending_command", &Ps2MouseState::pending_command},
                      Field{"last_sent", &Ps2MouseState::last_sent},
                      Field{"reporting", &Ps2MouseState::reporting},
                      Field{"remote", &Ps2MouseState::remote},
                      Field{"wrap", &Ps2MouseState::wrap},
                      Field{"scaling_2_1", &Ps2MouseState::scaling_2_1},
                      Field{"reserved", &Ps2MouseState::reserved}};
  }
};

class Ps2Mouse : public StatefulDevice<Ps2MouseState>, public Ps2Device {
 public:
  Ps2Mouse(Scheduler& scheduler, Log& log);

  /// Relative movement: right and down positive, as hosts report it; the wheel towards the user
  /// positive.
  void move(int dx, int dy, int dz);
  /// Bits 0..4: left, right, middle, 4th, 5th.
  void buttons(u8 mask);

  bool has_byte() const override { return state_.queue.count != 0; }
  u8 take_byte() override;
  void write_byte(u8 value) override;

 private:
  void restored() override;
  void set_defaults();
  void clear_movement();
  void answer(u8 value) { state_.queue.push(value); }
  void parameter(u8 command, u8 value);
  bool something_new() const;
  /// Stream mode: sends a packet now or arms the sampling timer.
  void sample();
  void send_packet(bool scaled);

  Scheduler& scheduler_;
  Log& log_;
  Timer sampling_;
};

}  // namespace dragoman
